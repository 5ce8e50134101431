"""Between the wire and the services: every code has its counterpart, every message its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.adapters.translate import arrival, publications
from headend.domain.delivery import DeliveryKind
from headend.domain.policy import MAX_WINDOWS, Policy
from headend.domain.reconcile import ExceptionKind
from headend.service import ingest, intake, readings
from headend.service.traffic import (
    CommandOut,
    GatewayId,
    HelloFrame,
    PolicyAnswer,
    ReceiptOut,
    ResultFrame,
    Unreadable,
    Verdict,
)
from headend.wire.codec import decode
from headend.wire.errors import ErrorCode, RowCode
from headend.wire.keys import KeyRing, MasterKey
from headend.wire.limits import MAX_INTEGER, MAX_PAYLOAD_BYTES, MAX_PROTECTED, MAX_ROWS
from headend.wire.messages import Commands, PolicyCommand, Receipts, Unknown
from headend.wire.signing import digest, verify
from headend.wire.topics import parse_topic

G1 = GatewayId("R1", "G1")
G2 = GatewayId("R1", "G2")
NOW_S = 1_730_226_600
POLICY = Policy(3, NOW_S, NOW_S + 86_400, 60, ((NOW_S + 10, NOW_S + 20), (NOW_S + 30, NOW_S + 40)))
RING = KeyRing(keys=[MasterKey(key="k1", secret="5a" * 32, sign_from_s=NOW_S)])


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


def commands_of(*items: CommandOut, ring: KeyRing | None = None, now_s: int = NOW_S) -> list[Commands]:
    found = []
    for topic, payload in publications(items, now_s, ring):
        assert len(payload) <= MAX_PAYLOAD_BYTES
        message = decode(parse_topic(topic)[1], payload)
        assert isinstance(message, Commands)
        found.append(message)
    return found


@given(st.integers(1, 2_500), st.sampled_from(DeliveryKind), st.booleans())
def test_commands_keep_their_order_over_messages(count: int, kind: DeliveryKind, signs: bool) -> None:
    policy = POLICY if kind is DeliveryKind.POLICY else None
    commands = [
        CommandOut(G1, f"M{n}", kind, 1, NOW_S, credit_total_micros=n, relay="closed", policy=policy)
        for n in range(count)
    ]
    messages = commands_of(*commands, ring=RING if signs else None)
    names = [command.meter for message in messages for command in message.commands]  # type: ignore[union-attr]
    assert names == [command.meter for command in commands]


def test_commands_are_signed_with_the_key_of_the_moment() -> None:
    orders = [
        CommandOut(G1, "M1", DeliveryKind.CREDIT, 4, NOW_S, credit_total_micros=9),
        CommandOut(G1, "M2", DeliveryKind.RELAY, 5, NOW_S, relay="open", expires_at_s=NOW_S + 60),
        CommandOut(G1, "M3", DeliveryKind.POLICY, 3, NOW_S, policy=POLICY),
    ]
    signed = [command for message in commands_of(*orders, ring=RING) for command in message.commands]
    assert [command.kind for command in signed] == ["credit", "relay", "policy"]
    for command in signed:
        assert not isinstance(command, Unknown)
        assert command.key == "k1"
        assert verify(command, lambda *named: RING.meter_key(*named, NOW_S)) is None
    for unsigned in (commands_of(*orders), commands_of(*orders, ring=RING, now_s=NOW_S - 1)):
        for message in unsigned:
            assert all(not isinstance(each, Unknown) and each.signature is None for each in message.commands)


def test_policy_document_goes_once_a_message_and_with_its_own_commands_only() -> None:
    newer = Policy(4, NOW_S, NOW_S + 86_400, 60, ())
    orders = [
        CommandOut(G1, "M1", DeliveryKind.POLICY, 3, NOW_S, policy=POLICY),
        CommandOut(G1, "M2", DeliveryKind.CREDIT, 4, NOW_S, credit_total_micros=9),
        CommandOut(G1, "M3", DeliveryKind.POLICY, 3, NOW_S, policy=POLICY),
        CommandOut(G1, "M4", DeliveryKind.POLICY, 4, NOW_S, policy=newer),
        CommandOut(G2, "M5", DeliveryKind.POLICY, 4, NOW_S, policy=newer),
    ]
    found = {
        tuple(command.meter for command in message.commands): message  # type: ignore[union-attr]
        for message in commands_of(*orders)
    }
    assert set(found) == {("M1", "M3"), ("M2",), ("M4",), ("M5",)}
    assert found["M2",].policies is None
    for meters, message in found.items():
        for command in message.commands:
            if isinstance(command, PolicyCommand):
                assert message.policies is not None
                (document,) = message.policies
                assert (command.version, command.digest) == (document.version, digest(document)), meters
    assert found["M1", "M3"].policies[0].protected == [list(window) for window in POLICY.protected]  # type: ignore[index]


def test_longest_policy_with_signed_commands_stays_within_the_limit() -> None:
    assert MAX_WINDOWS == MAX_PROTECTED
    longest = tuple((MAX_INTEGER - 2 * n, MAX_INTEGER - 2 * n + 1) for n in range(MAX_WINDOWS, 0, -1))
    policy = Policy(MAX_INTEGER, MAX_INTEGER, MAX_INTEGER, MAX_INTEGER, longest)
    orders = [
        CommandOut(G1, f"{'M' * 28}{n:04}", DeliveryKind.POLICY, MAX_INTEGER, MAX_INTEGER, policy=policy)
        for n in range(1_000)
    ]
    messages = commands_of(*orders, ring=RING)
    assert sum(len(message.commands) for message in messages) == 1_000
    assert len(messages) < 20


def test_results_of_policies_come_up_and_unknown_kinds_are_counted() -> None:
    payload = (
        b'{"v":1,"sent_at_s":1,"results":[{"kind":"policy","meter":"M1","version":3,"outcome":"applied","at_s":5},'
        b'{"kind":"display","meter":"M1"},'
        b'{"kind":"policy","meter":"M2","version":2,"outcome":"rejected","code":"OLDER_VERSION","at_s":6}]}'
    )
    frame = arrival("ami/v1/R1/G1/up/results", payload, None).message
    answers = [PolicyAnswer("M1", 3, 5, None), PolicyAnswer("M2", 2, 6, "OLDER_VERSION")]
    assert frame == ResultFrame(G1, [], [], answers, unknown=1)


@pytest.mark.parametrize(("field", "version"), [("", 0), (',"policy_version":7', 7)])
def test_policy_version_of_a_hello_is_0_where_the_gateway_knows_none(field: str, version: int) -> None:
    counters = '"meter":"M1","reading_seq":0,"register_wh":0,"credit_seq":0,"credit_total_micros":0'
    row = f'{{{counters},"relay_version":0,"relay":"closed"{field}}}'
    payload = f'{{"v":1,"frame":1,"sent_at_s":1,"meters":[{row}]}}'.encode()
    frame = arrival("ami/v1/R1/G1/up/hello", payload, None).message
    assert isinstance(frame, HelloFrame)
    ((_, view),) = frame.meters
    assert view.policy_version == version
