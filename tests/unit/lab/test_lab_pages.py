"""The pages of the laboratory: complete, and their examples are true."""

import random
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meter_sim.lab.cli import app, first_sentence
from meter_sim.lab.faults import FAULTS
from meter_sim.lab.faults.fault import Fault
from meter_sim.lab.faults.link import LinkFault
from meter_sim.lab.figures import FINAL, LIVE
from meter_sim.lab.result import Finding, Missed, Result, Verdict
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.scenario_file import ScenarioError, load, names

DOCS = Path(__file__).parents[3] / "docs"
LABORATORY = (DOCS / "laboratory.md").read_text(encoding="utf-8")
FAULTS_PAGE = (DOCS / "faults.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def row(page: str, first: str) -> str:
    """The row of a table that begins with this word."""
    found = re.findall(rf"^\| `{re.escape(first)}` \|.*$", page, re.MULTILINE)
    assert found, f"no row for {first}"
    return str(found[0])


def keys_of(model: type[Any]) -> set[str]:
    return {info.alias or name for name, info in model.model_fields.items()}


EXAMPLES = blocks(LABORATORY, "yaml") + blocks(FAULTS_PAGE, "yaml")


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.partition("\n")[0].removeprefix("name: "))
def test_an_example_is_a_valid_scenario(text: str, tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(text, encoding="utf-8")
    assert load(str(path)).story


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_and_field_is_on_the_page(name: str) -> None:
    kind = FAULTS[name]
    said = row(FAULTS_PAGE, name)
    everywhere = keys_of(LinkFault) if issubclass(kind, LinkFault) else keys_of(Fault) | {"fault"}
    for field in keys_of(kind) - everywhere - {"fault"}:
        assert f"`{field}`" in said, f"{name} does not name {field}"
    assert any(f"fault: {name}" in text for text in EXAMPLES) or name.startswith(("link-", "store-"))


def test_the_page_has_the_fields_that_all_faults_share() -> None:
    for field in keys_of(Fault) | {"fault"}:
        row(FAULTS_PAGE, field)
    links = FAULTS_PAGE.partition("## Links")[2].partition("## Store")[0]
    for field in keys_of(LinkFault) - keys_of(Fault):
        assert f"- `{field}` (" in links


def test_the_page_names_no_fault_that_is_none() -> None:
    before = FAULTS_PAGE.partition("## How to add one")[0]
    in_examples = set(re.findall(r"fault: ([a-z-]+)", before))
    in_tables = set(re.findall(r"^\| `([a-z]+-[a-z-]+)` \|", before, re.MULTILINE))
    assert in_examples <= in_tables == set(FAULTS)


def test_the_defaults_on_the_page_are_those_of_the_models() -> None:
    for name, kind in FAULTS.items():
        for field, default in re.findall(r"`(\w+)` \(`?([\w.-]+)`?\)", row(FAULTS_PAGE, name)):
            assert str(kind.model_fields[field].default).removesuffix(".0") == default, f"{name}.{field}"


@pytest.mark.parametrize(("figures", "heading"), [(LIVE, "for `before`:"), (FINAL, "for `after`:")])
def test_every_figure_is_on_the_page_with_its_meaning(figures: dict[str, Any], heading: str) -> None:
    table = LABORATORY.partition(heading)[2].strip().partition("\n\n")[0]
    lines = table.splitlines()[2:]
    assert lines == [f"| `{each.name}` | {each.title} | {each.unit or '-'} |" for each in figures.values()]


def test_every_key_of_a_scenario_is_on_the_page() -> None:
    nested = {"fleet", "clock", "workload"}
    for key, info in Scenario.model_fields.items():
        if key in nested:
            model: Any = info.annotation
            for name in keys_of(model):
                row(LABORATORY, f"{key}.{name}")
        else:
            row(LABORATORY, key)


def test_the_defaults_of_the_keys_are_those_of_the_models() -> None:
    scenario = Scenario.model_validate({"name": "a", "story": "b"})
    said = re.findall(r"^\| `((?:fleet|clock|workload)\.\w+)` \| ([\d.]+) \|", LABORATORY, re.MULTILINE)
    assert len(said) > 8
    for path, default in said:
        group, key = path.split(".")
        assert getattr(getattr(scenario, group), key) == float(default), path


def test_every_shipped_scenario_is_on_the_page() -> None:
    for name in names():
        assert row(LABORATORY, name) == f"| `{name}` | {first_sentence(load(name).story)} |"


def test_every_file_of_a_run_is_on_the_page() -> None:
    folder = RunFolder(Path("run"))
    for name in vars(RunFolder):
        if isinstance(getattr(RunFolder, name), property):
            value = getattr(folder, name)
            row(LABORATORY, f"{value.path.name}/" if isinstance(value, RunFolder) else value.name)


def test_the_exit_statuses_on_the_page_are_those_of_results() -> None:
    said = [int(status) for status in re.findall(r"^\| (\d+) \| ", LABORATORY, re.MULTILINE)]
    assert said == [0, 1, 2, 99, 104, 105]

    def status(verdict: Verdict, missed: tuple[Missed, ...] = (), *, interrupted: bool = False) -> int:
        finding = Finding("I1", "", verdict, "")
        return Result(
            "", "", "", "", 1, 1, "", 0, 0, 0.0, (finding,), missed=missed, interrupted=interrupted
        ).exit_status

    assert status(Verdict.PASS) == 0
    assert status(Verdict.FAIL) == 1
    assert status(Verdict.UNKNOWN) == 2
    assert status(Verdict.PASS, (Missed("credits_lost", "<= 0", 1, "after"),)) == 99
    assert status(Verdict.PASS, interrupted=True) == 105


def test_every_option_of_run_is_on_the_page() -> None:
    said = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"}).output
    options = set(re.findall(r"--[a-z][a-z-]+", said)) - {"--help"}
    assert options >= {"--meters", "--seed", "--set", "--dry-run"}
    missing = {option for option in options if f"`{option}" not in LABORATORY}
    assert missing == set()


class Broker:
    """As much of a plant as the example needs."""

    region = "patna"
    gateways = ("G1", "G2", "G3", "G4")

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []

    def publish(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, payload))


def test_the_worked_example_is_a_fault() -> None:
    (source,) = blocks(FAULTS_PAGE, "python")
    assert len(source.splitlines()) < 35
    made: dict[str, Any] = {"__name__": "false_status"}
    exec(source, made)
    fault = made["FalseStatus"].model_validate({"fault": "false-status", "at": "1h"})
    broker = Broker()
    fault.begin(broker, "1-1-false-status", random.Random("example"))()
    assert len(broker.published) == 2
    assert all(re.fullmatch(r"ami/v1/patna/G[1-4]/up/status", topic) for topic, _ in broker.published)


def test_the_mistakes_on_the_page_are_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = EXAMPLES[0].replace("share: 0.33", "share: 3").replace("fault: process-kill", "fault: proces-kill")
    Path("mine.yaml").write_text(wrong.replace("  headend_up:", "  balance_stale:"), encoding="utf-8")
    (block,) = (text for text in blocks(LABORATORY, "") if "mine.yaml:" in text)
    shown = [line.removesuffix(" ...") for line in block.splitlines()]
    with pytest.raises(ScenarioError) as raised:
        load("mine.yaml")
    found = list(raised.value.problems)
    Path("mine.yaml").write_text(EXAMPLES[0], encoding="utf-8")
    with pytest.raises(ScenarioError) as raised:
        load("mine.yaml", ["fleet.meters=many"])
    found += raised.value.problems
    assert [text[: len(line)] for text, line in zip(found, shown, strict=True)] == shown
