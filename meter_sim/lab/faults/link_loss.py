"""Messages are lost, though the broker has acknowledged them."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.toxics import Toxic
from meter_sim.lab.toxics.loss import Loss


class LinkLoss(LinkFault):
    """A share of messages never arrives."""

    fault: Literal["link-loss"] = "link-loss"
    loss: float = Field(default=0.1, gt=0, le=1, description="Share of messages that is lost.")

    def toxic(self) -> Toxic:
        """See `LinkFault.toxic`."""
        return Loss(probability=self.loss)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return super().draw(chance) | {"loss": round(chance.uniform(0.01, 0.3), 2)}
