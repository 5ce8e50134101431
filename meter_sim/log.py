"""The meters' own append-only log: their memory without power, and the ground truth for auditors.

One SQLite file (WAL) for each fleet process. The process appends, one transaction a step, before anything of
that step goes on the wire. It is durable against SIGKILL of the process (synchronous NORMAL), which is all
that a simulated meter's memory needs. Any other process may read it meanwhile (`mode=ro`). UPDATE and DELETE
abort.

Its schema is in `meter_sim/log_tables.py`.
"""

import fcntl
import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from pysqlite3 import dbapi2 as sqlite

from headend.wire.messages import ReadingKind
from meter_sim.fleet import FleetPlan, clock_errors_s
from meter_sim.load import Integers, opening_register_wh
from meter_sim.log_tables import APPEND_ONLY, SCHEMA_VERSION, TABLES, EventRow, FrameRow, ReceiptRow
from meter_sim.policy import Policy

BUSY_TIMEOUT_MS: Final = 5_000

_LAST_CREDITS: Final = """
SELECT meter_key, number, credit_total_micros, max(event_id)
FROM event WHERE kind = 'credit' GROUP BY meter_key
"""
_LAST_RELAYS: Final = """
SELECT meter_key, number, relay = 'open', register_wh, undrawn_wh, max(event_id)
FROM event WHERE kind = 'relay' GROUP BY meter_key
"""
_LAST_POLICIES: Final = """
SELECT meter_key, policy_key, max(event_id) FROM event WHERE kind = 'policy' GROUP BY meter_key
"""
_POLICIES: Final = """
SELECT policy_key, version, digest, issued_at_s, valid_until_s, clock_tolerance_s, protected FROM policy
"""
_UNRECEIPTED: Final = """
SELECT gateway, frame, kind, rows FROM frame LEFT JOIN receipt USING (gateway, frame)
WHERE kind <> 'hello' AND receipt.outcome IS NULL ORDER BY frame.rowid
"""


class LogError(Exception):
    """The log cannot be used; the text says which file, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the fleet's readings have come: the newest sequence number, and the time taken up to."""

    seq: int
    taken_until_s: int


