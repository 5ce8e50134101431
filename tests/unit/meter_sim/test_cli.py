import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meter_sim.display import write_json
from meter_sim.fleet import FleetPlan, import_lines
from meter_sim.runner import Snapshot

PROGRAM = Path(sys.executable).with_name("meter-sim")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *options], capture_output=True, text=True, timeout=60)


def test_meters_prints_the_import_file_with_opening_registers() -> None:
    printed = run(
        "meters", "--meters", "5", "--meters-per-gateway", "2", "--region", "R7", "--installed", "2024-10-30"
    )
    assert printed.returncode == 0
    lines = printed.stdout.splitlines()
    assert lines == list(import_lines(FleetPlan(5, 2, "R7", 0), "2024-10-30"))
    assert lines[0] == "meter,region,gateway,register_wh,installed"
    assert [line.split(",")[2] for line in lines[1:]] == ["G0001", "G0001", "G0002", "G0002", "G0003"]
    assert lines[5].startswith("M0000005,R7,G0003,")
    assert lines[5].endswith(",2024-10-30")


def test_parts_of_a_fleet_are_the_same_meters_as_the_whole() -> None:
    whole = list(import_lines(FleetPlan(60, 10, "R1", 0)))[1:]
    parts = [*import_lines(FleetPlan(20, 10, "R1", 0)), *import_lines(FleetPlan(40, 10, "R1", 0, first_number=21))]
    assert [line for line in parts if not line.startswith("meter,")] == whole


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["run", "--broker", "tcp://x"], "mqtt://HOST:PORT"),
        (["run", "--broker", "mqtt://host:port"], "mqtt://HOST:PORT"),
        (["run", "--zone", "Mars/Base"], "Mars/Base"),
        (["run", "--interval", "soon"], "no span of time"),
        (["run", "--interval", "0s"], "interval"),
        (["run", "--speed", "0"], "--speed"),
        (["run", "--start", "yesterday"], "--start"),
        (["run", "--clock", "nonsense"], "START@EPOCHxSPEED"),
        (["run", "--meters", "0"], "0 meters"),
        (["run", "--region", "a/b"], "region"),
        (["run", "--start-number", "5"], "first meter of a gateway"),
        (["run", "--connect-rate", "0"], "--connect-rate"),
        (["meters", "--installed", "30.10.2024"], "--installed"),
        (["meters", "--gateway-prefix", "G1"], "prefix"),
        (["run", "--json", "no/such/folder/x.json"], "no folder"),
        (["run", "--meterz", "1"], "meterz"),
        (["run", "--keys", "no/such/ring"], "no/such/ring"),
        (["run", "--keys", "/dev/null"], "no key ring"),
        (["run", "--clock-error", "much"], "no span of time"),
        (["run", "--clock-error", "999999d"], "clock error"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(options: list[str], said: str, tmp_path: Path) -> None:
    log = ["--log", str(tmp_path / "fleet.db")] if options[0] == "run" else []
    ended = run(*options, *log)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "fleet.db").exists()


def test_broker_never_reached_is_status_6(tmp_path: Path, free_port: int) -> None:
    broker = f"mqtt://127.0.0.1:{free_port}"
    ended = run("run", "--broker", broker, "--connect-timeout", "0.5", "--log", str(tmp_path / "fleet.db"))
    assert ended.returncode == 6
    assert f"127.0.0.1:{free_port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_log_that_is_none_is_status_5(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("something else " * 100)
    ended = run("run", "--log", str(path))
    assert ended.returncode == 5
    assert "notes.txt" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_termination_before_the_broker_is_there_ends_in_order(tmp_path: Path, free_port: int) -> None:
    summary = tmp_path / "summary.json"
    command = [PROGRAM, "run", "--broker", f"mqtt://127.0.0.1:{free_port}", "--log", str(tmp_path / "f.db")]
    process = subprocess.Popen([*command, "--json", str(summary)], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stderr is not None
    assert b"sessions 0/20" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(summary.read_text())["readings_taken"] == 0


def test_progress_file_is_one_flat_object(tmp_path: Path) -> None:
    snapshot = Snapshot("now", 1, 0, 2.0, 3, 4, 3, 3, 0, 0, 0, {"credits_applied": 9})
    write_json(tmp_path / "progress.json", snapshot)
    fields = json.loads((tmp_path / "progress.json").read_text())
    assert fields["credits_applied"] == 9
    assert fields["sessions"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]
