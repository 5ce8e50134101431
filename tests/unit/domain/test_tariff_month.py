"""The billing month: where it begins and how long it is."""

import calendar
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.tariff_month import place_in_month, same_month

days = st.dates(date(1970, 1, 1), date(2200, 12, 31))


@pytest.mark.parametrize(
    ("on", "place"),
    [
        (date(2024, 2, 1), (1, 29)),
        (date(2024, 2, 29), (29, 29)),
        (date(2023, 2, 28), (28, 28)),
        (date(2024, 12, 31), (31, 31)),
        (date(2025, 1, 1), (1, 31)),
    ],
)
def test_a_day_knows_its_place(on: date, place: tuple[int, int]) -> None:
    assert place_in_month(on.toordinal()) == place


@given(days)
def test_a_place_is_that_of_the_calendar(on: date) -> None:
    assert place_in_month(on.toordinal()) == (on.day, calendar.monthrange(on.year, on.month)[1])


@given(days, days)
def test_days_of_one_month_have_its_year_and_number(a: date, b: date) -> None:
    assert same_month(a.toordinal(), b.toordinal()) == ((a.year, a.month) == (b.year, b.month))


def test_the_same_month_of_another_year_is_another_month() -> None:
    assert not same_month(date(2024, 11, 5).toordinal(), date(2025, 11, 5).toordinal())


def test_the_last_of_a_month_and_the_first_of_the_next_are_apart() -> None:
    assert not same_month(date(2024, 10, 31).toordinal(), date(2024, 11, 1).toordinal())
    assert same_month(date(2024, 11, 1).toordinal(), date(2024, 11, 30).toordinal())
