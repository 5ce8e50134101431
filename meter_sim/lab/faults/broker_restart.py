"""The broker dies and comes back with nothing: sessions, queues and retained messages are lost."""

from random import Random
from typing import Literal

from meter_sim.lab.faults.fault import Fault, Mend
from meter_sim.lab.plant import Part, Plant


class BrokerRestart(Fault):
    """SIGKILL of the broker, and a start with an empty memory after `for`, or at once."""

    fault: Literal["broker-restart"] = "broker-restart"

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        plant.kill(Part.BROKER)
        return lambda: plant.start(Part.BROKER)
