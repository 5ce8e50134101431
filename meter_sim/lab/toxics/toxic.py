"""What a toxic is: a behaviour of a link, as a pure rule on one message. Knows no socket, no clock, no MQTT.

A proxy calls it on a real connection, a simulator on a simulated one, with the same seed and the same result.
Time and chance are passed in. What a toxic has to remember from message to message, such as when a slow line
is free again, is in the small object that `Toxic.stream` makes for one direction of one client's connection.

All delays are seconds of the caller's clock: wall time in the proxy, virtual time in a simulator.
"""

import random
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

MAX_DELAY_MS = 3_600_000
"""An hour. What should last longer than this is a black hole that somebody takes away again."""

Probability = Annotated[float, Field(ge=0, le=1)]
"""Of each message, on its own."""


class Phase(IntEnum):
    """What a message meets first, whatever was added first."""

    CONTENT = 0
    """Whether and how it is sent."""

    LINE = 1
    """How long it takes, in order."""

    HOLD = 2
    """Out of order: last, because a parcel held back must not occupy a slow line."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message on its way."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Passage:
    """A parcel that comes out of a toxic, and how much later than it went in."""

    delay_s: float
    parcel: Parcel
    is_held: bool = False
    """Later messages may overtake this one; all others keep their order."""


class Toxic(BaseModel):
    """One behaviour and its attributes. A subclass is one file, named after what it does to a link."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    phase: ClassVar[Phase] = Phase.CONTENT

    acts_on_messages_only: ClassVar[bool] = False
    """True: what keeps a connection alive (acknowledgements, pings) passes untouched."""

    swallows_all: ClassVar[bool] = False
    """True: nothing passes at all, nor does the end of the connection."""

    def pass_on(self, parcel: Parcel, now_s: float, chance: random.Random) -> list[Passage]:
        """What becomes of one parcel: nothing (it is lost), one passage, or several. Pure but for `chance`."""
        return [Passage(0.0, parcel)]

    def cut_after_s(self) -> float | None:
        """How long after it takes hold of a connection it cuts it; None: it does not."""
        return None

    def stream(self, chance: random.Random) -> "ToxicStream":
        """This toxic at work on one direction of one client's connection."""
        return ToxicStream(self, chance)


class ToxicStream:
    """A toxic with the chance, and the memory if any, of one direction of one client's connection."""

    def __init__(self, toxic: Toxic, chance: random.Random) -> None:
        self._toxic = toxic
        self._chance = chance

    def pass_on(self, parcel: Parcel, now_s: float) -> list[Passage]:
        """What becomes of the next parcel."""
        return self._toxic.pass_on(parcel, now_s, self._chance)

    def reconnect(self) -> None:
        """A new connection begins: nothing of the old one is under way. The chance goes on."""
