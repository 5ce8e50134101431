"""All planted bugs, by the invariant that each breaks, and the invariants for which there is none."""

from collections.abc import Mapping
from typing import Final

from planted_bug import Bug
from planted_in_commands import COMMANDS
from planted_in_money import MONEY
from planted_in_protection import PROTECTION
from planted_in_sight import SIGHT

BUGS: Final[tuple[Bug, ...]] = (*MONEY, *COMMANDS, *PROTECTION, *SIGHT)

NOT_PLANTED: Final[Mapping[str, str]] = {}
"""Invariants without a planted bug, each with the reason."""
