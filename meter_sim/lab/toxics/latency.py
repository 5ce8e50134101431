"""Latency: everything comes later, by a fixed time and a random one. Order is kept, as TCP keeps it."""

import random

from pydantic import Field

from meter_sim.lab.toxics.toxic import MAX_DELAY_MS, Parcel, Passage, Phase, Toxic


class Latency(Toxic):
    """Each packet is delayed by `latency_ms`, give or take up to `jitter_ms`, never below zero."""

    phase = Phase.LINE

    latency_ms: float = Field(ge=0, le=MAX_DELAY_MS)
    jitter_ms: float = Field(default=0, ge=0, le=MAX_DELAY_MS)

    def pass_on(self, parcel: Parcel, now_s: float, chance: random.Random) -> list[Passage]:
        """Later, by this toxic's delay."""
        delay_ms = self.latency_ms + chance.uniform(-self.jitter_ms, self.jitter_ms)
        return [Passage(max(0.0, delay_ms / 1_000), parcel)]
