"""What the store holds of the policies that go down to meters."""

from typing import Protocol


class PolicyRows(Protocol):
    """What the store holds of the policies that go down to meters."""
