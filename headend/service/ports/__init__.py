"""What the services need from outside: a store, a way to the gateways, a clock, and the meters' own logs."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from headend.domain.ledger import Transfer
from headend.domain.pace import RegisterState, Step
from headend.domain.reconcile import ExceptionKind, HeadendView
from headend.service.ports.audit import AuditRows
from headend.service.ports.billing import BillingRows
from headend.service.ports.devices import DeviceRows
from headend.service.ports.evidence import EvidenceRows
from headend.service.ports.lost_numbers import LostNumberRows, Word
from headend.service.ports.notices import NoticeRows
from headend.service.ports.policies import PolicyRows
from headend.service.ports.protection import ProtectionRows
from headend.service.ports.recovery import RecoveryRows
from headend.service.rows import (
    DeadLetterRow,
    ExceptionRow,
    Lane,
    MeterAccount,
    MeterRow,
    NewTransfer,
    OpenDelivery,
    OutageRow,
    QueueRow,
    Registration,
    StatementRow,
)
from headend.service.traffic import Arrival, GatewayId, Outgoing


class GatewayLink(Protocol):
    """The way to all gateways. Nothing that is handed to `send` is sure to arrive."""

    def receive(self, limit: int, timeout_s: float) -> list[Arrival]:
        """Up to `limit` messages in order of arrival; waits at most `timeout_s` for the first."""

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """Acknowledge messages, after the commit that holds them."""

    def send(self, outgoing: Sequence[Outgoing], now_s: int) -> None:
        """Put messages on the wire, grouped by gateway, within the contract's limits. Never blocks."""

    def close(self) -> None:
        """End the link."""


class Clock(Protocol):
    """Two times: the world's, which a laboratory may speed up, and the transport's, which it must not."""

    def now_s(self) -> int:
        """Seconds UTC."""

    def monotonic_s(self) -> float:
        """Seconds that only go forward, for time-outs."""


Rows = Iterable[tuple[int, ...]]

MAX_TIME_S: Final = 2**62
"""After every time."""


