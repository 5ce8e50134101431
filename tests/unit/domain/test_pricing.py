"""A day's bill, one element at a time, with its boundaries. Figures are worked out by hand."""

from dataclasses import replace
from datetime import date

import pytest

from headend.domain.pricing import DayCharge, Pricer
from headend.domain.tariff import CategoryTerms, DutyOn, Slab, Tariff, TimeBand
from headend.domain.tariff_rounding import Rounding, RoundingRule

NOV_1 = date(2024, 11, 1).toordinal()
NOV_30 = NOV_1 + 29
URBAN = CategoryTerms("urban", (Slab(0, 4_120_000), Slab(100_000, 5_520_000)))
EXACT = Rounding(RoundingRule.HALF_EVEN, 1)


def pricer_of(terms: CategoryTerms, load_w: int = 2_000, rounding: Rounding = EXACT) -> Pricer:
    return Pricer(Tariff("domestic", 1, 1, rounding, terms.name, (terms,)), terms, load_w)


def one_price(micros_per_kwh: int) -> CategoryTerms:
    return CategoryTerms("all", (Slab(0, micros_per_kwh),))


def test_a_flat_price_is_the_energy_times_the_price() -> None:
    charge = pricer_of(one_price(4_120_000)).price_day(NOV_1, 77_000, 7_321)
    assert charge == DayCharge(7_321 * 4_120, 0, 0, 0, 0)
    assert charge.total_micros == 30_162_520


def test_a_day_without_energy_costs_no_energy() -> None:
    assert pricer_of(URBAN).price_day(NOV_1, 50_000, 0) == DayCharge(0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("month_wh_before", "energy_wh", "energy_micros"),
    [
        (0, 100_000, 412_000_000),  # up to the edge, all at the first price
        (0, 100_001, 412_005_520),  # the first Wh above it
        (99_999, 1, 4_120),  # the last Wh below it
        (100_000, 1, 5_520),  # the first Wh above it
        (99_000, 3_000, 4_120_000 + 11_040_000),  # across it
        (250_000, 10_000, 55_200_000),  # far above it
    ],
)
def test_slabs_change_the_price_at_their_edge(month_wh_before: int, energy_wh: int, energy_micros: int) -> None:
    assert pricer_of(URBAN).price_day(NOV_30, month_wh_before, energy_wh).energy_micros == energy_micros


def test_one_day_can_cross_several_slabs() -> None:
    terms = CategoryTerms("all", (Slab(0, 1_000_000), Slab(1_000, 2_000_000), Slab(3_000, 4_000_000)))
    assert pricer_of(terms).energy_micros(500, 4_500) == 500_000 + 4_000_000 + 8_000_000


def test_a_price_below_a_micro_per_wh_is_rounded_over_the_month_not_over_the_day() -> None:
    pricer = pricer_of(one_price(400))  # 0.4 micros per Wh
    assert [pricer.energy_micros(drawn_wh, 1) for drawn_wh in range(5)] == [0, 1, 0, 1, 0]
    assert pricer.energy_micros(0, 5) == 2


def test_a_cumulative_tie_goes_to_the_even_side() -> None:
    pricer = pricer_of(one_price(500))
    assert [pricer.energy_micros(0, energy_wh) for energy_wh in (1, 3, 5)] == [0, 2, 2]


@pytest.mark.parametrize(
    ("month_wh_before", "energy_wh", "energy_micros"),
    [(0, 20_000, 0), (0, 20_001, 4_120), (19_999, 1, 0), (20_000, 1, 4_120), (20_000, 80_001, 329_605_520)],
)
def test_free_energy_costs_nothing_and_counts_for_the_slabs(
    month_wh_before: int, energy_wh: int, energy_micros: int
) -> None:
    pricer = pricer_of(replace(URBAN, free_wh=20_000))
    assert pricer.energy_micros(month_wh_before, energy_wh) == energy_micros


def test_free_energy_can_reach_beyond_a_slab() -> None:
    pricer = pricer_of(replace(URBAN, free_wh=100_500))
    assert pricer.energy_micros(0, 101_000) == 500 * 5_520


def test_free_energy_up_to_an_edge_leaves_the_next_slab_as_it_is() -> None:
    assert pricer_of(replace(URBAN, free_wh=100_000)).energy_micros(0, 100_001) == 5_520


def test_a_fixed_charge_per_day_is_the_same_each_day() -> None:
    pricer = pricer_of(replace(URBAN, fixed_micros_per_day=532_500))
    assert {pricer.fixed_micros(day) for day in range(NOV_1, NOV_30 + 1)} == {532_500}


def test_a_fixed_charge_per_kw_and_month_is_spread_over_the_month() -> None:
    pricer = pricer_of(replace(URBAN, fixed_micros_per_kw_month=110_000_000), load_w=2_500)
    days = [pricer.fixed_micros(day) for day in range(NOV_1, NOV_30 + 1)]
    assert sum(days) == 275_000_000
    assert set(days) == {9_166_666, 9_166_667}  # Rs 275 / 30
    assert days[:3] == [9_166_667, 9_166_666, 9_166_667]


