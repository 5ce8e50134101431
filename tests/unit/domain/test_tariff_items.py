"""The energy line taken apart by slabs and bands."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from unit.domain.test_pricing_laws import energies, tariff_of, terms_of_a_category

from headend.domain.pricing import Pricer
from headend.domain.tariff import CategoryTerms, Slab, TimeBand
from headend.domain.tariff_items import Item, itemise
from headend.domain.tariff_rounding import Rounding, RoundingRule

URBAN = CategoryTerms("urban", (Slab(0, 4_000_000), Slab(100_000, 6_000_000)))


def pricer_of(terms: CategoryTerms) -> Pricer:
    return Pricer(tariff_of(terms, rounding=Rounding(RoundingRule.DOWN, 1)), terms, 0)


def test_a_day_across_an_edge_has_an_item_on_each_side() -> None:
    assert itemise(pricer_of(URBAN), 99_000, [3_000]) == [
        Item(0, None, 4_000_000, 1_000, 4_000_000),
        Item(100_000, None, 6_000_000, 2_000, 12_000_000),
    ]


def test_a_single_wh_below_an_edge_is_an_item_too() -> None:
    items = itemise(pricer_of(URBAN), 99_999, [2])
    assert [(item.from_wh, item.amount_micros) for item in items] == [(0, 4_000), (100_000, 6_000)]


def test_free_energy_is_an_item_of_its_own_without_a_price() -> None:
    assert itemise(pricer_of(replace(URBAN, free_wh=50_000)), 49_000, [2_000]) == [
        Item(0, None, 0, 1_000, 0),
        Item(50_000, None, 4_000_000, 1_000, 4_000_000),
    ]


def test_bands_are_items_in_the_order_of_the_day() -> None:
    night, noon = TimeBand(0, -5_000), TimeBand(720, 10_000)
    assert itemise(pricer_of(replace(URBAN, bands=(night, noon))), 99_500, [500, 1_000]) == [
        Item(0, night, 4_000_000, 500, 1_000_000),
        Item(100_000, noon, 6_000_000, 1_000, 12_000_000),
    ]


def test_no_energy_has_no_items() -> None:
    assert itemise(pricer_of(URBAN), 0, [0]) == []


@given(terms_of_a_category(bands=3), energies, st.lists(energies, min_size=3, max_size=3))
def test_items_add_up_to_the_energy_line(terms: CategoryTerms, before_wh: int, band_wh: list[int]) -> None:
    banded, plain = pricer_of(terms), pricer_of(replace(terms, bands=()))
    assert sum(item.amount_micros for item in itemise(banded, before_wh, band_wh)) == sum(
        banded.band_micros(before_wh, band_wh)
    )
    items = itemise(plain, before_wh, [sum(band_wh)])
    assert sum(item.amount_micros for item in items) == plain.energy_micros(before_wh, sum(band_wh))
    assert sum(item.energy_wh for item in items) == sum(band_wh)
