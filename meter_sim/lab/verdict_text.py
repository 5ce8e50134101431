"""What came of a run, in a few lines for a terminal; the report has the rest."""

from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from meter_sim.lab.figures import FINAL
from meter_sim.lab.quantities import figure_phrase
from meter_sim.lab.result import Result, Verdict, read_result
from meter_sim.lab.run_folder import RunFolder

PLAIN_WIDTH: Final = 150
NAIVE: Final = "naive (simulated)"
WORDS: Final = {
    Verdict.PASS: "PASS: what was looked at holds",
    Verdict.FAIL: "FAIL: an invariant does not hold",
    Verdict.UNKNOWN: "UNKNOWN: something could not be decided",
}
SHOWN: Final = (
    "recharges_accepted",
    "recharges_in_outage",
    "credits_lost",
    "credits_doubled",
    "balances_wrong",
    "wrong_cuts",
    "right_cuts",
    "homes_spared",
    "bulk_orders_sent",
    "blank_hours",
    "converged_after_s",
    "applied_p99_s",
)
BESIDE: Final = ("credits_lost", "credits_doubled", "wrong_cuts", "blank_hours", "recharges_accepted")
"""Of these the run without the protections tells something."""


def say_result(result: Result, folder: RunFolder) -> None:
    """The verdict, the figures side by side, what failed, and where the report lies."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    beside = read_result(folder.naive.result) if folder.naive.result.exists() else None
    table = Table(title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column(NAIVE if result.rules == "naive" else "with the protections", justify="right")
    if beside is not None:
        table.add_column(NAIVE, justify="right")
    for name in SHOWN:
        row = [FINAL[name].title, _figure(result, name)]
        if beside is not None:
            row.append(_figure(beside, name) if name in BESIDE else "")
        table.add_row(*row)
    console.print(table)
    for finding in result.findings:
        if finding.verdict in (Verdict.FAIL, Verdict.UNKNOWN):
            words = f"{finding.invariant} {finding.verdict}: {finding.title}: {finding.detail}"
            console.print(Text(words, style="red"))
            for line in finding.evidence:
                console.print(Text(f"    {line}"))
    for missed in result.missed:
        value = "not known" if missed.value is None else f"{missed.value:g}"
        console.print(
            Text(f"missed: {missed.figure} is {value}, wanted {missed.wanted} ({missed.when})", style="red")
        )
    counts = Counter(finding.verdict for finding in result.findings)
    console.print(", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict) + " of the invariants")
    verdict = WORDS.get(result.verdict, str(result.verdict))
    if result.verdict is Verdict.PASS and result.missed:
        verdict = "MISSED: what was looked at holds, but not every threshold"
    console.print(f"{result.scenario}: {verdict} (seed {result.seed}, {result.wall_s:.0f} s)", soft_wrap=True)
    console.print(f"report: {_near(folder.report)}", soft_wrap=True)


def _figure(result: Result, name: str) -> str:
    return figure_phrase(name, result.figures.get(name))


def _near(path: Path) -> str:
    """As a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
