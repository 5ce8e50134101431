"""What was promised to consumers, in the judge's own words: prices, times in which nobody is cut, grace.

Written down from the sources (Bihar, autumn 2024) and not read from the head-end's presets, so that a mistake
there is not taken for a promise. Exact: amounts in micros, the paisa by fractions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

HOUR_S: Final = 3_600
SUNDAY: Final = 6

Slabs = tuple[tuple[int, int], ...]
"""(from so many Wh of the month on, micros per Wh), ascending from 0."""


@dataclass(frozen=True, slots=True)
class Promises:
    """One utility's. `grace_s`: after the balance has ended, and again after an outage; None: no cuts for debt.

    `slabs`: by category. `paisa_micros`: a day's bill is a multiple of it. `cut_hours`: local hours of the day
    [from, to) in which alone a home may be cut. `holidays`: days on which none is, besides Sundays.
    """

    slabs: Mapping[str, Slabs]
    paisa_micros: int = 1
    grace_s: int | None = None
    told_before_s: int = 0
    cut_hours: tuple[int, int] = (0, 24)
    holidays: frozenset[date] = frozenset()
    mix: tuple[tuple[str, int], ...] = (("", 1_000),)

    def day_micros(self, category: str, before_wh: int, energy_wh: int) -> int:
        """The bill of a day on which `energy_wh` were drawn, after `before_wh` on earlier days of its month."""
        slabs = self.slabs[category]
        exact = _month_micros(slabs, before_wh + energy_wh) - _month_micros(slabs, before_wh)
        # Python rounds a fraction half to even.
        return round(Fraction(exact, self.paisa_micros)) * self.paisa_micros

    def bill_micros(self, category: str, load_w: int, day: date, before_wh: int, energy_wh: int) -> int:
        """The bill of a home and a day; the fixed charge by its sanctioned load."""
        return self.day_micros(category, before_wh, energy_wh)

    def protects(self, at_s: int, zone: ZoneInfo) -> bool:
        """Whether nobody may be cut at an instant, in debt or not."""
        at = datetime.fromtimestamp(at_s, zone)
        if at.date() in self.holidays or at.weekday() == SUNDAY:
            return True
        return not self.cut_hours[0] <= at.hour < self.cut_hours[1]


def _month_micros(slabs: Slabs, month_wh: int) -> int:
    """What the first `month_wh` of a month cost."""
    ends = [from_wh for from_wh, _ in slabs[1:]] + [max(month_wh, slabs[-1][0])]
    return sum(
        max(0, min(month_wh, to_wh) - from_wh) * price for (from_wh, price), to_wh in zip(slabs, ends, strict=True)
    )


def _days(month: int, *days: int) -> set[date]:
    return {date(2024, month, day) for day in days}


BIHAR_MIX: Final = (("urban", 2_000),) * 12 + (("rural", 1_000),) * 5 + (("kutir-jyoti", 500),) * 3

FLAT: Final = Promises({"": ((0, 4_120),)})

BIHAR: Final = Promises(
    # Domestic, net of subsidy, from 1 April 2024: Rs 4.12, above 100 kWh of the month 5.52; 2.45; 1.97.
    slabs={
        "urban": ((0, 4_120), (100_000, 5_520)),
        "rural": ((0, 2_450),),
        "kutir-jyoti": ((0, 1_970),),
    },
    paisa_micros=10_000,
    grace_s=72 * HOUR_S,
    told_before_s=HOUR_S,
    # No cut from 17:30 to 11:00, says one report; cuts from 10:00 to 13:00 only, says another.
    cut_hours=(11, 13),
    # Diwali was kept on 31 October by some and on 1 November by others; Chhath (7 November) lasts for days.
    holidays=frozenset(
        _days(10, 2, 30, 31)  # Gandhi Jayanti; around Diwali
        | _days(11, 1, 2, 3)  # Diwali, Govardhan Puja, Bhai Duj
        | _days(11, 4, 5, 6, 7, 8, 9, 10)  # Chhath and the three days before and after it
        | _days(11, 15)  # Guru Nanak's birthday
    ),
    mix=BIHAR_MIX,
)

PROMISES: Final = {"flat": FLAT, "bihar": BIHAR, "uttar-pradesh": FLAT, "great-britain": FLAT}
