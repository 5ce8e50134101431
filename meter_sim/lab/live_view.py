"""How a run looks while it goes on: stage, faults, figures, remaining time; live on a terminal, lines elsewhere.

It writes to standard error only and knows nothing of a run but what it is told. It is a `course.View`.
"""

import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from meter_sim.lab.figures import LIVE
from meter_sim.lab.plant import Sample
from meter_sim.lab.quantities import number, readable, span

STAGES: Final = ("before", "faults", "healing", "end")
SHOWN: Final = (
    "balances_stale",
    "credits_queued",
    "credits_applied",
    "recharges_accepted",
    "relays_open",
    "homes_at_zero",
    "gateways_online",
    "store_bytes",
)
PLAIN_EVERY_S: Final = 5.0
MOST_FAULT_LINES: Final = 200
"""Of a run with thousands of faults, more lines would hide everything else."""

BAR_WIDTH: Final = 40
FAULTS_NAMED: Final = 3
REDRAWN_PER_SECOND: Final = 4


class LiveView:
    """Shows a run of `length_s` virtual seconds that starts at `start_s`. Use as a context manager.

    `now_s`: wall seconds, whatever their zero.
    """

    def __init__(
        self,
        title: str,
        length_s: int,
        start_s: int,
        zone: str,
        *,
        console: Console | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._length_s = max(1, length_s)
        self._start_s = start_s
        self._zone = ZoneInfo(zone)
        self._now_s = now_s
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._stage = ""
        self._note = ""
        self._faults: tuple[str, ...] = ()
        self._fault_lines = 0
        self._sample: Sample | None = None
        self._shown_at_s = 0.0
        self._first: tuple[float, int] | None = None
        self._rate_per_s: float | None = None
        self._next_line_s = now_s() + PLAIN_EVERY_S
        # Last: it draws at once.
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._drawing,
                refresh_per_second=REDRAWN_PER_SECOND,
                vertical_overflow="crop",
            )

    def __enter__(self) -> "LiveView":
        if self._live is not None:
            self._live.start()
        else:
            self._say(self._title)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.note("stopped before its end")
        if self._live is not None:
            self._live.stop()

    def stage(self, name: str) -> None:
        """A stage begins."""
        self._stage = name
        place = f"[{STAGES.index(name) + 1}/{len(STAGES)}] " if name in STAGES else ""
        self._tell(f"{place}{name}")

    def fault(self, name: str, began: bool) -> None:
        """A fault begins or ends."""
        others = tuple(other for other in self._faults if other != name)
        self._faults = (*others, name) if began else others
        self._fault_lines += 1
        if self._fault_lines <= MOST_FAULT_LINES:
            self._tell(f"      {'broken' if began else 'mended'}: {name}")
        elif self._fault_lines == MOST_FAULT_LINES + 1:
            self._tell("      there are many faults: no more of them are told one by one")

    def note(self, text: str) -> None:
        """Say something about the present stage."""
        self._note = text
        self._tell(f"      {text}")

    def show(self, sample: Sample) -> None:
        """The present figures."""
        wall_s = self._now_s()
        if self._first is None:
            self._first = wall_s, sample.at_s
        before, self._sample, self._shown_at_s = self._sample, sample, wall_s
        if before is not None and sample.at_s > before.at_s:
            gained = sample.messages - before.messages
            self._rate_per_s = gained / (sample.at_s - before.at_s) if gained >= 0 else None
        if self._live is None and wall_s >= self._next_line_s:
            self._next_line_s = wall_s + PLAIN_EVERY_S
            self._say(f"      {self._line(sample)}")

    # --- lines ---------------------------------------------------------------------------------------------

    def _tell(self, line: str) -> None:
        if self._live is None:
            self._say(line)

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def _line(self, sample: Sample) -> str:
        parts = [
            self._clock(sample),
            self._progress(),
            f"{sample.balances_stale:,} balances stale",
            f"credits {sample.credits_queued:,} queued, {sample.credits_applied:,} applied",
            f"{sample.relays_open:,} homes without supply",
        ]
        if self._faults:
            parts.append(f"broken: {self._broken()}")
        return " | ".join(parts)

    # --- drawing -------------------------------------------------------------------------------------------

    def _drawing(self) -> RenderableType:
        # Drawn by another thread than the run's: each field is read once.
        sample, faults, note = self._sample, self._faults, self._note
        rows: list[RenderableType] = [_row(self._title, "bold")]
        rows.append(Text.assemble(*self._stages(), no_wrap=True, overflow="ellipsis"))
        broken = f"broken: {self._broken()}" if faults else "nothing is broken"
        rows.append(_row(broken, "bold red" if faults else "dim"))
        if note:
            rows.append(_row(note, "dim"))
        if sample is not None:
            rows += [Text(), *(_row(line, "") for line in self._figures(sample)), Text()]
            rows.append(_row(f"{self._clock(sample)}  {self._progress()}", "cyan"))
            width = max(1, min(BAR_WIDTH, self._console.width))
            rows.append(ProgressBar(total=1.0, completed=self._done(), width=width))
        return Group(*rows)

    def _stages(self) -> list[tuple[str, str]]:
        current = STAGES.index(self._stage) if self._stage in STAGES else -1
        parts: list[tuple[str, str]] = []
        for index, name in enumerate(STAGES):
            mark, style = ("+", "green") if index < current else ("-", "dim")
            if index == current:
                mark, style = ">", "bold yellow"
            parts.append((f"{mark} {name}   ", style))
        return parts

    def _figures(self, sample: Sample) -> list[str]:
        found = sample.as_json()
        lines = []
        for name in SHOWN:
            value, unit = readable(found[name], LIVE[name].unit)
            lines.append(_figure(value, unit, LIVE[name].title))
        if self._rate_per_s is not None:
            lines.append(_figure(number(self._rate_per_s), "messages", "in a second of virtual time"))
        state = "running" if sample.headend_up else "down"
        phase = f"; region {sample.region_phase}" if sample.region_phase else ""
        lines.append(_figure(state, "", f"head-end{phase}"))
        return lines

    def _broken(self) -> str:
        faults = self._faults
        more = f" and {len(faults) - FAULTS_NAMED:,} more" if len(faults) > FAULTS_NAMED else ""
        return ", ".join(faults[-FAULTS_NAMED:]) + more

    # --- time ----------------------------------------------------------------------------------------------

    def _clock(self, sample: Sample) -> str:
        at = datetime.fromtimestamp(sample.at_s, self._zone)
        return f"{at:%a} {at.day} {at:%b %Y %H:%M}"

    def _done(self) -> float:
        at_s = self._sample.at_s if self._sample is not None else self._start_s
        return min(1.0, max(0.0, (at_s - self._start_s) / self._length_s))

    def _progress(self) -> str:
        """How much is done, and how much wall time is left if it goes on like this."""
        done, sample = self._done(), self._sample
        if done >= 1:
            return "100 %, catching up" if self._stage != "end" else "100 %"
        percent = f"{done:.0%}".replace("%", " %")
        if self._first is None or sample is None:
            return percent
        first_wall_s, first_s = self._first
        wall_s, passed_s = self._shown_at_s - first_wall_s, sample.at_s - first_s
        if wall_s <= 0 or passed_s <= 0:
            return percent
        left_s = wall_s * (self._start_s + self._length_s - sample.at_s) / passed_s
        left_s -= self._now_s() - self._shown_at_s
        return f"{percent}, about {span(max(1, round(left_s)))} left"


def _row(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _figure(value: str, unit: str, title: str) -> str:
    """The number first: a narrow terminal cuts the words off."""
    return f"{value:>11} {unit:<10} {title}"
