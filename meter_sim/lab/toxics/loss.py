"""Loss: a message does not arrive, and nobody is told."""

import random

from meter_sim.lab.toxics.toxic import Parcel, Passage, Probability, Toxic


class Loss(Toxic):
    """Each message is lost with `probability`."""

    acts_on_messages_only = True

    probability: Probability

    def pass_on(self, parcel: Parcel, now_s: float, chance: random.Random) -> list[Passage]:
        """Nothing, or the parcel."""
        return [] if chance.random() < self.probability else [Passage(0.0, parcel)]
