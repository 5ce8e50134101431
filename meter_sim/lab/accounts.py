"""What each home owed at any time, by the requests that were accepted and the meters' own readings.

The judge's own book, kept apart from the head-end's: credits as the driver was answered, charges by `promises`
from the meters' midnights, and for the day that is not over from the register itself.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from meter_sim.lab.evidence import ABSENT, Evidence, first_accepted
from meter_sim.lab.promises import Promises

PAISA_MICROS: Final = 10_000
"""So little credit counts as none: the head-end may round the bill of a day that is not over otherwise."""


class Debt(NamedTuple):
    """A time without credit, by the readings that first and no longer showed it; None: it lasts."""

    since_s: int
    until_s: int | None


class Midnight(NamedTuple):
    """A meter's register at the end of a day, what all days cost up to it, and the month's energy so far."""

    at_s: int
    register_wh: int
    charged_micros: int
    month_wh: int


@dataclass(slots=True)
class Account:
    """One home's."""

    meter: str
    category: str
    promises: Promises
    zone: ZoneInfo
    midnights: list[Midnight]
    readings: list[tuple[int, int]]
    """(at_s, register_wh), ascending."""
    credits: list[tuple[int, int]] = field(default_factory=list)
    """(accepted_at_s, micros), ascending."""

    def credited_micros(self, at_s: int) -> int:
        """What was accepted for it up to an instant."""
        return sum(micros for accepted_at_s, micros in self.credits if accepted_at_s <= at_s)

    def balance_micros(self, at_s: int, register_wh: int) -> int:
        """What was left at an instant at which the register stood so."""
        before = self.midnights[bisect_right(self.midnights, at_s, key=lambda each: each.at_s) - 1]
        month_wh = before.month_wh if datetime.fromtimestamp(before.at_s, self.zone).day != 1 else 0
        today = self.promises.day_micros(self.category, month_wh, register_wh - before.register_wh)
        return self.credited_micros(at_s) - before.charged_micros - today

    def may_owe(self) -> bool:
        """Whether it was ever without credit, as far as midnights and the end of the run can tell."""
        marks = [(midnight.at_s, midnight.register_wh) for midnight in self.midnights] + self.readings[-1:]
        return any(self.balance_micros(*mark) <= PAISA_MICROS for mark in marks)

    def debts(self) -> list[Debt]:
        """All times without credit, in order."""
        found: list[Debt] = []
        since_s = None
        for at_s, register_wh in self.readings:
            empty = self.balance_micros(at_s, register_wh) <= PAISA_MICROS
            if empty and since_s is None:
                since_s = at_s
            elif not empty and since_s is not None:
                found.append(Debt(since_s, at_s))
                since_s = None
        return found if since_s is None else [*found, Debt(since_s, None)]


def open_accounts(evidence: Evidence, promises: Promises, zone: ZoneInfo) -> dict[str, Account]:
    """The account of every meter."""
    accounts = {}
    times_s = evidence.taken_at_s.tolist()
    for row, meter in enumerate(evidence.meters):
        category = evidence.categories.get(meter, "")
        readings = [
            (at_s, register_wh)
            for at_s, register_wh in zip(times_s, evidence.taken_wh[row].tolist(), strict=True)
            if register_wh != ABSENT
        ]
        midnights = _midnights(evidence, row, category, promises)
        accounts[meter] = Account(meter, category, promises, zone, midnights, readings)
    for request in first_accepted(evidence.requests).values():
        if request.meter in accounts:
            assert request.answer is not None
            accounts[request.meter].credits.append((request.answer["accepted_at_s"], request.amount_micros))
    return accounts


def charges(evidence: Evidence, promises: Promises) -> dict[tuple[str, str], int]:
    """What each (meter, ISO day) costs by the meter's own midnights, where it costs anything."""
    found = {}
    for row, meter in enumerate(evidence.meters):
        midnights = _midnights(evidence, row, evidence.categories.get(meter, ""), promises)
        for (before, after), (day, _, _) in zip(pairwise(midnights), evidence.midnights[1:], strict=True):
            if after.charged_micros > before.charged_micros:
                found[meter, day] = after.charged_micros - before.charged_micros
    return found


def _midnights(evidence: Evidence, row: int, category: str, promises: Promises) -> list[Midnight]:
    registers = [(day, at_s, int(column[row])) for day, at_s, column in evidence.midnights]
    _, at_s, register_wh = registers[0]
    found = [Midnight(at_s, register_wh, 0, 0)]
    for day, at_s, register_wh in registers[1:]:
        before = found[-1]
        month_wh = 0 if date.fromisoformat(day).day == 1 else before.month_wh
        energy_wh = register_wh - before.register_wh
        charged = before.charged_micros + promises.day_micros(category, month_wh, energy_wh)
        found.append(Midnight(at_s, register_wh, charged, month_wh + energy_wh))
    return found
