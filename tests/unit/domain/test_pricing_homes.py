"""A year of real homes under every preset: each line of each day equals a reckoning in fractions, to the micro."""

import tomllib
from collections.abc import Sequence
from datetime import date

import pytest
from unit.domain.reference_tariff import Lines, bill, homes

from headend.domain.pricing import DayCharge, Pricer
from headend.domain.tariff_month import same_month
from headend.rules import PRESETS, load_rules, preset_names

HOMES = homes()
NIGHT_PARTS = (1, 14, 33)
"""Of 48 half hours: before 00:30, up to 07:30, after. The measured days are sums, so an even load is assumed."""

CASES = [
    (preset, category.name, load_w)
    for preset in preset_names()
    for category in load_rules(preset).tariff.categories
    for load_w in (1_000, 2_345)
]


def in_bands(energy_wh: int, bands: int) -> list[int]:
    if bands < 2:
        return [energy_wh]
    assert bands == len(NIGHT_PARTS)
    parts = [energy_wh * part // 48 for part in NIGHT_PARTS[:-1]]
    return [*parts, energy_wh - sum(parts)]


def billed(pricer: Pricer, days: Sequence[tuple[date, list[int]]]) -> list[DayCharge]:
    charges, drawn_wh, last = [], 0, days[0][0]
    for on, band_wh in days:
        drawn_wh = drawn_wh if same_month(last.toordinal(), on.toordinal()) else 0
        if pricer.terms.bands:
            charges.append(pricer.price_bands(on.toordinal(), drawn_wh, band_wh))
        else:
            charges.append(pricer.price_day(on.toordinal(), drawn_wh, sum(band_wh)))
        drawn_wh, last = drawn_wh + sum(band_wh), on
    return charges


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize(("preset", "category", "load_w"), CASES)
def test_a_year_of_a_real_home_is_billed_to_the_micro(home: str, preset: str, category: str, load_w: int) -> None:
    tariff = load_rules(preset).tariff
    terms = tariff.category(category)
    assert terms is not None
    written = tomllib.loads((PRESETS / f"{preset}.toml").read_text(), parse_float=str)["tariff"]
    days = [(on, in_bands(energy_wh, len(terms.bands))) for on, energy_wh in HOMES[home]]
    expected = list(bill(written, category, load_w, days))
    charges = billed(Pricer(tariff, terms, load_w), days)
    found = [
        Lines(
            charge.energy_micros,
            charge.fixed_micros,
            charge.duty_micros,
            charge.rebate_micros,
            charge.rounding_micros,
            charge.total_micros,
        )
        for charge in charges
    ]
    assert len(found) > 360
    assert found == expected


def test_the_large_home_climbs_a_slab_in_most_months() -> None:
    tariff = load_rules("bihar").tariff
    days = [(on, [energy_wh]) for on, energy_wh in HOMES["BR45"]]
    urban = Pricer(tariff, tariff.categories[0], 1_000)
    charges = billed(urban, days)
    at_one_price = [energy_wh * 4_120 for _, (energy_wh,) in days]
    dearer = {
        (on.year, on.month)
        for (on, _), charge, cheap in zip(days, charges, at_one_price, strict=True)
        if charge.energy_micros > cheap
    }
    assert len(dearer) > 6, "the excerpt would not show a wrong slab"
