"""A toxic in force on a link: on which direction, on which clients, with which seed. Pure."""

import hashlib
import random
from dataclasses import dataclass
from typing import Literal, get_args

from meter_sim.lab.toxics.toxic import Toxic

Stream = Literal["upstream", "downstream"]
"""Upstream: from the client to the broker. Downstream: from the broker to the client."""

STREAMS: tuple[Stream, ...] = get_args(Stream)
_SHARES = 2**64


@dataclass(frozen=True, slots=True)
class AppliedToxic:
    """A toxic with its name and its reach.

    `toxicity` is the share of the client ids that it affects. Which ones follows from the seed and the id alone:
    not from who connects first, and a client that comes back is treated as before. Toxics of the same seed
    affect the same clients, a larger share all those of a smaller one. `gateways`, if given, are the only
    client ids that it can affect.
    """

    name: str
    toxic: Toxic
    stream: Stream
    toxicity: float = 1.0
    gateways: frozenset[str] | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        assert self.stream in STREAMS, self.stream
        assert 0 <= self.toxicity <= 1, self.toxicity

    def affects(self, client: str) -> bool:
        """Whether this client's connections feel it."""
        if self.gateways is not None and client not in self.gateways:
            return False
        digest = hashlib.sha256(f"{self.seed} {client}".encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8]) < self.toxicity * _SHARES

    def chance(self, client: str) -> random.Random:
        """The randomness of this toxic on one client's connections: independent of all other clients."""
        return random.Random(f"{self.seed} {self.name} {client} {self.stream}")
