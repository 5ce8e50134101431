"""The billing month: the calendar month of the utility's zone, over which slabs and monthly charges run."""

from datetime import date
from functools import lru_cache


@lru_cache(maxsize=4096)
def place_in_month(day: int) -> tuple[int, int]:
    """Which day of its month a billing day is, counted from 1, and how many days that month has."""
    on = date.fromordinal(day)
    next_month = date(on.year + on.month // 12, on.month % 12 + 1, 1)
    first = day - on.day + 1
    return on.day, next_month.toordinal() - first


def same_month(a_day: int, b_day: int) -> bool:
    """Whether two billing days lie in the same month."""
    return a_day - place_in_month(a_day)[0] == b_day - place_in_month(b_day)[0]
