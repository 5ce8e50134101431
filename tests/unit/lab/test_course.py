"""The course of a run on a plant whose counter is slow: people wait, what breaks does not."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meter_sim.lab.course import Course
from meter_sim.lab.journal import Journal
from meter_sim.lab.plant import Payment
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.workload import Wish

HOUR_S = 3_600


class SlowPlant:
    """Time passes while a recharge is carried out, as it does between processes."""

    wall_patience_s = 0.0

    def __init__(self, start_s: int, recharge_takes_s: int) -> None:
        self.now_s = start_s
        self._takes_s = recharge_takes_s
        self.down = 0
        self.asked = 0
        self.stops_at_s: int | None = None

    def advance(self, until_s: int) -> None:
        if self.stops_at_s is not None and until_s >= self.stops_at_s:
            raise KeyboardInterrupt
        self.now_s = max(self.now_s, until_s)

    def recharge(self, payment: Payment) -> dict[str, Any]:
        self.asked += 1
        self.now_s += self._takes_s
        return {"outcome": "RECORDED"}

    def kill(self, part: object) -> None:
        self.down += 1

    def start(self, part: object) -> None:
        self.down -= 1

    def back_up(self) -> bool:
        self.down += 1
        return True

    def restore(self) -> None:
        self.down -= 1

    def look(self, stage: str) -> "Looked":
        return Looked({"at_s": self.now_s, "stage": stage, "headend_up": 1 - self.down})

    def set_up(self, payments: object) -> list[Any]:
        return []

    def attend(self) -> list[str]:
        return []

    def has_converged(self) -> bool:
        return True

    def finish(self) -> bool:
        return True


class Looked:
    """As much of a sample as the course needs."""

    def __init__(self, found: dict[str, Any]) -> None:
        self._found = found

    def as_json(self) -> dict[str, Any]:
        return self._found


class Blind:
    """A view that shows nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def journal_of(folder: Path, recharge_takes_s: int) -> list[dict[str, Any]]:
    """Forty recharges in the first four hours, and a head-end that dies after five."""
    fault = {"fault": "process-kill", "part": "headend", "at": "5h", "for": "2h"}
    content = {"name": "a", "story": "b", "clock": {"length": "12h"}, "timeline": [fault]}
    scenario = Scenario.model_validate(content)
    plant: Any = SlowPlant(scenario.clock.start_s, recharge_takes_s)
    wishes = [Wish(360 * number, number, "recharge", "M1", 10_000, f"R{number}") for number in range(40)]
    run = RunFolder(folder)
    view: Any = Blind()
    with closing(Journal(run.journal, lambda: plant.now_s)) as journal:
        Course(scenario, 1, plant, run, view).run(journal, [], wishes, lambda: None)
    assert plant.down == 0
    lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
    return [line | {"at_s": line["at_s"] - scenario.clock.start_s} for line in lines]


def faults_of(lines: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(line["event"], line["at_s"]) for line in lines if line["kind"] == "fault"]


def test_faults_come_in_time_though_requests_are_late(tmp_path: Path) -> None:
    lines = journal_of(tmp_path, recharge_takes_s=900)
    # Forty times a quarter of an hour is more than the four hours that people had.
    assert [event for event, _ in faults_of(lines)] == ["began", "ended"]
    for (_, at_s), wanted_s in zip(faults_of(lines), (5 * HOUR_S, 7 * HOUR_S), strict=True):
        assert wanted_s <= at_s <= wanted_s + 900
    assert sum(line["kind"] == "answer" for line in lines) == 40


def test_requests_that_are_answered_at_once_come_in_time(tmp_path: Path) -> None:
    lines = journal_of(tmp_path, recharge_takes_s=0)
    assert [line["at_s"] for line in lines if line["kind"] == "recharge"] == [360 * number for number in range(40)]
    assert faults_of(lines) == [("began", 5 * HOUR_S), ("ended", 7 * HOUR_S)]


def test_an_interrupted_run_takes_its_faults_back_and_asks_nobody_anything(tmp_path: Path) -> None:
    fault = {"fault": "store-restore", "at": "5h", "for": "2h"}
    content = {"name": "a", "story": "b", "clock": {"length": "12h"}, "timeline": [fault]}
    scenario = Scenario.model_validate(content)
    plant: Any = SlowPlant(scenario.clock.start_s, 0)
    plant.stops_at_s = scenario.clock.start_s + 6 * HOUR_S
    run, view = RunFolder(tmp_path), Blind()
    wishes = [Wish(360 * number, number, "recharge", "M1", 10_000, f"R{number}") for number in range(40)]
    with closing(Journal(run.journal, lambda: plant.now_s)) as journal, pytest.raises(KeyboardInterrupt):
        Course(scenario, 1, plant, run, view).run(journal, [], wishes, lambda: None)
    assert plant.down == 0, "the store is what it was"
    assert plant.asked == 40
    lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
    assert [event for event, _ in faults_of(lines)] == ["began", "ended"]
