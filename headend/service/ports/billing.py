"""What the store holds of tariffs, terms and charges."""

from typing import Protocol


class BillingRows(Protocol):
    """What the store holds of tariffs, terms and charges."""
