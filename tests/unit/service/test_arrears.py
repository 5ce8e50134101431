"""Arrears plans: what moves, once, and where the rest goes."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.service.region_bench import BY_DAY, BY_SHARE, DAY, PRICE, RUPEE, RegionBench

from headend.domain.arrears import ArrearsRules, PlanState
from headend.domain.evidence import ActKind
from headend.domain.ledger import TransferKind
from headend.domain.recovery import Phase
from headend.service.arrears import PlanOutcome
from headend.service.corrections import ReverseOutcome, reverse


@pytest.fixture
def bench() -> RegionBench:
    """M1 owes 100 rupees, M2 nothing; the second day has begun."""
    made = RegionBench()
    made.register("M1", "M2")
    made.use("M1", 100)
    return made


def by_share() -> RegionBench:
    made = RegionBench(BY_SHARE)
    made.register("M1", "M2")
    made.use("M1", 100)
    return made


def references(bench: RegionBench, kind: str) -> list[tuple[str, int]]:
    return [(transfer.reference, transfer.amount_micros // RUPEE) for transfer in bench.transfers(kind)]


def check_books(bench: RegionBench) -> None:
    """The sum over all accounts is 0, and each plan's account holds just what is left of it."""
    assert bench.violations() == []
    assert bench.total() == 0
    for plan in bench.plans():
        held = bench.code_balance(f"arrears/{plan.meter}/{plan.plan_id}")
        assert held == (-plan.left_micros if plan.state is PlanState.ACTIVE else 0)
        assert (plan.state is PlanState.PAID) == (plan.left_micros == 0)
        assert (plan.state is PlanState.ACTIVE) == (plan.ended_at_s is None)


# making -----------------------------------------------------------------------------------------------------


def test_plan_takes_the_debt_off_the_account(bench: RegionBench) -> None:
    planned = bench.plan("M1")
    assert planned.outcome is PlanOutcome.MADE
    assert bench.balance("M1") == 0
    assert bench.code_balance("arrears/M1/1") == -100 * RUPEE
    assert references(bench, TransferKind.ARREARS) == [("arrears/M1/1", 100)]
    (plan,) = bench.plans("M1")
    assert (plan.state, plan.debt_micros, plan.instalment_micros) == (PlanState.ACTIVE, 100 * RUPEE, 10 * RUPEE)
    assert (plan.from_day, plan.made_by) == (DAY + 1, "a clerk")
    check_books(bench)


def test_plan_for_a_part_leaves_the_rest_on_the_account(bench: RegionBench) -> None:
    assert bench.plan("M1", 60).debt_micros == 40 * RUPEE
    assert bench.balance("M1") == -40
    check_books(bench)


@pytest.mark.parametrize(
    ("meter", "amount", "outcome"),
    [
        ("M9", None, PlanOutcome.UNKNOWN_METER),
        ("M2", None, PlanOutcome.NO_DEBT),
        ("M1", 101, PlanOutcome.ABOVE_DEBT),
    ],
)
def test_plan_that_cannot_be_made_changes_nothing(
    bench: RegionBench, meter: str, amount: int | None, outcome: PlanOutcome
) -> None:
    assert bench.plan(meter, amount).outcome is outcome
    assert bench.plans() == []
    assert bench.transfers(TransferKind.ARREARS) == []


def test_meter_has_one_active_plan(bench: RegionBench) -> None:
    bench.plan("M1", 60)
    planned = bench.plan("M1")
    assert (planned.outcome, planned.debt_micros) == (PlanOutcome.PLAN_ACTIVE, 40 * RUPEE)
    assert planned.plan is not None
    assert planned.plan.plan_id == 1
    assert len(bench.plans()) == 1


def test_plans_and_their_ends_are_in_the_audit_log(bench: RegionBench) -> None:
    bench.plan("M1")
    bench.cancel("M1")
    with bench.store.view() as uow:
        acts = [(act.kind, act.actor, act.subject, act.reason) for act in uow.acts() if "PLAN" in act.kind]
    assert acts == [
        (ActKind.PLAN_MADE, "a clerk", "meter/M1", "agreed"),
        (ActKind.PLAN_ENDED, "a clerk", "meter/M1", "moved"),
    ]


