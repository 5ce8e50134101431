"""A process stands still and keeps its connections: SIGSTOP, and SIGCONT at the end of the fault."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import Part, Plant


class ProcessPause(Fault):
    """A part does nothing for a while, as in a long pause of a virtual machine."""

    fault: Literal["process-pause"] = "process-pause"
    part: Literal[Part.HEADEND, Part.BROKER, Part.FLEET] = Field(description="What stands still.")

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.pause(self.part)
        return lambda: plant.resume(self.part)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return {"part": chance.choice((Part.HEADEND, Part.BROKER, Part.FLEET))}
