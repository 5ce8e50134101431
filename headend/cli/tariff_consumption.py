"""The consumption that `headend tariff price` is asked about: days with their energy, by options or CSV file."""

import csv
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

from headend.cli.options import FIRST_DAY, LAST_DAY, checked_day
from headend.domain.tariff import CategoryTerms
from headend.errors import HeadendError

DAYS_MAX: Final = 3_660

_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_DECIMAL: Final = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,3}))?")

Days = list[tuple[int, list[int]]]
"""Days in order, each with its energy in Wh, one figure for each time band."""


def period_of(month: str | None, first: str | None, last: str | None) -> tuple[int, int] | None:
    """The days that are asked about; None: the options name none.

    Raises:
        HeadendError: they contradict each other, or make no sense.
    """
    if month is not None:
        if first is not None or last is not None:
            raise HeadendError("--month and --from/--to: say one of them")
        match = _MONTH.fullmatch(month)
        if match is None or not FIRST_DAY <= date(int(match[1]), int(match[2]), 1).toordinal() <= LAST_DAY:
            raise HeadendError(f"--month {month[:40]!r} is not a month such as 2024-11")
        year, number = int(match[1]), int(match[2])
        following = date(year + number // 12, number % 12 + 1, 1)
        return date(year, number, 1).toordinal(), following.toordinal() - 1
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise HeadendError("--from and --to go together")
    from_day, to_day = checked_day(first, "from"), checked_day(last, "to")
    if not from_day <= to_day < from_day + DAYS_MAX:
        raise HeadendError(f"--from {first} --to {last}: from 1 to {DAYS_MAX:,} days can be priced")
    return from_day, to_day


def spread(figures: Sequence[str], period: tuple[int, int], terms: CategoryTerms) -> Days:
    """One figure spread evenly over the period's days, or one figure for each of them.

    Raises:
        HeadendError: a figure is none, or their number is neither 1 nor that of the days.
    """
    from_day, to_day = period
    days = to_day - from_day + 1
    energy = [_band_wh(figure, terms) for figure in figures]
    if len(energy) == 1:
        energy = [
            [band_wh * (index + 1) // days - band_wh * index // days for band_wh in energy[0]]
            for index in range(days)
        ]
    if len(energy) != days:
        raise HeadendError(f"--kwh stands {len(energy)} times: once for all of the {days} days, or once for each")
    return [(from_day + index, band_wh) for index, band_wh in enumerate(energy)]


def read_days(path: Path, period: tuple[int, int] | None, terms: CategoryTerms) -> Days:
    """The days of a CSV file with the columns `date` and `kwh`, in order; those of the period if there is one.

    Raises:
        HeadendError: the file cannot be read, a line makes no sense, or no day is left.
    """
    found: dict[int, list[int]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"date", "kwh"} <= set(rows.fieldnames or ()):
                raise HeadendError(f"{path}: the first line must name the columns date and kwh")
            for row in rows:
                day, band_wh = _day_of_row(row, f"{path} line {rows.line_num}", terms)
                if day in found:
                    raise HeadendError(f"{path} line {rows.line_num}: {row['date']} stands there twice")
                if period is None or period[0] <= day <= period[1]:
                    found[day] = band_wh
    except OSError as error:
        raise HeadendError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadendError(f"{path}: {error}") from error
    if not 1 <= len(found) <= DAYS_MAX:
        raise HeadendError(f"{path}: {len(found)} days of it are in the period; 1 to {DAYS_MAX:,} can be priced")
    return sorted(found.items())


def watts_of(load_kw: str) -> int:
    """A sanctioned load in W.

    Raises:
        HeadendError: it is none.
    """
    load_w = _thousandths(load_kw)
    if not load_w:
        raise HeadendError(f"--load-kw {load_kw[:20]!r} is not a load above 0 such as 2.5")
    return load_w


def _day_of_row(row: dict[str, str], where: str, terms: CategoryTerms) -> tuple[int, list[int]]:
    try:
        return checked_day(row["date"] or "", "date"), _band_wh(row["kwh"] or "", terms)
    except HeadendError as error:
        raise HeadendError(f"{where}: {error}") from error


def _band_wh(figure: str, terms: CategoryTerms) -> list[int]:
    parts = [_thousandths(part) for part in figure.split("/")]
    band_wh = [part for part in parts if part is not None]
    if len(band_wh) != len(parts):
        raise HeadendError(f"{figure[:40]!r} is not an energy in kWh such as 7.5")
    bands = max(1, len(terms.bands))
    if len(band_wh) != bands:
        times = ", ".join(f"{band.from_minute // 60:02d}:{band.from_minute % 60:02d}" for band in terms.bands)
        needed = f"has bands from {times}: say so many kWh as A/B/C" if terms.bands else "has no time bands"
        raise HeadendError(f"{figure[:40]!r}: category {terms.name} {needed}")
    return band_wh


def _thousandths(text: str) -> int | None:
    match = _DECIMAL.fullmatch(text.strip())
    return int(match[1]) * 1_000 + int((match[2] or "").ljust(3, "0")) if match else None
