"""`headend meter exchange` as a clerk enters it: beside a running head-end, and typed wrongly."""

import json
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from running import Done, Site, make_site, serving
from waiting import wait_until

from headend.wire.codec import decode, encode
from headend.wire.messages import (
    Commands,
    CreditCommand,
    CreditResult,
    Hello,
    MeterCounters,
    Outcome,
    ReadingKind,
    Readings,
    RelayPosition,
    Results,
)
from headend.wire.topics import Address, Channel, parse_topic

WHO = ("--actor", "clerk", "--reason", "display broken")
G1 = Address("R1", "G1")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = make_site(tmp_path / "site")
    made.add_meters("M1", "M2")
    return made


def refused(done: Done, *words: str, status: int = 2) -> None:
    assert done.status == status, done
    assert done.complaint.startswith("error: ")
    for word in words:
        assert word in done.complaint, done.complaint


def test_meter_goes_on_under_its_new_id(site: Site) -> None:
    site.good("recharge", "M1", "250", "--reference", "PAY-1")
    done = site.good("meter", "exchange", "M1", "N1", "--final-wh", "1400", "--opening-wh", "20", *WHO)
    assert done.output == "meter M1 is N1 now\n"
    shown = site.good("meter", "show", "N1", "--json").json()
    assert shown["register_wh"] == 1_400
    assert site.good("balance", "N1", "--json").json()["balance_micros"] == 250_000_000 - 400 * 4_120
    assert "PAY-1" in site.good("statement", "N1").output
    assert "M1" not in site.good("meter", "list").output
    site.audit_in_flight()


def test_answer_for_machines(site: Site) -> None:
    done = site.good("meter", "exchange", "M1", "N1", "--final-wh", "1400", *WHO, "--json")
    assert done.json() == {"meter": "N1", "was": "M1", "outcome": "EXCHANGED"}


@pytest.mark.parametrize(
    "words",
    [
        ("balance", "M1"),
        ("meter", "show", "M1"),
        ("statement", "M1"),
        ("queue", "M1"),
        ("recharge", "M1", "10", "--reference", "PAY-9"),
        ("meter", "exchange", "M1", "N9", "--final-wh", "2000", *WHO),
        ("meter", "terms", "M1", "--from", "2199-01-01", "--load-w", "2000", *WHO),
        ("rebill", "M1", "--from", "2024-10-29", *WHO),
        ("meter", "move-out", "M1", "--last-day", "2199-01-01", *WHO),
    ],
)
def test_whoever_names_the_old_device_is_told_the_new_one(site: Site, words: tuple[str, ...]) -> None:
    site.good("meter", "exchange", "M1", "N1", "--final-wh", "1400", *WHO)
    site.good("meter", "exchange", "N1", "O1", "--final-wh", "10", *WHO)
    with site.unchanged():
        refused(site.headend(*words), "the device M1 was exchanged: the meter is O1 now", status=3)


@pytest.mark.parametrize(
    ("words", "complaint", "status"),
    [
        (("M9", "N1", "--final-wh", "2000"), "meter M9 is not registered", 3),
        (("M1", "M2", "--final-wh", "2000"), "M2 is, or was, a registered meter", 4),
        (("M1", "M1", "--final-wh", "2000"), "M1 is, or was, a registered meter", 4),
        (("M1", "N1", "--final-wh", "999"), "has already reported more", 2),
        (("M1", "N1", "--final-wh", str(10**15)), "more than 2400000 Wh for each day", 2),
        (("M1", "N 1", "--final-wh", "2000"), "is not a meter id", 2),
        (("M1", "N1", "--final-wh", "-1"), "--final-wh", 2),
        (("M1", "N1", "--final-wh", str(10**30)), "--final-wh", 2),
        (("M1", "N1", "--final-wh", "2000", "--opening-wh", "1e3"), "--opening-wh", 2),
        (("M1", "N1"), "--final-wh", 2),
    ],
)
def test_wrong_words_change_nothing(site: Site, words: tuple[str, ...], complaint: str, status: int) -> None:
    with site.unchanged():
        done = site.headend("meter", "exchange", *words, *WHO)
    assert (done.status, complaint in done.complaint) == (status, True), done


