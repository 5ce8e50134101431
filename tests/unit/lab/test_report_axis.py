"""Ticks stand at round values and at round local times."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from meter_sim.lab.report.axis import MOST_TICKS, SpanAxis, TimeAxis, ValueAxis

DAY_S = 86_400


def axis_from(local: str, length_s: int, zone: str) -> TimeAxis:
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    return TimeAxis(int(at.timestamp()), int(at.timestamp()) + length_s, ZoneInfo(zone))


def test_days_tick_at_local_midnight() -> None:
    axis = axis_from("2024-10-25T09:00", 4 * DAY_S, "Asia/Kolkata")
    ticks = [tick for tick in axis.ticks() if ":" not in tick.label]
    assert [tick.label for tick in ticks] == ["26 Oct", "27 Oct", "28 Oct", "29 Oct"]
    assert all(axis.local(tick.at).endswith("00:00") for tick in ticks)


def test_midnights_stay_midnights_when_clocks_change() -> None:
    axis = axis_from("2024-10-25T00:00", 5 * DAY_S, "Europe/London")
    ticks = axis.ticks()
    assert all(axis.local(tick.at)[-5:] in ("00:00", "12:00") for tick in ticks)
    assert ticks[5].at - ticks[4].at == DAY_S // 2 + 3_600, "the night with an hour more"


@pytest.mark.parametrize("length_s", [1, 60, 600, 3_600, 7 * 3_600, DAY_S, 20 * DAY_S, 400 * DAY_S])
def test_no_length_has_too_many_ticks_or_one_outside(length_s: int) -> None:
    axis = axis_from("2024-10-22T00:00", length_s, "Asia/Kolkata")
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= MOST_TICKS + 1
    assert all(axis.from_s <= tick.at <= axis.to_s for tick in ticks)
    assert len({tick.at for tick in ticks}) == len(ticks)


def test_what_is_outside_stands_at_the_edge() -> None:
    axis = TimeAxis(100, 200, ZoneInfo("UTC"))
    assert [axis.x(at_s) for at_s in (0, 100, 150, 200, 999)] == [0, 0, 500, 1_000, 1_000]


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0, ["0", "1"]),
        (1, ["0", "1"]),
        (6, ["0", "2", "4", "6"]),
        (500, ["0", "100", "200", "300", "400", "500"]),
        (1_854, ["0", "500", "1k", "1.5k", "2k"]),
        (2_300_000, ["0", "500k", "1M", "1.5M", "2M", "2.5M"]),
    ],
)
def test_things_are_counted_in_round_steps(most: float, labels: list[str]) -> None:
    axis = ValueAxis(most, whole=True)
    assert [tick.label for tick in axis.ticks()] == labels
    assert axis.share(most) <= 1


def test_rates_may_have_halves() -> None:
    assert [tick.label for tick in ValueAxis(0.9).ticks()] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


def test_spans_are_familiar_and_cover_what_is_shown() -> None:
    axis = SpanAxis(12, 11 * DAY_S)
    assert [tick.label for tick in axis.ticks()] == ["10 s", "1 min", "10 min", "1 h", "1 d", "10 d", "100 d"]
    assert 0 < axis.share(12) < axis.share(3_600) < axis.share(11 * DAY_S) < 1
    assert len(SpanAxis(2, 3).ticks()) == 4
