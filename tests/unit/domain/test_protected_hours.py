"""The protected calendar and its windows, held against an independent walk over the minutes of the wall clock."""

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.domain.protected_hours import Festivals, Night, NthWeekday, ProtectedHours
from headend.domain.windows import (
    FOLLOW_DAYS,
    HORIZON_DAYS,
    Moratorium,
    Window,
    next_permitted,
    permitted_on,
    protected_intervals,
    window_at,
)

KOLKATA = ZoneInfo("Asia/Kolkata")
LONDON = ZoneInfo("Europe/London")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")
HAVANA = ZoneInfo("America/Havana")
SATURDAY, SUNDAY = 5, 6
DAY_S = 86_400

BIHAR = ProtectedHours(
    nights=(Night("night", 17 * 60 + 30, 11 * 60), Night("outside the hours for cuts", 13 * 60, 10 * 60)),
    weekdays=frozenset({SUNDAY}),
    fixed_dates=frozenset({(1, 26), (8, 15), (10, 2)}),
    dates={date(2024, 10, 31).toordinal(): "Diwali"},
)
UTTAR_PRADESH = ProtectedHours(
    nights=(Night("night", 18 * 60, 8 * 60),),
    weekdays=frozenset({SUNDAY}),
    nth_weekdays=frozenset({NthWeekday(2, SATURDAY)}),
)
# 29 March and 1 April 2024 are Good Friday and Easter Monday; the clocks go forward between them.
GREAT_BRITAIN = ProtectedHours(
    nights=(Night("night", 19 * 60 + 30, 12 * 60),),
    weekdays=frozenset({SATURDAY, SUNDAY}),
    dates={date(2024, 3, 29).toordinal(): "Good Friday", date(2024, 4, 1).toordinal(): "Easter Monday"},
)
ONE_MINUTE = ProtectedHours(nights=(Night("noon", 12 * 60, 12 * 60 + 1), Night("midnight", 0, 1)))
NOTHING = ProtectedHours()


def at_s(zone: ZoneInfo, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=zone).timestamp())


