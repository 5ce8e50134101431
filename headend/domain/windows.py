"""Windows of protection: the calendar's hours and the operator's moratoria joined, and what is left for cuts.

All answers come from one function, `permitted_on`: what is left of a local day. So the window that a decision
sees, the time that a notice names and the policy that a meter is sent cannot disagree.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of, midnight_s
from headend.domain.protected_hours import ProtectedHours, Span

HORIZON_DAYS: Final = 400
"""How far a window is followed. One that lasts longer is answered as if it ended there."""


FOLLOW_DAYS: Final = 8
"""How far a permitted stretch is followed: an order to open lasts at most a week."""


@dataclass(frozen=True, slots=True)
class Moratorium:
    """An operator's word that nobody is cut from `from_s` to `to_s`, in one region or (None) in all."""

    region: str | None
    from_s: int
    to_s: int
    reason: str
    ended_at_s: int | None = None

    @property
    def until_s(self) -> int:
        """When it ends or was ended, whichever is first."""
        return self.to_s if self.ended_at_s is None else min(self.to_s, self.ended_at_s)

    def covers(self, region: str) -> bool:
        """Whether it holds in a region."""
        return self.region is None or self.region == region


@dataclass(frozen=True, slots=True)
class Window:
    """Protection in force without a break from `opened_s` to `until_s` (exclusive), and by what name just now."""

    name: str
    opened_s: int
    until_s: int


def permitted_on(
    hours: ProtectedHours, moratoria: Iterable[Moratorium], zone: ZoneInfo, day: int
) -> list[tuple[int, int]]:
    """The stretches [from, to) of a local day in which nothing is protected, in order."""
    free_from_s, ends_s = midnight_s(day, zone), midnight_s(day + 1, zone)
    permitted = []
    for span in sorted((*hours.spans_on(day, zone), *_spans(moratoria))):
        if span.from_s > free_from_s:
            permitted.append((free_from_s, min(span.from_s, ends_s)))
        free_from_s = max(free_from_s, span.to_s)
        if free_from_s >= ends_s:
            return permitted
    return [*permitted, (free_from_s, ends_s)]


def next_permitted(
    hours: ProtectedHours, moratoria: Sequence[Moratorium], zone: ZoneInfo, at_s: int
) -> tuple[int, int] | None:
    """The permitted stretch [from, to) that an instant lies in, or the next one after it. None: none in sight.

    It begins with its local day at the earliest, so that it is the same from whichever instant of a day one asks,
    and ends where protection begins, at most `FOLLOW_DAYS` later.
    """
    today = day_of(at_s, zone)
    for day in range(today, today + HORIZON_DAYS):
        for from_s, to_s in permitted_on(hours, moratoria, zone, day):
            if to_s > at_s:
                return from_s, _followed_s(hours, moratoria, zone, day, to_s)
    return None


def window_at(hours: ProtectedHours, moratoria: Sequence[Moratorium], zone: ZoneInfo, at_s: int) -> Window | None:
    """The window of protection in force at an instant; None: a cut would be permitted."""
    today = day_of(at_s, zone)
    spans = (*_spans(moratoria), *hours.spans_on(today, zone))
    name = next((span.name for span in spans if span.from_s <= at_s < span.to_s), None)
    if name is None:
        return None
    following = next_permitted(hours, moratoria, zone, at_s)
    return Window(
        name=name,
        opened_s=_opened_s(hours, moratoria, zone, at_s),
        until_s=following[0] if following else midnight_s(today + HORIZON_DAYS, zone),
    )


def protected_intervals(
    hours: ProtectedHours, moratoria: Sequence[Moratorium], zone: ZoneInfo, from_day: int, days: int
) -> list[tuple[int, int]]:
    """What every meter must refuse to cut in, as [from, to) over some local days: merged, in order, clipped.

    Hours that hold only for a home in credit are left out: a meter cannot be told of them for all.
    """
    if hours.only_if_in_credit_at_opening:
        hours = ProtectedHours()
    protected = []
    closed_from_s = midnight_s(from_day, zone)
    for day in range(from_day, from_day + days):
        for from_s, to_s in permitted_on(hours, moratoria, zone, day):
            if from_s > closed_from_s:
                protected.append((closed_from_s, from_s))
            closed_from_s = to_s
    ends_s = midnight_s(from_day + days, zone)
    return [*protected, (closed_from_s, ends_s)] if ends_s > closed_from_s else protected


def _spans(moratoria: Iterable[Moratorium]) -> list[Span]:
    return [Span(each.from_s, each.until_s, each.reason) for each in moratoria if each.from_s < each.until_s]


def _followed_s(
    hours: ProtectedHours, moratoria: Sequence[Moratorium], zone: ZoneInfo, day: int, to_s: int
) -> int:
    """Where a stretch of a day really ends that may go on after midnight."""
    for following in range(day + 1, day + 1 + FOLLOW_DAYS):
        stretches = permitted_on(hours, moratoria, zone, following)
        if not stretches or stretches[0][0] != to_s:
            break
        to_s = stretches[0][1]
    return to_s


def _opened_s(hours: ProtectedHours, moratoria: Sequence[Moratorium], zone: ZoneInfo, at_s: int) -> int:
    today = day_of(at_s, zone)
    for day in range(today, today - HORIZON_DAYS, -1):
        for _, to_s in reversed(permitted_on(hours, moratoria, zone, day)):
            if to_s <= at_s:
                return to_s
    return midnight_s(today - HORIZON_DAYS, zone)
