"""Tariffs: which one is in force, which terms a category has, and what cannot be a tariff."""

from dataclasses import replace
from typing import Any

import pytest

from headend.domain.tariff import CategoryTerms, Slab, Tariff, TimeBand, tariff_on
from headend.domain.tariff_rounding import Rounding, RoundingRule

URBAN = CategoryTerms("urban", (Slab(0, 4_120_000), Slab(100_000, 5_520_000)))
RURAL = CategoryTerms("rural", (Slab(0, 2_450_000),))
TARIFF = Tariff("domestic", 1, 100, Rounding(RoundingRule.HALF_EVEN, 10_000), "urban", (URBAN, RURAL))


def test_a_category_is_found_by_its_name() -> None:
    assert TARIFF.category("rural") is RURAL


def test_no_category_is_the_default_one() -> None:
    assert TARIFF.category(None) is URBAN


def test_a_category_that_is_not_there_is_none() -> None:
    assert TARIFF.category("farm") is None


def test_a_tariff_is_in_force_from_its_day_until_the_next_ones() -> None:
    later = replace(TARIFF, version=2, from_day=200)
    found = [tariff_on([TARIFF, later], day) for day in (99, 100, 199, 200, 10_000)]
    assert found == [None, TARIFF, TARIFF, later, later]


def test_without_tariffs_none_is_in_force() -> None:
    assert tariff_on([], 100) is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": ""}, "a category has a name"),
        ({"slabs": ()}, "the first slab begins at 0"),
        ({"slabs": (Slab(1, 5),)}, "the first slab begins at 0"),
        ({"slabs": (Slab(0, 5), Slab(0, 6))}, "above the one before"),
        ({"slabs": (Slab(0, 5), Slab(9, 6), Slab(8, 7))}, "above the one before"),
        ({"slabs": (Slab(0, -1),)}, "a price is from 0"),
        ({"slabs": (Slab(0, 10**9 + 1),)}, "a price is from 0"),
        ({"free_wh": -1}, "free energy"),
        ({"fixed_micros_per_day": -1}, "a fixed charge"),
        ({"fixed_micros_per_day": 10**12 + 1}, "a fixed charge"),
        ({"fixed_micros_per_kw_month": -1}, "a fixed charge"),
        ({"duty_bp": -1}, "duty"),
        ({"duty_bp": 10_001}, "duty"),
        ({"rebate_bp": -1}, "rebate"),
        ({"rebate_bp": 10_001}, "rebate"),
        ({"bands": (TimeBand(1, 0),)}, "the first time band begins at 00:00"),
        ({"bands": (TimeBand(0, 0), TimeBand(0, 5))}, "time bands follow"),
        ({"bands": (TimeBand(0, 0), TimeBand(1_440, 5))}, "time bands follow"),
        ({"bands": (TimeBand(0, -10_001),)}, "a band changes the price"),
        ({"bands": (TimeBand(0, 100_001),)}, "a band changes the price"),
    ],
)
def test_terms_that_make_no_sense_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(URBAN, **change)


def test_terms_at_the_limits_are_accepted() -> None:
    bands = (TimeBand(0, -10_000), TimeBand(1_439, 100_000))
    replace(URBAN, slabs=(Slab(0, 10**9),), duty_bp=10_000, rebate_bp=10_000, bands=bands)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": ""}, "a tariff has a name"),
        ({"version": 0}, "version is at least 1"),
        ({"categories": (URBAN, RURAL, RURAL)}, "each category stands once"),
        ({"default_category": "farm"}, "default category"),
        ({"categories": ()}, "default category"),
    ],
)
def test_tariffs_that_make_no_sense_are_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(TARIFF, **change)
