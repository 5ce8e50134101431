"""What was promised to consumers, in the judge's own words: prices, hours in which nobody is cut, grace, caps.

Written down from the sources (press reports and public documents, see `docs/rules.md`) and not read from the
head-end's presets, so that a mistake there is not taken for a promise. Exact, in integers of micros. Every
function of energy takes whole numbers or numpy arrays of them alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
MINUTES: Final = 24 * 60
W_PER_KW: Final = 1_000
PERCENT: Final = 100
SATURDAY: Final = 5
SUNDAY: Final = 6

Wh = Any
"""Energy: an int, or an array of them; money likewise."""

Slabs = tuple[tuple[int, int], ...]
"""(from so many Wh of the month on, micros per Wh), ascending from 0."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a consumer category pays. `fixed_day_micros`: a day; `fixed_kw_month_micros`: a kW and month."""

    slabs: Slabs
    fixed_day_micros: int = 0
    fixed_kw_month_micros: int = 0
    duty_percent: int = 0
    """On energy and fixed charge."""
    rebate_percent: int = 0
    """On energy."""

    def energy_micros(self, month_wh: Wh) -> Wh:
        """What the first `month_wh` of a month cost."""
        total, before = 0 * month_wh, 0
        for from_wh, price in self.slabs:
            total = total + (price - before) * (month_wh - from_wh) * (month_wh > from_wh)
            before = price
        return total

    @lru_cache(maxsize=4_096)  # noqa: B019 - the few prices of a run live as long as it does
    def fixed_micros(self, load_w: int, day: date) -> int:
        """The fixed charge of a day. The days of a month add up to the month, however it is cut."""
        days = ((day.replace(day=1) + timedelta(days=31)).replace(day=1) - day.replace(day=1)).days
        month, parts = self.fixed_kw_month_micros * load_w, W_PER_KW * days
        so_far, before = _nearest(month * day.day, parts), _nearest(month * (day.day - 1), parts)
        return self.fixed_day_micros + int(so_far - before)


@dataclass(frozen=True, slots=True)
class Promises:
    """One utility's. Times in seconds.

    `mix`: category and sanctioned load of each twenty homes. `cuts`: whether anybody is cut for debt at all.
    `cut_minutes`: local minutes of the day [from, to) in which alone a home may be cut. `only_if_in_credit`: these
    hours protect a home only that had credit, emergency credit included, as they opened. `emergency_days`: (up to
    this load, days without a cut after the credit has ended), ascending. `cap_a_day`: most cuts in 24 hours.
    """

    prices: Mapping[str, Prices]
    mix: tuple[tuple[str, int], ...]
    paisa_micros: int = 1
    half_up: bool = False
    cuts: bool = True
    grace_s: int = 0
    outage_grace_s: int = 0
    told_before_s: int = 0
    cut_minutes: tuple[int, int] = (0, MINUTES)
    weekdays: frozenset[int] = frozenset()
    second_saturdays: bool = False
    fixed_dates: frozenset[tuple[int, int]] = frozenset()
    holidays: frozenset[date] = frozenset()
    only_if_in_credit: bool = False
    emergency_micros: int = 0
    emergency_days: tuple[tuple[int, int], ...] = ()
    fresh_s: int = DAY_S
    cap_a_day: int | None = None
    back_within_s: int = 2 * HOUR_S
    share_percent: int | None = None
    instalments: int | None = None

    # --- money ---------------------------------------------------------------------------------------------

    def day_micros(self, category: str, before_wh: Wh, energy_wh: Wh) -> Wh:
        """What `energy_wh` cost after `before_wh` on earlier days of the month; of a day that is not over yet."""
        return self._bill(self.prices[category], before_wh, energy_wh, 0)

    def bill_micros(self, category: str, load_w: int, day: date, before_wh: Wh, energy_wh: Wh) -> Wh:
        """The bill of a day that is over: with the fixed charge, by the sanctioned load."""
        prices = self.prices[category]
        return self._bill(prices, before_wh, energy_wh, prices.fixed_micros(load_w, day))

    def _bill(self, prices: Prices, before_wh: Wh, energy_wh: Wh, fixed_micros: int) -> Wh:
        energy = prices.energy_micros(before_wh + energy_wh) - prices.energy_micros(before_wh)
        duty = _nearest((energy + fixed_micros) * prices.duty_percent, PERCENT)
        rebate = _nearest(energy * prices.rebate_percent, PERCENT)
        exact = energy + fixed_micros + duty - rebate
        if self.paisa_micros == 1:
            return exact
        rounded = (2 * exact + self.paisa_micros) // (2 * self.paisa_micros) if self.half_up else None
        return (_nearest(exact, self.paisa_micros) if rounded is None else rounded) * self.paisa_micros

    # --- protection ----------------------------------------------------------------------------------------

    def is_holiday(self, day: date) -> bool:
        """Whether nobody is cut on a whole day."""
        if day.weekday() in self.weekdays or day in self.holidays or (day.month, day.day) in self.fixed_dates:
            return True
        return self.second_saturdays and day.weekday() == SATURDAY and (day.day - 1) // 7 == 1

    def protects(self, at_s: int, zone: ZoneInfo) -> bool:
        """Whether the hour protects from cuts."""
        at = datetime.fromtimestamp(at_s, zone)
        from_minute, to_minute = self.cut_minutes
        return self.is_holiday(at.date()) or not from_minute <= at.hour * 60 + at.minute < to_minute

    def opened_s(self, at_s: int, zone: ZoneInfo) -> int:
        """Since when the hours protect without a break, if they do at this instant; to the minute."""
        at_s -= at_s % 60
        for _ in range(14 * MINUTES):
            if not self.protects(at_s - 60, zone):
                break
            at_s -= 60
        return at_s

    def debt_grace_s(self, load_w: int) -> int:
        """How long nobody is cut after the credit has ended."""
        days = next((days for up_to_w, days in self.emergency_days if load_w <= up_to_w), 0)
        return max(self.grace_s, days * DAY_S)