class FleetLog:
    """The log of one fleet process, held exclusively for writing while it is open."""

    def __init__(self, connection: Any, path: Path, lock: IO[bytes]) -> None:
        self._connection = connection
        self._path = path
        self._lock = lock
        self._policy_keys: dict[Policy, int] = {}

    @classmethod
    def open(cls, path: Path, plan: FleetPlan, clock: str) -> "FleetLog":
        """Open the log of this plan, or begin it.

        Raises:
            LogError: another process holds it, it is another plan's or no log at all, or the file fails.
        """
        lock = _hold(path)
        try:
            log = cls(_connect(path), path, lock)
            log._prepare(plan, clock)
            log._policy_keys = {policy: key for key, policy in log._policies()}
        except (sqlite.Error, OSError) as error:
            lock.close()
            raise LogError(f"{path}: {error}; is it a fleet log, and can it be written to?") from error
        except LogError:
            lock.close()
            raise
        return log

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        self._lock.close()

    def append(self, frames: list[FrameRow], receipts: list[ReceiptRow], events: list[EventRow]) -> None:
        """Write one step, all or nothing.

        Raises:
            LogError: nothing was written; the process must not go on from its memory.
        """
        if not (frames or receipts or events):
            return
        run = self._connection
        try:
            run.execute("BEGIN IMMEDIATE")
            run.executemany("INSERT INTO frame VALUES (?,?,?,?,?,?,?,?,?)", map(_frame_values, frames))
            run.executemany("INSERT INTO receipt VALUES (?,?,?,?,?,?)", map(astuple, receipts))
            run.executemany(
                "INSERT INTO event VALUES (NULL,?,?,?,?,?,?,?,?,?,?)", [self._event_values(row) for row in events]
            )
            run.execute("COMMIT")
        except sqlite.Error as error:
            raise LogError(f"{self._path}: cannot write: {error}; a restart goes on from what is in it") from error

    def _event_values(self, row: EventRow) -> tuple[Any, ...]:
        policy_key = None if row.policy is None else self._policy_key(row.policy)
        return (
            row.at_s, row.meter_key, row.kind, row.number, row.credit_total_micros, row.relay,
            policy_key, row.code, row.register_wh, row.undrawn_wh,
        )  # fmt: skip

    def _policy_key(self, policy: Policy) -> int:
        """The key of a document, which is written when the first meter takes it."""
        if policy not in self._policy_keys:
            key = self._policy_keys[policy] = len(self._policy_keys) + 1
            self._connection.execute("INSERT INTO policy VALUES (?,?,?,?,?,?,?)", (key, *_policy_values(policy)))
        return self._policy_keys[policy]

    def _policies(self) -> Iterator[tuple[int, Policy]]:
        for key, version, digest, issued_at_s, valid_until_s, tolerance_s, text in self._connection.execute(
            _POLICIES
        ):
            windows = json.loads(text)
            begins, ends = tuple(begin for begin, _ in windows), tuple(end for _, end in windows)
            yield key, Policy(version, digest, issued_at_s, valid_until_s, tolerance_s, begins, ends)

    def frame(self, gateway: str, frame: int) -> FrameRow:
        """Read one frame back, to send it again."""
        row = self._connection.execute(
            "SELECT kind, at_s, seq, first_meter_key, registers_wh, relays_open FROM frame"
            " WHERE gateway = ? AND frame = ?",
            (gateway, frame),
        ).fetchone()
        kind, at_s, seq, first_meter_key, registers, open_rows = row
        return FrameRow(
            gateway,
            frame,
            kind,
            at_s,
            seq,
            first_meter_key,
            _integers(registers),
            _integers(open_rows or b""),
        )

    def unreceipted(self) -> Iterator[tuple[str, int, ReadingKind, int]]:
        """Reading frames without a final receipt: (gateway, frame, kind, rows), oldest first."""
        for gateway, frame, kind, rows in self._connection.execute(_UNRECEIPTED):
            yield gateway, frame, ReadingKind(kind), rows

    def last_frames(self) -> dict[str, int]:
        """The newest frame number of each gateway, hellos included."""
        return dict(self._connection.execute("SELECT gateway, max(frame) FROM frame GROUP BY gateway"))

    def progress(self) -> Progress | None:
        """How far readings have come; None: none was taken yet."""
        seq, at_s = self._connection.execute(
            "SELECT max(seq), max(at_s) FROM frame WHERE kind <> 'hello'"
        ).fetchone()
        return None if seq is None else Progress(seq, at_s)

    def last_time_s(self) -> int:
        """The latest time of anything in the log; 0: nothing yet."""
        times = (
            "SELECT max(at_s) AS at_s FROM frame",
            "SELECT max(at_s) FROM event",
            "SELECT max(at_s) FROM receipt",
        )
        (last,) = self._connection.execute(f"SELECT max(at_s) FROM ({' UNION ALL '.join(times)})").fetchone()
        return last or 0

    def last_credits(self) -> Iterator[tuple[int, int, int]]:
        """The credit counter of each meter that has one: (meter_key, seq, credit_total_micros)."""
        for meter_key, seq, total, _ in self._connection.execute(_LAST_CREDITS):
            yield meter_key, seq, total

    def last_relays(self) -> Iterator[tuple[int, int, bool, int, int]]:
        """The relay of each meter that was commanded: (meter_key, version, open, register_wh, undrawn_wh)."""
        for meter_key, version, opened, register, undrawn, _ in self._connection.execute(_LAST_RELAYS):
            yield meter_key, version, bool(opened), register, undrawn

    def last_policies(self) -> Iterator[tuple[int, Policy]]:
        """The policy of each meter that has one: (meter_key, policy)."""
        policies = {key: policy for policy, key in self._policy_keys.items()}
        for meter_key, policy_key, _ in self._connection.execute(_LAST_POLICIES):
            yield meter_key, policies[policy_key]

    def _prepare(self, plan: FleetPlan, clock: str) -> None:
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_schema")}
        if not tables:
            self._begin(plan, clock)
        elif "fleet" not in tables:
            raise LogError(f"{self._path} is a database, but no fleet log; choose another --log")
        else:
            self._check(plan)

    def _begin(self, plan: FleetPlan, clock: str) -> None:
        names = ", ".join(field.name for field in fields(plan))
        marks = ", ".join("?" * len(fields(plan)))
        meters = _meter_rows(plan)
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        for statement in TABLES.strip().split(";\n"):
            run.execute(statement)
        for table in ("fleet", "meter", "policy", "event", "frame", "receipt"):
            for statement in APPEND_ONLY.format(table=table).strip().split("END;\n"):
                run.execute(statement.removesuffix("END;") + "END")
        run.execute(
            f"INSERT INTO fleet (id, schema_version, clock, {names}) VALUES (1, ?, ?, {marks})",
            (SCHEMA_VERSION, clock, *astuple(plan)),
        )
        run.executemany("INSERT INTO meter VALUES (?,?,?,?,?)", meters)
        run.execute("COMMIT")

    def _check(self, plan: FleetPlan) -> None:
        stored, _ = _read_plan(self._connection, self._path)
        for field in fields(plan):
            was, now = getattr(stored, field.name), getattr(plan, field.name)
            if was != now:
                raise LogError(
                    f"{self._path} is the log of a fleet with {field.name} {was}, not {now}; "
                    "use the same options as before, or another --log"
                )


