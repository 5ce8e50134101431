"""What is shown of a run while it goes on."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console
from unit.lab import report_example as example

from meter_sim.lab.live_view import MOST_FAULT_LINES, LiveView

SAMPLE = replace(
    example.samples(lines=4)[0],
    at_s=example.START_S + 2 * example.DAY_S,
    balances_stale=1_234,
    credits_queued=56,
    messages=3_600,
    store_bytes=5 * 1_024 * 1_024,
)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Wall:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


def console_of(width: int = 80, height: int = 25, *, terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=terminal, highlight=False, _environ={}
    )


def view_on(console: Console, wall: Wall) -> LiveView:
    return LiveView(
        "diwali-2024, seed 42", 4 * example.DAY_S, example.START_S, "Asia/Kolkata", console=console, now_s=wall
    )


def written(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return ESCAPES.sub("", file.getvalue())


def test_plain_lines_tell_stages_and_faults_and_few_figures() -> None:
    console, wall = console_of(terminal=False), Wall()
    with view_on(console, wall) as view:
        view.stage("before")
        for _ in range(100):
            wall.at_s += 0.12
            view.show(SAMPLE)
        view.stage("faults")
        view.fault("1-1-link-loss", True)
        view.note("look here: [bold]")
        wall.at_s += 6
        view.show(SAMPLE)
        view.fault("1-1-link-loss", False)
    lines = [line.strip() for line in written(console).splitlines()]
    figures = [line for line in lines if "balances stale" in line]
    assert [line for line in lines if line not in figures] == [
        "diwali-2024, seed 42",
        "[1/4] before",
        "[2/4] faults",
        "broken: 1-1-link-loss",
        "look here: [bold]",
        "mended: 1-1-link-loss",
    ]
    assert len(figures) == 3, "one in five seconds at most: 12 seconds, and 6 more"
    assert figures[-1].startswith("Thu 24 Oct 2024 00:00 | 50 % | 1,234 balances stale | credits 56 queued")
    assert figures[-1].endswith("broken: 1-1-link-loss")
    assert "\x1b" not in written(console)


def test_thousands_of_faults_do_not_fill_the_log() -> None:
    console = console_of(terminal=False)
    with view_on(console, Wall()) as view:
        for number in range(3_000):
            view.fault(f"1-{number}-link-reset", True)
            view.fault(f"1-{number}-link-reset", False)
    assert len(written(console).splitlines()) == 1 + MOST_FAULT_LINES + 1


def test_a_terminal_shows_clock_stage_faults_figures_and_remaining_time() -> None:
    console, wall = console_of(terminal=True), Wall()
    with view_on(console, wall) as view:
        view.stage("faults")
        for number in range(1, 6):
            view.fault(f"{number}-1-link-loss", True)
        view.note("keep calm")
        view.show(replace(SAMPLE, at_s=example.START_S + example.DAY_S, messages=0))
        wall.at_s += 30
        view.show(SAMPLE)
    shown = written(console)
    for words in (
        "diwali-2024, seed 42",
        "+ before   > faults   - healing   - end",
        "broken: 3-1-link-loss, 4-1-link-loss, 5-1-link-loss and 2 more",
        "1,234 meters     balances without a fresh reading",
        "5 MiB        size of the store",
        "running            head-end; region normal",
        "Thu 24 Oct 2024 00:00  50 %, about 1 min left",
        "keep calm\n",
        "━",
    ):
        assert words in shown
    assert max(len(line) for line in shown.replace("\r", "\n").splitlines()) <= 80


def test_remaining_time_shrinks_between_looks() -> None:
    console, wall = console_of(terminal=False), Wall()
    with view_on(console, wall) as view:
        view.show(replace(SAMPLE, at_s=example.START_S))
        wall.at_s += 60
        view.show(replace(SAMPLE, at_s=example.START_S + example.DAY_S))
        assert "25 %, about 3 min left" in written(console)
        wall.at_s += 60
        view.show(replace(SAMPLE, at_s=example.START_S + 2 * example.DAY_S))
        assert "50 %, about 2 min left" in written(console)
        wall.at_s += 60
        view.show(replace(SAMPLE, at_s=example.START_S + 5 * example.DAY_S))
        assert "100 %, catching up" in written(console)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 40), (12, 3), (79, 2)])
def test_a_tiny_terminal_is_no_error(width: int, height: int) -> None:
    console = console_of(width, height, terminal=True)
    with view_on(console, Wall()) as view:
        view.stage("a stage of another name")
        view.fault("1-1-link-loss", True)
        view.show(SAMPLE)
        view.note("a note that is longer than the terminal is wide")
    assert written(console)


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_passes_through_and_is_told(terminal: bool) -> None:
    console = console_of(terminal=terminal)

    def run() -> None:
        with view_on(console, Wall()) as view:
            view.show(SAMPLE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert "stopped before its end" in written(console)


def test_it_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveView("a run", 60, 0, "UTC") as view:
        view.stage("before")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["a run", "[1/4] before"]
