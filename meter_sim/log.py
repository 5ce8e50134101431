"""The meters' own append-only log: their memory without power, and the ground truth for auditors.

One SQLite file (WAL) for each fleet process. The process appends, one transaction a step, before anything of
that step goes on the wire. It is durable against SIGKILL of the process (synchronous NORMAL), which is all
that a simulated meter's memory needs. Any other process may read it meanwhile (`mode=ro`). UPDATE and DELETE
abort.

Schema, version 1 (read as data by `headend audit --fleet-log`; times are seconds UTC, virtual):

    fleet     one row: schema_version, seed, region, zone, interval_s, start_s, first_number, meters,
              meters_per_gateway, meter_prefix, gateway_prefix, clock (a TimeScale spec)
    meter     meter_key (the meter's number), meter and gateway (ids), opening_register_wh (at start_s)
    event     event_id, at_s, meter_key, kind, number, credit_total_micros, relay, code, register_wh,
              undrawn_wh
                'credit'   number: credit sequence now applied; credit_total_micros: the counter now
                'relay'    number: relay version now applied; relay: 'open' or 'closed', the position now
                'refused'  number: sequence or version of the command; code: why; credit_total_micros (of a
                           credit command) or relay (of a relay command): what was asked for
              A command that changes nothing and is not refused leaves no row. A meter without a 'credit' row
              has counter (0, 0); without a 'relay' row it has version 0 and is closed. register_wh is the
              register at that moment; undrawn_wh what the home could not draw up to its last reconnection.
    frame     gateway, frame, kind ('hello', 'interval', 'snapshot'), at_s, seq, first_meter_key, rows,
              registers_wh, relays_open. Row i of a frame is meter first_meter_key + i. All meters of a fleet
              take their readings together, so `seq` is the reading sequence number of every row (in a hello:
              of the newest reading). registers_wh: `rows` little-endian signed 64-bit integers. relays_open:
              NULL, or the rows i with an open relay, likewise.
    receipt   gateway, frame, outcome ('accepted' or 'refused'), code, refused_rows, at_s
    newest_reading (view)  for each first_meter_key: the newest reading frame (gateway, rows, seq, at_s,
              registers_wh)
"""

import fcntl
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from pysqlite3 import dbapi2 as sqlite

from headend.wire.messages import ReadingKind
from meter_sim.fleet import FleetPlan
from meter_sim.load import Integers, opening_register_wh

SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_MS: Final = 5_000
HELLO: Final = "hello"

_TABLES: Final = """
CREATE TABLE fleet (
    id INTEGER PRIMARY KEY CHECK (id = 1), schema_version INTEGER NOT NULL,
    meters INTEGER NOT NULL, meters_per_gateway INTEGER NOT NULL, region TEXT NOT NULL,
    start_s INTEGER NOT NULL,
    seed INTEGER NOT NULL, interval_s INTEGER NOT NULL, zone TEXT NOT NULL, first_number INTEGER NOT NULL,
    meter_prefix TEXT NOT NULL, gateway_prefix TEXT NOT NULL, clock TEXT NOT NULL
);
CREATE TABLE meter (
    meter_key INTEGER PRIMARY KEY, meter TEXT NOT NULL UNIQUE, gateway TEXT NOT NULL,
    opening_register_wh INTEGER NOT NULL
);
CREATE TABLE event (
    event_id INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, meter_key INTEGER NOT NULL REFERENCES meter,
    kind TEXT NOT NULL CHECK (kind IN ('credit', 'relay', 'refused')), number INTEGER NOT NULL,
    credit_total_micros INTEGER, relay TEXT CHECK (relay IN ('open', 'closed')), code TEXT,
    register_wh INTEGER NOT NULL, undrawn_wh INTEGER NOT NULL,
    CHECK ((code IS NOT NULL) = (kind = 'refused')),
    CHECK ((credit_total_micros IS NULL) <> (relay IS NULL))
);
CREATE INDEX event_by_meter ON event (meter_key, event_id);
CREATE TABLE frame (
    gateway TEXT NOT NULL, frame INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('hello', 'interval', 'snapshot')),
    at_s INTEGER NOT NULL, seq INTEGER NOT NULL, first_meter_key INTEGER NOT NULL, rows INTEGER NOT NULL,
    registers_wh BLOB NOT NULL CHECK (length(registers_wh) = 8 * rows), relays_open BLOB,
    UNIQUE (gateway, frame)
);
CREATE TABLE receipt (
    gateway TEXT NOT NULL, frame INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('accepted', 'refused')),
    code TEXT, refused_rows INTEGER NOT NULL, at_s INTEGER NOT NULL,
    PRIMARY KEY (gateway, frame)
) WITHOUT ROWID;
CREATE VIEW newest_reading AS
    SELECT gateway, first_meter_key, rows, max(seq) AS seq, at_s, registers_wh
    FROM frame WHERE kind <> 'hello' GROUP BY first_meter_key;
"""

