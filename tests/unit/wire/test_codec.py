import json
from typing import Any

import pytest

from headend.wire.checksum import unseal
from headend.wire.codec import decode, encode
from headend.wire.errors import ErrorCode, WireError
from headend.wire.messages import (
    Commands,
    CreditCommand,
    ReadingKind,
    Readings,
    Receipt,
    ReceiptOutcome,
    Receipts,
    RelayCommand,
    RelayPosition,
    Status,
)
from headend.wire.topics import Channel

READINGS: dict[str, Any] = {
    "v": 1,
    "frame": 7,
    "sent_at_s": 1,
    "kind": "interval",
    "meters": ["M1"],
    "seqs": [1],
    "at_s": [1],
    "registers_wh": [5],
}


def refusal(channel: Channel, payload: bytes) -> WireError:
    with pytest.raises(WireError) as caught:
        decode(channel, payload)
    return caught.value


def readings_but(**changes: object) -> bytes:
    return json.dumps(READINGS | changes).encode()


def test_version_is_on_the_wire_though_nobody_names_it() -> None:
    assert unseal(encode(Status(online=True))) == b'{"v":1,"online":true}'


def test_kind_is_on_the_wire_and_null_is_not() -> None:
    relay = RelayCommand(meter="M1", version=1, relay=RelayPosition.CLOSED, issued_at_s=1)
    credit = CreditCommand(meter="M1", seq=1, credit_total_micros=2, issued_at_s=1)
    content = json.loads(encode(Commands(sent_at_s=1, commands=[relay, credit])))
    assert [command["kind"] for command in content["commands"]] == ["relay", "credit"]
    assert "expires_at_s" not in content["commands"][0]


def test_receipt_for_an_unknown_frame_survives_the_wire() -> None:
    receipt = Receipt(frame=None, outcome=ReceiptOutcome.REFUSED, code=ErrorCode.BAD_JSON)
    receipts = Receipts(sent_at_s=1, receipts=[receipt])
    assert decode(Channel.RECEIPTS, encode(receipts)) == receipts


def test_diagnosis_names_the_field_and_the_frame() -> None:
    error = refusal(Channel.READINGS, readings_but(registers_wh=["5"]))
    assert (error.code, error.frame) == (ErrorCode.BAD_MESSAGE, 7)
    assert error.detail.startswith("registers_wh.0: ")


def test_diagnosis_of_a_rule_over_fields_says_the_rule() -> None:
    error = refusal(Channel.READINGS, readings_but(seqs=[1, 2]))
    assert "must have the same length" in error.detail


def test_version_is_diagnosed_before_anything_else() -> None:
    error = refusal(Channel.READINGS, readings_but(v=2, registers_wh=["5"]))
    assert (error.code, error.frame) == (ErrorCode.UNKNOWN_VERSION, 7)
    assert error.detail == "v is 2; this end speaks 1"


@pytest.mark.parametrize("version", [1.0, True, "1", None, [1], 0, -1, 2**70])
def test_only_the_integer_1_is_version_1(version: object) -> None:
    assert refusal(Channel.READINGS, readings_but(v=version)).code is ErrorCode.UNKNOWN_VERSION


def test_absent_version_is_told_from_a_wrong_one() -> None:
    assert refusal(Channel.STATUS, b'{"online":true}').detail == "v is missing; this end speaks 1"


@pytest.mark.parametrize("frame", [0, -1, 2**53, True, "7", 7.0, None, [7]])
def test_frame_number_that_no_receipt_can_hold_is_not_repeated(frame: object) -> None:
    error = refusal(Channel.READINGS, readings_but(frame=frame))
    assert (error.code, error.frame) == (ErrorCode.BAD_MESSAGE, None)
    assert error.detail.startswith("frame: ")


def test_size_is_looked_at_before_content() -> None:
    error = refusal(Channel.READINGS, b"\xff" * 65537)
    assert error.code is ErrorCode.TOO_LARGE
    assert error.detail == "65537 bytes; at most 65536"
    assert refusal(Channel.READINGS, b"\xff" * 65536).code is ErrorCode.BAD_JSON


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("place", ['"x":%s', '"x":[1,%s]', '"x":{"y": %s}', '"sent_at_s":%s'])
def test_what_is_not_json_is_bad_json_wherever_it_stands(token: str, place: str) -> None:
    payload = readings_but()[:-1] + f",{place % token}}}".encode()
    assert refusal(Channel.READINGS, payload).code is ErrorCode.BAD_JSON


@pytest.mark.parametrize("meter", ["NaN", "Infinity", "NaN-Infinity"])
def test_meter_may_be_called_like_a_number_that_is_none(meter: str) -> None:
    message = decode(Channel.READINGS, readings_but(meters=[meter]))
    assert isinstance(message, Readings)
    assert message.meters == [meter]


def test_relays_open_names_meters_of_the_frame_only() -> None:
    message = decode(Channel.READINGS, readings_but(relays_open=["M1"]))
    assert isinstance(message, Readings)
    assert message.relays_open == ["M1"]
    assert "relays_open" in refusal(Channel.READINGS, readings_but(relays_open=["M1", "M2"])).detail


def test_hostile_content_leaves_a_detail_that_fits_into_a_receipt() -> None:
    for payload in (readings_but(v="x" * 60_000), readings_but(kind="x" * 60_000), b'{"' + b"x" * 60_000):
        error = refusal(Channel.READINGS, payload)
        Receipt(frame=error.frame, outcome=ReceiptOutcome.REFUSED, code=error.code, detail=error.detail)


def test_message_once_read_cannot_be_changed() -> None:
    message = decode(Channel.READINGS, readings_but())
    assert isinstance(message, Readings)
    assert message.kind is ReadingKind.INTERVAL
    with pytest.raises(ValueError, match="frozen"):
        message.frame = 8
