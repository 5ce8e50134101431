"""Many gateway sessions on one selector: paho-mqtt driven by hand, no threads. Knows topics, not contents.

Every attempt to connect gets a paho client of its own, thrown away when the link is lost. So nothing of an
older connection, no queued message and no acknowledgement, can reach a newer one: what has to survive is in
the log. A link counts as up when the broker has confirmed the subscription: a receipt must not come before.

Dialling is paced (`connect_rate`) and retried with jittered exponential backoff, wall time. TCP connects
block inside paho, at most CONNECT_TIMEOUT_S; after one that ran into that no link is dialled for a while.
"""

import random
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from headend.wire.codec import encode
from headend.wire.messages import Status
from headend.wire.topics import Address, Channel
from meter_sim.traffic import Connected, Dialled, Disconnected, Incoming, LinkEvent, Message, Out

CONNECT_TIMEOUT_S: Final = 2.0
HANDSHAKE_TIMEOUT_S: Final = 10.0
"""From TCP connect to the confirmed subscription."""

FIRST_BACKOFF_S: Final = 0.25
MOST_BACKOFF_S: Final = 5.0
MAX_DIALS_PER_POLL: Final = 64
DIAL_BURST_S: Final = 0.1
"""A loop that came late may make up for this much of the pace at once."""

MAX_IN_FLIGHT: Final = 64
MAX_QUEUED: Final = 256
"""Messages that paho holds for one link; beyond that they are dropped here and sent again by the session."""

CARE_S: Final = 1.0
"""How often keepalive and handshake times are looked at."""

_READ: Final = selectors.EVENT_READ
_READ_WRITE: Final = selectors.EVENT_READ | selectors.EVENT_WRITE


@dataclass(slots=True)
class _Line:
    """One gateway's link. `client` is None while it waits to be dialled."""

    index: int
    address: Address
    client: paho.Client | None = None
    is_up: bool = False
    failures: int = 0
    give_up_s: float = 0.0


