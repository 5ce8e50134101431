"""The demonstration as a user runs it, small and fast; and its judge on the same files after tampering."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pysqlite3 import dbapi2 as sqlite
from waiting import wait_until

from meter_sim.lab.evidence import collect
from meter_sim.lab.judge import Rules, Verdict, judge
from meter_sim.lab.promises import BIHAR
from meter_sim.lab.site import OPEN_EXPIRES_AFTER_S, ZONE

COMMAND = [sys.executable, "-m", "meter_sim.lab.demo"]
SMALL = ["--meters", "100", "--gateways", "4", "--pace", "1.25"]


def judged(folder: Path) -> Verdict:
    zone = ZoneInfo(ZONE)
    evidence = collect(folder / "journal.jsonl", folder / "fleet.db", folder / "headend.db", zone)
    return judge(evidence, Rules(BIHAR, zone, OPEN_EXPIRES_AFTER_S))


def tamper(database: Path, statement: str) -> None:
    connection = sqlite.connect(str(database))
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    assert connection.execute(statement).rowcount >= 1
    connection.commit()
    connection.close()


def failed(verdict: Verdict) -> set[str]:
    return {check.check_id for check in verdict.checks if not check.ok}


TAMPERINGS = {
    "a credit taken from a meter": (
        "fleet.db",
        "DELETE FROM event WHERE event_id = (SELECT max(event_id) FROM event WHERE kind = 'credit')",
        {"credits-lost"},
    ),
    "a credit given twice": (
        "fleet.db",
        (
            "UPDATE event SET credit_total_micros = 2 * credit_total_micros"
            " WHERE event_id = (SELECT max(event_id) FROM event WHERE kind = 'credit')"
        ),
        {"credits-doubled"},
    ),
    "a relay that opened by itself": (
        "fleet.db",
        (
            "INSERT INTO event SELECT NULL, at_s, meter_key, 'relay', 9, NULL, 'open', NULL, NULL, register_wh, 0"
            " FROM event WHERE kind = 'credit' LIMIT 1"
        ),
        {"relays", "wrong-cuts", "supplied"},
    ),
    "a cut at three in the afternoon": (
        "fleet.db",
        (
            "UPDATE event SET at_s = at_s + 10800 WHERE event_id ="
            " (SELECT max(event_id) FROM event WHERE kind = 'relay' AND relay = 'open')"
        ),
        {"relays", "wrong-cuts"},
    ),
    "a cut that nobody was told of": (
        "headend.db",
        (
            "UPDATE notice SET kind = 'CUT' WHERE kind = 'CUT_ANNOUNCED' AND meter_key = (SELECT meter_key FROM"
            " disconnection WHERE state = 'ISSUED' ORDER BY disconnection_id LIMIT 1)"
        ),
        {"wrong-cuts"},
    ),
    "a bill that is a paisa too high": (
        "headend.db",
        (
            "UPDATE transfer SET amount_micros = amount_micros + 10000"
            " WHERE transfer_id = (SELECT max(transfer_id) FROM transfer WHERE kind = 'CHARGE')"
        ),
        {"days"},
    ),
    "a changed row of the ledger": (
        "headend.db",
        "UPDATE transfer SET amount_micros = amount_micros + 1 WHERE reference = 'UPI-000001'",
        {"ledger"},
    ),
}
"""What is done to which file of a run that passed, and which checks of the judge must fail then."""


def test_the_demo_passes_and_its_judge_sees_what_is_tampered_with(tmp_path: Path) -> None:
    folder, file = tmp_path / "run", tmp_path / "verdict.json"
    words = [*SMALL, "--seed", "7", "--folder", str(folder), "--json", str(file)]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=200)
    output = done.stderr + done.stdout
    assert done.returncode == 0, output
    assert output.splitlines()[-1].startswith("demo: PASSED")
    for phase in ("the broker is killed", "one wrong command", "the head-end is killed", "converged in", "GRACE"):
        assert phase in output

    verdict = json.loads(file.read_text())
    assert verdict["ok"] is True
    assert (verdict["seed"], verdict["meters"]) == (7, 100)
    assert verdict["recharges_during_outage"] >= 300
    assert (verdict["credits_lost"], verdict["credits_doubled"], verdict["relays_opened_by_outage"]) == (0, 0, 0)
    assert verdict["wrong_cuts"] == 0
    assert verdict["cuts_before_outage"] > 0
    assert verdict["reconnected_after_outage"] > 0
    assert verdict["homes_spared"] > 0
    assert verdict["cuts_after_grace"] > 0
    assert verdict["orders_by_mistake"]["homes"] > 50
    assert verdict["orders_by_mistake"]["sent"] == 0
    assert 0 < verdict["seconds_to_converge"] < 60
    assert all(set(check) == {"id", "ok", "detail"} and check["ok"] is True for check in verdict["checks"])
    assert len({check["id"] for check in verdict["checks"]}) == len(verdict["checks"])

    assert failed(judged(folder)) == set()
    for number, (what, (database, statement, expected)) in enumerate(TAMPERINGS.items()):
        copy = shutil.copytree(folder, tmp_path / f"copy{number}")
        tamper(copy / database, statement)
        assert failed(judged(copy)) == expected, what


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    words = [*SMALL, "--folder", str(tmp_path / "run")]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_behind(
    started: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    wait_until((tmp_path / "run" / "fleet.log").exists, 30)
    started.send_signal(number)
    output, _ = started.communicate(timeout=20)
    assert started.returncode == 105
    assert "interrupted" in output
    assert "Traceback" not in output
    assert not processes_of(tmp_path)


def processes_of(folder: Path) -> list[str]:
    """Command lines and environments that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            content = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in content:
            found.append(process.name)
    return found


def test_bad_usage_is_said_in_a_line() -> None:
    done = subprocess.run([*COMMAND, "--meters", "many"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--meters" in done.stderr


def test_a_verdict_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "--json", str(tmp_path / "no" / "x")], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no such folder" in done.stderr
