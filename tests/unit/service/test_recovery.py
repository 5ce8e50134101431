"""A region's way back from an outage. Each look is by a process that remembers nothing: a restart everywhere."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.service.region_bench import BY_DAY, BY_SHARE, DAY, DAY_S, PRICE, RULES, RUPEE, START_S, RegionBench

from headend.domain.delivery import DeliveryKind
from headend.domain.reconcile import ExceptionKind
from headend.domain.recovery import WORK_PHASES, Event, Phase
from headend.service import arrears as arrears_service
from headend.service.rows import Lane

HOURS_S = 3_600
OUTAGE_S = 3 * HOURS_S
ALL_WORK = [*map(str, WORK_PHASES), "GRACE"]


@pytest.fixture
def bench() -> RegionBench:
    """M1 and M2 behind G1 and G2 of R1, M3 in R2; all is as it should be, at noon of the third day."""
    made = RegionBench()
    made.register("M1")
    made.register("M2", gateway="G2")
    made.register("M3", region="R2")
    made.at(2, hour=12)
    for meter in ("M1", "M2", "M3"):
        made.snapshots(meter, [0, 0])
    made.settle()
    assert made.follow() == []
    return made


def go_out(bench: RegionBench) -> None:
    """The head-end is out, and the meters read after it."""
    bench.headend_out(OUTAGE_S)


def come_back(bench: RegionBench, *meters: str) -> None:
    """Meters report anew."""
    bench.now_s += 60
    for meter in meters:
        bench.read(meter, bench.now_s, 10**9)


def order(bench: RegionBench, meter: str, position: str = "closed") -> None:
    with bench.write() as uow:
        expires_at_s = bench.now_s + 10**6 if position == "open" else None
        uow.issue_relay(meter, position, "test", expires_at_s, bench.now_s)


def answer(bench: RegionBench, meter: str) -> None:
    """The meter acknowledges all that was on its way."""
    with bench.write() as uow:
        key = bench.key(meter, uow)
        ((seq, total, version),) = bench.query(
            "SELECT credit_seq, credit_total_micros, relay_version FROM meter WHERE meter_key = ?", key
        )
        uow.mark_sent(uow.newest_open([Lane(1, kind, key) for kind in DeliveryKind]), bench.now_s)
        uow.apply_credits([(key, seq, bench.now_s, total)])
        uow.apply_relays([(key, version, bench.now_s)])


# entering ---------------------------------------------------------------------------------------------------


def test_absence_of_the_head_end_is_entered_at_its_start_and_left_at_once(bench: RegionBench) -> None:
    began_s = bench.now_s
    go_out(bench)
    assert bench.phases() == ["OUTAGE", "CREDITS", "RECONNECTIONS", "SNAPSHOTS", "SETTLEMENT", "DISPLAY"]
    state = bench.region().state
    assert (state.outage_began_s, state.outage_ended_s) == (began_s, bench.now_s)


def test_short_absence_is_no_outage(bench: RegionBench) -> None:
    bench.headend_out(RULES.min_outage_s - 1)
    assert bench.follow() == []


def test_same_outage_counts_once(bench: RegionBench) -> None:
    go_out(bench)
    come_back(bench, "M1", "M2", "M3")
    assert bench.phases()[-1] == "GRACE"
    bench.now_s += RULES.grace_s
    assert bench.phases() == ["NORMAL"]
    bench.now_s += 60
    assert bench.follow() == []


def test_lasting_loss_of_the_link_is_an_outage_until_the_link_is_back(bench: RegionBench) -> None:
    began_s = bench.now_s
    bench.link(up=False)
    bench.now_s += RULES.min_outage_s - 1
    assert bench.follow() == []
    bench.now_s += 1
    assert bench.phases() == ["OUTAGE"]
    bench.now_s += DAY_S
    assert bench.follow() == []
    bench.link(up=True)
    ended_s = bench.now_s
    bench.now_s += 5
    assert bench.phases()[0] == "CREDITS"
    state = bench.region().state
    assert (state.outage_began_s, state.outage_ended_s) == (began_s, ended_s)


def test_head_end_that_comes_back_without_its_link_is_still_out(bench: RegionBench) -> None:
    began_s = bench.now_s
    go_out(bench)
    bench.link(up=False)
    assert bench.phases() == ["OUTAGE"]
    bench.now_s += 10
    bench.link(up=True)
    assert bench.phases()[0] == "CREDITS"
    assert bench.region().state.outage_began_s == began_s


def test_outage_of_enough_gateways_is_one_of_their_region_only(bench: RegionBench) -> None:
    bench.gateway("G1", up=False)
    bench.now_s += RULES.min_outage_s
    changes = bench.follow()
    assert [(change.region, change.event) for change in changes] == [("R1", Event.OUTAGE_BEGAN)]
    bench.gateway("G1", up=True)
    assert bench.phases()[0] == "CREDITS"
    assert bench.region("R2").state.phase is Phase.NORMAL


def test_gateways_that_take_turns_in_being_out_are_one_outage(bench: RegionBench) -> None:
    bench.gateway("G1", up=False)
    bench.now_s += RULES.min_outage_s
    assert bench.phases() == ["OUTAGE"]
    bench.gateway("G2", up=False)
    bench.now_s += 10
    bench.gateway("G1", up=True)
    for _ in range(3):
        bench.now_s += 10
        assert bench.follow() == []
    bench.gateway("G2", up=True)
    assert bench.phases()[0] == "CREDITS"


def test_head_end_follows_its_own_regions_only() -> None:
    bench = RegionBench(regions=("R2",))
    bench.register("M1")
    bench.register("M3", region="R2")
    go_out(bench)
    assert {change.region for change in bench.follow()} == {"R2"}
    assert bench.region("R1").state.phase is Phase.NORMAL
    bench.regions = ("R1",)
    assert {change.region for change in bench.follow()} == {"R1"}, "the other one has not seen it yet"


def test_head_end_that_takes_a_region_over_knows_what_was_seen_of_it() -> None:
    bench = RegionBench(regions=("R2",))
    bench.register("M1")
    bench.register("M3", region="R2")
    go_out(bench)
    bench.follow()
    bench.regions = ()
    assert {change.region for change in bench.follow()} == {"R1"}


def test_journal_is_read_from_where_it_was_left_by_regions_without_an_outage_too(bench: RegionBench) -> None:
    bench.gateway("G1", up=False)
    bench.now_s += RULES.min_outage_s
    bench.gateway("G1", up=True)
    bench.now_s += 60
    bench.follow()
    assert bench.region("R1").looked_until_s == bench.region("R2").looked_until_s == bench.now_s


def test_new_region_has_nothing_to_do_with_outages_that_were_over() -> None:
    bench = RegionBench()
    go_out(bench)
    with bench.write() as uow:
        uow.beat(bench.now_s, stopped=False)
    bench.register("M1")
    assert bench.follow() == []


# the phases -------------------------------------------------------------------------------------------------


def test_region_goes_through_all_phases_as_the_work_is_done(bench: RegionBench) -> None:
    bench.recharge("M1", "PAY-1", 10)
    order(bench, "M2")
    bench.headend_out(DAY_S)
    assert bench.phases() == ["OUTAGE", "CREDITS"]
    bench.now_s += 60
    assert bench.follow() == []
    answer(bench, "M1")
    assert bench.phases() == ["RECONNECTIONS"]
    answer(bench, "M2")
    assert bench.phases() == ["SNAPSHOTS"]
    bench.snapshots("M1", [0], from_day=2)
    assert bench.follow() == []
    bench.snapshots("M2", [0], from_day=2)
    assert bench.phases() == ["SETTLEMENT"]
    bench.settle()
    assert bench.phases() == ["DISPLAY"]
    come_back(bench, "M1")
    assert bench.follow() == []
    come_back(bench, "M2")
    assert bench.phases() == ["GRACE"]
    assert bench.region().state.grace_until_s == bench.now_s + RULES.grace_s
    bench.now_s += RULES.grace_s - 1
    assert bench.follow() == []
    bench.now_s += 1
    assert bench.phases() == ["NORMAL"]


def test_what_was_accepted_after_the_outage_holds_nothing_up(bench: RegionBench) -> None:
    go_out(bench)
    bench.now_s += 1
    bench.recharge("M1", "PAY-1", 10)
    order(bench, "M1")
    come_back(bench, "M1", "M2")
    assert bench.phases()[-1] == "GRACE"


def test_order_to_open_holds_nothing_up(bench: RegionBench) -> None:
    order(bench, "M1", "open")
    go_out(bench)
    come_back(bench, "M1", "M2")
    assert bench.phases()[-1] == "GRACE"


def test_reading_from_before_the_end_of_the_outage_is_stale(bench: RegionBench) -> None:
    go_out(bench)
    for meter in ("M1", "M2"):
        bench.read(meter, 1, 0)
    assert bench.phases()[-1] == "DISPLAY"


def hold_credits(bench: RegionBench) -> None:
    bench.recharge("M1", "PAY-1", 10)


def hold_snapshots(bench: RegionBench) -> None:
    """M1 lost a midnight: the day before the outage."""
    bench.query("UPDATE meter SET settled_day = settled_day - 1 WHERE meter = 'M1'")
    bench.query("DELETE FROM snapshot WHERE day = ? AND meter_key = 1", DAY + 1)


def hold_settlement(bench: RegionBench) -> None:
    """M1 has a midnight that cannot be billed."""
    bench.query("UPDATE meter SET settled_day = settled_day - 1 WHERE meter = 'M1'")


HOLDS: dict[Phase, Callable[[RegionBench], object]] = {
    Phase.CREDITS: hold_credits,
    Phase.RECONNECTIONS: lambda bench: order(bench, "M1"),
    Phase.SNAPSHOTS: hold_snapshots,
    Phase.SETTLEMENT: hold_settlement,
    Phase.DISPLAY: lambda bench: None,
}


def held_in(bench: RegionBench, phase: Phase) -> None:
    """R1 recovers, and M1 alone holds it up in a phase."""
    HOLDS[phase](bench)
    go_out(bench)
    come_back(bench, "M2", *(["M1"] if phase is not Phase.DISPLAY else []))
    bench.follow()
    assert bench.region().state.phase is phase


@pytest.mark.parametrize("phase", WORK_PHASES)
def test_meter_that_is_listed_for_a_person_holds_up_no_phase(bench: RegionBench, phase: Phase) -> None:
    held_in(bench, phase)
    assert bench.follow() == []
    bench.list_meter("M1")
    assert bench.phases() == ALL_WORK[ALL_WORK.index(phase) + 1 :]


@pytest.mark.parametrize("phase", WORK_PHASES)
@pytest.mark.parametrize("kind", [ExceptionKind.PLAN_BROKEN, ExceptionKind.ARREARS_NEED_PLAN])
def test_meter_that_is_listed_for_money_holds_it_up_all_the_same(
    bench: RegionBench, phase: Phase, kind: ExceptionKind
) -> None:
    held_in(bench, phase)
    bench.list_meter("M1", kind)
    assert bench.follow() == []


@pytest.mark.parametrize("phase", WORK_PHASES[:-1])
def test_meter_that_comes_off_the_list_is_waited_for_in_whatever_phase(bench: RegionBench, phase: Phase) -> None:
    HOLDS[phase](bench)
    bench.list_meter("M1")
    go_out(bench)
    assert bench.phases()[-1] == "DISPLAY", "M2 has not reported yet"
    bench.resolve("M1")
    come_back(bench, "M1", "M2")
    assert bench.follow() == [], "what M1 waits for was a phase long past, and is not forgotten"
    bench.list_meter("M1")
    assert bench.phases() == ["GRACE"]


@pytest.mark.parametrize("phase", [*WORK_PHASES, Phase.GRACE])
def test_second_outage_during_recovery_begins_again_and_keeps_the_first_beginning(
    bench: RegionBench, phase: Phase
) -> None:
    began_s = bench.now_s
    if phase is Phase.GRACE:
        go_out(bench)
        come_back(bench, "M1", "M2")
        bench.follow()
    else:
        held_in(bench, phase)
    bench.now_s += 60
    bench.link(up=False)
    bench.now_s += RULES.min_outage_s
    assert bench.phases() == ["OUTAGE"]
    assert bench.region().state.grace_until_s is None
    bench.link(up=True)
    ended_s = bench.now_s
    bench.follow()
    state = bench.region().state
    assert (state.outage_began_s, state.outage_ended_s) == (began_s, ended_s)
    assert state.phase in WORK_PHASES, "the readings since the first outage are stale now"


def test_grace_that_would_have_ended_during_an_absence_begins_anew(bench: RegionBench) -> None:
    go_out(bench)
    come_back(bench, "M1", "M2")
    assert bench.phases()[-1] == "GRACE"
    bench.headend_out(RULES.grace_s + 1)
    assert bench.phases()[:2] == ["OUTAGE", "CREDITS"]


# plans after the outage -------------------------------------------------------------------------------------


def in_debt(*rupees: int, rules: object = BY_DAY) -> RegionBench:
    """Meters M1, M2 ... of R1 that owe so much after an outage; they have all reported."""
    bench = RegionBench(rules)  # type: ignore[arg-type]
    meters = [f"M{number}" for number in range(1, len(rupees) + 1)]
    bench.register(*meters)
    for meter, owed in zip(meters, rupees, strict=True):
        bench.snapshots(meter, [owed * RUPEE // PRICE])
    bench.at(1)
    go_out(bench)
    bench.settle()
    come_back(bench, *meters)
    return bench


@pytest.mark.parametrize("rules", [BY_DAY, BY_SHARE])
def test_meters_in_debt_have_a_plan_as_the_grace_begins(rules: object) -> None:
    bench = in_debt(50, 0, 1_000, 1_001, rules=rules)
    assert bench.plans() == []
    assert bench.phases()[-1] == "GRACE"
    assert [(plan.meter, plan.debt_micros // RUPEE, plan.made_by) for plan in bench.plans()] == [
        ("M1", 50, "headend"),
        ("M3", 1_000, "headend"),
    ]
    assert [bench.balance(meter) for meter in ("M1", "M2", "M3", "M4")] == [0, 0, 0, -1_001]
    assert bench.exceptions() == [("M4", "ARREARS_NEED_PLAN")]
    bench.now_s += 60
    assert bench.follow() == []
    assert len(bench.plans()) == 2
    assert bench.plan("M4").outcome == "MADE"
    assert bench.exceptions() == [], "the clerk's plan is what was asked for"


def test_plan_that_is_active_stays() -> None:
    bench = in_debt(50)
    bench.plan("M1", 20)
    bench.follow()
    assert [plan.debt_micros // RUPEE for plan in bench.plans()] == [20]
    assert bench.balance("M1") == -30


def test_grace_does_not_end_before_all_have_their_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrears_service, "AFTER_OUTAGE_LIMIT", 2)
    bench = in_debt(1, 2, 3, 4, 5)
    bench.follow()
    assert len(bench.plans()) == 2
    bench.now_s += RULES.grace_s
    assert bench.follow() == []
    assert len(bench.plans()) == 4
    assert bench.phases() == ["NORMAL"]
    assert [plan.meter for plan in bench.plans()] == ["M1", "M2", "M3", "M4", "M5"]


def test_outage_before_all_have_their_plans_ends_the_planning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrears_service, "AFTER_OUTAGE_LIMIT", 1)
    bench = in_debt(1, 2, 3)
    bench.follow()
    bench.headend_out(OUTAGE_S)
    bench.follow()
    assert len(bench.plans()) == 1
    assert bench.region().arrears_key is None
    come_back(bench, "M1", "M2", "M3")
    for _ in range(4):
        bench.follow()
    assert len(bench.plans()) == 3


# progress ---------------------------------------------------------------------------------------------------


def test_progress_says_what_is_left_and_how_long_it_will_last(bench: RegionBench) -> None:
    for number in range(4):
        bench.register(f"N{number}")
    bench.snapshots("N0", [0, 0])
    bench.settle()
    for number in range(4):
        bench.recharge(f"N{number}", f"PAY-{number}", 1)
    go_out(bench)
    bench.follow()
    with bench.store.view() as uow:
        (r1, r2) = bench.recovery().progress(uow, bench.now_s)
    assert r1.left == {
        Phase.CREDITS: 4, Phase.RECONNECTIONS: 0, Phase.SNAPSHOTS: 3, Phase.SETTLEMENT: 3, Phase.DISPLAY: 6
    }  # fmt: skip
    assert r1.to_go_s is None
    assert (r2.state.phase, r2.left[Phase.DISPLAY]) == (Phase.DISPLAY, 1)
    bench.now_s += 60
    answer(bench, "N0")
    bench.follow()
    with bench.store.view() as uow:
        assert bench.recovery().progress(uow, bench.now_s)[0].to_go_s == 180


def test_progress_of_a_grace_is_exact_and_of_a_normal_region_empty(bench: RegionBench) -> None:
    with bench.store.view() as uow:
        assert [row.left for row in bench.recovery().progress(uow, bench.now_s)] == [{}, {}]
    go_out(bench)
    come_back(bench, "M1", "M2")
    bench.follow()
    with bench.store.view() as uow:
        assert bench.recovery().progress(uow, bench.now_s + 60)[0].to_go_s == RULES.grace_s - 60


# the whole --------------------------------------------------------------------------------------------------

TASKS = ("credit", "reconnection", "snapshot", "reading", "listed")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_meter_is_lost_between_the_phases(data: st.DataObject) -> None:
    """Any meters with anything to do, done in any order: at the grace each is done, or on the list."""
    count = data.draw(st.integers(1, 5))
    meters = [f"M{number}" for number in range(count)]
    open_tasks = {meter: data.draw(st.sets(st.sampled_from(TASKS[:3]))) for meter in meters}
    bench = RegionBench()
    bench.register(*meters)
    bench.at(1, hour=6)
    for meter in meters:
        if "credit" in open_tasks[meter]:
            bench.recharge(meter, f"PAY-{meter}", 1)
        if "reconnection" in open_tasks[meter]:
            order(bench, meter)
        if "snapshot" not in open_tasks[meter]:
            bench.snapshots(meter, [0])
        open_tasks[meter].add("reading")
    go_out(bench)
    listed: set[str] = set()
    seen = [bench.region().state.phase]
    steps = data.draw(
        st.lists(st.tuples(st.sampled_from(meters), st.sampled_from((*TASKS, "settle", "resolved"))), max_size=30)
    )
    everything = [(meter, task) for meter in meters for task in TASKS[:4]] + [(meters[0], "settle")]
    for meter, task in [*steps, *((meter, "resolved") for meter in meters), *everything]:
        bench.now_s += 1
        match task:
            case "credit" | "reconnection" if task in open_tasks[meter]:
                answer(bench, meter)
                open_tasks[meter] -= {"credit", "reconnection"}
            case "snapshot" if task in open_tasks[meter]:
                bench.snapshots(meter, [0])
                open_tasks[meter].discard(task)
            case "reading":
                bench.read(meter, bench.now_s, 0)
                open_tasks[meter].discard(task)
            case "listed" if meter not in listed:
                bench.list_meter(meter)
                listed.add(meter)
            case "resolved" if meter in listed:
                bench.resolve(meter)
                listed.discard(meter)
            case "settle":
                bench.settle()
        for change in bench.follow():
            seen.append(change.state.phase)
            if change.state.phase is Phase.GRACE:
                assert all(not open_tasks[each] or each in listed for each in meters)
    assert bench.region().state.phase is Phase.GRACE
    order_of = [Phase.NORMAL, Phase.OUTAGE, *WORK_PHASES, Phase.GRACE]
    assert seen == order_of, "each phase once, in order"
    assert bench.now_s > START_S
