"""The gateway link over MQTT 3.1.1 with paho.

paho's thread ends at a bounded queue; everything else runs in the caller's thread. A message is acknowledged
(PUBACK) only by `settle`, after the commit. The session is clean: what the broker remembers is never needed.
Down messages go at QoS 0, because receipts and commands are repeated by our own rules and a copy that paho or the
broker resends late would help nobody.
"""

import logging
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from headend.adapters.translate import arrival, publications
from headend.service.traffic import Arrival, LinkChanged, Outgoing
from headend.wire.topics import up_filter

log = logging.getLogger(__name__)

QUEUE_LIMIT: Final = 2_000
"""Most received messages that wait for a step (128 MiB at the largest payload). Then paho's thread waits, the
socket fills, and the broker holds back: the backpressure of the whole way up."""

KEEPALIVE_S: Final = 30
RECONNECT_DELAYS_S: Final = (1, 5)


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

    def __init__(self, broker: Broker, regions: Sequence[str], client_id: str) -> None:
        """Start connecting, and go on trying for ever. No regions: all of them."""
        self._broker = broker
        self._filters = [(up_filter(region), 1) for region in regions or ["+"]]
        self._inbox: queue.Queue[Arrival] = queue.Queue(QUEUE_LIMIT)
        self._connection = 0
        self._complained = False
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(*RECONNECT_DELAYS_S)
        self._client.connect_async(broker.host, broker.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    # in paho's thread ---------------------------------------------------------------------------------------

    def _on_connect(
        self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("broker %s refuses us: %s", self._broker, reason)
            return
        self._connection += 1
        self._complained = False
        client.subscribe(self._filters)
        log.info("connected to broker %s", self._broker)
        self._inbox.put(Arrival(LinkChanged(True, f"connected to {self._broker}")))

    def _on_connect_fail(self, _: Client, __: Any) -> None:
        if not self._complained:
            self._complained = True
            log.warning("broker %s cannot be reached; trying again until it can", self._broker)

    def _on_disconnect(
        self, _: Client, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Properties | None
    ) -> None:
        log.warning("lost broker %s: %s; trying again until it is back", self._broker, reason)
        self._inbox.put(Arrival(LinkChanged(False, f"{self._broker}: {reason}")))

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        # Decoded later, in the caller's thread: here only what must not wait.
        ticket = _Ticket(self._connection, message.mid) if message.qos else None
        self._inbox.put(Arrival(_RAW, ticket, message.topic, bytes(message.payload)))

    # in the caller's thread ---------------------------------------------------------------------------------

    def receive(self, limit: int, timeout_s: float) -> list[Arrival]:
        """See `GatewayLink.receive`."""
        arrivals: list[Arrival] = []
        try:
            item = self._inbox.get(timeout_s > 0, timeout_s or None)
            while True:
                arrivals.append(item if item.message is not _RAW else _decoded(item))
                if len(arrivals) == limit:
                    break
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        return arrivals

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """See `GatewayLink.settle`."""
        for item in arrivals:
            ticket = item.ticket
            if isinstance(ticket, _Ticket) and ticket.connection == self._connection:
                self._client.ack(ticket.mid, 1)

    def send(self, outgoing: Sequence[Outgoing], now_s: int) -> None:
        """See `GatewayLink.send`."""
        if not self._client.is_connected():
            return
        for topic, payload in publications(outgoing, now_s):
            self._client.publish(topic, payload, qos=0)

    def close(self) -> None:
        """See `GatewayLink.close`."""
        self._client.disconnect()
        # paho's thread may wait for room in the inbox.
        while self._client._thread is not None and self._client._thread.is_alive():
            self.receive(QUEUE_LIMIT, 0.05)
        self._client.loop_stop()


_RAW: Final = LinkChanged(False, "not decoded yet")


def _decoded(item: Arrival) -> Arrival:
    return arrival(item.topic, item.payload, item.ticket)
