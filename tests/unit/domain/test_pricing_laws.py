"""What holds for every tariff: bills add up however days are cut, and a second reckoning in fractions agrees."""

import json
import random
from collections.abc import Sequence
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st
from unit.domain.reference_tariff import Lines, bill

from headend.domain.pricing import DayCharge, Pricer
from headend.domain.tariff import CategoryTerms, DutyOn, Slab, Tariff, TimeBand
from headend.domain.tariff_rounding import Rounding, RoundingRule
from headend.rules.tariff import tariff_to_json

FIRST = date(2024, 2, 1)
FIRST_DAY = FIRST.toordinal()
HALVES = (RoundingRule.HALF_EVEN, RoundingRule.HALF_UP)

prices = st.one_of(st.integers(0, 20_000_000), st.integers(0, 20_000).map(lambda price: price * 1_000))
energies = st.integers(0, 300_000)
months = st.lists(energies, min_size=29, max_size=29)
roundings = st.builds(Rounding, st.sampled_from(RoundingRule), st.sampled_from([1, 7, 10_000, 1_000_000]))
loads = st.integers(0, 20_000)


@st.composite
def terms_of_a_category(draw: st.DrawFn, bands: int = 0, name: str = "all") -> CategoryTerms:
    edges_wh = sorted(draw(st.sets(st.integers(1, 600_000), max_size=4)))
    later = st.sets(st.integers(1, 1_439), min_size=max(0, bands - 1), max_size=max(0, bands - 1))
    starts = [0, *sorted(draw(later))] if bands else []
    return CategoryTerms(
        name=name,
        slabs=tuple(Slab(edge_wh, draw(prices)) for edge_wh in [0, *edges_wh]),
        free_wh=draw(st.one_of(st.just(0), st.integers(0, 600_000))),
        fixed_micros_per_day=draw(st.integers(0, 5_000_000)),
        fixed_micros_per_kw_month=draw(st.integers(0, 500_000_000)),
        duty_bp=draw(st.integers(0, 10_000)),
        duty_on=draw(st.sampled_from(DutyOn)),
        rebate_bp=draw(st.integers(0, 10_000)),
        bands=tuple(TimeBand(start, draw(st.integers(-10_000, 20_000))) for start in starts),
    )


def tariff_of(*categories: CategoryTerms, rounding: Rounding) -> Tariff:
    return Tariff("domestic", 1, 1, rounding, categories[0].name, categories)


def priced(pricer: Pricer, energy_wh: Sequence[int]) -> list[DayCharge]:
    """Consecutive days from the first of a month on."""
    return [
        pricer.price_day(FIRST_DAY + index, sum(energy_wh[:index]), today_wh)
        for index, today_wh in enumerate(energy_wh)
    ]


@given(terms_of_a_category(), loads, st.lists(energies, min_size=1, max_size=60))
def test_energy_adds_up_to_the_month_however_it_is_cut(
    terms: CategoryTerms, load_w: int, cuts_wh: list[int]
) -> None:
    pricer = Pricer(tariff_of(terms, rounding=Rounding(RoundingRule.DOWN, 1)), terms, load_w)
    pieces = [pricer.energy_micros(sum(cuts_wh[:index]), piece_wh) for index, piece_wh in enumerate(cuts_wh)]
    assert sum(pieces) == pricer.energy_micros(0, sum(cuts_wh))


@given(terms_of_a_category(), loads)
def test_fixed_charges_add_up_to_the_month(terms: CategoryTerms, load_w: int) -> None:
    pricer = Pricer(tariff_of(terms, rounding=Rounding(RoundingRule.DOWN, 1)), terms, load_w)
    days = sum(pricer.fixed_micros(FIRST_DAY + index) for index in range(29))
    month_micros = round(terms.fixed_micros_per_kw_month * load_w, -3) // 1_000
    assert days == month_micros + 29 * terms.fixed_micros_per_day


