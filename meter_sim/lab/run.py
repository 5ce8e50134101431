"""One run of a scenario from beginning to end: folder, plant, course, judge, report."""

import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from meter_sim.fleet import FleetPlan
from meter_sim.lab.auditor import judge
from meter_sim.lab.course import LOOKS, Course, View
from meter_sim.lab.households import Households, consumer, feeder, meters_of, plan_of
from meter_sim.lab.journal import Journal
from meter_sim.lab.latencies import read_latencies
from meter_sim.lab.plant import Plant, Sample
from meter_sim.lab.report import write_junit, write_report
from meter_sim.lab.result import Result, write_result
from meter_sim.lab.run_folder import RunFolder, fresh_folder
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.workload import wishes

REGION: Final = "patna"
MEMORY: Final = Path("/dev/shm")
"""A simulation works in memory, where there is such a folder: its store is real, and syncs."""


def follow(
    scenario: Scenario,
    seed: int,
    plan: FleetPlan,
    plant: Plant,
    folder: RunFolder,
    view: View,
    mode: str,
    rules: str,
    looks: int = LOOKS,
) -> None:
    """Carry a scenario out on a plant. `rules`: the preset's name, or `naive`.

    Raises:
        GateError: the steady state before the faults is not there.
    """
    homes = Households(scenario, plan, seed)
    wanted = wishes(scenario.workload, homes.others, scenario.clock.length, seed) + homes.relief()
    folder.scenario.write_text(scenario.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    with closing(Journal(folder.journal, lambda: plant.now_s)) as journal:

        def register() -> None:
            journal.note("run", seed=seed, mode=mode, rules=rules)
            for number, meter in enumerate(meters_of(plan), start=1):
                who, gateway = consumer(scenario.rules, number), plan.gateway_id(number)
                fields = {"category": who.category, "load_w": who.load_w, "feeder": feeder(gateway)}
                journal.note("meter", meter=meter, gateway=gateway, **fields)

        course = Course(scenario, seed, plant, folder, view, looks)
        course.run(journal, homes.first_payments(), sorted(wanted), register)


def simulate(
    scenario: Scenario,
    seed: int,
    out: Path,
    view: View,
    *,
    naive: bool = False,
    looks: int = LOOKS,
    **details: Any,
) -> RunFolder:
    """Run a scenario in simulation into a folder; `details` are the plant's. `naive`: without the protections."""
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=MEMORY if MEMORY.is_dir() else None) as work:
        try:
            simulate_in(RunFolder(Path(work)), scenario, seed, view, naive=naive, looks=looks, **details)
        finally:
            shutil.copytree(work, out, dirs_exist_ok=True)
    return RunFolder(out)


def simulate_in(
    folder: RunFolder,
    scenario: Scenario,
    seed: int,
    view: View,
    *,
    naive: bool = False,
    looks: int,
    **details: Any,
) -> None:
    """As `simulate`, with all of its work in the folder itself: best in memory, for it syncs often."""
    # Here, because a run between processes needs nothing of the head-end's code.
    from meter_sim.lab.simulation.naive import NaivePlant
    from meter_sim.lab.simulation.plant import SimulatedPlant

    plan = plan_of(scenario, seed, REGION)
    kind = NaivePlant if naive else SimulatedPlant
    with kind(scenario, plan, folder, seed, **details) as plant:
        rules = "naive" if naive else scenario.rules
        follow(scenario, seed, plan, plant, folder, view, "simulation", rules, looks)


def run_scenario(
    scenario: Scenario, *, seed: int, mode: str, out: Path, broker: str = "amqtt", naive: bool = True, view: View
) -> Result:
    """Run a scenario into an empty folder, judge it, and write result, report and JUnit beside its evidence.

    `mode`: `processes`, `simulation`, or `naive`: simulated without the protections. `naive`: with what would have
    happened without them, from the same seed, simulated. Whatever ends it, nothing that it broke stays broken, and
    no process of it runs on.

    Raises:
        LabError: the run broke off, or the folder is somebody else's.
        GateError: the steady state before the faults is not there.
        KeyboardInterrupt: as it came.
    """
    began_s = time.monotonic()
    with fresh_folder(out):
        folder = RunFolder(out)
        if mode == "simulation":
            simulate(scenario, seed, out, view)
        elif mode == "naive":
            naive = False
            _simulate_naive(scenario, seed, folder, view)
        else:
            _run_processes(scenario, seed, folder, broker, view)
        result = replace(judge(folder), wall_s=round(time.monotonic() - began_s, 1))
        write_result(result, folder.result)
        beside = None
        if naive:
            view.note("the same seed without the protections, simulated")
            _simulate_naive(scenario, seed, folder.naive, Silent())
            beside = judge(folder.naive)
            write_result(beside, folder.naive.result)
        other = None if beside is None else (beside, folder.naive.samples)
        latencies = read_latencies(folder)
        write_report(result, folder.samples, folder.report, other, latencies=latencies, scenario=scenario)
        write_junit(result, folder.junit, scenario=scenario)
    return result


def _simulate_naive(scenario: Scenario, seed: int, folder: RunFolder, view: View) -> None:
    """Without the protections. Its steady state is another one: it has cut homes before anything breaks."""
    simulate(scenario.model_copy(update={"before": {}}), seed, folder.path, view, naive=True)


def _run_processes(scenario: Scenario, seed: int, folder: RunFolder, broker: str, view: View) -> None:
    from meter_sim.lab.process_plant import ProcessPlant

    plan = plan_of(scenario, seed, REGION)
    with ProcessPlant(scenario, plan, folder, broker=broker) as plant:
        follow(scenario, seed, plan, plant, folder, view, "processes", scenario.rules)


class Silent:
    """A view of nothing."""

    def stage(self, name: str) -> None:
        """See `View`."""

    def fault(self, name: str, began: bool) -> None:
        """See `View`."""

    def show(self, sample: Sample) -> None:
        """See `View`."""

    def note(self, text: str) -> None:
        """See `View`."""
