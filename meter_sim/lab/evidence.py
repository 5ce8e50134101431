"""What a run left behind, read as data: the driver's journal, the meters' own log, the head-end's store.

Shares no code with the head-end: the store is read by its published tables, the log by the schema in
`meter_sim/log.py`. Times are virtual seconds UTC.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from meter_sim.lab.payments import read_journal
from meter_sim.lab.watch import read_only
from meter_sim.load import Integers

ABSENT: Final = -1

_RECHARGES: Final = """
SELECT t.reference, coalesce(m.meter, '?'), t.amount_micros, t.accepted_at_s, t.posted_at_s, d.sent_at_s,
    d.applied_at_s
FROM transfer AS t LEFT JOIN meter AS m ON m.account_key = t.credit_account
LEFT JOIN delivery AS d USING (transfer_id)
WHERE t.kind = 'RECHARGE' ORDER BY t.transfer_id
"""
_CHARGES: Final = """
SELECT t.reference, coalesce(m.meter, '?'), t.amount_micros
FROM transfer AS t LEFT JOIN meter AS m ON m.account_key = t.debit_account WHERE t.kind IN ('ENERGY', 'CHARGE')
"""
_ORDERS_BY_RULE: Final = """
SELECT m.meter, d.relay, d.seq, d.queued_at_s, d.expires_at_s
FROM delivery AS d JOIN meter AS m USING (meter_key)
WHERE d.kind = 'RELAY' AND (d.relay = 'closed' OR EXISTS (
    SELECT 1 FROM disconnection AS c
    WHERE c.meter_key = d.meter_key AND c.relay_version = d.seq AND c.origin = 'DEBT' AND c.state = 'ISSUED'
))
"""
_TOLD: Final = """
SELECT m.meter, min(n.at_s) FROM notice AS n JOIN meter AS m USING (meter_key)
WHERE n.kind = 'CUT_ANNOUNCED' GROUP BY m.meter
"""
_PLANS: Final = """
SELECT m.meter, p.made_at_s, p.ended_at_s FROM plan AS p JOIN meter AS m USING (meter_key) ORDER BY p.plan_id
"""
_PHASES: Final = "SELECT at_s, reason FROM act WHERE kind = 'RECOVERY_PHASE' ORDER BY act_id"
_COUNTERS: Final = """
SELECT m.meter, e.credit_total_micros, max(e.event_id)
FROM event AS e JOIN meter AS m USING (meter_key) WHERE e.kind = 'credit' GROUP BY e.meter_key
"""
_CREDITS: Final = """
SELECT m.meter, e.at_s, e.credit_total_micros
FROM event AS e JOIN meter AS m USING (meter_key) WHERE e.kind = 'credit' ORDER BY e.event_id
"""
_REFUSALS: Final = "SELECT code, count(*) FROM event WHERE kind = 'refused' GROUP BY code"
_WITH_POLICY: Final = "SELECT count(DISTINCT meter_key) FROM event WHERE kind = 'policy'"
_MOVES: Final = """
SELECT m.meter, e.number, e.relay, e.at_s, e.register_wh
FROM event AS e JOIN meter AS m USING (meter_key) WHERE e.kind = 'relay' ORDER BY e.event_id
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One submission of a recharge, and its answer; None: the command died before it answered."""

    link: str
    meter: str
    amount_micros: int
    reference: str
    answer: dict[str, Any] | None

    @property
    def accepted(self) -> bool:
        """Whether the answer said that it stands in the ledger."""
        return self.answer is not None and self.answer["outcome"] in ("RECORDED", "EXISTS")


@dataclass(frozen=True, slots=True)
class Order:
    """A relay order: the driver's that was answered, or one of the head-end's by its rules.

    `expires_at_s` None: as the head-end was configured.
    """

    meter: str
    relay: str
    version: int
    answered_at_s: int
    expires_at_s: int | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """A recharge in the ledger with its four facts."""

    reference: str
    meter: str
    amount_micros: int
    accepted_at_s: int
    posted_at_s: int
    sent_at_s: int | None
    applied_at_s: int | None


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a meter's relay, by its own log: the true time, and its register then."""

    meter: str
    version: int
    relay: str
    at_s: int
    register_wh: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Arrears in parts, from when to when; None: it lasts."""

    meter: str
    made_at_s: int
    ended_at_s: int | None


@dataclass(frozen=True, slots=True)
class Bulk:
    """Many homes that somebody wanted cut at once: how many, and what the head-end answered."""

    at_s: int
    meters: int
    counts: dict[str, int]


def _no_readings() -> Integers:
    return np.empty((0, 0), np.int64)


@dataclass(slots=True)
class Evidence:
    """Everything that the judge looks at."""

    requests: list[Request] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    orders_by_rule: list[Order] = field(default_factory=list)
    """The head-end's own, by its store: to open for debt, and all to close."""
    bulks: list[Bulk] = field(default_factory=list)
    told_s: dict[str, int] = field(default_factory=dict)
    """When a consumer was first told of a cut to come."""
    plans: list[Plan] = field(default_factory=list)
    phases: list[tuple[int, str]] = field(default_factory=list)
    """When the region entered which phase of its recovery."""
    posted: list[Posted] = field(default_factory=list)
    charges: list[tuple[str, str, int]] = field(default_factory=list)
    """Charges of days in the ledger: (reference, meter, micros)."""
    counters_micros: dict[str, int] = field(default_factory=dict)
    """The meters' own credit counters at the end; absent: 0."""
    counted: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """How they came there: (at_s, micros in all)."""
    moves: list[Move] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    """Commands that meters refused, by code."""
    with_policy: int = 0
    """Meters that ever held a policy."""
    meters: list[str] = field(default_factory=list)
    categories: dict[str, str] = field(default_factory=dict)
    """The meters' consumer categories, as they were registered; absent: the only one."""
    taken_wh: Integers = field(default_factory=_no_readings)
    """The meters' readings: row as in `meters`, column `seq - 1`; ABSENT: none."""
    taken_at_s: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    """When they were taken, by column."""
    held_wh: Integers = field(default_factory=_no_readings)
    """The same as the store has them."""
    contradictions: list[str] = field(default_factory=list)
    """Readings that the store has with two values, or of meters or numbers that the log does not know."""
    midnights: list[tuple[str, int, Integers]] = field(default_factory=list)
    """(the ISO day that a midnight ends, its time, the meters' registers); first the opening registers, day ""."""


