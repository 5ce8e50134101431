"""The small scenarios in which planted bugs must show, and how one of them is run and judged.

Each is clean with the head-end as it is. What a bug breaks must be able to happen in its stage: a window that a
cut can fall into, a store that fails while something is being sent, two gateways of which one cannot be reached.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from headend.domain.caps import CapLimits
from headend.domain.rules import Rules
from meter_sim.lab.auditor import judge
from meter_sim.lab.auditor.judge import AGAIN
from meter_sim.lab.auditor.promises import PROMISES
from meter_sim.lab.result import Finding, Result
from meter_sim.lab.run import Silent, simulate
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.simulation import plant as simulated

HEARTBEAT_S: Final = 1_800.0
CAP: Final = 2
"""Cuts in 24 hours where a bug is to break a cap: those of the presets are too high for a small fleet."""

ORDINARY: Final = {
    "name": "ordinary",
    "story": "Two days of recharges, repetitions, conflicts, enquiries and orders over links that fail.",
    "rules": "flat",
    "fleet": {"meters": 30, "gateways": 3, "interval": "1h"},
    "clock": {"start": "2024-10-22T00:00", "length": "3d"},
    "workload": {
        "recharges": 2_000,
        "retried": 0.5,
        "retried_within": "2d12h",
        "conflicting": 0.1,
        "enquiries": 4_000,
        "orders": 1_000,
    },
    "timeline": [
        {"fault": "link-loss", "at": "12h", "for": "8h", "loss": 0.3},
        {"fault": "process-kill", "part": "headend", "at": "12h20m", "for": "3m", "every": "13m", "times": 30},
        {"fault": "process-kill", "part": "headend", "at": "23h20m", "for": "2h"},
        {"fault": "link-black-hole", "at": "1d3h", "for": "5h", "share": 0.3, "direction": "both"},
        {"fault": "link-reorder", "at": "1d12h", "for": "4h", "reorder": 0.3, "delay_ms": 60_000},
        {"fault": "link-duplicate", "at": "1d12h", "for": "4h", "repeat": 0.3},
        {"fault": "link-loss", "at": "2d", "for": "8h", "loss": 0.3},
    ],
    "heals_within": "12h",
}

AWAY: Final = {
    "name": "away",
    "story": "One of three gateways cannot be reached for half a day.",
    "rules": "flat",
    "fleet": {"meters": 24, "gateways": 3, "interval": "1h"},
    "clock": {"start": "2024-10-22T00:00", "length": "1d12h"},
    "workload": {"recharges": 2_000, "retried": 0.2, "retried_within": "12h", "enquiries": 500},
    "timeline": [{"fault": "link-black-hole", "at": "10h", "for": "12h", "share": 0.3, "direction": "both"}],
    "heals_within": "12h",
}

ORDERS: Final = {
    "name": "orders",
    "story": "An operator opens and closes the relays of a few homes all day, some of them out of reach at times.",
    "rules": "flat",
    "fleet": {"meters": 8, "gateways": 4, "interval": "1h"},
    "clock": {"start": "2024-10-22T00:00", "length": "16h"},
    "workload": {"recharges": 2_000, "enquiries": 1_000, "orders": 100_000},
    "timeline": [{"fault": "link-black-hole", "at": "2h", "for": "1h", "every": "2h", "times": 6, "share": 0.25}],
    "heals_within": "12h",
}

DISK: Final = {
    "name": "disk",
    "story": "A gateway comes back while the store cannot sync; then the head-end dies, and the power fails.",
    "rules": "flat",
    "fleet": {"meters": 20, "gateways": 2, "interval": "1h"},
    "clock": {"start": "2024-10-22T00:00", "length": "1d12h"},
    "workload": {"recharges": 3_000, "retried": 0.3, "retried_within": "12h", "enquiries": 1_000},
    "timeline": [
        {"fault": "link-black-hole", "at": "8h", "for": "2h20m", "share": 0.5, "direction": "both"},
        {"fault": "store-error", "at": "10h", "for": "2h", "operation": "sync"},
        {"fault": "process-kill", "part": "headend", "at": "11h30m", "for": "1h"},
        {"fault": "power-cut", "at": "16h10m", "for": "10m", "every": "47m", "times": 6},
    ],
    "heals_within": "12h",
}

CUTS: Final = {
    "name": "cuts",
    "story": "Cuts on a Friday, one gateway that cannot be reached, and an outage that spares others on Saturday.",
    "rules": "bihar",
    "fleet": {"meters": 42, "gateways": 12, "interval": "1h"},
    "clock": {"start": "2024-10-22T00:00", "length": "5d12h"},
    "workload": {"recharges": 60, "retried": 0.3, "enquiries": 60},
    "homes": [
        {"share": 0.2, "out_from": 0, "out_to": 0},
        {"share": 0.2, "out_from": 0, "out_to": 0, "pays": ["3d14h", "3d16h"]},
        {"share": 0.2, "out_from": 0, "out_to": 0, "pays": ["3d10h15m", "3d11h"]},
        {"share": 0.2, "out_from": "18h", "out_to": "1d"},
    ],
    "timeline": [
        {"fault": "link-black-hole", "at": "2d4h", "for": "1d11h", "share": 0.08, "direction": "both", "seed": 2},
        {
            "fault": "link-black-hole",
            "at": "3d10h5m",
            "for": "2h50m",
            "share": 0.08,
            "direction": "both",
            "seed": 3,
        },
        {"fault": "bulk-cut", "at": "3d12h35m", "share": 1.0},
        {"fault": "store-error", "at": "3d11h25m", "for": "15m", "operation": "sync"},
        {"fault": "process-kill", "part": "headend", "at": "3d20h", "for": "2h"},
        {"fault": "bulk-cut", "at": "4d11h30m", "share": 1.0},
    ],
    "heals_within": "12h",
}

Planted = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A scenario. `prepare`: what else is other than in a shipped run. `twice`: two runs are compared (I24)."""

    scenario: Mapping[str, Any]
    seed: int = 1
    prepare: Planted | None = None
    twice: bool = False


