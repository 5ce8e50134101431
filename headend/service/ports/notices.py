"""What the store holds of standings and notices."""

from typing import Protocol


class NoticeRows(Protocol):
    """What the store holds of standings and notices."""
