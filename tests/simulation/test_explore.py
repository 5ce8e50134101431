"""Random scenarios: drawn from a seed alone, run again alike, shrunk when they fail, written as files."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meter_sim.lab.auditor import promises
from meter_sim.lab.faults import FAULTS
from meter_sim.lab.scenario_file import load
from meter_sim.lab.simulation.campaign import Campaign
from meter_sim.lab.simulation.explore import as_yaml, draw, run_drawn, shrink

DAY_S = 86_400
HASH_OF_SEED = "from meter_sim.lab.simulation.explore import run_seed; print(run_seed({}).log_hash)"
METER_SIM = Path(sys.executable).with_name("meter-sim")


def test_a_seed_is_a_scenario_of_four_days_and_a_hundred_meters() -> None:
    drawn = [draw(seed) for seed in range(200)]
    assert drawn == [draw(seed) for seed in range(200)]
    assert all(scenario.fleet.meters >= 100 and scenario.clock.length >= 4 * DAY_S for scenario in drawn)
    assert {fault.fault for scenario in drawn for fault in scenario.timeline} == set(FAULTS)
    assert {scenario.rules for scenario in drawn} == set(promises.PROMISES)


def test_a_drawn_scenario_is_a_file_that_can_be_run(tmp_path: Path) -> None:
    for seed in range(40):
        path = tmp_path / f"{seed}.yaml"
        path.write_text(as_yaml(draw(seed)), encoding="utf-8")
        assert load(str(path)) == draw(seed)


def test_the_same_seed_gives_the_same_log_in_another_process_and_order_of_hashes(seed: int) -> None:
    hashes = {
        subprocess.run(
            [sys.executable, "-c", HASH_OF_SEED.format(seed % 1_000)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(hashes) == 1
    assert len(hashes.pop().strip()) == 64


def test_what_fails_is_shrunk_to_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = draw(8)
    # Whoever promises that no home ever draws anything has a judge that finds every charge wrong.
    monkeypatch.setattr(promises.Promises, "_bill", lambda *_: 0)
    failed = run_drawn(scenario, 8).failed
    assert "I6" in failed
    said: list[str] = []
    smallest = shrink(scenario, 8, ["I6"], said.append)
    assert smallest.timeline == ()
    assert smallest.fleet.meters <= 4
    assert smallest.workload.recharges == 0
    assert said


def test_a_campaign_says_what_fired_and_leaves_nothing_behind(tmp_path: Path) -> None:
    campaign = Campaign(range(6, 8), 1, 1, tmp_path, shrinks=False)
    lines = [line for line in campaign.run() if line is not None]
    assert lines[-1].startswith("explore: PASSED: 2 seeds, 1 of them twice with the same log, 8 simulated days")
    assert any(line.startswith("faults fired: ") for line in lines)
    assert campaign.exit_status(all_faults=False) == 0
    assert campaign.exit_status(all_faults=True) == 2
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_an_exploration_at_once() -> None:
    process = subprocess.Popen(
        [METER_SIM, "lab", "explore", "--seeds", "0..500", "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert "explored" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    assert process.returncode == 105
    assert "lab: interrupted" in complaint
    assert "Traceback" not in complaint


def test_seeds_that_are_none_are_refused() -> None:
    done = subprocess.run([METER_SIM, "lab", "explore", "--seeds", "9..3"], capture_output=True, text=True)
    assert done.returncode == 104
    assert "the second number is below the first" in done.stderr
