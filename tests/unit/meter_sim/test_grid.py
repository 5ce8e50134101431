from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from meter_sim.durations import duration_text, parse_duration_s
from meter_sim.grid import is_midnight, midnight_s, next_point_s, zone_of

KOLKATA = ZoneInfo("Asia/Kolkata")


def test_midnight_is_the_local_one() -> None:
    assert midnight_s(date(2024, 10, 30), KOLKATA) == int(datetime(2024, 10, 29, 18, 30, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("interval_s", [900, 3_600, 7_000, 86_400])
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Europe/Berlin"])
def test_every_midnight_is_on_the_grid_once(interval_s: int, zone: str) -> None:
    where = ZoneInfo(zone)
    at_s = midnight_s(date(2024, 10, 25), where)
    points = [at_s]
    while points[-1] < midnight_s(date(2024, 10, 30), where):
        points.append(next_point_s(points[-1], interval_s, where))
    midnights = [point for point in points if is_midnight(point, where)]
    assert midnights == [midnight_s(date(2024, 10, 25 + n), where) for n in range(6)]
    assert all(0 < later - earlier <= interval_s for earlier, later in pairwise(points))


def test_next_point_is_later_than_the_time_itself() -> None:
    begin_s = midnight_s(date(2024, 10, 30), KOLKATA)
    assert next_point_s(begin_s, 900, KOLKATA) == begin_s + 900
    assert next_point_s(begin_s + 899, 900, KOLKATA) == begin_s + 900
    assert next_point_s(begin_s + 900, 900, KOLKATA) == begin_s + 1_800


def test_unknown_zone_is_named() -> None:
    with pytest.raises(ValueError, match="Mars/Base"):
        zone_of("Mars/Base")


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("1h30m", 5_400), ("2d", 172_800), ("90", 90), ("5s", 5)]
)
def test_spans_of_time_are_read(text: str, seconds: int) -> None:
    assert parse_duration_s(text) == seconds
    assert parse_duration_s(duration_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "1.5h", "5 m", "1m1h", "5x"])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no span of time"):
        parse_duration_s(text)
