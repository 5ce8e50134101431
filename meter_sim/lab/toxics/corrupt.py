"""Corrupt: bytes of a payload arrive as other bytes. The topic and the frame around them stay whole."""

import random

from pydantic import Field

from meter_sim.lab.toxics.toxic import Parcel, Passage, Probability, Toxic


class Corrupt(Toxic):
    """With `probability` up to `flipped_bytes` bytes of a payload are changed, at places drawn by chance."""

    acts_on_messages_only = True

    probability: Probability
    flipped_bytes: int = Field(default=1, ge=1, le=1_024)

    def pass_on(self, parcel: Parcel, now_s: float, chance: random.Random) -> list[Passage]:
        """The parcel, whole or damaged. An empty payload has nothing to damage."""
        if chance.random() >= self.probability:
            return [Passage(0.0, parcel)]
        payload = bytearray(parcel.payload)
        for place in chance.sample(range(len(payload)), min(self.flipped_bytes, len(payload))):
            payload[place] ^= chance.randint(1, 255)
        return [Passage(0.0, Parcel(parcel.topic, bytes(payload)))]
