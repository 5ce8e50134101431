"""The head-end's machine in a simulation: its clock, its disk, the process that serves, and the counter beside it.

The store is a real one in a file; each process has its own connection to it. What a process held in memory is
gone when it dies; what it had not committed is too.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from headend.adapters.memory import ManualClock, MemoryLink
from headend.adapters.sqlite import SqliteStore
from headend.service.ports import Store, StoreError, UnitOfWork
from headend.service.server import Headend, Settings
from headend.wire.keys import KeyRing
from meter_sim.lab.plant import ClockShift, DiskState

STORE_RETRY_S: Final = 300.0
"""A head-end whose store cannot be written tries again after so long."""

OPERATIONS_A_COMMIT: Final = 20
"""Of a slow disk: so many of its delays make a step longer."""

SLICE_S: Final = 10.0
"""A process that gets a share of the machine runs for the first part of each such slice."""


class Killed(Exception):  # noqa: N818
    """The process was killed here."""


class FragileStore:
    """A process's connection to the store; its next transaction can be made the last thing that it does."""

    def __init__(self, path: Path) -> None:
        self._store = SqliteStore(path)
        self.kill: str | None = None
        """`before commit`, `after commit`; None: it lives."""

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        """See `Store.transaction`."""
        kill, self.kill = self.kill, None
        with self._store.transaction() as uow:
            yield uow
            if kill == "before commit":
                raise Killed
        if kill == "after commit":
            raise Killed

    def view(self) -> AbstractContextManager[UnitOfWork]:
        """See `Store.view`."""
        return self._store.view()

    def changed(self) -> bool:
        """See `Store.changed`."""
        return self._store.changed()

    def close(self) -> None:
        """See `Store.close`."""
        self._store.close()


@dataclass(slots=True)
class ShiftedClock:
    """A clock with errors: `Clock` on top of the right time."""

    right: ManualClock
    shifts: dict[str, tuple[ClockShift, float]] = field(default_factory=dict)
    """Each with the monotonic time since when it drifts."""

    def now_s(self) -> int:
        """See `Clock.now_s`."""
        return max(0, self.right.now_s() + self.error_s())

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return self.right.monotonic_s()

    def error_s(self) -> int:
        """How far it is ahead."""
        return sum(error_s(shift, self.right.monotonic_s() - since_s) for shift, since_s in self.shifts.values())


def error_s(shift: ClockShift, lasts_s: float) -> int:
    """What a shift comes to after a while."""
    return shift.offset_s + int(lasts_s * shift.drift_ppm / 1_000_000)


