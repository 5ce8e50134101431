"""Who lives in the festival story: homes that pay in time, and homes whose credit ends when it hurts.

Knows what each home is going to draw, and so by how much credit it lasts how long.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from meter_sim.lab.payments import MICROS_PER_PAISA, Payment
from meter_sim.lab.promises import BIHAR
from meter_sim.lab.site import ZONE, Site
from meter_sim.load import LoadModel

HOUR_S: Final = 3_600
LEAST_DAY_WH: Final = 2_000
"""A home in trouble draws so much a day at least: others may not run out when they should."""
AHEAD_DAYS: Final = 20
ENOUGH: Final = 1.3

CUT_BEFORE, DUE, EVENING, LATER, LAST_MORNING = GROUPS = (
    "cut before the festival", "due in the festival", "out in the outage", "out after it", "pays the last morning"
)  # fmt: skip

_SHARES: Final = {CUT_BEFORE: 0.005, DUE: 0.03, EVENING: 0.02, LATER: 0.015, LAST_MORNING: 0.005}
_LEAST: Final = 2
_RUN_OUT: Final = {
    DUE: ("2024-10-26T16:00", "2024-10-28T10:00"),
    EVENING: ("2024-10-31T17:00", "2024-11-01T03:00"),
    LATER: ("2024-11-02T06:00", "2024-11-07T18:00"),
    LAST_MORNING: ("2024-11-02T06:00", "2024-11-07T18:00"),
}
"""Between when each group's credit ends; those cut before the festival never had any."""


class Homes:
    """The homes of a site, in groups chosen by its seed."""

    def __init__(self, site: Site) -> None:
        plan, fleet = site.plan, site.fleet
        self._zone = ZoneInfo(ZONE)
        self._plan = plan
        self._chance = random.Random(f"homes {plan.seed}")
        self._load = LoadModel(plan.seed, 1, plan.meters, fleet.start_s, self._zone)
        self._start = datetime.fromtimestamp(fleet.start_s, self._zone)
        self._ids = [fleet.meter_id(number) for number in range(1, plan.meters + 1)]
        self._daily_wh = [
            [int(wh) for wh in self._load.day_total_wh((self._start + timedelta(days=ahead)).date())]
            for ahead in range(AHEAD_DAYS)
        ]
        steady = [
            row for row in range(plan.meters) if min(of_day[row] for of_day in self._daily_wh) >= LEAST_DAY_WH
        ]
        self._chance.shuffle(steady)
        self._rows: dict[str, list[int]] = {}
        for group, share in _SHARES.items():
            count = max(_LEAST, round(plan.meters * share))
            self._rows[group], steady = steady[:count], steady[count:]
        taken = {row for rows in self._rows.values() for row in rows}
        self._others = [row for row in range(plan.meters) if row not in taken]

    def of(self, group: str) -> list[str]:
        """The ids of a group."""
        return [self._ids[row] for row in self._rows[group]]

    def others(self) -> list[str]:
        """The ids of the homes that pay in time."""
        return [self._ids[row] for row in self._others]

    def first_recharges(self) -> list[Payment]:
        """What each home has when it begins: as much as lasts until its time, or for all of the story."""
        payments = []
        for group, window in _RUN_OUT.items():
            from_s, to_s = (
                int(datetime.fromisoformat(at).replace(tzinfo=self._zone).timestamp()) for at in window
            )
            for row in self._rows[group]:
                payments.append(self._payment(row, self._cost_paise(row, self._chance.randrange(from_s, to_s))))
        end_s = int((self._start + timedelta(days=AHEAD_DAYS)).timestamp())
        for row in self._others:
            payments.append(self._payment(row, int(self._cost_paise(row, end_s) * ENOUGH) + 20_000))
        return payments

    def relief(self, meters: Sequence[str]) -> list[Payment]:
        """A recharge for each of these homes that pays what it owes, and lasts."""
        rows = {meter: row for row, meter in enumerate(self._ids)}
        end_s = int((self._start + timedelta(days=AHEAD_DAYS)).timestamp())
        return [
            Payment(meter, int(self._cost_paise(rows[meter], end_s) * ENOUGH), f"RELIEF-{meter}")
            for meter in meters
        ]

    def _payment(self, row: int, paise: int) -> Payment:
        return Payment(self._ids[row], max(1, paise), f"FIRST-{self._ids[row]}")

    def _cost_paise(self, row: int, until_s: int) -> int:
        """What a home's energy costs from the start up to a time, by the judge's prices; rounded down."""
        category, _ = self._plan.category(row + 1)
        until = datetime.fromtimestamp(until_s, self._zone)
        total_micros = month_wh = 0
        for ahead in range(AHEAD_DAYS):
            day = (self._start + timedelta(days=ahead)).date()
            if day > until.date():
                break
            energy_wh = self._daily_wh[ahead][row]
            if day == until.date():
                begins_s = int(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp())
                demand = self._load.demand_wh
                rows = slice(row, row + 1)
                energy_wh = int(demand(until_s, rows)[0] - demand(begins_s, rows)[0])
            month_wh = 0 if day.day == 1 else month_wh
            total_micros += BIHAR.day_micros(category, month_wh, energy_wh)
            month_wh += energy_wh
        return total_micros // MICROS_PER_PAISA