@pytest.mark.parametrize(("year", "month", "days"), [(2024, 2, 29), (2023, 2, 28), (2024, 12, 31)])
def test_every_month_has_its_whole_fixed_charge(year: int, month: int, days: int) -> None:
    pricer = pricer_of(replace(URBAN, fixed_micros_per_kw_month=100_000_001), load_w=1_000)
    first = date(year, month, 1).toordinal()
    assert sum(pricer.fixed_micros(day) for day in range(first, first + days)) == 100_000_001


def test_duty_on_the_energy_leaves_the_fixed_charge_out() -> None:
    terms = replace(one_price(4_000_000), fixed_micros_per_day=1_000_000, duty_bp=550)
    assert pricer_of(terms).price_day(NOV_1, 0, 1_000) == DayCharge(4_000_000, 1_000_000, 220_000, 0, 0)


def test_duty_on_energy_and_fixed_charge_takes_both() -> None:
    terms = replace(
        one_price(4_000_000), fixed_micros_per_day=1_000_000, duty_bp=550, duty_on=DutyOn.ENERGY_AND_FIXED
    )
    assert pricer_of(terms).price_day(NOV_1, 0, 1_000).duty_micros == 275_000


def test_a_rebate_is_a_share_of_the_energy_alone_and_does_not_lessen_the_duty() -> None:
    terms = replace(one_price(4_000_000), fixed_micros_per_day=1_000_000, duty_bp=500, rebate_bp=200)
    charge = pricer_of(terms).price_day(NOV_1, 0, 1_000)
    assert charge == DayCharge(4_000_000, 1_000_000, 200_000, 80_000, 0)
    assert charge.total_micros == 5_120_000


def test_duty_and_rebate_are_rounded_to_the_micro_half_to_even() -> None:
    terms = replace(one_price(1_000), duty_bp=500, rebate_bp=1_500)
    charges = [pricer_of(terms).price_day(NOV_1, 0, energy_wh) for energy_wh in (10, 30, 50)]
    assert [charge.duty_micros for charge in charges] == [0, 2, 2]  # 0.5, 1.5, 2.5
    assert [charge.rebate_micros for charge in charges] == [2, 4, 8]  # 1.5, 4.5, 7.5


@pytest.mark.parametrize(
    ("rule", "rounding_micros"),
    [
        (RoundingRule.HALF_EVEN, -5_000),
        (RoundingRule.HALF_UP, 5_000),
        (RoundingRule.DOWN, -5_000),
        (RoundingRule.UP, 5_000),
    ],
)
def test_the_total_is_rounded_by_the_named_rule_and_the_residue_is_a_line(
    rule: RoundingRule, rounding_micros: int
) -> None:
    pricer = pricer_of(one_price(1_025_000), rounding=Rounding(rule, 10_000))
    charge = pricer.price_day(NOV_1, 0, 1_000)
    assert charge == DayCharge(1_025_000, 0, 0, 0, rounding_micros)
    assert charge.total_micros == 1_025_000 + rounding_micros


def test_a_time_band_changes_the_price_of_its_energy() -> None:
    terms = replace(one_price(4_000_000), bands=(TimeBand(0, -1_500), TimeBand(360, 0), TimeBand(1_080, 2_000)))
    pricer = pricer_of(terms)
    assert pricer.band_micros(0, (1_000, 2_000, 3_000)) == [3_400_000, 8_000_000, 14_400_000]
    assert pricer.price_bands(NOV_1, 0, (1_000, 2_000, 3_000)).energy_micros == 25_800_000


def test_bands_climb_the_slabs_in_the_order_of_the_day() -> None:
    pricer = pricer_of(replace(URBAN, bands=(TimeBand(0, 0), TimeBand(720, 10_000))))
    assert pricer.band_micros(99_000, (500, 1_000)) == [500 * 4_120, 500 * 8_240 + 500 * 11_040]


def test_the_fixed_charge_counts_once_a_day_whatever_the_bands() -> None:
    terms = replace(one_price(0), fixed_micros_per_day=7, bands=(TimeBand(0, 0), TimeBand(720, 0)))
    assert pricer_of(terms).price_bands(NOV_1, 0, (1, 1)) == DayCharge(0, 7, 0, 0, 0)


@pytest.mark.parametrize("band_wh", [(1_000,), (1_000, 1_000, 1_000)])
def test_each_band_needs_its_own_energy(band_wh: tuple[int, ...]) -> None:
    terms = replace(one_price(1), bands=(TimeBand(0, 0), TimeBand(720, 0)))
    with pytest.raises(ValueError, match="argument"):
        pricer_of(terms).price_bands(NOV_1, 0, band_wh)
