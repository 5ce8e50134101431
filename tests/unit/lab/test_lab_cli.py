"""What `lab run` does with the end of a run: exit statuses, and what it says."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meter_sim.lab import run as lab_run
from meter_sim.lab.cli import app
from meter_sim.lab.course import GateError
from meter_sim.lab.processes import LabError
from meter_sim.lab.result import Finding, Missed, Result, Verdict
from meter_sim.lab.scenario import Scenario


def result(verdict: Verdict, *missed: Missed) -> Result:
    findings = (Finding("I3", "recharges count once", verdict, "3 lost"), Finding("I4", "same", Verdict.PASS, ""))
    figures = {"credits_lost": 3.0, "applied_p99_s": None}
    return Result(
        "link-flap", "", "simulation", "flat", 1, 300, "Asia/Kolkata", 0, 1, 9.5, findings, figures, tuple(missed)
    )


def carry_out(monkeypatch: pytest.MonkeyPatch, end: Result | BaseException, *words: str) -> Any:
    """`lab run link-flap` whose run ends like this."""
    asked: dict[str, Any] = {}

    def run_scenario(scenario: Scenario, **options: Any) -> Result:
        asked.update(options, scenario=scenario)
        if isinstance(end, BaseException):
            raise end
        return end

    monkeypatch.setattr(lab_run, "run_scenario", run_scenario)
    monkeypatch.setattr("meter_sim.lab.processes.interrupt_on_sigterm", lambda: None)
    return CliRunner().invoke(app, ["run", "link-flap", *words]), asked


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (result(Verdict.PASS), 0),
        (result(Verdict.FAIL), 1),
        (result(Verdict.UNKNOWN), 2),
        (result(Verdict.PASS, Missed("credits_lost", "<= 0", 3, "after")), 99),
        (GateError("no steady state before the faults: relays_open is 3, wanted <= 0"), 99),
        (LabError("the broker does not start"), 2),
        (OSError(28, "No space left on device"), 2),
        (KeyboardInterrupt(), 105),
    ],
)
def test_the_end_of_a_run_is_an_exit_status(
    monkeypatch: pytest.MonkeyPatch, end: Result | BaseException, status: int
) -> None:
    done, _ = carry_out(monkeypatch, end)
    assert done.exit_code == status, done.output


def test_what_broke_a_run_off_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = carry_out(monkeypatch, LabError("the broker does not start"))
    assert "lab: the broker does not start" in done.stderr.splitlines()
    assert done.stdout == ""


def test_a_verdict_names_what_failed_and_where_the_report_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end = result(
        Verdict.FAIL, Missed("credits_lost", "<= 0", 3, "after"), Missed("applied_p99_s", "<= 9", None, "after")
    )
    done, _ = carry_out(monkeypatch, end, "--out", str(tmp_path), "--json", str(tmp_path / "end.json"))
    lines = done.stdout.splitlines()
    assert any(line.startswith("credits lost") and line.endswith("3 credits") for line in lines)
    assert any(line.startswith("I3 fail: ") and "3 lost" in line for line in lines)
    assert any(line.startswith("missed: credits_lost is 3, wanted <= 0") for line in lines)
    assert any(line.startswith("missed: applied_p99_s is ") for line in lines)
    assert lines[-2].startswith("link-flap: FAIL")
    assert lines[-1] == f"report: {tmp_path}/report.html"
    assert json.loads((tmp_path / "end.json").read_text())["verdict"] == "fail"


def test_options_reach_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ("--mode", "simulation", "--seed", "9", "--meters", "60", "--no-naive", "--broker", "mosquitto")
    _, asked = carry_out(monkeypatch, result(Verdict.PASS), *words, "--out", str(tmp_path))
    assert (asked["seed"], asked["mode"], asked["naive"], asked["broker"]) == (9, "simulation", False, "mosquitto")
    assert asked["scenario"].fleet.meters == 60
    assert asked["out"] == tmp_path


def test_a_run_has_its_own_folder_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    _, asked = carry_out(monkeypatch, result(Verdict.PASS))
    assert asked["out"] == tmp_path / "var" / "lab" / "link-flap"
    assert asked["naive"] is True


def test_naive_rules_are_simulated_whatever_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked = carry_out(monkeypatch, result(Verdict.PASS), "--rules", "naive")
    assert asked["mode"] == "naive"
    assert asked["scenario"].rules == "flat"
    _, asked = carry_out(monkeypatch, result(Verdict.PASS), "--rules", "bihar")
    assert (asked["mode"], asked["scenario"].rules) == ("processes", "bihar")
    done, _ = carry_out(monkeypatch, result(Verdict.PASS), "--rules", "other")
    assert done.exit_code == 104
    assert "rules" in done.stderr
