"""A bill reckoned a second time, in fractions, from the words of the rules and from nothing of the program.

It reads a tariff as people write it: a dictionary like the section [tariff], amounts as texts. The rules:

- energy: the month's first `free_kwh_per_month` cost nothing; every other kWh has the price of the slab that it
  lies in, counted from the start of the month; in a time band that price is changed by a percentage;
- fixed: so much per day, and so much per kW and month, of which the first k days of a month of n have k/n;
- what runs over a month is rounded up to each point of it, and a day has the difference of two such points;
- duty: a percentage of the energy, or of energy and fixed; rebate: a percentage of the energy;
- all of these to the millionth, half to even; the sum to the rounding unit, by the rule that the tariff names.
"""

import calendar
import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

HOMES = Path(__file__).parents[2] / "data" / "homes_daily_kwh.csv"


@dataclass(frozen=True)
class Lines:
    """A day's bill in millionths of the currency's unit."""

    energy: int
    fixed: int
    duty: int
    rebate: int
    rounding: int
    total: int


def homes() -> dict[str, list[tuple[date, int]]]:
    """Each real home's days in order, with the energy in Wh."""
    found: dict[str, list[tuple[date, int]]] = {}
    with HOMES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            day = date.fromisoformat(row["date"])
            found.setdefault(row["household"], []).append((day, int(Fraction(row["kwh"]) * 1000)))
    return found


def bill(
    tariff: dict[str, Any], category: str, load_w: int, days: Iterable[tuple[date, Sequence[int]]]
) -> Iterator[Lines]:
    """The lines of each day; a day is its date and its energy in Wh, one figure for each time band."""
    terms = tariff["categories"][category]
    bands = terms.get("bands") or [{"change_percent": "0"}]
    month, drawn = None, Fraction(0)
    for on, wh in days:
        if (on.year, on.month) != month:
            month, drawn = (on.year, on.month), Fraction(0)
        energy = Fraction(0)
        for band, part in zip(bands, wh, strict=True):
            factor = 1 + Fraction(band["change_percent"]) / 100
            before, drawn = drawn, drawn + Fraction(part, 1000)
            energy += _sixth(_cost(terms, drawn) * factor) - _sixth(_cost(terms, before) * factor)
        fixed = _fixed(terms, Fraction(load_w, 1000), on)
        yield _lines(tariff, terms, energy, fixed)


def _cost(terms: dict[str, Any], kwh: Fraction) -> Fraction:
    """What the month's first kWh cost: the stretch of them in each slab, less what of it is free."""
    free = Fraction(terms.get("free_kwh_per_month", "0"))
    slabs = terms["slabs"]
    ends = [Fraction(slab["from_kwh"]) for slab in slabs[1:]] + [kwh]
    cost = Fraction(0)
    for slab, end in zip(slabs, ends, strict=True):
        begin = max(Fraction(slab["from_kwh"]), free)
        cost += max(Fraction(0), min(end, kwh) - begin) * Fraction(slab["price"])
    return cost


def _fixed(terms: dict[str, Any], load_kw: Fraction, on: date) -> Fraction:
    month = Fraction(terms.get("fixed_per_kw_month", "0")) * load_kw
    days = calendar.monthrange(on.year, on.month)[1]
    part = _sixth(month * on.day / days) - _sixth(month * (on.day - 1) / days)
    return part + Fraction(terms.get("fixed_per_day", "0"))


def _lines(tariff: dict[str, Any], terms: dict[str, Any], energy: Fraction, fixed: Fraction) -> Lines:
    on = energy + fixed if terms.get("duty_on") == "ENERGY_AND_FIXED" else energy
    duty = _sixth(on * Fraction(terms.get("duty_percent", "0")) / 100)
    rebate = _sixth(energy * Fraction(terms.get("rebate_percent", "0")) / 100)
    exact = energy + fixed + duty - rebate
    unit = Fraction(tariff["rounding_unit"])
    units = exact / unit
    whole = {
        "HALF_EVEN": round(units),
        "HALF_UP": floor(units + Fraction(1, 2)),
        "DOWN": floor(units),
        "UP": ceil(units),
    }[tariff.get("rounding", "HALF_EVEN")]
    total = whole * unit
    parts = (energy, fixed, duty, rebate, total - exact, total)
    return Lines(*(_millionths(part) for part in parts))


def _sixth(amount: Fraction) -> Fraction:
    return round(amount, 6)


def _millionths(amount: Fraction) -> int:
    assert (amount * 10**6).denominator == 1
    return int(amount * 10**6)
