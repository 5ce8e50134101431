"""Sweeping very many balances for alerts and cuts, a store on disk, synchronous FULL. Target: 3 s for 500,000."""

import argparse
import json
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench_settle import settle
from large_store import FIRST_DAY, SEED, ZONE, draw_day, give_credit, large_store, read_all
from measuring import bare_updates_s, now_mib, peak_mib, timed_s

from headend.adapters.sqlite import SqliteStore
from headend.domain.calendar import midnight_s
from headend.domain.rules import Rules
from headend.rules import load_rules, preset_names
from headend.service.standing import SWEEP_SPAN, look_at_standings

RUPEE = 1_000_000
LOW_RUPEES = (1, 140)
"""Recharges of homes that are at an alert level, without credit, or soon: they draw up to Rs 140 a day."""

ELSE_RUPEES = (300, 2_000)
CROSSED_PERCENT = 1
CROSSING_WH = 1_200_000
"""What takes any of these homes below zero."""


def sweep(rules: Rules, store: SqliteStore, now_s: int) -> tuple[int, int]:
    """What the head-end's loop does, and nothing else: one step a commit. Homes looked at, notices."""
    looked_at = notices = 0
    after: int | None = 0
    while after is not None:
        with store.transaction() as uow:
            tariffs = [row.tariff for row in uow.tariffs()]
            swept = look_at_standings(rules.alerts, tariffs, ZONE, uow, now_s, after)
        looked_at, notices, after = looked_at + swept.looked_at, notices + swept.notices, swept.resume_after
    return looked_at, notices


def new_day(rules: Rules, store: SqliteStore, now_s: int) -> tuple[int, int]:
    """As the loop does when a day begins: all are to be looked at again, and are."""
    with store.transaction() as uow:
        uow.look_at_all_again()
    return sweep(rules, store, now_s)


def cross(store: SqliteStore, registers_wh: list[int], at_s: int) -> None:
    """All homes draw a little; some so much that they cross their levels."""
    chance = random.Random(SEED)
    for number in range(len(registers_wh)):
        crosses = number % (100 // CROSSED_PERCENT) == 0
        registers_wh[number] += CROSSING_WH if crosses else chance.randint(0, 500)
    read_all(store, registers_wh, FIRST_DAY + 1, at_s)


def run(preset: str, meters: int, low_percent: int, folder: Path | None) -> list[dict[str, object]]:
    """Measure four sweeps, one after the other."""
    rules, chance, rows = load_rules(preset), random.Random(SEED), list[dict[str, object]]()
    with large_store(rules, meters, folder) as (store, path):
        ranges = (LOW_RUPEES if chance.randrange(100) < low_percent else ELSE_RUPEES for _ in range(meters))
        give_credit(store, (chance.randint(*rupees) * RUPEE for rupees in ranges))
        registers_wh = [0] * meters
        draw_day(store, registers_wh, FIRST_DAY)
        midnight = midnight_s(FIRST_DAY + 1, ZONE)
        sweep(rules, store, midnight)
        settle(store, FIRST_DAY, meters)

        def measure(what: str, action: Callable[[], tuple[int, int]]) -> None:
            found: list[tuple[int, int]] = []
            before_mib = now_mib()
            seconds, cpu_s = timed_s(lambda: found.append(action()))
            ((looked_at, notices),) = found
            peer_s = bare_updates_s(path.parent, meters, SWEEP_SPAN)
            rows.append(
                {
                    "preset": preset,
                    "meters": meters,
                    "low_percent": low_percent,
                    "sweep": what,
                    "seconds": round(seconds, 2),
                    "cpu_s": round(cpu_s, 2),
                    "looked_at": looked_at,
                    "notices": notices,
                    "bare_updates_s": round(peer_s, 2),
                    "ratio": round(seconds / peer_s, 1),
                    "memory_before_mib": before_mib,
                    "peak_memory_mib": peak_mib(),
                }
            )

        measure("after settlement", partial(sweep, rules, store, midnight + 900))
        measure("nothing crossed", partial(sweep, rules, store, midnight + 960))
        measure("new day", partial(new_day, rules, store, midnight + 86_400))
        cross(store, registers_wh, midnight + 90_000)
        measure(f"{CROSSED_PERCENT} % crossed", partial(sweep, rules, store, midnight + 90_060))
    return rows


def main() -> None:
    """Measure, and print a line a sweep."""
    parser = argparse.ArgumentParser(prog="scripts/bench sweep", description=__doc__)
    parser.add_argument("--meters", type=int, default=500_000)
    parser.add_argument(
        "--low", type=int, default=10, metavar="PERCENT", help="homes with little credit or none, which are priced"
    )
    parser.add_argument("--preset", choices=preset_names(), default="bihar")
    parser.add_argument("--folder", type=Path, help="where the store is made (default: where temporary files are)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = run(options.preset, options.meters, options.low, options.folder)
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    for row in rows:
        print(
            f"{row['preset']}, {row['low_percent']} % low, {row['sweep']}: {row['meters']:,} meters in"
            f" {row['seconds']} s ({row['cpu_s']} s of a processor; {row['looked_at']:,} looked at,"
            f" {row['notices']:,} notices), {row['ratio']} times as long as bare updates"
            f" ({row['bare_updates_s']} s); peak memory {row['peak_memory_mib']} MiB"
        )


if __name__ == "__main__":
    main()
