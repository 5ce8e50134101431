"""Who lives in a run: homes whose credit ends when the scenario says so, and homes that have enough.

Knows what each home is going to draw, and so by how much credit it lasts how long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from meter_sim.fleet import FleetPlan
from meter_sim.lab.auditor.promises import PROMISES
from meter_sim.lab.plant import Payment
from meter_sim.lab.scenario import MICROS_PER_PAISA, ZONE, Homes, Scenario
from meter_sim.lab.workload import Wish
from meter_sim.load import LoadModel

LEAST_DAY_WH: Final = 1_500
"""A home whose credit is to end draws so much a day at least: others may not run out when they should."""

ENOUGH: Final = 1.3
MARGIN_PAISE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Consumer:
    """How a meter is registered: consumer category (empty: the only one) and sanctioned load."""

    category: str
    load_w: int


def consumer(rules: str, number: int) -> Consumer:
    """The consumer of a meter by its number: a mix of categories that repeats every twenty homes."""
    mix = PROMISES[rules].mix
    return Consumer(*mix[number % len(mix)])


class Households:
    """The homes of a run, in groups chosen by its seed."""

    def __init__(self, scenario: Scenario, plan: FleetPlan, seed: int) -> None:
        self._promises = PROMISES[scenario.rules]
        self._rules = scenario.rules
        self._zone = ZoneInfo(ZONE)
        self._chance = Random(f"homes {seed}")
        self._start_s = plan.start_s
        self._start = datetime.fromtimestamp(plan.start_s, self._zone)
        self._end_s = plan.start_s + scenario.clock.length + scenario.heals_within
        self._load = LoadModel(plan.seed, 1, plan.meters, plan.start_s, self._zone)
        self._ids = [plan.meter_id(number) for number in range(1, plan.meters + 1)]
        days = (self._end_s - plan.start_s) // 86_400 + 2
        self._daily_wh = [
            self._load.day_total_wh((self._start + timedelta(days=ahead)).date()).tolist() for ahead in range(days)
        ]
        steady = [
            row for row in range(plan.meters) if min(of_day[row] for of_day in self._daily_wh) >= LEAST_DAY_WH
        ]
        self._chance.shuffle(steady)
        self._groups: list[tuple[Homes, list[int]]] = []
        for homes in scenario.homes:
            count = min(len(steady), max(1, round(plan.meters * homes.share)))
            self._groups.append((homes, steady[:count]))
            steady = steady[count:]
        taken = {row for _, rows in self._groups for row in rows}
        self._others = [row for row in range(plan.meters) if row not in taken]

    @property
    def others(self) -> list[str]:
        """The homes that have enough, and so the only ones that recharge by chance; if there are none, all."""
        return [self._ids[row] for row in self._others or range(len(self._ids))]

    def first_payments(self) -> list[Payment]:
        """What each home has as the run begins: as much as lasts until its time, or for all of it."""
        payments = []
        for homes, rows in self._groups:
            for row in rows:
                until_s = self._start_s + self._chance.randint(homes.out_from, homes.out_to)
                paise = self._cost_paise(row, until_s) if homes.out_to else 0
                payments.append(self._payment(row, max(1, paise), "FIRST"))
        for row in self._others:
            payments.append(self._payment(row, self._enough_paise(row), "FIRST"))
        return payments

    def relief(self) -> list[Wish]:
        """The recharges of the homes that pay what they owe, and enough for the rest of the run."""
        wishes = []
        for homes, rows in self._groups:
            for row in rows if homes.pays else ():
                assert homes.pays is not None
                payment = self._payment(row, self._enough_paise(row), "RELIEF")
                at_s = self._chance.randint(*homes.pays)
                wishes.append(Wish(at_s, row, "recharge", payment.meter, payment.amount_micros, payment.reference))
        return wishes

    def _payment(self, row: int, paise: int, kind: str) -> Payment:
        return Payment(self._ids[row], paise * MICROS_PER_PAISA, f"{kind}-{self._ids[row]}")

    def _enough_paise(self, row: int) -> int:
        return int(self._cost_paise(row, self._end_s) * ENOUGH) + MARGIN_PAISE

    def _cost_paise(self, row: int, until_s: int) -> int:
        """What a home costs from the start up to a time, by the judge's prices; rounded down."""
        who = consumer(self._rules, row + 1)
        until = datetime.fromtimestamp(until_s, self._zone).date()
        total_micros = month_wh = 0
        for ahead, of_day in enumerate(self._daily_wh):
            day = (self._start + timedelta(days=ahead)).date()
            if day > until:
                break
            energy_wh = of_day[row]
            begins_s, ends_s = self._midnight_s(day), self._midnight_s(day + timedelta(days=1))
            if begins_s < self._start_s or until_s < ends_s:
                rows = slice(row, row + 1)
                to_wh = self._load.demand_wh(min(ends_s, until_s), rows)
                energy_wh = int(to_wh[0] - self._load.demand_wh(max(begins_s, self._start_s), rows)[0])
            month_wh = 0 if day.day == 1 else month_wh
            total_micros += self._promises.bill_micros(who.category, who.load_w, day, month_wh, energy_wh)
            month_wh += energy_wh
        return total_micros // MICROS_PER_PAISA

    def _midnight_s(self, day: date) -> int:
        """When a day begins."""
        return int(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp())


def plan_of(scenario: Scenario, seed: int, region: str) -> FleetPlan:
    """The fleet of a scenario."""
    fleet = scenario.fleet
    return FleetPlan(
        fleet.meters,
        -(-fleet.meters // fleet.gateways),
        region,
        scenario.clock.start_s,
        seed,
        fleet.interval,
        ZONE,
        clock_error_s=fleet.clock_error,
    )


def meters_of(plan: FleetPlan) -> Sequence[str]:
    """All ids, in order."""
    return [plan.meter_id(number) for number in range(1, plan.meters + 1)]


def feeder(gateway: str) -> str:
    """The line that supplies the homes behind a gateway."""
    return f"F{gateway.removeprefix('G')}"
