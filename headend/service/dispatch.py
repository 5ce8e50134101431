"""Sending deliveries down: paced per gateway, resent until answered, never depending on the broker's memory.

What is open stands in the store; in memory is only which lanes have something to send and which wait for an
answer. A lane is one meter's deliveries of one kind, with at most one command on its way, so that an unreachable
meter holds up its own lane and one place of its gateway's window for one time-out, and nobody else. A command
carries the newest open counter or version of its lane: those before it travel in it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from headend.domain.delivery import DeliveryKind
from headend.domain.policy import Policy
from headend.service.directory import Directory
from headend.service.ports import UnitOfWork
from headend.service.rows import Lane, OpenDelivery
from headend.service.traffic import CommandOut

STEP_LIMIT: Final = 2_000
"""Most commands of one step: one commit."""

POLICIES_AT_HAND: Final = 100

Withdraw = Callable[[Sequence[tuple[int, int]], UnitOfWork, int], set[int]]
"""Of orders to open, as (meter_key, version), takes back what must not be sent now (seconds UTC): the meters."""


def withdraw_nothing(orders: Sequence[tuple[int, int]], uow: UnitOfWork, now_s: int) -> set[int]:
    """Where orders are not decided about a second time."""
    return set()


@dataclass(frozen=True, slots=True)
class _Flight:
    """A command on its way: up to which number, and when its answer is overdue (monotonic)."""

    seq: int
    deadline_s: float


@dataclass(slots=True)
class _Gateway:
    """What is to be sent to one gateway, and what waits for its answers.

    `waiting` is in order of arrival. `late` was not answered in time: it comes after all that was never tried, so
    that meters which do not answer hold up no others, not even a relay position behind many credits.
    """

    waiting: dict[DeliveryKind, dict[Lane, None]] = field(
        default_factory=lambda: {kind: {} for kind in DeliveryKind}
    )
    late: dict[Lane, None] = field(default_factory=dict)
    in_flight: dict[Lane, _Flight] = field(default_factory=dict)


class Dispatch:
    """Decides what to send when. The caller commits, then sends."""

    def __init__(
        self,
        directory: Directory,
        window: int,
        answer_timeout_s: float,
        withdraw: Withdraw = withdraw_nothing,
    ) -> None:
        """`window`: most unanswered commands a gateway; `answer_timeout_s`: wall seconds until a resend."""
        self._withdraw = withdraw
        self._directory = directory
        self._window = window
        self._timeout_s = answer_timeout_s
        self._online: set[int] = set()
        self._greeted: set[int] = set()
        self._gateways: dict[int, _Gateway] = {}
        self._ready: dict[int, None] = {}
        self._deadlines: deque[tuple[float, Lane]] = deque()
        self._held: set[Lane] = set()
        self._newest_delivery = 0
        self._policies: dict[tuple[str, int], Policy] = {}

    def start(self, uow: UnitOfWork) -> None:
        """Take up from the store after a restart, or after a transaction that failed.

        What was on its way may or may not have arrived, so all of it is sent again.
        """
        self._gateways.clear()
        self._ready.clear()
        self._deadlines.clear()
        self._newest_delivery = 0
        uow.requeue_all()
        self.notice_new(uow)

    def notice_new(self, uow: UnitOfWork) -> None:
        """Take up deliveries that were committed since the last call, by whatever process."""
        self._newest_delivery, lanes = uow.open_lanes_after(self._newest_delivery)
        self._wait(lanes)
        # A person may have resolved what held them.
        held, self._held = self._held, set()
        self._wait(held)

    def notice_exchanged(self, uow: UnitOfWork) -> None:
        """Take up what another process let go out once more, because a meter's device is another one."""
        self._wait(uow.open_lanes_of_exchanged())

    def is_online(self, gateway_key: int) -> bool:
        """Whether a gateway has contact."""
        return gateway_key in self._online

    def gateway_online(self, gateway_key: int) -> None:
        """A gateway has contact: what waits for it may go, once it has said hello to this process.

        Before that nobody knows whether the store is behind its meters, and their numbers taken.
        """
        if gateway_key in self._greeted and gateway_key not in self._online:
            self._online.add(gateway_key)
            self._look_at(gateway_key)

    def gateway_greeted(self, gateway_key: int, uow: UnitOfWork) -> None:
        """A gateway said hello: what was on its way before is void, and everything open is sent at once."""
        self.gateway_offline(gateway_key, uow)
        self._greeted.add(gateway_key)
        self._wait(uow.open_lanes_of_gateway(gateway_key))
        self.gateway_online(gateway_key)

    def gateway_offline(self, gateway_key: int, uow: UnitOfWork) -> None:
        """A gateway is gone: what was on its way to it waits again."""
        self._online.discard(gateway_key)
        self._ready.pop(gateway_key, None)
        self._give_up(list(self._gateway(gateway_key).in_flight), uow)

    def all_offline(self, uow: UnitOfWork) -> None:
        """The link to the broker is gone, and with it every gateway."""
        for gateway_key in list(self._online):
            self.gateway_offline(gateway_key, uow)

    def answered(self, lanes: Iterable[Lane], uow: UnitOfWork) -> None:
        """Meters answered: their lanes are free, and go on if more has come meanwhile.

        An answer that leaves open what was asked for frees nothing, or a meter that always answers with its old
        counter would be asked as fast as it answers. Then the time-out decides.
        """
        answered = set(lanes)
        numbers = uow.open_numbers({lane.meter_key for lane in answered})
        for lane in answered:
            in_flight = self._gateway(lane.gateway_key).in_flight
            if lane in in_flight and not _still_asked(lane, in_flight[lane].seq, numbers):
                del in_flight[lane]
        self._wait(lane for lane in answered if lane in numbers)
        for gateway_key in {lane.gateway_key for lane in answered}:
            self._look_at(gateway_key)

    def step(self, uow: UnitOfWork, now_s: int, monotonic_s: float) -> list[CommandOut]:
        """Commit as SENT what may go now, and return it for sending after the commit."""
        self._time_out(uow, monotonic_s)
        lanes = self._choose()
        if not lanes:
            return []
        if any(lane.kind is DeliveryKind.RELAY for lane in lanes):
            uow.expire_unsent_relays(now_s)
        chosen = {(lane.kind, lane.meter_key): lane for lane in lanes}
        # Fewer than chosen: ended meanwhile, or held by an exception until a person resolves it.
        deliveries = uow.newest_open(lanes)
        opens = [(delivery.meter_key, delivery.seq) for delivery in deliveries if delivery.relay == "open"]
        withdrawn = self._withdraw(opens, uow, now_s) if opens else set()
        deliveries = [each for each in deliveries if each.relay != "open" or each.meter_key not in withdrawn]
        uow.mark_sent(deliveries, now_s)
        deadline_s = monotonic_s + self._timeout_s
        commands = []
        for delivery in deliveries:
            lane = chosen[delivery.kind, delivery.meter_key]
            self._gateway(lane.gateway_key).in_flight[lane] = _Flight(delivery.seq, deadline_s)
            self._deadlines.append((deadline_s, lane))
            commands.append(self._command(lane, delivery, uow))
        self._held |= {lane for lane in lanes if lane not in self._gateway(lane.gateway_key).in_flight}
        if withdrawn:
            # Orders to close may have taken their place.
            self.notice_new(uow)
        for gateway_key in {lane.gateway_key for lane in lanes}:
            self._look_at(gateway_key)
        return commands

    def has_work(self, monotonic_s: float) -> bool:
        """Whether a step would do something now."""
        return bool(self._ready) or bool(self._deadlines and self._deadlines[0][0] <= monotonic_s)

    def next_deadline_s(self) -> float | None:
        """The monotonic time of the next time-out; None: nothing is on its way."""
        return self._deadlines[0][0] if self._deadlines else None

    def _gateway(self, gateway_key: int) -> _Gateway:
        return self._gateways.setdefault(gateway_key, _Gateway())

    def _look_at(self, gateway_key: int) -> None:
        """Note whether something may go to this gateway now: contact, something waiting, room in its window."""
        gateway = self._gateway(gateway_key)
        room = len(gateway.in_flight) < self._window
        if gateway_key in self._online and room and (gateway.late or any(gateway.waiting.values())):
            self._ready[gateway_key] = None
        else:
            self._ready.pop(gateway_key, None)

    def _wait(self, lanes: Iterable[Lane]) -> None:
        gateway_keys = set()
        for lane in lanes:
            gateway = self._gateway(lane.gateway_key)
            if lane not in gateway.in_flight and lane not in gateway.late:
                gateway.waiting[lane.kind][lane] = None
                gateway_keys.add(lane.gateway_key)
        for gateway_key in gateway_keys:
            self._look_at(gateway_key)

    def _give_up(self, lanes: list[Lane], uow: UnitOfWork) -> None:
        """Stop waiting for the answers of these lanes; they are sent anew."""
        if lanes:
            for lane in lanes:
                del self._gateway(lane.gateway_key).in_flight[lane]
            uow.requeue(lanes)
            self._wait(lanes)

    def _time_out(self, uow: UnitOfWork, monotonic_s: float) -> None:
        late = []
        while self._deadlines and self._deadlines[0][0] <= monotonic_s:
            deadline_s, lane = self._deadlines.popleft()
            flight = self._gateway(lane.gateway_key).in_flight.get(lane)
            # Another deadline, or none: answered since, and perhaps sent anew.
            if flight is not None and flight.deadline_s == deadline_s:
                late.append(lane)
        # A lane that was answered and sent anew within one instant has two equal deadlines.
        late = list(dict.fromkeys(late))
        for lane in late:
            self._gateway(lane.gateway_key).late[lane] = None
        self._give_up(late, uow)
        for lane in late:
            self._look_at(lane.gateway_key)

    def _choose(self) -> list[Lane]:
        """Lanes to send now: as far as each gateway's window reaches, credits before relay positions."""
        lanes: list[Lane] = []
        while self._ready and len(lanes) < STEP_LIMIT:
            gateway_key = next(iter(self._ready))
            del self._ready[gateway_key]
            gateway = self._gateway(gateway_key)
            room = min(self._window - len(gateway.in_flight), STEP_LIMIT - len(lanes))
            for waiting in (*gateway.waiting.values(), gateway.late):
                taken = list(islice(waiting, room))
                for lane in taken:
                    del waiting[lane]
                lanes += taken
                room -= len(taken)
        return lanes

    def _command(self, lane: Lane, delivery: OpenDelivery, uow: UnitOfWork) -> CommandOut:
        gateway = self._directory.gateway_id(lane.gateway_key, uow)
        return CommandOut(
            gateway=gateway,
            meter=delivery.meter,
            kind=delivery.kind,
            seq=delivery.seq,
            issued_at_s=delivery.queued_at_s,
            credit_total_micros=delivery.credit_total_micros,
            relay=delivery.relay,
            expires_at_s=delivery.expires_at_s,
            policy=self._policy(gateway.region, delivery.seq, uow) if lane.kind is DeliveryKind.POLICY else None,
        )

    def _policy(self, region: str, version: int, uow: UnitOfWork) -> Policy:
        """A policy of a region; the last ones that were sent are kept at hand."""
        policy = self._policies.get((region, version))
        if policy is None:
            if len(self._policies) >= POLICIES_AT_HAND:
                self._policies.clear()
            policy = self._policies[region, version] = uow.policy(region, version)
        return policy


def _still_asked(lane: Lane, seq: int, numbers: dict[Lane, tuple[int, int]]) -> bool:
    """Whether what a command asked for is still open: a credit up to `seq`, a relay position of just `seq`."""
    if lane not in numbers:
        return False
    oldest, newest = numbers[lane]
    return oldest <= seq if lane.kind is DeliveryKind.CREDIT else newest == seq
