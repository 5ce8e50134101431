"""A virtual world with rules of protection and signed commands, and who gives orders in it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from world import SETTINGS, ZONE, World

from headend.adapters.fleet_log import SqliteFleetLog
from headend.domain.case import Origin
from headend.domain.rules import Rules
from headend.service.gate import Gate, Wish, summary
from headend.wire.keys import KeyRing, MasterKey

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
RING = KeyRing(keys=[MasterKey(key="k1", secret="5a" * 32, sign_from_s=0)])
TUESDAY = date(2024, 5, 7)


@contextmanager
def world_of(folder: Path, seed: int, rules: Rules, start_day: date, **details: Any) -> Iterator[World]:
    """Few reports and signs of life, and every command signed."""
    settings = replace(SETTINGS, rules=rules, heartbeat_s=HOUR_S, silent_after_s=4 * HOUR_S, window=500)
    slow: dict[str, Any] = {"settings": settings, "start_day": start_day, "interval_s": 2 * HOUR_S, "ring": RING}
    with closing(World(folder, seed, protected=True, **slow | details)) as world:
        yield world


def until(world: World, day: int, hour: int) -> None:
    world.advance(day * DAY_S + hour * HOUR_S - world.clock.monotonic_s())


def order_open(world: World, meters: list[str], actor: str = "asha") -> Counter[str]:
    """`headend relay --file`: a thousand meters a commit."""
    counts: Counter[str] = Counter()
    for first in range(0, len(meters), 1_000):
        with world.store.other_process() as uow:
            keys = [key for _, key, _ in uow.meter_keys(meters[first : first + 1_000])]
            gate = Gate(world.settings.rules, ZONE, uow, world.clock.now_s())
            counts += summary(gate.decide(uow.cases(keys), Wish(actor, Origin.ORDER, "unpaid")))
    return counts


def refused_opens(world: World) -> list[tuple[str, str]]:
    """(meter, code) of the orders to open that meters refused, by their log."""
    return [(meter, code) for meter, _, code, _ in SqliteFleetLog([world.log_path]).refused_opens()]