def test_changed_balance_is_looked_at_again(bench: RegionBench) -> None:
    bench.query("UPDATE standing SET trip_wh = 5")
    bench.plan("M1")
    trips = "SELECT trip_wh FROM standing JOIN meter USING (meter_key) ORDER BY meter"
    assert bench.query(trips) == [(0,), (5,)]
    bench.query("UPDATE standing SET trip_wh = 5")
    bench.cancel("M1")
    assert bench.query(trips) == [(0,), (5,)]


# instalments ------------------------------------------------------------------------------------------------


def test_instalment_is_taken_with_each_settled_day(bench: RegionBench) -> None:
    bench.plan("M1")
    bench.recharge("M1", "PAY-1", 500)
    for day in range(1, 4):
        bench.use("M1", 5, day)
    assert references(bench, TransferKind.INSTALMENT) == [
        (f"instalment/M1/{date.fromordinal(DAY + day)}", 10) for day in range(1, 4)
    ]
    assert bench.balance("M1") == 500 - 3 * 15
    assert bench.plans("M1")[0].recovered_micros == 30 * RUPEE
    check_books(bench)


def test_days_before_the_plan_have_no_instalment() -> None:
    bench = RegionBench()
    bench.register("M1")
    bench.use("M1", 100)
    bench.at(5)
    bench.plan("M1")
    bench.snapshots("M1", [110 * RUPEE // PRICE] * 5, from_day=1)
    bench.at(6)
    bench.settle()
    assert [reference for reference, _ in references(bench, TransferKind.INSTALMENT)] == [
        f"instalment/M1/{date.fromordinal(DAY + 5)}"
    ]


def test_plan_is_paid_by_its_last_instalment_and_takes_no_more(bench: RegionBench) -> None:
    bench.plan("M1")
    bench.recharge("M1", "PAY-1", 500)
    for day in range(1, 13):
        bench.use("M1", 1, day)
    (plan,) = bench.plans("M1")
    assert plan.state is PlanState.PAID
    assert len(bench.transfers(TransferKind.INSTALMENT)) == 10
    assert bench.balance("M1") == 500 - 12 - 100
    assert bench.exceptions() == []
    check_books(bench)


def test_day_that_is_billed_anew_has_its_instalment_once(bench: RegionBench) -> None:
    bench.plan("M1")
    bench.recharge("M1", "PAY-1", 500)
    bench.use("M1", 5, 1)
    with bench.write() as uow:
        uow.reopen_days(bench.key("M1", uow), DAY + 1)
    bench.settle()
    assert len(bench.transfers(TransferKind.INSTALMENT)) == 1


def test_plan_that_is_not_kept_expires_and_is_listed(bench: RegionBench) -> None:
    bench.plan("M1")
    for day in range(1, 5):
        assert bench.plans("M1")[0].state is PlanState.ACTIVE
        bench.use("M1", 1, day)
    (plan,) = bench.plans("M1")
    assert (plan.state, plan.missed) == (PlanState.EXPIRED, 4)
    assert bench.exceptions() == [("M1", "PLAN_BROKEN")]
    assert bench.balance("M1") == -104, "as if there never had been a plan"
    assert references(bench, TransferKind.ARREARS) == [("arrears/M1/1", 100), ("arrears/M1/1/end", 60)]
    check_books(bench)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.NORMAL])
def test_day_that_settles_while_the_region_recovers_is_not_missed(bench: RegionBench, phase: Phase) -> None:
    bench.plan("M1")
    ended = None if phase is Phase.OUTAGE else 1
    bench.query("UPDATE region SET phase = ?, outage_ended_s = ?, grace_until_s = 1", phase, ended)
    for day in range(1, 9):
        bench.use("M1", 1, day)
    (plan,) = bench.plans("M1")
    assert (plan.state, plan.missed, plan.recovered_micros) == (PlanState.ACTIVE, 0, 80 * RUPEE)


