"""What the store holds of disconnections, the quarantine and moratoria."""

from typing import Protocol


class ProtectionRows(Protocol):
    """What the store holds of disconnections, the quarantine and moratoria."""
