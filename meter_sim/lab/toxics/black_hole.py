"""Black hole: nothing passes in this direction, pings included, and the connection stays open."""

import random

from meter_sim.lab.toxics.toxic import Parcel, Passage, Toxic


class BlackHole(Toxic):
    """Swallows every packet of its direction. What was swallowed does not come back when the hole is gone."""

    swallows_all = True

    def pass_on(self, parcel: Parcel, now_s: float, chance: random.Random) -> list[Passage]:
        """Nothing."""
        return []
