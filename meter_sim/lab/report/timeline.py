"""The charts of a run: which there are, what stands above each, and the lanes of its faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from meter_sim.lab.figures import LIVE
from meter_sim.lab.quantities import number, span
from meter_sim.lab.report.axis import TimeAxis
from meter_sim.lab.report.charts import Lane, Line, draw_chart, draw_lanes, merged
from meter_sim.lab.report.series import (
    Points,
    SampleLine,
    figure_points,
    percentile_points,
    rate_points,
    read_samples,
)
from meter_sim.lab.result import Result

OURS: Final = "with the protections"
NAIVE: Final = "naive"
FIGURES: Final = ("balances_stale", "balances_shown", "credits_queued", "credits_applied", "relays_open")
MOST_LANES: Final = 40


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with what stands above it. `legend`: (style, words) of each line."""

    title: str
    peak: str
    svg: Markup
    legend: tuple[tuple[str, str], ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is drawn of a run. `lanes` None: nothing was broken."""

    lanes: Markup | None
    panels: tuple[Panel, ...]
    from_s: int
    to_s: int


@dataclass(slots=True)
class _Sources:
    ours: list[SampleLine]
    naive: list[SampleLine]
    bands: list[tuple[int, int]] = field(default_factory=list)


def time_axis(result: Result) -> TimeAxis:
    """The time of the whole run; one that ended at once has a second."""
    return TimeAxis(result.start_s, max(result.end_s, result.start_s + 1), ZoneInfo(result.zone))


def make_timeline(
    result: Result, samples: Path, naive_samples: Path | None, latencies: Sequence[tuple[int, float]]
) -> Timeline:
    """Read the samples and draw them."""
    time = time_axis(result)
    lanes = fault_lanes(result)
    sources = _Sources(read_samples(samples), read_samples(naive_samples) if naive_samples else [])
    sources.bands = merged([(window.from_s, window.to_s) for window in result.windows])
    panels = [
        _figure_panel(LIVE[name].title, LIVE[name].unit, name, figure_points, sources, time) for name in FIGURES
    ]
    panels.append(
        _figure_panel("messages a second of virtual time", "a second", "messages", rate_points, sources, time)
    )
    if latencies:
        panels.append(_latency_panel(latencies, sources, time))
    drawn = tuple(panel for panel in panels if panel is not None)
    return Timeline(draw_lanes(lanes, time) if lanes else None, drawn, time.from_s, time.to_s)


def fault_lanes(result: Result) -> list[Lane]:
    """One lane for each kind of fault, in the order in which they began, and one for the healing after them."""
    kinds: dict[str, list[tuple[int, int]]] = {}
    for window in sorted(result.windows, key=lambda window: (window.from_s, window.fault)):
        kinds.setdefault(window.fault, []).append((window.from_s, max(window.from_s, window.to_s)))
    time = time_axis(result)
    lanes = [Lane(name, _fault_note(spans, time), tuple(spans)) for name, spans in kinds.items()][:MOST_LANES]
    after_s = result.figures.get("converged_after_s")
    if lanes and after_s is not None:
        healed_s = max(window.to_s for window in result.windows)
        note = f"caught up {span(after_s)} after the last fault"
        lanes.append(Lane("healing", note, ((healed_s, healed_s + round(after_s)),), "healing"))
    return lanes


def _fault_note(spans: list[tuple[int, int]], time: TimeAxis) -> str:
    from_s, to_s = spans[0]
    if len(spans) > 1:
        total_s = sum(to_s - from_s for from_s, to_s in merged(spans))
        return f"{len(spans):,} times" + (f", {span(total_s)} in all" if total_s else "")
    if to_s == from_s:
        return time.local(from_s)
    return f"{time.local(from_s)}, for {span(to_s - from_s)}"


def _figure_panel(
    title: str,
    unit: str,
    name: str,
    points_of: Callable[[list[SampleLine], str], Points],
    sources: _Sources,
    time: TimeAxis,
) -> Panel | None:
    lines = [Line(OURS, "ours", points_of(sources.ours, name))]
    there = points_of(sources.naive, name)
    if there:
        # Dashed and on top, so that both are seen where they agree.
        lines.append(Line(NAIVE, "naive", there))
    if not any(line.points for line in lines):
        return None
    title = title[0].upper() + title[1:]
    least = LIVE[name].worse == "less"
    peak = _peak(lines[0], unit, time, least=least) + (f"; naive {_extreme(there, least=least)}" if there else "")
    svg = draw_chart(
        title,
        f"{title} over time, faults shaded. {peak}.",
        lines,
        sources.bands,
        time,
        whole=points_of is figure_points,
    )
    legend = tuple((line.style, line.label) for line in lines) if there else ()
    return Panel(title, peak, svg, legend, unit)


def _latency_panel(latencies: Sequence[tuple[int, float]], sources: _Sources, time: TimeAxis) -> Panel | None:
    half, tail = (percentile_points(latencies, share, time.from_s, time.to_s) for share in (0.5, 0.99))
    if not half:
        return None
    lines = [Line("median", "ours", half), Line("99 %", "tail", tail)]
    title = "From acceptance to the meter's answer"
    worst = max(tail, key=lambda point: point[1])
    peak = f"99 % at most {span(worst[1])}, of credits accepted about {time.local(worst[0])}"
    svg = draw_chart(title, f"{title}, by when accepted. {peak}.", lines, sources.bands, time, spans=True)
    return Panel(f"{title}, by when accepted", peak, svg, (("ours", "median"), ("tail", "99 %")), "s")


def _peak(line: Line, unit: str, time: TimeAxis, *, least: bool) -> str:
    if not line.points:
        return "nothing is known of this run"
    values = [value for _, value in line.points]
    if min(values) == max(values):
        return f"always {number(values[0])} {unit}"
    worst = min(values) if least else max(values)
    at_s = next(at_s for at_s, value in line.points if value == worst)
    return f"{_extreme(line.points, least=least)} {unit}, first on {time.local(at_s)}"


def _extreme(points: Points, *, least: bool) -> str:
    """The worst value: `at most 500`, or `at least 3` where less is worse."""
    values = [value for _, value in points]
    return f"at least {number(min(values))}" if least else f"at most {number(max(values))}"