@pytest.mark.parametrize("missing", ["--actor", "--reason"])
def test_nobody_exchanges_without_a_name_and_a_reason(site: Site, missing: str) -> None:
    words = [word for pair in (WHO[:2], WHO[2:]) if pair[0] != missing for word in pair]
    with site.unchanged():
        refused(site.headend("meter", "exchange", "M1", "N1", "--final-wh", "1400", *words, missing, " "), missing)


def test_exchange_back_and_a_new_meter_of_an_old_id_are_refused(site: Site) -> None:
    site.good("meter", "exchange", "M1", "N1", "--final-wh", "1400", *WHO)
    refused(site.headend("meter", "exchange", "N1", "M1", "--final-wh", "5", *WHO), "is, or was", status=4)
    done = site.headend("meter", "add", "M1", "--region", "R1", "--gateway", "G1")
    assert done.status == 4, done
    site.audit_in_flight()


def test_story_is_told_over_both_ids(site: Site) -> None:
    site.good("meter", "exchange", "M1", "N1", "--final-wh", "1400", *WHO)
    story = site.good("evidence", "N1", "--json").json()["story"]
    told = [row for row in story if row.get("kind") == "METER_EXCHANGED"]
    assert [(row["subject"], row["actor"], row["reason"]) for row in told] == [
        ("meter/M1", "clerk", "display broken")
    ]


class Gateway:
    """A gateway that hears its commands and says what the test tells it to."""

    def __init__(self, port: int) -> None:
        self.credits: list[tuple[str, int, int]] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"{G1.topic(Channel.COMMANDS)}", qos=1)
        self._client.loop_start()

    def _hear(self, client: Any, user: Any, message: Any) -> None:
        _, channel = parse_topic(message.topic)
        commands = decode(channel, message.payload)
        assert isinstance(commands, Commands)
        for command in commands.commands:
            if isinstance(command, CreditCommand):
                self.credits.append((command.meter, command.seq, command.credit_total_micros))

    def say(self, channel: Channel, message: Any) -> None:
        self._client.publish(G1.topic(channel), encode(message), qos=1).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_exchange_beside_a_running_head_end(site: Site, mosquitto: int) -> None:
    """The new device gets all credit at once, its readings count, the old one's no more."""
    now_s = 1_730_300_000
    site.good("recharge", "M1", "10", "--reference", "PAY-1")
    with serving(site, mosquitto, HEADEND_ANSWER_TIMEOUT_S="1") as serve:
        gateway = Gateway(mosquitto)
        counters = [
            MeterCounters(
                meter=meter, reading_seq=0, register_wh=1_000, credit_seq=0, credit_total_micros=0,
                relay_version=0, relay=RelayPosition.CLOSED,
            )
            for meter in ("M1", "M2")
        ]  # fmt: skip
        gateway.say(Channel.HELLO, Hello(frame=1, sent_at_s=now_s, meters=counters))
        wait_until(lambda: ("M1", 1, 10_000_000) in gateway.credits)

        def answer(meter: str, seq: int, total_micros: int) -> None:
            result = CreditResult(
                meter=meter, seq=seq, credit_total_micros=total_micros, outcome=Outcome.APPLIED, at_s=now_s
            )
            gateway.say(Channel.RESULTS, Results(sent_at_s=now_s, results=[result]))

        answer("M1", 1, 10_000_000)
        wait_until(lambda: site.rows("SELECT state FROM delivery") == [("APPLIED",)])
        site.good("recharge", "M1", "5", "--reference", "PAY-2")
        wait_until(lambda: ("M1", 2, 15_000_000) in gateway.credits)
        answer("M1", 2, 15_000_000)
        wait_until(lambda: site.rows("SELECT DISTINCT state FROM delivery") == [("APPLIED",)])

        site.good("meter", "exchange", "M1", "N1", "--final-wh", "1400", *WHO)
        wait_until(lambda: ("N1", 2, 15_000_000) in gateway.credits)
        gateway.say(
            Channel.READINGS,
            Readings(
                frame=2, sent_at_s=now_s, kind=ReadingKind.INTERVAL, meters=["N1", "M1"], seqs=[1, 900],
                at_s=[now_s, now_s], registers_wh=[25, 1_500], relays_open=[],
            ),
        )  # fmt: skip
        answer("N1", 2, 15_000_000)
        wait_until(lambda: site.rows("SELECT DISTINCT state FROM delivery") == [("APPLIED",)])
        wait_until(lambda: site.rows("SELECT register_wh FROM register WHERE meter_key = 1") == [(1_425,)])
        gateway.close()
        assert serve.ask_to_stop() == 0
    assert site.rows("SELECT code FROM dead_letter") == [("ROWS_REFUSED",)]
    assert site.good("exceptions", "list", "--json").json() == []
    done = site.headend("audit")
    assert done.status == 0, done.output


