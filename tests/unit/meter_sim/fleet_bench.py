"""A fleet core on a bench: no network, a head-end's half of the talk played by the test."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from headend.wire.codec import decode, encode
from headend.wire.keys import MasterKey
from headend.wire.messages import (
    Command,
    Commands,
    CreditCommand,
    PolicyCommand,
    PolicyDocument,
    Receipt,
    ReceiptOutcome,
    Receipts,
    RelayCommand,
    RelayPosition,
    Request,
)
from headend.wire.signing import digest
from headend.wire.topics import Channel, parse_topic
from meter_sim.core import FleetCore
from meter_sim.fleet import FleetPlan
from meter_sim.grid import midnight_s
from meter_sim.log import FleetLog
from meter_sim.session import State
from meter_sim.traffic import Connected, Disconnected, Message, Out

ZONE = ZoneInfo("Asia/Kolkata")
START_S = midnight_s(date(2024, 10, 30), ZONE)
QUARTER_S = 900


def document_of(version: int, *protected: tuple[int, int], **more: int) -> PolicyDocument:
    """A policy issued at the start of the bench; windows in seconds from there."""
    times = {"issued_at_s": START_S, "valid_until_s": START_S + 30 * 86_400, "clock_tolerance_s": 60} | more
    windows = [[START_S + from_s, START_S + to_s] for from_s, to_s in protected]
    return PolicyDocument(version=version, protected=windows, **times)


def plan_of(meters: int = 4, meters_per_gateway: int = 4, **more: Any) -> FleetPlan:
    return FleetPlan(meters, meters_per_gateway, "R1", START_S, **more)


class Bench:
    """One core with its log; `restart` is SIGKILL and a new start, because nothing is closed in order."""

    def __init__(self, directory: Path, plan: FleetPlan | None = None, **options: Any) -> None:
        self.path = directory / "fleet.db"
        self.plan = plan or plan_of()
        self.options = options
        self.monotonic_s = 1_000.0
        self.now_s = START_S
        self.key: MasterKey | None = None
        self._open()

    def _open(self) -> None:
        self.log = FleetLog.open(self.path, self.plan, "clock")
        self.core = FleetCore(self.plan, self.log, **self.options)

    def restart(self) -> None:
        self.log.close()
        self._open()

    def close(self) -> None:
        self.log.close()

    def step(
        self, events: Iterable[Any] = (), after_s: int = 0, wall_s: float = 0.0
    ) -> list[tuple[int, Channel, Any]]:
        """Let time pass, then step. Returns (gateway, channel, message) of everything sent."""
        self.now_s += after_s
        self.monotonic_s += wall_s
        return [self._read(out) for out in self.core.step(self.now_s, self.monotonic_s, list(events))]

    def _read(self, out: Out) -> tuple[int, Channel, Any]:
        gateway, publish = out
        address, channel = parse_topic(publish.topic)
        assert address == self.plan.address(gateway)
        assert publish.qos == 1
        assert publish.retain is (channel is Channel.STATUS)
        return gateway, channel, decode(channel, publish.payload)

    def down(self, channel: Channel, message: Any, gateway: int = 0) -> tuple[int, Message]:
        return gateway, Message(self.plan.address(gateway).topic(channel), encode(message))

    def receipts(
        self,
        *frames: int,
        outcome: ReceiptOutcome = ReceiptOutcome.ACCEPTED,
        retry_after_s: int | None = None,
        gateway: int = 0,
    ) -> tuple[int, Message]:
        rows = [Receipt(frame=frame, outcome=outcome, retry_after_s=retry_after_s) for frame in frames]
        return self.down(Channel.RECEIPTS, Receipts(sent_at_s=self.now_s, receipts=rows), gateway)

    def commands(
        self, *commands: Command, policies: list[PolicyDocument] | None = None, gateway: int = 0
    ) -> tuple[int, Message]:
        """Commands, signed where the bench has a key to sign with."""
        signed = [self.key.sign(command) if self.key else command for command in commands]
        message = Commands(sent_at_s=self.now_s, commands=signed, policies=policies)
        return self.down(Channel.COMMANDS, message, gateway)

    def credit(self, meter: str, seq: int, total: int, gateway: int = 0) -> tuple[int, Message]:
        command = CreditCommand(meter=meter, seq=seq, credit_total_micros=total, issued_at_s=self.now_s)
        return self.commands(command, gateway=gateway)

    def relay(
        self, meter: str, version: int, relay: RelayPosition, expires_at_s: int | None = None
    ) -> tuple[int, Message]:
        if relay is RelayPosition.OPEN and expires_at_s is None:
            expires_at_s = self.now_s + 3_600
        return self.commands(
            RelayCommand(
                meter=meter, version=version, relay=relay, issued_at_s=self.now_s, expires_at_s=expires_at_s
            )
        )

    def policy(self, document: PolicyDocument, *meters: str) -> tuple[int, Message]:
        """One document for these meters."""
        commands = [
            PolicyCommand(meter=meter, version=document.version, digest=digest(document), issued_at_s=self.now_s)
            for meter in meters
        ]
        return self.commands(*commands, policies=[document])

    def hello_request(self) -> tuple[int, Message]:
        return self.down(Channel.REQUESTS, Request(sent_at_s=self.now_s, want="hello"))

    def greet(self, gateway: int = 0) -> None:
        """Connect a gateway and receipt its hello; what it sends then is left for the next step."""
        sent = self.step([(gateway, Connected())])
        hellos = [message.frame for _, channel, message in sent if channel is Channel.HELLO]
        assert hellos
        events = [self.receipts(*hellos, gateway=gateway)]
        self.core.step(self.now_s, self.monotonic_s, events)

    def settle(self, after_s: int = 0) -> None:
        """Let time pass, and step and receipt all frames until nothing is due."""
        self.step(after_s=after_s)
        while self.core.next_due_s <= self.now_s or any(map(self._owed, range(self.plan.gateways))):
            self.step(
                [
                    self.receipts(*self._owed(gateway), gateway=gateway)
                    for gateway in range(self.plan.gateways)
                    if self._owed(gateway)
                ]
            )

    def _owed(self, gateway: int) -> list[int]:
        session = self.core.sessions[gateway]
        return list(session.unreceipted) if session.state is State.REPORTING else []

    def lose(self, gateway: int = 0) -> None:
        self.step([(gateway, Disconnected())])


def only(sent: list[tuple[int, Channel, Any]], channel: Channel) -> list[Any]:
    return [message for _, its_channel, message in sent if its_channel is channel]
