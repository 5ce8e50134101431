"""A clock jumps: the head-end's, or those of the meters behind a share of the gateways."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.fault import Fault, Mend, Share, some
from meter_sim.lab.plant import ClockShift, Part, Plant


class ClockJump(Fault):
    """A clock is `offset_s` ahead (below 0: behind) until the end of the fault."""

    fault: Literal["clock-jump"] = "clock-jump"
    part: Literal[Part.HEADEND, Part.FLEET] = Field(description="Whose clock: the head-end's or meters'.")
    offset_s: int = Field(
        ge=-4_000_000_000,
        le=4_000_000_000,
        description="Seconds ahead; below 0: behind; -1700000000: it boots in 1970.",
    )
    share: Share = Field(default=1.0, description="Of the gateways, with all meters behind them.")

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        gateways = tuple(some(plant.gateways, self.share, chance))
        plant.shift_clock(name, self.part, ClockShift(self.offset_s, 0, gateways))
        return lambda: plant.shift_clock(name, self.part, None)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        part = chance.choice((Part.HEADEND, Part.FLEET))
        if part is Part.HEADEND:
            return {"part": part, "offset_s": chance.randint(-288, 288)}
        offsets = (-300, 300, -3_600, 3_600, -1_700_000_000)
        return {"part": part, "offset_s": chance.choice(offsets), "share": round(chance.uniform(0.1, 1), 2)}
