"""A short story in which something goes wrong at one point, and what is wrong in the end.

Owns the story and the judgement: the laboratory's judge, and the head-end's own audit. Which points are tried is
up to the tests.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zoneinfo import ZoneInfo

from crash_points import CrashPlant, CrashPoints, Trouble

from headend.adapters.fleet_log import SqliteFleetLog
from headend.adapters.sqlite import SqliteStore
from headend.service.audit import audit
from headend.service.audit_protection import ProtectionAudit
from headend.service.server import Headend
from meter_sim.lab.auditor import judge
from meter_sim.lab.households import plan_of
from meter_sim.lab.result import Result, Verdict
from meter_sim.lab.run import MEMORY, REGION, Silent, follow
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import ZONE, Scenario
from meter_sim.lab.simulation.settings import preset

SEED: Final = 5
LOOKS: Final = 4

STORY: Final = Scenario.model_validate(
    {
        "name": "crash-points",
        "story": "Recharges with repetitions and a conflict, readings, an order, a midnight that closes a day.",
        "rules": "bihar",
        "fleet": {"meters": 6, "gateways": 2, "interval": "2h"},
        "clock": {"start": "2024-10-23T21:30", "length": "5h"},
        "workload": {
            "recharges": 6_000,
            "retried": 0.5,
            "retried_within": "2h",
            "conflicting": 0.2,
            "enquiries": 1_000,
            "orders": 2_000,
        },
    }
)

HAVE_TO_PASS: Final = frozenset(f"I{number}" for number in (1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 21, 22, 25))
"""What the story shows whatever happens; the others may have nothing to show."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `fired`: how often something happened."""

    fired: int
    operations: int
    result: Result
    wrong: list[str]

    def verdict(self, invariant: str) -> Verdict:
        return next(each.verdict for each in self.result.findings if each.invariant == invariant)


def run_story(
    empty: Path, points: CrashPoints, trouble: Trouble | None = None, serving: type[Headend] = Headend
) -> Outcome:
    """Run the story. `empty`: a store to begin with, which takes a quarter of a run to make anew."""
    plan = plan_of(STORY, SEED, REGION)
    with TemporaryDirectory(prefix="crash-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = RunFolder(Path(name))
        shutil.copy(empty, folder.store)
        with CrashPlant(STORY, plan, folder, SEED, points, trouble, serving) as plant:
            follow(STORY, SEED, plan, plant, folder, Silent(), "simulation", STORY.rules, LOOKS)
            end_s = plant.now_s
        result = judge(folder)
        wrong = [*_findings(result), *_own_audit(folder, end_s)]
    return Outcome(points.fired + plant.fired, plant.operations, result, wrong)


def _findings(result: Result) -> Iterator[str]:
    if result.interrupted:
        yield "the run broke off"
    for each in result.findings:
        shown = each.verdict is Verdict.PASS
        if not shown and (each.verdict is not Verdict.NOT_EXERCISED or each.invariant in HAVE_TO_PASS):
            yield f"{each.invariant} {each.verdict}: {each.detail} {each.evidence}"


def _own_audit(folder: RunFolder, now_s: int) -> Iterator[str]:
    """What `headend audit` says of the store and the fleet's log."""
    protection = ProtectionAudit(preset(STORY.rules), ZoneInfo(ZONE))
    with closing(SqliteStore(folder.store)) as store, store.view() as uow:
        for check in audit(uow, SqliteFleetLog([folder.fleet]), protection, now_s, converged=True):
            if not check.ok:
                yield f"audit {check.check_id}: {check.violations[:5]}"
