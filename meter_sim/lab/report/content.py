"""What the report says, in words: from a `Result` to the rows and sentences of the page. Knows no HTML."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meter_sim.lab.figures import FINAL
from meter_sim.lab.quantities import figure_phrase, figure_title, phrase, readable, span
from meter_sim.lab.report.axis import TimeAxis
from meter_sim.lab.result import Finding, Missed, Result, Verdict
from meter_sim.lab.scenario import Scenario, Threshold

SYMBOLS: Final = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.UNKNOWN: "?", Verdict.NOT_EXERCISED: "○"}
COMPARED: Final = (
    ("wrong_cuts", "Homes cut wrongly"),
    ("credits_lost", "Credits lost"),
    ("credits_doubled", "Credits doubled"),
    ("blank_hours", "Hours of blank balance"),
)
MOST_HOMES: Final = 10
WHEN: Final = {"before": "before the first fault", "after": "at the end"}
_BOUND: Final = re.compile(r"(>=|<=) ([-+.e\d]+)")
_SIGNS: Final = {">=": "≥", "<=": "≤"}


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict. `kind`: a class of the style sheet: pass, fail, unknown or missed."""

    kind: str
    symbol: str
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the two runs side by side. `ours_is`, `naive_is`: `better`, `worse`, `same` or `unsaid`."""

    title: str
    ours: str
    ours_is: str
    naive: str
    naive_is: str


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """One threshold, and whether it was met. `value`: what was found."""

    figure: str
    title: str
    when: str
    wanted: str
    value: str
    met: bool
    known: bool = True


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of the run."""

    name: str
    title: str
    value: str
    unit: str


def headline(result: Result) -> Headline:
    """The verdict in plain words."""
    broken = [finding.invariant for finding in result.findings if finding.verdict is Verdict.FAIL]
    unclear = [finding.invariant for finding in result.findings if finding.verdict is Verdict.UNKNOWN]
    lost = f"{_count(len(broken), 'promise was', 'promises were')} broken: {', '.join(broken)}."
    if result.interrupted:
        rest = f" Until then {lost}" if broken else " What stands below is of the part that was run."
        return Headline("unknown", "■", "Interrupted", f"The run was stopped before its end.{rest}")
    match result.verdict:
        case Verdict.FAIL:
            return Headline("fail", "✗", "Fail", lost[0].upper() + lost[1:])
        case Verdict.UNKNOWN if not result.findings:
            return Headline("unknown", "?", "Unknown", "Nothing was judged, so nothing is known.")
        case Verdict.UNKNOWN:
            found = f"Nothing was found broken, but the evidence does not decide {', '.join(unclear)}."
            return Headline("unknown", "?", "Unknown", found)
    if result.missed:
        figures = _count(len(result.missed), "figure is", "figures are")
        return Headline("missed", "▲", "Threshold missed", f"Every promise held, but {figures} not as wanted.")
    return Headline("pass", "✓", "Pass", "Every promise that this run could test was kept.")


def command(result: Result) -> str:
    """What repeats the run."""
    words = ["meter-sim", "lab", "run", result.scenario, "--meters", str(result.meters)]
    return shlex.join([*words, "--seed", str(result.seed), "--mode", result.mode])


def tally(findings: Sequence[Finding]) -> list[tuple[Verdict, str, int]]:
    """How many findings have which verdict: (verdict, symbol, how many)."""
    return [(kind, SYMBOLS[kind], sum(each.verdict is kind for each in findings)) for kind in Verdict]


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """I1, I2, ... I25, and what has no number after them."""

    def place(finding: Finding) -> tuple[int, str]:
        digits = finding.invariant.removeprefix("I")
        return (int(digits) if digits.isdecimal() else 10_000), finding.invariant

    return sorted(findings, key=place)


def comparison(ours: Result, naive: Result | None) -> list[Compared]:
    """Both runs, figure by figure."""
    rows = []
    for name, title in COMPARED:
        here, there = ours.figures.get(name), naive.figures.get(name) if naive else None
        row = Compared(title, phrase(here, ""), _against(here, there), phrase(there, ""), _against(there, here))
        rows.append(row)
    return rows


