"""What consumers and operators do in a run: seeded requests with their times. Knows no plant.

Every recharge has its own reference; nobody asks the same reference for anything else, but for the conflicts made
on purpose, which come after the first request.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from meter_sim.lab.plant import Payment
from meter_sim.lab.scenario import DAY_S, MICROS_PER_PAISA, Workload

LEAST_PAISE: Final = 5_000
MOST_PAISE: Final = 200_000
ONE_RUPEE_MICROS: Final = 1_000_000
TWICE: Final = 0.7
"""Of the recharges that are asked for again, so many once; the others twice."""


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """What somebody wants, at a time since the start of the run. `what`: `recharge`, `enquiry` or `order`."""

    at_s: int
    number: int
    what: str
    meter: str
    amount_micros: int = 0
    reference: str = ""

    @property
    def payment(self) -> Payment:
        """As a recharge."""
        return Payment(self.meter, self.amount_micros, self.reference)


def wishes(workload: Workload, meters: Sequence[str], length_s: int, seed: int) -> list[Wish]:
    """Everything that is wanted in a run, in order of time."""
    chance = Random(f"workload {seed}")
    found: list[Wish] = []

    def add(at_s: float, what: str, meter: str, amount_micros: int = 0, reference: str = "") -> None:
        found.append(Wish(int(at_s), len(found), what, meter, amount_micros, reference))

    for number, at_s in enumerate(_recharge_times(workload, len(meters), length_s, chance), start=1):
        meter = chance.choice(meters)
        amount_micros = chance.randrange(LEAST_PAISE, MOST_PAISE) * MICROS_PER_PAISA
        reference = f"UPI-{number:06}"
        add(at_s, "recharge", meter, amount_micros, reference)
        last_s = min(length_s, at_s + workload.retried_within)
        if chance.random() < workload.retried:
            for _ in range(1 if chance.random() < TWICE else 2):
                add(chance.uniform(at_s, last_s), "recharge", meter, amount_micros, reference)
        if chance.random() < workload.conflicting:
            add(chance.uniform(at_s, last_s), "recharge", meter, amount_micros + ONE_RUPEE_MICROS, reference)
    for what, rate in (("enquiry", workload.enquiries), ("order", workload.orders)):
        for _ in range(_count(rate, len(meters), length_s, chance)):
            add(chance.uniform(0, length_s), what, chance.choice(meters))
    return sorted(found)


def _recharge_times(workload: Workload, meters: int, length_s: int, chance: Random) -> Iterator[float]:
    """When recharges are asked for, ascending."""
    spans = [(surge.at, surge.at + surge.lasts, surge.recharges) for surge in workload.surges]
    times = []
    for at_s in (chance.uniform(0, length_s) for _ in range(_count(workload.recharges, meters, length_s, chance))):
        if not any(from_s <= at_s < to_s for from_s, to_s, _ in spans):
            times.append(at_s)
    for from_s, to_s, rate in spans:
        times += [chance.uniform(from_s, to_s) for _ in range(_count(rate, meters, to_s - from_s, chance))]
    return iter(sorted(times))


def _count(rate: float, meters: int, span_s: int, chance: Random) -> int:
    """How often something happens that happens `rate` times a day to each 1,000 homes."""
    wanted = rate * meters / 1_000 * span_s / DAY_S
    return math.floor(wanted) + (chance.random() < wanted % 1)


class Agenda:
    """What is to be done when; what is added later is done in its turn."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, int, object]] = []
        self._count = 0

    def add(self, at_s: int, order: int, entry: object) -> None:
        """Put in an entry; of those of the same time, a lower `order` comes first."""
        self._count += 1
        heapq.heappush(self._entries, (at_s, order, self._count, entry))

    def next_s(self) -> int | None:
        """When the next entry is due; None: there is none."""
        return self._entries[0][0] if self._entries else None

    def pop(self) -> object:
        """Take out the next entry."""
        return heapq.heappop(self._entries)[3]