def first_accepted(requests: Iterable[Request]) -> dict[str, Request]:
    """The first request of each reference that was answered to stand in the ledger."""
    accepted: dict[str, Request] = {}
    for request in requests:
        if request.accepted:
            accepted.setdefault(request.reference, request)
    return accepted


def collect(journal: Path, log: Path, store: Path, zone: ZoneInfo) -> Evidence:
    """Read everything; the run has stopped."""
    evidence = Evidence()
    _read_requests(journal, evidence)
    meters, store_connection = read_only(log), read_only(store)
    try:
        _read_log(meters, zone, evidence)
        _read_store(store_connection, evidence)
    finally:
        meters.close()
        store_connection.close()
    return evidence


def _read_requests(journal: Path, evidence: Evidence) -> None:
    lines = list(read_journal(journal))
    answers = {line["n"]: line for line in lines if line["kind"] == "answer"}
    for line in lines:
        answer = answers.get(line["n"])
        if line["kind"] == "recharge":
            evidence.requests.append(
                Request(line["link"], line["meter"], line["amount_micros"], line["reference"], answer)
            )
        elif line["kind"] == "meter":
            evidence.categories[line["meter"]] = line["category"]
        elif line["kind"] == "bulk" and answer is not None:
            evidence.bulks.append(Bulk(line["at_s"], len(line["meters"]), answer["counts"]))
        elif line["kind"] == "relay" and answer is not None and answer["outcome"] == "ORDERED":
            evidence.orders.append(Order(line["meter"], line["relay"], answer["version"], answer["at_s"]))


