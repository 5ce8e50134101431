"""A whole fleet process without network, clock or randomness: events in, messages out, the log in between.

One `step` is: take the readings that have fallen due, handle what came in, commit all of it to the log, and
only then say what goes on the wire. A shell (`mqtt_link.py`, or a simulation) brings events and carries
messages.

Readings first: a command takes effect now, and must not reach back to a point of the grid that is already
past. So after a long stop a fleet first takes what it missed, MAX_POINTS_PER_STEP points a step, and events
wait.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from headend.wire.codec import decode, encode
from headend.wire.errors import WireError
from headend.wire.messages import (
    Command,
    Commands,
    ReadingKind,
    Receipt,
    ReceiptOutcome,
    Receipts,
    Request,
    Result,
    Status,
    Unknown,
)
from headend.wire.topics import Channel, parse_topic
from meter_sim import session as sessions
from meter_sim.counts import Counts
from meter_sim.fleet import Columns, FleetPlan
from meter_sim.frames import (
    MAX_HELLO_ROWS,
    MAX_READING_ROWS,
    encode_hello,
    encode_readings,
    encode_results,
    slices,
)
from meter_sim.grid import is_midnight, next_point_s
from meter_sim.keys import FleetKeys
from meter_sim.load import Integers
from meter_sim.log import FleetLog
from meter_sim.log_tables import HELLO, EventRow, FrameRow, ReceiptRow
from meter_sim.memory import restore_meters
from meter_sim.orders import Policies, carry_out, policies_of, refuse_unknown
from meter_sim.session import Session, Settled, State
from meter_sim.traffic import Connected, Dialled, Disconnected, Incoming, LinkEvent, Message, Out, Publish

MAX_POINTS_PER_STEP: Final = 16
"""Most points of the interval grid that one step takes; the rest stay due."""


@dataclass(slots=True)
class _Step:
    """What one step has gathered, until it is committed."""

    frames: list[FrameRow] = field(default_factory=list)
    receipts: list[ReceiptRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    fresh: dict[tuple[int, int], FrameRow] = field(default_factory=dict)
    results: dict[int, list[Result]] = field(default_factory=dict)
    connected: list[int] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)


class FleetCore:
    """The meters and gateways of one process. `log` must be open for the same plan.

    `keys` verify the commands; without them no signature is looked at.
    """

    def __init__(
        self,
        plan: FleetPlan,
        log: FleetLog,
        window: int = sessions.WINDOW_FRAMES,
        resend_s: float = sessions.RESEND_S,
        keys: FleetKeys | None = None,
    ) -> None:
        self.plan = plan
        self.counts = Counts()
        self._log = log
        self._keys = keys
        self._zone = ZoneInfo(plan.zone)
        self._columns = Columns(plan)
        self._addresses = [plan.address(gateway) for gateway in range(plan.gateways)]
        self._meter_ids = [plan.meter_id(plan.first_number + row) for row in range(plan.meters)]
        self._sessions = [Session(window=window, resend_s=resend_s) for _ in self._addresses]
        self._inbox: deque[Incoming] = deque()
        self._hello_payloads: dict[tuple[int, int], bytes] = {}
        self._connected_before: set[int] = set()
        self._wakes_at: dict[int, float] = {}
        self._timers: list[tuple[float, int]] = []
        self._reading_seq = 0
        self._next_due_s = plan.start_s
        self._now_s = plan.start_s
        self._restore()

    @property
    def next_due_s(self) -> int:
        """The virtual time at which the next reading is due."""
        return self._next_due_s

    @property
    def next_timer_s(self) -> float | None:
        """The monotonic time at which something may have to be sent again; None: nothing waits."""
        return self._timers[0][0] if self._timers else None

    @property
    def now_s(self) -> int:
        """The meters' own time: that of the last step. It never goes back."""
        return self._now_s

    @property
    def sessions(self) -> list[Session]:
        """The session of each gateway, to look at."""
        return self._sessions

    @property
    def columns(self) -> Columns:
        """What the meters hold, to look at."""
        return self._columns

    @property
    def unreceipted(self) -> int:
        """Reading frames that the head-end has not receipted."""
        return sum(len(session.unreceipted) for session in self._sessions)

    def step(self, now_s: int, monotonic_s: float, events: Iterable[Incoming] = ()) -> list[Out]:
        """Go on to virtual time `now_s`, and return what goes on the wire now that it is committed.

        `monotonic_s` runs the timeouts. An earlier `now_s` than before counts as no time passed.

        Raises:
            LogError: nothing of this step may be used; the process has to end.
        """
        self._now_s = max(self._now_s, now_s)
        self._inbox.extend(events)
        step = _Step()
        self._take_readings(step)
        if self._next_due_s > self._now_s:
            while self._inbox:
                gateway, event = self._inbox.popleft()
                self._handle(step, gateway, event, monotonic_s)
        while self._timers and self._timers[0][0] <= monotonic_s:
            _, gateway = heappop(self._timers)
            self._wakes_at.pop(gateway, None)
            step.touched.add(gateway)
        for gateway in sorted(step.touched):
            self._greet_if_due(step, gateway, monotonic_s)
        self._log.append(step.frames, step.receipts, step.events)
        return self._outs(step, monotonic_s)

    def farewell(self) -> list[Out]:
        """What to send before a graceful end: every connected gateway says that it goes."""
        return [
            (gateway, self._status(gateway, online=False))
            for gateway, session in enumerate(self._sessions)
            if session.state in (State.GREETING, State.REPORTING)
        ]

    # --- readings ------------------------------------------------------------------------------------------

    def _take_readings(self, step: _Step) -> None:
        for _ in range(MAX_POINTS_PER_STEP):
            at_s = self._next_due_s
            if at_s > self._now_s:
                return
            registers = self._columns.registers_wh(at_s)
            if is_midnight(at_s, self._zone):
                self._take(step, ReadingKind.SNAPSHOT, at_s, registers)
            self._take(step, ReadingKind.INTERVAL, at_s, registers)
            self._next_due_s = next_point_s(at_s, self.plan.interval_s, self._zone)

    def _take(self, step: _Step, kind: ReadingKind, at_s: int, registers: Integers) -> None:
        self._reading_seq += 1
        self.counts.readings_taken += self.plan.meters
        for gateway, session in enumerate(self._sessions):
            for rows in slices(self.plan.rows(gateway), MAX_READING_ROWS):
                row = self._frame_row(gateway, rows, kind.value, at_s, registers[rows.start : rows.stop])
                step.frames.append(row)
                step.fresh[gateway, row.frame] = row
                session.keep(row.frame, kind, len(rows))
            if session.state is State.REPORTING:
                step.touched.add(gateway)

    def _frame_row(self, gateway: int, rows: range, kind: str, at_s: int, registers: Integers) -> FrameRow:
        return FrameRow(
            gateway=self._addresses[gateway].gateway,
            frame=self._sessions[gateway].take_number(),
            kind=kind,
            at_s=at_s,
            seq=self._reading_seq,
            first_meter_key=self.plan.first_number + rows.start,
            registers_wh=registers,
            open_rows=np.flatnonzero(self._columns.relay_open[rows.start : rows.stop]),
        )

    # --- what comes in -------------------------------------------------------------------------------------

    def _handle(self, step: _Step, gateway: int, event: LinkEvent, monotonic_s: float) -> None:
        session = self._sessions[gateway]
        step.touched.add(gateway)
        match event:
            case Dialled():
                session.handle(sessions.Event.DIALLED, monotonic_s)
            case Connected():
                self.counts.connects += 1
                self.counts.reconnects += gateway in self._connected_before
                self._connected_before.add(gateway)
                step.connected.append(gateway)
                session.handle(sessions.Event.CONNECTED, monotonic_s)
            case Disconnected():
                if session.state in (State.GREETING, State.REPORTING):
                    self.counts.disconnects += 1
                session.handle(sessions.Event.LOST, monotonic_s)
            case Message(topic, payload):
                if session.state in (State.GREETING, State.REPORTING):
                    self._read(step, gateway, topic, payload, monotonic_s)

    def _read(self, step: _Step, gateway: int, topic: str, payload: bytes, monotonic_s: float) -> None:
        try:
            address, channel = parse_topic(topic)
            message = decode(channel, payload)
        except WireError:
            self.counts.bad_messages += 1
            return
        if address != self._addresses[gateway]:
            self.counts.bad_messages += 1
            return
        match message:
            case Commands():
                policies = policies_of(message.policies)
                for command in message.commands:
                    if isinstance(command, Unknown):
                        self.counts.commands_unknown += 1
                    else:
                        self._command(step, gateway, command, policies, monotonic_s)
            case Receipts():
                for receipt in message.receipts:
                    self._receipt(step, gateway, receipt, monotonic_s)
            case Request():
                self._sessions[gateway].handle(sessions.Event.HELLO_WANTED, monotonic_s)
            case _:
                self.counts.bad_messages += 1

    def _command(
        self, step: _Step, gateway: int, command: Command, policies: Policies, monotonic_s: float
    ) -> None:
        results = step.results.setdefault(gateway, [])
        row = self._row_of(gateway, command.meter)
        if row is None:
            self.counts.commands_refused += 1
            results.append(refuse_unknown(command, self._now_s))
            return
        refusal = None
        if self._keys is not None:
            refusal = self._keys.refusal(command, self._columns.clock_s(row, self._now_s), monotonic_s)
        meter_key = self.plan.first_number + row
        result, event = carry_out(command, refusal, policies, self._columns, row, meter_key, self._now_s)
        results.append(result)
        if event is not None:
            step.events.append(event)
            self.counts.credits_applied += event.kind == "credit"
            self.counts.relay_changes += event.kind == "relay"
            self.counts.policies_applied += event.kind == "policy"
            self.counts.commands_refused += event.kind == "refused"

    def _row_of(self, gateway: int, meter: str) -> int | None:
        digits = meter.removeprefix(self.plan.meter_prefix)
        if not (digits.isascii() and digits.isdigit()):
            return None
        number = int(digits)
        row = number - self.plan.first_number
        # Comparing the whole id refuses other spellings of the same number.
        return row if row in self.plan.rows(gateway) and self._meter_ids[row] == meter else None

    def _receipt(self, step: _Step, gateway: int, receipt: Receipt, monotonic_s: float) -> None:
        if receipt.frame is None:
            self.counts.bad_messages += 1
            return
        session = self._sessions[gateway]
        kept = session.unreceipted.get(receipt.frame)
        settled = session.receipt(receipt.frame, receipt.outcome, receipt.retry_after_s, monotonic_s)
        if settled not in (Settled.HELLO, Settled.READINGS):
            return
        refused_rows = len(receipt.refused)
        name = self._addresses[gateway].gateway
        step.receipts.append(
            ReceiptRow(name, receipt.frame, receipt.outcome.value, receipt.code, refused_rows, self._now_s)
        )
        self.counts.rows_refused += refused_rows
        refused = receipt.outcome is ReceiptOutcome.REFUSED
        self.counts.frames_refused += refused
        if kept is None:
            self._hello_payloads.pop((gateway, receipt.frame), None)
        elif not refused:
            self.counts.frames_receipted += 1
            self.counts.readings_receipted += kept.rows

    # --- what goes out -------------------------------------------------------------------------------------

    def _greet_if_due(self, step: _Step, gateway: int, monotonic_s: float) -> None:
        session = self._sessions[gateway]
        if session.greet_at_s is None or session.greet_at_s > monotonic_s:
            return
        for frame in session.hellos:
            self._hello_payloads.pop((gateway, frame), None)
        frames = []
        for rows in slices(self.plan.rows(gateway), MAX_HELLO_ROWS):
            registers = self._columns.registers_wh(self._now_s, slice(rows.start, rows.stop))
            row = self._frame_row(gateway, rows, HELLO, self._now_s, registers)
            step.frames.append(row)
            ids = self._meter_ids[rows.start : rows.stop]
            self._hello_payloads[gateway, row.frame] = encode_hello(row, rows.start, ids, self._columns)
            frames.append(row.frame)
        session.greet(frames)

    def _outs(self, step: _Step, monotonic_s: float) -> list[Out]:
        outs = [
            (gateway, self._status(gateway, online=True))
            for gateway in step.connected
            if self._sessions[gateway].state is not State.DISCONNECTED
        ]
        for gateway in sorted(step.touched):
            session = self._sessions[gateway]
            if session.state in (State.DISCONNECTED, State.CONNECTING):
                continue
            for payload in encode_results(step.results.get(gateway, []), self._now_s):
                outs.append(self._up(gateway, Channel.RESULTS, payload))
            self.counts.results_sent += len(step.results.get(gateway, []))
            greeting = session.state is State.GREETING
            for frame in session.due_frames(monotonic_s):
                if greeting:
                    self.counts.hello_frames_sent += 1
                    outs.append(self._up(gateway, Channel.HELLO, self._hello_payloads[gateway, frame]))
                else:
                    self.counts.frames_sent += 1
                    outs.append(self._up(gateway, Channel.READINGS, self._readings(step, gateway, frame)))
            self._set_timer(gateway, session.next_due_s())
        return outs

    def _set_timer(self, gateway: int, due_s: float | None) -> None:
        # A timer that is set too early does no harm: it finds nothing due and is set again.
        if due_s is not None and due_s < self._wakes_at.get(gateway, math.inf):
            self._wakes_at[gateway] = due_s
            heappush(self._timers, (due_s, gateway))

    def _readings(self, step: _Step, gateway: int, frame: int) -> bytes:
        row = step.fresh.get((gateway, frame))
        if row is None:
            row = self._log.frame(self._addresses[gateway].gateway, frame)
        first = row.first_meter_key - self.plan.first_number
        return encode_readings(row, self._meter_ids[first : first + len(row.registers_wh)], self._now_s)

    def _status(self, gateway: int, online: bool) -> Publish:
        payload = encode(Status(online=online))
        return Publish(self._addresses[gateway].topic(Channel.STATUS), payload, retain=True)

    def _up(self, gateway: int, channel: Channel, payload: bytes) -> Out:
        return gateway, Publish(self._addresses[gateway].topic(channel), payload)

    # --- after a restart -----------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Take everything that the meters and gateways remember from the log."""
        log = self._log
        restore_meters(self._columns, log, self.plan.first_number)
        gateways = {address.gateway: gateway for gateway, address in enumerate(self._addresses)}
        for name, frame in log.last_frames().items():
            self._sessions[gateways[name]].next_frame = frame + 1
        for name, frame, kind, rows in log.unreceipted():
            self._sessions[gateways[name]].keep(frame, kind, rows)
        progress = log.progress()
        taken_until_s = self.plan.start_s if progress is None else progress.taken_until_s
        self._reading_seq = 0 if progress is None else progress.seq
        self._next_due_s = next_point_s(taken_until_s, self.plan.interval_s, self._zone)
        self._now_s = max(self.plan.start_s, log.last_time_s())
