"""Arrears: what comes back and when, and how a plan ends."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.arrears import (
    ArrearsRules,
    ChargedDay,
    Course,
    PlanState,
    PlanTerms,
    follow_days,
    instalment_micros,
    share_micros,
)
from headend.domain.units import MICROS_PER_PAISA, MICROS_PER_RUPEE

DAY_S = 86_400
debts = st.integers(1, 10**12)
counts = st.integers(1, 3_660)


def day(number: int, charge_micros: int = 0) -> ChargedDay:
    return ChargedDay(number, (number + 1) * DAY_S, charge_micros)


def by_day(instalment: int, missed_allowed: int = 3) -> PlanTerms:
    return PlanTerms(instalment, None, missed_allowed)


def take(
    terms: PlanTerms,
    course: Course,
    *days: ChargedDay,
    balance: int = 10**15,
    recharges: tuple[tuple[int, int], ...] = (),
    excused: bool = False,
) -> tuple[Course, list[tuple[int, int]]]:
    return follow_days(terms, course, days, balance, recharges, excused=excused)


# amounts ----------------------------------------------------------------------------------------------------


@given(debts, counts)
def test_instalments_come_to_the_debt_in_at_most_their_count(debt: int, count: int) -> None:
    equal = instalment_micros(debt, count)
    assert equal > 0
    assert equal % MICROS_PER_PAISA == 0
    assert equal * count >= debt
    assert (equal - MICROS_PER_PAISA) * count < debt, "no more than a paisa above an equal part"


@given(st.integers(1, 10**8), st.integers(1, 400))
def test_plan_is_paid_by_equal_instalments_and_a_smaller_last_one(debt: int, count: int) -> None:
    equal = instalment_micros(debt, count)
    course, taken = take(by_day(equal), Course(debt, 0, 1), *map(day, range(1, count + 1)))
    assert course.state is PlanState.PAID
    assert course.left_micros == 0
    amounts = [micros for _, micros in taken]
    assert sum(amounts) == debt
    assert set(amounts[:-1]) <= {equal}
    assert 0 < amounts[-1] <= equal


def test_bihar_debt_comes_back_in_300_days() -> None:
    assert instalment_micros(30_000 * MICROS_PER_RUPEE, 300) == 100 * MICROS_PER_RUPEE


@given(st.integers(1, 10**12), st.integers(1, 10_000), debts)
def test_share_is_never_more_than_configured_nor_than_what_is_left(
    recharge: int, share_bp: int, left: int
) -> None:
    kept = share_micros(recharge, share_bp, left)
    assert 0 <= kept <= left
    assert kept * 10_000 <= recharge * share_bp
    assert kept == left or recharge * share_bp - kept * 10_000 < MICROS_PER_PAISA * 10_000


def test_share_of_a_recharge_is_in_whole_paise() -> None:
    assert share_micros(100 * MICROS_PER_RUPEE, 2_500, 10**12) == 25 * MICROS_PER_RUPEE
    assert share_micros(33_330_000, 3_333, 10**12) == 11_100_000


@pytest.mark.parametrize(("instalments", "share_bp"), [(None, None), (5, 5)])
def test_plan_comes_back_in_one_way(instalments: int | None, share_bp: int | None) -> None:
    with pytest.raises(AssertionError):
        PlanTerms(instalments, share_bp, 3)


def test_rules_make_the_terms_of_a_plan() -> None:
    rules = ArrearsRules(300, None, 10**12, 5, auto_after_outage=True)
    assert rules.terms(3_000 * MICROS_PER_RUPEE) == PlanTerms(10 * MICROS_PER_RUPEE, None, 5)
    rules = ArrearsRules(None, 2_500, 10**12, 5, auto_after_outage=True)
    assert rules.terms(3_000 * MICROS_PER_RUPEE) == PlanTerms(None, 2_500, 5)


# days -------------------------------------------------------------------------------------------------------


def test_day_before_the_plan_or_taken_already_takes_nothing() -> None:
    course, taken = take(by_day(10), Course(100, 0, 5), day(3), day(4), day(5))
    assert taken == [(5, 10)]
    assert course == Course(90, 0, 6)
    assert take(by_day(10), course, day(5)) == (course, [])


def test_days_in_debt_in_a_row_break_the_plan() -> None:
    course = Course(1_000, 0, 1)
    for number in (1, 2, 3):
        course, _ = take(by_day(10), course, day(number), balance=9)
        assert (course.missed, course.state) == (number, PlanState.ACTIVE)
    course, taken = take(by_day(10), course, day(4), balance=9)
    assert course.state is PlanState.EXPIRED
    assert taken == [(4, 10)], "what was due is taken, and the rest goes back"
    assert course.left_micros == 960


def test_day_in_credit_begins_the_count_anew() -> None:
    course, _ = take(by_day(10), Course(1_000, 3, 1), day(1), balance=10)
    assert course.missed == 0


def test_plan_by_share_is_broken_by_days_in_debt_too() -> None:
    course, taken = take(PlanTerms(None, 2_500, 0), Course(1_000, 0, 1), day(1), balance=-1)
    assert (course.state, taken) == (PlanState.EXPIRED, [])


def test_last_instalment_pays_the_plan_even_on_a_missed_day() -> None:
    course, taken = take(by_day(10, 0), Course(7, 0, 1), day(1), balance=-50)
    assert (course.state, taken) == (PlanState.PAID, [(1, 7)])


def test_excused_day_is_neither_missed_nor_does_it_forgive() -> None:
    course, taken = take(by_day(10, 0), Course(100, 2, 1), day(1), balance=-50, excused=True)
    assert (course.missed, course.state, taken) == (2, PlanState.ACTIVE, [(1, 10)])


def test_recharge_after_the_end_of_the_day_does_not_help_that_day() -> None:
    late = ((2 * DAY_S, 100),)
    course, _ = take(by_day(10), Course(1_000, 0, 1), day(1), balance=60, recharges=late)
    assert course.missed == 1
    in_time = ((2 * DAY_S - 1, 100),)
    course, _ = take(by_day(10), Course(1_000, 0, 1), day(1), balance=60, recharges=in_time)
    assert course.missed == 0


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 120)), min_size=1, max_size=30),
    st.integers(1, 60),
    st.integers(1, 400),
    st.integers(0, 4),
    st.data(),
)
def test_days_late_and_in_bulk_end_as_days_in_time(
    use_and_recharge: list[tuple[int, int]], instalment: int, debt: int, allowed: int, data: st.DataObject
) -> None:
    """Each day some use, and a recharge at noon; settled in batches of any size, each at any later time."""
    days = [day(number, use) for number, (use, _) in enumerate(use_and_recharge)]
    paid = [(number * DAY_S + DAY_S // 2, amount) for number, (_, amount) in enumerate(use_and_recharge)]
    used = list(accumulate(use for use, _ in use_and_recharge))
    terms = by_day(instalment, allowed)

    def settle(sizes: list[int], delays: list[int]) -> tuple[Course, list[tuple[int, int]]]:
        course, all_taken, first = Course(debt, 0, 0), [], 0
        for size, delay in zip(sizes, delays, strict=True):
            batch = days[first : first + size]
            first += size
            now_s = (first + delay) * DAY_S
            recharged = [(at_s, amount) for at_s, amount in paid if at_s <= now_s]
            balance = sum(amount for _, amount in recharged) - used[first - 1]
            balance -= sum(micros for _, micros in all_taken)
            if course.state is not PlanState.ACTIVE:
                break
            course, taken = follow_days(terms, course, batch, balance, recharged, excused=False)
            all_taken += taken
        return course, all_taken

    sizes: list[int] = []
    while sum(sizes) < len(days):
        sizes.append(data.draw(st.integers(1, len(days) - sum(sizes))))
    delays = data.draw(st.lists(st.integers(0, 40), min_size=len(sizes), max_size=len(sizes)))
    in_time = settle([1] * len(days), [0] * len(days))
    assert settle(sizes, delays) == in_time
    course, taken = in_time
    assert course.left_micros == debt - sum(micros for _, micros in taken)
    assert (course.state is PlanState.PAID) == (course.left_micros == 0)
