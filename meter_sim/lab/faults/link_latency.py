"""Messages arrive late."""

from random import Random
from typing import Any, Literal

from pydantic import Field

from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.toxics import Toxic
from meter_sim.lab.toxics.latency import Latency


class LinkLatency(LinkFault):
    """Each message takes `latency_ms` longer, give or take `jitter_ms`; order is kept."""

    fault: Literal["link-latency"] = "link-latency"
    latency_ms: int = Field(default=200, ge=0, le=600_000, description="So much later.")
    jitter_ms: int = Field(default=0, ge=0, le=600_000, description="Give or take so much, by chance.")

    def toxic(self) -> Toxic:
        """See `LinkFault.toxic`."""
        return Latency(latency_ms=self.latency_ms, jitter_ms=self.jitter_ms)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return super().draw(chance) | {
            "latency_ms": chance.choice((10, 500, 60_000)),
            "jitter_ms": chance.choice((0, 500, 60_000)),
        }
