"""How much virtual time may pass between two things that belong together: what is under way in between.

In a simulation it is a fixed time. Between processes it is a little wall time, which is a lot of virtual time
where the clock runs fast, and little where it runs slowly.
"""

import math
from dataclasses import dataclass
from typing import Final

from meter_sim.lab.scenario import Clock

WALL_S: Final = 2.0
"""What is under way between processes takes so long at most."""
SIMULATED_S: Final = 60
FOR_EVER_S: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Slack:
    """`legs`: (from when on, virtual seconds in a wall second), ascending; none: simulated."""

    legs: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, clock: Clock, mode: str) -> "Slack":
        """That of a run."""
        if mode != "processes":
            return cls()
        turns = ((clock.start_s + turn.at, turn.speed) for turn in clock.turns)
        return cls(((clock.start_s, clock.speed), *turns))

    def after(self, at_s: int) -> int:
        """How long after an instant something may still be under way."""
        if not self.legs:
            return SIMULATED_S
        left_s, passed_s = WALL_S, 0.0
        ends_s = [from_s for from_s, _ in self.legs[1:]] + [FOR_EVER_S]
        for (_, speed), end_s in zip(self.legs, ends_s, strict=True):
            here_s = max(0.0, end_s - at_s - passed_s)
            took_s = min(left_s, here_s / speed)
            passed_s, left_s = passed_s + took_s * speed, left_s - took_s
        return math.ceil(passed_s)

    @property
    def most_s(self) -> int:
        """At the fastest."""
        return math.ceil(WALL_S * max(speed for _, speed in self.legs)) if self.legs else SIMULATED_S
