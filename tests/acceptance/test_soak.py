"""The soak as a user runs it: one short round, and what it says when it cannot begin."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from meter_sim.lab.faults.process_kill import ProcessKill
from meter_sim.lab.plant import Part
from meter_sim.lab.soak import drawn

COMMAND = [sys.executable, "-m", "meter_sim.lab.soak"]


def has_mosquitto() -> bool:
    return shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is not None


@pytest.mark.skipif(not has_mosquitto(), reason="mosquitto is not installed: apt-get install mosquitto")
def test_a_round_of_kills_loses_nothing(tmp_path: Path) -> None:
    words = ["--rounds", "1", "--seed", "5", "--seconds", "8", "--kills", "6", "--meters", "60"]
    words += ["--broker", "mosquitto", "--folder", str(tmp_path / "soak"), "--json", str(tmp_path / "soak.json")]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 5" in done.stdout
    content = json.loads((tmp_path / "soak.json").read_text())
    assert content["ok"] is True
    (told,) = content["rounds"]
    assert (told["kills"], told["failed"], told["unanswered"]) == (6, [], 0)
    assert told["recharges"] > 100
    assert not (tmp_path / "soak" / "seed-5").exists()


def test_same_seed_kills_the_same_and_every_part_once_at_least(seed: int) -> None:
    planned = drawn(seed, 400, 20.0, 9)
    assert planned == drawn(seed, 400, 20.0, 9)
    parts = [fault.part for fault in planned.timeline if isinstance(fault, ProcessKill)]
    assert set(parts) == set(Part)
    assert len(parts) == 9


def test_an_unknown_broker_is_refused() -> None:
    done = subprocess.run([*COMMAND, "--broker", "other"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "amqtt, mosquitto" in done.stderr
