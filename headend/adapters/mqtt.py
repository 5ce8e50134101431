"""The gateway link over MQTT 3.1.1 with paho.

paho is driven by hand in the caller's thread, without one of its own: reading stops while a step works, so that
TCP is the bounded queue and the broker feels the backpressure (why: docs/decisions.md). A message is acknowledged
(PUBACK) only by `settle`, after the commit. The session is clean: what the broker remembers is never needed.
Down messages go at QoS 0, because receipts and commands are repeated by our own rules and a copy that paho or the
broker resends late would help nobody.
"""

import logging
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from headend.adapters.key_ring import KeyRingFile
from headend.adapters.translate import arrival, publications
from headend.service.traffic import Arrival, LinkChanged, Outgoing
from headend.wire.topics import up_filter

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 30
RECONNECT_DELAY_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Broker":
        """Read `mqtt://HOST:PORT`.

        Raises:
            ValueError: with a message for a person.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or 1883
        except ValueError:
            port = 0
        if parts.username or parts.password:
            raise ValueError("a broker's address cannot carry a user or password yet")
        if parts.scheme != "mqtt" or not parts.hostname or not port or parts.path.strip("/"):
            raise ValueError(f"{url!r} is not a broker such as mqtt://127.0.0.1:1883")
        return cls(parts.hostname, port)

    def __str__(self) -> str:
        return f"mqtt://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Ticket:
    """What acknowledging needs. Packet ids are of one connection; those of an older one must not be used."""

    connection: int
    mid: int


class MqttLink:
    """`GatewayLink` on one broker."""

    def __init__(
        self, broker: Broker, regions: Sequence[str], client_id: str, keys: KeyRingFile | None = None
    ) -> None:
        """Nothing is connected yet: `receive` does, and goes on trying for ever. No regions: all of them.

        `keys` sign the commands; None: they go unsigned.
        """
        self._keys = keys
        self._broker = broker
        self._filters = [(up_filter(region), 1) for region in regions or ["+"]]
        self._arrived: list[Arrival] = []
        self._connection = 0
        self._complained = False
        self._closing = False
        self._next_attempt_s = 0.0
        self._next_misc_s = 0.0
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        # With it set, paho collects what is to be written until `_flush`, instead of one system call a packet.
        self._client.on_socket_register_write = lambda *_: None

    # paho's callbacks, called from within `receive` and `_flush` ---------------------------------------------

    def _on_connect(
        self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self._complain(f"broker {self._broker} refuses us: {reason}")
            return
        self._connection += 1
        self._complained = False
        client.subscribe(self._filters)
        log.info("connected to broker %s", self._broker)
        self._arrived.append(Arrival(LinkChanged(True, f"connected to {self._broker}")))

    def _on_disconnect(
        self, _: Client, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        # paho says "Unspecified error" when the connection just ended.
        why = "connection lost" if reason == "Unspecified error" else str(reason)
        if not self._closing:
            log.warning("broker %s: %s; trying again until it is back", self._broker, why)
        self._arrived.append(Arrival(LinkChanged(False, f"{self._broker}: {why}")))

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        ticket = _Ticket(self._connection, message.mid) if message.qos else None
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._arrived.append(arrival(topic, bytes(message.payload), ticket))

    # the port ------------------------------------------------------------------------------------------------

    def receive(self, limit: int, timeout_s: float) -> list[Arrival]:
        """See `GatewayLink.receive`."""
        self._read(limit)
        if not self._arrived and timeout_s > 0:
            self._wait(timeout_s)
            self._read(limit)
        arrivals, self._arrived = self._arrived[:limit], self._arrived[limit:]
        return arrivals

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """See `GatewayLink.settle`."""
        for item in arrivals:
            ticket = item.ticket
            if isinstance(ticket, _Ticket) and ticket.connection == self._connection:
                self._client.ack(ticket.mid, 1)
        self._flush()

    def send(self, outgoing: Sequence[Outgoing], now_s: int) -> None:
        """See `GatewayLink.send`."""
        if not outgoing or not self._client.is_connected():
            return
        ring = None if self._keys is None else self._keys.ring(now_s)
        for topic, payload in publications(outgoing, now_s, ring):
            self._client.publish(topic, payload, qos=0)
        self._flush()

    def close(self) -> None:
        """See `GatewayLink.close`."""
        self._closing = True
        self._client.disconnect()
        deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        while self._client.socket() is not None and time.monotonic() < deadline_s:
            self._flush()
            self._wait(0.1)
            self._read(1)

    def _read(self, limit: int) -> None:
        """Take packets from the socket until it has no more, or there are enough messages."""
        self._keep_connected()
        # Not while we cannot get rid of what we have to say: then the broker has to wait for us.
        while len(self._arrived) < limit and not self._client.want_write():
            before = len(self._arrived)
            self._client.loop_read()
            if len(self._arrived) == before:
                break
        self._flush()

    def _flush(self) -> None:
        """Write what is to be written, as far as the socket takes it."""
        if self._client.want_write() and self._client.socket() is not None:
            self._client.loop_write()

    def _wait(self, timeout_s: float) -> None:
        """Wait until the socket can be read (or written, where something waits for that)."""
        socket = self._client.socket()
        if socket is None:
            time.sleep(min(timeout_s, max(0.0, self._next_attempt_s - time.monotonic())))
            return
        poller = select.poll()
        # Just as `_read`: nothing is read while something waits to be written.
        poller.register(socket, select.POLLOUT if self._client.want_write() else select.POLLIN)
        poller.poll(timeout_s * 1_000)

    def _keep_connected(self) -> None:
        now_s = time.monotonic()
        if self._client.socket() is not None:
            if now_s >= self._next_misc_s:
                self._next_misc_s = now_s + 1.0
                self._client.loop_misc()
        elif now_s >= self._next_attempt_s and not self._closing:
            self._next_attempt_s = now_s + RECONNECT_DELAY_S
            try:
                self._client.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
            except OSError as error:
                self._complain(f"broker {self._broker} cannot be reached ({error}); trying again until it can")

    def _complain(self, complaint: str) -> None:
        """Say it once, not at every attempt."""
        if not self._complained:
            self._complained = True
            log.warning("%s", complaint)
