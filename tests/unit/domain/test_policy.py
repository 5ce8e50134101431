"""Drawing up a policy from the calendar's windows, and when meters need a new one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.policy import MAX_WINDOWS, Policy, draw_up, must_replace

WINDOWS = [(100, 200), (300, 400), (500, 600)]


def test_windows_that_are_over_for_every_clock_are_left_out() -> None:
    assert draw_up(1, WINDOWS, 1_000, 10, 209).protected == tuple(WINDOWS)
    assert draw_up(1, WINDOWS, 1_000, 10, 210).protected == tuple(WINDOWS[1:])
    assert draw_up(7, WINDOWS, 450, 10, 0) == Policy(7, 0, 450, 10, ((100, 200), (300, 400)))


def test_policy_ends_where_the_first_window_that_does_not_fit_begins() -> None:
    windows = [(100 * n, 100 * n + 50) for n in range(MAX_WINDOWS + 2)]
    policy = draw_up(1, windows, 10**9, 0, 0)
    assert len(policy.protected) == MAX_WINDOWS
    assert policy.valid_until_s == windows[MAX_WINDOWS][0]
    assert draw_up(1, windows[:MAX_WINDOWS], 10**9, 0, 0).valid_until_s == 10**9


def test_meters_without_a_policy_need_one() -> None:
    assert must_replace(None, draw_up(1, WINDOWS, 1_000, 10, 0), 100)


@pytest.mark.parametrize(("now_s", "due"), [(899, False), (900, False), (901, True), (2_000, True)])
def test_policy_is_renewed_before_it_ends(now_s: int, due: bool) -> None:
    held = draw_up(1, WINDOWS, 1_000, 10, 0)
    assert must_replace(held, draw_up(2, WINDOWS, now_s + 1_000, 10, now_s), 100) is due


@pytest.mark.parametrize(
    ("windows", "tolerance_s", "due"),
    [
        (WINDOWS, 10, False),
        ([*WINDOWS, (1_200, 1_300)], 10, False),
        (WINDOWS[1:], 10, False),
        (WINDOWS[:2], 10, True),
        ([*WINDOWS, (700, 710)], 10, True),
        ([(250, 400), (500, 600)], 10, True),
        (WINDOWS, 11, True),
    ],
)
def test_policy_is_replaced_when_what_lies_ahead_changes(
    windows: list[tuple[int, int]], tolerance_s: int, due: bool
) -> None:
    held = draw_up(1, WINDOWS, 1_000, 10, 0)
    fresh = draw_up(2, windows, 1_500, tolerance_s, 250)
    assert must_replace(held, fresh, 100) is due


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), max_size=20), st.integers(0, 1_000))
def test_policy_drawn_up_again_from_the_same_calendar_replaces_nothing(
    gaps: list[tuple[int, int]], later_s: int
) -> None:
    windows, at_s = [], 0
    for gap_s, length_s in gaps:
        windows.append((at_s + gap_s, at_s + gap_s + length_s))
        at_s = windows[-1][1]
    held = draw_up(1, windows, 5_000, 10, 0)
    assert not must_replace(held, draw_up(2, windows, 5_000 + later_s, 10, later_s), 100)
