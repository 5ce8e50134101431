"""When each cut goes within the permitted hours: spread by a chance that can be repeated, and over in time."""

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class SpreadRules:
    """How cuts lie in a permitted stretch.

    `spread_s`: over how much of it they are spread. `expires_after_s`: how long an order to open has effect.
    `clock_tolerance_s`: how far a meter's clock may be off.
    """

    spread_s: int = 0
    expires_after_s: int = 3_600
    clock_tolerance_s: int = 300


@dataclass(frozen=True, slots=True)
class CutTime:
    """When a cut goes out, and from when it has no effect any more."""

    at_s: int
    expires_at_s: int


def spread_s(meter: str, day: int, length_s: int, salt: str) -> int:
    """A meter's own second within `length_s` seconds on a day: even over meters, unrelated from day to day."""
    digest = sha256(f"{salt}/{day}/{meter}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % max(1, length_s)


def cut_time(
    rules: SpreadRules, meter: str, permitted: tuple[int, int], *, day: int, now_s: int, salt: str
) -> CutTime | None:
    """The time of a cut within a permitted stretch [from, to); None: too late for this one.

    Cuts are spread so that each has its full time within the stretch, if it is long enough for that. A time that
    is past is now. An order expires with the stretch at the latest, and earlier by what a meter's clock may be
    behind: a meter judges by its own clock.
    """
    from_s, to_s = permitted
    last_s = to_s - rules.clock_tolerance_s
    length_s = min(rules.spread_s, last_s - rules.expires_after_s - from_s)
    at_s = max(from_s + spread_s(meter, day, length_s, salt), now_s)
    expires_at_s = min(at_s + rules.expires_after_s, last_s)
    return CutTime(at_s, expires_at_s) if at_s < expires_at_s else None
