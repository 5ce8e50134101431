"""The head-end's disk fails: EIO on read, write or sync."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import DiskState, Plant


class StoreError(Fault):
    """Every operation of one kind beneath the store ends in EIO."""

    fault: Literal["store-error"] = "store-error"
    operation: Literal["read", "write", "sync"] = Field(default="sync", description="Which kind fails.")

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.set_disk(name, DiskState(fails=self.operation))
        return lambda: plant.set_disk(name, None)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return {"operation": chance.choice(("read", "write", "sync"))}
