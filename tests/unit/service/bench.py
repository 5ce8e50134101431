"""The head-end on a bench: the real core on in-memory store, link and clock; the test plays the gateways."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from plain_rules import order_relay, plain_rules

from headend.adapters.memory import ManualClock, MemoryLink, memory_store
from headend.domain.calendar import midnight_s
from headend.service.accounts import Recharge, Recorded, record_recharge, register_meters
from headend.service.audit import audit
from headend.service.ports import Store, StoreError, UnitOfWork
from headend.service.rows import DeadLetterRow, ExceptionRow, MeterRow, OutageRow, QueueRow, Registration
from headend.service.server import Headend, Settings
from headend.service.traffic import GatewayId
from headend.wire.codec import decode, encode
from headend.wire.errors import RefusalCode
from headend.wire.messages import (
    Commands,
    CreditCommand,
    CreditResult,
    Hello,
    MeterCounters,
    Outcome,
    ReadingKind,
    Readings,
    Receipt,
    Receipts,
    RelayCommand,
    RelayPosition,
    RelayResult,
    Request,
    Results,
    Status,
)
from headend.wire.topics import Address, Channel, parse_topic

ZONE = ZoneInfo("Asia/Kolkata")
DAY = date(2024, 10, 30).toordinal()
START_S = midnight_s(DAY, ZONE)
DAY_S = 86_400
MAX_DAY_WH = 1_000_000
PRICE = 4
RUPEE = 1_000_000
REGION = "R1"
TIMEOUT_S = 10.0
SILENT_AFTER_S = 3_600

HELLO_ROWS = 300
"""So many fit into one message."""

SETTINGS = Settings(
    zone=ZONE,
    rules=plain_rules(PRICE),
    max_day_wh=MAX_DAY_WH,
    window=100,
    answer_timeout_s=TIMEOUT_S,
    heartbeat_s=1.0,
    stalled_after_s=float("inf"),
    poll_s=0.05,
    silent_after_s=SILENT_AFTER_S,
)


def registration(meter: str, gateway: str = "G1", register_wh: int = 0, day: int = DAY) -> Registration:
    return Registration(meter, GatewayId(REGION, gateway), register_wh, day)


class JumpingClock(ManualClock):
    """A clock whose time of the world can be set forward while the transport's stands still."""

    def jump(self, seconds: int) -> None:
        self._start_s += seconds


class FaultyStore:
    """A store whose transactions fail on request: in a method, or at the commit."""

    def __init__(self, store: Store) -> None:
        self.inner = store
        self.failing_commits = 0
        self.failing_method: str | None = None
        self.news = False

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        with self.inner.transaction() as uow:
            yield _FaultyUnitOfWork(uow, self)  # type: ignore[misc]
            if self.failing_commits:
                self.failing_commits -= 1
                raise StoreError("store: disk is full", transient=True)

    def view(self) -> Any:
        return self.inner.view()

    def changed(self) -> bool:
        """Whether `news` was set: in memory there are no other connections that could tell."""
        news, self.news = self.news, False
        return news

    def close(self) -> None:
        self.inner.close()


class _FaultyUnitOfWork:
    def __init__(self, uow: UnitOfWork, store: FaultyStore) -> None:
        self._uow = uow
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name == self._store.failing_method:
            self._store.failing_method = None
            raise StoreError("store: disk is full", transient=True)
        return getattr(self._uow, name)


