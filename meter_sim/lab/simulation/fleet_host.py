"""The fleet's process in a simulation: the real fleet code, its log, and the clocks of its meters."""

from pathlib import Path
from typing import Final

from meter_sim.core import FleetCore
from meter_sim.fleet import FleetPlan, clock_errors_s
from meter_sim.keys import FleetKeys
from meter_sim.lab.plant import ClockShift
from meter_sim.lab.simulation.machine import error_s
from meter_sim.log import FleetLog
from meter_sim.session import State
from meter_sim.traffic import Connected, Dialled, Disconnected, Incoming, Message, Out

RESEND_S: Final = 900.0
"""A minute of silence costs a step; days of it would cost thousands, for nothing."""

FRESH_FRAMES: Final = 4
"""Of each gateway so many frames may be under way without being late."""


class FleetHost:
    """Starts and dies like a process; the log outlives it."""

    def __init__(self, plan: FleetPlan, log: Path, keys: Path | None) -> None:
        """Without `keys` the meters look at no signature."""
        self.is_paused = False
        self.shifts: dict[str, tuple[ClockShift, float]] = {}
        """Errors of the meters' clocks, each with the monotonic time since when it drifts."""
        self._plan = plan
        self._path = log
        self.keys = keys
        self._events: list[Incoming] = []
        self._log: FleetLog | None = None
        self.core: FleetCore | None = None

    def start(self, monotonic_s: float) -> None:
        """Go on from the log."""
        self._log = FleetLog.open(self._path, self._plan, "virtual")
        keys = None if self.keys is None else FleetKeys(self.keys)
        self.core = FleetCore(self._plan, self._log, resend_s=RESEND_S, keys=keys)
        self.set_clocks(monotonic_s)

    def kill(self) -> None:
        """SIGKILL: what was not in the log is gone."""
        self._events.clear()
        self.core = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def link_changed(self, gateway: int, up: bool) -> None:
        """A gateway's connection came up or went."""
        self._events += [(gateway, Dialled()), (gateway, Connected())] if up else [(gateway, Disconnected())]

    def deliver(self, gateway: int, topic: str, payload: bytes) -> None:
        """A message came down."""
        self._events.append((gateway, Message(topic, payload)))

    def set_clocks(self, monotonic_s: float) -> None:
        """The meters' clocks as they are now; those that drift have to be set again and again."""
        if self.core is None:
            return
        errors = clock_errors_s(self._plan)
        for shift, since_s in self.shifts.values():
            for gateway in range(self._plan.gateways):
                if self._plan.address(gateway).gateway in shift.gateways:
                    rows = self._plan.rows(gateway)
                    errors[rows.start : rows.stop] += error_s(shift, monotonic_s - since_s)
        self.core.columns.clock_error_s = errors

    def step(self, now_s: int, monotonic_s: float) -> list[Out]:
        """Do what there is to do; what goes out."""
        core = self.core
        if core is None or self.is_paused:
            return []
        timer_s = core.next_timer_s
        if not (self._events or core.next_due_s <= now_s or (timer_s is not None and timer_s <= monotonic_s)):
            return []
        events, self._events = self._events, []
        return core.step(now_s, monotonic_s, events)

    def next_due_s(self) -> float | None:
        """The monotonic time at which something is due; None: it does not run."""
        if self.core is None or self.is_paused:
            return None
        due_s = float(self.core.next_due_s - self._plan.start_s)
        return 0.0 if self._events else min(due_s, self.core.next_timer_s or due_s)

    @property
    def is_reporting(self) -> bool:
        """Whether every gateway's session is up."""
        return self.core is not None and all(session.state is State.REPORTING for session in self.core.sessions)

    @property
    def relays_open(self) -> int:
        """Homes without supply."""
        return 0 if self.core is None else int(self.core.columns.relay_open.sum())

    @property
    def has_unreceipted(self) -> bool:
        """Whether anything waits for a receipt."""
        return self.core is None or self.core.unreceipted > 0

    def readings_late(self) -> int:
        """Readings without a receipt, but for the newest of each gateway, which are under way."""
        late = 0
        for session in self.core.sessions if self.core is not None else ():
            rows = sorted(((frame, kept.rows) for frame, kept in session.unreceipted.items()), reverse=True)
            late += sum(rows for _, rows in rows[FRESH_FRAMES:])
        return late
