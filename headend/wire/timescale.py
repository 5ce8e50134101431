"""The laboratory's clock: how wall time maps to the virtual time that both ends of a run share.

A pure mapping without a clock of its own; in production neither end uses it. Transport timeouts never run on
virtual time: at 2,000 times the speed a retry after 10 virtual seconds would be a flood.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final, Self

MAX_SPEED: Final = 1_000_000
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2200

_NUMBER = r"\d+(?:\.\d+)?"
_SPEC = re.compile(
    rf"(?P<start>[^@,]+)@(?P<epoch>{_NUMBER})x(?P<speed>{_NUMBER})(?P<turns>(?:,[^@,]+x{_NUMBER})*)"
)


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Virtual time was `start_s` when wall time was `epoch_s`, and since then runs `speed` times as fast.

    `then` takes over when virtual time reaches its start: a day can pass in a second, and its evening in ten.
    """

    start_s: int
    epoch_s: float
    speed: float
    then: "TimeScale | None" = None

    @classmethod
    def parse(cls, spec: str) -> Self:
        """Read `START@EPOCHxSPEED[,TIMExSPEED]...`: ISO times with zone, wall seconds since 1970, factors.

        For example `2024-10-30T00:00:00+05:30@1763870000.5x2880`; with `,2024-10-31T16:00:00+05:30x720` behind
        it, time runs at 720 from then on.

        Raises:
            ValueError: with a message for a person.
        """
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise ValueError(f"{spec!r} is not START@EPOCHxSPEED, such as 2024-10-30T00:00:00Z@1763870000x60")
        turns = [turn.rpartition("x") for turn in match["turns"].split(",")[1:]]
        legs = [(_instant_s(match["start"]), _speed(match["speed"]))]
        legs += [(_instant_s(time), _speed(speed)) for time, _, speed in turns]
        if any(later_s <= earlier_s for (earlier_s, _), (later_s, _) in pairwise(legs)):
            raise ValueError(f"{spec!r}: each change of speed must come after the one before")
        epochs_s = [float(match["epoch"])]
        for (from_s, speed), (to_s, _) in pairwise(legs):
            epochs_s.append(epochs_s[-1] + (to_s - from_s) / speed)
        scale = None
        for (start_s, speed), epoch_s in zip(reversed(legs), reversed(epochs_s), strict=True):
            scale = cls(start_s, epoch_s, speed, scale)
        assert scale is not None, "there is a first leg"
        return scale

    def virtual_s(self, wall_s: float) -> int:
        """Virtual time in whole seconds at a wall time, rounded down."""
        if self.then is not None and wall_s >= self.then.epoch_s:
            return self.then.virtual_s(wall_s)
        virtual_s = self.start_s + math.floor((wall_s - self.epoch_s) * self.speed)
        return virtual_s if self.then is None else min(virtual_s, self.then.start_s)

    def wall_s(self, virtual_s: float) -> float:
        """The wall time at which virtual time reaches a value: who wakes then is not a second too early."""
        if self.then is not None and virtual_s >= self.then.start_s:
            return self.then.wall_s(virtual_s)
        wall_s = self.epoch_s + (virtual_s - self.start_s) / self.speed
        # A float near 2**31 has steps of 0.2 microseconds: the sum may have been rounded below the instant.
        step_s = math.ulp(max(abs(wall_s), abs(self.epoch_s)))
        while self.virtual_s(wall_s) < math.floor(virtual_s):
            wall_s += step_s
        return wall_s


def _instant_s(text: str) -> int:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone (add Z or +05:30)")
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"the start must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return int(at.timestamp())


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= MAX_SPEED:
        raise ValueError(f"the speed must be above 0 and at most {MAX_SPEED:,}")
    return speed
