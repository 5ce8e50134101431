"""Random scenarios from seeds: each drawn, run on virtual time, judged; what fails is shrunk to what it takes.

A drawn scenario has a phase in which anything may fail (nothing may be lost, doubled or cut wrongly) and then a
phase in which everything is mended, and convergence is demanded.
"""

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml

from meter_sim.lab.auditor import judge
from meter_sim.lab.course import GateError
from meter_sim.lab.faults import FAULTS
from meter_sim.lab.result import Verdict
from meter_sim.lab.run import MEMORY, Silent, simulate_in
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import DAY_S, Scenario

HOUR_S: Final = 3_600
CALM_S: Final = 12 * HOUR_S
"""Before the first fault, and after the last."""

HEARTBEAT_S: Final = 3_600.0
LOOKS: Final = 32
MOST_FAULTS: Final = 6
MOST_SHRINKS: Final = 60
STARTS: Final = ("2024-10-22T00:00", "2024-10-29T00:00", "2024-05-06T00:00", "2024-08-10T00:00")


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of one seed. `failed`: invariants, or what went wrong; `fired`: faults that happened."""

    seed: int
    failed: tuple[str, ...]
    fired: tuple[str, ...]
    log_hash: str
    virtual_s: int
    wall_s: float
    details: tuple[str, ...] = field(default=())


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = Random(f"explore {seed}")
    gateways = chance.randint(2, 5)
    length_s = 4 * DAY_S
    rules = chance.choice(("flat", "bihar", "bihar", "uttar-pradesh", "great-britain"))
    faults = [_fault(chance, length_s) for _ in range(chance.randint(1, MOST_FAULTS))]
    content: dict[str, Any] = {
        "name": f"explored-{seed}",
        "story": f"Drawn from seed {seed}.",
        "rules": rules,
        "fleet": {
            "meters": chance.randint(100, 130),
            "gateways": gateways,
            "interval": chance.choice((HOUR_S, 2 * HOUR_S, 2 * HOUR_S)),
            "clock_error": chance.choice((0, 240)),
        },
        "clock": {"start": chance.choice(STARTS), "length": length_s},
        "workload": {
            "recharges": chance.choice((20, 100, 300)),
            "retried": round(chance.uniform(0, 0.6), 2),
            "conflicting": round(chance.uniform(0, 0.1), 2),
            "enquiries": 40,
            "orders": 10 if rules == "flat" else 0,
        },
        # A store that a lying disk has ruined heals no more, however long one waits.
        "heals_within": 3 * DAY_S if not any(FAULTS[fault["fault"]].breaks for fault in faults) else 6 * HOUR_S,
        "timeline": sorted(faults, key=lambda fault: int(fault["at"])),
    }
    if rules != "flat" and chance.random() < 0.7:
        out_s = chance.randint(0, 2 * DAY_S)
        content["homes"] = [
            {"share": 0.1, "out_from": 0, "out_to": 0, "pays": [2 * DAY_S, length_s - CALM_S]},
            {"share": 0.1, "out_from": out_s, "out_to": out_s + DAY_S},
        ]
    return Scenario.model_validate(content)


def _fault(chance: Random, length_s: int) -> dict[str, Any]:
    name = chance.choice(sorted(FAULTS))
    kind = FAULTS[name]
    lasts_s = 0 if kind.momentary else chance.randint(60, kind.longest_s)
    at_s = chance.randint(CALM_S, length_s - CALM_S - lasts_s)
    return {"fault": name, "at": at_s, "for": lasts_s, "seed": chance.randrange(1_000)} | kind.draw(chance)


def run_seed(seed: int, scratch: str | None = None) -> Explored:
    """Draw and run one seed."""
    return run_drawn(draw(seed), seed, scratch)


def run_drawn(scenario: Scenario, seed: int, scratch: str | None = None, **details: Any) -> Explored:
    """Run and judge a scenario in a folder that is thrown away, in `scratch`. `details` are the plant's."""
    began_s = time.monotonic()
    memory = str(MEMORY) if MEMORY.is_dir() else None
    folder = RunFolder(Path(tempfile.mkdtemp(prefix="explored-", dir=scratch or memory)))
    fired: tuple[str, ...] = tuple(sorted(str(fault.fault) for fault in scenario.timeline))
    forgiven = {name for fault in scenario.timeline for name in fault.breaks}
    try:
        simulate_in(folder, scenario, seed, Silent(), looks=LOOKS, heartbeat_s=HEARTBEAT_S, **details)
        result = judge(folder)
        wrong = [each for each in result.findings if each.verdict in (Verdict.FAIL, Verdict.UNKNOWN)]
        failed = tuple(each.invariant for each in wrong if each.invariant not in forgiven)
        if result.figures.get("converged_after_s") is None and not forgiven:
            failed += ("convergence",)
        words = tuple(f"{each.invariant}: {each.detail} {'; '.join(each.evidence[:3])}" for each in wrong)
        log_hash, fired = result.log_hash, tuple(sorted({window.fault for window in result.windows}))
    except GateError as error:
        failed, words, log_hash = ("gate",), (str(error),), ""
    except Exception as error:  # what breaks a run is what an explorer is looking for
        failed, words, log_hash = (f"crash: {type(error).__name__}",), (repr(error)[:500],), ""
        if forgiven:
            failed = ()
    finally:
        shutil.rmtree(folder.path)
    return Explored(seed, failed, fired, log_hash, scenario.clock.length, time.monotonic() - began_s, words)


