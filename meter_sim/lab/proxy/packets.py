"""Where MQTT 3.1.1 packets begin and end in a stream of bytes, and the few that a proxy has to understand.

It knows CONNECT (for the client id), PUBLISH (topic and payload) and PUBACK; every other packet is bytes with a
kind. It checks no more than it needs: what is wrong beyond that is the broker's or the client's to refuse.
"""

from dataclasses import dataclass
from typing import Final

MAX_PACKET_BYTES: Final = 1024 * 1024
"""MQTT allows 256 MiB; the contract's payloads are 64 KiB at most. A longer packet ends its connection."""

CONNECT: Final = 1
PUBLISH: Final = 3
PUBACK: Final = 4
DISCONNECT: Final = 14

KNOWN_LEVELS: Final = (3, 4)
"""Protocol levels of MQTT 3.1 and 3.1.1, whose packets are alike in all that matters here."""

LEVEL_REFUSED: Final = bytes((0x20, 2, 0, 1))
"""CONNACK: unacceptable protocol version."""

_MAX_LENGTH_BYTES: Final = 4


class PacketError(Exception):
    """These bytes are no MQTT 3.1.1, or a packet beyond a limit; the connection cannot go on."""


class LevelError(PacketError):
    """A version of MQTT that this proxy does not read."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One whole control packet: its kind, and its bytes with the fixed header."""

    kind: int
    data: bytes
    body_at: int
    """Where the fixed header ends."""


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH taken apart. `head` is the bytes of the topic with its length."""

    flags: int
    head: bytes
    packet_id: bytes
    """Two bytes; empty with QoS 0."""

    payload: bytes

    @property
    def qos(self) -> int:
        """0, 1 or 2."""
        return self.flags >> 1 & 3

    @property
    def topic(self) -> str:
        """The topic as text."""
        return self.head[2:].decode("utf-8", "replace")


class PacketBuffer:
    """Cuts a stream of bytes into packets. Holds at most one unfinished packet, within MAX_PACKET_BYTES."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that these bytes complete.

        Raises:
            PacketError: the stream cannot be cut any further.
        """
        self._bytes += data
        packets = []
        at = 0
        while True:
            header = _fixed_header(self._bytes, at)
            if header is None or len(self._bytes) < at + sum(header):
                break
            end = at + sum(header)
            packets.append(Packet(self._bytes[at] >> 4, bytes(self._bytes[at:end]), header[0]))
            at = end
        del self._bytes[:at]
        return packets


def _fixed_header(data: bytearray, at: int) -> tuple[int, int] | None:
    """Length of the fixed header and of what follows it; None: more bytes are needed."""
    length = 0
    for place in range(_MAX_LENGTH_BYTES):
        if at + 1 + place >= len(data):
            return None
        byte = data[at + 1 + place]
        length |= (byte & 127) << 7 * place
        if byte < 128:
            if length > MAX_PACKET_BYTES:
                raise PacketError(f"a packet of {length:,} bytes; at most {MAX_PACKET_BYTES:,} are carried")
            return 2 + place, length
    raise PacketError("a packet length of more than four bytes: this is no MQTT")


def check_first(data: bytes) -> None:
    """Look at the first byte of a connection, so that a stranger does not wait for a packet to become whole.

    Raises:
        PacketError: no CONNECT begins so.
    """
    if data[0] != CONNECT << 4:
        raise PacketError("the first packet is no CONNECT: this is no MQTT client")


def client_id(packet: Packet) -> str:
    """The client id in a CONNECT.

    Raises:
        LevelError: another version of MQTT.
        PacketError: it is no CONNECT, or a broken one.
    """
    check_first(packet.data)
    body = packet.data[packet.body_at :]
    name, rest = _string(body)
    if name not in (b"MQTT", b"MQIsdp") or len(rest) < 4:
        raise PacketError("a broken CONNECT")
    if rest[0] & 0x7F not in KNOWN_LEVELS:  # the top bit marks a bridge between brokers
        raise LevelError(f"a client of MQTT protocol level {rest[0]}; this proxy reads MQTT 3.1.1 (level 4)")
    identity, _ = _string(rest[4:])
    return identity.decode("utf-8", "replace")


def parse_publish(packet: Packet) -> Publish:
    """Take a PUBLISH apart.

    Raises:
        PacketError: it is broken.
    """
    flags = packet.data[0] & 15
    topic, rest = _string(packet.data[packet.body_at :])
    id_bytes = 2 if flags & 6 else 0
    if flags & 6 == 6 or len(rest) < id_bytes:
        raise PacketError("a broken PUBLISH")
    return Publish(flags, len(topic).to_bytes(2) + topic, rest[:id_bytes], rest[id_bytes:])


def publish_bytes(publish: Publish, payload: bytes) -> bytes:
    """The same PUBLISH with this payload."""
    body = publish.head + publish.packet_id + payload
    return bytes((PUBLISH << 4 | publish.flags,)) + _length(len(body)) + body


def copy_bytes(publish: Publish, payload: bytes) -> bytes:
    """A copy of a PUBLISH at QoS 0: it needs no packet id, so no acknowledgement of it can confuse its sender."""
    body = publish.head + payload
    is_retained = publish.flags & 1
    return bytes((PUBLISH << 4 | is_retained,)) + _length(len(body)) + body


def puback_bytes(publish: Publish) -> bytes:
    """The acknowledgement of a PUBLISH with QoS 1."""
    return bytes((PUBACK << 4, 2)) + publish.packet_id


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string with its length before it, and what follows it."""
    length = int.from_bytes(data[:2])
    if len(data) < 2 + length:
        raise PacketError("a text that is longer than its packet")
    return data[2 : 2 + length], data[2 + length :]


def _length(length: int) -> bytes:
    encoded = bytearray()
    while True:
        length, digit = length >> 7, length & 127
        encoded.append(digit | 128 if length else digit)
        if not length:
            return bytes(encoded)
