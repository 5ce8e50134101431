"""An operator's error in bulk: a list of homes to cut that is the wrong list."""

from random import Random
from typing import Any, ClassVar, Literal

from pydantic import Field

from meter_sim.lab.faults.fault import Fault, Mend, Share, mend_nothing, some
from meter_sim.lab.plant import Plant


class BulkCut(Fault):
    """One command orders a share of all homes cut."""

    fault: Literal["bulk-cut"] = "bulk-cut"
    share: Share = Field(default=0.6, description="Of all homes, by chance.")
    reason: str = Field(default="list of the wrong file", min_length=1, max_length=200, description="As given.")

    momentary: ClassVar[bool] = True

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.order_cut(some(plant.meters, self.share, chance), "operator", self.reason)
        return mend_nothing

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return {"share": round(chance.uniform(0.1, 1), 2)}