def explore(seeds: Iterable[int], jobs: int) -> Iterator[Explored]:
    """Run seeds on so many processes; results in the order of the seeds."""
    with scratch_folder() as scratch:
        if jobs == 1:
            yield from (run_seed(seed, scratch) for seed in seeds)
            return
        # Leaving a pool of this kind ends its processes at once, Ctrl-C too.
        with get_context("spawn").Pool(jobs, _begin_worker) as pool:
            yield from pool.imap(partial(run_seed, scratch=scratch), seeds)


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A folder for runs that are thrown away, in memory where that can be; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="explore-", dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        yield scratch


def _begin_worker() -> None:
    """Ctrl-C is for the one who waits for us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def shrink(scenario: Scenario, seed: int, failed: Iterable[str], say: Callable[[str], None]) -> Scenario:
    """The smallest scenario found that still fails in one of these ways: fewer faults, less of everything."""
    wanted = set(failed)
    for _ in range(MOST_SHRINKS):
        for smaller in _smaller(scenario):
            if wanted & set(run_drawn(smaller, seed).failed):
                say(f"still fails with {len(smaller.timeline)} faults, {smaller.fleet.meters} meters")
                scenario = smaller
                break
        else:
            break
    return scenario


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    content = scenario.model_dump(mode="json", by_alias=True)
    for index in range(len(scenario.timeline)):
        kept = content["timeline"][:index] + content["timeline"][index + 1 :]
        yield Scenario.model_validate(content | {"timeline": kept})
    fleet = content["fleet"]
    if fleet["meters"] > fleet["gateways"]:
        halved = max(fleet["gateways"], fleet["meters"] // 2)
        yield Scenario.model_validate(content | {"fleet": fleet | {"meters": halved}})
    if fleet["gateways"] > 1:
        yield Scenario.model_validate(content | {"fleet": fleet | {"gateways": fleet["gateways"] // 2}})
    if content["homes"]:
        yield Scenario.model_validate(content | {"homes": []})
    for name in ("orders", "conflicting", "retried", "enquiries", "recharges"):
        if content["workload"][name]:
            yield Scenario.model_validate(content | {"workload": content["workload"] | {name: 0}})


def as_yaml(scenario: Scenario) -> str:
    """A scenario file."""
    content = scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    content["timeline"] = [
        {"fault": fault.fault} | fault.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for fault in scenario.timeline
    ]
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110))


def coverage(explored: Iterable[Explored]) -> dict[str, int]:
    """How often each fault fired; 0: never."""
    counts = Counter(name for each in explored for name in each.fired)
    return {name: counts[name] for name in sorted(FAULTS)}


def cores() -> int:
    """Processes to use if nobody says how many."""
    return len(os.sched_getaffinity(0))
