"""Local days and the interval grid: when a meter takes which reading. Seconds UTC in, seconds UTC out.

The grid is anchored at each local midnight, so that midnight is always on it, also where a day has 23 hours.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone, such as Asia/Kolkata") from error


def midnight_s(day: date, zone: ZoneInfo) -> int:
    """The instant at which a local day begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def local_day(at_s: int, zone: ZoneInfo) -> date:
    """The local day that an instant lies in; a midnight belongs to the day that it begins."""
    return datetime.fromtimestamp(at_s, zone).date()


def is_midnight(at_s: int, zone: ZoneInfo) -> bool:
    """Whether a local day begins at this instant."""
    return at_s == midnight_s(local_day(at_s, zone), zone)


def next_point_s(after_s: int, interval_s: int, zone: ZoneInfo) -> int:
    """The first point of the grid later than `after_s`."""
    day = local_day(after_s, zone)
    begin_s = midnight_s(day, zone)
    point_s = after_s + interval_s - (after_s - begin_s) % interval_s
    return min(point_s, midnight_s(day + timedelta(days=1), zone))


def utc_text(at_s: int) -> str:
    """A time for a person, such as `2024-10-30 18:30:00 UTC`."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