def test_cancelled_plan_gives_the_rest_back(bench: RegionBench) -> None:
    bench.plan("M1")
    bench.recharge("M1", "PAY-1", 50)
    bench.use("M1", 5, 1)
    planned = bench.cancel("M1")
    assert (planned.outcome, planned.debt_micros) == (PlanOutcome.CANCELLED, 55 * RUPEE)
    assert bench.balance("M1") == 50 - 105
    assert bench.cancel("M1").outcome is PlanOutcome.NO_PLAN
    assert bench.cancel("M9").outcome is PlanOutcome.UNKNOWN_METER
    bench.use("M1", 5, 2)
    assert len(bench.transfers(TransferKind.INSTALMENT)) == 1
    check_books(bench)
    assert bench.plan("M1").outcome is PlanOutcome.MADE
    check_books(bench)


# shares -----------------------------------------------------------------------------------------------------


def test_share_is_kept_of_each_recharge_until_the_debt_is_paid() -> None:
    bench = by_share()
    bench.plan("M1")
    for number, rupees in enumerate((100, 200, 400), start=1):
        bench.recharge("M1", f"PAY-{number}", rupees)
    assert references(bench, TransferKind.INSTALMENT) == [
        ("instalment/PAY-1", 25),
        ("instalment/PAY-2", 50),
        ("instalment/PAY-3", 25),
    ]
    assert bench.plans("M1")[0].state is PlanState.PAID
    bench.recharge("M1", "PAY-4", 100)
    assert bench.balance("M1") == 700
    check_books(bench)


def test_share_is_kept_once_of_a_recharge() -> None:
    bench = by_share()
    bench.plan("M1")
    bench.recharge("M1", "PAY-1", 100)
    bench.recharge("M1", "PAY-1", 100)
    assert references(bench, TransferKind.INSTALMENT) == [("instalment/PAY-1", 25)]
    check_books(bench)


