"""Draws the timeline: lanes of faults, and under them charts on the same time axis. Pure: data in, SVG out.

A drawing is as wide as its place: lines are stretched with it, words are not, so that they read as well on a phone
as on paper. Colours and sizes stand in the page's style sheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from meter_sim.lab.report.axis import WIDTH, SpanAxis, TimeAxis, ValueAxis
from meter_sim.lab.report.clean import clean
from meter_sim.lab.report.series import Points, thin

PLOT_HEIGHT: Final = 130
AXIS_HEIGHT: Final = 24
HEADROOM: Final = 8
LANE_HEIGHT: Final = 34
LANE_BAR_Y: Final = 22
LANE_BAR_HEIGHT: Final = 8
LEAST_BAR: Final = 4.0
"""So wide is what lasted for a moment only."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart. `style`: `ours`, `naive` or `tail`, a class of the style sheet."""

    label: str
    style: str
    points: Points


@dataclass(frozen=True, slots=True)
class Lane:
    """One kind of fault: its name, what is said of it, and its [from, to)."""

    name: str
    note: str
    spans: tuple[tuple[int, int], ...]
    style: str = "fault"


Spans = Sequence[tuple[int, int]]


def draw_lanes(lanes: Sequence[Lane], time: TimeAxis) -> Markup:
    """The lanes, one under the other, with the time axis."""
    height = LANE_HEIGHT * len(lanes)
    told = "; ".join(f"{lane.name}: {lane.note}" for lane in lanes)
    drawing = _drawing("What was broken, and when", told, height)
    plot = _plot(drawing, height)
    _grid_over_time(plot, time, height)
    for index, lane in enumerate(lanes):
        y = index * LANE_HEIGHT + LANE_BAR_Y
        _add(plot, "rect", {"class": "track"}, x=0, y=y, width=WIDTH, height=LANE_BAR_HEIGHT)
        for left, right in _bars(lane.spans, time):
            box = {"x": left, "y": y, "width": right - left, "height": LANE_BAR_HEIGHT}
            _add(plot, "rect", {"class": f"bar {lane.style}"}, **box)
        label = _add(drawing, "text", {"class": "lane"}, x=0, y=y - 7)
        name = _add(label, "tspan", {"class": "name"})
        name.text = clean(lane.name)
        _add(label, "tspan", {"class": "note"}, dx=8).text = clean(lane.note)
    _label_time(drawing, time, height)
    return _markup(drawing)


def draw_chart(
    title: str,
    told: str,
    lines: Sequence[Line],
    bands: Spans,
    time: TimeAxis,
    *,
    spans: bool = False,
    whole: bool = False,
) -> Markup:
    """Lines over time, with the faults' times shaded.

    `spans`: the values are seconds, from 1 to very many; `whole`: of things that have no halves.
    """
    values = [value for line in lines for _, value in line.points]
    axis: ValueAxis | SpanAxis
    most = max(values, default=0)
    axis = SpanAxis(min(values, default=0), most) if spans else ValueAxis(most, whole)
    drawing = _drawing(title, told, PLOT_HEIGHT)
    plot = _plot(drawing, PLOT_HEIGHT)
    for left, right in _bars(bands, time):
        _add(plot, "rect", {"class": "band"}, x=left, y=0, width=right - left, height=PLOT_HEIGHT)
    _grid_over_time(plot, time, PLOT_HEIGHT)
    for tick in axis.ticks():
        y = _y(axis.share(tick.at))
        _add(plot, "path", {"class": "grid" if tick.at else "foot"}, d=f"M0 {y:g}H{WIDTH}")
        _add(drawing, "text", {"class": "y"}, x=-8, y=y + 4).text = tick.label
    for line in lines:
        _add_line(plot, line, axis, time)
    _add(drawing, "line", {"class": "cursor"}, y1=0, y2=PLOT_HEIGHT)
    _label_time(drawing, time, PLOT_HEIGHT)
    return _markup(drawing)


def _add_line(plot: Element, line: Line, axis: ValueAxis | SpanAxis, time: TimeAxis) -> None:
    points = thin([point for point in line.points if time.from_s <= point[0] <= time.to_s])
    if not points:
        return
    path = "L".join(f"{time.x(at_s):g} {_y(axis.share(value)):g}" for at_s, value in points)
    if len(points) == 1:
        path += "h2"
    read_out = {
        "data-label": clean(line.label),
        "data-t": " ".join(str(at_s - time.from_s) for at_s, _ in points),
        "data-v": " ".join(f"{value:.6g}" for _, value in points),
    }
    _add(plot, "path", {"class": f"line {line.style}", "d": f"M{path}"} | read_out)


def merged(spans: Spans) -> list[tuple[int, int]]:
    """Spans that touch or overlap become one."""
    found: list[tuple[int, int]] = []
    for from_s, to_s in sorted(spans):
        if found and from_s <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], to_s)
        else:
            found.append((from_s, to_s))
    return found


def _bars(spans: Spans, time: TimeAxis) -> list[tuple[float, float]]:
    """[left, right] of what is to be seen of spans; those too close to tell apart are one."""
    bars: list[tuple[float, float]] = []
    for from_s, to_s in merged(spans):
        if to_s < time.from_s or from_s > time.to_s:
            continue
        left = min(time.x(from_s), WIDTH - LEAST_BAR)
        right = max(time.x(to_s), left + LEAST_BAR)
        if bars and left <= bars[-1][1] + 1:
            bars[-1] = bars[-1][0], max(right, bars[-1][1])
        else:
            bars.append((left, right))
    return bars


def _y(share: float) -> float:
    return round(HEADROOM + (PLOT_HEIGHT - HEADROOM) * (1 - share), 1)


def _drawing(title: str, told: str, height: float) -> Element:
    whole = f"{height + AXIS_HEIGHT:g}"
    drawing = Element("svg", {"class": "chart", "role": "img", "aria-label": clean(title)})
    drawing.attrib |= {"width": "100%", "height": whole}
    SubElement(drawing, "title").text = clean(title)
    SubElement(drawing, "desc").text = clean(told)
    return drawing


def _plot(drawing: Element, height: float) -> Element:
    box = {
        "viewBox": f"0 0 {WIDTH} {height:g}",
        "preserveAspectRatio": "none",
        "width": "100%",
        "height": f"{height:g}",
    }
    return SubElement(drawing, "svg", box)


def _grid_over_time(plot: Element, time: TimeAxis, height: float) -> None:
    path = "".join(f"M{time.x(tick.at):g} 0V{height:g}" for tick in time.ticks())
    if path:
        _add(plot, "path", {"class": "grid day"}, d=path)


def _label_time(drawing: Element, time: TimeAxis, height: float) -> None:
    for index, tick in enumerate(time.ticks()):
        share = time.x(tick.at) / WIDTH * 100
        place = {
            "class": f"x{' second' if index % 2 else ''}",
            "x": f"{share:.4g}%",
            "y": f"{height + 17:g}",
        }
        SubElement(drawing, "text", place).text = tick.label


def _add(parent: Element, tag: str, texts: dict[str, str], /, **numbers: float | str) -> Element:
    more = {name: value if isinstance(value, str) else f"{value:.6g}" for name, value in numbers.items()}
    return SubElement(parent, tag, texts | more)


def _markup(drawing: Element) -> Markup:
    # Of our own making; every text in it went through the XML writer.
    return Markup(tostring(drawing, encoding="unicode"))
