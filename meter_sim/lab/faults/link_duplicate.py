"""Messages arrive more than once."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.toxics import Toxic
from meter_sim.lab.toxics.duplicate import Duplicate


class LinkDuplicate(LinkFault):
    """A share of messages arrives twice."""

    fault: Literal["link-duplicate"] = "link-duplicate"
    repeat: float = Field(default=0.2, gt=0, le=1, description="Share of messages that comes twice.")

    def toxic(self) -> Toxic:
        """See `LinkFault.toxic`."""
        return Duplicate(probability=self.repeat)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return super().draw(chance) | {"repeat": round(chance.uniform(0.01, 0.5), 2)}
