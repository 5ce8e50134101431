"""Messages arrive with flipped bytes."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.toxics import Toxic
from meter_sim.lab.toxics.corrupt import Corrupt


class LinkCorrupt(LinkFault):
    """A share of messages has bytes of its payload flipped."""

    fault: Literal["link-corrupt"] = "link-corrupt"
    corrupt: float = Field(default=0.05, gt=0, le=1, description="Share of messages that is damaged.")

    def toxic(self) -> Toxic:
        """See `LinkFault.toxic`."""
        return Corrupt(probability=self.corrupt)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return super().draw(chance) | {"corrupt": round(chance.uniform(0.01, 0.2), 2)}
