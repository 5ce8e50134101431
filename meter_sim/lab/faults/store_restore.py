"""The store is lost and an old backup takes its place: what was accepted since the backup is not in it."""

from random import Random
from typing import ClassVar, Literal

from meter_sim.lab.faults.fault import Fault, Mend, mend_nothing
from meter_sim.lab.plant import Plant


class StoreRestore(Fault):
    """A backup is made at `at`; at the end of `for` the store is gone, and the backup is put in its place."""

    fault: Literal["store-restore"] = "store-restore"

    loses_commits: ClassVar[bool] = True

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        return plant.restore if plant.back_up() else mend_nothing
