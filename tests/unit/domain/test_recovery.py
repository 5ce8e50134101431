"""The recovery of a region: every cell of the table, and what a state remembers."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.recovery import TABLE, WORK_PHASES, Event, Phase, RegionState, advance, seconds_to_go

GRACE_S = 100
N, O, C, R, SN, SE, D, G = Phase  # noqa: E741
EXPECTED = {
    # phase: after OUTAGE_BEGAN, OUTAGE_ENDED, DRAINED, GRACE_OVER
    N: (O, N, N, N),
    O: (O, C, O, O),
    C: (O, C, R, C),
    R: (O, R, SN, R),
    SN: (O, SN, SE, SN),
    SE: (O, SE, D, SE),
    D: (O, D, G, D),
    G: (O, G, G, N),
}
EVENTS = (Event.OUTAGE_BEGAN, Event.OUTAGE_ENDED, Event.DRAINED, Event.GRACE_OVER)


def in_phase(phase: Phase) -> RegionState:
    """A region in a phase of the recovery from an outage from 10 to 20."""
    state = RegionState()
    if phase is Phase.NORMAL:
        return state
    state = advance(state, Event.OUTAGE_BEGAN, 10, GRACE_S)
    if phase is not Phase.OUTAGE:
        state = advance(state, Event.OUTAGE_ENDED, 20, GRACE_S)
    while state.phase is not phase:
        state = advance(state, Event.DRAINED, 30, GRACE_S)
    return state


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, Event)))
def test_every_cell_of_the_table(phase: Phase, event: Event) -> None:
    assert advance(in_phase(phase), event, 40, GRACE_S).phase is EXPECTED[phase][EVENTS.index(event)]


def test_table_names_only_what_changes_something() -> None:
    assert set(EVENTS) == set(Event)
    assert all(before is not after for (before, _), after in TABLE.items())


@pytest.mark.parametrize(("phase", "event"), [pair for pair in product(Phase, Event) if pair not in TABLE])
def test_event_that_the_table_does_not_name_changes_nothing(phase: Phase, event: Event) -> None:
    state = in_phase(phase)
    assert advance(state, event, 40, GRACE_S) == state


@given(st.lists(st.tuples(st.sampled_from(Event), st.integers(0, 1_000))))
def test_phases_go_forward_unless_a_new_outage_begins(events: list[tuple[Event, int]]) -> None:
    order = [*list(Phase)[1:], Phase.NORMAL]
    states = [RegionState()]
    for event, at_s in events:
        states.append(advance(states[-1], event, at_s, GRACE_S))
    for (before, after), (event, _) in zip(pairwise(states), events, strict=True):
        if event is Event.OUTAGE_BEGAN:
            assert after.phase is Phase.OUTAGE
        else:
            assert order.index(after.phase) - order.index(before.phase) in (0, 1)


@given(st.lists(st.tuples(st.sampled_from(Event), st.integers(0, 1_000))))
def test_cuts_are_possible_again_only_after_every_phase(events: list[tuple[Event, int]]) -> None:
    state, passed = RegionState(), []
    for event, at_s in events:
        after = advance(state, event, at_s, GRACE_S)
        if after.phase is Phase.OUTAGE:
            passed = []
        elif after is not state:
            passed.append(state.phase)
        if after.phase is Phase.NORMAL and state.phase is not Phase.NORMAL:
            assert passed == [Phase.OUTAGE, *WORK_PHASES, Phase.GRACE]
        state = after


def test_times_of_the_outage_and_of_the_grace_are_kept() -> None:
    state = in_phase(Phase.GRACE)
    assert state == RegionState(Phase.GRACE, 30, 10, 20, 30 + GRACE_S)
    after = advance(state, Event.GRACE_OVER, 150, GRACE_S)
    assert (after.phase, after.since_s, after.outage_began_s, after.outage_ended_s) == (Phase.NORMAL, 150, 10, 20)


@pytest.mark.parametrize("phase", [*WORK_PHASES, Phase.GRACE])
def test_outage_during_recovery_keeps_the_earlier_beginning(phase: Phase) -> None:
    state = advance(in_phase(phase), Event.OUTAGE_BEGAN, 50, GRACE_S)
    assert state == RegionState(Phase.OUTAGE, 50, outage_began_s=10)
    ended = advance(state, Event.OUTAGE_ENDED, 60, GRACE_S)
    assert (ended.outage_began_s, ended.outage_ended_s) == (10, 60)


def test_outage_after_the_recovery_begins_anew() -> None:
    state = advance(in_phase(Phase.GRACE), Event.GRACE_OVER, 150, GRACE_S)
    assert advance(state, Event.OUTAGE_BEGAN, 200, GRACE_S).outage_began_s == 200


@pytest.mark.parametrize(
    ("first_left", "left", "elapsed_s", "expected"),
    [(100, 50, 60, 60), (100, 25, 60, 20), (100, 99, 10, 990), (3, 1, 1, 1), (100, 0, 60, 0)],
)
def test_time_to_go_follows_from_the_pace(first_left: int, left: int, elapsed_s: int, expected: int) -> None:
    assert seconds_to_go(first_left, left, elapsed_s) == expected


@pytest.mark.parametrize(
    ("first_left", "left", "elapsed_s"), [(100, 100, 60), (100, 120, 60), (0, 0, 5), (9, 3, 0)]
)
def test_time_to_go_is_not_guessed(first_left: int, left: int, elapsed_s: int) -> None:
    assert seconds_to_go(first_left, left, elapsed_s) is None
