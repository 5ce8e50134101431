"""The shell around a fleet's core: the wall clock, the broker link, and when to stop."""

import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any, Final

from headend.wire.timescale import TimeScale
from meter_sim.control import Control
from meter_sim.core import FleetCore
from meter_sim.grid import utc_text
from meter_sim.mqtt_link import FleetLink
from meter_sim.session import State
from meter_sim.traffic import Incoming

IDLE_S: Final = 0.5
"""Longest wait without looking whether to stop."""

CONTROLLED_IDLE_S: Final = 0.05
"""The same where a control file may change."""

REPORT_EVERY_S: Final = 0.5


class BrokerUnreachableError(Exception):
    """No link came up within the time allowed at the start."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends: `run_for_s` in virtual seconds (None: never), `connect_timeout_s` in wall seconds."""

    run_for_s: int | None = None
    connect_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a run stands. Written as JSON for other programs."""

    virtual_time: str
    virtual_time_s: int
    behind_s: int
    """How far the readings are behind the clock, virtual seconds."""
    wall_s: float
    gateways: int
    meters: int
    sessions: int
    reporting: int
    unreceipted_frames: int
    relays_open: int
    messages_dropped: int
    counts: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """One flat JSON object; the counts stand among the other fields."""
        fields = asdict(self)
        counts: dict[str, Any] = fields.pop("counts")
        return fields | counts


class Stop:
    """Turns SIGTERM and SIGINT into a wish to end."""

    def __init__(self) -> None:
        self.wanted = False

    def listen(self) -> None:
        """Take over both signals; a second SIGINT interrupts the hard way."""
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.wanted = True
        signal.signal(number, signal.SIG_DFL)


def run(
    core: FleetCore,
    link: FleetLink,
    clock: TimeScale,
    limits: Limits,
    stop: Stop,
    report: Callable[[Snapshot], None],
    control: Control | None = None,
) -> Snapshot:
    """Run until told to stop or the time is over; then say goodbye. Returns the end state.

    Raises:
        ValueError: the control file has no sense.
        BrokerUnreachableError: the broker was never reached in time.
        LogError: the log failed; what was sent before is in it.
    """
    began_s = time.monotonic()
    first_virtual_s = clock.virtual_s(time.time())
    report_at_s = 0.0
    events: list[Incoming] = []
    while not stop.wanted:
        if control is not None and (offsets_s := control.changed()) is not None:
            core.columns.shift_clocks(core.plan, offsets_s)
        now_s, virtual_s = time.monotonic(), clock.virtual_s(time.time())
        link.send(core.step(virtual_s, now_s, events))
        if now_s >= report_at_s:
            report_at_s = now_s + REPORT_EVERY_S
            report(look(core, link, virtual_s, now_s - began_s))
        if limits.run_for_s is not None and virtual_s - first_virtual_s >= limits.run_for_s:
            break
        if not link.was_up and now_s - began_s > limits.connect_timeout_s:
            why = link.last_error or "no answer"
            raise BrokerUnreachableError(
                f"the broker at {link.where} was not reached within {limits.connect_timeout_s:g} s ({why}); "
                "is it running, and is --broker right?"
            )
        events = link.poll(_wait_s(core, clock, IDLE_S if control is None else CONTROLLED_IDLE_S))
    virtual_s = clock.virtual_s(time.time())
    link.send(core.step(virtual_s, time.monotonic(), events))
    link.send(core.farewell())
    end = look(core, link, virtual_s, time.monotonic() - began_s)
    link.close()
    return end


def look(core: FleetCore, link: FleetLink, virtual_s: int, wall_s: float) -> Snapshot:
    """How the run stands now."""
    counts = asdict(core.counts)
    return Snapshot(
        virtual_time=utc_text(virtual_s),
        virtual_time_s=virtual_s,
        behind_s=max(0, virtual_s - core.next_due_s),
        wall_s=round(wall_s, 3),
        gateways=core.plan.gateways,
        meters=core.plan.meters,
        sessions=link.up,
        reporting=sum(session.state is State.REPORTING for session in core.sessions),
        unreceipted_frames=core.unreceipted,
        relays_open=int(core.columns.relay_open.sum()),
        messages_dropped=link.dropped,
        counts=counts,
    )


def _wait_s(core: FleetCore, clock: TimeScale, idle_s: float) -> float:
    """Wall seconds until something is due if nothing comes in, at most `idle_s`."""
    waits = [idle_s, clock.wall_s(core.next_due_s) - time.time()]
    if core.next_timer_s is not None:
        waits.append(core.next_timer_s - time.monotonic())
    return max(0.0, min(waits))
