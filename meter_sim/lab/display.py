"""How a run looks while it goes on: phases and figures, live on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from meter_sim.lab.judge import Check
from meter_sim.lab.watch import Picture

PLAIN_EVERY_S: Final = 5.0
BAR_WIDTH: Final = 60


@dataclass(frozen=True, slots=True)
class Figures:
    """What is shown beside the phases. `done`: share of the run, 0 to 1; `accepted`: recharges so far."""

    clock: str
    done: float
    accepted: int
    picture: Picture | None


class Display:
    """Shows phases one after another. Use as a context manager."""

    def __init__(self, title: str, phases: Iterable[str]) -> None:
        self._title = title
        self._phases = list(phases)
        self._notes: dict[str, str] = {}
        self._current = -1
        self._failed = False
        self._console = Console(file=sys.stderr, highlight=False)
        terminal = self._console.is_terminal
        self._live = Live(console=self._console, refresh_per_second=8) if terminal else None
        self._figures = Figures("", 0.0, 0, None)
        self._plain_at_s = 0.0

    def __enter__(self) -> "Display":
        if self._live is not None:
            self._live.start()
        else:
            self._say(self._title)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._failed = self._failed or kind is not None
        if kind is None:
            self._current = len(self._phases)
        self._draw()
        if self._live is not None:
            self._live.stop()

    def phase(self, name: str, note: str = "") -> None:
        """The next phase begins, and the one before has ended."""
        self._current = self._phases.index(name)
        self._notes[name] = note
        self._plain_at_s = time.monotonic() + PLAIN_EVERY_S
        if self._live is None:
            self._say(f"[{self._current + 1}/{len(self._phases)}] {name}{f': {note}' if note else ''}")
        self._draw()

    def note(self, text: str) -> None:
        """Say something about the present phase."""
        self._notes[self._phases[self._current]] = text
        if self._live is None:
            self._say(f"      {text}")
        self._draw()

    def show(self, figures: Figures) -> None:
        """The present figures."""
        self._figures = figures
        if self._live is not None:
            self._draw()
        elif time.monotonic() >= self._plain_at_s:
            self._plain_at_s = time.monotonic() + PLAIN_EVERY_S
            self._say(f"      {' | '.join(_lines(figures))}")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)

    def _draw(self) -> None:
        if self._live is None:
            return
        rows: list[RenderableType] = [Text(self._title, style="bold")]
        for index, name in enumerate(self._phases):
            note = self._notes.get(name, "")
            rows.append(Text.assemble(self._mark(index), f" {name}", (f"  {note}" if note else "", "dim")))
        rows += [Text(line, style="cyan", no_wrap=True, overflow="ellipsis") for line in _lines(self._figures)]
        rows.append(ProgressBar(total=1.0, completed=self._figures.done, width=BAR_WIDTH))
        self._live.update(Group(*rows))

    def _mark(self, index: int) -> tuple[str, str]:
        if index < self._current:
            return " ok ", "green"
        if index > self._current:
            return "    ", ""
        return ("FAIL", "bold red") if self._failed else (" >> ", "bold yellow")


def print_verdict(title: str, facts: Iterable[tuple[str, object]], checks: Iterable[Check], verdict: str) -> None:
    """The table at the end, and the verdict as the last line of standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=150)
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    table.add_section()
    for check in checks:
        result = Text("ok  ", style="green") if check.ok else Text("FAIL", style="bold red")
        table.add_row(Text.assemble(result, f" {check.check_id}"), Text(check.detail))
    console.print(table)
    console.print(verdict, soft_wrap=True, markup=False)


def _lines(figures: Figures) -> list[str]:
    """Lines that fit a terminal of 80 columns."""
    picture = figures.picture
    if picture is None:
        return [figures.clock]
    queued, applied = picture.open_deliveries, picture.applied_deliveries
    return [
        f"{figures.clock} | {picture.gateways_online} gateways online | {picture.stale_balances:,} balances stale",
        f"recharges accepted {figures.accepted:,} | commands queued {queued:,}, applied {applied:,}",
        f"region {picture.phase} | {picture.at_zero:,} homes without credit, {picture.dark:,} without supply",
    ]
