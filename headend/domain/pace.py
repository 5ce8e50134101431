"""How fast a meter's counters can rise at the most: told from numbers that no meter can have come to. Pure.

It refuses to know which of two possible values is the true one: uplink messages are not signed, so what a meter
could have come to is believed.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

DAY_S: Final = 86_400

CLOCK_TOLERANCE_S: Final = 300
"""How far a meter's clock may be ahead of ours before its times are not believed."""

MOST_READINGS_A_SECOND: Final = 2
"""A meter reads every few minutes, and once more at midnight; a burst after a fault is far below this."""

MOST_FIRST_SEQ: Final = 2**32
"""What a device may have counted before its first reading here. Some take the time in seconds for a number."""


class RegisterState(NamedTuple):
    """The newest accepted reading; `since_s`: its time, or the day before the installation where none was."""

    seq: int
    register_wh: int
    since_s: int


class Step(NamedTuple):
    """The most that readings and register may rise from one reading to the next, whatever the time between."""

    seqs: int
    energy_wh: int


@dataclass(frozen=True, slots=True)
class Pace:
    """`max_day_wh`: the most energy of a day that is believed; `until_s`: the time now, with the clocks' error.

    Now, and not the reading's own time: a meter whose clock was set back has drawn since its last reading all the
    same, and whoever forges a reading can name any time up to now.
    """

    max_day_wh: int
    until_s: int

    @property
    def step(self) -> Step:
        """What every meter can have come to: no time has to be looked at."""
        return Step(MOST_READINGS_A_SECOND * CLOCK_TOLERANCE_S, self.max_day_wh)

    def reaches(self, held: RegisterState, seq: int, register_wh: int) -> bool:
        """Whether a meter can have come from what is held to this number and register by now."""
        elapsed_s = max(CLOCK_TOLERANCE_S, self.until_s - held.since_s)
        first_seqs = MOST_FIRST_SEQ if held.seq == 0 else 0
        return (
            register_wh - held.register_wh <= self.max_day_wh * (1 + elapsed_s // DAY_S)
            and seq - held.seq <= MOST_READINGS_A_SECOND * elapsed_s + first_seqs
        )


def pace_at(max_day_wh: int, now_s: int) -> Pace:
    """What meters can have come to now."""
    return Pace(max_day_wh, now_s + CLOCK_TOLERANCE_S)
