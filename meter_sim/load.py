"""What homes would draw if they were always supplied: real load shapes, integers, no state that matters.

The figures come from `data/load_shapes.json` (real household-days and hour shares; the citation is inside).
Each meter is given one real home by a hash of (seed, meter number), and each of its days one draw from that
home's real days of the season by a hash of (seed, meter number, day). So consumption depends on the seed and
the meter number alone: not on how often it is asked for, nor on how meters are divided among processes.

Knows nothing of relays, registers or messages. Registers are `opening + demand - undrawn`; see `meter.py`.
"""

import json
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from meter_sim.grid import local_day, midnight_s

Integers = npt.NDArray[np.int64]
Rows = slice | npt.NDArray[np.intp]

ALL_ROWS: Final = slice(None)
SEASONS: Final = ("summer", "monsoon", "winter")
SIZES: Final = ("small", "medium", "large")
HOUR_S: Final = 3_600
DAY_S: Final = 86_400

_STEP_BITS: Final = 11
"""Resolution of the draw between two neighbouring quantiles."""

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_HOME_SALT: Final = 0x484F4D45
_OPENING_SALT: Final = 0x4F50454E
_OPENING_LEAST_WH: Final = 100_000
_OPENING_RANGE_WH: Final = 20_000_000


def opening_register_wh(first_number: int, count: int) -> Integers:
    """What the registers showed when the run began: meters are not new. By meter number alone, never 0."""
    mixed = _mix(_numbers(first_number, count) * np.uint64(_GOLDEN) + np.uint64(_OPENING_SALT))
    return _OPENING_LEAST_WH + (mixed % np.uint64(_OPENING_RANGE_WH)).astype(np.int64)


class LoadModel:
    """Energy that each of `count` homes, from meter `first_number` on, would have drawn since `start_s`.

    Keeps the sums up to the current day as a cache; asking for an earlier day than the last one is right, but
    sums up from the start again.
    """

    def __init__(self, seed: int, first_number: int, count: int, start_s: int, zone: ZoneInfo) -> None:
        self._zone = zone
        self._start_s = start_s
        self._tables = _tables()
        keys = _numbers(first_number, count) * np.uint64(_GOLDEN) + np.uint64(_mix_one(seed))
        self._keys = _mix(keys)
        home = _mix(self._keys ^ np.uint64(_HOME_SALT)) % np.uint64(len(self._tables.size_of_home))
        self._home = home.astype(np.intp)
        self._size = self._tables.size_of_home[self._home]
        self._first_day = local_day(start_s, zone)
        self._before_start_wh = np.zeros(count, np.int64)
        self._enter_first_day()
        self._before_start_wh = self._part_of_day_wh(start_s, ALL_ROWS)

    def demand_wh(self, at_s: int, rows: Rows = ALL_ROWS) -> Integers:
        """Wh from `start_s` to `at_s`, one for each row chosen. Never falls as `at_s` grows.

        Raises:
            ValueError: for a time before `start_s`.
        """
        if at_s < self._start_s:
            raise ValueError(f"{at_s} is before the start of the run, {self._start_s}")
        day = local_day(at_s, self._zone)
        if day < self._day:
            self._enter_first_day()
        while self._day < day:
            self._before_today_wh += self._today_wh
            self._enter(self._day + timedelta(days=1))
        demand: Integers = self._before_today_wh[rows] - self._before_start_wh[rows]
        demand += self._part_of_day_wh(at_s, rows)
        return demand

    def day_total_wh(self, day: date) -> Integers:
        """Wh of each home on a whole local day."""
        quantiles = self._tables.quantiles_wh[self._tables.season_of_month[day.month - 1]]
        points = quantiles.shape[1]
        salt = np.uint64((day.toordinal() * _GOLDEN) & _MASK)
        draw = (_mix(self._keys ^ salt) % np.uint64((points - 1) << _STEP_BITS)).astype(np.int64)
        place = self._home * points + (draw >> _STEP_BITS)
        flat = quantiles.ravel()
        low = flat[place]
        within = draw & ((1 << _STEP_BITS) - 1)
        total: Integers = low + ((flat[place + 1] - low) * within >> _STEP_BITS)
        return total

    def _enter_first_day(self) -> None:
        self._before_today_wh = np.zeros(len(self._keys), np.int64)
        self._enter(self._first_day)

    def _enter(self, day: date) -> None:
        self._day = day
        self._today_wh = self.day_total_wh(day)
        self._midnight_s = midnight_s(day, self._zone)
        self._day_length_s = midnight_s(day + timedelta(days=1), self._zone) - self._midnight_s

    def _part_of_day_wh(self, at_s: int, rows: Rows) -> Integers:
        # A day of 23 or 25 hours is stretched to 24, so that its total holds.
        second = (at_s - self._midnight_s) * DAY_S // self._day_length_s
        hour, into_hour = divmod(second, HOUR_S)
        until = self._tables.share_until[self._tables.season_of_month[self._day.month - 1]]
        share = until[:, hour] * HOUR_S + (until[:, hour + 1] - until[:, hour]) * into_hour
        part: Integers = self._today_wh[rows] * share[self._size[rows]] // (until[0, -1] * HOUR_S)
        return part


class _Tables:
    """The shipped figures: `share_until[season][size, 0..24]`, `quantiles_wh[season][home, point]`."""

    def __init__(self, shapes: dict[str, Any]) -> None:
        self.season_of_month = [SEASONS.index(season) for season in shapes["season_of_month"]]
        self.share_until = [
            np.array([[0, *np.cumsum(shapes["hour_shares"][season][size])] for size in SIZES], np.int64)
            for season in SEASONS
        ]
        homes = shapes["homes"]
        self.quantiles_wh = [np.array([home[season] for home in homes], np.int64) for season in SEASONS]
        self.size_of_home = np.array([SIZES.index(home["size"]) for home in homes], np.intp)


@cache
def _tables() -> _Tables:
    text = resources.files("meter_sim").joinpath("data", "load_shapes.json").read_text(encoding="utf-8")
    return _Tables(json.loads(text))


def _numbers(first_number: int, count: int) -> npt.NDArray[np.uint64]:
    return np.arange(first_number, first_number + count, dtype=np.uint64)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014), element by element."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _mix_one(seed: int) -> int:
    return int(_mix(np.array([(seed + _GOLDEN) & _MASK], np.uint64))[0])
