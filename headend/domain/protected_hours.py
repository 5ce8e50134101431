"""The protected calendar: which stretches of a local day are protected, and by what name. `windows` joins them.

Edges are local wall times: `from` is protected, `to` is not any more. Where the clocks change at an edge, the
stretch is the longer of the two readings.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from datetime import time as time_of_day
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from headend.domain.calendar import midnight_s

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ORDINALS: Final = ("first", "second", "third", "fourth", "fifth")


class Span(NamedTuple):
    """A protected stretch of time: from (inclusive) to (exclusive), and what protects it."""

    from_s: int
    to_s: int
    name: str


@dataclass(frozen=True, slots=True)
class Night:
    """Hours that are protected on every day; `to_minute` at or before `from_minute` lies on the next day."""

    name: str
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class NthWeekday:
    """A weekday of the month such as the second Saturday; weekdays count from Monday = 0."""

    nth: int
    weekday: int


@dataclass(frozen=True, slots=True)
class Festivals:
    """Festivals by day (`date.toordinal`) with their names, as far as the days are known at all."""

    names: Mapping[int, str]
    first_day: int
    last_day: int

    def name_on(self, day: int) -> str | None:
        """What protects a day. Outside the known days we cannot tell that it is no festival, so it is one."""
        if not self.first_day <= day <= self.last_day:
            return "festivals not known"
        return self.names.get(day)


@dataclass(frozen=True, slots=True)
class ProtectedHours:
    """The rules of one utility. Empty: nothing is protected.

    A permitted window (cuts from 11:00 to 13:00 only) is the night from 13:00 to 11:00. `fixed_dates` are pairs of
    month and day. `only_if_in_credit_at_opening`: the hours protect a home only when it had credit as they opened.
    """

    nights: tuple[Night, ...] = ()
    weekdays: frozenset[int] = frozenset()
    nth_weekdays: frozenset[NthWeekday] = frozenset()
    fixed_dates: frozenset[tuple[int, int]] = frozenset()
    dates: Mapping[int, str] = field(default_factory=dict)
    festivals: Festivals | None = None
    only_if_in_credit_at_opening: bool = False

    def day_name(self, day: int) -> str | None:
        """By what name the whole of a day is protected; None: by its nights at most."""
        on = date.fromordinal(day)
        name = self.dates.get(day) or (self.festivals.name_on(day) if self.festivals else None)
        if name is not None:
            return name
        if (on.month, on.day) in self.fixed_dates:
            return on.strftime("%-d %B")
        if on.weekday() in self.weekdays:
            return WEEKDAYS[on.weekday()]
        nth = (on.day - 1) // 7
        if NthWeekday(nth + 1, on.weekday()) in self.nth_weekdays:
            return f"{ORDINALS[nth]} {WEEKDAYS[on.weekday()]}"
        return None

    def spans_on(self, day: int, zone: ZoneInfo) -> Iterator[Span]:
        """What protects some of a day: the day itself, and nights that begin on it or the day before."""
        name = self.day_name(day)
        if name is not None:
            yield Span(midnight_s(day, zone), midnight_s(day + 1, zone), name)
        for night in self.nights:
            crosses = night.to_minute <= night.from_minute
            for begins in (day - 1, day) if crosses else (day,):
                yield Span(
                    min(_instants_s(begins, night.from_minute, zone)),
                    max(_instants_s(begins + crosses, night.to_minute, zone)),
                    night.name,
                )


def _instants_s(day: int, minute: int, zone: ZoneInfo) -> tuple[int, int]:
    """A wall time as both readings of it: they differ where the clocks go back over it, or jump it."""
    wall = datetime.combine(date.fromordinal(day), time_of_day(minute // 60, minute % 60), zone)
    return int(wall.timestamp()), int(wall.replace(fold=1).timestamp())
