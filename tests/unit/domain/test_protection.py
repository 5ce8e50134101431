"""Whether a home may be cut: each reason against it alone, and all of them in all combinations."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.case import Case, Origin, Situation, situation_at
from headend.domain.protected_hours import Night, ProtectedHours
from headend.domain.protection import DEBT_REASONS, Allowed, Reason, Refused, due_s, may_disconnect
from headend.domain.protection_rules import ProtectionRules
from headend.domain.reconnection import Step
from headend.domain.windows import Moratorium, Window

DAY_S: Final = 86_400
NOW_S: Final = 20_000 * DAY_S
TODAY: Final = 739_000
UNIT_MICROS: Final = 1_000_000

# Grace of 72 hours; 30 days of emergency credit up to 2 kW, none above.
RULES: Final = ProtectionRules(
    disconnect_automatically=True,
    debt_only=True,
    grace_s=3 * DAY_S,
    emergency_days_by_load=(Step(2_000, 30), Step(None, 0)),
    stale_after_s=DAY_S,
    max_day_wh=100_000,
)

# A home that nothing protects: ten days below zero, read an hour ago, everything settled.
CASE: Final = Case(
    meter="M1",
    origin=Origin.DEBT,
    balance_micros=-250 * UNIT_MICROS,
    read_at_s=NOW_S - 3_600,
    register_wh=1_234_567,
    settled_day=TODAY - 1,
    unsettled_wh=9_000,
    zero_since_s=NOW_S - 10 * DAY_S,
    exhausted_since_s=NOW_S - 10 * DAY_S,
    no_cut_before_s=None,
    load_w=5_000,
    unsettled_recharges=0,
    plan_kept=False,
    open_exceptions=(),
    relay_ordered_open=False,
)
SITUATION: Final = Situation(
    region="R1",
    now_s=NOW_S,
    today=TODAY,
    hours=None,
    moratorium=None,
    recovering=False,
    recovery_grace_until_s=None,
)

Switch = Callable[[Case, Situation], tuple[Case, Situation]]


def in_case(**changes: object) -> Switch:
    return lambda case, situation: (replace(case, **changes), situation)  # type: ignore[arg-type]


def in_situation(**changes: object) -> Switch:
    return lambda case, situation: (case, replace(situation, **changes))  # type: ignore[arg-type]


SWITCHES: Final[dict[Reason, Switch]] = {
    Reason.PROTECTED_HOURS: in_situation(hours=Window("night", NOW_S - 60, NOW_S + 60)),
    Reason.MORATORIUM: in_situation(moratorium=Window("Diwali", NOW_S - 60, NOW_S + 600)),
    Reason.IN_CREDIT: in_case(balance_micros=0),
    Reason.GRACE: in_case(zero_since_s=NOW_S - DAY_S),
    Reason.EMERGENCY_CREDIT: in_case(load_w=2_000),
    Reason.STALE_READING: in_case(read_at_s=NOW_S - DAY_S - 1),
    Reason.IMPLAUSIBLE_READING: in_case(unsettled_wh=300_001),
    Reason.PROVISIONAL_BALANCE: in_case(settled_day=TODAY - 3),
    Reason.UNSETTLED_RECHARGE: in_case(unsettled_recharges=1),
    Reason.RECOVERING: in_situation(recovering=True),
    Reason.RECOVERY_GRACE: in_situation(recovery_grace_until_s=NOW_S + DAY_S),
    Reason.PLAN_KEPT: in_case(plan_kept=True),
    Reason.EXCEPTION_OPEN: in_case(open_exceptions=("REGISTER_WENT_BACK",)),
    Reason.ALREADY_OPEN: in_case(relay_ordered_open=True),
}
SUBSETS: Final = [subset for count in range(len(Reason) + 1) for subset in combinations(Reason, count)]


def switched(reasons: tuple[Reason, ...]) -> tuple[Case, Situation]:
    case, situation = CASE, SITUATION
    for reason in reasons:
        case, situation = SWITCHES[reason](case, situation)
    return case, situation


def reasons_of(case: Case, rules: ProtectionRules, situation: Situation) -> tuple[Reason, ...]:
    decision = may_disconnect(case, rules, situation)
    return decision.reasons if isinstance(decision, Refused) else ()


def refused_for(reason: Reason, case: Case = CASE, rules: ProtectionRules = RULES) -> bool:
    return reason in reasons_of(case, rules, SITUATION)


def test_every_reason_has_a_switch() -> None:
    assert tuple(SWITCHES) == tuple(Reason)


def test_home_that_nothing_protects_may_be_cut() -> None:
    assert may_disconnect(CASE, RULES, SITUATION) == Allowed()


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_alone_refuses(reason: Reason) -> None:
    decision = may_disconnect(switched((reason,))[0], RULES, switched((reason,))[1])
    assert isinstance(decision, Refused)
    assert decision.reasons == (reason,)


def test_all_combinations_of_reasons_are_named_in_order() -> None:
    for subset in SUBSETS:
        case, situation = switched(subset)
        assert reasons_of(case, RULES, situation) == subset


def test_order_that_needs_debt_passes_the_same_gate() -> None:
    for subset in SUBSETS:
        case, situation = switched(subset)
        assert reasons_of(replace(case, origin=Origin.ORDER), RULES, situation) == subset


def test_order_that_needs_no_debt_is_refused_for_the_other_reasons_only() -> None:
    rules = replace(RULES, debt_only=False)
    for subset in SUBSETS:
        case, situation = switched(subset)
        expected = tuple(reason for reason in subset if reason not in DEBT_REASONS)
        assert reasons_of(replace(case, origin=Origin.ORDER), rules, situation) == expected


def test_cut_for_debt_needs_debt_whatever_the_rules_ask_of_orders() -> None:
    rules = replace(RULES, debt_only=False)
    for subset in SUBSETS:
        case, situation = switched(subset)
        assert reasons_of(case, rules, situation) == subset


def test_reasons_that_ask_for_no_debt_hold_for_everyone() -> None:
    assert set(Reason) - DEBT_REASONS == {
        Reason.PROTECTED_HOURS,
        Reason.MORATORIUM,
        Reason.RECOVERING,
        Reason.RECOVERY_GRACE,
        Reason.ALREADY_OPEN,
    }


ENDS_S: Final = {
    Reason.PROTECTED_HOURS: NOW_S + 60,
    Reason.MORATORIUM: NOW_S + 600,
    Reason.GRACE: NOW_S + 2 * DAY_S,
    Reason.RECOVERY_GRACE: NOW_S + DAY_S,
}


def test_refusal_ends_with_its_last_reason_or_not_by_itself() -> None:
    for subset in SUBSETS[1:]:
        case, situation = switched(subset)
        decision = may_disconnect(case, RULES, situation)
        assert isinstance(decision, Refused)
        if set(subset) <= set(ENDS_S):
            assert decision.until_s == max(ENDS_S[reason] for reason in subset)
        elif set(subset) - {Reason.EMERGENCY_CREDIT} - set(ENDS_S):
            assert decision.until_s is None


def test_nothing_of_a_refusal_is_left_at_its_end() -> None:
    case, situation = switched((Reason.GRACE,))
    decision = may_disconnect(case, RULES, situation)
    assert isinstance(decision, Refused)
    assert decision.until_s is not None
    later = replace(situation, now_s=decision.until_s)
    rules = replace(RULES, stale_after_s=10 * DAY_S)
    assert reasons_of(case, rules, replace(later, now_s=decision.until_s - 1)) == (Reason.GRACE,)
    assert reasons_of(case, rules, later) == ()


# Edges.


def test_balance_at_the_limit_is_credit_and_a_micro_below_is_not() -> None:
    rules = replace(RULES, cut_below_micros=-50 * UNIT_MICROS)
    at_limit = replace(CASE, balance_micros=-50 * UNIT_MICROS)
    assert refused_for(Reason.IN_CREDIT, at_limit, rules)
    assert not refused_for(Reason.IN_CREDIT, replace(at_limit, balance_micros=-50 * UNIT_MICROS - 1), rules)


@pytest.mark.parametrize(("ago_s", "in_grace"), [(3 * DAY_S - 1, True), (3 * DAY_S, False)])
def test_grace_lasts_72_hours_to_the_second(ago_s: int, in_grace: bool) -> None:
    assert refused_for(Reason.GRACE, replace(CASE, zero_since_s=NOW_S - ago_s)) is in_grace


def test_home_that_nobody_knows_since_when_it_owes_is_in_grace() -> None:
    unknown = replace(CASE, zero_since_s=None)
    assert refused_for(Reason.GRACE, unknown)
    assert due_s(unknown, RULES) is None
    assert may_disconnect(unknown, RULES, SITUATION) == Refused((Reason.GRACE,), None)


def test_home_in_credit_is_not_said_to_be_in_grace() -> None:
    credit = replace(CASE, balance_micros=UNIT_MICROS, zero_since_s=None, load_w=1_000)
    assert reasons_of(credit, RULES, SITUATION) == (Reason.IN_CREDIT,)


def test_promise_after_a_part_payment_holds_until_its_time() -> None:
    assert refused_for(Reason.GRACE, replace(CASE, no_cut_before_s=NOW_S + 1))
    assert not refused_for(Reason.GRACE, replace(CASE, no_cut_before_s=NOW_S))


@pytest.mark.parametrize(
    ("balance_micros", "left"),
    [
        (-1, True),
        (-10 * UNIT_MICROS + 1, True),
        (-10 * UNIT_MICROS, False),
        (-11 * UNIT_MICROS, False),
        (0, False),
    ],
)
def test_emergency_credit_by_amount_is_left_until_the_last_micro(balance_micros: int, left: bool) -> None:
    rules = replace(RULES, emergency_credit_micros=10 * UNIT_MICROS)
    assert refused_for(Reason.EMERGENCY_CREDIT, replace(CASE, balance_micros=balance_micros), rules) is left


@pytest.mark.parametrize(("load_w", "days"), [(1, 30), (2_000, 30), (2_001, 3), (50_000, 3), (None, 30)], ids=str)
def test_emergency_credit_by_days_depends_on_the_load(load_w: int | None, days: int) -> None:
    rules = replace(RULES, emergency_days_by_load=(Step(2_000, 30), Step(None, 3)))
    ends = replace(CASE, load_w=load_w, zero_since_s=NOW_S - days * DAY_S)
    assert ends.zero_since_s is not None
    assert not refused_for(Reason.EMERGENCY_CREDIT, ends, rules)
    assert refused_for(Reason.EMERGENCY_CREDIT, replace(ends, zero_since_s=ends.zero_since_s + 1), rules)


@pytest.mark.parametrize(
    ("age_s", "stale"), [(DAY_S, False), (DAY_S + 1, True), (0, False), (-300, False), (-301, True)]
)
def test_reading_is_stale_when_old_and_not_believed_when_ahead(age_s: int, stale: bool) -> None:
    assert refused_for(Reason.STALE_READING, replace(CASE, read_at_s=NOW_S - age_s)) is stale


def test_meter_that_never_reported_is_not_cut() -> None:
    assert refused_for(Reason.STALE_READING, replace(CASE, read_at_s=None))


@pytest.mark.parametrize(("days_ago", "provisional"), [(0, False), (1, False), (2, False), (3, True), (9, True)])
def test_balance_is_provisional_when_a_day_before_yesterday_is_open(days_ago: int, provisional: bool) -> None:
    settled = replace(CASE, settled_day=TODAY - days_ago)
    assert refused_for(Reason.PROVISIONAL_BALANCE, settled) is provisional


FRIENDLY: Final = replace(RULES, hours=ProtectedHours(only_if_in_credit_at_opening=True))


@pytest.mark.parametrize(
    ("exhausted_s", "protected"),
    [(None, True), (NOW_S - 10, True), (NOW_S - 60, True), (NOW_S - 61, False), (NOW_S - DAY_S, False)],
    ids=["not", "after the opening", "at the opening", "a second before", "a day before"],
)
def test_friendly_hours_protect_who_had_credit_as_they_opened(exhausted_s: int | None, protected: bool) -> None:
    situation = replace(SITUATION, hours=Window("night", NOW_S - 60, NOW_S + 60))
    case = replace(CASE, exhausted_since_s=exhausted_s)
    assert (Reason.PROTECTED_HOURS in reasons_of(case, FRIENDLY, situation)) is protected


def test_emergency_credit_in_use_as_friendly_hours_open_counts_as_credit() -> None:
    situation = replace(SITUATION, hours=Window("night", NOW_S - 3_600, NOW_S + 3_600))
    rules = replace(FRIENDLY, grace_s=0, emergency_days_by_load=(), emergency_credit_micros=10 * UNIT_MICROS)
    used_up_inside = replace(CASE, zero_since_s=NOW_S - 7_200, exhausted_since_s=NOW_S - 60)
    assert reasons_of(used_up_inside, rules, situation) == (Reason.PROTECTED_HOURS,)


def test_moratorium_protects_homes_that_friendly_hours_do_not() -> None:
    situation = replace(SITUATION, moratorium=Window("storm", NOW_S - 60, NOW_S + 60))
    assert reasons_of(CASE, FRIENDLY, situation) == (Reason.MORATORIUM,)


def test_rules_without_protection_let_every_order_pass() -> None:
    rules = ProtectionRules()
    never_heard_of = replace(
        CASE, origin=Origin.ORDER, balance_micros=0, read_at_s=None, settled_day=0, zero_since_s=None
    )
    assert may_disconnect(never_heard_of, rules, SITUATION) == Allowed()


# When the debt is due.


def test_debt_is_due_when_grace_and_emergency_days_are_over() -> None:
    assert due_s(CASE, RULES) == NOW_S - 7 * DAY_S
    assert due_s(replace(CASE, load_w=1_000), RULES) == NOW_S + 20 * DAY_S
    assert due_s(replace(CASE, no_cut_before_s=NOW_S + 5), RULES) == NOW_S + 5


def test_without_debt_nothing_is_due() -> None:
    assert due_s(replace(CASE, balance_micros=0), RULES) is None
    assert due_s(CASE, replace(RULES, emergency_credit_micros=300 * UNIT_MICROS)) is None


@given(
    st.integers(-20 * UNIT_MICROS, UNIT_MICROS),
    st.integers(NOW_S - 40 * DAY_S, NOW_S) | st.none(),
    st.sampled_from([None, 1_000, 5_000]),
    st.integers(0, 20 * UNIT_MICROS),
)
def test_debt_is_due_from_just_the_second_at_which_no_reason_of_debt_is_left(
    balance_micros: int, zero_since_s: int | None, load_w: int | None, emergency_micros: int
) -> None:
    rules = replace(RULES, emergency_credit_micros=emergency_micros, stale_after_s=99 * DAY_S)
    case = replace(CASE, balance_micros=balance_micros, zero_since_s=zero_since_s, load_w=load_w)
    due = due_s(case, rules)
    if due is None:
        assert reasons_of(case, rules, replace(SITUATION, now_s=NOW_S + 90 * DAY_S))
    else:
        assert not reasons_of(case, rules, replace(SITUATION, now_s=max(due, NOW_S)))
        assert due <= NOW_S or reasons_of(case, rules, replace(SITUATION, now_s=due - 1))


# What it was based on.


def test_basis_holds_everything_and_survives_json() -> None:
    case, situation = switched(tuple(Reason))
    for kept in (case, situation):
        basis = kept.basis()
        assert json.loads(json.dumps(basis)) == basis
        assert set(basis) == set(type(kept).__dataclass_fields__)
    assert case.basis()["open_exceptions"] == ["REGISTER_WENT_BACK"]
    assert situation.basis()["moratorium"] == {"name": "Diwali", "opened_s": NOW_S - 60, "until_s": NOW_S + 600}


def test_situation_takes_the_moratoria_of_its_region_and_all_regions() -> None:
    zone = ZoneInfo("UTC")
    hours = ProtectedHours(nights=(Night("night", 0, 60),))
    here = Moratorium("R1", NOW_S - 60, NOW_S + 60, "here")
    elsewhere = Moratorium("R2", NOW_S - 600, NOW_S + 600, "elsewhere")
    everywhere = Moratorium(None, NOW_S + 30, NOW_S + 90, "everywhere")
    situation = situation_at(
        NOW_S, "R1", hours, [elsewhere, here, everywhere], zone, recovering=True, recovery_grace_until_s=7
    )
    assert situation == Situation(
        region="R1",
        now_s=NOW_S,
        today=719_163 + 20_000,
        hours=Window("night", NOW_S, NOW_S + 3_600),
        moratorium=Window("here", NOW_S - 60, NOW_S + 90),
        recovering=True,
        recovery_grace_until_s=7,
    )
