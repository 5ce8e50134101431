import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.wire.timescale import TimeScale

START_S = 1730226600  # 2024-10-30T00:00:00+05:30


def test_spec_is_read() -> None:
    scale = TimeScale.parse("2024-10-30T00:00:00+05:30@1763870000.5x2880")
    assert scale == TimeScale(START_S, 1763870000.5, 2880.0)


def test_zone_z_is_utc() -> None:
    assert TimeScale.parse("2024-10-29T18:30:00Z@0x1").start_s == START_S


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("", "is not START@EPOCHxSPEED"),
        ("2024-10-30T00:00:00Z", "is not START@EPOCHxSPEED"),
        ("2024-10-30T00:00:00Z@1x-1", "is not START@EPOCHxSPEED"),
        ("2024-10-30T00:00:00Z@1x60 ", "is not START@EPOCHxSPEED"),
        ("2024-10-30T00:00:00Z@1xnan", "is not START@EPOCHxSPEED"),
        ("2024-10-30T00:00:00@1x60", "names no time zone"),
        ("yesterday@1x60", "yesterday"),
        ("2024-10-30T00:00:00Z@1x0", "above 0"),
        ("2024-10-30T00:00:00Z@1x0.0", "above 0"),
        ("2024-10-30T00:00:00Z@1x60,2024-10-31T00:00:00x60", "names no time zone"),
        ("2024-10-30T00:00:00Z@1x60,2024-10-31T00:00:00Zx0", "above 0"),
        ("2024-10-30T00:00:00Z@1x60,2024-10-31T00:00:00Z", "is not START@EPOCHxSPEED"),
        ("2024-10-30T00:00:00Z@1x60,2024-10-30T00:00:00Zx30", "after the one before"),
    ],
)
def test_bad_spec_says_what_is_wrong(spec: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TimeScale.parse(spec)


def test_virtual_time_runs_at_the_speed() -> None:
    scale = TimeScale(START_S, 1000.0, 60.0)
    assert scale.virtual_s(1000.0) == START_S
    assert scale.virtual_s(1001.5) == START_S + 90


def test_virtual_time_is_rounded_down_on_both_sides_of_the_start() -> None:
    scale = TimeScale(100, 1000.0, 1.0)
    assert [scale.virtual_s(wall_s) for wall_s in (998.5, 999.5, 1000.5)] == [98, 99, 100]


def test_the_speed_changes_when_virtual_time_comes_to_the_turn() -> None:
    scale = TimeScale.parse("2024-10-30T00:00:00+05:30@1000x60,2024-10-30T01:00:00+05:30x2,2024-10-31T00:00:00Zx8")
    assert scale.virtual_s(1000.0 + 60) == START_S + 3_600
    assert scale.virtual_s(1000.0 + 60 + 10) == START_S + 3_620
    last_s = START_S + 5 * 3_600 + 30 * 60 + 86_400
    assert scale.virtual_s(scale.wall_s(last_s) + 10) == last_s + 80


@st.composite
def scales(draw: st.DrawFn) -> TimeScale:
    start_s, legs = draw(st.integers(0, 2**32)), draw(st.integers(0, 3))
    lengths_s = draw(st.lists(st.integers(1, 10**7), min_size=legs, max_size=legs))
    speeds = st.floats(0.01, 100_000)
    speed, epochs_s = draw(speeds), draw(st.floats(0, 2**32))
    points = [(start_s, epochs_s, speed)]
    for length_s in lengths_s:
        start_s, epochs_s, speed = start_s + length_s, epochs_s + length_s / speed, draw(speeds)
        points.append((start_s, epochs_s, speed))
    scale = None
    for point in reversed(points):
        scale = TimeScale(*point, scale)
    assert scale is not None
    return scale


@given(scales(), st.integers(-(10**7), 10**8))
def test_wall_time_of_a_virtual_second_is_within_that_second(scale: TimeScale, after_s: int) -> None:
    virtual_s = scale.start_s + after_s
    assert scale.virtual_s(scale.wall_s(virtual_s)) == virtual_s


@given(scales(), st.floats(0, 2**32), st.floats(0, 10**6))
def test_virtual_time_never_goes_back(scale: TimeScale, wall_s: float, later_s: float) -> None:
    assert scale.virtual_s(wall_s) <= scale.virtual_s(wall_s + later_s)
