"""What would have happened without the protections: the head-end that somebody writes in an afternoon.

It is fair where it can be: it never forgets what it has written down, prices as the tariff says, and answers with
receipts. What it lacks is what this project is about:

- a credit is sent once, as an amount to add, and the broker is trusted to queue it (1,000 messages a gateway, as
  mosquitto does by default, and in memory);
- the same reference within 24 hours is the same recharge, and later it is a new one;
- a home whose balance reaches zero is cut there and then;
- the server down is the balance not shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from headend.adapters.memory import ManualClock
from headend.wire.codec import decode, encode
from headend.wire.errors import WireError
from headend.wire.messages import (
    Commands,
    CreditCommand,
    Hello,
    ReadingKind,
    Readings,
    Receipt,
    ReceiptOutcome,
    Receipts,
    RelayCommand,
    RelayPosition,
)
from headend.wire.topics import Address, Channel, parse_topic
from meter_sim.fleet import FleetPlan
from meter_sim.lab.auditor.promises import PROMISES
from meter_sim.lab.households import Consumer, consumer
from meter_sim.lab.plant import DiskState, Part, Payment
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import ZONE, Scenario
from meter_sim.lab.simulation.desk import Answer
from meter_sim.lab.simulation.network import Client
from meter_sim.lab.simulation.plant import SimulatedPlant
from meter_sim.lab.toxics import Parcel
from meter_sim.load import opening_register_wh

DEDUPE_S: Final = 24 * 3_600
BROKER_QUEUE: Final = 1_000
ORDER_LASTS_S: Final = 86_400
STALE_AFTER_S: Final = 2 * 3_600


@dataclass(slots=True)
class Home:
    """What the database has of one meter."""

    who: Consumer
    gateway: str
    register_wh: int
    read_at_s: int = 0
    month: str = ""
    month_wh: int = 0
    balance_micros: int = 0
    is_cut: bool = False


@dataclass(slots=True)
class Database:
    """It survives everything: that is not where the naive way fails."""

    homes: dict[str, Home]
    seen: dict[str, tuple[int, Payment]] = field(default_factory=dict)
    credits: int = 0


class NaiveServer:
    """Takes readings, cuts at zero. Stands where `machine.Machine` stands."""

    def __init__(self, database: Database, plan: FleetPlan, clock: ManualClock, send: Any, rules: str) -> None:
        self.is_up = False
        self.is_paused = False
        self.connected = False
        self._database = database
        self._plan = plan
        self._clock = clock
        self._send = send
        self._promises = PROMISES[rules]
        self._zone = ZoneInfo(ZONE)
        self._inbox: list[tuple[str, bytes]] = []
        self._outbox: list[tuple[str, bytes]] = []

    def kill(self) -> None:
        """What it had in memory is gone."""
        self.is_up = False
        self._inbox.clear()

    def deliver(self, topic: str, payload: bytes) -> None:
        """A message came up."""
        if self.is_up:
            self._inbox.append((topic, payload))

    def publish(self, topic: str, payload: bytes) -> None:
        """Say something, now or as soon as there is a broker."""
        self._outbox.append((topic, payload))

    def step(self) -> None:
        """Handle what came, send what waits."""
        if self.is_up and not self.is_paused:
            inbox, self._inbox = self._inbox, []
            for topic, payload in inbox:
                self._take(topic, payload)
        if self.connected:
            outbox, self._outbox = self._outbox, []
            for topic, payload in outbox:
                self._send(topic, payload)

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            address, channel = parse_topic(topic)
            message = decode(channel, payload)
        except WireError:
            return
        if not isinstance(message, Readings | Hello):
            return
        if isinstance(message, Readings) and message.kind is ReadingKind.INTERVAL:
            for meter, at_s, register_wh in zip(message.meters, message.at_s, message.registers_wh, strict=True):
                self._read(address, meter, at_s, register_wh)
        receipt = Receipt(frame=message.frame, outcome=ReceiptOutcome.ACCEPTED, refused=[])
        receipts = Receipts(sent_at_s=self._clock.now_s(), receipts=[receipt])
        self.publish(address.topic(Channel.RECEIPTS), encode(receipts))

    def _read(self, address: Address, meter: str, at_s: int, register_wh: int) -> None:
        home = self._database.homes.get(meter)
        if home is None or register_wh < home.register_wh:
            return
        home.read_at_s = max(home.read_at_s, at_s)
        day = datetime.fromtimestamp(at_s - 1, self._zone).date()
        if home.month != f"{day:%Y-%m}":
            home.month, home.month_wh = f"{day:%Y-%m}", 0
        drawn_wh, home.register_wh = register_wh - home.register_wh, register_wh
        home.balance_micros -= self._promises.day_micros(home.who.category, home.month_wh, drawn_wh)
        home.month_wh += drawn_wh
        if home.balance_micros <= 0 and not home.is_cut:
            home.is_cut = True
            self.order(meter, RelayPosition.OPEN)

    def order(self, meter: str, position: RelayPosition) -> None:
        """Order a relay, once."""
        now_s = self._clock.now_s()
        # The version is the shim's: this head-end counts nothing.
        expires_at_s = now_s + ORDER_LASTS_S if position is RelayPosition.OPEN else None
        command = RelayCommand(
            meter=meter, version=1, relay=position, issued_at_s=now_s, expires_at_s=expires_at_s
        )
        self._command(meter, encode(Commands(sent_at_s=now_s, commands=[command])))

    def credit(self, meter: str, amount_micros: int) -> None:
        """Send an amount to add, once."""
        now_s = self._clock.now_s()
        command = CreditCommand(meter=meter, seq=1, credit_total_micros=amount_micros, issued_at_s=now_s)
        self._command(meter, encode(Commands(sent_at_s=now_s, commands=[command])))

    def _command(self, meter: str, payload: bytes) -> None:
        address = Address(self._plan.region, self._database.homes[meter].gateway)
        self.publish(address.topic(Channel.COMMANDS), payload)


class NaivePlant(SimulatedPlant):
    """The same fleet, network and people, with that head-end in the middle."""

    def __init__(self, scenario: Scenario, plan: FleetPlan, folder: RunFolder, seed: int, **details: Any) -> None:
        super().__init__(scenario, plan, folder, seed, **details)
        self.network.queue_limit = BROKER_QUEUE
        homes = {
            plan.meter_id(number): Home(consumer(scenario.rules, number), plan.gateway_id(number), opening_wh)
            for number, opening_wh in enumerate(opening_register_wh(1, plan.meters).tolist(), start=1)
        }
        self._database = Database(homes)
        self.server = NaiveServer(self._database, plan, self._clock, self._from_headend, scenario.rules)
        # Meters that check no signature: the afternoon was over.
        self.fleet.keys = None

    # --- the server ----------------------------------------------------------------------------------------

    def set_up(self, payments: Sequence[Payment]) -> list[Answer]:
        """See `Plant`."""
        self._downs.clear()
        answers = []
        for payment in payments:
            answer = self.recharge(payment)
            assert answer is not None
            answers.append(answer)
        self.network.start_broker()
        self._start_headend()
        self._start_fleet()
        return answers

    def _start_headend(self) -> None:
        self.server.is_up = True
        self.network.attach(self._headend)

    @property
    def _is_to_start_again(self) -> bool:
        return False

    def _kill_headend(self) -> None:
        self.server.kill()
        self.network.detach(self._headend)
        self.server.connected = False

    def _set_pause(self, part: Part) -> None:
        super()._set_pause(part)
        self.server.is_paused = self._pauses[Part.HEADEND] > 0

    def _step(self) -> None:
        super()._step()
        self.server.step()

    def _link_changed(self, client: Client, up: bool) -> None:
        if client is self._headend:
            self.server.connected = up
        else:
            super()._link_changed(client, up)

    def set_disk(self, name: str, state: DiskState | None) -> None:
        """Nothing: its database survives everything."""

    def cut_power(self, chance: Random) -> None:
        """As a kill: its database survives everything."""

    def back_up(self) -> bool:
        """Nothing is ever lost of it."""
        return True

    def restore(self) -> None:
        """Nothing was lost of it."""

    # --- increments at the meters --------------------------------------------------------------------------

    def _deliver(self, client: Client, parcel: Parcel) -> None:
        if client is self._headend:
            self.server.deliver(parcel.topic, parcel.payload)
        elif parcel.topic.endswith("/commands"):
            payload = self._as_increment(parcel)
            if payload is not None:
                self.fleet.deliver(self._indexes[client.name], parcel.topic, payload)
                # Counters go on with each command: one at a time, as they would be added.
                self._step_fleet()
        else:
            super()._deliver(client, parcel)

    def _as_increment(self, parcel: Parcel) -> bytes | None:
        """What an amount to add comes to at a meter: its own counter, and one more."""
        try:
            message = decode(Channel.COMMANDS, parcel.payload)
        except WireError:
            return None
        core = self.fleet.core
        if core is None or not isinstance(message, Commands):
            return None
        commands: list[Any] = []
        for command in message.commands:
            if not isinstance(command, CreditCommand | RelayCommand) or command.meter not in self._database.homes:
                continue
            meter = core.columns.meter(int(command.meter.removeprefix(self._plan.meter_prefix)) - 1)
            if isinstance(command, RelayCommand):
                commands.append(command.model_copy(update={"version": meter.relay_version + 1}))
            else:
                total = {"seq": meter.credit_seq + 1}
                total["credit_total_micros"] = meter.credit_total_micros + command.credit_total_micros
                commands.append(command.model_copy(update=total))
        return encode(Commands(sent_at_s=message.sent_at_s, commands=commands)) if commands else None

    # --- people --------------------------------------------------------------------------------------------

    def recharge(self, payment: Payment) -> Answer | None:
        """See `Plant`."""
        if self._downs[Part.COUNTER]:
            return None
        now_s, content = self.now_s, {"meter": payment.meter, "reference": payment.reference}
        seen = self._database.seen.get(payment.reference)
        if seen is not None and now_s - seen[0] < DEDUPE_S:
            same = seen[1] == payment
            return content | {"outcome": "EXISTS" if same else "EXISTS_DIFFERENT", "accepted_at_s": seen[0]}
        self._database.seen[payment.reference] = now_s, payment
        self._database.credits += 1
        home = self._database.homes[payment.meter]
        home.balance_micros += payment.amount_micros
        self.server.credit(payment.meter, payment.amount_micros)
        if home.is_cut and home.balance_micros > 0:
            home.is_cut = False
            self.server.order(payment.meter, RelayPosition.CLOSED)
        return content | {"outcome": "RECORDED", "accepted_at_s": now_s, "transfer_id": self._database.credits}

    def enquire(self, meter: str) -> Answer | None:
        """See `Plant`."""
        if not self.server.is_up or self.server.is_paused:
            return None
        home = self._database.homes[meter]
        shown = {"balance_micros": home.balance_micros, "as_of_s": home.read_at_s or None}
        return {"outcome": "SHOWN", "meter": meter, "stale": self._is_stale(home)} | shown

    def order_relay(self, meter: str, position: str, reason: str) -> Answer | None:
        """See `Plant`."""
        relay = RelayPosition.OPEN if position == "open" else RelayPosition.CLOSED
        self.server.order(meter, relay)
        return {"outcome": "ORDERED", "version": 0}

    def order_cut(self, meters: Sequence[str], actor: str, reason: str) -> Answer | None:
        """See `Plant`: a list is a list."""
        for meter in meters:
            self.server.order(meter, RelayPosition.OPEN)
        return {"outcome": "ANSWERED", "counts": {"ISSUED": len(meters), "REFUSED": 0, "QUARANTINED": 0}}

    def attend(self) -> list[str]:
        """See `Plant`: it has no list."""
        return []

    # --- looking -------------------------------------------------------------------------------------------

    def has_converged(self) -> bool:
        """See `Plant`: as far as it knows."""
        return self.fleet.is_reporting and not self.fleet.readings_late()

    def _standing_now(self) -> Mapping[str, Any]:
        homes = self._database.homes.values()
        return {
            "balances_stale": sum(self._is_stale(home) for home in homes),
            "balances_shown": len(homes) if self.server.is_up and not self.server.is_paused else 0,
            "days_unsettled": 0,
            "credits_queued": 0,
            "commands_open": 0,
            "credits_applied": int(self.fleet.core.columns.credit_seq.sum()) if self.fleet.core is not None else 0,
            "homes_at_zero": sum(home.balance_micros <= 0 for home in homes),
            "gateways_online": sum(client.is_connected for client in self._clients),
            "ledger_sum_micros": 0,
            "region_phase": "",
            "store_bytes": 0,
            "recharges_accepted": self._database.credits,
            "headend_up": int(self.server.is_up and not self.server.is_paused),
        }

    def _is_stale(self, home: Home) -> bool:
        return self.now_s - home.read_at_s > max(STALE_AFTER_S, 4 * self._plan.interval_s)
