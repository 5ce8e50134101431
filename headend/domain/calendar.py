"""Billing days: local days of the utility's zone, as day numbers (`date.toordinal`)."""

from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo


def day_of(at_s: int, zone: ZoneInfo) -> int:
    """The billing day that an instant falls into."""
    return datetime.fromtimestamp(at_s, zone).date().toordinal()


def minute_of_day(at_s: int, zone: ZoneInfo) -> int | None:
    """The local minute of the day that begins at an instant; None: none begins there."""
    try:
        local = datetime.fromtimestamp(at_s, zone)
    except (OverflowError, ValueError, OSError):
        return None
    return None if local.second else local.hour * 60 + local.minute


def midnight_s(day: int, zone: ZoneInfo) -> int:
    """The instant at which a billing day begins."""
    return int(datetime.combine(date.fromordinal(day), time_of_day(), zone).timestamp())


def closed_day(at_s: int, zone: ZoneInfo) -> int | None:
    """The day that a midnight snapshot closes: the one that ends at this instant. None: no midnight."""
    try:
        day = day_of(at_s, zone)
    except (OverflowError, ValueError, OSError):
        return None
    return day - 1 if midnight_s(day, zone) == at_s else None


def local_text(at_s: int | None, zone: ZoneInfo) -> str:
    """An instant as people of the zone read it; a dash for none."""
    if at_s is None:
        return "-"
    try:
        return datetime.fromtimestamp(at_s, zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{at_s} s"  # beyond any calendar: some meter's clock


def iso_text(at_s: int | None) -> str | None:
    """An instant for machines, in UTC."""
    if at_s is None:
        return None
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{at_s} s"
