"""The head-end's store read as data, by its published tables (`schema_1.sql`, `schema_2.sql`). Judges nothing."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from meter_sim.lab.auditor.meter_log import ABSENT, DatabaseError, MeterLog
from meter_sim.lab.run_folder import read_only
from meter_sim.load import Integers


class Transfer(NamedTuple):
    """A row of `transfer`."""

    transfer_id: int
    reference: str
    kind: str
    debit: int
    credit: int
    amount_micros: int
    accepted_at_s: int
    posted_at_s: int
    corrects: int | None
    chain_hash: bytes


class Account(NamedTuple):
    """A row of `account`."""

    account_key: int
    code: str
    credits_micros: int
    debits_micros: int
    meter_key: int | None


class Meter(NamedTuple):
    """A row of `meter` with that of `register`."""

    meter_key: int
    meter: str
    account_key: int
    opening_register_wh: int
    settled_day: int
    settled_register_wh: int
    month_wh: int
    credit_seq: int
    credit_total_micros: int
    applied_credit_seq: int
    applied_credit_total_micros: int
    relay_version: int
    applied_relay_version: int
    reading_seq: int
    register_wh: int
    read_at_s: int | None
    relay_open: int


class Delivery(NamedTuple):
    """A row of `delivery`."""

    meter: str
    kind: str
    seq: int
    transfer_id: int | None
    amount_micros: int | None
    credit_total_micros: int | None
    relay: str | None
    expires_at_s: int | None
    state: str
    ended_reason: str | None
    queued_at_s: int
    sent_at_s: int | None
    attempts: int
    applied_at_s: int | None


class Charge(NamedTuple):
    """The newest bill of a meter and day that was not reversed. `day`: `date.toordinal`."""

    meter: str
    day: int
    energy_wh: int
    total_micros: int


class Plan(NamedTuple):
    """A row of `plan`."""

    plan_id: int
    meter: str
    account_key: int
    debt_micros: int
    instalment_micros: int | None
    share_bp: int | None
    recovered_micros: int
    state: str
    made_at_s: int
    ended_at_s: int | None


class Wish(NamedTuple):
    """A row of `disconnection`."""

    disconnection_id: int
    meter: str
    requested_at_s: int
    requested_by: str
    origin: str
    state: str
    basis: str
    decided_at_s: int
    decided_by: str
    relay_version: int | None


class Act(NamedTuple):
    """A row of `act`."""

    act_id: int
    at_s: int
    actor: str
    kind: str
    subject: str
    reason: str
    basis: str
    chain_hash: bytes


_METERS: Final = """
SELECT m.meter_key, m.meter, m.account_key, m.opening_register_wh, m.settled_day, m.settled_register_wh,
    m.month_wh, m.credit_seq, m.credit_total_micros, m.applied_credit_seq, m.applied_credit_total_micros,
    m.relay_version, m.applied_relay_version, coalesce(r.reading_seq, 0), coalesce(r.register_wh, 0), r.read_at_s,
    coalesce(r.relay_open, 0)
FROM meter AS m LEFT JOIN register AS r USING (meter_key) ORDER BY m.meter_key
"""
_DELIVERIES: Final = """
SELECT m.meter, d.kind, d.seq, d.transfer_id, d.amount_micros, d.credit_total_micros, d.relay, d.expires_at_s,
    d.state, d.ended_reason, d.queued_at_s, d.sent_at_s, d.attempts, d.applied_at_s
FROM delivery AS d JOIN meter AS m USING (meter_key) ORDER BY d.meter_key, d.kind, d.seq
"""
_CHARGES: Final = """
SELECT m.meter, c.day, c.energy_wh, c.total_micros
FROM charge AS c JOIN meter AS m USING (meter_key) WHERE c.reversed = 0 ORDER BY c.meter_key, c.day
"""
_PLANS: Final = """
SELECT p.plan_id, m.meter, p.account_key, p.debt_micros, p.instalment_micros, p.share_bp, p.recovered_micros,
    p.state, p.made_at_s, p.ended_at_s
FROM plan AS p JOIN meter AS m USING (meter_key) ORDER BY p.plan_id
"""
_WISHES: Final = """
SELECT d.disconnection_id, m.meter, d.requested_at_s, d.requested_by, d.origin, d.state, d.basis, d.decided_at_s,
    d.decided_by, d.relay_version
FROM disconnection AS d JOIN meter AS m USING (meter_key) ORDER BY d.disconnection_id
"""
_NOTICES: Final = """
SELECT m.meter, n.at_s, n.kind FROM notice AS n JOIN meter AS m USING (meter_key) ORDER BY n.notice_id
"""
_TRANSFERS: Final = """
SELECT transfer_id, reference, kind, debit_account, credit_account, amount_micros, accepted_at_s, posted_at_s,
    corrects, chain_hash FROM transfer ORDER BY transfer_id