@given(terms_of_a_category(), loads, roundings, months, st.randoms(use_true_random=False))
def test_a_month_costs_the_same_energy_in_any_order_of_its_days(
    terms: CategoryTerms, load_w: int, rounding: Rounding, month_wh: list[int], chance: random.Random
) -> None:
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, load_w)
    shuffled = list(month_wh)
    chance.shuffle(shuffled)
    bills = [priced(pricer, days) for days in (month_wh, shuffled)]
    assert len({sum(charge.energy_micros for charge in days) for days in bills}) == 1
    assert len({sum(charge.fixed_micros for charge in days) for days in bills}) == 1


@given(terms_of_a_category(), loads, roundings, energies, energies, st.integers(0, 5_000))
def test_more_energy_never_costs_less(
    terms: CategoryTerms, load_w: int, rounding: Rounding, before_wh: int, energy_wh: int, more_wh: int
) -> None:
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, load_w)
    less, more = (pricer.price_day(FIRST_DAY, before_wh, wh) for wh in (energy_wh, energy_wh + more_wh))
    assert more.energy_micros >= less.energy_micros
    assert more.total_micros >= less.total_micros


@given(terms_of_a_category(bands=3), loads, roundings, energies, st.lists(energies, min_size=3, max_size=3))
def test_a_total_is_never_below_zero_and_rounded_by_less_than_a_unit(
    terms: CategoryTerms, load_w: int, rounding: Rounding, before_wh: int, band_wh: list[int]
) -> None:
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, load_w)
    for charge in (
        pricer.price_day(FIRST_DAY, before_wh, sum(band_wh)),
        pricer.price_bands(FIRST_DAY, before_wh, band_wh),
    ):
        assert charge.total_micros >= 0
        assert charge.total_micros % rounding.unit_micros == 0
        assert abs(charge.rounding_micros) < rounding.unit_micros
        if rounding.rule in HALVES:
            assert 2 * abs(charge.rounding_micros) <= rounding.unit_micros
        assert charge.rounding_micros <= 0 or rounding.rule is not RoundingRule.DOWN
        assert charge.rounding_micros >= 0 or rounding.rule is not RoundingRule.UP


@given(terms_of_a_category(name="old"), terms_of_a_category(name="new"), loads, months, st.integers(0, 29))
def test_slabs_run_on_over_a_change_of_category_or_tariff(
    old: CategoryTerms, new: CategoryTerms, load_w: int, month_wh: list[int], change: int
) -> None:
    tariff = tariff_of(old, new, rounding=Rounding(RoundingRule.DOWN, 1))
    before, after = Pricer(tariff, old, load_w), Pricer(tariff, new, load_w)
    bills = priced(before, month_wh)[:change] + priced(after, month_wh)[change:]
    drawn_wh = sum(month_wh[:change])
    energy_micros = before.energy_micros(0, drawn_wh) + after.energy_micros(drawn_wh, sum(month_wh[change:]))
    assert sum(charge.energy_micros for charge in bills) == energy_micros


@given(
    terms_of_a_category(bands=2),
    loads,
    roundings,
    st.lists(st.tuples(energies, energies), min_size=1, max_size=45),
)
def test_every_line_is_that_of_a_reckoning_in_fractions(
    terms: CategoryTerms, load_w: int, rounding: Rounding, days_wh: list[tuple[int, int]]
) -> None:
    tariff = tariff_of(terms, rounding=rounding)
    pricer = Pricer(tariff, terms, load_w)
    days = [(FIRST + timedelta(index), band_wh) for index, band_wh in enumerate(days_wh)]
    expected = list(bill(json.loads(tariff_to_json(tariff)), terms.name, load_w, days))
    drawn_wh, found = 0, []
    for on, band_wh in days:
        drawn_wh = 0 if on.day == 1 else drawn_wh
        found.append(lines_of(pricer.price_bands(on.toordinal(), drawn_wh, band_wh)))
        drawn_wh += sum(band_wh)
    assert found == expected


def lines_of(charge: DayCharge) -> Lines:
    return Lines(
        charge.energy_micros,
        charge.fixed_micros,
        charge.duty_micros,
        charge.rebate_micros,
        charge.rounding_micros,
        charge.total_micros,
    )
