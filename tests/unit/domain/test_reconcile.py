"""Comparing counters: every branch alone and together, and that a late message never harms."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headend.domain.delivery import DeliveryKind
from headend.domain.reconcile import (
    CreditApplied,
    Exceptional,
    ExceptionKind,
    Finding,
    HeadendView,
    MeterView,
    PolicyApplied,
    PolicyForgotten,
    RelayApplied,
    reconcile,
    reconcile_credit,
)

OURS = HeadendView(
    register_wh=5_000,
    reading_seq=50,
    read_at_s=1_000,
    credit_seq=7,
    applied_credit_seq=5,
    applied_credit_at_s=1_000,
    relay_version=4,
    applied_relay_version=2,
)
EQUAL = MeterView(
    at_s=1_001, register_wh=5_000, reading_seq=50, credit_seq=5, credit_total_micros=500, relay_version=2
)


Found = CreditApplied | RelayApplied | PolicyApplied | ExceptionKind


def found(theirs: MeterView, ours: HeadendView = OURS) -> list[Found]:
    """What comes of it when our total at number n is 100 n; exceptions by kind."""
    total_micros = 100 * theirs.credit_seq if theirs.credit_seq <= ours.credit_seq else None
    return [named(finding) for finding in reconcile(theirs, ours, total_micros)]


def named(finding: Finding) -> Found:
    return finding.kind if isinstance(finding, Exceptional) else finding


def with_credit(seq: int) -> MeterView:
    return replace(EQUAL, credit_seq=seq, credit_total_micros=100 * seq)


def test_equal_counters_yield_nothing() -> None:
    assert found(EQUAL) == []


def test_new_meter_yields_nothing() -> None:
    assert list(reconcile(MeterView(9, 0, 0, 0, 0, 0), HeadendView(0, 0, 0, 0, 0, 0, 0, 0), 0)) == []


@pytest.mark.parametrize("seq", [6, 7])
def test_credit_that_we_issued_is_applied(seq: int) -> None:
    assert found(with_credit(seq)) == [CreditApplied(seq)]


def test_credit_that_we_never_issued_is_for_a_person() -> None:
    assert found(with_credit(8)) == [ExceptionKind.CREDIT_AHEAD]


@pytest.mark.parametrize("seq", [0, 3, 5, 6, 7])
def test_total_that_is_not_ours_is_for_a_person(seq: int) -> None:
    theirs = replace(with_credit(seq), credit_total_micros=100 * seq + 1)
    assert found(theirs) == [ExceptionKind.CREDIT_TOTAL_DIFFERS]


def test_number_without_a_total_of_ours_is_for_a_person() -> None:
    (finding,) = reconcile(with_credit(6), OURS, None)
    assert named(finding) is ExceptionKind.CREDIT_TOTAL_DIFFERS


def test_credit_counter_that_is_lower_later_went_back() -> None:
    assert found(with_credit(4)) == [ExceptionKind.CREDIT_WENT_BACK]
    assert found(with_credit(0)) == [ExceptionKind.CREDIT_WENT_BACK]


@pytest.mark.parametrize("at_s", [0, 999, 1_000])
def test_lower_credit_counter_of_before_is_a_late_message(at_s: int) -> None:
    assert found(replace(with_credit(4), at_s=at_s)) == []


def test_register_that_is_lower_later_went_back() -> None:
    assert found(replace(EQUAL, register_wh=4_999)) == [ExceptionKind.REGISTER_WENT_BACK]


@pytest.mark.parametrize("at_s", [0, 999, 1_000])
def test_lower_register_of_before_is_a_late_message(at_s: int) -> None:
    assert found(replace(EQUAL, register_wh=1, at_s=at_s)) == []


def test_reading_number_that_is_lower_later_went_back() -> None:
    assert found(replace(EQUAL, reading_seq=49)) == [ExceptionKind.READING_SEQ_WENT_BACK]


@pytest.mark.parametrize("at_s", [0, 999, 1_000])
def test_lower_reading_number_of_before_is_a_late_message(at_s: int) -> None:
    assert found(replace(EQUAL, reading_seq=1, at_s=at_s)) == []


def test_register_ahead_of_the_newest_reading_is_healthy() -> None:
    assert found(replace(EQUAL, register_wh=9_000)) == []


@pytest.mark.parametrize("version", [3, 4])
def test_relay_version_that_we_issued_is_applied(version: int) -> None:
    assert found(replace(EQUAL, relay_version=version)) == [RelayApplied(version)]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_relay_version_that_we_know_of_is_nothing_new(version: int) -> None:
    assert found(replace(EQUAL, relay_version=version)) == []


def test_relay_version_that_we_never_issued_is_for_a_person() -> None:
    assert found(replace(EQUAL, relay_version=5)) == [ExceptionKind.RELAY_AHEAD]


def test_everything_at_once_is_found_at_once() -> None:
    assert found(MeterView(2_000, 1, 49, 9, 900, 9)) == [
        ExceptionKind.CREDIT_AHEAD,
        ExceptionKind.REGISTER_WENT_BACK,
        ExceptionKind.READING_SEQ_WENT_BACK,
        ExceptionKind.RELAY_AHEAD,
    ]


def test_good_news_comes_along_with_bad() -> None:
    assert found(MeterView(2_000, 1, 50, 7, 700, 4)) == [
        CreditApplied(7),
        ExceptionKind.REGISTER_WENT_BACK,
        RelayApplied(4),
    ]


def test_answer_is_compared_as_a_hello_is() -> None:
    assert list(reconcile_credit(5, 6, 600, OURS, 600)) == [CreditApplied(6)]
    (finding,) = reconcile_credit(1_001, 4, 400, OURS, 400)
    assert named(finding) is ExceptionKind.CREDIT_WENT_BACK


def test_detail_names_both_numbers() -> None:
    (finding,) = reconcile(with_credit(8), OURS, None)
    assert isinstance(finding, Exceptional)
    assert "8" in finding.detail
    assert "7" in finding.detail


def test_exception_holds_the_lane_that_its_name_begins_with() -> None:
    held = {kind: [lane for lane in DeliveryKind if kind.startswith(lane)] for kind in ExceptionKind}
    assert {kind for kind, lanes in held.items() if not lanes} == {
        ExceptionKind.REGISTER_WENT_BACK,
        ExceptionKind.READING_SEQ_WENT_BACK,
        ExceptionKind.IMPLAUSIBLE_JUMP,
        ExceptionKind.SNAPSHOT_DIFFERS,
        ExceptionKind.METER_NOT_FOUND,
        ExceptionKind.CLOCK_AHEAD,
        ExceptionKind.ARREARS_NEED_PLAN,
        ExceptionKind.NO_PRICE,
        ExceptionKind.PLAN_BROKEN,
        ExceptionKind.METER_SILENT,
        ExceptionKind.DAY_NOT_SETTLED,
        ExceptionKind.COMMAND_REJECTED,
        ExceptionKind.OPEN_WITHOUT_ORDER,
    }
    assert all(len(lanes) <= 1 for lanes in held.values())


steps = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=8
)


@given(steps, st.data())
def test_messages_of_an_honest_meter_are_harmless_in_any_order(
    history: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    """The meter moved through these states. It says each of them, at the time, once, often, late or never."""
    states = [MeterView(1, 0, 0, 0, 0, 0)]
    for seconds, wh, credits, versions in history:
        last = states[-1]
        seq = last.credit_seq + credits
        states.append(
            MeterView(
                last.at_s + seconds,
                last.register_wh + wh,
                last.reading_seq + (seconds > 0),
                seq,
                100 * seq,
                last.relay_version + versions,
            )
        )
    final = states[-1]
    heard = data.draw(st.lists(st.sampled_from(states), max_size=20))
    ours = HeadendView(0, 0, 0, final.credit_seq + 1, 0, 0, final.relay_version + 1, 0)
    for theirs in heard:
        before = ours
        for finding in reconcile(theirs, ours, 100 * theirs.credit_seq):
            assert not isinstance(finding, Exceptional), finding
            if isinstance(finding, CreditApplied):
                ours = replace(ours, applied_credit_seq=finding.seq, applied_credit_at_s=theirs.at_s)
            else:
                ours = replace(ours, applied_relay_version=finding.version)
        if theirs.register_wh >= ours.register_wh:
            ours = replace(
                ours,
                register_wh=theirs.register_wh,
                reading_seq=max(ours.reading_seq, theirs.reading_seq),
                read_at_s=max(ours.read_at_s, theirs.at_s),
            )
        assert ours.applied_credit_seq >= before.applied_credit_seq, "nothing moves back"
        assert ours.applied_relay_version >= before.applied_relay_version
    if heard:
        assert ours.applied_credit_seq == max(state.credit_seq for state in heard)
        assert ours.applied_relay_version == max(state.relay_version for state in heard)


@given(st.builds(MeterView, *[st.integers(0, 20)] * 6), st.integers(0, 20))
def test_nothing_that_a_meter_says_moves_a_counter_back(theirs: MeterView, applied_seq: int) -> None:
    ours = replace(OURS, credit_seq=20, applied_credit_seq=applied_seq, relay_version=20)
    assume(theirs.credit_seq <= 20)
    for finding in reconcile(theirs, ours, theirs.credit_total_micros):
        if isinstance(finding, CreditApplied):
            assert finding.seq > applied_seq
        if isinstance(finding, RelayApplied):
            assert finding.version > ours.applied_relay_version


@pytest.mark.parametrize(
    ("held", "finding"),
    [
        (0, [PolicyForgotten(0)]),
        (3, []),
        (4, [PolicyApplied(4)]),
        (5, [PolicyApplied(5)]),
        (6, [ExceptionKind.POLICY_AHEAD]),
    ],
)
def test_policy_that_the_meter_holds_is_applied_and_one_that_we_never_issued_is_listed(
    held: int, finding: list[Found]
) -> None:
    ours = replace(OURS, policy_version=5, applied_policy_version=3)
    assert found(replace(EQUAL, policy_version=held), ours) == finding


def test_what_is_ahead_comes_with_the_meters_own_number() -> None:
    theirs = replace(EQUAL, credit_seq=8, relay_version=5, policy_version=9)
    said = {
        finding.kind: finding.said_number
        for finding in reconcile(theirs, OURS, None)
        if isinstance(finding, Exceptional)
    }
    assert said == {
        ExceptionKind.CREDIT_AHEAD: 8,
        ExceptionKind.RELAY_AHEAD: 5,
        ExceptionKind.POLICY_AHEAD: 9,
    }
