"""The judge has to see each kind of wrong cut: every test here spoils one that was right."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from meter_sim.lab.accounts import PAISA_MICROS, Debt, open_accounts
from meter_sim.lab.cuts import Cuts, judge_cuts
from meter_sim.lab.evidence import Evidence, Move, Order, Plan, Request
from meter_sim.lab.promises import BIHAR

ZONE = ZoneInfo("Asia/Kolkata")
HOUR_S = 3_600
DAYS = 20
START = datetime(2024, 10, 26, tzinfo=ZONE)
HOURLY_WH = 100
RUPEE = 1_000_000


def at(local: str) -> int:
    return int(datetime.fromisoformat(local).replace(tzinfo=ZONE).timestamp())


OUTAGE = at("2024-10-31T17:00"), at("2024-11-01T06:00")


def recharge(reference: str, rupees: int, local: str, meter: str = "M1") -> Request:
    answer = {"outcome": "RECORDED", "transfer_id": 1, "accepted_at_s": at(local)}
    return Request("up", meter, rupees * RUPEE, reference, answer)


def right() -> Evidence:
    """One rural home draws 100 Wh an hour (Rs 0.245), pays Rs 30 on the first day, has none left on 31 October.

    It is told on 6 November, and cut on the 11th.
    """
    start_s = at("2024-10-26T00:00")
    midnights = [("", start_s, np.array([0]))]
    for day in range(DAYS):
        begins, ends = START + timedelta(days=day), START + timedelta(days=day + 1)
        midnights.append((begins.date().isoformat(), int(ends.timestamp()), np.array([2_400 * (day + 1)])))
    hours = np.arange(DAYS * 24)
    return Evidence(
        requests=[recharge("A", 30, "2024-10-26T00:00")],
        counted={"M1": [(at("2024-10-26T00:05"), 30 * RUPEE)]},
        orders_by_rule=[Order("M1", "open", 1, at("2024-11-11T11:20"), at("2024-11-11T11:45"))],
        told_s={"M1": at("2024-11-06T09:00")},
        moves=[Move("M1", 1, "open", at("2024-11-11T11:20"), 40_000)],
        meters=["M1"],
        categories={"M1": "rural"},
        taken_wh=hours[None, :] * HOURLY_WH,
        taken_at_s=start_s + hours * HOUR_S,
        midnights=midnights,
    )


def judged(evidence: Evidence) -> Cuts:
    return judge_cuts(evidence, BIHAR, open_accounts(evidence, BIHAR, ZONE), [OUTAGE])


def test_a_home_in_debt_for_days_is_cut_rightly_after_outage_grace_and_holidays() -> None:
    cuts = judged(right())
    assert (cuts.wrong, cuts.left_dark, cuts.back_after_outage) == ([], [], [])
    assert (cuts.before_outage, cuts.after_grace, cuts.at_zero_in_outage, cuts.spared) == (0, 1, 1, 1)


def test_debt_begins_with_the_first_reading_that_shows_no_credit() -> None:
    account = open_accounts(right(), BIHAR, ZONE)["M1"]
    (debt,) = account.debts()
    assert debt == Debt(at("2024-10-31T03:00"), None)
    assert account.balance_micros(at("2024-10-31T02:00"), 122 * HOURLY_WH) > PAISA_MICROS


def cut_at(local: str) -> Callable[[Evidence], None]:
    def spoil(evidence: Evidence) -> None:
        evidence.moves[0] = replace(evidence.moves[0], at_s=at(local))

    return spoil


def in_credit(evidence: Evidence) -> None:
    evidence.requests.append(recharge("B", 500, "2024-11-10T09:00"))
    evidence.counted["M1"].append((at("2024-11-10T09:05"), 530 * RUPEE))


def unsettled_recharge(evidence: Evidence) -> None:
    evidence.requests.append(recharge("B", 1, "2024-11-11T11:10"))


def in_grace(evidence: Evidence) -> None:
    # It was in credit until the morning of the ninth.
    evidence.requests.append(recharge("B", 53, "2024-10-31T01:00"))
    evidence.counted["M1"].append((at("2024-10-31T01:05"), 83 * RUPEE))


def not_told(evidence: Evidence) -> None:
    evidence.told_s.clear()


def told_too_late(evidence: Evidence) -> None:
    evidence.told_s["M1"] = at("2024-11-11T10:30")


def in_a_plan(evidence: Evidence) -> None:
    evidence.plans.append(Plan("M1", at("2024-11-01T07:00"), None))


def a_stranger(evidence: Evidence) -> None:
    evidence.moves[0] = replace(evidence.moves[0], meter="M9")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut_at("2024-11-11T10:59:59"), "in protected time"),
        (cut_at("2024-11-11T13:00"), "in protected time"),
        (cut_at("2024-11-07T12:00"), "in protected time"),
        (cut_at("2024-11-10T12:00"), "in protected time"),
        (cut_at("2024-11-04T05:59"), "grace after it"),
        (in_credit, "in credit by"),
        (unsettled_recharge, "with a recharge on its way"),
        (in_grace, "hours after its credit ended"),
        (not_told, "not told in time"),
        (told_too_late, "not told in time"),
        (in_a_plan, "in an arrears plan"),
        (a_stranger, "no such meter"),
    ],
)
def test_a_wrong_cut_is_counted_with_its_reason(spoil: Callable[[Evidence], None], words: str) -> None:
    evidence = right()
    spoil(evidence)
    cuts = judged(evidence)
    assert len(cuts.wrong) == 1
    assert words in cuts.wrong[0]
    assert (cuts.before_outage, cuts.after_grace) == (0, 0)


def test_a_plan_that_has_ended_protects_no_more() -> None:
    evidence = right()
    evidence.plans.append(Plan("M1", at("2024-11-01T07:00"), at("2024-11-08T00:10")))
    assert judged(evidence).wrong == []


def test_a_home_in_credit_that_stays_dark_is_seen() -> None:
    evidence = right()
    evidence.requests.append(recharge("B", 500, "2024-11-11T15:00"))
    cuts = judged(evidence)
    assert cuts.wrong == []
    assert len(cuts.left_dark) == 1


def test_supply_that_comes_back_after_the_outage_is_timed_from_its_end() -> None:
    evidence = right()
    evidence.requests[0] = recharge("A", 5, "2024-10-26T00:00")
    evidence.counted["M1"] = [(at("2024-10-26T00:05"), 5 * RUPEE), (OUTAGE[1] + 60, 505 * RUPEE)]
    evidence.requests.append(recharge("B", 500, "2024-10-31T19:00"))
    evidence.told_s["M1"] = at("2024-10-26T22:00")
    evidence.moves = [
        Move("M1", 1, "open", at("2024-10-30T11:30"), 10_000),
        Move("M1", 2, "closed", OUTAGE[1] + 120, 10_000),
    ]
    assert judged(evidence).back_after_outage == [120]
