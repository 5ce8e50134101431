"""When cuts go: spread over the permitted hours, and without effect once these are over."""

from hypothesis import given
from hypothesis import strategies as st

from headend.domain.spread import CutTime, SpreadRules, cut_time, spread_s

DAY = 739_000
METERS = [f"M{number:06}" for number in range(20_000)]
TWO_HOURS = (1_000_000, 1_007_200)
RULES = SpreadRules(spread_s=5_400, expires_after_s=1_500, clock_tolerance_s=300)


def at(
    meter: str, now_s: int, rules: SpreadRules = RULES, permitted: tuple[int, int] = TWO_HOURS
) -> CutTime | None:
    return cut_time(rules, meter, permitted, day=DAY, now_s=now_s, salt="salt")


def test_spread_is_the_same_every_time_and_another_for_each_meter_day_and_salt() -> None:
    assert spread_s("M1", DAY, 5_400, "a") == spread_s("M1", DAY, 5_400, "a")
    other = {spread_s("M1", DAY, 10**9, "a"), spread_s("M2", DAY, 10**9, "a")}
    other |= {spread_s("M1", DAY + 1, 10**9, "a"), spread_s("M1", DAY, 10**9, "b")}
    assert len(other) == 4


def test_twenty_thousand_cuts_are_spread_evenly_over_an_hour_and_a_half() -> None:
    minutes = [0] * 90
    for meter in METERS:
        minutes[spread_s(meter, DAY, 5_400, "salt") // 60] += 1
    # 222 a minute on average; six standard deviations are 89.
    assert min(minutes) > 130
    assert max(minutes) < 315


def test_nothing_to_spread_over_is_no_delay() -> None:
    assert {spread_s(meter, DAY, length_s, "salt") for meter in METERS[:50] for length_s in (1, 0, -5)} == {0}


def test_cuts_use_the_permitted_hours_and_each_has_its_full_time() -> None:
    times = [time for meter in METERS if (time := at(meter, 0))]
    assert len(times) == len(METERS)
    assert min(time.at_s for time in times) < TWO_HOURS[0] + 60
    assert TWO_HOURS[0] + 5_400 - 60 < max(time.at_s for time in times) < TWO_HOURS[0] + 5_400
    assert {time.expires_at_s - time.at_s for time in times} == {1_500}
    assert max(time.expires_at_s for time in times) <= TWO_HOURS[1] - 300


def test_time_that_is_past_is_now() -> None:
    now_s = TWO_HOURS[0] + 5_500
    assert at("M1", now_s) == CutTime(now_s, TWO_HOURS[1] - 300)


def test_last_second_has_room_for_a_cut_and_the_next_has_none() -> None:
    last_s = TWO_HOURS[1] - 300
    assert at("M1", last_s - 1) == CutTime(last_s - 1, last_s)
    assert at("M1", last_s) is None


def test_stretch_shorter_than_an_order_lasts_cuts_the_order_short() -> None:
    assert at("M1", 0, permitted=(1_000, 2_000)) == CutTime(1_000, 1_700)
    assert at("M1", 0, permitted=(1_000, 1_300)) is None


@given(
    st.builds(SpreadRules, st.integers(0, 10_000), st.integers(1, 10_000), st.integers(0, 3_600)),
    st.integers(0, 100_000),
    st.integers(1, 90_000),
    st.integers(0, 200_000),
    st.sampled_from(METERS),
)
def test_cut_never_has_effect_outside_the_permitted_stretch_by_any_tolerated_clock(
    rules: SpreadRules, from_s: int, length_s: int, now_s: int, meter: str
) -> None:
    to_s = from_s + length_s
    time = at(meter, now_s, rules, (from_s, to_s))
    if time is None:
        assert max(now_s, from_s) >= to_s - rules.clock_tolerance_s
    else:
        assert time.at_s >= max(from_s, now_s)
        assert time.at_s < time.expires_at_s <= to_s - rules.clock_tolerance_s
        assert time.expires_at_s <= time.at_s + rules.expires_after_s
        assert time.at_s <= max(now_s, from_s + rules.spread_s)
