"""Billing days: where they begin and end, also when the clocks change, and for clocks that are far off."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.calendar import closed_day, day_of, iso_text, local_text, midnight_s

KOLKATA = ZoneInfo("Asia/Kolkata")
LONDON = ZoneInfo("Europe/London")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
HAVANA = ZoneInfo("America/Havana")
ZONES = [KOLKATA, LONDON, SAO_PAULO, HAVANA, ZoneInfo("UTC"), ZoneInfo("Asia/Kathmandu")]
CHANGE_DAYS = [
    (LONDON, date(2024, 3, 31), 23),
    (LONDON, date(2024, 10, 27), 25),
    (SAO_PAULO, date(2018, 11, 4), 23),  # midnight itself does not exist
    (SAO_PAULO, date(2018, 2, 17), 25),  # the hour before midnight comes twice
    (HAVANA, date(2024, 11, 3), 25),  # midnight comes twice
]
change_days = pytest.mark.parametrize(("zone", "day", "hours"), CHANGE_DAYS)

FAR_AWAY_S = [2**53 - 1, 10**15, 253_402_300_800, 253_402_300_799, 253_402_280_999, 253_402_281_000]


def utc_s(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())


def test_indian_day_begins_at_half_past_six_in_the_evening_utc() -> None:
    begins_s = utc_s(2024, 10, 29, 18, 30)
    assert midnight_s(date(2024, 10, 30).toordinal(), KOLKATA) == begins_s
    assert day_of(begins_s, KOLKATA) == date(2024, 10, 30).toordinal()
    assert day_of(begins_s - 1, KOLKATA) == date(2024, 10, 29).toordinal()


def test_midnight_closes_the_day_that_ends() -> None:
    begins_s = utc_s(2024, 10, 29, 18, 30)
    assert closed_day(begins_s, KOLKATA) == date(2024, 10, 29).toordinal()


@pytest.mark.parametrize("off_s", [-1, 1, 900, -900, 3_600, 43_200, 19_800])
def test_other_instants_close_nothing(off_s: int) -> None:
    assert closed_day(utc_s(2024, 10, 29, 18, 30) + off_s, KOLKATA) is None


def test_midnight_of_another_zone_closes_nothing() -> None:
    assert closed_day(utc_s(2024, 10, 30), KOLKATA) is None
    assert closed_day(utc_s(2024, 7, 1), LONDON) is None, "summer time"
    assert closed_day(utc_s(2024, 1, 1), LONDON) == date(2023, 12, 31).toordinal()


@change_days
def test_day_on_which_the_clocks_change_is_shorter_or_longer(zone: ZoneInfo, day: date, hours: int) -> None:
    begins_s, ends_s = (midnight_s(day.toordinal() + after, zone) for after in (0, 1))
    assert ends_s - begins_s == hours * 3_600
    assert closed_day(begins_s, zone) == day.toordinal() - 1
    assert closed_day(ends_s, zone) == day.toordinal()


@change_days
def test_day_on_which_the_clocks_change_is_closed_once(zone: ZoneInfo, day: date, hours: int) -> None:
    begins_s = midnight_s(day.toordinal(), zone)
    closing = [at_s for at_s in range(begins_s + 900, begins_s + 30 * 3_600, 900) if closed_day(at_s, zone)]
    assert closing == [begins_s + hours * 3_600]


@given(st.sampled_from(ZONES), st.integers(date(1971, 1, 1).toordinal(), date(2200, 1, 1).toordinal()))
def test_days_follow_one_another_without_gap(zone: ZoneInfo, day: int) -> None:
    begins_s, ends_s = midnight_s(day, zone), midnight_s(day + 1, zone)
    assert 23 * 3_600 <= ends_s - begins_s <= 25 * 3_600
    assert day_of(begins_s, zone) == day_of(ends_s - 1, zone) == day
    assert closed_day(ends_s, zone) == day


@given(st.sampled_from(ZONES), st.integers(0, 2**53 - 1))
def test_no_instant_that_the_wire_carries_is_too_much(zone: ZoneInfo, at_s: int) -> None:
    day = closed_day(at_s, zone)
    assert day is None or midnight_s(day + 1, zone) == at_s


@pytest.mark.parametrize("at_s", FAR_AWAY_S)
@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_far_away_instant_closes_nothing_that_is_not_there(zone: ZoneInfo, at_s: int) -> None:
    day = closed_day(at_s, zone)
    assert day is None or midnight_s(day + 1, zone) == at_s


def test_meter_that_believes_in_1970_closes_a_day_then() -> None:
    assert closed_day(0, ZoneInfo("UTC")) == date(1969, 12, 31).toordinal()
    assert closed_day(0, KOLKATA) is None


def test_instants_are_written_for_people_and_for_machines() -> None:
    at_s = utc_s(2024, 10, 29, 18, 30)
    assert local_text(at_s, KOLKATA) == "2024-10-30 00:00:00"
    assert iso_text(at_s) == "2024-10-29T18:30:00Z"


def test_no_instant_is_a_dash_or_nothing() -> None:
    assert local_text(None, KOLKATA) == "-"
    assert iso_text(None) is None


@pytest.mark.parametrize("at_s", [253_402_300_800, 2**53 - 1])
def test_far_away_instant_can_be_shown(at_s: int) -> None:
    assert local_text(at_s, KOLKATA)
    assert iso_text(at_s)