def _against(value: float | None, other: float | None) -> str:
    """How a value stands beside the other one; of all that is compared, less is better."""
    if value is None:
        return "unsaid"
    if other is None or value == other:
        return "same"
    return "better" if value < other else "worse"


def threshold_rows(result: Result, scenario: Scenario | None) -> list[ThresholdRow]:
    """Those that were missed, then those that were met; without the scenario only the former are known."""
    rows = [
        ThresholdRow(
            figure=missed.figure,
            title=figure_title(missed.figure),
            when=WHEN.get(missed.when, missed.when),
            wanted=_bounds(missed.figure, missed.wanted),
            value=figure_phrase(missed.figure, missed.value),
            met=False,
            known=missed.value is not None,
        )
        for missed in result.missed
    ]
    if scenario is None:
        return rows
    for when, thresholds in (("before", scenario.before), ("after", scenario.after)):
        for name, threshold in thresholds.items():
            if not any(_is_of(missed, name, threshold, when) for missed in result.missed):
                rows.append(_unmissed(result, name, threshold, when))
    return rows


def _unmissed(result: Result, name: str, threshold: Threshold, when: str) -> ThresholdRow:
    found = result.figures.get(name) if when == "after" else None
    value = "held" if when == "before" else figure_phrase(name, found)
    known = when == "before" or found is not None
    return ThresholdRow(name, figure_title(name), WHEN[when], _bounds(name, str(threshold)), value, known, known)


def _bounds(figure: str, wanted: str) -> str:
    """A threshold with its unit: `<= 86400` of seconds is `≤ 1 d`."""

    def bound(found: re.Match[str]) -> str:
        return f"{_SIGNS[found[1]]} {figure_phrase(figure, float(found[2]))}"

    try:
        return _BOUND.sub(bound, wanted)
    except ValueError:
        return wanted


def _is_of(missed: Missed, name: str, threshold: Threshold, when: str) -> bool:
    return missed.figure == name and (missed.wanted == str(threshold) or missed.when == when)


def figure_rows(result: Result) -> list[FigureRow]:
    """All figures, the well-known ones first and in their order."""
    names = [*FINAL, *(name for name in result.figures if name not in FINAL)]
    rows = []
    for name in names:
        value, unit = readable(result.figures.get(name), FINAL[name].unit if name in FINAL else "")
        rows.append(FigureRow(name, figure_title(name), value, unit))
    return rows


def conditions(
    result: Result, naive: Result | None, scenario: Scenario | None, time: TimeAxis
) -> list[tuple[str, str]]:
    """Everything that the run followed from, and how it went."""
    length_s = max(0, result.end_s - result.start_s)
    speed = f", {length_s / result.wall_s:,.0f} times as fast as the clock" if result.wall_s > 0 else ""
    rows = [
        ("Scenario", result.scenario),
        ("Seed", str(result.seed)),
        ("Meters", f"{result.meters:,}"),
        ("Mode", result.mode),
        ("Rules", result.rules),
        ("From", f"{time.local(result.start_s)} ({result.zone})"),
        ("To", f"{time.local(result.end_s)} ({result.zone})"),
        ("Virtual time", span(length_s)),
        ("Wall time", f"{span(result.wall_s)}{speed}"),
        ("Exit status", str(result.exit_status)),
        ("Log hash", result.log_hash or "none"),
    ]
    if scenario is not None:
        fleet, workload = scenario.fleet, scenario.workload
        rows += [
            ("Gateways", f"{fleet.gateways:,}"),
            ("A reading every", span(fleet.interval)),
            (
                "Recharges",
                f"{workload.recharges:g} a day of each 1,000 homes, {workload.retried:.0%} asked for again",
            ),
            ("Time to catch up", f"{span(scenario.heals_within)} at most"),
        ]
    if naive is not None:
        rows.append(("Log hash, naive", naive.log_hash or "none"))
    return rows


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
