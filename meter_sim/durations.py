"""Spans of time as people write them: `15m`, `1h30m`, `2d`, `90s`, `90`. Whole seconds."""

import re
from typing import Final

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN: Final = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s?)?")


def parse_duration_s(text: str) -> int:
    """Read a span of time.

    Raises:
        ValueError: with a message for a person.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is no span of time, such as 15m, 1h30m, 2d or 90s")
    return sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS.values(), strict=True) if count)


def duration_text(span_s: int) -> str:
    """The same span in the largest units: `1h30m`."""
    parts = []
    for name, unit in _UNITS.items():
        count, span_s = divmod(span_s, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"
