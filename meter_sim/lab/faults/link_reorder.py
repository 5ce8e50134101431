"""Messages overtake each other."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.toxics import Toxic
from meter_sim.lab.toxics.reorder import Reorder


class LinkReorder(LinkFault):
    """A share of messages is held back for up to `delay_ms`, while later ones pass."""

    fault: Literal["link-reorder"] = "link-reorder"
    reorder: float = Field(default=0.2, gt=0, le=1, description="Share of messages that is held back.")
    delay_ms: int = Field(default=500, ge=1, le=600_000, description="Held back for so long at most.")

    def toxic(self) -> Toxic:
        """See `LinkFault.toxic`."""
        return Reorder(probability=self.reorder, delay_ms=self.delay_ms)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return super().draw(chance) | {
            "reorder": round(chance.uniform(0.01, 0.5), 2),
            "delay_ms": chance.choice((50, 5_000, 300_000)),
        }
