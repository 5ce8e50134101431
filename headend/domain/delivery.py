"""The life of a delivery: a credit, a relay position or a policy on its way to a meter.

    QUEUED --send--> SENT --apply--> APPLIED
       ^              |  \\              |
       +---time out---+   +--reject--> REJECTED
       +---------------forget-----------+

A delivery is committed as SENT before it goes on the wire, and only the meter's own answer makes it APPLIED. A
time-out, a lost link or a restart of ours puts it back to QUEUED with the same sequence number. An answer that
comes after the time-out finds the delivery QUEUED and counts all the same: it tells of the meter, not of our
patience. APPLIED and REJECTED are ends: whatever a meter says later changes nothing. Only where the meter itself
is another one, or lost its memory, what it had applied is forgotten and goes out again. A credit never expires and
is never superseded; a relay position ends as REJECTED with the reason when it does, and so does a policy, which is
superseded but never expires.
"""

from enum import StrEnum
from typing import Final


class DeliveryKind(StrEnum):
    """What is delivered. The order is the order of sending."""

    CREDIT = "CREDIT"
    RELAY = "RELAY"
    POLICY = "POLICY"


class State(StrEnum):
    """Where a delivery stands."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    APPLIED = "APPLIED"
    REJECTED = "REJECTED"


class Event(StrEnum):
    """What can happen to a delivery."""

    SEND = "SEND"
    TIME_OUT = "TIME_OUT"
    APPLY = "APPLY"
    REJECT = "REJECT"
    FORGET = "FORGET"


TABLE: Final[dict[tuple[State, Event], State]] = {
    (State.QUEUED, Event.SEND): State.SENT,
    (State.QUEUED, Event.APPLY): State.APPLIED,
    (State.QUEUED, Event.REJECT): State.REJECTED,
    (State.SENT, Event.TIME_OUT): State.QUEUED,
    (State.SENT, Event.APPLY): State.APPLIED,
    (State.SENT, Event.REJECT): State.REJECTED,
    (State.APPLIED, Event.FORGET): State.QUEUED,
}

OPEN_STATES: Final = frozenset({State.QUEUED, State.SENT})


def advance(state: State, event: Event) -> State:
    """The state after an event; an event that the table does not name changes nothing."""
    return TABLE.get((state, event), state)


def states_before(event: Event) -> frozenset[State]:
    """The states that an event moves on: what a statement over many rows has to select."""
    return frozenset(state for state, named in TABLE if named is event)


def state_after(event: Event) -> State:
    """The one state that an event leads to, from wherever it is allowed."""
    (state,) = {after for (_, named), after in TABLE.items() if named is event}
    return state


class Ended(StrEnum):
    """Why a delivery was rejected without the meter's own word."""

    SUPERSEDED = "SUPERSEDED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    """An order to open that would not be given any more, as it was about to be sent."""
