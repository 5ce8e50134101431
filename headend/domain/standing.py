"""A meter's standing: its credit as last looked at, which alert levels it has crossed, since when it is at zero.

A level is told of once per crossing, not once per reading. What counts as crossed stays crossed until the account
is credited: that a settled bill differs from the provisional one by a rounding tells nobody anything twice.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from headend.domain.notice import NoticeKind

FULL_SHARE_BP: Final = 10_000


@dataclass(frozen=True, slots=True)
class AlertRules:
    """When consumers are told that their credit runs low.

    `low_micros`: fixed levels. `low_share_bp`: levels as shares (basis points) of the last recharge.
    `debt_at_micros`: the balance at or below which a cut is in question; `emergency_credit`: whether a home may go
    on from there; `exhausted_at_micros`: the balance at or below which that is used up too (both as the rules of
    protection have them).
    """

    low_micros: tuple[int, ...] = ()
    low_share_bp: tuple[int, ...] = ()
    debt_at_micros: int = 0
    emergency_credit: bool = False
    exhausted_at_micros: int = 0

    def levels_micros(self, last_recharge_micros: int) -> list[int]:
        """The alert levels of a meter, highest first; the last is one micro into emergency credit, if any.

        Zero always is a level. A share of a recharge is rounded down.
        """
        levels = {0, *self.low_micros}
        levels.update(last_recharge_micros * share_bp // FULL_SHARE_BP for share_bp in self.low_share_bp)
        if self.emergency_credit:
            levels.add(self.debt_at_micros - 1)
        return sorted(levels, reverse=True)

    def marks_micros(self) -> list[int]:
        """Which balance is next to look at, by how many levels a home is at or below, from none on.

        Levels that are shares of a recharge are left out; then only the mark for none is known for all homes.
        """
        levels = self.levels_micros(0)
        marks = [max(level, self.debt_at_micros, self.exhausted_at_micros) for level in levels]
        return marks[:1] if self.low_share_bp else marks


class Debt(NamedTuple):
    """Since when a home has no credit left.

    `zero_since_s`, `exhausted_since_s`: the meter's time of the reading that first showed a balance at or below
    `debt_at_micros`, `exhausted_at_micros`; None: it is above. `cut_announced_s`: the cut that the consumer was
    told of.
    """

    zero_since_s: int | None
    exhausted_since_s: int | None
    cut_announced_s: int | None


NO_DEBT: Final = Debt(None, None, None)


class Standing(NamedTuple):
    """What is kept of a meter from one look to the next.

    `credits_micros`: all that was ever credited to its account. `levels`: how many alert levels the balance is at
    or below.
    """

    credits_micros: int
    levels: int
    debt: Debt


@dataclass(frozen=True, slots=True)
class Crossing:
    """A level that the balance has come down to."""

    kind: NoticeKind
    level_micros: int


def look_at(
    standing: Standing,
    rules: AlertRules,
    levels_micros: list[int],
    *,
    balance_micros: int,
    credits_micros: int,
    as_of_s: int,
) -> tuple[Standing, list[Crossing]]:
    """Compare a balance with the meter's levels: the new standing, and what to tell.

    `as_of_s` is the meter's time of the reading that the balance is based on. Of several levels crossed at once
    only the lowest is told; zero and emergency credit are told each.
    """
    levels = sum([balance_micros <= level for level in levels_micros])
    told = standing.levels if credits_micros == standing.credits_micros else min(standing.levels, levels)
    debt = NO_DEBT
    if balance_micros <= rules.debt_at_micros:
        before, exhausted = standing.debt, balance_micros <= rules.exhausted_at_micros
        debt = Debt(
            _since(before.zero_since_s, as_of_s),
            _since(before.exhausted_since_s, as_of_s) if exhausted else None,
            before.cut_announced_s,
        )
    looked = Standing(credits_micros, max(told, levels), debt)
    if levels <= told:
        return looked, []
    crossed = [Crossing(_kind(level, rules), level) for level in levels_micros[told:levels]]
    return looked, [crossing for crossing in crossed if crossing.kind is not NoticeKind.LOW_BALANCE] or crossed[
        -1:
    ]


def room_micros(rules: AlertRules, levels_micros: list[int], balance_micros: int) -> int | None:
    """How far the balance may fall before there is anything to look at again; None: as far as it likes."""
    marks = (*levels_micros, rules.debt_at_micros, rules.exhausted_at_micros)
    return min([balance_micros - mark for mark in marks if mark < balance_micros], default=None)


def _since(since_s: int | None, as_of_s: int) -> int:
    return as_of_s if since_s is None else since_s


def _kind(level_micros: int, rules: AlertRules) -> NoticeKind:
    if rules.emergency_credit and level_micros == rules.debt_at_micros - 1:
        return NoticeKind.EMERGENCY_CREDIT
    return NoticeKind.LOW_BALANCE if level_micros > 0 else NoticeKind.ZERO_BALANCE
