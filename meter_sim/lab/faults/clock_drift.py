"""A clock runs fast or slow: the head-end's, or those of the meters behind a share of the gateways."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.fault import Fault, Mend, Share, some
from meter_sim.lab.plant import ClockShift, Part, Plant


class ClockDrift(Fault):
    """A clock gains `drift_ppm` millionths (below 0: loses) until the end of the fault, and is set right then."""

    fault: Literal["clock-drift"] = "clock-drift"
    part: Literal[Part.HEADEND, Part.FLEET] = Field(description="Whose clock: the head-end's or meters'.")
    drift_ppm: int = Field(
        ge=-500_000, le=500_000, description="Millionths gained: 1000 is 86 s a day; below 0: lost."
    )
    share: Share = Field(default=1.0, description="Of the gateways, with all meters behind them.")

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        gateways = tuple(some(plant.gateways, self.share, chance))
        plant.shift_clock(name, self.part, ClockShift(0, self.drift_ppm, gateways))
        return lambda: plant.shift_clock(name, self.part, None)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return {"part": chance.choice((Part.HEADEND, Part.FLEET)), "drift_ppm": chance.randint(-2_000, 2_000)}
