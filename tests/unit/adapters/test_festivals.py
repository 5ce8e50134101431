"""Festivals as the protected calendar gets them from the `holidays` package."""

from datetime import date

import pytest

from headend.adapters.festivals import YEARS, festivals
from headend.errors import HeadendError

BIHAR_CATEGORIES = ("government", "optional", "public")
AROUND = {"Diwali": 1, "Chhath": 3}


def day(year: int, month: int, of_month: int) -> int:
    return date(year, month, of_month).toordinal()


# Dates as announced for Bihar. Chhath: the day of the evening offering.
@pytest.mark.parametrize(
    ("diwali", "chhath"),
    [
        ((2023, 11, 12), (2023, 11, 19)),
        ((2024, 10, 31), (2024, 11, 7)),
        ((2025, 10, 20), (2025, 10, 27)),
        ((2026, 11, 8), (2026, 11, 15)),
    ],
)
def test_bihar_has_diwali_and_chhath(diwali: tuple[int, int, int], chhath: tuple[int, int, int]) -> None:
    bihar = festivals("IN", "BR", BIHAR_CATEGORIES, AROUND)
    assert "Diwali" in (bihar.name_on(day(*diwali)) or "")
    assert "Chhath" in (bihar.name_on(day(*chhath)) or "")


def test_days_around_a_festival_are_festival_and_keep_their_own_names() -> None:
    bihar = festivals("IN", "BR", BIHAR_CATEGORIES, AROUND)
    assert festivals("IN", "BR", BIHAR_CATEGORIES, {"Diwali": 2}).name_on(day(2024, 11, 2)) == "Govardhan Puja"
    around_diwali = [bihar.name_on(day(2024, 10, 31) + off) for off in (-2, -1, 0, 1, 2)]
    assert around_diwali[0] is None
    assert all("Diwali" in (name or "") for name in around_diwali[1:4])
    assert around_diwali[4] == "Govardhan Puja"
    chhath = [off for off in range(-5, 6) if "Chhath" in (bihar.name_on(day(2024, 11, 7) + off) or "")]
    assert chhath == [-3, -2, -1, 0, 1, 2, 3]


def test_days_around_no_festival_are_ordinary() -> None:
    ordinary = festivals("IN", "BR", BIHAR_CATEGORIES, {"Nowruz": 3})
    assert ordinary == festivals("IN", "BR", BIHAR_CATEGORIES, {})


def test_uttar_pradesh_has_the_festival_evening_of_2020() -> None:
    assert "Janmashtami" in (festivals("IN", "UP", ("government", "public"), {}).name_on(day(2020, 8, 12)) or "")


def test_england_has_its_bank_holidays() -> None:
    england = festivals("GB", "ENG", ("public",), {}, range(2024, 2025))
    assert [date.fromordinal(on).isoformat()[5:] for on in sorted(england.names)] == [
        "01-01",
        "03-29",
        "04-01",
        "05-06",
        "05-27",
        "08-26",
        "12-25",
        "12-26",
    ]


def test_ordinary_day_has_no_name() -> None:
    assert festivals("IN", "BR", BIHAR_CATEGORIES, {}).name_on(day(2024, 11, 26)) is None


def test_years_that_the_package_does_not_know_are_not_ordinary() -> None:
    bihar = festivals("IN", "BR", BIHAR_CATEGORIES, AROUND)
    assert bihar.first_day == day(YEARS.start, 1, 1)
    last = date.fromordinal(bihar.last_day)
    assert (last.month, last.day) == (12, 31)
    assert 2035 <= last.year < YEARS.stop - 1
    assert bihar.name_on(bihar.last_day + 1)
    assert date.fromordinal(max(bihar.names)).year == last.year


@pytest.mark.parametrize(
    ("country", "subdivision", "categories", "years"),
    [
        ("XX", None, ("public",), YEARS),
        ("IN", "XX", ("public",), YEARS),
        ("IN", "BR", ("nonsense",), YEARS),
        ("IN", "BR", ("public",), range(1990, 1995)),
    ],
    ids=["country", "subdivision", "category", "years"],
)
def test_what_the_package_does_not_have_is_said(
    country: str, subdivision: str | None, categories: tuple[str, ...], years: range
) -> None:
    with pytest.raises(HeadendError, match=f"festivals of {country}"):
        festivals(country, subdivision, categories, {}, years)
