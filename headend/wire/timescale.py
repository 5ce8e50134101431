"""The laboratory's clock: how wall time maps to the virtual time that both ends of a run share.

A pure mapping without a clock of its own; in production neither end uses it. Transport timeouts never run on
virtual time: at 2,000 times the speed a retry after 10 virtual seconds would be a flood.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

MAX_SPEED: Final = 1_000_000
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2200

_SPEC = re.compile(r"(?P<start>[^@]+)@(?P<epoch>\d+(\.\d+)?)x(?P<speed>\d+(\.\d+)?)")


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Virtual time was `start_s` when wall time was `epoch_s`, and since then runs `speed` times as fast."""

    start_s: int
    epoch_s: float
    speed: float

    @classmethod
    def parse(cls, spec: str) -> Self:
        """Read `START@EPOCHxSPEED`: an ISO time with zone, wall seconds since 1970, a factor.

        For example `2024-10-30T00:00:00+05:30@1763870000.5x2880`.

        Raises:
            ValueError: with a message for a person.
        """
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise ValueError(f"{spec!r} is not START@EPOCHxSPEED, such as 2024-10-30T00:00:00Z@1763870000x60")
        start = datetime.fromisoformat(match["start"])
        if start.tzinfo is None:
            raise ValueError(f"{match['start']!r} names no time zone (add Z or +05:30)")
        speed = float(match["speed"])
        if not 0 < speed <= MAX_SPEED:
            raise ValueError(f"the speed must be above 0 and at most {MAX_SPEED:,}")
        if not FIRST_YEAR <= start.year <= LAST_YEAR:
            raise ValueError(f"the start must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
        return cls(int(start.timestamp()), float(match["epoch"]), speed)

    def virtual_s(self, wall_s: float) -> int:
        """Virtual time in whole seconds at a wall time, rounded down."""
        return self.start_s + math.floor((wall_s - self.epoch_s) * self.speed)

    def wall_s(self, virtual_s: float) -> float:
        """The wall time at which virtual time reaches a value: who wakes then is not a second too early."""
        wall_s = self.epoch_s + (virtual_s - self.start_s) / self.speed
        # A float near 2**31 has steps of 0.2 microseconds: the sum may have been rounded below the instant.
        step_s = math.ulp(max(abs(wall_s), abs(self.epoch_s)))
        while self.virtual_s(wall_s) < math.floor(virtual_s):
            wall_s += step_s
        return wall_s