def _nearest(dividend: Wh, divisor: int) -> Wh:
    """`dividend / divisor` to the nearest whole number, a half to the even one; `dividend` >= 0."""
    whole, rest = dividend // divisor, dividend % divisor
    return whole + ((2 * rest > divisor) | ((2 * rest == divisor) & (whole % 2 == 1)))


def _days(year: int, month: int, *days: int) -> set[date]:
    return {date(year, month, day) for day in days}


_NATIONAL: Final = frozenset({(1, 26), (8, 15), (10, 2)})
"""Republic Day, Independence Day, Gandhi Jayanti."""

_NO_END_W: Final = 1 << 40

FLAT: Final = Promises({"": Prices(((0, 4_120),))}, (("", 1_000),), cuts=False)

BIHAR: Final = Promises(
    # Domestic, net of subsidy, from 1 April 2024: Rs 4.12, above 100 kWh of the month 5.52; 2.45; 1.97.
    prices={
        "urban": Prices(((0, 4_120), (100_000, 5_520))),
        "rural": Prices(((0, 2_450),)),
        "kutir-jyoti": Prices(((0, 1_970),)),
    },
    mix=(("urban", 2_000),) * 12 + (("rural", 1_000),) * 5 + (("kutir-jyoti", 500),) * 3,
    paisa_micros=10_000,
    grace_s=72 * HOUR_S,
    outage_grace_s=72 * HOUR_S,
    told_before_s=HOUR_S,
    # No cut from 17:30 to 11:00, says one report; cuts from 10:00 to 13:00 only, says another.
    cut_minutes=(11 * 60, 13 * 60),
    weekdays=frozenset({SUNDAY}),
    fixed_dates=_NATIONAL,
    # Diwali was kept on 31 October by some and on 1 November by others; Chhath (7 November) lasts for days.
    holidays=frozenset(
        _days(2024, 5, 23)  # Buddha Purnima
        | _days(2024, 10, 12, 30, 31)  # Dussehra; around Diwali
        | _days(2024, 11, 1, 2, 3)  # Diwali, Govardhan Puja, Bhai Duj
        | _days(2024, 11, 4, 5, 6, 7, 8, 9, 10)  # Chhath and the three days before and after it
        | _days(2024, 11, 15)  # Guru Nanak's birthday
        | _days(2024, 12, 25)
        | _days(2025, 3, 14)  # Holi
        | _days(2025, 5, 12)  # Buddha Purnima
    ),
    cap_a_day=20_000,
    instalments=300,
)

UTTAR_PRADESH: Final = Promises(
    # Examples, as the preset says: no tariff is in the sources.
    prices={
        "urban": Prices(((0, 5_500), (150_000, 6_000), (300_000, 6_500)), 0, 110_000_000, 5, 2),
        "rural": Prices(((0, 3_350), (100_000, 3_850), (150_000, 5_000)), 0, 90_000_000, 5, 2),
        "life-line": Prices(((0, 0), (20_000, 3_000), (100_000, 5_500)), 0, 50_000_000, 5, 2),
    },
    mix=(("urban", 4_000),) * 6 + (("urban", 2_000),) * 6 + (("rural", 1_000),) * 5 + (("life-line", 1_000),) * 3,
    paisa_micros=10_000,
    half_up=True,
    outage_grace_s=72 * HOUR_S,
    cut_minutes=(8 * 60, 18 * 60),
    weekdays=frozenset({SUNDAY}),
    second_saturdays=True,
    fixed_dates=_NATIONAL,
    # Janmashtami of 2020 is the evening on which 300,000 homes were cut by mistake.
    holidays=frozenset(
        _days(2020, 8, 12)
        | _days(2020, 11, 14, 15, 16)
        | _days(2024, 10, 12, 31)
        | _days(2024, 11, 2, 3, 15)
        | _days(2024, 12, 25)
    ),
    emergency_days=((2_000, 30), (_NO_END_W, 3)),
    cap_a_day=20_000,
    share_percent=50,
)

GREAT_BRITAIN: Final = Promises(
    prices={"single-rate": Prices(((0, 245),), 532_500, 0, 5)},
    mix=(("single-rate", 1_000),),
    paisa_micros=10_000,
    outage_grace_s=24 * HOUR_S,
    # Friendly hours: 19:30 to 12:00, from Friday 19:30 to Monday 12:00, and bank holidays.
    cut_minutes=(12 * 60, 19 * 60 + 30),
    weekdays=frozenset({SATURDAY, SUNDAY}),
    holidays=frozenset(_days(2024, 8, 26) | _days(2024, 12, 25, 26)),
    only_if_in_credit=True,
    emergency_micros=10_000_000,
    cap_a_day=20_000,
    share_percent=25,
)

PROMISES: Final[dict[str, Promises]] = {
    "flat": FLAT,
    "bihar": BIHAR,
    "uttar-pradesh": UTTAR_PRADESH,
    "great-britain": GREAT_BRITAIN,
}
"""By the name of the preset that the head-end runs with."""
