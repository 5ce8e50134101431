"""What a policy lets a meter do: no clock within its tolerance opens a relay inside a protected window."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.wire.errors import RefusalCode
from headend.wire.limits import FUTURE_TOLERANCE_S
from headend.wire.messages import PolicyDocument
from headend.wire.signing import digest
from meter_sim.meter import Meter, apply_policy, apply_relay
from meter_sim.policy import Policy

BEGINS_S, ENDS_S, UNTIL_S, TOLERANCE_S = 10_000, 20_000, 100_000, 60


def policy_of(version: int = 1, *windows: tuple[int, int], tolerance_s: int = TOLERANCE_S) -> Policy:
    document = PolicyDocument(
        version=version,
        issued_at_s=5_000,
        valid_until_s=UNTIL_S,
        clock_tolerance_s=tolerance_s,
        protected=[list(window) for window in windows],
    )
    return Policy.of(document, digest(document))


POLICY = policy_of(1, (BEGINS_S, ENDS_S), (30_000, 40_000))
METER = Meter(policy=POLICY)


def opening(clock_s: int, meter: Meter = METER, issued_at_s: int = 0) -> RefusalCode | None:
    return apply_relay(meter, 1, True, clock_s + 60, clock_s, 0, issued_at_s).code


@pytest.mark.parametrize(
    ("clock_s", "code"),
    [
        (0, RefusalCode.CLOCK_DOUBTFUL),
        (4_939, RefusalCode.CLOCK_DOUBTFUL),
        (4_940, None),
        (9_939, None),
        (9_940, RefusalCode.PROTECTED),
        (20_059, RefusalCode.PROTECTED),
        (20_060, None),
        (29_940, RefusalCode.PROTECTED),
        (40_060, None),
        (99_939, None),
        (99_940, RefusalCode.POLICY_EXPIRED),
        (10**9, RefusalCode.POLICY_EXPIRED),
    ],
)
def test_relay_opens_only_where_the_policy_permits_it(clock_s: int, code: RefusalCode | None) -> None:
    assert opening(clock_s) is code


def test_meter_that_never_had_a_policy_opens_at_any_time() -> None:
    assert [opening(clock_s, Meter()) for clock_s in (0, 15_000, 10**9)] == [None] * 3


def test_window_that_outlasts_the_policy_is_still_a_window() -> None:
    meter = Meter(policy=policy_of(1, (BEGINS_S, UNTIL_S + 500)))
    assert opening(UNTIL_S + 400, meter) is RefusalCode.PROTECTED


@pytest.mark.parametrize("clock_s", [0, 15_000, 10**9])
def test_relay_closes_at_any_time_and_by_any_clock(clock_s: int) -> None:
    meter = replace(METER, relay_open=True)
    answer = apply_relay(meter, 1, False, None, clock_s, 0, issued_at_s=10**10)
    assert answer.code is None
    assert not answer.meter.relay_open


def test_refused_opening_changes_nothing_and_may_be_asked_again_after_the_window() -> None:
    refused = apply_relay(METER, 1, True, 50_000, 15_000, 0)
    assert (refused.meter, refused.changed) == (METER, False)
    assert apply_relay(refused.meter, 1, True, 50_000, 25_000, 0).meter.relay_open


def test_order_dated_ahead_of_the_clock_is_refused_beyond_the_tolerance() -> None:
    now_s = 25_000
    assert opening(now_s, issued_at_s=now_s + FUTURE_TOLERANCE_S) is None
    assert opening(now_s, issued_at_s=now_s + FUTURE_TOLERANCE_S + 1) is RefusalCode.FUTURE_DATED


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.integers(1, 5_000)), max_size=8),
    st.integers(5_000, 120_000),
    st.integers(-TOLERANCE_S, TOLERANCE_S),
)
def test_no_clock_within_the_tolerance_opens_inside_a_window(
    gaps: list[tuple[int, int]], true_s: int, error_s: int
) -> None:
    windows, at_s = [], 6_000
    for gap_s, length_s in gaps:
        windows.append((at_s + gap_s, at_s + gap_s + length_s))
        at_s = windows[-1][1]
    code = opening(true_s + error_s, Meter(policy=policy_of(1, *windows)))
    inside = any(from_s <= true_s < to_s for from_s, to_s in windows)
    if inside or true_s >= UNTIL_S:
        assert code in (RefusalCode.PROTECTED, RefusalCode.POLICY_EXPIRED)
    far = all(true_s < from_s - 2 * TOLERANCE_S or true_s >= to_s + 2 * TOLERANCE_S for from_s, to_s in windows)
    if far and true_s < UNTIL_S - 2 * TOLERANCE_S:
        assert code is None


def test_newer_policy_takes_over_and_an_older_one_does_not() -> None:
    newer = policy_of(2)
    answer = apply_policy(METER, newer, 25_000, 25_000)
    assert (answer.code, answer.changed, answer.meter.policy_version) == (None, True, 2)
    assert opening(15_000, answer.meter) is None
    older = apply_policy(answer.meter, POLICY, 25_000, 25_000)
    assert (older.code, older.meter) == (RefusalCode.OLDER_VERSION, answer.meter)


def test_policy_in_force_is_answered_again_and_its_version_with_other_content_refused() -> None:
    again = apply_policy(METER, policy_of(1, (BEGINS_S, ENDS_S), (30_000, 40_000)), 25_000, 25_000)
    assert (again.code, again.changed) == (None, False)
    assert apply_policy(METER, policy_of(1), 25_000, 25_000).code is RefusalCode.OLDER_VERSION


def test_policy_dated_ahead_of_the_clock_is_refused_and_an_old_one_is_not() -> None:
    assert apply_policy(Meter(), POLICY, 25_301, 25_000).code is RefusalCode.FUTURE_DATED
    assert apply_policy(Meter(), POLICY, 25_300, 25_000).changed
    assert apply_policy(Meter(), POLICY, 0, 10**9).changed
