"""The shipped scenarios: valid, told, bounded, and of the schema that is published."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from meter_sim.lab import publish
from meter_sim.lab.cli import first_sentence
from meter_sim.lab.faults import FAULTS
from meter_sim.lab.forecast import expected_recharges, forecast, wall_s
from meter_sim.lab.placed_yaml import read_yaml
from meter_sim.lab.scenario import DAY_S, Clock, Scenario, Surge, Turn, Workload
from meter_sim.lab.scenario_file import load, names, text_of

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / publish.FILE).read_bytes())
SHIPPED = {
    "link-flap", "headend-crash", "broker-queue-loss", "intake-down", "slow-store", "disk-full", "clock-skew",
    "restore-from-backup", "reconnect-storm", "mass-disconnect", "silent-deductions", "diwali-2024",
    "diwali-four-days",
}  # fmt: skip
# The promises that every run has to keep, whatever broke.
ALWAYS = {"invariants_failed", "credits_lost", "credits_doubled", "credits_pending", "balances_wrong"}
HOUR_S = 3_600


def at(day: int, hour: float = 0) -> int:
    return int(day * DAY_S + hour * HOUR_S)


def test_the_promised_scenarios_are_shipped() -> None:
    assert set(names()) == SHIPPED


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_scenario_tells_its_story_and_keeps_the_promises(name: str) -> None:
    scenario = load(name)
    assert scenario.name == name
    assert len(scenario.story) > 300
    assert "To show: " in scenario.story
    assert len(first_sentence(scenario.story)) < 120
    assert text_of(name)[1].startswith("# ")
    assert scenario.timeline
    assert scenario.before
    assert {figure for figure in ALWAYS if scenario.after[figure].max == 0} == ALWAYS
    # Healing has time, and so has the run before anything breaks.
    assert scenario.first_fault_s >= 6 * HOUR_S
    assert scenario.clock.length - scenario.last_fault_ends_s >= 6 * HOUR_S


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_scenario_ends_soon_between_processes(name: str) -> None:
    limit_s = {"diwali-2024": 110, "diwali-four-days": 100, "silent-deductions": 60, "reconnect-storm": 50}.get(
        name, 35
    )
    assert 10 < wall_s(load(name).clock) < limit_s


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_scenario_is_of_the_schema(name: str) -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors(read_yaml(text_of(name)[1]).data)) == []


def test_the_published_schema_is_current() -> None:
    assert publish.main([str(DOCS), "--check"]) == 0, "run: python -m meter_sim.lab.publish"


def test_a_stale_schema_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish.main([str(tmp_path), "--check"]) == 1
    assert str(tmp_path / publish.FILE) in capsys.readouterr().err
    assert publish.main([str(tmp_path)]) == 0
    assert publish.main([str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeline": [{"fault": "rain", "at": 0}]},
        {"timeline": [{"at": 0, "part": "headend"}]},
        {"timeline": [{"fault": "link-loss", "at": "soon"}]},
        {"timeline": [{"fault": "link-loss", "at": "1h", "lasts": "1h"}]},
        {"before": {"happiness": {"min": 1}}},
        {"after": {"balances_stale": {"max": 0}}},
        {"clock": {"length": ""}},
        {"storry": "x"},
    ],
)
def test_the_schema_refuses_what_the_models_refuse(wrong: dict[str, Any]) -> None:
    good = {"name": "a", "story": "b"}
    validator = Draft202012Validator(SCHEMA)
    assert validator.is_valid(good)
    assert not validator.is_valid(good | wrong)
    with pytest.raises(ValueError, match="validation error"):
        Scenario.model_validate(good | wrong, by_alias=True, by_name=False)


def test_the_schema_describes_every_field() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert not SCHEMA["$id"].startswith("http")
    bare = [
        f"{model}.{name}"
        for model, content in SCHEMA["$defs"].items()
        for name, entry in content.get("properties", {}).items()
        if name != "fault" and "description" not in entry
    ]
    assert bare == []
    assert [name for name, content in SCHEMA["$defs"].items() if not content.get("description")] == []
    kinds = {
        content["properties"]["fault"]["const"]
        for content in SCHEMA["$defs"].values()
        if "fault" in content.get("properties", {})
    }
    assert kinds == set(FAULTS)


def test_diwali_is_as_it_was() -> None:
    scenario = load("diwali-2024")
    assert scenario.clock.start.startswith("2024-10-22")
    assert scenario.first_fault_s == at(3, 10)
    dead = [fault for fault in scenario.timeline if fault.fault == "process-kill"]
    assert [fault.occurrences() for fault in dead] == [[(at(6, 9), at(17, 10))]]
    bulk = [fault for fault in scenario.timeline if fault.fault == "bulk-cut"]
    assert [fault.at // DAY_S for fault in bulk] == [9]
    assert scenario.last_fault_ends_s == at(17, 10)
    # At full scale 100,000 recharges are made while the head-end is dead.
    asked = expected_recharges(scenario.workload, 500_000, at(6, 9), at(17, 10))
    assert 95_000 < asked < 105_000


def test_wall_time_follows_the_turns() -> None:
    clock = Clock(length=1_000, speed=10, turns=(Turn(at=100, speed=90), Turn(at=2_000, speed=1)))
    assert wall_s(clock) == pytest.approx(10 + 10)


def test_recharges_follow_the_surges() -> None:
    workload = Workload(recharges=24, surges=(Surge.model_validate({"at": "6h", "for": "6h", "recharges": 240}),))
    assert expected_recharges(workload, 1_000, 0, DAY_S) == pytest.approx(18 + 60)
    assert expected_recharges(workload, 1_000, 9 * HOUR_S, 15 * HOUR_S) == pytest.approx(3 + 30)


def test_a_forecast_counts_what_is_broken_once() -> None:
    timeline = [{"fault": "link-loss", "at": "1h", "for": "2h"}, {"fault": "store-slow", "at": "2h", "for": "2h"}]
    content = {"name": "a", "story": "b", "timeline": timeline, "workload": {"recharges": 240}}
    expected = forecast(Scenario.model_validate(content | {"fleet": {"meters": 1_000, "gateways": 10}}))
    assert expected.recharges == 960
    assert expected.recharges_in_faults == 30
    assert [entry.what for entry in expected.agenda] == ["link-loss", "store-slow"]
    assert expected.agenda[0].local == "Tue 22 Oct 01:00"
