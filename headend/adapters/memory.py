"""In-memory stand-ins for store, link and clock, for simulations and tests without a disk or a network.

They pass the same contract suite as the real ones. The store is the real one on SQLite's own memory: a second
implementation of two hundred statements would only be a second set of mistakes.
"""

from collections import deque
from collections.abc import Callable, Sequence

from headend.adapters.sqlite import SqliteStore
from headend.adapters.translate import arrival, publications
from headend.service.traffic import Arrival, LinkChanged, Outgoing
from headend.wire.keys import KeyRing


def memory_store() -> SqliteStore:
    """A `Store` that lives as long as the object."""
    return SqliteStore(":memory:")


class ManualClock:
    """A `Clock` that stands still until it is moved; both times move together."""

    def __init__(self, now_s: int) -> None:
        self._start_s = now_s
        self._elapsed_s = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0
        self._elapsed_s += seconds

    def now_s(self) -> int:
        """See `Clock.now_s`."""
        return self._start_s + int(self._elapsed_s)

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return self._elapsed_s


class MemoryLink:
    """A `GatewayLink` whose wire is two functions: `deliver` puts a message in, `publish` gets what goes down.

    Messages pass as bytes through the real codec. What `settle` was not called for stays in `unsettled`.
    """

    def __init__(self, publish: Callable[[str, bytes], None], keys: KeyRing | None = None) -> None:
        self._publish = publish
        self._keys = keys
        self._inbox: deque[Arrival] = deque()
        self._tickets = 0
        self.unsettled: dict[int, tuple[str, bytes]] = {}

    def connect(self) -> None:
        """The link comes up."""
        self._inbox.append(Arrival(LinkChanged(True, "in memory")))

    def disconnect(self) -> None:
        """The link goes down."""
        self._inbox.append(Arrival(LinkChanged(False, "in memory")))

    def deliver(self, topic: str, payload: bytes) -> None:
        """A message of a gateway arrives."""
        self._tickets += 1
        self.unsettled[self._tickets] = (topic, payload)
        self._inbox.append(arrival(topic, payload, self._tickets))

    def receive(self, limit: int, timeout_s: float) -> list[Arrival]:
        """See `GatewayLink.receive`; never waits."""
        return [self._inbox.popleft() for _ in range(min(limit, len(self._inbox)))]

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """See `GatewayLink.settle`."""
        for item in arrivals:
            if isinstance(item.ticket, int):
                del self.unsettled[item.ticket]

    def send(self, outgoing: Sequence[Outgoing], now_s: int) -> None:
        """See `GatewayLink.send`."""
        for topic, payload in publications(outgoing, now_s, self._keys):
            self._publish(topic, payload)

    def close(self) -> None:
        """See `GatewayLink.close`."""
        self._inbox.clear()
