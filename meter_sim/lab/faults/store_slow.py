"""The head-end's disk is slow: each write and each sync takes its time."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import DiskState, Plant


class StoreSlow(Fault):
    """Each write and sync beneath the store takes `delay_ms` longer (wall time between processes)."""

    fault: Literal["store-slow"] = "store-slow"
    delay_ms: int = Field(default=5, ge=1, le=10_000, description="Of each write and each sync.")

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.set_disk(name, DiskState(delay_s=self.delay_ms / 1_000))
        return lambda: plant.set_disk(name, None)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return {"delay_ms": chance.choice((1, 10, 100, 1_000))}
