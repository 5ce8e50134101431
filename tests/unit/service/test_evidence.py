"""The audit log verifies and shows tampering; stories gather everything in order."""

from collections.abc import Iterator
from datetime import date

import pytest
from unit.service.fleet_of_rows import DAY, NOON_S, RUPEE, ZONE, key_of, recharge, register, store_with

from headend.adapters.sqlite import SqliteStore
from headend.domain.evidence import Act, ActKind
from headend.domain.exception_kind import ExceptionKind
from headend.service.evidence import check_acts, story_of_outage
from headend.service.journal import HEADEND_SUBJECT, OutageKind
from headend.service.notices import notice_of_recharge
from headend.service.ports import MAX_TIME_S, UnitOfWork
from headend.service.resolutions import Outcome, resolve_exception


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    made = store_with("M1", "M2")
    with made.transaction() as uow:
        register(uow, "M3", gateway="G2", region="R2")
    yield made
    made.close()


def act(number: int = 1, subject: str = "meter/M1") -> Act:
    return Act(NOON_S + number, "a clerk", ActKind.REVERSAL, subject, f"reason {number}", {"number": number})


def story(uow: UnitOfWork, meter: str = "M1", from_s: int = 0, to_s: int = MAX_TIME_S) -> list[str]:
    return [row.what for row in uow.story_of_meter(meter, from_s, to_s)]


# --- the chain ----------------------------------------------------------------------------------------------


def test_chain_is_the_same_in_one_go_and_one_by_one(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.record_acts([act(1), act(2), act(3)])
        together = [row.chain_hash for row in uow.acts()]
    other = store_with("M1")
    with other.transaction() as uow:
        for number in (1, 2, 3):
            uow.record_act(act(number))
        uow.record_acts([])
        assert [row.chain_hash for row in uow.acts()] == together
        assert [row.act_id for row in uow.acts()] == [1, 2, 3]
        assert check_acts(uow) == []
    other.close()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE act SET at_s = at_s - 1 WHERE act_id = 2", ["act 2"]),
        ("UPDATE act SET actor = 'somebody else' WHERE act_id = 2", ["act 2"]),
        ("UPDATE act SET reason = 'another' WHERE act_id = 2", ["act 2"]),
        ("UPDATE act SET basis = '{}' WHERE act_id = 2", ["act 2"]),
        ("UPDATE act SET subject = 'meter/M2' WHERE act_id = 3", ["act 3"]),
        ("DELETE FROM act WHERE act_id = 2", ["act 3"]),
        ("DELETE FROM act WHERE act_id = 1", ["act 2"]),
        ("UPDATE act SET reason = '' WHERE act_id = 1", ["act 1", "act 1"]),
        ("UPDATE act SET chain_hash = zeroblob(32) WHERE act_id = 1", ["act 1", "act 2"]),
    ],
)
def test_changed_or_missing_act_is_found(store: SqliteStore, change: str, found: list[str]) -> None:
    with store.transaction() as uow:
        uow.record_acts([act(1), act(2), act(3)])
    store._connection.execute(change)
    with store.view() as uow:
        assert [subject for subject, _ in check_acts(uow)] == found