"""
_SNAPSHOTS: Final = """
SELECT m.meter, s.day, s.register_wh, s.settled_at_s FROM snapshot AS s JOIN meter AS m USING (meter_key)
"""


@dataclass(slots=True)
class Store:
    """The head-end's store after the run."""

    transfers: list[Transfer] = field(default_factory=list)
    accounts: dict[int, Account] = field(default_factory=dict)
    meters: dict[str, Meter] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    notices: list[tuple[str, int, str]] = field(default_factory=list)
    """(meter, at_s, kind), of single meters."""
    snapshots: dict[tuple[str, int], tuple[int, int | None]] = field(default_factory=dict)
    """(meter, day) -> (register, when the day was charged)."""
    exceptions: list[tuple[str, str, int]] = field(default_factory=list)
    """Open ones: (meter, kind, since)."""
    dead_letters: int = 0
    lost_numbers: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    """(meter, kind of delivery) -> numbers [from, to] that a store gave out which was lost."""
    held_wh: Integers = field(default_factory=lambda: np.empty((0, 0), np.int64))
    """The readings, as `MeterLog.taken_wh`."""
    contradictions: list[str] = field(default_factory=list)
    """Readings with two registers."""
    strangers: int = 0
    """Readings that no meter took."""

    @property
    def recharges(self) -> dict[str, Transfer]:
        """By reference."""
        return {transfer.reference: transfer for transfer in self.transfers if transfer.kind == "RECHARGE"}


def read_store(path: Path, log: MeterLog, *, suspect: bool = False) -> Store:
    """Read it; the head-end has stopped. `suspect`: something was done to its disk, so it is checked first.

    Raises:
        DatabaseError: it is damaged.
    """
    run = read_only(path)
    try:
        if suspect:
            (sound,) = run.execute("PRAGMA integrity_check(1)").fetchone()
            if sound != "ok":
                raise DatabaseError(sound)
        store = Store(
            transfers=[Transfer._make(row) for row in run.execute(_TRANSFERS)],
            accounts={
                row[0]: Account._make(row)
                for row in run.execute(
                    "SELECT account_key, code, credits_micros, debits_micros, meter_key FROM account"
                )
            },
            meters={row[1]: Meter._make(row) for row in run.execute(_METERS)},
            deliveries=[Delivery._make(row) for row in run.execute(_DELIVERIES)],
            charges=[Charge._make(row) for row in run.execute(_CHARGES)],
            plans=[Plan._make(row) for row in run.execute(_PLANS)],
            wishes=[Wish._make(row) for row in run.execute(_WISHES)],
            acts=[
                Act._make(row)
                for row in run.execute(
                    "SELECT act_id, at_s, actor, kind, subject, reason, basis, chain_hash FROM act ORDER BY act_id"
                )
            ],
            notices=run.execute(_NOTICES).fetchall(),
            snapshots={(meter, day): (wh, at_s) for meter, day, wh, at_s in run.execute(_SNAPSHOTS)},
            exceptions=run.execute(
                "SELECT m.meter, e.kind, e.first_at_s FROM exception AS e JOIN meter AS m USING (meter_key)"
                " WHERE e.resolved_at_s IS NULL"
            ).fetchall(),
            dead_letters=run.execute("SELECT coalesce(sum(count), 0) FROM dead_letter").fetchone()[0],
        )
        _read_lost_numbers(run, store)
        _read_segments(run, store, log)
    finally:
        run.close()
    return store


def _read_lost_numbers(run: Any, store: Store) -> None:
    """Stores of versions that know no restore have no such table."""
    if not run.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'lost_numbers'").fetchone()[0]:
        return
    found: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for meter, kind, first, last in run.execute(
        "SELECT m.meter, l.kind, l.from_number, l.to_number"
        " FROM lost_numbers AS l JOIN meter AS m USING (meter_key)"
    ):
        found[meter, kind].append((first, last))
    store.lost_numbers = dict(found)


def _read_segments(run: Any, store: Store, log: MeterLog) -> None:
    row_of = np.full(max((meter.meter_key for meter in store.meters.values()), default=0) + 1, ABSENT, np.int64)
    for meter in store.meters.values():
        row_of[meter.meter_key] = log.rows.get(meter.meter, ABSENT)
    store.held_wh = held = np.full_like(log.taken_wh, ABSENT)
    for blobs in run.execute("SELECT meter_keys, seqs, registers_wh FROM segment ORDER BY segment_id"):
        keys, seqs, registers = (np.frombuffer(blob, "<i8") for blob in blobs)
        known = (keys >= 0) & (keys < len(row_of)) & (seqs >= 1) & (seqs <= held.shape[1])
        rows = row_of[np.where(known, keys, 0)]
        known &= rows != ABSENT
        store.strangers += int((~known).sum())
        rows, columns, registers = rows[known], seqs[known] - 1, registers[known]
        before = held[rows, columns]
        held[rows, columns] = registers
        # The same reading may also stand twice in one segment.
        twice = ((before != ABSENT) & (before != registers)) | (held[rows, columns] != registers)
        for index in np.flatnonzero(twice):
            meter_id = log.meters[rows[index]]
            store.contradictions.append(f"{meter_id} reading {columns[index] + 1} has two registers in the store")
