"""What benchmarks measure with: seconds, memory, sizes, and what the disk alone needs for as many rows."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

PEER_ROWS = 5_000
"""Rows of one commit of the peer."""


def timed_s(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds that an action takes: by the clock, and of a processor's time."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s


def peak_mib() -> int:
    """The most memory that this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def now_mib() -> int:
    """The memory that it has resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20


def size_mib(store: Path) -> int:
    """A store on disk, with its write-ahead log."""
    return sum(file.stat().st_size for file in store.parent.glob(store.name + "*")) // 2**20


def bare_inserts_s(folder: Path, rows: int) -> float:
    """Seconds for as many plain rows in an SQLite file with the store's durability: what the machine can do.

    One row is a transfer without indexes, references or checks, all in commits of the size of settlement's.
    """
    names = (f"charge/2024-10-30/M{number:07d}" for number in range(PEER_ROWS))
    content = [(name, number, 4_120 * number, bytes(32)) for number, name in enumerate(names)]

    def insert(connection: sqlite.Connection) -> None:
        for _ in range(0, rows, PEER_ROWS):
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO row (name, a, b, hash) VALUES (?, ?, ?, ?)", content)
            connection.execute("COMMIT")

    with _peer(folder) as connection:
        return timed_s(partial(insert, connection))[0]


def bare_updates_s(folder: Path, rows: int, step: int) -> float:
    """Seconds to change one number in each of as many plain rows, likewise, by one statement a commit."""

    def update(connection: sqlite.Connection) -> None:
        for first in range(0, rows, step):
            connection.execute("BEGIN")
            connection.execute("UPDATE row SET a = a + 1 WHERE id > ? AND id <= ?", (first, first + step))
            connection.execute("COMMIT")

    with _peer(folder) as connection:
        numbers = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, i, i FROM n"
        )
        connection.execute(f"INSERT INTO row (id, a, b) {numbers}", (rows,))
        return timed_s(partial(update, connection))[0]


@contextmanager
def _peer(folder: Path) -> Iterator[sqlite.Connection]:
    path = folder / "peer.db"
    connection = sqlite.connect(str(path), isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, name TEXT, a INTEGER, b INTEGER, hash BLOB)")
        yield connection
    finally:
        connection.close()
        for file in path.parent.glob("peer.db*"):
            file.unlink()
