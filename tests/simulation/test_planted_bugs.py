"""The judge is judged: with each planted bug it finds the invariant that the bug breaks; without any, nothing."""

from collections import Counter
from pathlib import Path

import pytest
from planted import BUGS, NOT_PLANTED
from planted_bug import Bug
from planted_stages import STAGES, finding, run_stage

from meter_sim.lab.auditor.finding import TITLES
from meter_sim.lab.result import Verdict

LEAST_BUGS = 28
PAGE = Path(__file__).parents[2] / "docs" / "laboratory.md"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_without_a_bug_is_clean(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_stage(name, tmp_path, monkeypatch)
    wrong = [each for each in result.findings if each.verdict in (Verdict.FAIL, Verdict.UNKNOWN)]
    assert not wrong
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.breaks}-{bug.name.replace(' ', '-')}")
def test_the_judge_finds_what_a_bug_breaks(bug: Bug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_stage(bug.stage, tmp_path, monkeypatch, bug.plant)
    found = finding(result, bug.breaks)
    assert found.verdict is Verdict.FAIL, found
    assert bug.shows in " ".join((found.detail, *found.evidence))


def test_each_invariant_has_a_bug_or_a_reason() -> None:
    planted = Counter(bug.breaks for bug in BUGS)
    assert planted.keys() | NOT_PLANTED.keys() == TITLES.keys()
    assert not planted.keys() & NOT_PLANTED.keys()
    assert len(BUGS) >= LEAST_BUGS
    assert len({bug.name for bug in BUGS}) == len(BUGS)


def test_the_page_lists_every_bug() -> None:
    rows = {line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| I")}
    assert {f"| {bug.breaks} | {bug.name} | {bug.stage} |" for bug in BUGS} == rows