def test_share_of_a_recharge_that_came_after_the_day_does_not_help_that_day() -> None:
    bench = by_share()
    bench.plan("M1")
    bench.snapshots("M1", [130 * RUPEE // PRICE], from_day=1)
    bench.at(2, hour=1)
    bench.recharge("M1", "PAY-1", 60)
    bench.settle()
    (plan,) = bench.plans("M1")
    assert (bench.balance("M1"), plan.missed) == (15, 1)


def test_share_kept_of_a_later_recharge_is_no_debt_of_the_day_before() -> None:
    bench = by_share()
    bench.plan("M1")
    bench.snapshots("M1", [100 * RUPEE // PRICE], from_day=1)
    bench.at(2, hour=1)
    bench.recharge("M1", "PAY-1", 60)
    bench.settle()
    assert (bench.balance("M1"), bench.plans("M1")[0].missed) == (45, 0)


def test_next_consumers_recharge_pays_nobody_elses_debt() -> None:
    bench = by_share()
    bench.plan("M1")
    with bench.write() as uow:
        uow.move_to_account(bench.key("M1", uow), uow.add_account("consumer/M1/2", "M1"), DAY + 2)
    bench.recharge("M1", "PAY-1", 60)
    assert bench.transfers(TransferKind.INSTALMENT) == []


def test_settled_days_take_nothing_from_a_plan_by_share() -> None:
    bench = by_share()
    bench.plan("M1")
    bench.use("M1", 5, 1)
    assert bench.transfers(TransferKind.INSTALMENT) == []
    assert bench.plans("M1")[0].missed == 1


# the audit --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE plan SET recovered_micros = recovered_micros + 1", "20000001 recovered"),
        ("UPDATE plan SET debt_micros = debt_micros + 1", "of 100000001 micros"),
        ("UPDATE plan SET state = 'CANCELLED', ended_at_s = 1", "0 given back"),
        ("UPDATE plan SET account_key = 1", "0 put on"),
        ("UPDATE plan SET debtor_key = 1", "of another kind or account"),
        ("UPDATE plan SET instalment_micros = 9999999", "took 10000000 micros, above the instalment of 9999999"),
    ],
)
def test_audit_names_a_plan_that_is_not_what_its_transfers_say(
    bench: RegionBench, change: str, words: str
) -> None:
    bench.plan("M1")
    bench.recharge("M1", "PAY-1", 500)
    for day in range(1, 3):
        bench.use("M1", 5, day)
    assert bench.violations() == []
    bench.query(change)
    found = bench.violations()
    assert {meter for meter, _ in found} == {"M1"}
    assert any(words in detail for _, detail in found), found


def test_audit_names_a_share_above_the_configured_one() -> None:
    bench = by_share()
    bench.plan("M1")
    bench.recharge("M1", "PAY-1", 100)
    assert bench.violations() == []
    bench.query("UPDATE plan SET share_bp = 2499")
    ((meter, detail),) = bench.violations()
    assert meter == "M1"
    assert "2499 basis points of 100000000" in detail


# the whole --------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0, 0, 0, 40, 80])), min_size=2, max_size=14),
    st.sampled_from([BY_DAY, BY_SHARE]),
    st.data(),
)
def test_days_that_settle_late_and_in_bulk_end_as_days_in_time(
    days: list[tuple[int, int]], rules: object, data: st.DataObject
) -> None:
    """Each day some use, and a recharge at noon; one home settles at each midnight, the other when it happens."""
    late_days = data.draw(st.sets(st.integers(1, len(days))))

    def live(settles: bool) -> RegionBench:
        bench = RegionBench(rules)  # type: ignore[arg-type]
        bench.register("M1", "M2")
        bench.use("M1", 100)
        bench.plan("M1")
        register_wh = 100 * RUPEE // PRICE
        for number, (rupees, paid) in enumerate(days, start=1):
            bench.at(number, hour=12)
            if paid:
                bench.recharge("M1", f"PAY-{number}", paid)
            register_wh += rupees * RUPEE // PRICE
            bench.snapshots("M1", [register_wh], from_day=number)
            bench.at(number + 1)
            if settles or number in late_days:
                bench.settle()
        bench.settle()
        check_books(bench)
        return bench

    in_time, late = live(settles=True), live(settles=False)
    kinds = (TransferKind.CHARGE, TransferKind.INSTALMENT)
    # A plan by share that expires late has had more of the recharges meanwhile: then only the total is the same.
    if rules is BY_DAY:
        for kind in kinds:
            assert references(late, kind) == references(in_time, kind)
        assert [(plan.state, plan.left_micros) for plan in late.plans()] == [
            (plan.state, plan.left_micros) for plan in in_time.plans()
        ]
    whole = [
        bench.balance("M1") * RUPEE - sum(p.left_micros for p in bench.plans() if p.state is PlanState.ACTIVE)
        for bench in (in_time, late)
    ]
    assert whole[0] == whole[1]


@pytest.mark.parametrize("rules", [BY_DAY, BY_SHARE])
def test_a_recharge_that_was_taken_back_makes_no_day_a_missed_one(rules: ArrearsRules) -> None:
    bench = RegionBench(replace(rules, missed_allowed=0))
    bench.register("M1")
    bench.use("M1", 100)
    bench.plan("M1")
    bench.recharge("M1", "KEPT", 60)
    before = bench.query("SELECT settled_register_wh FROM meter")[0][0]
    bench.snapshots("M1", [before + 5 * RUPEE // PRICE], 1)
    bench.at(2, 1)
    bench.recharge("M1", "BOUNCED", 60)
    with bench.write() as uow:
        assert reverse("BOUNCED", "a clerk", "bounced", uow, bench.now_s).outcome is ReverseOutcome.REVERSED
    bench.settle()
    (plan,) = bench.plans("M1")
    assert (plan.state, plan.missed) == (PlanState.ACTIVE, 0)
    check_books(bench)