def day_number(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal()


def midnight_after_days_s(zone: ZoneInfo, first: date, days: int) -> int:
    on = first + timedelta(days)
    return at_s(zone, on.year, on.month, on.day)


def lies_in(intervals: list[tuple[int, int]], instant_s: int) -> bool:
    before = bisect_right(intervals, instant_s, key=lambda interval: interval[0]) - 1
    return before >= 0 and instant_s < intervals[before][1]


# An independent reading of the same rules: look at the clock on the wall, minute by minute.


def is_protected_by_the_wall_clock(hours: ProtectedHours, zone: ZoneInfo, instant_s: int) -> bool:
    wall = datetime.fromtimestamp(instant_s, UTC).astimezone(zone)
    if wall.weekday() in hours.weekdays or (wall.month, wall.day) in hours.fixed_dates:
        return True
    if wall.toordinal() in hours.dates:
        return True
    month = [date(wall.year, wall.month, day) for day in range(1, wall.day + 1)]
    nth = sum(on.weekday() == wall.weekday() for on in month)
    if any(rule.weekday == wall.weekday() and rule.nth == nth for rule in hours.nth_weekdays):
        return True
    minute = wall.hour * 60 + wall.minute
    for night in hours.nights:
        if night.from_minute < night.to_minute:
            if night.from_minute <= minute < night.to_minute:
                return True
        elif minute >= night.from_minute or minute < night.to_minute:
            return True
    return False


def is_in_moratorium(moratoria: list[Moratorium], instant_s: int) -> bool:
    return any(
        each.from_s <= instant_s < each.to_s and (each.ended_at_s is None or instant_s < each.ended_at_s)
        for each in moratoria
    )


CALENDARS = [
    pytest.param(BIHAR, KOLKATA, date(2024, 10, 3), id="bihar over Diwali"),
    pytest.param(BIHAR, KOLKATA, date(2025, 1, 10), id="bihar over Republic Day"),
    pytest.param(UTTAR_PRADESH, KOLKATA, date(2024, 6, 1), id="uttar-pradesh, a month that begins on a Saturday"),
    pytest.param(GREAT_BRITAIN, LONDON, date(2024, 3, 15), id="great-britain, clocks go forward"),
    pytest.param(GREAT_BRITAIN, LONDON, date(2024, 10, 10), id="great-britain, clocks go back"),
    pytest.param(BIHAR, SAO_PAULO, date(2018, 10, 20), id="a midnight that does not exist"),
    pytest.param(BIHAR, SAO_PAULO, date(2018, 2, 1), id="an hour before midnight that comes twice"),
    pytest.param(ONE_MINUTE, KOLKATA, date(2024, 2, 1), id="one minute"),
    pytest.param(NOTHING, KOLKATA, date(2024, 2, 1), id="nothing"),
]
MONTH_DAYS = 31


@pytest.mark.parametrize(("hours", "zone", "first"), CALENDARS)
def test_each_minute_of_a_month_is_protected_as_the_wall_clock_says(
    hours: ProtectedHours, zone: ZoneInfo, first: date
) -> None:
    begins_s = midnight_after_days_s(zone, first, 0)
    moratoria = [
        Moratorium(None, begins_s + 3 * DAY_S + 37_800, begins_s + 9 * DAY_S + 43_200, "a week"),
        Moratorium(None, begins_s + 8 * DAY_S, begins_s + 10 * DAY_S, "overlaps it"),
        Moratorium(None, begins_s + 12 * DAY_S, begins_s + 20 * DAY_S, "ended early", begins_s + 13 * DAY_S + 60),
        Moratorium(None, begins_s + 25 * DAY_S + 40_020, begins_s + 26 * DAY_S, "never began", begins_s),
    ]
    intervals = protected_intervals(hours, moratoria, zone, first.toordinal(), MONTH_DAYS)
    for instant_s in range(begins_s, midnight_after_days_s(zone, first, MONTH_DAYS), 60):
        expected = is_protected_by_the_wall_clock(hours, zone, instant_s) or is_in_moratorium(moratoria, instant_s)
        assert lies_in(intervals, instant_s) is expected, datetime.fromtimestamp(instant_s, zone)


def test_window_of_each_minute_of_a_month_is_what_meters_are_told() -> None:
    first = date(2024, 10, 3)
    intervals = protected_intervals(BIHAR, (), KOLKATA, first.toordinal() - 8, MONTH_DAYS + 16)
    begins_s, ends_s = (midnight_after_days_s(KOLKATA, first, days) for days in (0, MONTH_DAYS))
    for instant_s in range(begins_s, ends_s, 60):
        window = window_at(BIHAR, (), KOLKATA, instant_s)
        assert (window is not None) is lies_in(intervals, instant_s)
        assert window is None or (window.opened_s, window.until_s) in intervals


@pytest.mark.parametrize(("hours", "zone", "first"), CALENDARS)
def test_window_and_next_permitted_agree_with_what_meters_are_told(
    hours: ProtectedHours, zone: ZoneInfo, first: date
) -> None:
    intervals = protected_intervals(hours, (), zone, first.toordinal() - 8, MONTH_DAYS + 16)
    begins_s, ends_s = (midnight_after_days_s(zone, first, days) for days in (0, MONTH_DAYS))
    edges_s = {edge_s for interval in intervals for edge_s in interval if begins_s <= edge_s < ends_s}
    at_edges_s = {edge_s + off_s for edge_s in edges_s for off_s in (-1, 0, 1)}
    for instant_s in sorted(at_edges_s | set(range(begins_s, ends_s, 6 * 3_600))):
        window = window_at(hours, (), zone, instant_s)
        assert (window is not None) is lies_in(intervals, instant_s)
        assert window is None or (window.opened_s, window.until_s) in intervals
        stretch = next_permitted(hours, (), zone, instant_s)
        assert stretch is not None
        from_s, to_s = stretch
        assert instant_s < to_s
        assert from_s < to_s
        if window is None:
            assert from_s <= instant_s
        else:
            assert from_s == window.until_s
        assert not any(lies_in(intervals, inside_s) for inside_s in (*range(from_s, to_s, 60), to_s - 1))


minutes_of_day = st.integers(0, 1_439)
calendars = st.builds(
    ProtectedHours,
    nights=st.lists(
        st.tuples(minutes_of_day, minutes_of_day)
        .filter(lambda edges: edges[0] != edges[1])
        .map(lambda edges: Night("night", *edges)),
        max_size=2,
    ).map(tuple),
    weekdays=st.frozensets(st.integers(0, 6), max_size=3),
    nth_weekdays=st.frozensets(st.builds(NthWeekday, st.integers(1, 5), st.integers(0, 6)), max_size=2),
    fixed_dates=st.frozensets(st.sampled_from([(11, 4), (2, 17), (3, 31), (10, 27)]), max_size=1),
)
changes = st.sampled_from(
    [
        (KOLKATA, date(2024, 2, 28)),
        (LONDON, date(2024, 3, 31)),
        (LONDON, date(2024, 10, 27)),
        (SAO_PAULO, date(2018, 11, 4)),
        (SAO_PAULO, date(2018, 2, 17)),
        (HAVANA, date(2024, 11, 3)),
    ]
)


@settings(max_examples=60, deadline=None)
@given(calendars, changes)
def test_change_of_the_clocks_never_takes_protection_away(
    hours: ProtectedHours, change: tuple[ZoneInfo, date]
) -> None:
    zone, on = change
    intervals = protected_intervals(hours, (), zone, on.toordinal() - 1, 3)
    instants_s = range(midnight_after_days_s(zone, on, -1), midnight_after_days_s(zone, on, 2), 300)
    for instant_s in instants_s:
        expected = is_protected_by_the_wall_clock(hours, zone, instant_s)
        assert lies_in(intervals, instant_s) or not expected
        if zone is KOLKATA:
            assert lies_in(intervals, instant_s) is expected


@settings(max_examples=60, deadline=None)
@given(calendars, changes, st.integers(0, 3 * DAY_S))
def test_window_begins_and_ends_where_it_says(
    hours: ProtectedHours, change: tuple[ZoneInfo, date], after_s: int
) -> None:
    zone, on = change
    window = window_at(hours, (), zone, midnight_after_days_s(zone, on, -1) + after_s)
    if window is not None and next_permitted(hours, (), zone, window.opened_s) is not None:
        for inside_s in (window.opened_s, window.until_s - 1):
            found = window_at(hours, (), zone, inside_s)
            assert found is not None
            assert (found.opened_s, found.until_s) == (window.opened_s, window.until_s)
        assert window_at(hours, (), zone, window.opened_s - 1) is None
        assert window_at(hours, (), zone, window.until_s) is None


def utc_s(day: int, hour: int, minute: int) -> int:
    return at_s(ZoneInfo("UTC"), 2024, 10, day, hour, minute)


# On 27 October 2024 in London the hour from 01:00 comes twice: as 00:00 UTC and as 01:00 UTC.
@pytest.mark.parametrize(
    ("from_minute", "to_minute", "window"),
    [
        (90, 300, (utc_s(27, 0, 30), utc_s(27, 5, 0))),
        (22 * 60, 90, (utc_s(26, 21, 0), utc_s(27, 1, 30))),
        (75, 105, (utc_s(27, 0, 15), utc_s(27, 1, 45))),
    ],
    ids=["begins in it", "ends in it", "lies in it"],
)
def test_hours_that_begin_or_end_in_the_hour_that_comes_twice_hold_from_the_first_to_the_second(
    from_minute: int, to_minute: int, window: tuple[int, int]
) -> None:
    hours = ProtectedHours(nights=(Night("night", from_minute, to_minute),))
    found = window_at(hours, (), LONDON, utc_s(27, 0, 45))
    assert found is not None
    assert (found.opened_s, found.until_s) == window


def test_hours_that_end_as_they_begin_are_the_whole_day() -> None:
    hours = ProtectedHours(nights=(Night("always", 480, 480),))
    assert permitted_on(hours, (), KOLKATA, day_number(2024, 6, 4)) == []


def test_first_minute_of_a_window_is_inside_and_the_last_edge_outside() -> None:
    opens_s, closes_s = at_s(KOLKATA, 2024, 6, 4, 18), at_s(KOLKATA, 2024, 6, 5, 8)
    window = Window("night", opens_s, closes_s)
    assert window_at(UTTAR_PRADESH, (), KOLKATA, opens_s) == window
    assert window_at(UTTAR_PRADESH, (), KOLKATA, closes_s - 1) == window
    assert window_at(UTTAR_PRADESH, (), KOLKATA, opens_s - 1) is None
    assert window_at(UTTAR_PRADESH, (), KOLKATA, closes_s) is None


def test_hours_that_the_reports_disagree_on_leave_what_both_permit() -> None:
    tuesday = day_number(2024, 6, 4)
    permitted = (at_s(KOLKATA, 2024, 6, 4, 11), at_s(KOLKATA, 2024, 6, 4, 13))
    assert permitted_on(BIHAR, (), KOLKATA, tuesday) == [permitted]


def test_sunday_reaches_from_saturday_afternoon_to_monday_morning() -> None:
    window = window_at(BIHAR, (), KOLKATA, at_s(KOLKATA, 2024, 6, 2, 12))
    assert window == Window("Sunday", at_s(KOLKATA, 2024, 6, 1, 13), at_s(KOLKATA, 2024, 6, 3, 11))


@pytest.mark.parametrize(
    ("month", "second"), [(6, 8), (9, 14), (2, 10), (12, 14), (8, 10)], ids=["begins on a Saturday", *"abcd"]
)
def test_only_the_second_saturday_is_protected(month: int, second: int) -> None:
    saturdays = [on for day in range(1, 29) if (on := date(2024, month, day)).weekday() == SATURDAY]
    protected = [on for on in saturdays if UTTAR_PRADESH.day_name(on.toordinal())]
    assert protected == [date(2024, month, second)]
    assert UTTAR_PRADESH.day_name(day_number(2024, month, second)) == "second Saturday"


def test_fixed_date_is_protected_in_every_year() -> None:
    assert [BIHAR.day_name(day_number(year, 1, 26)) for year in (2024, 2025, 2099)] == ["26 January"] * 3
    assert BIHAR.day_name(day_number(2024, 8, 16)) is None


def test_friendly_hours_last_from_friday_evening_to_monday_noon() -> None:
    friday_s, monday_s = at_s(LONDON, 2024, 6, 7, 19, 30), at_s(LONDON, 2024, 6, 10, 12)
    for instant_s in range(friday_s, monday_s, 3_600):
        window = window_at(GREAT_BRITAIN, (), LONDON, instant_s)
        assert window is not None
        assert (window.opened_s, window.until_s) == (friday_s, monday_s)


def test_friendly_hours_join_with_bank_holidays_over_the_change_of_the_clocks() -> None:
    window = window_at(GREAT_BRITAIN, (), LONDON, at_s(LONDON, 2024, 3, 31, 15))
    assert window is not None
    assert window.opened_s == at_s(LONDON, 2024, 3, 28, 19, 30)
    assert window.until_s == at_s(LONDON, 2024, 4, 2, 12)
    assert window.until_s - window.opened_s == (4 * 24 + 16) * 3_600 + 1_800 - 3_600


def test_permitted_stretch_is_the_same_from_whichever_instant_one_asks() -> None:
    stretch = (at_s(KOLKATA, 2024, 6, 4, 11), at_s(KOLKATA, 2024, 6, 4, 13))
    for instant_s in (at_s(KOLKATA, 2024, 6, 3, 13), stretch[0] - 1, stretch[0], stretch[1] - 1):
        assert next_permitted(BIHAR, (), KOLKATA, instant_s) == stretch
    assert next_permitted(BIHAR, (), KOLKATA, stretch[1]) == (stretch[0] + DAY_S, stretch[1] + DAY_S)


def test_without_protection_the_whole_day_and_those_after_it_are_permitted() -> None:
    midnight_s = at_s(KOLKATA, 2024, 6, 4)
    for after_s in (0, 12_345, DAY_S - 1):
        stretch = next_permitted(NOTHING, (), KOLKATA, midnight_s + after_s)
        assert stretch == (midnight_s, midnight_s + (1 + FOLLOW_DAYS) * DAY_S)


def test_permitted_stretch_goes_on_after_midnight_until_protection_begins() -> None:
    siesta = ProtectedHours(nights=(Night("noon", 11 * 60, 14 * 60),))
    moratorium = Moratorium(None, at_s(KOLKATA, 2024, 6, 5, 3), at_s(KOLKATA, 2024, 6, 6), "storm")
    stretch = (at_s(KOLKATA, 2024, 6, 4, 14), at_s(KOLKATA, 2024, 6, 5, 3))
    assert next_permitted(siesta, [moratorium], KOLKATA, at_s(KOLKATA, 2024, 6, 4, 12)) == stretch
    assert next_permitted(siesta, [moratorium], KOLKATA, at_s(KOLKATA, 2024, 6, 4, 23, 59)) == stretch
    next_day = (at_s(KOLKATA, 2024, 6, 6), at_s(KOLKATA, 2024, 6, 6, 11))
    assert next_permitted(siesta, [moratorium], KOLKATA, at_s(KOLKATA, 2024, 6, 5, 3)) == next_day
    assert protected_intervals(NOTHING, (), KOLKATA, day_number(2024, 6, 4), 30) == []


def test_calendar_that_leaves_no_time_has_no_next_permitted() -> None:
    always = ProtectedHours(weekdays=frozenset(range(7)))
    noon_s = at_s(KOLKATA, 2024, 6, 4, 12)
    assert next_permitted(always, (), KOLKATA, noon_s) is None
    window = window_at(always, (), KOLKATA, noon_s)
    assert window is not None
    assert window.until_s >= noon_s + (HORIZON_DAYS - 1) * DAY_S
    assert protected_intervals(always, (), KOLKATA, day_number(2024, 6, 4), 3) == [
        (at_s(KOLKATA, 2024, 6, 4), at_s(KOLKATA, 2024, 6, 7))
    ]


def test_moratorium_protects_its_region_until_it_is_ended() -> None:
    moratorium = Moratorium("R1", 100, 900, "Diwali", ended_at_s=500)
    assert moratorium.until_s == 500
    assert moratorium.covers("R1")
    assert not moratorium.covers("R2")
    assert Moratorium(None, 100, 900, "Diwali").covers("R2")
    assert Moratorium(None, 100, 900, "Diwali", ended_at_s=950).until_s == 900


def test_moratorium_that_was_ended_before_it_began_changes_nothing() -> None:
    noon_s = at_s(KOLKATA, 2024, 6, 4, 12)
    never = Moratorium(None, noon_s, noon_s + DAY_S, "never began", ended_at_s=noon_s - 60)
    assert window_at(BIHAR, [never], KOLKATA, noon_s) is None
    assert next_permitted(BIHAR, [never], KOLKATA, noon_s - 3_600) == (noon_s - 3_600, noon_s + 3_600)


def test_moratorium_gives_a_window_its_name_and_its_end() -> None:
    moratorium = Moratorium(None, at_s(KOLKATA, 2024, 6, 4, 12), at_s(KOLKATA, 2024, 6, 6, 12), "server down")
    window = window_at(BIHAR, [moratorium], KOLKATA, at_s(KOLKATA, 2024, 6, 5, 12))
    assert window == Window("server down", at_s(KOLKATA, 2024, 6, 4, 12), at_s(KOLKATA, 2024, 6, 6, 12))


def test_meters_are_not_told_of_hours_that_hold_for_homes_in_credit_only() -> None:
    friendly = ProtectedHours(nights=GREAT_BRITAIN.nights, only_if_in_credit_at_opening=True)
    moratorium = Moratorium(None, at_s(LONDON, 2024, 6, 4, 15), at_s(LONDON, 2024, 6, 4, 16), "storm")
    told = protected_intervals(friendly, [moratorium], LONDON, day_number(2024, 6, 3), 7)
    assert told == [(moratorium.from_s, moratorium.to_s)]


def test_intervals_are_merged_in_order_and_clipped_to_their_days() -> None:
    first = day_number(2024, 6, 2)
    intervals = protected_intervals(BIHAR, (), KOLKATA, first, 7)
    assert intervals[0][0] == at_s(KOLKATA, 2024, 6, 2)
    assert intervals[-1][1] == at_s(KOLKATA, 2024, 6, 9)
    assert all(before[0] < before[1] < after[0] for before, after in pairwise(intervals))


def test_day_beyond_the_known_festivals_is_protected() -> None:
    known = Festivals({day_number(2024, 11, 7): "Chhath Puja"}, day_number(2024, 1, 1), day_number(2024, 12, 31))
    hours = ProtectedHours(festivals=known)
    assert hours.day_name(day_number(2024, 11, 7)) == "Chhath Puja"
    assert [hours.day_name(known.first_day), hours.day_name(known.last_day)] == [None, None]
    assert hours.day_name(known.first_day - 1) == hours.day_name(known.last_day + 1) == "festivals not known"
