"""What is damaged on the way is refused, or says the same as before; and of it no frame is named."""

import json
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.wire.checksum import MAX_CRC, seal, unseal
from headend.wire.codec import decode, encode
from headend.wire.errors import ErrorCode, RefusalCode, RowCode, WireError
from headend.wire.keys import MasterKey
from headend.wire.limits import MAX_INTEGER
from headend.wire.messages import (
    Commands,
    CreditCommand,
    CreditResult,
    DownMessage,
    Hello,
    MeterCounters,
    Outcome,
    ReadingKind,
    Readings,
    Receipt,
    ReceiptOutcome,
    Receipts,
    RefusedRow,
    RelayPosition,
    RelayResult,
    Request,
    Results,
    Status,
    UpMessage,
)
from headend.wire.signing import canonical
from headend.wire.topics import Channel

COUNTERS = MeterCounters(
    meter="M1",
    reading_seq=2,
    register_wh=3_500,
    credit_seq=1,
    credit_total_micros=50_000_000,
    relay_version=0,
    relay=RelayPosition.CLOSED,
)
READINGS = Readings(
    frame=7,
    sent_at_s=1_730_226_605,
    kind=ReadingKind.INTERVAL,
    meters=["M1", "M2"],
    seqs=[3, 1],
    at_s=[1_730_227_500, 1_730_227_500],
    registers_wh=[3_620, 15],
    relays_open=["M2"],
)
CREDIT = CreditCommand(meter="M1", seq=1, credit_total_micros=2, issued_at_s=1)
RELAY_RESULT = RelayResult(
    meter="M2",
    version=5,
    relay=RelayPosition.OPEN,
    outcome=Outcome.REJECTED,
    code=RefusalCode.PROTECTED,
    at_s=9,
)
RECEIPTS = [
    Receipt(frame=2, outcome=ReceiptOutcome.ACCEPTED, refused=[RefusedRow(meter="M9", code=RowCode.NOT_MIDNIGHT)]),
    Receipt(frame=31, outcome=ReceiptOutcome.REFUSED, code=ErrorCode.BAD_MESSAGE, detail="seqs.0: no integer"),
    Receipt(frame=4, outcome=ReceiptOutcome.LATER, retry_after_s=60),
]
MESSAGES: dict[Channel, UpMessage | DownMessage] = {
    Channel.HELLO: Hello(frame=1, sent_at_s=1_730_226_605, meters=[COUNTERS]),
    Channel.READINGS: READINGS,
    Channel.RESULTS: Results(
        sent_at_s=10,
        results=[
            CreditResult(meter="M1", seq=2, credit_total_micros=75, outcome=Outcome.APPLIED, at_s=9),
            RELAY_RESULT,
        ],
    ),
    Channel.STATUS: Status(online=False),
    Channel.COMMANDS: Commands(sent_at_s=1, commands=[CREDIT]),
    Channel.RECEIPTS: Receipts(sent_at_s=1_730_226_606, receipts=RECEIPTS),
    Channel.REQUESTS: Request(sent_at_s=1_730_226_605, want="hello"),
}
# All eight single bits, what makes a letter small or large, and what turns digits into other digits and signs.
MASKS = (1, 2, 3, 4, 8, 15, 16, 20, 29, 32, 64, 127, 128, 255)


def read_or_refused(channel: Channel, payload: bytes) -> UpMessage | DownMessage | WireError:
    try:
        return decode(channel, payload)
    except WireError as error:
        return error


def refusal(channel: Channel, payload: bytes) -> WireError:
    read = read_or_refused(channel, payload)
    assert isinstance(read, WireError)
    return read


def test_parameters_are_those_of_crc_32_iso_hdlc() -> None:
    """By the check value that every catalogue of CRCs gives for the text 123456789."""
    assert seal(b"123456789}") == b'123456789,"crc":%d}' % 0xCBF43926


@pytest.mark.parametrize("channel", Channel)
def test_every_message_ends_with_the_checksum_of_what_is_before_it(channel: Channel) -> None:
    payload = encode(MESSAGES[channel])
    body, _, tail = payload.rpartition(b',"crc":')
    assert tail == b"%d}" % crc32(body)
    assert list(json.loads(payload))[-1] == "crc"
    assert decode(channel, payload) == decode(channel, unseal(payload)) == MESSAGES[channel]


