"""Both ends without a network: the real head-end core and the real fleet code on one virtual clock, from one seed.

The wire loses, repeats, delays and so reorders messages; either end dies between any two of its steps or around a
commit. The disk of each end (the store, the meters' log) outlives its process.
"""

import hashlib
import heapq
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from plain_rules import order_relay, plain_rules

from headend.adapters.fleet_log import SqliteFleetLog
from headend.adapters.memory import ManualClock, MemoryLink, memory_store
from headend.adapters.sqlite import SqliteStore
from headend.domain.ledger import RecordOutcome
from headend.service.accounts import Recharge, record_recharge, register_meters
from headend.service.audit import audit
from headend.service.audit_protection import ProtectionAudit
from headend.service.ports import UnitOfWork
from headend.service.rows import DEFAULT_LOAD_W, Registration
from headend.service.server import Headend, Settings
from headend.service.traffic import GatewayId
from headend.wire.codec import decode
from headend.wire.keys import KeyRing
from headend.wire.messages import Commands, CreditCommand, RelayCommand
from headend.wire.topics import Channel, parse_topic
from meter_sim.core import FleetCore
from meter_sim.fleet import FleetPlan
from meter_sim.grid import midnight_s
from meter_sim.keys import FleetKeys
from meter_sim.load import opening_register_wh
from meter_sim.log import FleetLog
from meter_sim.traffic import Connected, Disconnected, Incoming, Message

ZONE = ZoneInfo("Asia/Kolkata")
START_DAY = date(2024, 10, 30)
START_S = midnight_s(START_DAY, ZONE)
PRICE = 4_120
SETTINGS = Settings(
    zone=ZONE,
    rules=plain_rules(PRICE),
    max_day_wh=2_400_000,
    window=20,
    answer_timeout_s=30.0,
    heartbeat_s=300.0,
    poll_s=1.0,
    silent_after_s=3_600,
)


class Killed(Exception):  # noqa: N818
    """The head-end was killed here."""


class FragileStore:
    """The head-end's connection to the store. Its next transaction can be made the last of its process.

    `disk` is the store as others use it: what they commit is news to the head-end.
    """

    def __init__(self, disk: SqliteStore) -> None:
        self.disk = disk
        self.kill: str | None = None
        self.news = False

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        kill, self.kill = self.kill, None
        with self.disk.transaction() as uow:
            yield uow
            if kill == "before commit":
                raise Killed
        if kill == "after commit":
            raise Killed

    def view(self) -> AbstractContextManager[UnitOfWork]:
        return self.disk.view()

    def changed(self) -> bool:
        changed, self.news = self.news, False
        return changed

    def close(self) -> None:
        self.disk.close()

    @contextmanager
    def other_process(self) -> Iterator[UnitOfWork]:
        """A transaction of a command line beside the head-end."""
        with self.disk.transaction() as uow:
            yield uow
        self.news = True


@dataclass(frozen=True)
class Faults:
    """Shares of messages (0 to 1) and seconds."""

    loss: float = 0.0
    repeat: float = 0.0
    most_delay_s: float = 0.2


