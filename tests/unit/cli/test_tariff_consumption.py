"""The consumption that is to be priced: from options, from a file, and what is none."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.cli.tariff_consumption import period_of, read_days, spread, watts_of
from headend.domain.tariff import CategoryTerms, Slab, TimeBand
from headend.errors import HeadendError

PLAIN = CategoryTerms("plain", (Slab(0, 1_000),))
BANDED = CategoryTerms("banded", (Slab(0, 1_000),), bands=(TimeBand(0, 0), TimeBand(450, 5)))
NOV_1 = date(2024, 11, 1).toordinal()
NOVEMBER = (NOV_1, NOV_1 + 29)


def test_a_month_is_all_of_its_days() -> None:
    assert period_of("2024-11", None, None) == NOVEMBER
    leap_february = period_of("2024-02", None, None)
    assert leap_february == (date(2024, 2, 1).toordinal(), date(2024, 2, 29).toordinal())
    december = period_of("2024-12", None, None)
    assert december == (date(2024, 12, 1).toordinal(), date(2024, 12, 31).toordinal())


def test_a_period_has_both_of_its_days() -> None:
    assert period_of(None, "2024-11-01", "2024-11-30") == NOVEMBER
    assert period_of(None, "2024-11-01", "2024-11-01") == (NOV_1, NOV_1)


def test_no_period_is_none() -> None:
    assert period_of(None, None, None) is None


@pytest.mark.parametrize(
    "options",
    [
        ("2024-13", None, None),
        ("2024-00", None, None),
        ("2024-1", None, None),
        ("1999-12", None, None),
        ("2200-01", None, None),
        ("2024-11", "2024-11-01", None),
        ("2024-11", None, "2024-11-01"),
        (None, "2024-11-01", None),
        (None, None, "2024-11-01"),
        (None, "2024-11-02", "2024-11-01"),
        (None, "2024-11-31", "2024-12-01"),
        (None, "2001-01-01", "2024-11-01"),
    ],
    ids=str,
)
def test_a_period_that_makes_no_sense_is_refused(options: tuple[str | None, str | None, str | None]) -> None:
    with pytest.raises(HeadendError):
        period_of(*options)


@given(st.integers(0, 10**9), st.integers(1, 400))
def test_one_figure_is_spread_evenly_and_nothing_of_it_is_lost(energy_wh: int, count: int) -> None:
    figure = f"{energy_wh // 1_000}.{energy_wh % 1_000:03d}"
    days = spread([figure], (NOV_1, NOV_1 + count - 1), PLAIN)
    energy = [band_wh[0] for _, band_wh in days]
    assert [day for day, _ in days] == list(range(NOV_1, NOV_1 + count))
    assert sum(energy) == energy_wh
    assert max(energy) - min(energy) <= 1


def test_a_figure_for_each_day_stays_on_its_day() -> None:
    assert spread(["1", "2.5"], (NOV_1, NOV_1 + 1), PLAIN) == [(NOV_1, [1_000]), (NOV_1 + 1, [2_500])]


def test_bands_have_a_figure_each() -> None:
    assert spread(["1/0.5"], (NOV_1, NOV_1), BANDED) == [(NOV_1, [1_000, 500])]


@pytest.mark.parametrize(
    ("figures", "terms", "complaint"),
    [
        (["1", "2"], PLAIN, "once for all of the 30 days"),
        (["-5"], PLAIN, "'-5' is not an energy"),
        (["5.0001"], PLAIN, "'5.0001' is not an energy"),
        (["nan"], PLAIN, "'nan' is not an energy"),
        (["1e9"], PLAIN, "'1e9' is not an energy"),
        ([""], PLAIN, "'' is not an energy"),
        (["٣"], PLAIN, "is not an energy"),
        (["5/5"], PLAIN, "category plain has no time bands"),
        (["5"], BANDED, "category banded has bands from 00:00, 07:30"),
        (["5/"], BANDED, "is not an energy"),
    ],
    ids=str,
)
def test_figures_that_make_no_sense_are_refused(figures: list[str], terms: CategoryTerms, complaint: str) -> None:
    with pytest.raises(HeadendError, match=complaint):
        spread(figures, NOVEMBER, terms)


def test_a_file_is_read_in_the_order_of_its_days_whatever_other_columns_it_has(tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text("\ufeffdate,home,kwh\n2024-11-02,H1,7.5\n2024-10-31,H1,2\n2024-11-01,H1,0.125\n", "utf-8")
    assert read_days(path, None, PLAIN) == [(NOV_1 - 1, [2_000]), (NOV_1, [125]), (NOV_1 + 1, [7_500])]
    assert read_days(path, NOVEMBER, PLAIN) == [(NOV_1, [125]), (NOV_1 + 1, [7_500])]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "columns date and kwh"),
        (b"day,kwh\n", "columns date and kwh"),
        (b"date,kwh\n", "0 days"),
        (b"date,kwh\n2024-12-01,5\n", "0 days"),
        (b"date,kwh\n2024-11-01,5\n2024-11-01,6\n", "line 3: 2024-11-01 stands there twice"),
        (b"date,kwh\n2024-11-31,5\n", "line 2"),
        (b"date,kwh\n2024-11-30,five\n", "line 2: 'five'"),
        (b"date,kwh\n2024-11-30\n", "line 2"),
        (b"date,kwh\n\xff,5\n", "utf-8"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_bytes(content)
    with pytest.raises(HeadendError, match=complaint) as raised:
        read_days(path, NOVEMBER, PLAIN)
    assert "days.csv" in str(raised.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadendError, match="No such file"):
        read_days(tmp_path / "none.csv", None, PLAIN)


def test_a_load_is_read_to_the_watt() -> None:
    assert watts_of("2.5") == 2_500
    assert watts_of("0.001") == 1


@pytest.mark.parametrize("text", ["0", "0.000", "-1", "", "2.5kW", "2.0005"])
def test_a_load_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(HeadendError, match="--load-kw"):
        watts_of(text)
