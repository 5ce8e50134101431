"""A plant on virtual time: the real head-end core and the real fleet code, with a network between them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from random import Random
from types import TracebackType
from typing import Any, Final, Self

from headend.adapters.memory import ManualClock, MemoryLink
from headend.service.accounts import register_meters
from headend.service.ports import Store
from headend.service.server import Headend, Settings
from headend.wire.codec import encode
from headend.wire.keys import KeyRing, MasterKey
from headend.wire.messages import Status
from headend.wire.topics import Channel
from meter_sim.fleet import FleetPlan
from meter_sim.lab.plant import ClockShift, DiskState, Link, Part, Payment, Sample
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.simulation.desk import Answer, Desk
from meter_sim.lab.simulation.fleet_host import FleetHost
from meter_sim.lab.simulation.machine import Machine
from meter_sim.lab.simulation.network import KEEPALIVE_S, Client, Network
from meter_sim.lab.simulation.settings import preset, registrations, settings_of
from meter_sim.lab.standing import Standing
from meter_sim.lab.toxics import AppliedToxic, Parcel
from meter_sim.lab.wire_log import WireLog

START_AGAIN_S: Final = 600.0
LEAST_STEP_S: Final = 0.01
DRAIN_S: Final = 7_200

Make = Callable[[Store, MemoryLink, Any, Settings], Headend]


class SimulatedPlant:
    """See `plant.Plant`. Use as a context manager."""

    wall_patience_s = 0.0

    def __init__(
        self,
        scenario: Scenario,
        plan: FleetPlan,
        folder: RunFolder,
        seed: int,
        *,
        heartbeat_s: float = 900.0,
        make: Make = Headend,
    ) -> None:
        """`make`: what serves; another one is a head-end with a bug."""
        self._scenario = scenario
        self._plan = plan
        self._folder = folder
        self._make = make
        self._rules = preset(scenario.rules)
        self._clock = ManualClock(plan.start_s)
        self._start_s = plan.start_s
        self._downs, self._pauses = Counter[Part](dict.fromkeys(Part, 1)), Counter[Part]()
        self._paused_at_s: dict[Part, float] = {}
        self._start_again_s = 0.0
        self._shares: dict[Part, dict[str, float]] = {part: {} for part in Part}
        self._disks: dict[str, DiskState] = {}
        self._ids = [plan.meter_id(number) for number in range(1, plan.meters + 1)]
        self._gateways = [plan.address(index).gateway for index in range(plan.gateways)]
        self._exit = ExitStack()
        chance = Random(f"plant {seed}")
        ring = KeyRing(keys=[MasterKey(key="k1", secret=chance.randbytes(32).hex(), sign_from_s=0)])
        self._keys = folder.path / "headend.db.keys"
        self._keys.write_text(ring.model_dump_json())
        self.fleet = FleetHost(plan, folder.fleet, self._keys)
        self._log = WireLog(folder.wire)
        self._exit.callback(self._log.close)
        clock = self._clock
        self.network = Network(
            clock.monotonic_s, clock.now_s, self._log, chance, self._deliver, self._link_changed
        )
        self._clients = [self._client(index) for index in range(plan.gateways)]
        self._indexes = {client.name: index for index, client in enumerate(self._clients)}
        self._headend = self.network.add("headend", Link.HEADEND)
        for client in (*self._clients, self._headend):
            client.wants = False
        settings, disk = settings_of(self._rules, plan.interval_s, heartbeat_s), self._disk(scenario, folder)
        self.machine = Machine(folder.store, clock, settings, ring, self._from_headend, chance, disk)
        self.desk = Desk(self.machine)
        self._standing = Standing(folder.store, plan.interval_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.machine.stop() if kind is None else self.machine.kill()
        self.machine.close_counter()
        self.fleet.kill()
        self._exit.close()

    def _disk(self, scenario: Scenario, folder: RunFolder) -> Any:
        if not any(fault.fault.startswith(("store-", "power-")) for fault in scenario.timeline):
            return None
        # Here, because most runs need none: SQLite calls back into Python for each write beneath a store.
        from meter_sim.lab.disk import Disk

        return self._exit.enter_context(Disk(folder.store))

    def _client(self, index: int) -> Client:
        address = self._plan.address(index)
        will = Parcel(address.topic(Channel.STATUS), encode(Status(online=False)))
        return self.network.add(f"{address.region}-{address.gateway}", Link.FLEET, will)

    # --- what it is made of --------------------------------------------------------------------------------

    @property
    def now_s(self) -> int:
        """See `Plant`."""
        return self._clock.now_s()

    @property
    def gateways(self) -> Sequence[str]:
        """See `Plant`."""
        return self._gateways

    @property
    def meters(self) -> Sequence[str]:
        """See `Plant`."""
        return self._ids

    @property
    def region(self) -> str:
        """See `Plant`."""
        return self._plan.region

    def set_up(self, payments: Sequence[Payment]) -> list[Answer]:
        """See `Plant`."""
        with self.machine.command() as uow:
            register_meters(registrations(self._scenario.rules, self._plan), uow)
            answers = [self.desk.record(payment, uow) for payment in payments]
        self._downs.clear()
        self.network.start_broker()
        self._start_headend()
        self._start_fleet()
        return answers

    # --- parts ---------------------------------------------------------------------------------------------

    def is_up(self, part: Part) -> bool:
        """See `Plant`."""
        return self._downs[part] == 0

    def kill(self, part: Part) -> None:
        """See `Plant`."""
        self._downs[part] += 1
        if self._downs[part] > 1:
            return
        match part:
            case Part.HEADEND:
                self._kill_headend()
            case Part.BROKER:
                self.network.kill_broker()
            case Part.FLEET:
                for client in self._clients:
                    self.network.detach(client)
                self.fleet.kill()
            case Part.COUNTER:
                self.machine.kill_counter()
                self.desk.is_open = False

    def start(self, part: Part) -> None:
        """See `Plant`."""
        self._downs[part] -= 1
        assert self._downs[part] >= 0, part
        if self._downs[part] == 0:
            match part:
                case Part.HEADEND:
                    self._start_headend()
                case Part.BROKER:
                    self.network.start_broker()
                case Part.FLEET:
                    self._start_fleet()
                case Part.COUNTER:
                    self.desk.is_open = True

    def pause(self, part: Part) -> None:
        """See `Plant`."""
        self._pauses[part] += 1
        self._paused_at_s.setdefault(part, self._clock.monotonic_s())
        self._set_pause(part)

    def resume(self, part: Part) -> None:
        """See `Plant`."""
        self._pauses[part] -= 1
        if self._pauses[part]:
            return
        lasted_s = self._clock.monotonic_s() - self._paused_at_s.pop(part)
        self._set_pause(part)
        if part is not Part.BROKER and lasted_s > KEEPALIVE_S:
            for client in self._clients if part is Part.FLEET else [self._headend]:
                self.network.drop(client)

    def _set_pause(self, part: Part) -> None:
        is_paused = self._pauses[part] > 0
        if part is Part.FLEET:
            self.fleet.is_paused = is_paused
        elif part is Part.HEADEND:
            self.machine.is_paused = is_paused
        elif part is Part.BROKER:
            self.network.pause_broker() if is_paused else self.network.resume_broker()

    def slow(self, name: str, part: Part, share: float) -> None:
        """See `Plant`; a slow broker or fleet is as a slow head-end here."""
        if share < 1.0:
            self._shares[part][name] = share
        else:
            self._shares[part].pop(name, None)
        self.machine.share = min(
            (share for shares in self._shares.values() for share in shares.values()), default=1.0
        )

    def _kill_headend(self) -> None:
        self.machine.kill()
        self.network.detach(self._headend)

    def _start_headend(self) -> None:
        self._start_again_s = self._clock.monotonic_s() + START_AGAIN_S
        if self.machine.start(self._make):
            self.network.attach(self._headend)

    def _start_fleet(self) -> None:
        self.fleet.start(self._clock.monotonic_s())
        for client in self._clients:
            self.network.attach(client)

    # --- links ---------------------------------------------------------------------------------------------

    def add_toxic(self, link: Link, applied: AppliedToxic) -> None:
        """See `Plant`."""
        self.network.add_toxic(link, applied)

    def remove_toxic(self, link: Link, name: str) -> None:
        """See `Plant`."""
        self.network.remove_toxic(link, name)

    def publish(self, topic: str, payload: bytes) -> None:
        """See `Plant`."""
        self.network.inject(topic, payload)

    def _from_headend(self, topic: str, payload: bytes) -> None:
        self.network.send(self._headend, topic, payload)

    def _deliver(self, client: Client, parcel: Parcel) -> None:
        if client is not self._headend:
            self.fleet.deliver(self._indexes[client.name], parcel.topic, parcel.payload)
        elif self.machine.link is not None:
            self.machine.link.deliver(parcel.topic, parcel.payload)

    def _link_changed(self, client: Client, up: bool) -> None:
        if client is self._headend:
            link = self.machine.link
            if link is not None:
                link.connect() if up else link.disconnect()
            return
        self.fleet.link_changed(self._indexes[client.name], up)

    # --- store and clocks ----------------------------------------------------------------------------------

    def set_disk(self, name: str, state: DiskState | None) -> None:
        """See `Plant`."""
        if state is None:
            self._disks.pop(name, None)
        else:
            self._disks[name] = state
        self.machine.set_disk(self._disks)

    def cut_power(self, chance: Random) -> None:
        """See `Plant`."""
        self.network.silence(self._headend)
        self.machine.cut_power(chance)

    def back_up(self) -> bool:
        """See `Plant`."""
        return self.machine.back_up(self._folder.path / "backup.db")

    def restore(self) -> None:
        """See `Plant`."""
        self.kill(Part.COUNTER)
        self.kill(Part.HEADEND)
        self.machine.restore(self._folder.path / "backup.db")
        self.start(Part.HEADEND)
        self.start(Part.COUNTER)

    def shift_clock(self, name: str, part: Part, shift: ClockShift | None) -> None:
        """See `Plant`."""
        shifts = self.machine.clock.shifts if part is Part.HEADEND else self.fleet.shifts
        if shift is None:
            shifts.pop(name, None)
        else:
            shifts[name] = shift, self._clock.monotonic_s()
        self.fleet.set_clocks(self._clock.monotonic_s())

    # --- people --------------------------------------------------------------------------------------------

    def recharge(self, payment: Payment) -> Answer | None:
        """See `Plant`."""
        return self.desk.recharge(payment)

    def enquire(self, meter: str) -> Answer | None:
        """See `Plant`."""
        return self.desk.enquire(meter)

    def order_relay(self, meter: str, position: str, reason: str) -> Answer | None:
        """See `Plant`."""
        return self.desk.order_relay(meter, position, reason)

    def order_cut(self, meters: Sequence[str], actor: str, reason: str) -> Answer | None:
        """See `Plant`."""
        return self.desk.order_cut(meters, actor, reason)

    def attend(self) -> list[str]:
        """See `Plant`."""
        return self.desk.attend(self._folder.fleet)

    # --- time ----------------------------------------------------------------------------------------------

    def advance(self, until_s: int) -> None:
        """See `Plant`."""
        end_s = until_s - self._start_s
        while True:
            self._step()
            now_s = self._clock.monotonic_s()
            next_s = max(now_s + LEAST_STEP_S, self._next_due_s())
            if next_s >= end_s:
                self._clock.advance(max(0.0, end_s - now_s))
                return
            self._clock.advance(next_s - now_s)

    def _step(self) -> None:
        if self._is_to_start_again and self._clock.monotonic_s() >= self._start_again_s:
            self._start_headend()
        self.network.step()
        self._step_fleet()
        self.machine.step()

    def _step_fleet(self) -> None:
        for index, publish in self.fleet.step(self._clock.now_s(), self._clock.monotonic_s()):
            self.network.send(self._clients[index], publish.topic, publish.payload)

    @property
    def _is_to_start_again(self) -> bool:
        """Whether the head-end should run and could not open its store: whoever runs it starts it once more."""
        return self.machine.headend is None and self.is_up(Part.HEADEND)

    def _next_due_s(self) -> float:
        times = [self.network.next_due_s(), self.machine.next_due_s(), self.fleet.next_due_s()]
        times += [self._start_again_s] if self._is_to_start_again else []
        return min((at_s for at_s in times if at_s is not None), default=float("inf"))

    # --- looking -------------------------------------------------------------------------------------------

    def look(self, stage: str) -> Sample:
        """See `Plant`."""
        self.fleet.set_clocks(self._clock.monotonic_s())
        return Sample(
            stage=stage,
            at_s=self.now_s,
            readings_late=self.fleet.readings_late(),
            relays_open=self.fleet.relays_open,
            messages=self.network.messages,
            headend_rss_kib=0,
            **self._standing_now(),
        )

    def _standing_now(self) -> Mapping[str, Any]:
        """What the head-end's own books say."""
        return self._standing.look(self.now_s) | {
            "recharges_accepted": self.desk.recharges_accepted,
            "balances_shown": len(self._ids) if self.desk.is_open and self._standing.is_readable else 0,
            "headend_up": int(self.machine.headend is not None and not self.machine.is_paused),
        }

    def has_converged(self) -> bool:
        """See `Plant`."""
        if not self.fleet.is_reporting:
            return False
        found = self._standing.look(self.now_s)
        late = (
            found["balances_stale"] + found["commands_open"] + found["days_unsettled"] + self.fleet.readings_late()
        )
        return bool(late == 0 and found["gateways_online"] == len(self._gateways))

    def finish(self) -> bool:
        """See `Plant`."""
        end_s = self._clock.monotonic_s() + DRAIN_S
        while self.fleet.has_unreceipted and self._clock.monotonic_s() < end_s:
            self.advance(self.now_s + 60)
        return not self.fleet.has_unreceipted