def _read_log(log: Any, zone: ZoneInfo, evidence: Evidence) -> None:
    openings = log.execute("SELECT meter_key, meter, opening_register_wh FROM meter ORDER BY meter_key").fetchall()
    first_key = openings[0][0]
    evidence.meters = [meter for _, meter, _ in openings]
    (start_s,) = log.execute("SELECT start_s FROM fleet").fetchone()
    evidence.midnights.append(("", start_s, np.array([opening for _, _, opening in openings], np.int64)))
    (last_seq,) = log.execute("SELECT coalesce(max(seq), 0) FROM frame WHERE kind <> 'hello'").fetchone()
    evidence.taken_wh = np.full((len(openings), last_seq), ABSENT, np.int64)
    evidence.taken_at_s = np.zeros(last_seq, np.int64)
    by_midnight: dict[int, Integers] = {}
    for kind, at_s, seq, key, blob in log.execute(
        "SELECT kind, at_s, seq, first_meter_key, registers_wh FROM frame WHERE kind <> 'hello' ORDER BY at_s"
    ):
        registers = np.frombuffer(blob, "<i8")
        rows = slice(key - first_key, key - first_key + len(registers))
        evidence.taken_wh[rows, seq - 1] = registers
        evidence.taken_at_s[seq - 1] = at_s
        if kind == "snapshot" and at_s > start_s:
            by_midnight.setdefault(at_s, np.full(len(openings), ABSENT, np.int64))[rows] = registers
    for at_s, column in by_midnight.items():
        day = datetime.fromtimestamp(at_s - 1, zone).date().isoformat()
        evidence.midnights.append((day, at_s, column))
    evidence.counters_micros = {meter: total for meter, total, _ in log.execute(_COUNTERS)}
    for meter, at_s, total in log.execute(_CREDITS):
        evidence.counted.setdefault(meter, []).append((at_s, total))
    evidence.refusals = dict(log.execute(_REFUSALS).fetchall())
    (evidence.with_policy,) = log.execute(_WITH_POLICY).fetchone()
    evidence.moves = [Move(*row) for row in log.execute(_MOVES)]


def _read_store(store: Any, evidence: Evidence) -> None:
    evidence.posted = [Posted(*row) for row in store.execute(_RECHARGES)]
    evidence.charges = [tuple(row) for row in store.execute(_CHARGES)]
    evidence.orders_by_rule = [Order(*row) for row in store.execute(_ORDERS_BY_RULE)]
    evidence.told_s = dict(store.execute(_TOLD).fetchall())
    evidence.plans = [Plan(*row) for row in store.execute(_PLANS)]
    evidence.phases = [(at_s, reason.split()[1]) for at_s, reason in store.execute(_PHASES)]
    rows = {meter: row for row, meter in enumerate(evidence.meters)}
    row_of_key = {
        key: rows.get(meter, ABSENT) for key, meter in store.execute("SELECT meter_key, meter FROM meter")
    }
    table = np.full(max(row_of_key, default=0) + 1, ABSENT, np.int64)
    table[list(row_of_key)] = list(row_of_key.values())
    evidence.held_wh = np.full_like(evidence.taken_wh, ABSENT)
    for held_keys, seqs, held in _segments(store):
        places = table[held_keys]
        known = (places != ABSENT) & (seqs >= 1) & (seqs <= evidence.held_wh.shape[1])
        if not known.all():
            evidence.contradictions.append(f"{(~known).sum()} readings in the store that no meter took")
        places, columns, registers = places[known], seqs[known] - 1, held[known]
        before = evidence.held_wh[places, columns]
        for index in np.flatnonzero((before != ABSENT) & (before != registers)):
            meter = evidence.meters[places[index]]
            evidence.contradictions.append(f"{meter} reading {columns[index] + 1} has two registers in the store")
        evidence.held_wh[places, columns] = registers


def _segments(store: Any) -> Iterator[tuple[Integers, Integers, Integers]]:
    for blobs in store.execute("SELECT meter_keys, seqs, registers_wh FROM segment ORDER BY segment_id"):
        keys, seqs, registers = (np.frombuffer(blob, "<i8").astype(np.int64) for blob in blobs)
        yield keys, seqs, registers
