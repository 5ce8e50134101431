"""How far a meter can have come: the registers and numbers that are believed, and those that are not."""

import pytest

from headend.domain.pace import DAY_S, MOST_FIRST_SEQ, Pace, RegisterState, pace_at

NOW_S = 1_730_226_600
MAX_DAY_WH = 100_000
PACE = pace_at(MAX_DAY_WH, NOW_S)


def held(days: int = 0, seq: int = 10) -> RegisterState:
    return RegisterState(seq, 5_000, NOW_S - days * DAY_S)


@pytest.mark.parametrize(("days", "most_wh"), [(0, MAX_DAY_WH), (1, 2 * MAX_DAY_WH), (11, 12 * MAX_DAY_WH)])
def test_register_may_rise_by_the_most_of_each_day_begun(days: int, most_wh: int) -> None:
    assert PACE.reaches(held(days), 11, 5_000 + most_wh)
    assert not PACE.reaches(held(days), 11, 5_000 + most_wh + 1)


@pytest.mark.parametrize(("days", "most"), [(0, 600), (1, 173_400), (11, 1_901_400)])
def test_number_may_rise_by_two_readings_a_second(days: int, most: int) -> None:
    assert PACE.reaches(held(days), 10 + most, 5_000)
    assert not PACE.reaches(held(days), 10 + most + 1, 5_000)


def test_device_may_have_counted_long_before_its_first_reading_here() -> None:
    assert PACE.reaches(held(seq=0), MOST_FIRST_SEQ, 5_000)
    assert not PACE.reaches(held(seq=0), 2**40, 5_000)


@pytest.mark.parametrize("ahead_s", [300, 17_280, 55 * 365 * DAY_S])
def test_newest_reading_ahead_of_our_clock_leaves_room_for_a_step(ahead_s: int) -> None:
    state = RegisterState(10, 5_000, NOW_S + ahead_s)
    assert PACE.reaches(state, 11, 5_000 + MAX_DAY_WH)
    assert not PACE.reaches(state, 11, 5_000 + MAX_DAY_WH + 1)
    assert not PACE.reaches(state, 2**40, 5_000)


@pytest.mark.parametrize("now_s", [0, NOW_S - 300, NOW_S, NOW_S + 11 * DAY_S])
def test_a_step_is_what_every_meter_can_have_come_to(now_s: int) -> None:
    pace = Pace(MAX_DAY_WH, now_s)
    assert pace.reaches(held(), 10 + pace.step.seqs, 5_000 + pace.step.energy_wh)
