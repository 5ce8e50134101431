"""What the store holds of regions in recovery and of arrears plans."""

from typing import Protocol


class RecoveryRows(Protocol):
    """What the store holds of regions in recovery and of arrears plans."""
