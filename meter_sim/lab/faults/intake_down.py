"""Nobody takes payments: requests for recharges die before they are answered."""

from random import Random
from typing import Literal

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import Part, Plant


class IntakeDown(Fault):
    """The counter is down: who asks for a recharge gets no answer, and asks again later."""

    fault: Literal["intake-down"] = "intake-down"

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.kill(Part.COUNTER)
        return lambda: plant.start(Part.COUNTER)
