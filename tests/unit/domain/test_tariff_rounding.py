"""Rounding by name: every rule at, below and above the half."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.tariff_rounding import Rounding, RoundingRule, divide

AMOUNTS = [20_000, 20_001, 24_999, 25_000, 25_001, 29_999, 30_000, 34_999, 35_000, 35_001]
TO_A_PAISA = {
    RoundingRule.HALF_EVEN: [2, 2, 2, 2, 3, 3, 3, 3, 4, 4],
    RoundingRule.HALF_UP: [2, 2, 2, 3, 3, 3, 3, 3, 4, 4],
    RoundingRule.DOWN: [2, 2, 2, 2, 2, 2, 3, 3, 3, 3],
    RoundingRule.UP: [2, 3, 3, 3, 3, 3, 3, 4, 4, 4],
}


@pytest.mark.parametrize("rule", RoundingRule)
def test_each_rule_rounds_to_its_side(rule: RoundingRule) -> None:
    rounding = Rounding(rule, 10_000)
    assert [rounding.rounded_micros(amount) // 10_000 for amount in AMOUNTS] == TO_A_PAISA[rule]


@pytest.mark.parametrize("rule", RoundingRule)
@given(dividend=st.integers(0, 10**20), divisor=st.integers(1, 10**8))
def test_division_is_that_of_fractions(rule: RoundingRule, dividend: int, divisor: int) -> None:
    exact = Fraction(dividend, divisor)
    expected = {
        RoundingRule.HALF_EVEN: round(exact),
        RoundingRule.HALF_UP: floor(exact + Fraction(1, 2)),
        RoundingRule.DOWN: floor(exact),
        RoundingRule.UP: ceil(exact),
    }
    assert divide(dividend, divisor, rule) == expected[rule]


@given(st.integers(0, 10**15))
def test_a_unit_of_one_micro_rounds_nothing(amount_micros: int) -> None:
    for rule in RoundingRule:
        assert Rounding(rule, 1).rounded_micros(amount_micros) == amount_micros


def test_a_unit_below_a_micro_is_refused() -> None:
    with pytest.raises(ValueError, match="at least a micro"):
        Rounding(RoundingRule.DOWN, 0)