_APPEND_ONLY: Final = """
CREATE TRIGGER {table}_keeps_rows BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, 'the log of the meters is append-only'); END;
CREATE TRIGGER {table}_keeps_values BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, 'the log of the meters is append-only'); END;
"""

_LAST_CREDITS: Final = """
SELECT meter_key, number, credit_total_micros, max(event_id)
FROM event WHERE kind = 'credit' GROUP BY meter_key
"""
_LAST_RELAYS: Final = """
SELECT meter_key, number, relay = 'open', register_wh, undrawn_wh, max(event_id)
FROM event WHERE kind = 'relay' GROUP BY meter_key
"""
_UNRECEIPTED: Final = """
SELECT gateway, frame, kind, rows FROM frame LEFT JOIN receipt USING (gateway, frame)
WHERE kind <> 'hello' AND receipt.outcome IS NULL ORDER BY frame.rowid
"""


class LogError(Exception):
    """The log cannot be used; the text says which file, why, and what to do."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """A row of `event`."""

    at_s: int
    meter_key: int
    kind: str
    number: int
    credit_total_micros: int | None
    relay: str | None
    code: str | None
    register_wh: int
    undrawn_wh: int


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A row of `frame`."""

    gateway: str
    frame: int
    kind: str
    at_s: int
    seq: int
    first_meter_key: int
    registers_wh: Integers
    open_rows: Integers


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A row of `receipt`."""

    gateway: str
    frame: int
    outcome: str
    code: str | None
    refused_rows: int
    at_s: int


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
            run.executemany("INSERT INTO event VALUES (NULL,?,?,?,?,?,?,?,?,?)", map(astuple, events))
            run.execute("COMMIT")
        except sqlite.Error as error:
            raise LogError(f"{self._path}: cannot write: {error}; a restart goes on from what is in it") from error

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
        openings = _openings(plan)
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.strip().split(";\n"):
            run.execute(statement)
        for table in ("fleet", "meter", "event", "frame", "receipt"):
            for statement in _APPEND_ONLY.format(table=table).strip().split("END;\n"):
                run.execute(statement.removesuffix("END;") + "END")
        run.execute(
            f"INSERT INTO fleet (id, schema_version, clock, {names}) VALUES (1, ?, ?, {marks})",
            (SCHEMA_VERSION, clock, *astuple(plan)),
        )
        run.executemany("INSERT INTO meter VALUES (?,?,?,?)", openings)
        run.execute("COMMIT")

    def _check(self, plan: FleetPlan) -> None:
        stored, _, version = _read_plan(self._connection)
        if version != SCHEMA_VERSION:
            raise LogError(f"{self._path} has log version {version}; this program knows {SCHEMA_VERSION}")
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
            plan, clock, _ = _read_plan(connection)
        finally:
            connection.close()
    except (sqlite.Error, TypeError, ValueError) as error:
        raise LogError(f"{path} is no fleet log ({error}); choose another --log") from error
    return plan, clock


def _read_plan(connection: Any) -> tuple[FleetPlan, str, int]:
    names = ", ".join(field.name for field in fields(FleetPlan))
    *values, clock, version = connection.execute(f"SELECT {names}, clock, schema_version FROM fleet").fetchone()
    return FleetPlan(*values), clock, version


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


def _openings(plan: FleetPlan) -> Iterator[tuple[int, str, str, int]]:
    values = opening_register_wh(plan.first_number, plan.meters).tolist()
    for number, opening in enumerate(values, plan.first_number):
        yield number, plan.meter_id(number), plan.gateway_id(number), opening


def _frame_values(row: FrameRow) -> tuple[Any, ...]:
    opened = row.open_rows.astype("<i8").tobytes() if len(row.open_rows) else None
    registers = row.registers_wh.astype("<i8").tobytes()
    return (
        row.gateway, row.frame, row.kind, row.at_s, row.seq, row.first_meter_key, len(row.registers_wh),
        registers, opened,
    )  # fmt: skip


def _integers(blob: bytes) -> Integers:
    return np.frombuffer(blob, "<i8").astype(np.int64)
