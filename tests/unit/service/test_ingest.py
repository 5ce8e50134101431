"""What cannot be used: told to the gateway, kept with its bytes, and in nobody's way."""

import pytest
from unit.service.bench import REGION, START_S, Bench

from headend.adapters.sqlite_rows import MAX_LETTER_BYTES
from headend.wire.codec import encode
from headend.wire.messages import ReadingKind, Readings, Receipts
from headend.wire.topics import Channel


def test_unknown_gateway_is_told_to_come_again(online: Bench) -> None:
    frame = online.readings(("M1", 1, START_S, 5), gateway="G9")
    online.run()
    receipt = online.receipts()[frame]
    assert (receipt.outcome, receipt.code) == ("later", "UNKNOWN_GATEWAY")
    assert receipt.retry_after_s
    assert online.register_of("M1") == (0, 0), "the right meter by the wrong gateway"
    (letter,) = online.dead_letters()
    assert (letter.code, letter.topic) == ("UNKNOWN_GATEWAY", f"ami/v1/{REGION}/G9/up/readings")


def test_unknown_gateway_is_known_once_it_is_registered(online: Bench) -> None:
    online.hello(("M9", 0, 0, 0, 0), gateway="G9")
    online.run()
    online.register("M9", gateway="G9")
    frame = online.hello(("M9", 0, 0, 0, 0), gateway="G9")
    online.run()
    assert online.receipts()[frame].outcome == "accepted"


def test_results_of_an_unknown_gateway_have_no_receipt(online: Bench) -> None:
    online.credit_result("M1", 1, 1, gateway="G9")
    online.run()
    assert online.receipts() == {}
    assert [letter.code for letter in online.dead_letters()] == ["UNKNOWN_GATEWAY"]


@pytest.mark.parametrize(
    ("payload", "code", "frame"),
    [
        (b"\xff\xfe not JSON", "BAD_JSON", None),
        (b'{"v":2,"frame":7}', "UNKNOWN_VERSION", 7),
        (b'{"v":1,"frame":8}', "BAD_MESSAGE", 8),
        (b'{"v":1,"frame":"8"}', "BAD_MESSAGE", None),
        (b"", "BAD_JSON", None),
        (b" " * 70_000, "TOO_LARGE", None),
    ],
)
def test_unreadable_payload_is_refused_and_kept_with_its_bytes(
    online: Bench, payload: bytes, code: str, frame: int | None
) -> None:
    online.up(Channel.READINGS, payload)
    online.run()
    receipt = online.receipts()[frame]
    assert (receipt.outcome, receipt.code) == ("refused", code)
    assert receipt.detail
    (letter,) = online.dead_letters()
    kept = payload[:MAX_LETTER_BYTES]  # of what is too large, the beginning
    assert (letter.code, letter.payload_bytes) == (code, len(kept))
    assert online.dead_letter_payloads() == [kept]


def test_frame_damaged_on_its_way_is_named_by_no_receipt_and_accepted_when_it_comes_whole(online: Bench) -> None:
    online.hello(("M1", 0, 0, 0, 0))
    online.run()
    online.take()
    readings = Readings(
        frame=41, sent_at_s=START_S, kind=ReadingKind.INTERVAL,
        meters=["M1"], seqs=[1], at_s=[START_S], registers_wh=[500],
    )  # fmt: skip
    whole = encode(readings)
    # Each would be believed, or be refused by its number, if there were no checksum.
    for damaged in (b'"seqs":[9]', b'"seqs":[0]', b'"seqs":[1.0]'):
        online.up(Channel.READINGS, whole.replace(b'"seqs":[1]', damaged))
    online.up(Channel.READINGS, whole.replace(b'"frame":41', b'"frame":47'))
    online.run()
    messages = [message for _, message in online.take() if isinstance(message, Receipts)]
    receipts = [receipt for message in messages for receipt in message.receipts]
    assert [(receipt.frame, receipt.code) for receipt in receipts] == [(None, "BAD_JSON")] * 4
    assert online.register_of("M1") == (0, 0)
    online.up(Channel.READINGS, whole)
    online.run()
    assert online.receipts()[41].outcome == "accepted"
    assert online.register_of("M1") == (1, 500)


def test_same_bytes_again_only_count(online: Bench) -> None:
    for _ in range(3):
        online.up(Channel.READINGS, b"rubbish")
        online.wait(5)
    online.up(Channel.READINGS, b"rubbish", gateway="G2")
    online.run()
    assert [(letter.count, letter.last_at_s) for letter in online.dead_letters()] == [
        (1, START_S + 15),
        (3, START_S + 15),
    ]


@pytest.mark.parametrize(
    "topic",
    ["ami/v1/R1/G 1/up/readings", "ami/v1/R1//up/hello", "ami/v2/R1/G1/up/hello", "ami/v1/R1/G1/up/x", "x"],
)
def test_message_of_nobody_is_kept_and_told_to_nobody(online: Bench, topic: str) -> None:
    online.link.deliver(topic, b"{}")
    online.run()
    assert online.sent == []
    assert [letter.code for letter in online.dead_letters()] == ["BAD_TOPIC"]


def test_bad_message_delays_no_other(online: Bench) -> None:
    online.up(Channel.READINGS, b"rubbish")
    first = online.readings(("M1", 1, START_S, 5))
    online.up(Channel.HELLO, b"{}")
    second = online.readings(("M3", 1, START_S, 6), gateway="G2")
    online.run()
    receipts = online.receipts()
    assert [receipts[frame].outcome for frame in (first, second)] == ["accepted"] * 2
    assert (online.register_of("M1"), online.register_of("M3")) == ((1, 5), (1, 6))
    assert online.link.unsettled == {}, "also the bad ones are acknowledged, or they would come for ever"
    assert online.headend.counts["dead letters"] == 2


def test_gateway_is_heard_through_any_good_message(online: Bench) -> None:
    online.clock.advance(100)
    online.readings(("M1", 1, START_S, 5))
    online.run()
    online.wait(2)
    with online.store.view() as uow:
        heard = {gateway.gateway: at_s for _, gateway, at_s in uow.gateways()}
    assert heard == {"G1": START_S + 100, "G2": START_S}
