"""Reconnection: when a home that was cut gets its supply back. Never later than at once.

No window, cap, recovery or quarantine is asked: they exist to protect from cuts. A balance at the limit suffices;
where the rules say so, so does paying a share of the dues, which also buys some days without a cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DAY_S: Final = 86_400
FULL_SHARE_BP: Final = 10_000


@dataclass(frozen=True, slots=True)
class Step:
    """Days that apply to values up to and including `up_to`; None: to all above."""

    up_to: int | None
    days: int


def days_for(steps: Sequence[Step], value: int) -> int:
    """The days of the first step that reaches a value; none reaches it: 0."""
    return next((step.days for step in steps if step.up_to is None or value <= step.up_to), 0)


@dataclass(frozen=True, slots=True)
class ReconnectionRules:
    """What suffices for a reconnection.

    `from_micros`: a balance. `min_share_bp`: a share of the dues paid, in basis points; None: no share does.
    `days_by_share`: by share paid, for how long the home is not cut again.
    """

    from_micros: int = 0
    min_share_bp: int | None = None
    days_by_share: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconnection:
    """The supply is due back now; the home is not cut again before `no_cut_before_s` (None: the usual rules)."""

    no_cut_before_s: int | None


def reconnect(
    rules: ReconnectionRules, *, balance_micros: int, dues_micros: int, paid_micros: int, now_s: int
) -> Reconnection | None:
    """Whether a home that was cut gets its supply back now; None: not yet.

    `dues_micros`: what it owed when it was cut; `paid_micros`: what it has paid since.
    """
    if balance_micros >= rules.from_micros:
        return Reconnection(no_cut_before_s=None)
    if rules.min_share_bp is None or dues_micros <= 0:
        return None
    # The share is rounded up: a part of a basis point above a step is above it. At the least it must be full.
    if paid_micros * FULL_SHARE_BP < rules.min_share_bp * dues_micros:
        return None
    share_bp = -(-paid_micros * FULL_SHARE_BP // dues_micros)
    return Reconnection(no_cut_before_s=now_s + days_for(rules.days_by_share, share_bp) * DAY_S)
