"""The power fails: the head-end's machine dies with whatever its disk had not synced, and comes back."""

from random import Random
from typing import Literal

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import Part, Plant


class PowerCut(Fault):
    """Unsynced writes are lost or torn; head-end and counter are started again after `for`, or at once."""

    fault: Literal["power-cut"] = "power-cut"

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.kill(Part.COUNTER)
        plant.kill(Part.HEADEND)
        plant.cut_power(chance)

        def mend() -> None:
            plant.start(Part.HEADEND)
            plant.start(Part.COUNTER)

        return mend
