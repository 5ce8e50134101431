"""A campaign: many seeds, what failed, whether the same seed gave the same log, and which faults fired."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.simulation.explore import (
    Explored,
    as_yaml,
    cores,
    coverage,
    draw,
    explore,
    run_seed,
    shrink,
)

SHOWN: Final = 3
"""Failing seeds that are shrunk; all are named."""


class Campaign:
    """One run of `meter-sim lab explore`."""

    def __init__(self, seeds: range, jobs: int, again: int, out: Path, *, shrinks: bool) -> None:
        self._seeds = seeds
        self._jobs = jobs or cores()
        self._again = again
        self._out = out
        self._shrinks = shrinks
        self._done: list[Explored] = []
        self._failed: list[Explored] = []
        self._unequal: list[int] = []
        self._began_s = 0.0

    def run(self) -> Iterator[str | None]:
        """Run all seeds; lines to print, None after each seed that is clean."""
        self._began_s = time.monotonic()
        for explored in explore(self._seeds, self._jobs):
            self._done.append(explored)
            if explored.failed:
                self._failed.append(explored)
                yield f"seed {explored.seed}: FAILED: {', '.join(explored.failed)}"
                for line in explored.details:
                    yield f"      {line}"
            yield None
        for explored in self._done[: self._again]:
            # In this process and not in one of the pool: another memory, another order of hashes.
            if run_seed(explored.seed).log_hash != explored.log_hash:
                self._unequal.append(explored.seed)
                yield f"seed {explored.seed}: FAILED: I24: run again, it gives another log"
        if self._shrinks:
            for explored in self._failed[:SHOWN]:
                yield from self._shrink(explored)
        yield from self._summary()

    def progress(self) -> str:
        """How far it is."""
        done, wanted = len(self._done), len(self._seeds)
        took_s = time.monotonic() - self._began_s
        left_s = took_s / max(1, done) * (wanted - done)
        return f"explored {done:,} of {wanted:,} seeds, {len(self._failed)} failed; about {left_s:.0f} s left"

    def exit_status(self, *, all_faults: bool) -> int:
        """0 clean, 1 a seed failed, 2 a fault never fired."""
        if self._failed or self._unequal:
            return 1
        return 2 if all_faults and 0 in coverage(self._done).values() else 0

    def write_json(self, path: Path) -> None:
        """What came out, for programs."""
        content = {
            "seeds": len(self._done),
            "virtual_days": sum(each.virtual_s for each in self._done) / 86_400,
            "wall_s": round(time.monotonic() - self._began_s, 1),
            "failed": [
                {"seed": each.seed, "failed": each.failed, "details": each.details} for each in self._failed
            ],
            "unequal": self._unequal,
            "fired": coverage(self._done),
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _shrink(self, explored: Explored) -> Iterator[str]:
        said: list[str] = []
        smallest = shrink(draw(explored.seed), explored.seed, explored.failed, said.append)
        folder = RunFolder(self._out).path
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"seed-{explored.seed}.yaml"
        text = as_yaml(smallest)
        path.write_text(text, encoding="utf-8")
        again = f"meter-sim lab run {path} --seed {explored.seed} --mode simulation"
        yield f"seed {explored.seed}, shrunk ({again}):"
        yield text

    def _summary(self) -> Iterator[str]:
        days = sum(each.virtual_s for each in self._done) / 86_400
        took_s = time.monotonic() - self._began_s
        fired = coverage(self._done)
        never = [name for name, count in fired.items() if not count]
        yield f"faults fired: {', '.join(f'{name} {count}' for name, count in fired.items() if count)}"
        if never:
            yield f"never fired: {', '.join(never)}"
        same = f", {min(self._again, len(self._done))} of them twice with the same log" if self._again else ""
        bad = len(self._failed) + len(self._unequal)
        verdict = "PASSED" if not bad else f"FAILED: {bad} seeds"
        yield f"explore: {verdict}: {len(self._done):,} seeds{same}, {days:,.0f} simulated days in {took_s:.0f} s"