def stored_plan(path: Path) -> tuple[FleetPlan, str] | None:
    """The plan and the clock spec of an existing log; None: there is no log yet.

    Raises:
        LogError: the file is no log.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        connection = sqlite.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            return _read_plan(connection, path)
        finally:
            connection.close()
    except (sqlite.Error, TypeError, ValueError) as error:
        raise LogError(f"{path} is no fleet log ({error}); choose another --log") from error


def _read_plan(connection: Any, path: Path) -> tuple[FleetPlan, str]:
    (version,) = connection.execute("SELECT schema_version FROM fleet").fetchone()
    if version != SCHEMA_VERSION:
        raise LogError(
            f"{path} has log version {version}; this program knows {SCHEMA_VERSION}; choose another --log"
        )
    names = ", ".join(field.name for field in fields(FleetPlan))
    *values, clock = connection.execute(f"SELECT {names}, clock FROM fleet").fetchone()
    return FleetPlan(*values), clock


def _connect(path: Path) -> Any:
    connection = sqlite.connect(str(path), isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    # Without this, INSERT OR REPLACE would delete past the triggers.
    connection.execute("PRAGMA recursive_triggers = ON")
    return connection


def _hold(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("wb")
    except OSError as error:
        raise LogError(f"{path}: {error.strerror}; choose another --log") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise LogError(f"{path} is in use by another fleet process; end it or choose another --log") from error
    return lock


def _meter_rows(plan: FleetPlan) -> Iterator[tuple[int, str, str, int, int]]:
    openings = opening_register_wh(plan.first_number, plan.meters).tolist()
    errors = clock_errors_s(plan).tolist()
    for number, (opening, error) in enumerate(zip(openings, errors, strict=True), plan.first_number):
        yield number, plan.meter_id(number), plan.gateway_id(number), opening, error


def _policy_values(policy: Policy) -> tuple[Any, ...]:
    windows = json.dumps(list(zip(policy.begins_s, policy.ends_s, strict=True)), separators=(",", ":"))
    times = (policy.issued_at_s, policy.valid_until_s, policy.clock_tolerance_s)
    return (policy.version, policy.digest, *times, windows)


def _frame_values(row: FrameRow) -> tuple[Any, ...]:
    opened = row.open_rows.astype("<i8").tobytes() if len(row.open_rows) else None
    registers = row.registers_wh.astype("<i8").tobytes()
    return (
        row.gateway, row.frame, row.kind, row.at_s, row.seq, row.first_meter_key, len(row.registers_wh),
        registers, opened,
    )  # fmt: skip


def _integers(blob: bytes) -> Integers:
    return np.frombuffer(blob, "<i8").astype(np.int64)
