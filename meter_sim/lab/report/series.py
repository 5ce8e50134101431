"""What charts are drawn from: points over time, read from samples and thinned without losing a peak."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

MOST_POINTS: Final = 240
"""Of one line: more than a page shows, few enough to send by mail."""

LATENCY_BUCKETS: Final = 60

Point = tuple[int, float]
Points = list[Point]
SampleLine = dict[str, Any]
"""A line of `samples.jsonl`."""


def read_samples(path: Path) -> list[SampleLine]:
    """The samples, ascending; none if there is no file. A line that a kill cut short is left out."""
    if not path.is_file():
        return []
    lines: list[SampleLine] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and _is_number(line.get("at_s")):
                lines.append(line)
    return sorted(lines, key=lambda line: int(line["at_s"]))


def figure_points(lines: Iterable[SampleLine], name: str) -> Points:
    """One live figure over time."""
    return [(int(line["at_s"]), line[name]) for line in lines if _is_number(line.get(name))]


def rate_points(lines: Iterable[SampleLine], name: str) -> Points:
    """What a running total gains in a second of virtual time; where it began anew, nothing is known."""
    totals = figure_points(lines, name)
    return [
        (at_s, (total - total_before) / (at_s - before_s))
        for (before_s, total_before), (at_s, total) in pairwise(totals)
        if at_s > before_s and total >= total_before
    ]


def percentile_points(latencies: Sequence[tuple[int, float]], share: float, from_s: int, to_s: int) -> Points:
    """A percentile of each part of the time, at its middle. `latencies`: (when it began, how long it took)."""
    width_s = max(1, math.ceil((to_s - from_s) / LATENCY_BUCKETS))
    buckets: dict[int, list[float]] = {}
    for at_s, seconds in latencies:
        if from_s <= at_s <= to_s and math.isfinite(seconds):
            buckets.setdefault((at_s - from_s) // width_s, []).append(max(0.0, seconds))
    points = []
    for bucket, found in sorted(buckets.items()):
        found.sort()
        rank = max(0, math.ceil(share * len(found)) - 1)
        points.append((from_s + bucket * width_s + width_s // 2, found[rank]))
    return points


def thin(points: Points) -> Points:
    """At most MOST_POINTS, the lowest and the highest of each part of the time among them."""
    if len(points) <= MOST_POINTS:
        return points
    parts = MOST_POINTS // 2 - 1
    kept: Points = [points[0]]
    inner = points[1:-1]
    for part in range(parts):
        group = inner[part * len(inner) // parts : (part + 1) * len(inner) // parts]
        if group:
            value: Callable[[Point], float] = lambda point: point[1]  # noqa: E731
            kept += sorted({min(group, key=value), max(group, key=value)})
    return [*kept, points[-1]]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