class World:
    """One run. `advance` lets time pass; the rest is what people and accidents do.

    `load_w`: the sanctioned load of the homes. `ring`: commands are signed with it, and the meters verify them.
    `protected`: the audit holds all cuts against the rules of the settings too.
    """

    def __init__(
        self,
        directory: Path,
        seed: int,
        meters: int = 12,
        meters_per_gateway: int = 4,
        *,
        settings: Settings = SETTINGS,
        start_day: date = START_DAY,
        interval_s: int = 900,
        load_w: int = DEFAULT_LOAD_W,
        ring: KeyRing | None = None,
        protected: bool = False,
    ) -> None:
        self.random = random.Random(seed)
        self.faults = Faults()
        self.settings = settings
        self.start_day = start_day
        self.start_s = midnight_s(start_day, ZONE)
        self.plan = FleetPlan(meters, meters_per_gateway, "R1", self.start_s, seed=seed, interval_s=interval_s)
        self.clock = ManualClock(self.start_s)
        self.store = FragileStore(memory_store())
        self.log_path = directory / "fleet.db"
        self._load_w = load_w
        self._ring = ring
        self._ring_path = directory / "keys.json"
        self._protection = ProtectionAudit(settings.rules, ZONE) if protected else None
        self.relays_sent: list[tuple[int, RelayCommand]] = []
        """(when, order) of every order for a relay that the head-end put on the wire."""
        self.credits_sent: list[CreditCommand] = []
        self._wire: list[tuple[float, int, str, bytes]] = []
        self._messages = 0
        self._digest = hashlib.sha256()
        self.accepted: dict[str, tuple[str, int]] = {}
        self.kills = 0
        self.link_is_up = False
        self._register()
        self._open_fleet()
        self._start_headend()
        self.heal_link()

    # the two ends ------------------------------------------------------------------------------------------

    def _register(self) -> None:
        openings = opening_register_wh(self.plan.first_number, self.plan.meters)
        meters = [
            Registration(
                self.plan.meter_id(number),
                GatewayId(self.plan.region, self.plan.gateway_id(number)),
                int(opening),
                self.start_day.toordinal(),
                load_w=self._load_w,
            )
            for number, opening in enumerate(openings, start=self.plan.first_number)
        ]
        with self.store.other_process() as uow:
            register_meters(meters, uow)
        self.meters = [registration.meter for registration in meters]

    def _open_fleet(self) -> None:
        self.fleet_log = FleetLog.open(self.log_path, self.plan, "virtual")
        keys = None
        if self._ring is not None:
            self._ring_path.write_text(self._ring.model_dump_json())
            keys = FleetKeys(self._ring_path)
        self.fleet = FleetCore(self.plan, self.fleet_log, keys=keys)

    def _start_headend(self) -> None:
        self.link = MemoryLink(self._from_headend, self._ring)
        self.headend: Headend | None = Headend(self.store, self.link, self.clock, self.settings)
        if self.link_is_up:
            self.link.connect()

    def restart_fleet(self) -> None:
        """SIGKILL of the fleet, and its next start: what was on its way down is lost with the connections."""
        self._drop_wire()
        self.fleet_log.close()
        self._open_fleet()
        if self.link_is_up:
            self._step_fleet([(gateway, Connected()) for gateway in range(self.plan.gateways)])

    def kill_headend(self) -> None:
        """SIGKILL of the head-end: whatever it held in memory is gone."""
        self.headend = None
        self.kills += 1

    def restart_headend(self) -> None:
        """The head-end's next start on the same store."""
        self._start_headend()

    def back_up(self) -> SqliteStore:
        """A copy of the store as it is now."""
        copy = memory_store()
        self.store.disk._connection.backup(copy._connection)
        return copy

    def restore(self, backup: SqliteStore) -> SqliteStore:
        """The disk died with all since the backup, which is served in its place; the lost store."""
        if self.headend is not None:
            self.kill_headend()
        lost, self.store.disk = self.store.disk, backup
        self.restart_headend()
        return lost

    def cut_link(self) -> None:
        """The broker is gone, and with it everything that it held."""
        self.link_is_up = False
        self._drop_wire()
        self.link.disconnect()
        self._step_fleet([(gateway, Disconnected()) for gateway in range(self.plan.gateways)])

    def heal_link(self) -> None:
        """The broker is back."""
        self.link_is_up = True
        self.link.connect()
        self._step_fleet([(gateway, Connected()) for gateway in range(self.plan.gateways)])

    # the wire ----------------------------------------------------------------------------------------------

    def _drop_wire(self) -> None:
        self._wire.clear()

    def _put(self, topic: str, payload: bytes) -> None:
        self._digest.update(b"%d %s " % (self.clock.now_s(), topic.encode()) + payload)
        copies = 1 + (self.random.random() < self.faults.repeat)
        for _ in range(copies):
            if self.link_is_up and self.random.random() >= self.faults.loss:
                self._messages += 1
                due_s = self.clock.monotonic_s() + self.random.uniform(0.0, self.faults.most_delay_s)
                heapq.heappush(self._wire, (due_s, self._messages, topic, payload))

    def _from_headend(self, topic: str, payload: bytes) -> None:
        if b'"kind":"relay"' in payload or b'"kind":"credit"' in payload:
            message = decode(Channel.COMMANDS, payload)
            assert isinstance(message, Commands)
            self.credits_sent += [each for each in message.commands if isinstance(each, CreditCommand)]
            orders = [command for command in message.commands if isinstance(command, RelayCommand)]
            self.relays_sent += [(self.clock.now_s(), order) for order in orders]
        self._put(topic, payload)

    def _step_fleet(self, events: list[Incoming]) -> None:
        for _, publish in self.fleet.step(self.clock.now_s(), self.clock.monotonic_s(), events):
            self._put(publish.topic, publish.payload)

    def _deliver(self) -> None:
        events: list[Incoming] = []
        while self._wire and self._wire[0][0] <= self.clock.monotonic_s():
            _, _, topic, payload = heapq.heappop(self._wire)
            address, channel = parse_topic(topic)
            if channel.startswith("up/"):
                if self.headend is not None:
                    self.link.deliver(topic, payload)
            else:
                gateway = int(address.gateway.removeprefix("G")) - 1
                events.append((gateway, Message(topic, payload)))
        self._step_fleet(events)

    def _step_headend(self) -> None:
        while self.headend is not None:
            try:
                if not self.headend.step(0.0):
                    break
            except Killed:
                self.kill_headend()

    # time --------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, from one thing that is due to the next."""
        end_s = self.clock.monotonic_s() + seconds
        while True:
            self._deliver()
            self._step_headend()
            now_s = self.clock.monotonic_s()
            due_s = [float(self.fleet.next_due_s - self.start_s), self.fleet.next_timer_s]
            due_s.append(self._wire[0][0] if self._wire else None)
            due_s.append(self.headend.next_due_s() if self.headend is not None else None)
            next_s = max(now_s + 0.01, min(due for due in due_s if due is not None))
            if next_s >= end_s:
                self.clock.advance(end_s - now_s)
                return
            self.clock.advance(next_s - now_s)

    # people ------------------------------------------------------------------------------------------------

    def recharge(self, meter: str, rupees: int, reference: str) -> RecordOutcome:
        """A payment provider's request; whatever is answered RECORDED or EXISTS must count in the end."""
        request = Recharge(meter, rupees * 1_000_000, reference)
        with self.store.other_process() as uow:
            recorded = record_recharge(request, uow, self.clock.now_s())
        if recorded.outcome is RecordOutcome.RECORDED:
            self.accepted[reference] = (meter, request.amount_micros)
        return recorded.outcome

    def order_relay(self, meter: str, position: str) -> None:
        """An operator's order."""
        with self.store.other_process() as uow:
            order_relay(meter, position, "simulated", 3_600, uow, self.clock.now_s())

    # judgement ---------------------------------------------------------------------------------------------

    def violations(self, *, converged: bool) -> list[str]:
        """What the audit finds, with the meters' logs."""
        with self.store.view() as uow:
            log, now_s = SqliteFleetLog([self.log_path]), self.clock.now_s()
            checks = audit(uow, log, self._protection, now_s, converged=converged)
        assert not any(check.skipped for check in checks)
        return [
            f"{check.check_id} {subject}: {detail}" for check in checks for subject, detail in check.violations
        ]

    def exceptions(self) -> list[str]:
        """What a person would have to look at."""
        with self.store.view() as uow:
            return [f"{row.meter} {row.kind}: {row.detail}" for row in uow.exceptions(None, 100)]

    def credited_at_meters(self) -> dict[str, int]:
        """Each meter's own credit counter in micros, by its log."""
        return {meter: total for meter, _, total in SqliteFleetLog([self.log_path]).credits()}

    def relays_at_meters(self) -> list[tuple[str, int, str, int]]:
        """(meter, version, position, when) of each move of a relay, by the meters' log."""
        return list(SqliteFleetLog([self.log_path]).relays())

    def owed_at_meters(self) -> dict[str, int]:
        """What the accepted recharges come to, by the driver's own book."""
        owed: dict[str, int] = {}
        for meter, amount_micros in self.accepted.values():
            owed[meter] = owed.get(meter, 0) + amount_micros
        return owed

    def log_hash(self) -> str:
        """A digest of every message that either end ever sent."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Let go of the files."""
        self.fleet_log.close()
        self.store.close()


def converge(world: World, most_s: int = 3_600) -> None:
    """Heal everything, and let time pass until all is applied and taken in."""
    world.faults = Faults()
    world.store.kill = None
    if not world.link_is_up:
        world.heal_link()
    if world.headend is None:
        world.restart_headend()
    for _ in range(most_s // 60):
        world.advance(60)
        if not world.fleet.unreceipted and not world.violations(converged=True):
            return