def test_register_of_a_lost_device_is_entered_by_a_person(site: Site) -> None:
    day = {"HEADEND_CLOCK": f"2024-11-02T10:00:00+05:30@{time.time()}x1"}
    enter = ("meter", "reading", "M1", "--day", "2024-10-29", "--register-wh", "1000")
    with site.unchanged():
        refused(site.headend("meter", "reading", "M9", *enter[3:], *WHO, **day), "M9 is not registered", status=3)
        refused(
            site.headend(*enter[:4], "2024-02-30", *enter[5:], *WHO, **day), "--day '2024-02-30' is not a date"
        )
        refused(site.headend(*enter[:4], "2024-11-02", *enter[5:], *WHO, **day), "is not over yet")
        refused(site.headend(*enter, "--at", "24:00", *WHO, **day), "--at '24:00' is not a time of day")
        refused(site.headend(*enter[:-1], "999", *WHO, **day), "showed 1000 and 1000 Wh")
    done = site.good(*enter, *WHO, **day)
    assert done.output == "ENTERED: 1,000 Wh of M1 at the end of 2024-10-29\n"
    assert site.good(*enter, *WHO, **day).output.startswith("EXISTS: ")
    assert "READING_ENTERED of meter/M1 by clerk: display broken" in site.good("evidence", "M1").output
    site.audit_in_flight()


def test_registers_of_a_batch_are_entered_line_by_line(site: Site) -> None:
    day = {"HEADEND_CLOCK": f"2024-11-02T10:00:00+05:30@{time.time()}x1"}
    text = "M1,2024-10-29,1000\n\nM1,2024-10-29,1000\nM1,2024-10-29,999\nM9,2024-10-29,1\nM1,2024-10-29,x\nM1\n"
    done = site.headend("meter", "reading", "--batch", "-", *WHO, text=text, **day)
    answers = [json.loads(line) for line in done.output.splitlines()]
    assert [(answer["line"], answer["outcome"]) for answer in answers] == [
        (1, "ENTERED"),
        (3, "EXISTS"),
        (4, "EXISTS_DIFFERENT"),
        (5, "UNKNOWN_METER"),
        (6, "REFUSED"),
        (7, "REFUSED"),
    ]
    assert "not METER,DAY,WH" in answers[-1]["error"]
    assert done.status == 2
    assert "4 registers" in done.complaint
    site.audit_in_flight()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--batch", "-"), "no line METER,DAY,WH"),
        (("M1", "--batch", "-"), "--batch reads meters"),
        (("M1",), "say METER --day DAY"),
    ],
)
def test_a_register_needs_a_meter_and_a_day(words: tuple[str, ...], complaint: str, site: Site) -> None:
    with site.unchanged():
        refused(site.headend("meter", "reading", *words, *WHO, text=""), complaint)


def test_meter_of_a_category_without_a_price_hides_no_other(site: Site) -> None:
    site.good("meter", "add", "M3", "--region", "R1", "--gateway", "G1", "--category", "nosuch")
    listed = {row["meter"]: row["balance_micros"] for row in site.good("meter", "list", "--json").json()["meters"]}
    assert listed == {"M1": 0, "M2": 0, "M3": None}
    assert "no price" in site.good("meter", "list").output
    refused(site.headend("balance", "M3"), "no balance can be shown", "nosuch", "headend tariff list")
