from itertools import pairwise, product

import pytest

from headend.wire.messages import ReadingKind, ReceiptOutcome
from meter_sim.session import (
    GREET_AGAIN_S,
    MOST_DOUBLINGS,
    TRANSITIONS,
    Event,
    Session,
    Settled,
    State,
    advance,
)

ACCEPTED, REFUSED, LATER = ReceiptOutcome.ACCEPTED, ReceiptOutcome.REFUSED, ReceiptOutcome.LATER
D, C, G, R = State.DISCONNECTED, State.CONNECTING, State.GREETING, State.REPORTING
EXPECTED = [
    (D, Event.DIALLED, C), (D, Event.CONNECTED, G), (D, Event.LOST, D),
    (C, Event.DIALLED, C), (C, Event.CONNECTED, G), (C, Event.LOST, D),
    (G, Event.CONNECTED, G), (G, Event.GREETED, R), (G, Event.HELLO_WANTED, G), (G, Event.LOST, D),
    (R, Event.CONNECTED, G), (R, Event.HELLO_WANTED, G), (R, Event.LOST, D),
]  # fmt: skip


@pytest.mark.parametrize(("state", "event", "following"), EXPECTED)
def test_row_of_the_table(state: State, event: Event, following: State) -> None:
    assert advance(state, event) is following


def test_every_other_pair_is_a_mistake() -> None:
    others = set(product(State, Event)) - {(state, event) for state, event, _ in EXPECTED}
    assert len(others) + len(TRANSITIONS) == len(State) * len(Event)
    for state, event in others:
        with pytest.raises(AssertionError):
            advance(state, event)


def reporting(frames: int = 0, window: int = 8, kind: ReadingKind = ReadingKind.INTERVAL) -> Session:
    session = Session(window=window, resend_s=5.0)
    session.handle(Event.CONNECTED, 0.0)
    session.greet([session.take_number()])
    assert session.due_frames(0.0) == [1]
    assert session.receipt(1, ACCEPTED, None, 0.0) is Settled.HELLO
    assert session.state is R
    for _ in range(frames):
        session.keep(session.take_number(), kind, 10)
    return session


def test_no_reading_flows_before_every_hello_is_receipted() -> None:
    session = Session()
    session.keep(session.take_number(), ReadingKind.SNAPSHOT, 10)
    session.handle(Event.CONNECTED, 0.0)
    session.greet([2, 3])
    assert session.due_frames(0.0) == [2, 3]
    session.receipt(3, ACCEPTED, None, 1.0)
    assert session.due_frames(1.0) == []
    session.receipt(2, ACCEPTED, None, 1.0)
    assert session.due_frames(1.0) == [1]


def test_hello_is_repeated_until_its_receipt() -> None:
    session = Session(resend_s=5.0)
    session.handle(Event.CONNECTED, 0.0)
    session.greet([1])
    assert session.due_frames(0.0) == [1]
    assert session.due_frames(4.9) == []
    assert session.due_frames(5.0) == [1]


def test_refused_hello_is_made_anew_after_a_while() -> None:
    session = Session()
    session.handle(Event.CONNECTED, 0.0)
    session.greet([1, 2])
    session.receipt(1, REFUSED, None, 10.0)
    session.receipt(2, ACCEPTED, None, 10.0)
    assert session.state is G
    assert session.greet_at_s == 10.0 + GREET_AGAIN_S


def test_window_bounds_what_is_in_flight() -> None:
    session = reporting(frames=20, window=3)
    assert session.due_frames(0.0) == [2, 3, 4]
    assert session.due_frames(1.0) == []
    session.receipt(3, ACCEPTED, None, 1.0)
    assert session.due_frames(1.0) == [5]


def test_snapshots_go_before_intervals() -> None:
    session = reporting(frames=3, window=2)
    session.keep(session.take_number(), ReadingKind.SNAPSHOT, 10)
    assert session.due_frames(0.0) == [5, 2]


def test_frame_without_receipt_is_sent_again_less_often_the_longer_the_silence() -> None:
    session = reporting(frames=1)
    sent_at = [now for now in range(200) if session.due_frames(float(now))]
    assert sent_at[:4] == [0, 5, 15, 35]
    assert all(b - a == 5 * 2**MOST_DOUBLINGS for a, b in pairwise(sent_at[4:]))
    session.keep(session.take_number(), ReadingKind.INTERVAL, 10)
    session.due_frames(200.0)
    session.receipt(2, ACCEPTED, None, 201.0)
    assert session.due_frames(220.0) == [3]
    assert session.next_due_s() == 230.0


def test_later_waits_for_the_time_named() -> None:
    session = reporting(frames=1)
    session.due_frames(0.0)
    assert session.receipt(2, LATER, 60, 1.0) is Settled.WAITS
    assert session.due_frames(60.9) == []
    assert session.due_frames(61.0) == [2]
    assert 2 in session.unreceipted


@pytest.mark.parametrize("outcome", [ACCEPTED, REFUSED])
def test_final_receipt_ends_a_frame(outcome: ReceiptOutcome) -> None:
    session = reporting(frames=1)
    session.due_frames(0.0)
    assert session.receipt(2, outcome, None, 1.0) is Settled.READINGS
    assert not session.unreceipted
    assert session.due_frames(1_000.0) == []
    assert session.receipt(2, outcome, None, 2.0) is Settled.UNKNOWN


@pytest.mark.parametrize("event", [Event.LOST, Event.CONNECTED, Event.HELLO_WANTED])
def test_all_unreceipted_frames_are_sent_again_after_the_next_hello(event: Event) -> None:
    session = reporting(frames=3)
    assert session.due_frames(0.0) == [2, 3, 4]
    session.receipt(3, ACCEPTED, None, 0.0)
    session.handle(event, 1.0)
    assert session.due_frames(100.0) == []
    if event is Event.LOST:
        session.handle(Event.DIALLED, 1.5)
        session.handle(Event.CONNECTED, 2.0)
    session.greet([5])
    assert session.due_frames(2.0) == [5]
    session.receipt(5, ACCEPTED, None, 2.0)
    assert session.due_frames(2.0) == [2, 4]


def test_late_receipt_of_an_earlier_session_counts() -> None:
    session = reporting(frames=2)
    session.due_frames(0.0)
    session.handle(Event.LOST, 1.0)
    session.handle(Event.CONNECTED, 2.0)
    assert session.receipt(2, ACCEPTED, None, 2.0) is Settled.READINGS
    session.greet([4])
    session.due_frames(2.0)
    session.receipt(4, ACCEPTED, None, 2.0)
    assert session.due_frames(2.0) == [3]
