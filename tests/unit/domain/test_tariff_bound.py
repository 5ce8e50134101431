"""How much energy an amount surely pays for: never too much, and not far too little."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from unit.domain.test_pricing_laws import FIRST_DAY, energies, roundings, tariff_of, terms_of_a_category

from headend.domain.pricing import MAX_ENERGY_WH, Pricer
from headend.domain.tariff import CategoryTerms, Slab, TimeBand
from headend.domain.tariff_bound import energy_within_wh, price_bound_micros_per_kwh
from headend.domain.tariff_rounding import Rounding, RoundingRule

URBAN = CategoryTerms("urban", (Slab(0, 4_120_000), Slab(100_000, 5_520_000), Slab(200_000, 5_000_000)))
EXACT = Rounding(RoundingRule.HALF_EVEN, 1)


def test_the_bound_is_the_dearest_slab_with_duty() -> None:
    assert price_bound_micros_per_kwh(URBAN) == 5_520_000
    assert price_bound_micros_per_kwh(replace(URBAN, duty_bp=500)) == 5_796_000


def test_the_bound_is_that_of_the_dearest_band_and_a_rebate_does_not_lower_it() -> None:
    bands = (TimeBand(0, -5_000), TimeBand(720, 2_000))
    assert price_bound_micros_per_kwh(replace(URBAN, bands=bands, rebate_bp=200)) == 6_624_000
    assert price_bound_micros_per_kwh(replace(URBAN, bands=bands[:1])) == 5_520_000


def test_the_bound_is_rounded_up() -> None:
    assert price_bound_micros_per_kwh(CategoryTerms("all", (Slab(0, 3),), duty_bp=1)) == 4


def test_an_amount_pays_for_almost_its_energy_at_one_price() -> None:
    terms = CategoryTerms("all", (Slab(0, 4_000_000),))
    assert energy_within_wh(terms, EXACT, 40_000_000) == 9_999
    assert energy_within_wh(terms, EXACT, 40_000_005) == 10_000


def test_where_energy_is_free_any_amount_pays_for_all_of_it() -> None:
    assert energy_within_wh(CategoryTerms("all", (Slab(0, 0),)), EXACT, 0) == MAX_ENERGY_WH


def test_nothing_pays_for_nothing() -> None:
    assert energy_within_wh(URBAN, EXACT, 0) == 0
    assert energy_within_wh(URBAN, EXACT, -1_000_000) == 0


@given(terms_of_a_category(), roundings, energies, st.integers(0, 10**10), st.integers(0, 100))
def test_energy_within_an_amount_never_costs_more(
    terms: CategoryTerms, rounding: Rounding, before_wh: int, amount_micros: int, part: int
) -> None:
    terms = replace(terms, fixed_micros_per_day=0, fixed_micros_per_kw_month=0)
    energy_wh = min(energy_within_wh(terms, rounding, amount_micros), 10**12) * part // 100
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, 0)
    assert pricer.price_day(FIRST_DAY, before_wh, energy_wh).total_micros <= amount_micros


@given(terms_of_a_category(bands=2), roundings, energies, st.integers(0, 10**10))
def test_nor_in_the_dearest_band(
    terms: CategoryTerms, rounding: Rounding, before_wh: int, amount_micros: int
) -> None:
    terms = replace(terms, fixed_micros_per_day=0, fixed_micros_per_kw_month=0)
    energy_wh = min(energy_within_wh(terms, rounding, amount_micros), 10**12)
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, 0)
    for band_wh in ((energy_wh, 0), (0, energy_wh)):
        assert pricer.price_bands(FIRST_DAY, before_wh, band_wh).total_micros <= amount_micros
