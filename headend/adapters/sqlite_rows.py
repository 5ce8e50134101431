"""The rows of the SQLite store: every method of `UnitOfWork` as one or a few named statements of `sql/`."""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

from headend.adapters.sqlite_audit import SqliteAuditRows
from headend.adapters.sqlite_billing import SqliteBillingRows
from headend.adapters.sqlite_devices import SqliteDeviceRows
from headend.adapters.sqlite_evidence import SqliteEvidenceRows
from headend.adapters.sqlite_lost_numbers import SqliteLostNumberRows
from headend.adapters.sqlite_notices import SqliteNoticeRows
from headend.adapters.sqlite_policies import SqlitePolicyRows
from headend.adapters.sqlite_protection import SqliteProtectionRows
from headend.adapters.sqlite_recovery import SqliteRecoveryRows
from headend.adapters.sqlite_statements import SQL
from headend.adapters.statements import load_statements
from headend.domain.delivery import DeliveryKind
from headend.domain.ledger import GENESIS_HASH, Transfer, TransferKind, chain_hash, consumer_account
from headend.domain.pace import RegisterState, Step
from headend.domain.reconcile import ExceptionKind, HeadendView
from headend.service import rows as row_types
from headend.service.ports import MAX_TIME_S, Rows
from headend.service.ports.lost_numbers import Word
from headend.service.rows import Lane, MeterAccount, NewTransfer, Registration
from headend.service.traffic import GatewayId

MAX_DEAD_LETTERS: Final = 100_000
"""Most payloads kept with their bytes; beyond, they are counted in the newest row."""

MAX_LETTER_BYTES: Final = 64 * 1024
"""Most bytes kept of one payload: the contract's own limit. Of a longer one the beginning is kept."""

AUDIT: Final = load_statements("audit")


