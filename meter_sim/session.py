"""A gateway's session with the head-end: what state it is in and which frame may go out now. Sans-IO.

Theory
------
The link to the broker comes and goes; the frames of readings stay. A frame exists from the moment when it is
in the log until the head-end's receipt `accepted` or `refused`; nothing else removes it, least of all a
PUBACK.

    DISCONNECTED  no link. Frames collect.
    CONNECTING    the link is being made.
    GREETING      the link is up and subscribed; hello frames are out and not all receipted. No readings flow,
                  because the head-end compares counters first.
    REPORTING     every hello frame was receipted; readings flow.

Whatever happens, the way back to REPORTING leads through GREETING. When a link is lost, or when the head-end
asks for a hello, every frame in flight goes back to its lane, so that all unreceipted frames are sent again.

In flight are at most `window` frames. A frame without a receipt for `resend_s` is sent again; while the
head-end gives no receipt at all, the wait doubles up to `resend_s * 2**MOST_DOUBLINGS`. `later` keeps a frame
in its place in the window and sends it again after the time that the receipt names: a head-end that says
`later` is not offered more. Snapshots go before intervals, for a day is charged from its snapshots.

All times here are monotonic wall seconds: virtual time would turn a timeout into a flood. This module knows
frame numbers only; what is in a frame is the log's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heappop, heappush
from typing import Final, NamedTuple

from headend.wire.messages import ReadingKind, ReceiptOutcome

WINDOW_FRAMES: Final = 8
RESEND_S: Final = 5.0
MOST_DOUBLINGS: Final = 2
GREET_AGAIN_S: Final = 30.0
"""Wait after a refused hello: the gateway is not known there yet."""


class State(StrEnum):
    """Where a session is in its life."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    GREETING = "greeting"
    REPORTING = "reporting"


class Event(StrEnum):
    """What moves a session."""

    DIALLED = "dialled"
    CONNECTED = "connected"
    GREETED = "greeted"
    HELLO_WANTED = "hello wanted"
    LOST = "lost"


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.DISCONNECTED, Event.DIALLED): State.CONNECTING,
    (State.DISCONNECTED, Event.CONNECTED): State.GREETING,
    (State.DISCONNECTED, Event.LOST): State.DISCONNECTED,
    (State.CONNECTING, Event.DIALLED): State.CONNECTING,
    (State.CONNECTING, Event.CONNECTED): State.GREETING,
    (State.CONNECTING, Event.LOST): State.DISCONNECTED,
    (State.GREETING, Event.CONNECTED): State.GREETING,
    (State.GREETING, Event.GREETED): State.REPORTING,
    (State.GREETING, Event.HELLO_WANTED): State.GREETING,
    (State.GREETING, Event.LOST): State.DISCONNECTED,
    (State.REPORTING, Event.CONNECTED): State.GREETING,
    (State.REPORTING, Event.HELLO_WANTED): State.GREETING,
    (State.REPORTING, Event.LOST): State.DISCONNECTED,
}
"""Every pair that is not here is impossible, and a mistake of ours."""


def advance(state: State, event: Event) -> State:
    """The one function that moves a session.

    Raises:
        AssertionError: for a pair that is not in the table.
    """
    following = TRANSITIONS.get((state, event))
    assert following is not None, f"{event} in state {state}"
    return following


class Settled(StrEnum):
    """What a receipt meant to this session."""

    HELLO = "hello"
    READINGS = "readings"
    WAITS = "waits"
    UNKNOWN = "unknown"


class Kept(NamedTuple):
    """A reading frame without a final receipt."""

    kind: ReadingKind
    rows: int


