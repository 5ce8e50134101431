"""The balance that is shown: posted less unsettled, with its time, and since when it is provisional."""

from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import given
from unit.domain.test_pricing_laws import energies, loads, roundings, tariff_of, terms_of_a_category

from headend.domain.account import Balance, derive_balance
from headend.domain.pricing import Pricer
from headend.domain.tariff import CategoryTerms, DutyOn, Slab
from headend.domain.tariff_rounding import Rounding, RoundingRule

OCT_29 = date(2024, 10, 29).toordinal()
OCT_31 = OCT_29 + 2
NOV_1 = OCT_29 + 3
EXACT = Rounding(RoundingRule.HALF_EVEN, 1)
FLAT = CategoryTerms("flat", (Slab(0, 4_120_000),))
SLABS = CategoryTerms("slabs", (Slab(0, 4_000_000), Slab(100_000, 6_000_000)))
FIXED = CategoryTerms("fixed", (Slab(0, 4_000_000),), fixed_micros_per_day=1_000_000, duty_bp=500)


def always(terms: CategoryTerms, rounding: Rounding = EXACT) -> Callable[[int], Pricer]:
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, 1_000)
    return lambda day: pricer


AT_ONE_PRICE = always(FLAT)


def balance_of(pricer_of_day: Callable[[int], Pricer] = AT_ONE_PRICE, **changes: Any) -> Balance:
    """Of a meter on 29 October, all settled up to the day before, with Rs 100 posted."""
    case: dict[str, Any] = {
        "credits_micros": 130_000_000,
        "debits_micros": 30_000_000,
        "register_wh": 3_000,
        "settled_register_wh": 3_000,
        "settled_day": OCT_29 - 1,
        "month_wh": 50_000,
        "today": OCT_29,
        "reading_day": OCT_29,
        "as_of_s": 7,
    }
    return derive_balance(pricer_of_day, **case | changes)


def test_shown_balance_is_posted_less_unsettled_energy() -> None:
    found = balance_of(register_wh=5_000)
    assert found == Balance(100_000_000, 2_000, 8_240_000, 7, None)
    assert found.shown_micros == 91_760_000


def test_balance_may_be_below_zero() -> None:
    assert balance_of(credits_micros=30_000_000, register_wh=4_000).shown_micros == -4_120_000


def test_meter_that_never_reported_has_no_time() -> None:
    found = balance_of(reading_day=None, as_of_s=None)
    assert (found.as_of_s, found.shown_micros) == (None, 100_000_000)


def test_register_behind_the_settled_one_gives_nothing_back() -> None:
    found = balance_of(register_wh=1_000)
    assert (found.unsettled_wh, found.shown_micros) == (0, 100_000_000)


def test_only_today_open_is_not_provisional_and_has_no_fixed_charge_yet() -> None:
    found = balance_of(always(FIXED), register_wh=4_000)
    assert found.provisional_since_day is None
    assert found.unsettled_micros == 4_200_000  # energy and its duty


def test_an_open_day_before_today_makes_the_balance_provisional_and_its_fixed_charge_counts() -> None:
    found = balance_of(always(FIXED), settled_day=OCT_29 - 3)
    assert found.provisional_since_day == OCT_29 - 2
    assert found.unsettled_micros == 2_000_000


def test_duty_is_on_what_the_tariff_says() -> None:
    both = CategoryTerms(
        "both", FIXED.slabs, fixed_micros_per_day=1_000_000, duty_bp=500, duty_on=DutyOn("ENERGY_AND_FIXED")
    )
    assert balance_of(always(both), settled_day=OCT_29 - 3).unsettled_micros == 2_100_000


def test_unsettled_energy_goes_on_where_the_settled_month_ended() -> None:
    assert balance_of(always(SLABS), month_wh=99_000, register_wh=5_000).unsettled_micros == 4_000_000 + 6_000_000


def test_the_first_day_of_a_month_begins_the_slabs_anew() -> None:
    found = balance_of(
        always(SLABS), settled_day=OCT_31, today=NOV_1, reading_day=NOV_1, month_wh=150_000, register_wh=4_000
    )
    assert found.unsettled_micros == 4_000_000


def test_a_reading_of_a_later_month_is_priced_from_the_start_of_its_slabs() -> None:
    found = balance_of(
        always(SLABS), settled_day=OCT_29, today=NOV_1, reading_day=NOV_1, month_wh=150_000, register_wh=4_000
    )
    assert found.unsettled_micros == 4_000_000
    assert found.provisional_since_day == OCT_29 + 1


def test_a_reading_of_the_month_of_the_open_days_is_priced_in_it_however_late_it_is() -> None:
    found = balance_of(
        always(SLABS), settled_day=OCT_29, today=NOV_1, reading_day=OCT_31, month_wh=150_000, register_wh=4_000
    )
    assert found.unsettled_micros == 6_000_000


def test_a_reading_older_than_the_settled_day_changes_nothing() -> None:
    pricer = always(SLABS)(0)
    asked = []
    assert balance_of(lambda day: asked.append(day) or pricer, reading_day=OCT_29 - 40).unsettled_micros == 0
    assert asked == [OCT_29], "that day's tariff may be none"


def test_each_open_day_has_its_own_fixed_charge_and_the_energy_the_newest_price() -> None:
    old, new = always(FLAT)(0), always(FIXED)(0)
    found = balance_of(
        lambda day: new if day >= OCT_29 else old,
        settled_day=OCT_29 - 3,
        today=OCT_29 + 1,
        reading_day=OCT_29 + 1,
        register_wh=4_000,
    )
    assert found.unsettled_micros == 1_000_000 + 4_200_000


@given(terms_of_a_category(), roundings, loads, energies, energies)
def test_settling_the_day_that_was_open_does_not_move_the_shown_balance(
    terms: CategoryTerms, rounding: Rounding, load_w: int, month_wh: int, day_wh: int
) -> None:
    pricer = Pricer(tariff_of(terms, rounding=rounding), terms, load_w)
    charge = pricer.price_day(OCT_29, month_wh, day_wh)
    before = balance_of(
        lambda day: pricer, today=OCT_29 + 1, month_wh=month_wh, register_wh=day_wh, settled_register_wh=0
    )
    after = balance_of(
        lambda day: pricer,
        debits_micros=30_000_000 + charge.total_micros,
        settled_day=OCT_29,
        today=OCT_29 + 1,
        reading_day=OCT_29,
        month_wh=month_wh + day_wh,
        register_wh=day_wh,
        settled_register_wh=day_wh,
    )
    assert before.provisional_since_day == OCT_29
    assert after.provisional_since_day is None
    assert before.shown_micros == after.shown_micros
