"""Between the wire and the services: every code has its counterpart, every message its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.adapters.translate import arrival, publications
from headend.domain.delivery import DeliveryKind
from headend.domain.reconcile import ExceptionKind
from headend.service import ingest, intake, readings
from headend.service.traffic import CommandOut, GatewayId, ReceiptOut, Unreadable, Verdict
from headend.wire.codec import decode
from headend.wire.errors import ErrorCode, RowCode
from headend.wire.limits import MAX_PAYLOAD_BYTES, MAX_ROWS
from headend.wire.messages import Commands, Receipts
from headend.wire.topics import parse_topic

G1 = GatewayId("R1", "G1")
NOW_S = 1_730_226_600


def receipts_of(*items: ReceiptOut) -> list[Receipts]:
    found = []
    for topic, payload in publications(items, NOW_S):
        assert len(payload) <= MAX_PAYLOAD_BYTES
        message = decode(parse_topic(topic)[1], payload)
        assert isinstance(message, Receipts)
        found.append(message)
    return found


@pytest.mark.parametrize("detail", ["x" * 300, "\U0001f600" * 300, '"' * 300, "\x01" * 300], ids=ascii)
def test_receipts_with_long_details_stay_within_the_limit(detail: str) -> None:
    items = [ReceiptOut(G1, number, Verdict.REFUSED, "BAD_MESSAGE", detail) for number in range(1, 501)]
    messages = receipts_of(*items)
    assert [receipt.frame for message in messages for receipt in message.receipts] == list(range(1, 501))


def test_receipt_that_refuses_every_row_of_the_largest_frame_can_be_sent() -> None:
    rows = [(f"{'M' * 28}{number:04}", "REGISTER_WENT_BACK") for number in range(MAX_ROWS)]
    (message,) = receipts_of(ReceiptOut(G1, 1, Verdict.ACCEPTED, refused=rows))
    assert len(message.receipts[0].refused) >= 700


def test_codes_of_the_services_are_codes_of_the_wire() -> None:
    for code in (intake.UNKNOWN_METER, intake.OTHER_GATEWAY, readings.NOT_MIDNIGHT):
        assert RowCode(code)
    for kind in (ExceptionKind.REGISTER_WENT_BACK, ExceptionKind.SNAPSHOT_DIFFERS):
        assert RowCode(str(kind))
    assert ErrorCode(ingest.UNKNOWN_GATEWAY)


@pytest.mark.parametrize("channel", ["commands", "receipts", "requests"])
def test_message_for_gateways_is_none_for_us(channel: str) -> None:
    topic, payload = f"ami/v1/R1/G1/down/{channel}", b'{"v":1,"sent_at_s":1,"want":"hello"}'
    message = arrival(topic, payload, None).message
    assert isinstance(message, Unreadable)


@given(st.text(max_size=60), st.binary(max_size=200))
def test_no_topic_and_no_payload_raise(topic: str, payload: bytes) -> None:
    for each in (topic, "ami/v1/R1/G1/up/readings", f"ami/v1/{topic}/G1/up/hello"):
        item = arrival(each, payload, 7)
        assert (item.ticket, item.topic, item.payload) == (7, each, payload)


@given(st.integers(1, 2_500), st.sampled_from(DeliveryKind))
def test_commands_keep_their_order_over_messages(count: int, kind: DeliveryKind) -> None:
    commands = [
        CommandOut(G1, f"M{n}", kind, 1, NOW_S, credit_total_micros=n, relay="closed") for n in range(count)
    ]
    names = []
    for topic, payload in publications(commands, NOW_S):
        assert len(payload) <= MAX_PAYLOAD_BYTES
        message = decode(parse_topic(topic)[1], payload)
        assert isinstance(message, Commands)
        names += [command.meter for command in message.commands]
    assert names == [command.meter for command in commands]
