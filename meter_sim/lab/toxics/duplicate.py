"""Duplicate: a message arrives more than once, at once or a while later (a replay)."""

import random

from pydantic import Field

from meter_sim.lab.toxics.toxic import MAX_DELAY_MS, Parcel, Passage, Phase, Probability, Toxic


class Duplicate(Toxic):
    """With `probability` a message is followed by `copies` of it, each up to `delay_ms` later."""

    phase = Phase.HOLD
    acts_on_messages_only = True

    probability: Probability
    copies: int = Field(default=1, ge=1, le=10)
    delay_ms: float = Field(default=0, ge=0, le=MAX_DELAY_MS)

    def pass_on(self, parcel: Parcel, now_s: float, chance: random.Random) -> list[Passage]:
        """The parcel, and its copies if there are any."""
        passages = [Passage(0.0, parcel)]
        if chance.random() < self.probability:
            delays_s = [chance.uniform(0, self.delay_ms) / 1_000 for _ in range(self.copies)]
            passages += [Passage(delay_s, parcel, is_held=delay_s > 0) for delay_s in delays_s]
        return passages
