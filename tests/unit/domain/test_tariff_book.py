"""Which pricer a meter's day has: by the tariff in force, the category and the load."""

from dataclasses import replace

import pytest

from headend.domain.tariff import CategoryTerms, Slab, Tariff
from headend.domain.tariff_book import NoPrice, PriceBook
from headend.domain.tariff_rounding import Rounding, RoundingRule

URBAN = CategoryTerms("urban", (Slab(0, 4_000_000),), fixed_micros_per_kw_month=30_000_000)
RURAL = CategoryTerms("rural", (Slab(0, 2_000_000),))
OLD = Tariff("domestic", 1, 100, Rounding(RoundingRule.HALF_EVEN, 1), "urban", (URBAN, RURAL))
DEARER = replace(URBAN, slabs=(Slab(0, 5_000_000),))
NEW = replace(OLD, version=2, from_day=200, categories=(DEARER,))
BOOK = PriceBook([NEW, OLD])


def price_of_a_kwh(day: int, category: str | None) -> int:
    return BOOK.pricer(day, category, 1_000).energy_micros(0, 1_000)


def test_each_day_has_the_price_of_the_tariff_in_force_on_it() -> None:
    assert [price_of_a_kwh(day, "urban") for day in (100, 199, 200)] == [4_000_000, 4_000_000, 5_000_000]


def test_no_category_is_the_default_one() -> None:
    assert price_of_a_kwh(150, None) == 4_000_000
    assert price_of_a_kwh(150, "rural") == 2_000_000


def test_each_load_has_its_own_fixed_charge() -> None:
    fixed_micros = [BOOK.pricer(150, None, load_w).fixed_micros(150) for load_w in (0, 1_000, 2_000)]
    assert fixed_micros == [0, 967_742, 1_935_484]  # day 150 is 30 May


def test_a_pricer_is_made_once() -> None:
    assert BOOK.pricer(100, "urban", 1_000) is BOOK.pricer(150, "urban", 1_000)
    assert BOOK.pricer(100, "urban", 1_000) is not BOOK.pricer(200, "urban", 1_000)


def test_a_day_before_the_first_tariff_has_no_price() -> None:
    with pytest.raises(NoPrice, match="no tariff is in force"):
        BOOK.pricer(99, None, 1_000)


def test_a_category_that_the_tariff_in_force_does_not_have_has_no_price() -> None:
    with pytest.raises(NoPrice, match="domestic version 2 has no category rural"):
        BOOK.pricer(200, "rural", 1_000)