@pytest.mark.parametrize("channel", Channel)
def test_a_flipped_byte_is_refused_without_a_frame_or_changes_nothing(channel: Channel) -> None:
    message, payload = MESSAGES[channel], encode(MESSAGES[channel])
    believed = set()
    for place in range(len(payload)):
        for mask in MASKS:
            damaged = payload[:place] + bytes([payload[place] ^ mask]) + payload[place + 1 :]
            read = read_or_refused(channel, damaged)
            if isinstance(read, WireError):
                assert (read.code, read.frame) == (ErrorCode.BAD_JSON, None), damaged
            else:
                assert read == message, damaged
                believed.add(place)
    # Only where the name of the checksum is damaged are the others taken as they are: a field that nobody knows.
    name = payload.rindex(b"crc")
    assert believed <= {name, name + 1, name + 2}
    assert believed


@given(st.sampled_from(Channel), st.binary(min_size=1, max_size=4), st.data())
def test_a_damaged_stretch_of_up_to_four_bytes_of_the_body_is_always_found(
    channel: Channel, noise: bytes, data: st.DataObject
) -> None:
    payload = bytearray(encode(MESSAGES[channel]))
    place = data.draw(st.integers(0, payload.rindex(b',"crc":') - len(noise)), "place")
    before = bytes(payload)
    payload[place : place + len(noise)] = noise
    if bytes(payload) != before:
        error = refusal(channel, bytes(payload))
        assert (error.code, error.frame) == (ErrorCode.BAD_JSON, None)


def test_a_checksum_that_does_not_match_says_what_it_should_be() -> None:
    payload = encode(READINGS).replace(b"3620", b"3630")
    right = crc32(payload[: payload.rindex(b",")])
    assert refusal(Channel.READINGS, payload).detail.endswith(f"of these bytes it is {right}")


@pytest.mark.parametrize(
    ("change", "code"),
    [({"registers_wh": ["5", 15]}, ErrorCode.BAD_MESSAGE), ({"v": 2}, ErrorCode.UNKNOWN_VERSION)],
)
def test_a_whole_message_that_breaks_the_contract_is_refused_by_its_number(
    change: dict[str, Any], code: ErrorCode
) -> None:
    content = READINGS.model_dump(mode="json") | change
    error = refusal(Channel.READINGS, seal(json.dumps(content).encode()))
    assert (error.code, error.frame) == (code, 7)


@pytest.mark.parametrize(
    "tail",
    [
        b',"crc": %d}',
        b', "crc":%d}',
        b',"crc":%d }',
        b',"crc":%d}\n',
        b',"crc":%d.0}',
        b',"crc":"%d"}',
        b',"crc":-%d}',
        b',"crc":0%d}',
        b',"crc":%d,"x":1}',
        b',"crc":1e5,"x":%d}',
        b',"crc":99999999999%d}',
    ],
)
def test_a_checksum_of_another_form_is_refused_without_a_frame(tail: bytes) -> None:
    body = unseal(encode(READINGS))[:-1]
    error = refusal(Channel.READINGS, body + tail % crc32(body))
    assert (error.code, error.frame) == (ErrorCode.BAD_JSON, None)


def test_a_second_checksum_before_the_last_one_is_refused() -> None:
    error = refusal(Channel.READINGS, seal(encode(READINGS)))
    assert error.detail.startswith("crc is not the last member")


@pytest.mark.parametrize("inner", [b'{"crc":5}', b'[{"x":1,"crc":5}]', b'"x,\\"crc\\":5"', b'{"x":1,"crc":5}'])
def test_what_is_called_so_inside_another_field_is_no_checksum(inner: bytes) -> None:
    document = b'{"v":1,"online":true,"x":' + inner + b"}"
    assert decode(Channel.STATUS, document) == decode(Channel.STATUS, seal(document)) == Status(online=True)


def test_null_is_as_good_as_absent() -> None:
    assert decode(Channel.STATUS, b'{"v":1,"online":true,"crc":null}') == Status(online=True)


@pytest.mark.parametrize("payload", [b"", b"}", b',"crc":}', b',"crc":1', b'"crc":1}', b"{}", b'{"crc":1}'])
def test_what_has_no_checksum_stays_as_it_is(payload: bytes) -> None:
    assert unseal(payload) == payload


@given(st.binary(max_size=100))
def test_what_was_sealed_comes_back(body: bytes) -> None:
    sealed = seal(body + b"}")
    assert unseal(sealed) == body + b"}"
    assert len(sealed) <= len(body) + 1 + len(f',"crc":{MAX_CRC}')


def test_the_field_of_the_models_is_never_written_by_itself() -> None:
    payload = encode(Status(online=True, crc=5))
    assert unseal(payload) == b'{"v":1,"online":true}'


def test_a_signature_does_not_cover_the_checksum() -> None:
    command = MasterKey(key="k1", secret="5a" * 32, sign_from_s=0).sign(CREDIT)
    message = decode(Channel.COMMANDS, encode(Commands(sent_at_s=MAX_INTEGER, commands=[command])))
    assert isinstance(message, Commands)
    assert message.commands == [command]
    assert b"crc" not in canonical(command)
