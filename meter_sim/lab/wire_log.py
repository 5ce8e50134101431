"""The wire log: every message that passed a link of the laboratory, and what the link did to it, as data.

One SQLite file. Its writer is whoever carries the messages: the proxy (wall time) or a simulated wire, which
passes its own times. It knows no MQTT and judges nothing. It is evidence for after the run, not memory: it is
written in batches without a sync, and a killed writer loses the last of them (`run.is_complete` tells).

    run     one row: schema_version, clock (a TimeScale spec or ''), is_complete (1: ended in good order),
            dropped (messages not written because the disk did not take them)
    wire    frame_id     in order of sight
            at_s         virtual time
            wall_s       wall time; NULL in a simulation
            link         name of the proxy
            client       MQTT client id: of a gateway, its id
            direction    'up' (client to broker) or 'down' (broker to client)
            topic, bytes (of the payload as it was sent)
            payload      as it was sent; NULL where it is bulk (readings)
            digest       first 8 bytes of the payload's SHA-256
            fate         'passed', 'lost', 'corrupted', 'duplicated', 'delayed': what the toxics did; the gravest,
                         in the order lost, corrupted, duplicated, delayed. A message under way when its connection
                         ends may not arrive, whatever its fate says.
"""

import hashlib
import time
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

SCHEMA_VERSION: Final = 1
BATCH_ROWS: Final = 500
FLUSH_PERIOD_S: Final = 0.2
MAX_PENDING_ROWS: Final = 50_000
"""What is kept in memory while the disk takes nothing; beyond that messages are dropped and counted."""

KEPT_CHANNELS: Final = ("/commands", "/results", "/hello", "/requests", "/receipts", "/status")
"""Topics that end so are kept with their payload."""

TABLES: Final = """
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY CHECK (id = 1), schema_version INTEGER NOT NULL, clock TEXT NOT NULL,
    is_complete INTEGER NOT NULL, dropped INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS wire (
    frame_id INTEGER PRIMARY KEY,
    at_s INTEGER NOT NULL,
    wall_s REAL,
    link TEXT NOT NULL,
    client TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('up', 'down')),
    topic TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    payload BLOB,
    digest BLOB NOT NULL,
    fate TEXT NOT NULL CHECK (fate IN ('passed', 'lost', 'corrupted', 'duplicated', 'delayed'))
);
"""
_INSERT: Final = """
INSERT INTO wire (at_s, wall_s, link, client, direction, topic, bytes, payload, digest, fate)
VALUES (?,?,?,?,?,?,?,?,?,?)
"""


class WireLogError(Exception):
    """The log cannot be opened; the text says which file and why."""


class WireLog:
    """The writer of one wire log. A file that is there already is continued."""

    def __init__(self, path: Path, clock: str = "") -> None:
        """Open the file, or begin it.

        Raises:
            WireLogError: it cannot be written to, or is no wire log.
        """
        self.dropped = 0
        """Messages that the disk did not take."""
        self.trouble = ""
        """Why the last write failed; empty: it did not."""
        self._rows: list[tuple[Any, ...]] = []
        self._flush_at_s = 0.0
        try:
            self._connection = _open(path, clock)
        except sqlite.Error as error:
            raise WireLogError(f"{path} cannot be used as a wire log: {error}") from error

    def add(
        self,
        at_s: int,
        link: str,
        client: str,
        direction: str,
        topic: str,
        payload: bytes,
        fate: str,
        wall_s: float | None = None,
    ) -> None:
        """Note one message; it is in the file after the next flush."""
        if len(self._rows) >= MAX_PENDING_ROWS:
            self.dropped += 1
            return
        kept = payload if topic.endswith(KEPT_CHANNELS) else None
        digest = hashlib.sha256(payload).digest()[:8]
        self._rows.append((at_s, wall_s, link, client, direction, topic, len(payload), kept, digest, fate))
        if len(self._rows) >= BATCH_ROWS and time.monotonic() >= self._flush_at_s:
            self.flush()

    def flush(self) -> None:
        """Write what was noted. If the disk does not take it, it is tried again with the next flush."""
        if not self._rows:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(_INSERT, self._rows)
            self._connection.execute("COMMIT")
        except sqlite.Error as error:
            self.trouble = str(error)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._flush_at_s = time.monotonic() + FLUSH_PERIOD_S  # a full disk is not asked for every row
        else:
            self.trouble = ""
            self._rows.clear()

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self.flush()
        self.dropped += len(self._rows)
        try:
            self._connection.execute("UPDATE run SET is_complete = 1, dropped = dropped + ?", (self.dropped,))
        except sqlite.Error as error:
            self.trouble = str(error)
        self._connection.close()


def _open(path: Path, clock: str) -> Any:
    connection = sqlite.connect(str(path), isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 1000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        for statement in TABLES.strip().split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO run VALUES (1, ?, ?, 0, 0)", (SCHEMA_VERSION, clock))
        connection.execute("UPDATE run SET is_complete = 0, clock = ?", (clock,))
        (version,) = connection.execute("SELECT schema_version FROM run").fetchone()
        connection.execute(_INSERT.replace("INSERT", "EXPLAIN INSERT", 1), (None,) * 10)
    except sqlite.Error:
        connection.close()
        raise
    if version != SCHEMA_VERSION:
        connection.close()
        raise WireLogError(f"{path} has wire log version {version}; this program knows {SCHEMA_VERSION}")
    return connection
