"""Figures as people read them: a number and its unit, from the units that figures are kept in.

Knows no run and no page.
"""

from typing import Final

from meter_sim.lab.figures import FINAL, LIVE

UNKNOWN: Final = "not known"
NARROW_SPACE: Final = "\u202f"
MINUS: Final = "\u2212"
MICROS_PER_RUPEE: Final = 1_000_000
MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
KIB: Final = 1_024
BINARY_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
SHORT_STEPS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def readable(value: float | None, unit: str) -> tuple[str, str]:
    """A number and its unit for a table: micros become rupees, seconds a span, bytes the unit that fits."""
    if value is None:
        return UNKNOWN, ""
    match unit:
        case "micros":
            return number(value / MICROS_PER_RUPEE, places=2), "rupees"
        case "s":
            return span(value), ""
        case "bytes":
            return _binary(value, 0)
        case "KiB":
            return _binary(value, 1)
        case _:
            return number(value), unit


def phrase(value: float | None, unit: str) -> str:
    """The same as one piece of text."""
    return " ".join(part for part in readable(value, unit) if part)


def figure_phrase(name: str, value: float | None) -> str:
    """A named figure's value with its unit; an unknown name has none."""
    figure = FINAL.get(name) or LIVE.get(name)
    return phrase(value, figure.unit if figure else "")


def figure_title(name: str) -> str:
    """What a figure is called, or its name."""
    figure = FINAL.get(name) or LIVE.get(name)
    return figure.title if figure else name


def number(value: float, places: int = 1) -> str:
    """Grouped by thousands; whole and large numbers without a fraction, small ones with two digits that count."""
    if places == 1 and 0 < abs(value) < 1:
        return f"{value:.2g}".replace("-", MINUS)
    if places == 1 and abs(value) >= 1_000:
        places = 0
    rounded = round(value, places)
    text = f"{abs(rounded):,.0f}" if rounded == int(rounded) else f"{abs(rounded):,.{places}f}"
    return f"{MINUS if rounded < 0 else ''}{text}"


def span(seconds: float) -> str:
    """A span of time in its two largest units: `11 d 4 h`."""
    if seconds < 0:
        return f"{MINUS}{span(-seconds)}"
    if seconds < MINUTE_S:
        return f"{number(seconds)} s"
    whole = round(seconds)
    for large_s, large, small_s, small in (
        (DAY_S, "d", HOUR_S, "h"),
        (HOUR_S, "h", MINUTE_S, "min"),
        (MINUTE_S, "min", 1, "s"),
    ):
        if whole >= large_s:
            rest = whole % large_s // small_s
            return f"{whole // large_s:,} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def short(value: float) -> str:
    """For an axis: `500`, `1.5k`, `2M`."""
    for step, letter in SHORT_STEPS:
        if abs(value) >= step:
            return f"{value / step:.3g}{letter}"
    return f"{value:.3g}"


def _binary(value: float, power: int) -> tuple[str, str]:
    while abs(value) >= KIB and power < len(BINARY_UNITS) - 1:
        value, power = value / KIB, power + 1
    return number(value), BINARY_UNITS[power]
