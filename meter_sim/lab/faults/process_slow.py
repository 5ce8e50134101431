"""A process gets too little of the machine: it runs for a share of the time only."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import Part, Plant


class ProcessSlow(Fault):
    """A part runs for `runs` of the time, in turns of SIGSTOP and SIGCONT."""

    fault: Literal["process-slow"] = "process-slow"
    part: Literal[Part.HEADEND, Part.BROKER, Part.FLEET] = Field(description="What runs in turns.")
    runs: float = Field(default=0.2, gt=0, lt=1, description="Share of the time that it runs.")

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.slow(name, self.part, self.runs)
        return lambda: plant.slow(name, self.part, 1.0)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return {"part": Part.HEADEND, "runs": round(chance.uniform(0.05, 0.9), 2)}
