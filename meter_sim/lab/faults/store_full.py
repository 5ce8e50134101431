"""The head-end's disk is full: ENOSPC on every write that needs room."""

from random import Random
from typing import Literal

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import DiskState, Plant


class StoreFull(Fault):
    """No write beneath the store finds room; what is written stays readable."""

    fault: Literal["store-full"] = "store-full"

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.set_disk(name, DiskState(full=True))
        return lambda: plant.set_disk(name, None)
