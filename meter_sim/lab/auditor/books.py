"""The judge's own book of each home: credits as they were answered, charges by `promises` from its midnights.

Kept apart from the head-end's. For the day that is not over, the register itself tells. All homes at once, in
columns; money in micros.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np

from meter_sim.lab.auditor.course import Course
from meter_sim.lab.auditor.meter_log import ABSENT, MeterLog
from meter_sim.lab.auditor.promises import Promises
from meter_sim.load import Integers

SLACK_MICROS: Final = 10_000
"""So little credit counts as none: the bill of a day that is not over may be rounded otherwise."""

FOR_EVER_S: Final = 1 << 62


class Debt(NamedTuple):
    """A time without credit, by the readings that first and no longer showed it; None: it lasts."""

    since_s: int
    until_s: int | None


class Credit(NamedTuple):
    """A recharge that was accepted. `at_s`: by true time; `earliest_s`: when it was first asked for."""

    at_s: int
    micros: int
    reference: str
    earliest_s: int


@dataclass(slots=True)
class Books:
    """Of all homes. Row i is meter i of the log; column k of an array of days is midnight k."""

    promises: Promises
    log: MeterLog
    categories: list[str]
    loads_w: list[int]
    charged_micros: Integers
    """What all days cost up to a midnight."""
    month_wh: Integers
    """What the month, of the day that begins at a midnight, has drawn so far."""
    credits: dict[str, list[Credit]] = field(default_factory=dict)
    balances_micros: Integers = field(default_factory=lambda: np.empty((0, 0), np.int64))
    """After each reading that was taken."""

    def credited_micros(self, meter: str, at_s: int) -> int:
        """What was accepted for a home up to an instant."""
        return sum(credit.micros for credit in self.credits.get(meter, ()) if credit.at_s <= at_s)

    def used_micros(self, meter: str, at_s: int, register_wh: int) -> int:
        """What its energy had cost when its register stood so."""
        row = self.log.rows[meter]
        midnight = max(0, bisect_right(self.log.midnights_s, at_s) - 1)
        energy_wh = register_wh - int(self.log.midnight_wh[row, midnight])
        month_wh = int(self.month_wh[row, midnight])
        today = self.promises.day_micros(self.categories[row], month_wh, energy_wh)
        return int(self.charged_micros[row, midnight]) + int(today)

    def balance_micros(self, meter: str, at_s: int, register_wh: int) -> int:
        """What was left for a home at an instant at which its register stood so."""
        return self.credited_micros(meter, at_s) - self.used_micros(meter, at_s, register_wh)

    def last_balance_micros(self, meter: str) -> int | None:
        """What is left by a home's last reading; None: it has none."""
        row = self.log.rows[meter]
        return int(self.balances_micros[row, -1]) if self.balances_micros.shape[1] else None

    def debts(self, limit_micros: int = SLACK_MICROS) -> dict[str, list[Debt]]:
        """For each home that was ever at or below a limit: all such times, in order."""
        found = {}
        low = (self.balances_micros <= limit_micros) & (self.log.taken_wh != ABSENT)
        for row in np.flatnonzero(low.any(axis=1)):
            turns = np.flatnonzero(np.diff(low[row].astype(np.int8), prepend=0, append=0))
            times = [int(self.log.taken_at_s[turn]) if turn < low.shape[1] else None for turn in turns]
            spans = zip(times[::2], times[1::2], strict=True)
            found[self.log.meters[row]] = [Debt(since or 0, until) for since, until in spans]
        return found

    def charges(self) -> dict[tuple[str, int], tuple[int, int]]:
        """What each (meter, day number) drew and costs, by the meter's own midnights: (Wh, micros)."""
        energy = np.diff(self.log.midnight_wh, axis=1)
        micros = np.diff(self.charged_micros, axis=1)
        numbers = [day.toordinal() for day in self.log.days]
        return {
            (meter, number): (wh, cost)
            for meter, of_wh, of_micros in zip(self.log.meters, energy.tolist(), micros.tolist(), strict=True)
            for number, wh, cost in zip(numbers, of_wh, of_micros, strict=True)
        }


def open_books(course: Course, log: MeterLog, promises: Promises, credits: dict[str, list[Credit]]) -> Books:
    """Keep the books of a whole run."""
    places = [course.registered.get(meter) for meter in log.meters]
    first = promises.mix[0]
    known = [first[0] if place is None else place.category for place in places]
    # A home without a category, or with one that nobody promised anything for, pays the first one's prices.
    categories = [category if category in promises.prices else first[0] for category in known]
    loads_w = [first[1] if place is None else place.load_w for place in places]
    groups: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for row, group in enumerate(zip(categories, loads_w, strict=True)):
        groups[group].append(row)
    shape = log.midnight_wh.shape
    charged, month = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    books = Books(promises, log, categories, loads_w, charged, month, credits)
    for (category, load_w), members in groups.items():
        rows = np.array(members)
        for index, day in enumerate(log.days):
            energy = log.midnight_wh[rows, index + 1] - log.midnight_wh[rows, index]
            before = month[rows, index]
            cost = promises.bill_micros(category, load_w, day, before, energy)
            charged[rows, index + 1] = charged[rows, index] + cost
            month[rows, index + 1] = 0 if _begins_month(log, index + 1) else before + energy
    books.balances_micros = _balances(books, groups)
    return books


def _begins_month(log: MeterLog, midnight: int) -> bool:
    return datetime.fromtimestamp(log.midnights_s[midnight], log.zone).day == 1


def _balances(books: Books, groups: dict[tuple[str, int], list[int]]) -> Integers:
    log = books.log
    times_s = log.taken_at_s
    balances = np.zeros_like(log.taken_wh)
    for meter, credits in books.credits.items():
        if meter not in log.rows:
            continue
        row = log.rows[meter]
        for credit in credits:
            balances[row, int(np.searchsorted(times_s, credit.at_s)) :] += credit.micros
    ends_s = [*log.midnights_s[1:], FOR_EVER_S]
    for index, (from_s, to_s) in enumerate(zip(log.midnights_s, ends_s, strict=True)):
        low, high = np.searchsorted(times_s, [from_s, to_s])
        if low == high:
            continue
        for (category, _), members in groups.items():
            rows = np.array(members)
            energy = log.taken_wh[rows, low:high] - log.midnight_wh[rows, index, None]
            today = books.promises.day_micros(category, books.month_wh[rows, index, None], np.maximum(energy, 0))
            balances[rows, low:high] -= books.charged_micros[rows, index, None] + today
    return balances
