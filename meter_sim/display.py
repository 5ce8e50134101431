"""How a run looks to a person: a live line on a terminal, plain lines elsewhere, a table at the end."""

import json
import sys
from collections import deque
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from meter_sim.runner import Snapshot

PLAIN_EVERY_S: Final = 5.0

_SUMMARY: Final = (
    ("gateway sessions at the end", "sessions"),
    ("reconnects", "reconnects"),
    ("hello frames sent", "hello_frames_sent"),
    ("reading frames sent", "frames_sent"),
    ("reading frames receipted", "frames_receipted"),
    ("reading frames refused", "frames_refused"),
    ("reading frames without a receipt", "unreceipted_frames"),
    ("readings taken", "readings_taken"),
    ("readings receipted", "readings_receipted"),
    ("results sent", "results_sent"),
    ("credits applied", "credits_applied"),
    ("relay changes", "relay_changes"),
    ("relays open at the end", "relays_open"),
    ("policies applied", "policies_applied"),
    ("commands refused", "commands_refused"),
    ("commands of an unknown kind", "commands_unknown"),
    ("bad messages", "bad_messages"),
)


class Progress:
    """Shows snapshots as they come. Use as a context manager."""

    def __init__(self, json_path: Path | None = None) -> None:
        self._console = Console(file=sys.stderr, highlight=False)
        self._live = Live(console=self._console, transient=True) if self._console.is_terminal else None
        self._json_path = json_path
        self._plain_at_s = 0.0
        self._recent: deque[Snapshot] = deque()

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, now: Snapshot) -> None:
        """One more snapshot."""
        self._recent.append(now)
        while self._recent[0].wall_s < now.wall_s - PLAIN_EVERY_S:
            self._recent.popleft()
        line = _line(now, self._rate(now))
        if self._live is not None:
            self._live.update(Text(line))
        elif now.wall_s >= self._plain_at_s:
            self._plain_at_s = now.wall_s + PLAIN_EVERY_S
            self._console.print(line, soft_wrap=True)
        if self._json_path is not None:
            write_json(self._json_path, now)

    def _rate(self, now: Snapshot) -> float:
        """Readings receipted a wall second, over the last PLAIN_EVERY_S."""
        first = self._recent[0]
        readings = now.counts["readings_receipted"] - first.counts["readings_receipted"]
        return readings / max(now.wall_s - first.wall_s, 0.001)


def print_summary(end: Snapshot) -> None:
    """The table at the end of a run, on standard output."""
    fields = end.as_json()
    table = Table(title=f"Fleet of {end.meters:,} meters, {end.wall_s:.0f} s, now {end.virtual_time}")
    table.add_column("what")
    table.add_column("count", justify="right")
    for label, name in _SUMMARY:
        table.add_row(label, f"{fields[name]:,}")
    Console().print(table)


def write_json(path: Path, snapshot: Snapshot) -> None:
    """Replace the file in one piece, so that a reader never sees half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(snapshot.as_json(), indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def _line(now: Snapshot, rate: float) -> str:
    behind = f" ({now.behind_s:,} s behind)" if now.behind_s else ""
    return (
        f"{now.virtual_time}{behind} | sessions {now.sessions}/{now.gateways} | {rate:,.0f} readings/s | "
        f"unreceipted frames {now.unreceipted_frames:,} | credits {now.counts['credits_applied']:,} | "
        f"relays open {now.relays_open:,} | bad {now.counts['bad_messages']:,}"
    )
