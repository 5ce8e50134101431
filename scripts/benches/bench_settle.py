"""Settling a billing day of very many meters in a store on disk, synchronous FULL. Target: 15 s for 500,000."""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from large_store import FIRST_DAY, ZONE, draw_day, large_store
from measuring import bare_inserts_s, now_mib, peak_mib, size_mib, timed_s

from headend.adapters.sqlite import SqliteStore
from headend.domain.calendar import midnight_s
from headend.rules import load_rules, preset_names
from headend.service.settle import Settlement, day_hash

MAX_DAY_WH = 1_000_000


def settle(store: SqliteStore, day: int, meters: int) -> None:
    """What the head-end's loop does, and nothing else: one step a commit, until there is nothing left to do."""
    settlement = Settlement(MAX_DAY_WH)
    settled = 0
    while settlement.has_work():
        with store.transaction() as uow:
            settled += len(settlement.step(uow, day + 1, midnight_s(day + 1, ZONE)))
    assert settled == meters, f"{settled} of {meters} days settled"


def run(preset: str, meters: int, days: int, folder: Path | None) -> list[dict[str, object]]:
    """Measure each of the days."""
    rows: list[dict[str, object]] = []
    with large_store(load_rules(preset), meters, folder) as (store, path):
        registers_wh = [0] * meters
        for day in range(FIRST_DAY, FIRST_DAY + days):
            draw_day(store, registers_wh, day)
            before_mib = now_mib()
            seconds, cpu_s = timed_s(partial(settle, store, day, meters))
            peer_s = bare_inserts_s(path.parent, meters)
            with store.view() as uow:
                digest = day_hash(day, uow)
            rows.append(
                {
                    "preset": preset,
                    "meters": meters,
                    "day": day - FIRST_DAY + 1,
                    "seconds": round(seconds, 2),
                    "cpu_s": round(cpu_s, 2),
                    "meters_per_s": round(meters / seconds),
                    "bare_inserts_s": round(peer_s, 2),
                    "ratio": round(seconds / peer_s, 1),
                    "memory_before_mib": before_mib,
                    "peak_memory_mib": peak_mib(),
                    "store_mib": size_mib(path),
                    "hash": digest[:16],
                }
            )
    return rows


def main() -> None:
    """Measure, and print a line a day."""
    parser = argparse.ArgumentParser(prog="scripts/bench settle", description=__doc__)
    parser.add_argument("--meters", type=int, default=500_000)
    parser.add_argument("--days", type=int, default=1, help="days settled one after the other, each measured")
    parser.add_argument("--preset", choices=preset_names(), default="bihar")
    parser.add_argument("--folder", type=Path, help="where the store is made (default: where temporary files are)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = run(options.preset, options.meters, options.days, options.folder)
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    for row in rows:
        print(
            f"{row['preset']}, day {row['day']}: {row['meters']:,} meters in {row['seconds']} s"
            f" ({row['cpu_s']} s of a processor; {row['meters_per_s']:,} meters/s),"
            f" {row['ratio']} times as long as bare inserts ({row['bare_inserts_s']} s);"
            f" peak memory {row['peak_memory_mib']} MiB, store {row['store_mib']:,} MiB, hash {row['hash']}"
        )


if __name__ == "__main__":
    main()