def test_what_was_done_without_an_act_is_found(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.record_acts(
            [act(1), Act(NOON_S, "a clerk", ActKind.RELEASED, "meter/M1", "r", {"requested_by": "a clerk"})]
        )
        uow.add_exception(ExceptionKind.CLOCK_AHEAD, key_of(uow, "M1"), "an hour ahead", NOON_S)
        uow.resolve_exceptions([(key_of(uow, "M1"), "CLOCK_AHEAD")], "a clerk", "set right", NOON_S + 9)
        uow.add_exception(ExceptionKind.CLOCK_AHEAD, key_of(uow, "M2"), "an hour ahead", NOON_S)
        uow.resolve_exceptions([(key_of(uow, "M2"), "CLOCK_AHEAD")], "headend", "it is right again", NOON_S + 9)
        recharge(uow, "M1", "PAY-1", 100)
        uow.declare_moratorium(None, NOON_S, NOON_S + 10, "Diwali", "the chairman", NOON_S)
        assert uow.end_moratorium(1, "the chairman", NOON_S + 5)
    store._connection.execute(
        "INSERT INTO disconnection (meter_key, requested_at_s, requested_by, origin, reason, state, basis,"
        " decided_at_s, decided_by, relay_version)"
        f" VALUES (1, {NOON_S}, 'a clerk', 'ORDER', 'no credit', 'ISSUED', '{{}}', {NOON_S}, 'a clerk', 1)"
    )
    store._connection.execute("UPDATE transfer SET kind = 'REVERSAL', corrects = 1")
    with store.view() as uow:
        assert sorted(check_acts(uow)) == [
            ("act 2", "released by a clerk, who had wished it: a second person has to"),
            ("meter M1", "exception CLOCK_AHEAD resolved by a clerk without an act"),
            ("meter M1", "no act of a cut says what disconnection 1 does"),
            ("moratorium 1", "declared without an act that says the same"),
            ("moratorium 1", "ended without an act"),
            ("transfer 1", "PAY-1 reverses without an act"),
        ]


# --- a meter's story ----------------------------------------------------------------------------------------


def test_story_has_all_that_happened_in_order(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, "ended without a word", NOON_S)
        notice_of_recharge(key_of(uow, "M1"), recharge(uow, "M1", "PAY-1", 100, NOON_S + 1), uow)
        uow.add_exception(ExceptionKind.CLOCK_AHEAD, key_of(uow, "M1"), "an hour ahead", NOON_S + 2)
        uow.issue_relay("M1", "open", "no credit", NOON_S + 3 + 3_600, NOON_S + 3)
        uow.end_outage(OutageKind.HEADEND, HEADEND_SUBJECT, NOON_S + 4)
        resolved = resolve_exception("M1", "CLOCK_AHEAD", "a clerk", "set right", uow, NOON_S + 5)
        assert resolved.outcome is Outcome.RESOLVED
        uow.record_act(Act(NOON_S + 6, "headend", ActKind.RECOVERY_PHASE, "region/R1", "credits first"))
        uow.record_act(Act(NOON_S + 7, "a clerk", ActKind.REVERSAL, "transfer/PAY-1", "paid by mistake"))
        assert story(uow) == [
            "OUTAGE",
            "RECHARGE",
            "NOTICE",
            "EXCEPTION",
            "RELAY",
            "OUTAGE_ENDED",
            "EXCEPTION_CLOSED",
            "ACT",
            "ACT",
            "ACT",
        ]
        assert story(uow, from_s=NOON_S + 2, to_s=NOON_S + 4) == ["EXCEPTION", "RELAY"]


def test_recharge_is_told_with_its_four_facts(store: SqliteStore) -> None:
    with store.transaction() as uow:
        recharge(uow, "M1", "PAY-1", 100)
        uow.apply_credits([(key_of(uow, "M1"), 1, NOON_S + 90, 100 * RUPEE)])
        (row,) = uow.story_of_meter("M1", 0, MAX_TIME_S)
    times = {name: row.facts[f"{name}_s"] for name in ("accepted", "posted", "sent", "applied")}
    assert times == {"accepted": NOON_S, "posted": NOON_S, "sent": NOON_S + 90, "applied": NOON_S + 90}
    assert (row.facts["reference"], row.facts["amount_micros"]) == ("PAY-1", 100 * RUPEE)


def test_story_of_others_is_not_told(store: SqliteStore) -> None:
    with store.transaction() as uow:
        recharge(uow, "M2", "PAY-2", 100)
        uow.record_acts([act(1, "meter/M2"), act(2, "region/R2"), act(3, "transfer/PAY-2"), act(4, "meter/M11")])
        uow.begin_outage(OutageKind.GATEWAY, "R2/G2", "nothing came", NOON_S)
        assert story(uow) == []
        assert story(uow, "M3") == ["OUTAGE", "ACT"]


def test_resolved_exception_is_an_act_of_its_actor(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.add_exception(ExceptionKind.CREDIT_AHEAD, key_of(uow, "M1"), "5 at the meter, 0 ours", NOON_S)
        resolved = resolve_exception("M1", "CREDIT_AHEAD", "a clerk", "meter was exchanged", uow, NOON_S + 9)
        assert resolved.outcome is Outcome.RESOLVED
        resolved = resolve_exception("M1", "CREDIT_AHEAD", "a clerk", "again", uow, NOON_S + 9)
        assert resolved.outcome is Outcome.NOT_OPEN
        resolved = resolve_exception("M9", "CREDIT_AHEAD", "a clerk", "no such meter", uow, NOON_S + 9)
        assert resolved.outcome is Outcome.NOT_OPEN
        (row,) = uow.acts()
    assert (row.kind, row.subject, row.actor, row.reason) == (
        "EXCEPTION_RESOLVED",
        "meter/M1",
        "a clerk",
        "meter was exchanged",
    )
    assert "5 at the meter" in row.basis


# --- an outage's story --------------------------------------------------------------------------------------


def test_outage_counts_what_was_accepted_and_applied_meanwhile(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, "ended without a word", NOON_S)
        recharge(uow, "M1", "BEFORE", 10, NOON_S - 1)
        recharge(uow, "M1", "PAY-1", 100, NOON_S)
        recharge(uow, "M3", "PAY-2", 50, NOON_S + 99)
        uow.end_outage(OutageKind.HEADEND, HEADEND_SUBJECT, NOON_S + 100)
        recharge(uow, "M2", "AFTER", 10, NOON_S + 100)
        uow.apply_credits([(key_of(uow, "M1"), 2, NOON_S + 200, 110 * RUPEE)])
        told = story_of_outage(1, ZONE, uow, NOON_S + 500)
        assert told is not None
        assert story_of_outage(2, ZONE, uow, NOON_S + 500) is None
    assert told.totals["meters"] == 3
    assert (told.totals["recharges_accepted"], told.totals["recharged_micros"]) == (2, 150 * RUPEE)
    assert (told.totals["recharges_applied"], told.totals["last_applied_at_s"]) == (1, NOON_S + 200)
    assert told.until_s == NOON_S + 100
    assert [row.what for row in told.story] == ["OUTAGE", "OUTAGE_ENDED"]


def test_gateways_outage_is_told_of_its_meters_alone(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.begin_outage(OutageKind.GATEWAY, "R2/G2", "nothing came", NOON_S)
        recharge(uow, "M1", "PAY-1", 100, NOON_S + 1)
        recharge(uow, "M3", "PAY-2", 50, NOON_S + 1)
        uow.record_act(Act(NOON_S + 1, "headend", ActKind.RECOVERY_PHASE, "region/R2", "credits first"))
        uow.record_act(Act(NOON_S + 1, "headend", ActKind.RECOVERY_PHASE, "region/R1", "credits first"))
        told = story_of_outage(1, ZONE, uow, NOON_S + 500)
    assert told is not None
    assert (told.region, told.until_s) == ("R2", NOON_S + 500)
    assert (told.totals["meters"], told.totals["recharges_accepted"]) == (1, 1)
    assert [(row.what, row.facts.get("subject")) for row in told.story] == [
        ("OUTAGE", "R2/G2"),
        ("ACT", "region/R2"),
    ]


def test_outage_counts_its_billing_days(store: SqliteStore) -> None:
    assert date.fromordinal(DAY).isoformat() == "2024-10-30"
    with store.transaction() as uow:
        uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, "ended without a word", NOON_S)
        uow.end_outage(OutageKind.HEADEND, HEADEND_SUBJECT, NOON_S + 3 * 86_400)
        told = story_of_outage(1, ZONE, uow, NOON_S + 3 * 86_400)
        assert told is not None
        assert (told.totals["days_settled"], told.totals["days_open"]) == (0, 3 * 3)
