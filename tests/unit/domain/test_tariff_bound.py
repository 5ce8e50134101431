"""What a charge surely does not exceed: never less than it can be, and not far more."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from unit.domain.test_pricing_laws import FIRST_DAY, energies, loads, roundings, tariff_of, terms_of_a_category

from headend.domain.pricing import Pricer
from headend.domain.tariff import CategoryTerms, Slab, TimeBand
from headend.domain.tariff_bound import ChargeBound, charge_bounds, dearest
from headend.domain.tariff_rounding import Rounding, RoundingRule

URBAN = CategoryTerms("urban", (Slab(0, 4_120_000), Slab(100_000, 5_520_000), Slab(200_000, 5_000_000)))
EXACT = Rounding(RoundingRule.HALF_EVEN, 1)


def bound_of(terms: CategoryTerms, rounding: Rounding = EXACT) -> ChargeBound:
    return charge_bounds([tariff_of(terms, rounding=rounding)])[None]


def test_the_bound_is_the_dearest_slab_with_duty() -> None:
    assert bound_of(URBAN).micros_per_wh == 5_520
    assert bound_of(replace(URBAN, duty_bp=500)).micros_per_wh == 5_796


def test_the_bound_is_that_of_the_dearest_band_and_a_rebate_does_not_lower_it() -> None:
    bands = (TimeBand(0, -5_000), TimeBand(720, 2_000))
    assert bound_of(replace(URBAN, bands=bands, rebate_bp=200)).micros_per_wh == 6_624
    assert bound_of(replace(URBAN, bands=bands[:1])).micros_per_wh == 5_520


def test_the_bound_is_rounded_up_and_never_zero() -> None:
    assert bound_of(CategoryTerms("all", (Slab(0, 3_000),), duty_bp=1)).micros_per_wh == 4
    assert bound_of(CategoryTerms("all", (Slab(0, 0),))).micros_per_wh == 1


def test_the_bound_of_a_category_is_over_all_tariffs() -> None:
    cheap = replace(URBAN, slabs=(Slab(0, 1_000_000),), fixed_micros_per_day=9)
    tariffs = [tariff_of(URBAN, rounding=EXACT), tariff_of(cheap, rounding=EXACT)]
    assert charge_bounds(tariffs)["urban"] == ChargeBound(5_520, 10, 0, bound_of(URBAN).once_micros)
    assert dearest([ChargeBound(1, 5, 2, 6), ChargeBound(3, 4, 2, 7)]) == ChargeBound(3, 5, 2, 7)


def test_an_amount_pays_for_almost_its_energy_at_one_price() -> None:
    bound = bound_of(CategoryTerms("all", (Slab(0, 4_000_000),)))
    assert bound.energy_within_wh(40_000_000) == 9_999
    assert bound.energy_within_wh(40_000_005) == 10_000


def test_nothing_pays_for_nothing() -> None:
    assert bound_of(URBAN).energy_within_wh(0) == 0
    assert bound_of(URBAN).energy_within_wh(-1_000_000) == 0


@given(terms_of_a_category(), roundings, energies, st.integers(0, 10**10), st.integers(0, 100))
def test_energy_within_an_amount_never_costs_more(
    terms: CategoryTerms, rounding: Rounding, before_wh: int, amount_micros: int, part: int
) -> None:
    terms = replace(terms, fixed_micros_per_day=0, fixed_micros_per_kw_month=0)
    energy_wh = bound_of(terms, rounding).energy_within_wh(amount_micros) * part // 100
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, 0)
    assert pricer.price_day(FIRST_DAY, before_wh, energy_wh).total_micros <= amount_micros


@given(terms_of_a_category(bands=2), roundings, energies, st.integers(0, 10**10))
def test_nor_in_the_dearest_band(
    terms: CategoryTerms, rounding: Rounding, before_wh: int, amount_micros: int
) -> None:
    terms = replace(terms, fixed_micros_per_day=0, fixed_micros_per_kw_month=0)
    energy_wh = bound_of(terms, rounding).energy_within_wh(amount_micros)
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, 0)
    for band_wh in ((energy_wh, 0), (0, energy_wh)):
        assert pricer.price_bands(FIRST_DAY, before_wh, band_wh).total_micros <= amount_micros


@given(terms_of_a_category(), roundings, loads, energies, energies, st.integers(0, 40))
def test_open_days_never_cost_more_than_the_bound(
    terms: CategoryTerms, rounding: Rounding, load_w: int, before_wh: int, energy_wh: int, days: int
) -> None:
    bound, pricer = bound_of(terms, rounding), Pricer(tariff_of(terms, rounding=rounding), terms, load_w)
    fixed_micros = sum(pricer.fixed_micros(FIRST_DAY + nth) for nth in range(days))
    charge = pricer.charge_of(pricer.energy_micros(before_wh, energy_wh), fixed_micros)
    a_day_micros = bound.micros_per_day + -(-load_w // 1_000) * bound.micros_per_kw_day
    assert charge.total_micros <= energy_wh * bound.micros_per_wh + days * a_day_micros + bound.once_micros
