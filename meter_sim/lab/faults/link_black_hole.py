"""Nothing arrives, and nobody is told: the connection stays."""

from typing import Literal

from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.toxics import Toxic
from meter_sim.lab.toxics.black_hole import BlackHole


class LinkBlackHole(LinkFault):
    """One direction, or both, swallows everything."""

    fault: Literal["link-black-hole"] = "link-black-hole"

    def toxic(self) -> Toxic:
        """See `LinkFault.toxic`."""
        return BlackHole()
