"""A process dies: `kill -9`, and its next start at the end of the fault."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import Part, Plant


class ProcessKill(Fault):
    """SIGKILL of a part; it is started again after `for`, or at once."""

    fault: Literal["process-kill"] = "process-kill"
    part: Part = Field(description="What is killed. The counter is where recharges are taken.")

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.kill(self.part)
        return lambda: plant.start(self.part)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return {"part": chance.choice(list(Part))}
