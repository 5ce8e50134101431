"""The virtual clock that all processes of a run share: it stands still until it is started.

Owns the text by which the others learn of it (`headend.wire.timescale`). Knows no process.
"""

import time
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from headend.wire.timescale import TimeScale
from meter_sim.lab.scenario import ZONE, Clock

RUSH_SPEED: Final = 1_000_000.0
STANDING_SPEED: Final = 0.001
"""Of a clock that stands still: not quite 0, which a clock cannot have."""


WARM_UP_S: Final = 3.0
"""The first virtual second takes so many wall seconds: while all parts start, next to no time passes."""


class RunClock:
    """Virtual time of one run."""

    def __init__(self, clock: Clock, speed: float | None = None) -> None:
        """`speed`: instead of the scenario's; its turns change in proportion."""
        factor = 1.0 if speed is None else speed / clock.speed
        self._start_s = clock.start_s
        legs = {1: clock.speed} | {max(1, turn.at): turn.speed for turn in clock.turns}
        self._turns = [(at, speed * factor) for at, speed in legs.items()]
        self.fastest = max(speed for _, speed in self._turns)
        self.spec = self.standing_spec(0)
        self._scale = TimeScale.parse(self.spec)

    def start(self) -> None:
        """Let time begin now."""
        turns = "".join(f",{_iso(self._start_s + at)}x{speed:f}" for at, speed in self._turns)
        self.spec = f"{_iso(self._start_s)}@{time.time():.3f}x{1 / WARM_UP_S:f}{turns}"
        self._scale = TimeScale.parse(self.spec)

    def stop(self, at_s: int) -> None:
        """Stand still at a time, which is now or soon."""
        self.spec = self.standing_spec(at_s - self._start_s)
        self._scale = TimeScale.parse(self.spec)

    def standing_spec(self, since_start_s: int) -> str:
        """A clock that shows this time and stands still.

        It has the same start, for that is the fleet's name in its log, and rushed to this time just now.
        """
        begun_s = time.time() - since_start_s / RUSH_SPEED - 0.01  # milliseconds are rounded
        turn = f",{_iso(self._start_s + since_start_s)}x{STANDING_SPEED:f}" if since_start_s > 0 else ""
        return f"{_iso(self._start_s)}@{begun_s:.3f}x{RUSH_SPEED if turn else STANDING_SPEED:f}{turn}"

    @property
    def first_day(self) -> str:
        """The local day on which the run begins."""
        return _iso(self._start_s)[:10]

    @property
    def now_s(self) -> int:
        """Virtual time, seconds UTC."""
        return self._scale.virtual_s(time.time())

    @property
    def since_start_s(self) -> int:
        """Virtual seconds since the run began."""
        return self.now_s - self._start_s

    def ahead_s(self, wall_s: float) -> int:
        """What virtual time it will be in some wall seconds."""
        return self._scale.virtual_s(time.time() + wall_s)

    def ago_s(self, wall_s: float) -> int:
        """What virtual time it was some wall seconds ago."""
        return self._scale.virtual_s(time.time() - wall_s)

    def wait_s(self, until_s: int) -> float:
        """Wall seconds until a virtual time; 0 if it is over."""
        return max(0.0, self._scale.wall_s(until_s) - time.time())


def _iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, ZoneInfo(ZONE)).isoformat()
