"""A broker and the links to it on virtual time. Knows topics and clients, and nothing of what messages say.

Each client has a pipe up and a pipe down, on which toxics act as on those of the real proxy. What is under way
when a connection ends is lost with it; what the broker knows is lost when it dies. Times are seconds of the
simulation's monotonic clock.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from meter_sim.lab.plant import Link
from meter_sim.lab.toxics import AppliedToxic, Parcel, Pipe, fate_of
from meter_sim.lab.wire_log import WireLog

HOP_S: Final = 0.02
"""From a client to the broker or back, without toxics."""

KEEPALIVE_S: Final = 90.0
"""Without a sign of life of the other end, a connection is given up after so long."""

DIAL_AGAIN_S: Final = (2.0, 60.0)
"""A client that lost its connection dials again after a random time between these."""

LAST_WORDS: Final = -1
"""Instead of a connection: sent by a process that has died since, and with the kernel already."""

RETRY_S: Final = 300.0
"""And then once in so long, while nobody answers."""


@dataclass(slots=True)
class Client:
    """One client of the broker. `will`: what the broker publishes when its connection ends without a goodbye."""

    name: str
    link: Link
    up: Pipe
    down: Pipe
    will: Parcel | None = None
    connection: int = 0
    is_connected: bool = False
    wants: bool = True
    """Whether its process runs, and so dials."""
    dial_at_s: float | None = 0.0
    give_up_at_s: float | None = None


@dataclass(order=True, slots=True)
class _Flight:
    """A message on its way: to the broker (`up`) or from it."""

    due_s: float
    number: int
    client: Client = field(compare=False)
    connection: int = field(compare=False)
    up: bool = field(compare=False)
    parcel: Parcel = field(compare=False)


class Network:
    """All clients and the broker between them."""

    def __init__(
        self,
        now_s: Callable[[], float],
        virtual_s: Callable[[], int],
        log: WireLog,
        chance: Random,
        deliver: Callable[[Client, Parcel], None],
        changed: Callable[[Client, bool], None],
    ) -> None:
        """`deliver` gets what arrives at a client; `changed` is told when a client's connection comes or goes."""
        self._now_s = now_s
        self._virtual_s = virtual_s
        self._log = log
        self._chance = chance
        self._deliver = deliver
        self._changed = changed
        self._clients: dict[str, Client] = {}
        self._headend: Client | None = None
        self._flights: list[_Flight] = []
        self._numbers = 0
        self._toxics: dict[Link, dict[str, AppliedToxic]] = {link: {} for link in Link}
        self._retained: dict[str, Parcel] = {}
        self.broker_is_up = False
        self.broker_is_paused = False
        self._given_up: list[Client] = []
        self.queue_limit = 0
        """So many commands the broker keeps for a gateway that is not there; it forgets them when it dies."""
        self._queues: dict[str, deque[Parcel]] = {}
        self.messages = 0

    def add(self, name: str, link: Link, will: Parcel | None = None) -> Client:
        """A client; the one on the head-end's link gets what goes up."""
        client = Client(name, link, Pipe(name, "upstream"), Pipe(name, "downstream"), will)
        self._clients[name] = client
        if link is Link.HEADEND:
            self._headend = client
        return client

    # --- the broker ----------------------------------------------------------------------------------------

    def start_broker(self) -> None:
        """It comes up, and remembers nothing."""
        self.broker_is_up = True
        self._dial_soon(self._clients.values())

    def kill_broker(self) -> None:
        """It is gone, with all that it knew and all that was under way."""
        self.broker_is_up = False
        self._retained.clear()
        self._queues.clear()
        self._given_up.clear()
        for client in self._clients.values():
            self._lose(client, told_broker=True)
        self._flights.clear()

    def pause_broker(self) -> None:
        """It stands still: who hears nothing for too long gives its connection up."""
        self.broker_is_paused = True
        for client in self._clients.values():
            if client.is_connected:
                client.give_up_at_s = self._now_s() + KEEPALIVE_S

    def resume_broker(self) -> None:
        """It goes on, and notices who has gone meanwhile."""
        self.broker_is_paused = False
        for link in Link:
            self._refit(link)
        for client in self._given_up:
            self._publish_will(client)
        self._given_up.clear()

    # --- clients -------------------------------------------------------------------------------------------

    def attach(self, client: Client) -> None:
        """Its process starts and dials."""
        client.wants = True
        self._dial_soon([client])

    def detach(self, client: Client) -> None:
        """Its process dies: what it had sent still arrives; the broker notices by TCP, and publishes its will."""
        client.wants = False
        client.dial_at_s = None
        if client.is_connected:
            for flight in self._flights:
                if flight.client is client and flight.up and flight.connection == client.connection:
                    flight.connection = LAST_WORDS
            client.is_connected = False
            client.connection += 1
            client.give_up_at_s = None
            self._publish_will(client)

    def silence(self, client: Client) -> None:
        """Its machine lost its power: not even what it had sent arrives."""
        self._flights = [flight for flight in self._flights if flight.client is not client]
        heapq.heapify(self._flights)

    def drop(self, client: Client) -> None:
        """Its connection is cut; it dials again after a while."""
        if client.is_connected:
            self._lose(client)

    def add_toxic(self, link: Link, applied: AppliedToxic) -> None:
        """Put a behaviour on a link."""
        assert applied.name not in self._toxics[link], applied.name
        self._toxics[link][applied.name] = applied
        self._refit(link)

    def remove_toxic(self, link: Link, name: str) -> None:
        """Take it off."""
        del self._toxics[link][name]
        self._refit(link)

    def send(self, client: Client, topic: str, payload: bytes) -> None:
        """A client publishes."""
        if client.is_connected:
            self._carry(client, Parcel(topic, payload), up=True)

    def inject(self, topic: str, payload: bytes) -> None:
        """A stranger publishes, right at the broker."""
        if self.broker_is_up:
            self._route(Parcel(topic, payload))

    # --- time ----------------------------------------------------------------------------------------------

    def next_due_s(self) -> float | None:
        """When something happens by itself."""
        times = [self._flights[0].due_s] if self._flights and not self.broker_is_paused else []
        for client in self._clients.values():
            times += [at_s for at_s in (self._dial_due(client), client.give_up_at_s) if at_s is not None]
            if client.is_connected:
                times += [at_s for at_s in (client.up.cut_at_s, client.down.cut_at_s) if at_s is not None]
        return min(times, default=None)

    def step(self) -> None:
        """Let happen what is due: connections first, then messages in the order of their arrival."""
        now_s = self._now_s()
        for client in self._clients.values():
            if client.is_connected:
                cut_s = min(
                    at_s for at_s in (client.up.cut_at_s, client.down.cut_at_s, now_s + 1) if at_s is not None
                )
                if cut_s <= now_s or (client.give_up_at_s is not None and client.give_up_at_s <= now_s):
                    self._lose(client)
            due_s = self._dial_due(client)
            if due_s is not None and due_s <= now_s:
                self._dial(client)
        while self._flights and self._flights[0].due_s <= now_s and not self.broker_is_paused:
            flight = heapq.heappop(self._flights)
            if flight.connection != LAST_WORDS and (
                not flight.client.is_connected or flight.client.connection != flight.connection
            ):
                continue
            if flight.up:
                self._route(flight.parcel)
            else:
                self._deliver(flight.client, flight.parcel)

    def _dial_due(self, client: Client) -> float | None:
        return client.dial_at_s if self.broker_is_up and not self.broker_is_paused and client.wants else None

    def _dial_soon(self, clients: Iterable[Client]) -> None:
        for client in clients:
            if client.wants and not client.is_connected:
                client.dial_at_s = self._now_s() + self._chance.uniform(*DIAL_AGAIN_S)

    def _dial(self, client: Client) -> None:
        now_s = self._now_s()
        if client.up.swallows_all or client.down.swallows_all:
            client.dial_at_s = now_s + RETRY_S
            return
        client.dial_at_s = None
        client.is_connected = True
        client.connection += 1
        client.up.reconnect(now_s)
        client.down.reconnect(now_s)
        self._changed(client, True)
        for parcel in self._queues.pop(client.name, ()):
            self._carry(client, parcel, up=False)
        if client is self._headend:
            for parcel in list(self._retained.values()):
                self._carry(client, parcel, up=False)

    def _lose(self, client: Client, *, told_broker: bool = False) -> None:
        """A connection ends without a goodbye."""
        was_connected, client.is_connected = client.is_connected, False
        client.connection += 1
        client.give_up_at_s = None
        if client.wants:
            client.dial_at_s = self._now_s() + self._chance.uniform(*DIAL_AGAIN_S)
        if was_connected:
            self._changed(client, False)
            if told_broker:
                return
            if self.broker_is_paused:
                self._given_up.append(client)
            else:
                self._publish_will(client)

    def _publish_will(self, client: Client) -> None:
        if client.will is not None and self.broker_is_up:
            self._route(client.will)

    def _refit(self, link: Link) -> None:
        now_s, toxics = self._now_s(), list(self._toxics[link].values())
        for client in self._clients.values():
            if client.link is not link:
                continue
            swallowed = client.up.swallows_all or client.down.swallows_all
            client.up.refit(toxics, now_s)
            client.down.refit(toxics, now_s)
            swallows = client.up.swallows_all or client.down.swallows_all
            client.give_up_at_s = now_s + KEEPALIVE_S if swallows and client.is_connected else None
            if swallowed and not swallows:
                self._dial_soon([client])

    # --- messages ------------------------------------------------------------------------------------------

    def _route(self, parcel: Parcel) -> None:
        """What the broker does with a message."""
        if parcel.topic.endswith("/up/status"):
            self._retained[parcel.topic] = parcel
        _, _, region, gateway, direction, _ = parcel.topic.split("/")
        target = self._headend if direction == "up" else self._clients.get(f"{region}-{gateway}")
        if target is not None and target.is_connected:
            self._carry(target, parcel, up=False)
        elif target is not None and self.queue_limit and parcel.topic.endswith("/commands"):
            queue = self._queues.setdefault(target.name, deque())
            if len(queue) < self.queue_limit:
                queue.append(parcel)

    def _carry(self, client: Client, parcel: Parcel, *, up: bool) -> None:
        now_s, pipe = self._now_s(), client.up if up else client.down
        passages = pipe.pass_on(parcel, now_s)
        direction = "up" if up else "down"
        fate = fate_of(parcel, passages)
        self._log.add(self._virtual_s(), client.link, client.name, direction, parcel.topic, parcel.payload, fate)
        for passage in passages:
            self.messages += 1
            self._numbers += 1
            due_s = now_s + HOP_S + passage.delay_s
            flight = _Flight(due_s, self._numbers, client, client.connection, up, passage.parcel)
            heapq.heappush(self._flights, flight)
