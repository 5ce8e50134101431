"""What all faults of a link share: which link, which direction, which gateways, and how a toxic gets on it."""

from random import Random
from typing import Any

from pydantic import Field

from meter_sim.lab.faults.fault import STREAMS, Direction, Fault, Mend, Share, some
from meter_sim.lab.plant import Link, Plant
from meter_sim.lab.toxics import AppliedToxic, Toxic


class LinkFault(Fault):
    """A behaviour of a link for a while. Its times are those of the network: wall time between processes."""

    link: Link = Field(default=Link.FLEET, description="`fleet`: between gateways and broker; `headend`: its own.")
    direction: Direction = Field(default="both", description="`up`: from the meters towards the head-end.")
    share: Share = Field(default=1.0, description="Of the gateways; the head-end has one link.")

    def toxic(self) -> Toxic:
        """The behaviour."""
        raise NotImplementedError

    def begin(self, plant: Plant, name: str, chance: Random) -> Mend:
        """See `Fault.begin`."""
        everybody = self.link is Link.HEADEND or self.share == 1.0
        chosen = None if everybody else some(plant.gateways, self.share, chance)
        clients = None if chosen is None else frozenset(f"{plant.region}-{gateway}" for gateway in chosen)
        seed, toxic, names = chance.getrandbits(32), self.toxic(), []
        for direction in ("up", "down") if self.direction == "both" else (self.direction,):
            names.append(f"{name}-{direction}")
            stream = STREAMS[self.link, direction]
            plant.add_toxic(self.link, AppliedToxic(names[-1], toxic, stream, 1.0, clients, seed))

        def mend() -> None:
            for each in names:
                plant.remove_toxic(self.link, each)

        return mend

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        link = Link.HEADEND if chance.random() < 0.3 else Link.FLEET
        share = 1.0 if chance.random() < 0.5 else round(chance.uniform(0.1, 1), 2)
        return {"link": link, "share": share, "direction": chance.choice(("up", "down", "both"))}