def other_rules(patch: pytest.MonkeyPatch, change: Callable[[Rules], Rules]) -> None:
    """The head-end runs with rules that are not those of the preset."""
    preset = simulated.preset
    patch.setattr(simulated, "preset", lambda name: change(preset(name)))


def _low_caps(patch: pytest.MonkeyPatch) -> None:
    """A utility that promises few cuts a day, and a head-end that is told so."""
    other_rules(
        patch, lambda rules: replace(rules, protection=replace(rules.protection, caps=CapLimits(fleet=CAP)))
    )
    patch.setitem(PROMISES, "bihar", replace(PROMISES["bihar"], cap_a_day=CAP))


STAGES: Final[Mapping[str, Stage]] = {
    "ordinary": Stage(ORDINARY),
    "twice": Stage(AWAY, twice=True),
    "away": Stage(AWAY),
    "orders": Stage(ORDERS),
    "disk": Stage(DISK),
    "cuts": Stage(CUTS),
    "caps": Stage(CUTS, prepare=_low_caps),
}


def run_stage(name: str, folder: Path, patch: pytest.MonkeyPatch, bug: Planted | None = None) -> Result:
    """Run and judge a stage, with a bug or without."""
    stage = STAGES[name]
    if stage.prepare is not None:
        stage.prepare(patch)
    if bug is not None:
        bug(patch)
    scenario = Scenario.model_validate(stage.scenario)
    result = judge(_run(scenario, stage.seed, folder / "first"))
    if not stage.twice:
        return result
    again = _run(scenario, stage.seed, folder / "second")
    (again.path / AGAIN).write_text(result.log_hash, encoding="utf-8")
    return judge(again)


def _run(scenario: Scenario, seed: int, folder: Path) -> RunFolder:
    return simulate(scenario, seed, folder, Silent(), heartbeat_s=HEARTBEAT_S)


def finding(result: Result, invariant: str) -> Finding:
    """What was found of an invariant."""
    (found,) = [each for each in result.findings if each.invariant == invariant]
    return found