class UnitOfWork(
    AuditRows,
    DeviceRows,
    LostNumberRows,
    BillingRows,
    ProtectionRows,
    NoticeRows,
    RecoveryRows,
    EvidenceRows,
    PolicyRows,
    Protocol,
):
    """What can be read and written inside one transaction, by sets.

    Keys are the store's own integers. Methods that take many rows are one statement for all of them. What belongs
    to one concern stands in a module of its own beside this one.
    """

    # registry
    def registrations(self, meters: Sequence[str]) -> dict[str, Registration]:
        """Those of these meters that are registered."""

    def register_meters(self, new: Sequence[Registration]) -> None:
        """Enter meters that are not registered yet, with their gateways and accounts."""

    def gateways(self, after: int = 0) -> list[tuple[int, GatewayId, int | None]]:
        """Gateways with a key above the given one: key, name, when it was last heard."""

    def gateway_key(self, gateway: GatewayId) -> int | None:
        """A gateway's key; None: not registered."""

    def note_gateways_heard(self, rows: Rows) -> None:
        """(gateway_key, at_s) of gateways that were heard."""

    def meter_keys(self, meters: Sequence[str]) -> list[tuple[str, int, int]]:
        """(meter, meter_key, gateway_key) of those that are registered."""

    def meter_count(self) -> int:
        """How many meters are registered."""

    def meter_row(self, meter: str) -> MeterRow | None:
        """One meter; None: not registered."""

    def meter_rows(self, after: str, limit: int) -> list[MeterRow]:
        """One page of meters in order of their ids."""

    # ingest
    def advance_registers(self, rows: Sequence[tuple[int, int, int, int, int]], step: Step | None = None) -> bool:
        """Take (meter_key, seq, at_s, register_wh, relay_open), in order, each newer and not lower, and not more
        than a step ahead (None: however far).

        False if that is not so of every row; then none was taken.
        """

    def register_states(self, meter_keys: Iterable[int]) -> dict[int, RegisterState]:
        """The newest accepted reading of meters, by key."""

    def add_segment(
        self, meter_keys: Sequence[int], seqs: Sequence[int], at_s: Sequence[int], registers_wh: Sequence[int]
    ) -> None:
        """Keep the readings of one commit, as columns."""

    def add_snapshots(self, rows: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Keep (meter_key, day, register_wh) unless the day has one; those whose day holds another value."""

    def add_exception(
        self, kind: ExceptionKind, meter_key: int, detail: str, now_s: int, word: Word | None = None
    ) -> None:
        """Note what a person must look at; while it is open, again only counts. `word`: what the meter said."""

    def resolve_exceptions(self, kinds: Sequence[tuple[int, str]], actor: str, note: str, now_s: int) -> int:
        """Close the open exceptions of these (meter_key, kind); how many there were."""

    def exceptions(self, meter: str | None, limit: int, *, resolved: bool = False) -> list[ExceptionRow]:
        """Open exceptions, or those that are resolved; oldest first."""

    def add_dead_letter(self, topic: str, payload: bytes, code: str, detail: str, now_s: int) -> None:
        """Keep an unusable payload with its bytes; the same bytes again only count."""

    def dead_letters(self, limit: int) -> list[DeadLetterRow]:
        """The newest dead letters."""

    def headend_views(self, meter_keys: Iterable[int]) -> dict[int, HeadendView]:
        """Our side of these meters' counters."""

    def credit_totals(self, rows: Sequence[tuple[int, int]]) -> dict[int, int]:
        """By meter key, our cumulative credit total in micros at the given (meter_key, seq)."""

    # ledger
    def transfer(self, reference: str) -> Transfer | None:
        """The transfer of a reference."""

    def transfer_by_id(self, transfer_id: int) -> Transfer:
        """The transfer of an id that is in the ledger."""

    def last_transfer_id(self) -> int:
        """The newest transfer's id; 0: there is none."""

    def account_key(self, code: str) -> int:
        """The key of a system account."""

    def meter_account(self, meter: str) -> MeterAccount | None:
        """One meter's account and credit counter."""

    def post(self, new: Sequence[NewTransfer]) -> list[Transfer]:
        """Append transfers to the chain and move the accounts' totals."""

    def post_many(self, new: Sequence[NewTransfer]) -> Sequence[int]:
        """As `post`, for thousands at a time: only their numbers, in order."""

    def issue_credit(self, account: MeterAccount, transfer: Transfer) -> int:
        """Raise a meter's credit counter by a recharge and queue its delivery; the credit number."""

    def statement(
        self, meter: str, after: int, limit: int, from_s: int = 0, to_s: int = MAX_TIME_S
    ) -> list[StatementRow]:
        """One page of a meter's transfers posted in a range of time (its end excluded), oldest first."""

    def balance_before(self, meter: str, at_s: int, after: int = 0) -> int:
        """What a meter's accounts came to before a time, and with transfers up to `after`, in micros."""

    # deliveries
    def issue_relay(
        self, meter: str, position: str, reason: str, expires_at_s: int | None, now_s: int
    ) -> int | None:
        """Queue a new version of a meter's relay position; the version, None: unknown meter."""

    def expire_unsent_relays(self, now_s: int) -> None:
        """End relay commands that expired before they were ever sent."""

    def requeue_all(self) -> int:
        """Put everything SENT back to QUEUED (a restart knows nothing of what arrived); how many."""

    def requeue(self, lanes: Iterable[Lane]) -> None:
        """Put these lanes' SENT deliveries back to QUEUED."""

    def open_lanes_after(self, delivery_id: int) -> tuple[int, list[Lane]]:
        """The newest delivery's id, and the lanes with open deliveries newer than the given one."""

    def open_lanes_of_gateway(self, gateway_key: int) -> list[Lane]:
        """One gateway's lanes with open deliveries."""

    def open_numbers(self, meter_keys: Iterable[int]) -> dict[Lane, tuple[int, int]]:
        """These meters' lanes with open deliveries, and the oldest and newest number in each."""

    def newest_open(self, lanes: Sequence[Lane]) -> list[OpenDelivery]:
        """The newest open delivery of each lane, except where an exception holds the lane."""

    def mark_sent(self, deliveries: Sequence[OpenDelivery], now_s: int) -> None:
        """Commit deliveries, and all open before them in their lanes, as SENT."""

    def apply_credits(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        """(meter_key, seq, at_s, credit_total_micros): the meter acknowledged all credits up to seq."""

    def apply_relays(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """(meter_key, version, at_s): the meter carried out this version; older open ones are superseded."""

    def reject_relays(self, rows: Sequence[tuple[int, int, str]]) -> None:
        """(meter_key, version, reason): the meter refused this version. Older orders to open end with it."""

    def queue(self, meter: str | None, after: int, limit: int) -> list[QueueRow]:
        """A page of open deliveries, or of all deliveries of one meter."""

    # outage journal
    def heartbeat(self) -> tuple[int, bool] | None:
        """When `serve` last gave a sign of life, and whether it stopped in good order."""

    def beat(self, now_s: int, *, stopped: bool) -> None:
        """Give a sign of life."""

    def begin_outage(self, kind: str, subject: str, detail: str, began_at_s: int) -> None:
        """Open an outage unless one is open for the subject."""

    def end_outage(self, kind: str, subject: str, ended_at_s: int) -> None:
        """Close the subject's open outage, if there is one."""

    def outages(self, *, ended: bool, limit: int) -> list[OutageRow]:
        """Outages, newest first; with `ended` also those that are over."""

    # audit
    def violations(self, check: str) -> list[tuple[str, str]]:
        """Run a named check of the store: (subject, what is wrong) of each violation."""

    def transfers(self) -> Iterable[Transfer]:
        """The whole ledger in order."""

    def segments(self) -> Iterable[tuple[int, Sequence[int], Sequence[int], Sequence[int], Sequence[int]]]:
        """Every segment: its number, and its columns meter keys, seqs, times, registers."""

    def meter_registers(self) -> Iterable[tuple[int, str, int, int, int, int, int]]:
        """(meter_key, meter, reading_seq, register_wh, offset_wh, from_wh, after_segment) of every meter.

        `from_wh`: the register from which the present device's readings go on, which stand in segments after
        `after_segment`.
        """

    def all_credit_totals(self) -> Iterable[tuple[str, int, int, int]]:
        """(meter, seq, credit_total_micros, times sent) of every credit ever issued."""

    def all_relay_orders(self) -> Iterable[tuple[str, int, str, int | None]]:
        """(meter, version, position, expires_at_s) of every relay position ever ordered."""


class FleetLog(Protocol):
    """What the meters themselves wrote down: the ground truth of a simulated fleet."""

    def credits(self) -> Iterable[tuple[str, int, int]]:
        """(meter, seq, credit_total_micros) of each credit that a meter applied, in its order."""

    def relays(self) -> Iterable[tuple[str, int, str, int]]:
        """(meter, version, position, at_s) of each relay command that a meter carried out, in its order."""

    def refused_opens(self) -> Iterable[tuple[str, int, str, int]]:
        """(meter, version, code, at_s) of each order to open that a meter refused."""

    def newest_readings(self) -> Iterable[tuple[str, int, int]]:
        """(meter, seq, register_wh) of each meter's newest reading."""


class Store(Protocol):
    """Where everything durable lives."""

    def transaction(self) -> AbstractContextManager[UnitOfWork]:
        """A writing transaction: committed, durably, when the block ends; rolled back when it raises.

        Raises:
            StoreError: with `transient` set when trying again later may help.
        """

    def view(self) -> AbstractContextManager[UnitOfWork]:
        """A consistent snapshot for reading."""

    def changed(self) -> bool:
        """Whether anybody else has committed since the last call."""

    def close(self) -> None:
        """Let go of the store."""


class StoreError(Exception):
    """The store cannot do it: what, where, and what to do about it."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient
