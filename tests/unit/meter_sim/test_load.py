from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_sim.grid import midnight_s
from meter_sim.load import LoadModel, opening_register_wh

ZONE = ZoneInfo("Asia/Kolkata")
DAY = date(2024, 10, 30)
START_S = midnight_s(DAY, ZONE)


def model(
    seed: int = 1, first: int = 1, count: int = 300, start_s: int = START_S, zone: ZoneInfo = ZONE
) -> LoadModel:
    return LoadModel(seed, first, count, start_s, zone)


def test_same_seed_gives_the_same_consumption_and_another_seed_another() -> None:
    at_s = START_S + 200_000
    assert (model(7).demand_wh(at_s) == model(7).demand_wh(at_s)).all()
    assert (model(7).demand_wh(at_s) != model(8).demand_wh(at_s)).any()


@given(st.integers(1, 250), st.integers(1, 50))
def test_consumption_depends_on_the_meter_number_not_on_the_partition(first: int, count: int) -> None:
    at_s = START_S + 300_000
    part = model(first=first, count=count).demand_wh(at_s)
    assert (part == model().demand_wh(at_s)[first - 1 : first - 1 + count]).all()


@given(st.lists(st.integers(0, 5 * 86_400), min_size=1, max_size=10))
def test_consumption_does_not_depend_on_when_it_was_asked_for_before(times: list[int]) -> None:
    used = model(count=20)
    for after_s in times:
        expected = model(count=20).demand_wh(START_S + after_s)
        assert (used.demand_wh(START_S + after_s) == expected).all()


def test_demand_starts_at_nothing_and_never_falls() -> None:
    load = model(start_s=START_S + 40_000)
    last = load.demand_wh(START_S + 40_000)
    assert not last.any()
    for after_s in range(40_000, 3 * 86_400, 777):
        now = load.demand_wh(START_S + after_s)
        assert (now >= last).all()
        last = now


def test_demand_between_midnights_is_the_sum_of_the_days_exactly() -> None:
    load = model()
    days = [DAY + timedelta(days=n) for n in range(7)]
    total = sum(load.day_total_wh(day) for day in days)
    assert (load.demand_wh(midnight_s(days[-1] + timedelta(days=1), ZONE)) == total).all()


def test_a_start_within_a_day_only_leaves_out_what_was_before() -> None:
    noon_s = START_S + 43_200
    later, whole = model(start_s=noon_s), model()
    at_s = START_S + 250_000
    assert (later.demand_wh(at_s) == whole.demand_wh(at_s) - whole.demand_wh(noon_s)).all()


def test_day_of_25_hours_keeps_its_total() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    day = date(2024, 10, 27)
    begin_s, end_s = midnight_s(day, berlin), midnight_s(day + timedelta(days=1), berlin)
    assert end_s - begin_s == 25 * 3_600
    load = model(start_s=begin_s, zone=berlin)
    assert (load.demand_wh(end_s) == load.day_total_wh(day)).all()


def test_use_is_that_of_real_homes() -> None:
    load = model(count=5_000)
    year_wh = sum(load.day_total_wh(date(2024, 1, 1) + timedelta(days=n)) for n in range(0, 366, 3))
    kwh_a_day = np.asarray(year_wh) / 122 / 1_000
    assert 5.5 < np.median(kwh_a_day) < 8.5
    assert kwh_a_day.max() < 30
    summer = load.day_total_wh(date(2024, 5, 20)).mean()
    winter = load.day_total_wh(date(2024, 11, 20)).mean()
    assert summer > 1.3 * winter


def test_a_time_before_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="before the start"):
        model().demand_wh(START_S - 1)


def test_opening_registers_are_never_zero_and_belong_to_the_number() -> None:
    openings = opening_register_wh(1, 1_000)
    assert (openings > 0).all()
    assert len(set(openings.tolist())) > 990
    assert (opening_register_wh(501, 10) == openings[500:510]).all()
