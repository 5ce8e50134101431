"""What benchmarks measure with: seconds, memory, sizes, and what the disk alone needs for as many rows."""

import resource
import time
from collections.abc import Callable
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
    path = folder / "peer.db"
    connection = sqlite.connect(str(path), isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, name TEXT, a INTEGER, b INTEGER, hash BLOB)")
        names = (f"charge/2024-10-30/M{number:07d}" for number in range(PEER_ROWS))
        content = [(name, number, 4_120 * number, bytes(32)) for number, name in enumerate(names)]

        def insert() -> None:
            for _ in range(0, rows, PEER_ROWS):
                connection.execute("BEGIN")
                connection.executemany("INSERT INTO row (name, a, b, hash) VALUES (?, ?, ?, ?)", content)
                connection.execute("COMMIT")

        return timed_s(insert)[0]
    finally:
        connection.close()
        for file in path.parent.glob("peer.db*"):
            file.unlink()