class Machine:
    """The head-end's machine. `sent` gets what the head-end publishes, while its process is up."""

    def __init__(
        self,
        store: Path,
        clock: ManualClock,
        settings: Settings,
        ring: KeyRing,
        sent: Callable[[str, bytes], None],
        chance: Random,
        disk: Any = None,
    ) -> None:
        """`disk`: a `lab.disk.Disk` beneath the store; None: a sound one that nothing happens to."""
        self.clock = ShiftedClock(clock)
        self.settings = settings
        self.link: MemoryLink | None = None
        self.headend: Headend | None = None
        self.is_paused = False
        self.share = 1.0
        self.wakes_at_s = 0.0
        self._path = store
        self._ring = ring
        self._sent = sent
        self._chance = chance
        self._disk = disk
        self._delay_s = 0.0
        self._own: FragileStore | None = None
        self._counter: Store | None = None

    # --- the serving process -------------------------------------------------------------------------------

    def start(self, make: Callable[[Store, MemoryLink, ShiftedClock, Settings], Headend] = Headend) -> bool:
        """Start `headend serve`; whether the store could be opened."""
        try:
            self._own = FragileStore(self._path)
        except StoreError:
            return False
        self.link = MemoryLink(self._sent, self._ring)
        self.headend = make(self._own, self.link, self.clock, self.settings)
        self.wakes_at_s = 0.0
        return True

    def kill(self) -> None:
        """SIGKILL: between two steps, or around the commit of the one that is due."""
        if self.headend is None or self._own is None:
            return
        where = self._chance.choice((None, "before commit", "after commit"))
        if where is not None and not self.is_paused:
            self._own.kill = where
            with suppress(Killed, StoreError):
                self.headend.step(0.0)
        with self._dead():
            self._end()

    @contextmanager
    def _dead(self) -> Iterator[None]:
        """What is closed meanwhile belongs to a process that was killed: no close of its own syncs anything."""
        if self._disk is None:
            yield
            return
        self._disk.freeze()
        yield
        self._disk.thaw()

    def _end(self) -> None:
        own, self._own, self.headend, self.link = self._own, None, None, None
        if own is not None:
            own.close()

    def stop(self) -> None:
        """End in good order."""
        if self.headend is not None:
            self.headend.stop()
        self._end()
        self.close_counter()

    def step(self) -> None:
        """Let the serving process do what it has to do."""
        now_s = self.clock.monotonic_s()
        while self.headend is not None and not self.is_paused and now_s >= self._next_turn_s(now_s):
            try:
                if not self.headend.step(0.0):
                    return
            except Killed:
                self._end()
                return
            except StoreError as error:
                if not error.transient:
                    self._end()
                    return
                self.wakes_at_s = now_s + STORE_RETRY_S
                return
            if self._delay_s:
                self.wakes_at_s = now_s + self._delay_s * OPERATIONS_A_COMMIT

    def next_due_s(self) -> float | None:
        """When something is due by itself; None: it does not run."""
        if self.headend is None or self.is_paused:
            return None
        return self._next_turn_s(max(self.headend.next_due_s(), self.wakes_at_s))

    def next_turn_s(self) -> float:
        """When it can do something at the earliest."""
        return self._next_turn_s(self.clock.monotonic_s())

    def _next_turn_s(self, at_s: float) -> float:
        at_s = max(at_s, self.wakes_at_s)
        if self.share >= 1.0:
            return at_s
        into_s = at_s % SLICE_S
        return at_s if into_s < SLICE_S * self.share else at_s - into_s + SLICE_S

    # --- the counter and other commands --------------------------------------------------------------------

    @contextmanager
    def command(self) -> Iterator[UnitOfWork]:
        """A transaction of a command line beside the head-end.

        Raises:
            StoreError: nothing was done.
        """
        if self._counter is None:
            self._counter = SqliteStore(self._path)
        with self._counter.transaction() as uow:
            yield uow

    def close_counter(self) -> None:
        """The commands end."""
        counter, self._counter = self._counter, None
        if counter is not None:
            counter.close()

    def kill_counter(self) -> None:
        """SIGKILL of all commands."""
        with self._dead():
            self.close_counter()

    # --- disk ----------------------------------------------------------------------------------------------

    def set_disk(self, states: Mapping[str, DiskState]) -> None:
        """How the disk behaves from now on: all of these together."""
        self._delay_s = sum(state.delay_s for state in states.values())
        if self._disk is None:
            return
        self._disk.full = any(state.full for state in states.values())
        self._disk.lies = any(state.lies for state in states.values())
        self._disk.fails = next((state.fails for state in states.values() if state.fails), None)

    def cut_power(self, chance: Random) -> None:
        """All processes die with what is not synced."""
        if self._disk is not None:
            self._disk.freeze()
        self._end()
        self.close_counter()
        if self._disk is not None:
            self._disk.power_cut(chance)

    def back_up(self, copy: Path) -> bool:
        """A consistent copy of the store, as an administrator makes it; whether the disk gave it."""
        try:
            with closing(sqlite.connect(str(self._path))) as source, closing(sqlite.connect(str(copy))) as target:
                source.backup(target)
        except sqlite.Error:
            return False
        return True

    def restore(self, copy: Path) -> None:
        """Put the copy in place; nothing may run."""
        assert self.headend is None
        self.close_counter()
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        shutil.copy(copy, self._path)
        if self._disk is not None:
            self._disk.settle()
