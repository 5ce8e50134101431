"""The disk says that it has synced and has not; then the power fails. Nothing can be promised on such a disk."""

from random import Random
from typing import ClassVar, Literal

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import DiskState, Part, Plant


class StoreLies(Fault):
    """fsync lies from `at` on, and at the end of the fault the power fails: the judge must find what is gone."""

    fault: Literal["store-lies"] = "store-lies"

    loses_commits: ClassVar[bool] = True
    breaks: ClassVar[frozenset[str]] = frozenset(f"I{number}" for number in range(1, 26))

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.set_disk(name, DiskState(lies=True))

        def mend() -> None:
            plant.kill(Part.COUNTER)
            plant.kill(Part.HEADEND)
            plant.cut_power(chance)
            plant.set_disk(name, None)
            plant.start(Part.HEADEND)
            plant.start(Part.COUNTER)

        return mend
