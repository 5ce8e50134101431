"""The simulated plant with numbered points at which a process dies or its disk fails, and who puts that right.

Owns the points: it counts those of one kind, lets happen what is to happen there, starts again what died, and
tells the judge. Knows no story and judges nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import TracebackType
from typing import Any, Final

from headend.adapters.memory import MemoryLink
from headend.service.ports import Store, StoreError, UnitOfWork
from headend.service.server import Headend, Settings
from headend.service.traffic import Arrival, Outgoing
from meter_sim.fleet import FleetPlan
from meter_sim.lab.disk import Disk
from meter_sim.lab.journal import Journal
from meter_sim.lab.plant import Payment
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.simulation.desk import Answer
from meter_sim.lab.simulation.machine import Killed
from meter_sim.lab.simulation.plant import SimulatedPlant

BACK_AFTER_S: Final = 400
"""A supervisor starts again what died, after so long."""

HEARTBEAT_S: Final = 3_600.0
"""Not longer than the shortest outage by the rules: an outage of the head-end is dated from the last one."""

LAST_WORDS_S: Final = 0.1
"""What a process had sent as it died still arrives: the kernel has it, and closes the connection after it."""

HEALS_AFTER_S: Final = 2_400
"""A disk that fails is sound again after so long."""

DEATHS: Final = 5
"""So often a process dies that dies at every point from one on."""

MORE_THAN_THERE_ARE: Final = 1_000_000


class Kind(StrEnum):
    """Where a process can die."""

    COMMIT = "commit"
    """Of the head-end: before it, and after it."""
    PUBLISH = "publish"
    """Of one message of the head-end: before it, and after it."""
    SETTLE = "acknowledgement"
    """Of the messages of one step of the head-end: before it, and after it."""
    COUNTER = "counter"
    """Of a recharge, an enquiry or an order: before its commit, and between that and its answer."""


class Harm(StrEnum):
    """What befalls the disk at a point: an operation that changes it. Head-end and counter share the disk."""

    FAILS_ONCE = "fails once"
    FAILS = "fails from then on"
    IS_FULL = "is full from then on"
    LOSES_POWER = "loses power"
    DIES = "SIGKILL beneath a commit"
    DIES_UNSYNCED = "SIGKILL before a sync, an answer, then power loss"
    """The points are the syncs only. Whoever asked asks a new process at once; then the power goes."""


@dataclass(slots=True)
class CrashPoints:
    """At the `number`-th point of a kind a process dies; or there and at the following, `deaths` times in all."""

    kind: Kind | None = None
    number: int = 0
    deaths: int = 1
    fired: int = 0
    armed: bool = False

    def reach(self, kind: Kind) -> None:
        """A process is at a point.

        Raises:
            Killed: it dies here.
        """
        if not self.armed or kind is not self.kind or self.fired == self.deaths:
            return
        if self.number > 0:
            self.number -= 1
            return
        self.fired += 1
        raise Killed


@dataclass(frozen=True, slots=True)
class Trouble:
    """The `number`-th operation of the disk is where it happens."""

    harm: Harm
    number: int = MORE_THAN_THERE_ARE


@dataclass(slots=True)
class MortalStore:
    """A store whose process dies around commits."""

    store: Store
    points: CrashPoints

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        with self.store.transaction() as uow:
            yield uow
            self.points.reach(Kind.COMMIT)
        self.points.reach(Kind.COMMIT)

    def view(self) -> AbstractContextManager[UnitOfWork]:
        return self.store.view()

    def changed(self) -> bool:
        return self.store.changed()

    def close(self) -> None:
        self.store.close()


@dataclass(slots=True)
class MortalLink:
    """A link whose process dies around acknowledgements. (Around publications: `CrashPlant`.)"""

    link: MemoryLink
    points: CrashPoints

    def receive(self, limit: int, timeout_s: float) -> list[Arrival]:
        return self.link.receive(limit, timeout_s)

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        if not arrivals:
            return
        self.points.reach(Kind.SETTLE)
        self.link.settle(arrivals)
        self.points.reach(Kind.SETTLE)

    def send(self, outgoing: Sequence[Outgoing], now_s: int) -> None:
        self.link.send(outgoing, now_s)

    def close(self) -> None:
        self.link.close()


class CrashPlant(SimulatedPlant):
    """See the module. `fired` of points and plant: how often it happened."""

    def __init__(
        self,
        scenario: Scenario,
        plan: FleetPlan,
        folder: RunFolder,
        seed: int,
        points: CrashPoints,
        trouble: Trouble | None,
        serving: type[Headend] = Headend,
    ) -> None:
        self.fired = 0
        self.operations = 0
        """By which the disk was changed, in all."""
        self._points = points
        self._trouble = trouble
        self._serving = serving
        self._faulty: Disk | None = None
        self._gone_at_s: float | None = None
        self._back_at_s: float | None = None
        self._heals_at_s: float | None = None
        self._broken: dict[tuple[str, str], str] = {}
        self._names = 0
        super().__init__(scenario, plan, folder, seed, heartbeat_s=HEARTBEAT_S, make=self._make_mortal)
        self._notes = Journal(folder.journal, lambda: self.now_s)
        self._sound_command = self.machine.command
        self.machine.command = self._command  # type: ignore[method-assign]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The end in good order is not part of what can be told by anybody afterwards.
        self._points.armed = False
        if self._faulty is not None:
            self.operations = self._faulty.counts.changes
            self._faulty.heal()
        self._notes.close()
        super().__exit__(kind, error, trace)

    def set_up(self, payments: Sequence[Payment]) -> list[Answer]:
        answers = super().set_up(payments)
        self._points.armed = True
        if self._faulty is not None and self._trouble is not None:
            self._lay(self._faulty, self._trouble)
        return answers

    def has_converged(self) -> bool:
        return self._back_at_s is None and not self._broken and super().has_converged()

    # --- processes that die --------------------------------------------------------------------------------

    def _make_mortal(self, store: Store, link: MemoryLink, clock: Any, settings: Settings) -> Headend:
        return self._serving(MortalStore(store, self._points), MortalLink(link, self._points), clock, settings)

    def _from_headend(self, topic: str, payload: bytes) -> None:
        self._points.reach(Kind.PUBLISH)
        super()._from_headend(topic, payload)
        self._points.reach(Kind.PUBLISH)

    @contextmanager
    def _command(self) -> Iterator[UnitOfWork]:
        try:
            with self._sound_command() as uow:
                yield uow
                self._points.reach(Kind.COUNTER)
            self._points.reach(Kind.COUNTER)
        except Killed:
            self.machine.close_counter()
            self._note("process-kill", "counter", began=True)
            self._note("process-kill", "counter", began=False)
            raise StoreError("the command was killed", transient=False) from None

    # --- the disk ------------------------------------------------------------------------------------------

    def _disk(self, scenario: Scenario, folder: RunFolder) -> Disk | None:
        if self._trouble is not None:
            self._faulty = self._exit.enter_context(Disk(folder.store, before=self._before_operation))
        return self._faulty

    def _lay(self, disk: Disk, trouble: Trouble) -> None:
        match trouble.harm:
            case Harm.FAILS_ONCE | Harm.FAILS:
                disk.fail_after(trouble.number, once=trouble.harm is Harm.FAILS_ONCE)
            case Harm.LOSES_POWER | Harm.DIES:
                disk.freeze_after(trouble.number)
            case Harm.DIES_UNSYNCED:
                disk.freeze_after(trouble.number, "sync")
        self._full_at = disk.counts.changes + trouble.number

    def _before_operation(self) -> None:
        if self._trouble is None or self._trouble.harm is not Harm.IS_FULL or not self._points.armed:
            return
        assert self._faulty is not None
        if not self._faulty.fired and self._faulty.counts.changes >= self._full_at:
            self._faulty.full = True
            self._faulty.fired = 1

    def recharge(self, payment: Payment) -> Answer | None:
        answer = super().recharge(payment)
        if answer is not None or self._trouble is None or self._trouble.harm is not Harm.DIES_UNSYNCED:
            return answer
        if self._faulty is None or not self._faulty.fired or self.fired:
            return answer
        self._notice(self._faulty, self._trouble)
        answer = super().recharge(payment)
        self._lose_power(self._trouble)
        return answer

    def _attend_disk(self) -> None:
        """Notice what befell the disk, and put it right after a while."""
        disk, now_s = self._faulty, self._clock.monotonic_s()
        if disk is None or self._trouble is None:
            return
        if disk.fired and not self.fired:
            self._notice(disk, self._trouble)
        if self._heals_at_s is not None and now_s >= self._heals_at_s:
            self._heals_at_s = None
            disk.heal()
            self._note("store-error", "store", began=False)

    def _notice(self, disk: Disk, trouble: Trouble) -> None:
        self.fired = 1
        match trouble.harm:
            case Harm.FAILS_ONCE | Harm.FAILS | Harm.IS_FULL:
                self._note("store-error", "store", began=True)
                self._heals_at_s = self._clock.monotonic_s() + HEALS_AFTER_S
            case Harm.LOSES_POWER:
                self._lose_power(trouble)
            case Harm.DIES | Harm.DIES_UNSYNCED:
                self.machine.close_counter()
                self.machine.kill()
                disk.thaw()

    def _lose_power(self, trouble: Trouble) -> None:
        self._note("power-cut", "machine", began=True)
        self.network.detach(self._headend)
        self.cut_power(Random(f"power {trouble.number}"))
        self._note("power-cut", "machine", began=False)

    # --- the supervisor ------------------------------------------------------------------------------------

    def _step(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._back_at_s is not None and now_s >= self._back_at_s:
            self._back_at_s = None
            self._start_headend()
            if self.machine.headend is not None:
                self._note("process-kill", "headend", began=False)
        super()._step()
        self._attend_disk()
        if self.machine.headend is None and self._back_at_s is None:
            self._note("process-kill", "headend", began=True)
            self._gone_at_s = now_s + LAST_WORDS_S
            self._back_at_s = now_s + BACK_AFTER_S
        if self._gone_at_s is not None and now_s >= self._gone_at_s:
            self._gone_at_s = None
            self.network.detach(self._headend)

    def _next_due_s(self) -> float:
        times = (super()._next_due_s(), self._gone_at_s, self._back_at_s, self._heals_at_s)
        return min(at_s for at_s in times if at_s is not None)

    def _note(self, fault: str, part: str, *, began: bool) -> None:
        """Tell the judge that a fault began or ended; what has begun begins no second time."""
        if began == ((fault, part) in self._broken):
            return
        if began:
            self._names += 1
            self._broken[fault, part] = f"{self._names}-{fault}"
        name = self._broken[fault, part] if began else self._broken.pop((fault, part))
        event = "began" if began else "ended"
        self._notes.note("fault", event=event, name=name, fault=fault, what={"part": part})