class SqliteUnitOfWork(
    SqliteAuditRows,
    SqliteBillingRows,
    SqliteDeviceRows,
    SqliteLostNumberRows,
    SqliteProtectionRows,
    SqliteNoticeRows,
    SqliteRecoveryRows,
    SqliteEvidenceRows,
    SqlitePolicyRows,
):
    """`UnitOfWork` on an open connection: what is not in a module of its own."""

    # registry ----------------------------------------------------------------------------------------------

    def registrations(self, meters: Sequence[str]) -> dict[str, Registration]:
        return {
            meter: Registration(meter, GatewayId(region, gateway), *rest)
            for meter, region, gateway, *rest in self._all("registrations", json.dumps(list(meters)))
        }

    def register_meters(self, new: Sequence[Registration]) -> None:
        self._many("add_gateway", sorted({registration.gateway for registration in new}))
        self._many("add_region", sorted({(registration.gateway.region,) for registration in new}))
        self._many("add_account", [(consumer_account(r.meter),) for r in new])
        self._many(
            "add_meter",
            [
                (
                    r.meter,
                    r.installed_day,
                    r.opening_register_wh,
                    *r.gateway,
                    consumer_account(r.meter),
                    r.category,
                    r.load_w,
                    r.feeder,
                )
                for r in new
            ],
        )
        self._many("own_account", [(r.meter, consumer_account(r.meter)) for r in new])
        self._many("add_register", [(r.meter,) for r in new])
        self._many("add_standing", [(r.meter,) for r in new])

    def gateways(self, after: int = 0) -> list[tuple[int, GatewayId, int | None]]:
        rows = self._all("gateways", after)
        return [(key, GatewayId(region, name), heard) for key, region, name, heard in rows]

    def gateway_key(self, gateway: GatewayId) -> int | None:
        row = self._one("gateway_key", *gateway)
        return None if row is None else row[0]

    def note_gateways_heard(self, rows: Rows) -> None:
        self._many("gateways_heard", rows)

    def meter_keys(self, meters: Sequence[str]) -> list[tuple[str, int, int]]:
        return self._all("meter_keys", json.dumps(list(meters)))

    def meter_count(self) -> int:
        return int(self._one("meter_count")[0])

    def meter_row(self, meter: str) -> row_types.MeterRow | None:
        rows = self._all("meter_rows", "", meter, 1)
        return row_types.MeterRow(*rows[0]) if rows else None

    def meter_rows(self, after: str, limit: int) -> list[row_types.MeterRow]:
        return [row_types.MeterRow(*row) for row in self._all("meter_rows", after, None, limit)]

    # ingest ------------------------------------------------------------------------------------------------

    def advance_registers(self, rows: Sequence[tuple[int, int, int, int, int]], step: Step | None = None) -> bool:
        statement = SQL["advance_register" if step is None else "advance_register_a_step"]
        if step is not None:
            statement = statement.replace(":most_seqs", str(step.seqs)).replace(":most_wh", str(step.energy_wh))
        self._connection.execute("SAVEPOINT advance")
        all_taken = not rows or self._connection.executemany(statement, rows).rowcount == len(rows)
        if not all_taken:
            self._connection.execute("ROLLBACK TO advance")
        self._connection.execute("RELEASE advance")
        return all_taken

    def register_states(self, meter_keys: Iterable[int]) -> dict[int, RegisterState]:
        rows = self._all("register_states", json.dumps(list(meter_keys)))
        return {meter_key: RegisterState(*state) for meter_key, *state in rows}

    def add_segment(
        self, meter_keys: Sequence[int], seqs: Sequence[int], at_s: Sequence[int], registers_wh: Sequence[int]
    ) -> None:
        columns = [array("q", column).tobytes() for column in (meter_keys, seqs, at_s, registers_wh)]
        self._run("add_segment", min(at_s), max(at_s), len(meter_keys), *columns)

    def add_snapshots(self, rows: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        if self._many("add_snapshot", rows) == len(rows):
            return []
        return self._all("differing_snapshots", json.dumps(rows))

    def add_exception(
        self, kind: ExceptionKind, meter_key: int, detail: str, now_s: int, word: Word | None = None
    ) -> None:
        self._run("add_exception", kind, meter_key, detail, now_s, *(word or (None, None, None)))

    def resolve_exceptions(self, kinds: Sequence[tuple[int, str]], actor: str, note: str, now_s: int) -> int:
        return self._many("resolve_exception", [(*entry, now_s, actor, note) for entry in kinds])

    def exceptions(self, meter: str | None, limit: int, *, resolved: bool = False) -> list[row_types.ExceptionRow]:
        return [row_types.ExceptionRow(*row) for row in self._all("exceptions", meter, limit, resolved)]

    def add_dead_letter(self, topic: str, payload: bytes, code: str, detail: str, now_s: int) -> None:
        digest = blake2b(topic.encode() + b"\n" + payload, digest_size=16).digest()
        if self._run("count_dead_letter", digest, now_s):
            return
        if self._one("dead_letter_count")[0] >= MAX_DEAD_LETTERS:
            topic, payload, code, digest = "", b"", "DEAD_LETTERS_FULL", b"full"
            detail = "further payloads are counted here, without their bytes"
        self._run("add_dead_letter", digest, topic, payload[:MAX_LETTER_BYTES], code, detail, now_s)

    def dead_letters(self, limit: int) -> list[row_types.DeadLetterRow]:
        return [row_types.DeadLetterRow(*row) for row in self._all("dead_letters", limit)]

    def headend_views(self, meter_keys: Iterable[int]) -> dict[int, HeadendView]:
        rows = self._all("headend_views", json.dumps(list(meter_keys)))
        return {meter_key: HeadendView(*view) for meter_key, *view in rows}

    def credit_totals(self, rows: Sequence[tuple[int, int]]) -> dict[int, int]:
        return dict(self._all("credit_totals", json.dumps(list(rows))))

    # ledger ------------------------------------------------------------------------------------------------

    def transfer(self, reference: str) -> Transfer | None:
        row = self._one("transfer_by_reference", reference)
        return None if row is None else _transfer(row)

    def transfer_by_id(self, transfer_id: int) -> Transfer:
        return _transfer(self._one("transfer_by_id", transfer_id))

    def last_transfer_id(self) -> int:
        last = self._one("chain_head")
        return 0 if last is None else int(last[0])

    def account_key(self, code: str) -> int:
        return int(self._one("account_key", code)[0])

    def meter_account(self, meter: str) -> MeterAccount | None:
        row = self._one("meter_account", meter)
        return None if row is None else MeterAccount(*row)

    def post(self, new: Sequence[NewTransfer]) -> list[Transfer]:
        rows = list(self._chained(new))
        self._add_transfers(rows, len(new))
        return [_transfer(row) for row in rows]

    def post_many(self, new: Sequence[NewTransfer]) -> Sequence[int]:
        return self._add_transfers(self._chained(new), len(new))

    def _chained(self, new: Sequence[NewTransfer]) -> Iterator[tuple[Any, ...]]:
        last = self._one("chain_head")
        transfer_id, head = (0, GENESIS_HASH) if last is None else last
        for entry in new:
            transfer_id += 1
            # The kind as plain text: an enum's member costs SQLite's binding more than all the rest.
            reference, kind, rest = entry[0], entry[1].value, entry[2:]
            head = chain_hash(head, transfer_id, reference, kind, *rest)
            yield (transfer_id, reference, kind, *rest, head)

    def _add_transfers(self, rows: Iterable[tuple[Any, ...]], count: int) -> Sequence[int]:
        first = self.last_transfer_id() + 1
        self._insert("add_transfer", rows)
        self._run("debit_accounts", first, first + count - 1)
        self._run("credit_accounts", first, first + count - 1)
        return range(first, first + count)

    def issue_credit(self, account: MeterAccount, transfer: Transfer) -> int:
        seq = account.credit_seq + 1
        total_micros = account.credit_total_micros + transfer.amount_micros
        self._run("issue_credit", account.meter_key, seq, total_micros)
        self._run("note_recharge", account.meter_key, transfer.amount_micros)
        self._run(
            "add_credit_delivery",
            account.meter_key,
            seq,
            transfer.transfer_id,
            transfer.amount_micros,
            total_micros,
            transfer.posted_at_s,
        )
        return seq

    def statement(
        self, meter: str, after: int, limit: int, from_s: int = 0, to_s: int = MAX_TIME_S
    ) -> list[row_types.StatementRow]:
        rows = self._all("statement", meter, after, limit, from_s, to_s)
        return [row_types.StatementRow(*row) for row in rows]

    def balance_before(self, meter: str, at_s: int, after: int = 0) -> int:
        return int(self._one("balance_before", meter, at_s, after)[0])

    # deliveries --------------------------------------------------------------------------------------------

    def issue_relay(
        self, meter: str, position: str, reason: str, expires_at_s: int | None, now_s: int
    ) -> int | None:
        row = self._one("meter_relay", meter)
        if row is None:
            return None
        meter_key, version = row[0], int(row[1]) + 1
        self._run("supersede_unsent_relays", meter_key, position)
        self._run("issue_relay", meter_key, version)
        self._run("add_relay_delivery", meter_key, version, position, reason, expires_at_s, now_s)
        return version

    def expire_unsent_relays(self, now_s: int) -> None:
        self._run("expire_unsent_relays", now_s)

    def requeue_all(self) -> int:
        return self._run("requeue_all")

    def requeue(self, lanes: Iterable[Lane]) -> None:
        self._many("requeue", [(lane.meter_key, lane.kind) for lane in lanes])

    def open_lanes_after(self, delivery_id: int) -> tuple[int, list[Lane]]:
        newest = int(self._one("newest_delivery")[0])
        return newest, _lanes(self._all("open_lanes_after", delivery_id))

    def open_lanes_of_gateway(self, gateway_key: int) -> list[Lane]:
        return _lanes(self._all("open_lanes_of_gateway", gateway_key))

    def open_numbers(self, meter_keys: Iterable[int]) -> dict[Lane, tuple[int, int]]:
        rows = self._all("open_numbers", json.dumps(list(meter_keys)))
        return {
            Lane(gateway, DeliveryKind(kind), meter): (oldest, newest)
            for gateway, kind, meter, oldest, newest in rows
        }

    def newest_open(self, lanes: Sequence[Lane]) -> list[row_types.OpenDelivery]:
        wanted = json.dumps([(lane.kind, lane.meter_key) for lane in lanes])
        return [
            row_types.OpenDelivery(meter_key, meter, DeliveryKind(kind), *rest)
            for meter_key, meter, kind, *rest in self._all("newest_open", wanted)
        ]

    def mark_sent(self, deliveries: Sequence[row_types.OpenDelivery], now_s: int) -> None:
        self._many("send", [(d.meter_key, d.kind, d.seq, now_s) for d in deliveries])

    def apply_credits(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        self._many("apply_credits", [row[:3] for row in rows])
        self._many("acknowledge_credits", rows)

    def apply_relays(self, rows: Sequence[tuple[int, int, int]]) -> None:
        self._many("apply_relay", rows)
        versions = [row[:2] for row in rows]
        self._many("supersede_relays", versions)
        self._many("acknowledge_relay", versions)

    def reject_relays(self, rows: Sequence[tuple[int, int, str]]) -> None:
        self._many("reject_relay", rows)
        self._many("supersede_older_opens", [row[:2] for row in rows])

    def queue(self, meter: str | None, after: int, limit: int) -> list[row_types.QueueRow]:
        return [row_types.QueueRow(*row) for row in self._all("queue", meter, after, limit)]

    # outage journal ----------------------------------------------------------------------------------------

    def heartbeat(self) -> tuple[int, bool] | None:
        row = self._one("heartbeat")
        return None if row is None else (row[0], bool(row[1]))

    def beat(self, now_s: int, *, stopped: bool) -> None:
        self._run("beat", now_s, stopped)

    def begin_outage(self, kind: str, subject: str, detail: str, began_at_s: int) -> None:
        self._run("begin_outage", kind, subject, detail, began_at_s)

    def end_outage(self, kind: str, subject: str, ended_at_s: int) -> None:
        self._run("end_outage", kind, subject, ended_at_s)

    def outages(self, *, ended: bool, limit: int) -> list[row_types.OutageRow]:
        return [row_types.OutageRow(*row) for row in self._all("outages", ended, limit)]

    # audit -------------------------------------------------------------------------------------------------

    def violations(self, check: str) -> list[tuple[str, str]]:
        return self._connection.execute(AUDIT[check]).fetchall()  # type: ignore[no-any-return]

    def transfers(self) -> Iterator[Transfer]:
        return map(_transfer, self._connection.execute(SQL["transfers"]))

    def segments(self) -> Iterator[tuple[int, Sequence[int], Sequence[int], Sequence[int], Sequence[int]]]:
        for number, *columns in self._connection.execute(SQL["segments"]):
            keys, seqs, at_s, registers_wh = (array("q", column) for column in columns)
            yield number, keys, seqs, at_s, registers_wh

    def meter_registers(self) -> Iterator[tuple[int, str, int, int, int, int, int]]:
        return iter(self._connection.execute(AUDIT["meter_registers"]))

    def all_credit_totals(self) -> Iterator[tuple[str, int, int, int]]:
        return iter(self._connection.execute(AUDIT["credit_totals"]))

    def all_relay_orders(self) -> Iterator[tuple[str, int, str, int | None]]:
        return iter(self._connection.execute(AUDIT["relay_orders"]))


def _transfer(row: Sequence[Any]) -> Transfer:
    transfer_id, reference, kind, *rest = row
    return Transfer(transfer_id, reference, TransferKind(kind), *rest)


def _lanes(rows: Iterable[Sequence[Any]]) -> list[Lane]:
    return [Lane(gateway_key, DeliveryKind(kind), meter_key) for gateway_key, kind, meter_key in rows]
