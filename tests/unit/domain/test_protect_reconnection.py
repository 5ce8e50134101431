"""Reconnection: at once when the balance suffices, or the share of the dues that the rules name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.reconnection import Reconnection, ReconnectionRules, Step, days_for, reconnect

DAY_S = 86_400
NOW_S = 1_730_000_000
DUES_MICROS = 400_000_000

# Uttar Pradesh: half of the dues; up to three quarters buy 3 days, more buys 7.
BY_SHARE = ReconnectionRules(min_share_bp=5_000, days_by_share=(Step(7_500, 3), Step(None, 7)))


def paying(share_bp: int, off_micros: int = 0, rules: ReconnectionRules = BY_SHARE) -> Reconnection | None:
    paid_micros = DUES_MICROS * share_bp // 10_000 + off_micros
    return reconnect(
        rules,
        balance_micros=paid_micros - DUES_MICROS,
        dues_micros=DUES_MICROS,
        paid_micros=paid_micros,
        now_s=NOW_S,
    )


@pytest.mark.parametrize(
    ("share_bp", "off_micros", "days"),
    [(5_000, 0, 3), (6_000, 0, 3), (7_500, 0, 3), (7_500, 1, 7), (9_999, 0, 7), (10_000, -1, 7)],
)
def test_share_of_the_dues_buys_days_without_a_cut(share_bp: int, off_micros: int, days: int) -> None:
    assert paying(share_bp, off_micros) == Reconnection(NOW_S + days * DAY_S)


def test_less_than_the_least_share_buys_nothing() -> None:
    assert paying(5_000, -1) is None
    assert paying(0) is None


def test_all_of_the_dues_is_a_reconnection_by_the_usual_rules() -> None:
    assert paying(10_000) == Reconnection(no_cut_before_s=None)


def test_where_no_share_suffices_the_balance_alone_decides() -> None:
    rules = ReconnectionRules(from_micros=5)
    assert paying(9_999, rules=rules) is None
    assert paying(10_000, 5, rules) == Reconnection(None)
    assert paying(10_000, 4, rules) is None


def test_home_cut_without_dues_needs_the_balance() -> None:
    assert reconnect(BY_SHARE, balance_micros=-1, dues_micros=0, paid_micros=100, now_s=NOW_S) is None
    assert reconnect(BY_SHARE, balance_micros=0, dues_micros=0, paid_micros=0, now_s=NOW_S) == Reconnection(None)


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**7))
def test_paying_more_never_buys_less(balance: int, dues: int, paid: int, more: int) -> None:
    before = reconnect(BY_SHARE, balance_micros=balance, dues_micros=dues, paid_micros=paid, now_s=NOW_S)
    after = reconnect(BY_SHARE, balance_micros=balance, dues_micros=dues, paid_micros=paid + more, now_s=NOW_S)
    if before is not None:
        assert after is not None
        assert (before.no_cut_before_s or 0) <= (after.no_cut_before_s or 0)


@pytest.mark.parametrize(("value", "days"), [(0, 1), (10, 1), (11, 2), (20, 2), (21, 0)])
def test_first_step_that_reaches_a_value_decides(value: int, days: int) -> None:
    assert days_for([Step(10, 1), Step(20, 2)], value) == days
