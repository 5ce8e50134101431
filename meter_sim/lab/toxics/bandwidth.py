"""Bandwidth: a line that carries so many bytes a second, one packet after the other."""

import random

from pydantic import Field

from meter_sim.lab.toxics.toxic import Parcel, Passage, Phase, Toxic, ToxicStream

BYTES_PER_KB = 1_000


class Bandwidth(Toxic):
    """A packet takes its size / `rate_kbps` (kilobytes a second) and waits until those before it are through."""

    phase = Phase.LINE

    rate_kbps: float = Field(gt=0, le=1_000_000)

    def transmission_s(self, parcel: Parcel) -> float:
        """How long the line is busy with one parcel."""
        return (len(parcel.topic) + len(parcel.payload)) / (self.rate_kbps * BYTES_PER_KB)

    def pass_on(self, parcel: Parcel, now_s: float, chance: random.Random) -> list[Passage]:
        """Later by the parcel's own time on an idle line; the wait behind others is the stream's."""
        return [Passage(self.transmission_s(parcel), parcel)]

    def stream(self, chance: random.Random) -> ToxicStream:
        """A line with a queue before it."""
        return _Line(self, chance)


class _Line(ToxicStream):
    """Remembers when the line is free again."""

    def __init__(self, toxic: Bandwidth, chance: random.Random) -> None:
        super().__init__(toxic, chance)
        self._bandwidth = toxic
        self._free_at_s = 0.0

    def pass_on(self, parcel: Parcel, now_s: float) -> list[Passage]:
        self._free_at_s = max(self._free_at_s, now_s) + self._bandwidth.transmission_s(parcel)
        return [Passage(self._free_at_s - now_s, parcel)]

    def reconnect(self) -> None:
        self._free_at_s = 0.0