class Bench:
    """One head-end. What it sends is kept in `sent` as (gateway, message) until `take` takes it."""

    def __init__(self, store: Store | None = None, **changes: Any) -> None:
        self.store = FaultyStore(store or memory_store())
        self.clock = JumpingClock(START_S)
        self.settings = Settings(**{name: getattr(SETTINGS, name) for name in Settings.__slots__} | changes)
        self.sent: list[tuple[str, Any]] = []
        self.on_send: Callable[[str, bytes], None] = lambda topic, payload: None
        self._frame = 0
        self.start()

    def start(self) -> None:
        """A new process on the same store: a restart after SIGKILL."""
        self.link = MemoryLink(self._publish)
        self.headend = Headend(self.store, self.link, self.clock, self.settings)

    def _publish(self, topic: str, payload: bytes) -> None:
        self.on_send(topic, payload)
        address, channel = parse_topic(topic)
        self.sent.append((address.gateway, decode(channel, payload)))

    # the counter -------------------------------------------------------------------------------------------

    def register(self, *meters: str, gateway: str = "G1", register_wh: int = 0, day: int = DAY) -> None:
        with self.store.transaction() as uow:
            register_meters([registration(meter, gateway, register_wh, day) for meter in meters], uow)
        self.store.news = True

    def recharge(self, meter: str, reference: str, rupees: int = 1) -> Recorded:
        with self.store.transaction() as uow:
            recorded = record_recharge(Recharge(meter, rupees * RUPEE, reference), uow, self.clock.now_s())
        self.store.news = True
        return recorded

    def order(self, meter: str, position: str, expires_after_s: int = 3_600) -> int | None:
        with self.store.transaction() as uow:
            version = order_relay(meter, position, "test", expires_after_s, uow, self.clock.now_s())
        self.store.news = True
        return version

    # the gateways ------------------------------------------------------------------------------------------

    def up(self, channel: Channel, message: Any, gateway: str = "G1") -> int:
        """Deliver a message (or bytes); the frame's number, if it has one."""
        payload = message if isinstance(message, bytes) else encode(message)
        self.link.deliver(Address(REGION, gateway).topic(channel), payload)
        return int(getattr(message, "frame", 0))

    def next_frame(self) -> int:
        self._frame += 1
        return self._frame

    def hello(
        self,
        *meters: tuple[str, int, int, int, int],
        gateway: str = "G1",
        at_s: int | None = None,
        reading_seq: int | None = None,
    ) -> int:
        """Say hello for (meter, register_wh, credit_seq, credit_total_micros, relay_version)."""
        counters = [
            MeterCounters(
                meter=meter,
                reading_seq=self._held_reading_seq(meter) if reading_seq is None else reading_seq,
                register_wh=register_wh,
                credit_seq=credit_seq,
                credit_total_micros=total_micros,
                relay_version=version,
                relay=RelayPosition.CLOSED,
            )
            for meter, register_wh, credit_seq, total_micros, version in meters
        ]
        sent_at_s = self.clock.now_s() if at_s is None else at_s
        message = Hello(frame=self.next_frame(), sent_at_s=sent_at_s, meters=counters)
        return self.up(Channel.HELLO, message, gateway)

    def _held_reading_seq(self, meter: str) -> int:
        with self.store.view() as uow:
            row = uow.meter_row(meter)
        return 0 if row is None else row.reading_seq

    def readings(
        self,
        *rows: tuple[str, int, int, int],
        gateway: str = "G1",
        snapshot: bool = False,
        relays_open: Sequence[str] = (),
        frame: int | None = None,
    ) -> int:
        """Send rows of (meter, seq, at_s, register_wh)."""
        meters, seqs, at_s, registers_wh = (list(column) for column in zip(*rows, strict=True))
        if max(at_s) < START_S + 400 * 86_400:
            # Nothing is read before its time; what is dated farther ahead is a clock that is wrong.
            self.clock.jump(max(0, max(at_s) - self.clock.now_s()))
        message = Readings(
            frame=frame or self.next_frame(),
            sent_at_s=self.clock.now_s(),
            kind=ReadingKind.SNAPSHOT if snapshot else ReadingKind.INTERVAL,
            meters=meters,
            seqs=seqs,
            at_s=at_s,
            registers_wh=registers_wh,
            relays_open=list(relays_open),
        )
        return self.up(Channel.READINGS, message, gateway)

    def midnight(self, *rows: tuple[str, int, int, int], gateway: str = "G1") -> int:
        """Send snapshots of (meter, seq, days after the first day that they close, register_wh)."""
        moved = [(meter, seq, midnight_s(DAY + 1 + day, ZONE), wh) for meter, seq, day, wh in rows]
        return self.readings(*moved, gateway=gateway, snapshot=True)

    def credit_result(
        self,
        meter: str,
        seq: int,
        total_micros: int,
        *,
        code: str | None = None,
        gateway: str = "G1",
        at_s: int | None = None,
    ) -> None:
        result = CreditResult(
            meter=meter,
            seq=seq,
            credit_total_micros=total_micros,
            outcome=Outcome.APPLIED if code is None else Outcome.REJECTED,
            code=None if code is None else RefusalCode(code),
            at_s=self.clock.now_s() if at_s is None else at_s,
        )
        self.results(result, gateway=gateway)

    def relay_result(
        self, meter: str, version: int, *, code: str | None = None, gateway: str = "G1", at_s: int | None = None
    ) -> None:
        result = RelayResult(
            meter=meter,
            version=version,
            relay=RelayPosition.CLOSED,
            outcome=Outcome.APPLIED if code is None else Outcome.REJECTED,
            code=None if code is None else RefusalCode(code),
            at_s=self.clock.now_s() if at_s is None else at_s,
        )
        self.results(result, gateway=gateway)

    def results(self, *results: CreditResult | RelayResult, gateway: str = "G1") -> None:
        message = Results.model_construct(v=1, sent_at_s=self.clock.now_s(), results=list(results))
        self.up(Channel.RESULTS, message, gateway)

    def status(self, online: bool, gateway: str = "G1") -> None:
        self.up(Channel.STATUS, Status(online=online), gateway)

    # the head-end ------------------------------------------------------------------------------------------

    def run(self, steps: int = 50) -> None:
        """Step until there is nothing to do at this instant."""
        for _ in range(steps):
            if not self.headend.step(0.0):
                return
        raise AssertionError(f"busy after {steps} steps")

    def connect(self) -> None:
        """The link comes up, and every gateway says hello with what the head-end knows of its meters."""
        self.link.connect()
        self.greet()

    def greet(self) -> None:
        """Every gateway says hello with what the head-end knows of its meters; what is sent is dropped."""
        with self.store.view() as uow:
            rows = uow.meter_rows("", 1_000)
        for gateway in sorted({row.gateway for row in rows}):
            counters = [
                (
                    row.meter,
                    row.register_wh,
                    row.applied_credit_seq,
                    row.applied_credit_total_micros,
                    row.applied_relay_version,
                )
                for row in rows
                if row.gateway == gateway
            ]
            for first in range(0, len(counters), HELLO_ROWS):
                self.hello(*counters[first : first + HELLO_ROWS], gateway=gateway)
        self.run()
        self.take()

    def wait(self, seconds: float) -> None:
        """Let time pass and see what comes of it."""
        self.clock.advance(seconds)
        self.run()

    # what came of it ---------------------------------------------------------------------------------------

    def take(self) -> list[tuple[str, Any]]:
        taken, self.sent = self.sent, []
        return taken

    def commands(self) -> list[tuple[str, str, int]]:
        """Take (meter, `credit` or the position, number) of the commands sent, and drop all else."""
        found = []
        for _, message in self.take():
            if isinstance(message, Commands):
                for command in message.commands:
                    if isinstance(command, CreditCommand):
                        found.append((command.meter, "credit", command.seq))
                    else:
                        assert isinstance(command, RelayCommand)
                        found.append((command.meter, str(command.relay), command.version))
        return found

    def receipts(self) -> dict[int | None, Receipt]:
        """Take the receipts sent by frame number, and drop all else."""
        return {
            receipt.frame: receipt
            for _, message in self.take()
            if isinstance(message, Receipts)
            for receipt in message.receipts
        }

    def hellos_wanted(self) -> list[str]:
        return [gateway for gateway, message in self.take() if isinstance(message, Request)]

    def meter(self, meter: str) -> MeterRow:
        with self.store.view() as uow:
            row = uow.meter_row(meter)
        assert row is not None
        return row

    def register_of(self, meter: str) -> tuple[int, int]:
        row = self.meter(meter)
        return row.reading_seq, row.register_wh

    def queue(self, meter: str) -> list[QueueRow]:
        with self.store.view() as uow:
            return uow.queue(meter, 0, 1_000)

    def states(self, meter: str) -> list[str]:
        """The states of a meter's deliveries in order, with the reason of an end."""
        return [row.ended_reason or row.state for row in self.queue(meter)]

    def exceptions(self) -> list[ExceptionRow]:
        with self.store.view() as uow:
            return uow.exceptions(None, 1_000)

    def exception_kinds(self) -> list[tuple[str, str]]:
        return [(row.meter, row.kind) for row in self.exceptions()]

    def dead_letters(self) -> list[DeadLetterRow]:
        with self.store.view() as uow:
            return uow.dead_letters(1_000)

    def outages(self) -> list[OutageRow]:
        with self.store.view() as uow:
            return uow.outages(ended=True, limit=1_000)

    def snapshots(self) -> list[tuple[str, int, int, bool]]:
        """(meter, days after the first, register_wh, settled) of every snapshot, from the tables themselves."""
        rows = self._query(
            "SELECT meter, day, register_wh, settled_at_s FROM snapshot JOIN meter USING (meter_key)"
            " ORDER BY meter, day"
        )
        return [(meter, day - DAY, wh, settled is not None) for meter, day, wh, settled in rows]

    def charges(self, meter: str) -> list[tuple[str, int]]:
        """(reference, micros) of a meter's charges, from the tables themselves."""
        return self._query(
            "SELECT t.reference, t.amount_micros FROM transfer AS t"
            " JOIN meter AS m ON m.account_key = t.debit_account"
            " WHERE t.kind = 'CHARGE' AND m.meter = ? ORDER BY t.transfer_id",
            meter,
        )

    def dead_letter_payloads(self) -> list[bytes]:
        return [row[0] for row in self._query("SELECT payload FROM dead_letter ORDER BY dead_letter_id")]

    def _query(self, sql: str, *values: object) -> list[Any]:
        connection = self.store.inner._connection  # type: ignore[attr-defined]
        return connection.execute(sql, values).fetchall()  # type: ignore[no-any-return]

    def violations(self, *, converged: bool = False) -> list[tuple[str, str, str]]:
        with self.store.view() as uow:
            return [
                (check.check_id, subject, detail)
                for check in audit(uow, None, converged=converged)
                for subject, detail in check.violations
            ]


def refused_by_store(bench: Bench) -> None:
    """One step of which the store refuses the commit, if the step has one at all."""
    bench.store.failing_commits = 1
    with suppress(StoreError):
        bench.headend.step(0.0)
    bench.store.failing_commits = 0
