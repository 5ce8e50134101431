"""The judge has to see each kind of harm: every test here does one thing wrong to a run without fault."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from meter_sim.lab.evidence import ABSENT, Bulk, Evidence, Move, Order, Posted, Request
from meter_sim.lab.judge import Rules, Verdict, judge
from meter_sim.lab.promises import BIHAR, Promises

ZONE = ZoneInfo("Asia/Kolkata")
RULES = Rules(Promises({"": ((0, 10),)}), ZONE, open_expires_after_s=1_000)


def answer(outcome: str, transfer_id: int = 1, accepted_at_s: int = 100) -> dict[str, Any]:
    return {"outcome": outcome, "transfer_id": transfer_id, "accepted_at_s": accepted_at_s}


def sound() -> Evidence:
    """Two meters, two recharges (one submitted twice, one reused), a relay opened and closed, one day."""
    return Evidence(
        requests=[
            Request("up", "M1", 500, "A", answer("RECORDED")),
            Request("down", "M2", 700, "B", None),
            Request("down", "M2", 700, "B", answer("EXISTS", 2, 110)),
            Request("down", "M1", 500, "A", answer("EXISTS")),
            Request("down", "M1", 900, "A", answer("EXISTS_DIFFERENT")),
        ],
        orders=[Order("M1", "open", 1, 200), Order("M1", "closed", 2, 400)],
        posted=[Posted("A", "M1", 500, 100, 100, 105, 106), Posted("B", "M2", 700, 110, 110, 111, 150)],
        charges=[("charge/2024-10-30/M1", "M1", 50), ("charge/2024-10-30/M2", "M2", 70)],
        counters_micros={"M1": 500, "M2": 700},
        moves=[Move("M1", 1, "open", 300), Move("M1", 2, "closed", 500)],
        meters=["M1", "M2"],
        taken_wh=np.array([[1, 5], [2, 7]]),
        taken_at_s=np.array([500, 1_000]),
        held_wh=np.array([[1, 5], [2, 7]]),
        midnights=[("", 0, np.array([0, 0])), ("2024-10-30", 1_000, np.array([5, 7]))],
    )


def failed(verdict: Verdict) -> set[str]:
    return {check.check_id for check in verdict.checks if not check.ok}


def test_a_sound_run_passes() -> None:
    verdict = judge(sound(), RULES)
    assert failed(verdict) == set()
    assert verdict.ok
    assert (verdict.recharges, verdict.recharges_during_outage) == (2, 1)
    assert (verdict.submitted_twice, verdict.submitted_three_times, verdict.refused) == (1, 0, 1)
    assert (verdict.credits_lost, verdict.credits_doubled, verdict.relays_opened_by_outage) == (0, 0, 0)


def test_a_credit_missing_at_the_meter_is_lost() -> None:
    evidence = sound()
    del evidence.counters_micros["M2"]
    verdict = judge(evidence, RULES)
    assert failed(verdict) == {"credits-lost"}
    assert (verdict.credits_lost, verdict.credits_doubled) == (1, 0)


def test_a_credit_twice_at_the_meter_is_doubled() -> None:
    evidence = sound()
    evidence.counters_micros["M1"] = 1_000
    verdict = judge(evidence, RULES)
    assert failed(verdict) == {"credits-doubled"}
    assert (verdict.credits_lost, verdict.credits_doubled) == (0, 1)


def test_lost_and_doubled_credits_are_counted_one_by_one() -> None:
    evidence = sound()
    evidence.requests.append(Request("up", "M1", 300, "C", answer("RECORDED", 3)))
    evidence.requests.append(Request("up", "M1", 200, "D", answer("RECORDED", 4)))
    evidence.counters_micros["M1"] = 200
    assert judge(evidence, RULES).credits_lost == 2
    evidence.counters_micros["M1"] = 2_000
    assert judge(evidence, RULES).credits_doubled == 3


def test_a_credit_that_nobody_asked_for_is_doubled() -> None:
    evidence = sound()
    evidence.counters_micros["M9"] = 1
    assert judge(evidence, RULES).credits_doubled == 1


def move_unordered(evidence: Evidence) -> None:
    evidence.moves.append(Move("M2", 1, "open", 300))


def move_after_replacement(evidence: Evidence) -> None:
    evidence.moves[0] = Move("M1", 1, "open", 401)


def move_after_expiry(evidence: Evidence) -> None:
    del evidence.orders[1]
    evidence.moves[0] = Move("M1", 1, "open", 1_201)


def move_against_the_order(evidence: Evidence) -> None:
    evidence.orders[0] = Order("M1", "closed", 1, 200)


@pytest.mark.parametrize(
    "spoil", [move_unordered, move_after_replacement, move_after_expiry, move_against_the_order]
)
def test_a_relay_opened_without_an_order_in_force_is_counted(spoil: Callable[[Evidence], None]) -> None:
    evidence = sound()
    spoil(evidence)
    verdict = judge(evidence, RULES)
    assert "relays" in failed(verdict) <= {"relays", "wrong-cuts", "supplied"}
    assert verdict.relays_opened_by_outage == 1


def test_an_order_on_its_way_may_be_carried_out_within_the_slack() -> None:
    evidence = sound()
    move_after_replacement(evidence)
    assert judge(evidence, replace(RULES, slack_s=1)).ok


def accepted_but_not_posted(evidence: Evidence) -> None:
    del evidence.posted[1]


def posted_twice(evidence: Evidence) -> None:
    evidence.posted.append(evidence.posted[0])


def posted_to_another_meter(evidence: Evidence) -> None:
    evidence.posted[0] = replace(evidence.posted[0], meter="M2")


def posted_but_never_accepted(evidence: Evidence) -> None:
    evidence.posted.append(replace(evidence.posted[0], reference="X"))


@pytest.mark.parametrize(
    "spoil", [accepted_but_not_posted, posted_twice, posted_to_another_meter, posted_but_never_accepted]
)
def test_a_ledger_that_differs_from_what_was_accepted_is_seen(spoil: Callable[[Evidence], None]) -> None:
    evidence = sound()
    spoil(evidence)
    assert failed(judge(evidence, RULES)) == {"ledger"}


def spoil_answer(index: int, content: dict[str, Any] | None) -> Callable[[Evidence], None]:
    def spoil(evidence: Evidence) -> None:
        evidence.requests[index] = replace(evidence.requests[index], answer=content)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "check_id"),
    [
        (spoil_answer(3, answer("RECORDED")), "same-answer"),
        (spoil_answer(3, answer("EXISTS", 9)), "same-answer"),
        (spoil_answer(3, answer("EXISTS_DIFFERENT")), "refused"),
        (spoil_answer(4, answer("EXISTS")), "refused"),
        (spoil_answer(4, {"outcome": "UNKNOWN_METER"}), "answered"),
    ],
)
def test_a_wrong_answer_is_seen(spoil: Callable[[Evidence], None], check_id: str) -> None:
    evidence = sound()
    spoil(evidence)
    assert failed(judge(evidence, RULES)) == {check_id}


def test_a_request_that_was_never_answered_is_not_passed_over() -> None:
    evidence = sound()
    evidence.requests.append(Request("down", "M1", 100, "Z", None))
    assert failed(judge(evidence, RULES)) == {"answered"}


@pytest.mark.parametrize("times", [(100, 99, 105, 106), (100, 100, 107, 106), (100, 100, 105, None)])
def test_facts_out_of_order_are_seen(times: tuple[int, int, int, int | None]) -> None:
    evidence = sound()
    evidence.posted[0] = Posted("A", "M1", 500, *times)
    assert failed(judge(evidence, RULES)) == {"four-facts"}


@pytest.mark.parametrize("held", [ABSENT, 6])
def test_a_reading_missing_or_changed_in_the_store_is_seen(held: int) -> None:
    evidence = sound()
    evidence.held_wh[0, 1] = held
    assert failed(judge(evidence, RULES)) == {"readings"}


def test_a_day_not_charged_is_seen() -> None:
    evidence = sound()
    del evidence.charges[0]
    assert failed(judge(evidence, RULES)) == {"days"}


@pytest.mark.parametrize(
    "charge", [("charge/2024-10-30/M1", "M1", 50), ("charge/2024-10-31/M1", "M1", 50), ("other", "M2", 1)]
)
def test_a_charge_too_many_is_seen(charge: tuple[str, str, int]) -> None:
    evidence = sound()
    evidence.charges.append(charge)
    assert failed(judge(evidence, RULES)) == {"days"}


def test_an_order_of_the_head_end_itself_is_none_where_nobody_is_cut_for_debt() -> None:
    evidence = sound()
    evidence.moves.append(Move("M2", 1, "open", 300))
    evidence.orders_by_rule.append(Order("M2", "open", 1, 290, 400))
    assert {"relays", "wrong-cuts"} <= failed(judge(evidence, RULES))


@pytest.mark.parametrize("counts", [{"ISSUED": 1, "REFUSED": 9}, {"ISSUED": 0, "REFUSED": 9}])
def test_a_list_of_homes_of_which_one_was_cut_or_forgotten_is_seen(counts: dict[str, int]) -> None:
    evidence = sound()
    evidence.bulks.append(Bulk(100, 10, counts))
    assert failed(judge(evidence, RULES)) == {"bulk-orders"}


@pytest.mark.parametrize("code", ["BAD_SIGNATURE", "UNKNOWN_KEY", "FUTURE_DATED"])
def test_a_command_that_a_meter_could_not_trust_is_seen(code: str) -> None:
    evidence = sound()
    evidence.refusals[code] = 1
    assert failed(judge(evidence, RULES)) == {"signed"}


def test_a_meter_that_never_held_a_policy_is_seen() -> None:
    evidence = sound()
    evidence.categories = dict.fromkeys(evidence.meters, "rural")
    evidence.with_policy = 1
    assert "signed" in failed(judge(evidence, replace(RULES, promises=BIHAR)))
