"""Reorder: a message is held back, so that later ones overtake it."""

import random

from pydantic import Field

from meter_sim.lab.toxics.toxic import MAX_DELAY_MS, Parcel, Passage, Phase, Probability, Toxic


class Reorder(Toxic):
    """With `probability` a message is held back for up to `delay_ms`; the others pass at once."""

    phase = Phase.HOLD
    acts_on_messages_only = True

    probability: Probability
    delay_ms: float = Field(gt=0, le=MAX_DELAY_MS)

    def pass_on(self, parcel: Parcel, now_s: float, chance: random.Random) -> list[Passage]:
        """The parcel, now or held back."""
        if chance.random() >= self.probability:
            return [Passage(0.0, parcel)]
        return [Passage(chance.uniform(0, self.delay_ms) / 1_000, parcel, is_held=True)]
