"""A link is narrow: messages queue up before it."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.toxics import Toxic
from meter_sim.lab.toxics.bandwidth import Bandwidth


class LinkBandwidth(LinkFault):
    """A connection carries `rate_kbps` kilobytes a second."""

    fault: Literal["link-bandwidth"] = "link-bandwidth"
    rate_kbps: int = Field(default=64, ge=1, le=1_000_000, description="Kilobytes a second.")

    def toxic(self) -> Toxic:
        """See `LinkFault.toxic`."""
        return Bandwidth(rate_kbps=self.rate_kbps)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return super().draw(chance) | {"rate_kbps": chance.choice((1, 10, 100))}
