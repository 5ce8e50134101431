"""What passes between the core of a fleet and the link that carries it: events up, messages out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialled:
    """The link to the broker is being made."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The link is up, and the broker has confirmed the subscription."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The link is gone, or could not be made."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something came down."""

    topic: str
    payload: bytes


LinkEvent = Dialled | Connected | Disconnected | Message
Incoming = tuple[int, LinkEvent]
"""(gateway index, what happened on its link)."""


@dataclass(frozen=True, slots=True)
class Publish:
    """A message that goes up."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


Out = tuple[int, Publish]
"""(gateway index, what goes out on its link)."""
