"""Connections are cut, and cut again."""

from random import Random
from typing import Any, ClassVar, Literal

from pydantic import Field

from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.toxics import Toxic
from meter_sim.lab.toxics.reset import Reset


class LinkReset(LinkFault):
    """A connection is reset `timeout_ms` after it was made; what was on its way is lost."""

    fault: Literal["link-reset"] = "link-reset"
    timeout_ms: int = Field(
        default=0, ge=0, le=600_000, description="After so long; 0: none comes up while this lasts."
    )

    longest_s: ClassVar[int] = 4 * 3_600

    def toxic(self) -> Toxic:
        """See `LinkFault.toxic`."""
        return Reset(timeout_ms=self.timeout_ms)

    @classmethod
    def draw(cls, chance: Random) -> dict[str, Any]:
        """See `Fault.draw`."""
        return super().draw(chance) | {"timeout_ms": chance.choice((300_000, 600_000))}
