"""Scales and their ticks: round values upwards, round local times sideways. Knows no drawing."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from meter_sim.lab.quantities import DAY_S, HOUR_S, MINUTE_S, short, span

WIDTH: Final = 1_000
"""Of every chart, in its own units; a browser stretches it."""

MOST_TICKS: Final = 11
STEPS_S: Final = (
    *(count * MINUTE_S for count in (1, 2, 5, 10, 15, 30)),
    *(count * HOUR_S for count in (1, 2, 3, 6, 12)),
    *(count * DAY_S for count in (1, 2, 4, 7, 14, 28, 56)),
)
SPAN_TICKS_S: Final = (0.001, 0.01, 0.1, 1, 10, MINUTE_S, 10 * MINUTE_S, HOUR_S, DAY_S, 10 * DAY_S, 100 * DAY_S)
LEAST_DECADES: Final = 4
"""Ticks on a scale of spans at least, so that little change looks like little."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Where, and what stands there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """From `from_s` to `to_s` (virtual seconds UTC), labelled in local time."""

    from_s: int
    to_s: int
    zone: ZoneInfo

    def x(self, at_s: float) -> float:
        """0 to WIDTH; what is outside stands at the edge."""
        share = (at_s - self.from_s) / (self.to_s - self.from_s)
        return round(WIDTH * min(1.0, max(0.0, share)), 1)

    def ticks(self) -> list[Tick]:
        """At round local times, days at midnight."""
        length_s = self.to_s - self.from_s
        step_s = next((step_s for step_s in STEPS_S if length_s / step_s <= MOST_TICKS), length_s)
        first = datetime.fromtimestamp(self.from_s, self.zone).replace(tzinfo=None)
        local = datetime(first.year, first.month, first.day)  # noqa: DTZ001 a local time; its zone comes below
        ticks: list[Tick] = []
        while (at_s := self._instant_s(local)) <= self.to_s:
            if at_s >= self.from_s and (not ticks or at_s > ticks[-1].at):
                ticks.append(
                    Tick(at_s, f"{local:%H:%M}" if local.hour or local.minute else f"{local.day} {local:%b}")
                )
            local += timedelta(seconds=step_s)
        return ticks

    def local(self, at_s: float) -> str:
        """A time in words: `Thu 31 Oct 2024 18:05`."""
        at = datetime.fromtimestamp(at_s, self.zone)
        return f"{at:%a} {at.day} {at:%b %Y %H:%M}"

    def _instant_s(self, local: datetime) -> int:
        return int(local.replace(tzinfo=self.zone).astimezone(UTC).timestamp())


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """From 0 to a round value that is not below `most`. `whole`: of things that have no halves."""

    most: float
    whole: bool = False

    @property
    def top(self) -> float:
        """The value at the upper edge."""
        step = self._step
        return step * max(1, math.ceil(self.most / step - 1e-9))

    def share(self, value: float) -> float:
        """0 at the foot, 1 at the top."""
        return min(1.0, max(0.0, value / self.top))

    def ticks(self) -> list[Tick]:
        """Three to six, the foot included."""
        step = self._step
        return [Tick(step * index, short(step * index)) for index in range(round(self.top / step) + 1)]

    @property
    def _step(self) -> float:
        if self.most <= 0:
            return 1
        rough = max(self.most / 5, 1.0 if self.whole else 0.0)
        power = 10 ** math.floor(math.log10(rough))
        return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9)))


@dataclass(frozen=True, slots=True)
class SpanAxis:
    """Spans of time from seconds to weeks on one logarithmic scale."""

    least: float
    most: float

    @property
    def _bounds(self) -> tuple[int, int]:
        low = max((i for i, s in enumerate(SPAN_TICKS_S) if s <= self.least), default=0)
        high = min((i for i, s in enumerate(SPAN_TICKS_S) if s >= self.most), default=len(SPAN_TICKS_S) - 1)
        while high - low < LEAST_DECADES - 1 and high < len(SPAN_TICKS_S) - 1:
            high += 1
        return low, high

    def share(self, value: float) -> float:
        """0 at the foot, 1 at the top."""
        low, high = self._bounds
        foot, top = math.log(SPAN_TICKS_S[low]), math.log(SPAN_TICKS_S[high])
        return min(1.0, max(0.0, (math.log(max(value, SPAN_TICKS_S[0])) - foot) / (top - foot)))

    def ticks(self) -> list[Tick]:
        """Familiar spans: 1 s, 1 min, 1 h, 1 d."""
        low, high = self._bounds
        return [Tick(s, span(s) if s >= 1 else f"{s:g} s") for s in SPAN_TICKS_S[low : high + 1]]
