"""The life of a delivery: every cell of the table."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.domain.delivery import (
    OPEN_STATES,
    TABLE,
    DeliveryKind,
    Ended,
    Event,
    State,
    advance,
    state_after,
    states_before,
)

Q, S, A, R = State.QUEUED, State.SENT, State.APPLIED, State.REJECTED
EXPECTED = {
    # state: after SEND, TIME_OUT, APPLY, REJECT, FORGET
    Q: (S, Q, A, R, Q),
    S: (S, Q, A, R, S),
    A: (A, A, A, A, Q),
    R: (R, R, R, R, R),
}
EVENTS = (Event.SEND, Event.TIME_OUT, Event.APPLY, Event.REJECT, Event.FORGET)
SAID = [event for event in Event if event is not Event.FORGET]


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_cell_of_the_table(state: State, event: Event) -> None:
    assert advance(state, event) is EXPECTED[state][EVENTS.index(event)]


def test_table_names_only_what_changes_something() -> None:
    assert set(EVENTS) == set(Event)
    assert all(before is not after for (before, _), after in TABLE.items())


@given(st.sampled_from([A, R]), st.lists(st.sampled_from(SAID)))
def test_ends_are_ends_whatever_a_meter_says(state: State, events: list[Event]) -> None:
    for event in events:
        assert advance(state, event) is state


@given(st.lists(st.sampled_from(SAID)))
def test_applied_only_by_an_answer(events: list[Event]) -> None:
    state = Q
    for event in events:
        state = advance(state, event)
    assert state is not A or Event.APPLY in events
    assert state is not R or Event.REJECT in events
    assert (state in OPEN_STATES) == (not {Event.APPLY, Event.REJECT} & set(events))


def test_open_states_are_those_that_still_move() -> None:
    assert sorted(OPEN_STATES) == [Q, S]


@pytest.mark.parametrize("event", Event)
def test_statements_over_many_rows_agree_with_the_table(event: Event) -> None:
    for state in State:
        moved = advance(state, event) is not state
        assert (state in states_before(event)) == moved
        assert not moved or advance(state, event) is state_after(event)


def test_credits_are_sent_before_relay_positions_and_policies_last() -> None:
    assert list(DeliveryKind) == [DeliveryKind.CREDIT, DeliveryKind.RELAY, DeliveryKind.POLICY]


def test_reasons_of_our_own_are_not_a_meters() -> None:
    assert {str(reason) for reason in Ended} == {"SUPERSEDED", "EXPIRED", "WITHDRAWN"}