class FleetLink:
    """The links of all gateways of a process to one broker. Use `poll` and `send` in turn, in one thread."""

    def __init__(
        self,
        host: str,
        port: int,
        addresses: Sequence[Address],
        connect_rate: float = 200.0,
        most_backoff_s: float = MOST_BACKOFF_S,
        keepalive_s: int = 60,
        seed: int = 1,
    ) -> None:
        self.up = 0
        self.was_up = False
        """Whether any link ever came up."""
        self.dropped = 0
        """Messages not handed to the broker because the link was down or paho's queue was full."""
        self.last_error = ""
        self.where = f"{host}:{port}"
        self._host, self._port, self._keepalive_s = host, port, keepalive_s
        self._pace_s = 1.0 / connect_rate
        self._most_backoff_s = most_backoff_s
        self._random = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._events: list[Incoming] = []
        self._lines = [_Line(index, address) for index, address in enumerate(addresses)]
        self._dial_at = [(0.0, line.index) for line in self._lines]
        self._next_dial_s = 0.0
        self._care_at_s = 0.0
        self._closing = False

    def poll(self, timeout_s: float) -> list[Incoming]:
        """Carry what can be carried, waiting at most `timeout_s` for something to happen; what happened."""
        self._dial_due()
        if self._events:
            timeout_s = 0.0
        wait_s = max(0.0, min(timeout_s, CARE_S, self._until_dial_s()))
        for key, mask in self._selector.select(wait_s):
            client: paho.Client = key.data
            if mask & selectors.EVENT_READ:
                client.loop_read()
            if mask & selectors.EVENT_WRITE and client.socket() is not None:
                client.loop_write()
        now_s = time.monotonic()
        if now_s >= self._care_at_s:
            self._care_at_s = now_s + CARE_S
            self._care(now_s)
        events, self._events = self._events, []
        return events

    def send(self, outs: Sequence[Out]) -> None:
        """Hand messages to the links. What a link cannot take is dropped and counted; sessions send again."""
        for index, message in outs:
            line = self._lines[index]
            if line.client is None or not line.is_up:
                self.dropped += 1
                continue
            info = line.client.publish(message.topic, message.payload, message.qos, message.retain)
            self.dropped += info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self, timeout_s: float = 2.0) -> None:
        """Disconnect every link politely, within a bounded time, and let go of everything."""
        self._closing = True
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s and any(self._is_sending(line) for line in self._lines):
            self.poll(0.05)
        for line in self._lines:
            if line.client is not None:
                line.client.disconnect()
        while time.monotonic() < end_s and any(line.client is not None for line in self._lines):
            self.poll(0.05)
        for line in self._lines:
            if line.client is not None:
                self._lose(line, line.client, "")
        self._selector.close()

    # --- dialling ------------------------------------------------------------------------------------------

    def _until_dial_s(self) -> float:
        if self._closing or not self._dial_at:
            return CARE_S
        return max(self._dial_at[0][0], self._next_dial_s) - time.monotonic()

    def _dial_due(self) -> None:
        for _ in range(MAX_DIALS_PER_POLL):
            now_s = time.monotonic()
            if self._closing or not self._dial_at or max(self._dial_at[0][0], self._next_dial_s) > now_s:
                return
            _, index = heappop(self._dial_at)
            self._next_dial_s = max(self._next_dial_s, now_s - DIAL_BURST_S) + self._pace_s
            self._dial(self._lines[index])

    def _dial(self, line: _Line) -> None:
        client = line.client = self._new_client(line)
        line.give_up_s = time.monotonic() + HANDSHAKE_TIMEOUT_S
        self._tell(line, Dialled())
        try:
            # Not connect(): that would make a paho client dial twice.
            client.connect_async(self._host, self._port, self._keepalive_s)
            code = client.reconnect()
        except OSError as error:
            if isinstance(error, TimeoutError):
                self._next_dial_s = time.monotonic() + self._most_backoff_s
            self._lose(line, client, str(error))
            return
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lose(line, client, paho.error_string(code))

    def _new_client(self, line: _Line) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{line.address.region}-{line.address.gateway}",
            clean_session=True,
            userdata=line,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(MAX_IN_FLIGHT)
        client.max_queued_messages_set(MAX_QUEUED)
        offline = encode(Status(online=False))
        client.will_set(line.address.topic(Channel.STATUS), offline, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_wrote
        return client

    def _lose(self, line: _Line, client: paho.Client, why: str) -> None:
        """A link is gone: forget its client, and dial again after a while."""
        if line.client is not client:
            return
        line.client = None
        self._discard(client)
        if line.is_up:
            self.up -= 1
            line.is_up = False
        self.last_error = why or self.last_error
        self._tell(line, Disconnected())
        most_s = min(self._most_backoff_s, FIRST_BACKOFF_S * 2**line.failures)
        line.failures = min(line.failures + 1, 16)
        heappush(self._dial_at, (time.monotonic() + most_s * self._random.uniform(0.5, 1.0), line.index))

    def _discard(self, client: paho.Client) -> None:
        # paho closes a socket only when the other end answers or goes away; a mute broker does neither.
        client.on_socket_close = client.on_socket_register_write = client.on_socket_unregister_write = None
        sock: Any = client.socket()
        if sock is not None:
            self._selector.unregister(sock)
            sock.close()

    def _care(self, now_s: float) -> None:
        for line in self._lines:
            client = line.client
            if client is None:
                continue
            client.loop_misc()
            if line.client is client and not line.is_up and now_s > line.give_up_s:
                self._lose(line, client, "the broker did not finish the handshake")

    def _tell(self, line: _Line, event: LinkEvent) -> None:
        self._events.append((line.index, event))

    @staticmethod
    def _is_sending(line: _Line) -> bool:
        return line.client is not None and line.client.want_write()

    # --- paho's callbacks; userdata is the line -------------------------------------------------------------

    def _on_connect(
        self, client: paho.Client, line: _Line, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self.last_error = f"the broker refuses the connection: {reason}"
        else:
            client.subscribe(line.address.down_filter(), qos=1)

    def _on_subscribe(
        self, client: paho.Client, line: _Line, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if line.client is not client or line.is_up:
            return
        if any(reason.is_failure for reason in reasons):
            self.last_error = f"the broker refuses the subscription of {line.address.gateway}"
            client.disconnect()
            return
        line.is_up = self.was_up = True
        line.failures = 0
        self.up += 1
        self._tell(line, Connected())

    def _on_message(self, client: paho.Client, line: _Line, message: paho.MQTTMessage) -> None:
        if line.client is client:
            self._tell(line, Message(message.topic, bytes(message.payload)))

    def _on_disconnect(
        self, client: paho.Client, line: _Line, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._lose(line, client, "" if not reason.is_failure else str(reason))

    def _on_socket_open(self, client: paho.Client, _line: _Line, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, _READ, client)

    def _on_socket_close(self, _client: paho.Client, _line: _Line, sock: Any) -> None:
        self._selector.unregister(sock)

    def _on_want_write(self, client: paho.Client, _line: _Line, sock: Any) -> None:
        self._selector.modify(sock, _READ_WRITE, client)

    def _on_wrote(self, client: paho.Client, _line: _Line, sock: Any) -> None:
        self._selector.modify(sock, _READ, client)