@dataclass(slots=True)
class Session:
    """One gateway's session. `next_frame` and `unreceipted` come from the log after a restart."""

    next_frame: int = 1
    window: int = WINDOW_FRAMES
    resend_s: float = RESEND_S
    state: State = State.DISCONNECTED
    unreceipted: dict[int, Kept] = field(default_factory=dict)
    in_flight: dict[int, float] = field(default_factory=dict)
    """Reading frames on the wire, and the monotonic time at which each is sent again."""
    hellos: dict[int, float] = field(default_factory=dict)
    """Hello frames without a receipt, likewise."""
    greet_at_s: float | None = None
    """When new hello frames are to be made; None: not at all."""
    _silences: int = 0
    _snapshots: list[int] = field(default_factory=list)
    _intervals: list[int] = field(default_factory=list)

    def take_number(self) -> int:
        """A frame number never used before by this gateway."""
        number = self.next_frame
        self.next_frame += 1
        return number

    def keep(self, frame: int, kind: ReadingKind, rows: int) -> None:
        """A reading frame is in the log from now on, and due to be sent."""
        self.unreceipted[frame] = Kept(kind, rows)
        heappush(self._lane(frame), frame)

    def handle(self, event: Event, now_s: float) -> None:
        """Advance the state by an event from outside."""
        self.state = advance(self.state, event)
        if event is Event.DIALLED:
            return
        self.hellos.clear()
        for frame in self.in_flight:
            heappush(self._lane(frame), frame)
        self.in_flight.clear()
        self._silences = 0
        self.greet_at_s = now_s if self.state is State.GREETING else None

    def greet(self, frames: Iterable[int]) -> None:
        """These hello frames are in the log and may go out."""
        self.hellos = dict.fromkeys(frames, 0.0)
        self.greet_at_s = None

    def receipt(self, frame: int, outcome: ReceiptOutcome, retry_after_s: int | None, now_s: float) -> Settled:
        """Take the head-end's word on a frame. Valid also when it comes late or from an earlier session."""
        self._silences = 0
        settles = outcome is not ReceiptOutcome.LATER
        due_s = now_s + (retry_after_s or self.resend_s)
        if frame in self.hellos:
            if settles:
                self._settle_hello(frame, outcome, now_s)
                return Settled.HELLO
            self.hellos[frame] = due_s
            return Settled.WAITS
        if frame not in self.unreceipted:
            return Settled.UNKNOWN
        if settles:
            # A number left in a lane is dropped when its turn comes.
            del self.unreceipted[frame]
            self.in_flight.pop(frame, None)
            return Settled.READINGS
        if frame in self.in_flight:
            self.in_flight[frame] = due_s
        return Settled.WAITS

    def due_frames(self, now_s: float) -> list[int]:
        """The frames that go out now, first things first. They count as sent."""
        if self.state is State.GREETING:
            return self._again(self.hellos, now_s)
        if self.state is not State.REPORTING:
            return []
        due = self._again(self.in_flight, now_s)
        while len(self.in_flight) < self.window and (frame := self._take_waiting()) is not None:
            self.in_flight[frame] = now_s + self.resend_s
            due.append(frame)
        return due

    def next_due_s(self) -> float | None:
        """When something goes out if nothing comes in; None: never."""
        timed = self.hellos if self.state is State.GREETING else self.in_flight
        times = list(timed.values())
        if self.greet_at_s is not None:
            times.append(self.greet_at_s)
        return min(times, default=None)

    def _again(self, timed: dict[int, float], now_s: float) -> list[int]:
        due = sorted(frame for frame, due_s in timed.items() if due_s <= now_s)
        if any(timed[frame] > 0 for frame in due):
            self._silences = min(self._silences + 1, MOST_DOUBLINGS)
        for frame in due:
            timed[frame] = now_s + self.resend_s * 2**self._silences
        return due

    def _take_waiting(self) -> int | None:
        for lane in (self._snapshots, self._intervals):
            while lane:
                frame = heappop(lane)
                if frame in self.unreceipted and frame not in self.in_flight:
                    return frame
        return None

    def _settle_hello(self, frame: int, outcome: ReceiptOutcome, now_s: float) -> None:
        del self.hellos[frame]
        if outcome is ReceiptOutcome.REFUSED:
            self.greet_at_s = now_s + GREET_AGAIN_S
        elif not self.hellos and self.greet_at_s is None:
            self.state = advance(self.state, Event.GREETED)

    def _lane(self, frame: int) -> list[int]:
        return self._snapshots if self.unreceipted[frame].kind is ReadingKind.SNAPSHOT else self._intervals
