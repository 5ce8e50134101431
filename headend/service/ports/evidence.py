"""What the store holds of the audit log."""

from typing import Protocol


class EvidenceRows(Protocol):
    """What the store holds of the audit log."""
