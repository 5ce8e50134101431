"""MQTT packets are found in any stream of bytes, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_sim.lab.proxy.packets import (
    MAX_PACKET_BYTES,
    LevelError,
    PacketBuffer,
    PacketError,
    Publish,
    client_id,
    copy_bytes,
    parse_publish,
    puback_bytes,
    publish_bytes,
)

PUBLISH_QOS_1 = b"\x3b\x07\x00\x01t\x12\x34hi"


def connect(name: bytes = b"\x00\x04MQTT", level: int = 4, client: bytes = b"\x00\x02G1") -> bytes:
    body = name + bytes((level, 2, 0, 60)) + client
    return b"\x10" + bytes((len(body),)) + body


def packed(kind: int, body: bytes) -> bytes:
    """Reference encoding, by division as the standard describes it."""
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes((digit + 128 if length else digit,))
        if not length:
            return bytes((kind << 4,)) + digits + body


BODIES = st.one_of(st.binary(max_size=300), st.sampled_from([bytes(size) for size in (127, 128, 16_383, 16_384)]))


@given(st.lists(st.tuples(st.integers(1, 14), BODIES), max_size=6), st.integers(1, 5_000))
def test_packets_are_whole_however_the_stream_is_cut(rows: list[tuple[int, bytes]], step: int) -> None:
    stream = b"".join(packed(kind, body) for kind, body in rows)
    buffer = PacketBuffer()
    found = [packet for at in range(0, len(stream), step) for packet in buffer.feed(stream[at : at + step])]
    assert [(packet.kind, packet.data[packet.body_at :]) for packet in found] == rows
    assert b"".join(packet.data for packet in found) == stream


def test_packet_of_the_limit_passes_and_a_longer_one_is_refused_by_its_header() -> None:
    (whole,) = PacketBuffer().feed(packed(3, bytes(MAX_PACKET_BYTES)))
    assert len(whole.data) == MAX_PACKET_BYTES + 4
    with pytest.raises(PacketError, match="at most 1,048,576"):
        PacketBuffer().feed(packed(3, bytes(MAX_PACKET_BYTES + 1))[:4])


def test_length_of_five_bytes_is_no_mqtt() -> None:
    with pytest.raises(PacketError, match="no MQTT"):
        PacketBuffer().feed(b"\x30\xff\xff\xff\xff\x01")


def test_client_id_is_read() -> None:
    (packet,) = PacketBuffer().feed(connect())
    assert client_id(packet) == "G1"


def test_bridge_and_mqtt_3_1_are_read() -> None:
    for data in (connect(level=0x84), connect(b"\x00\x06MQIsdp", 3), connect(client=b"\x00\x00")):
        (packet,) = PacketBuffer().feed(data)
        assert client_id(packet) in ("G1", "")


def test_mqtt_5_is_named() -> None:
    (packet,) = PacketBuffer().feed(connect(level=5))
    with pytest.raises(LevelError, match="level 5"):
        client_id(packet)


@pytest.mark.parametrize(
    "data", [b"\xc0\x00", b"\x10\x00", connect(b"\x00\x04HTTP"), connect(client=b"\x00\x09G1")]
)
def test_broken_connect_is_refused(data: bytes) -> None:
    (packet,) = PacketBuffer().feed(data)
    with pytest.raises(PacketError):
        client_id(packet)


@pytest.mark.parametrize(
    "data", [b"\x30\x00", b"\x30\x03\x00\x05a", b"\x32\x03\x00\x01t", b"\x36\x05\x00\x01t\x00\x01"]
)
def test_broken_publish_is_refused(data: bytes) -> None:
    (packet,) = PacketBuffer().feed(data)
    with pytest.raises(PacketError):
        parse_publish(packet)


def test_publish_is_taken_apart_and_put_together() -> None:
    publish = parsed(PUBLISH_QOS_1)
    assert (publish.topic, publish.qos, publish.packet_id, publish.payload) == ("t", 1, b"\x12\x34", b"hi")
    assert publish_bytes(publish, b"hi") == PUBLISH_QOS_1
    assert parsed(publish_bytes(publish, bytes(200))).payload == bytes(200)
    assert puback_bytes(publish) == b"\x40\x02\x12\x34"


def test_copy_has_qos_0_no_packet_id_and_the_same_retain_flag() -> None:
    assert copy_bytes(parsed(PUBLISH_QOS_1), b"hi") == b"\x31\x05\x00\x01thi"


def parsed(data: bytes) -> Publish:
    (packet,) = PacketBuffer().feed(data)
    return parse_publish(packet)
