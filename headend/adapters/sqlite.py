"""The store on SQLite: connection, durability, transactions, migrations. The rows are in `sqlite_rows`.

WAL with synchronous=FULL: a commit that returned has been synced. One writing connection a process; writers of
other processes wait for each other (BEGIN IMMEDIATE with a busy timeout). `pysqlite3` brings its own SQLite,
because the one of Debian 12 is inside the WAL-reset corruption range (fixed in 3.51.3).
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from headend.adapters.sqlite_rows import SqliteUnitOfWork
from headend.service.ports import StoreError, UnitOfWork

BUSY_TIMEOUT_MS: Final = 10_000
"""How long a transaction waits for another process's."""

CACHE_KIB: Final = 64 * 1024

CACHED_STATEMENTS: Final = 512
"""Prepared statements kept, more than there are: preparing a long one anew takes longer than running it."""

OLDEST_SOUND_SQLITE: Final = (3, 51, 3)
"""Before it, a WAL reset could corrupt a database (design, section 8)."""

SCHEMA_VERSIONS: Final = ("m001_first_schema", "m002_prepaid_rules")
"""The migrations that this version knows (`adapters.migrations`), oldest first."""


class SqliteStore:
    """`Store` in one SQLite file, or in memory with the path `:memory:`."""

    def __init__(self, path: Path | str) -> None:
        """Open the file, making it and its folder (0600) as needed, and bring its schema up to date.

        Raises:
            StoreError: not a database of ours, from a newer version, not writable, disk full.
        """
        self._name = str(path)
        if self._name != ":memory:":
            _prepare_file(Path(path))
        with _translated(self._name):
            self._connection = sqlite.connect(
                self._name,
                isolation_level=None,
                timeout=BUSY_TIMEOUT_MS / 1000,
                cached_statements=CACHED_STATEMENTS,
            )
            # Before anything is changed: a file of somebody else's stays as it is.
            applied = self._applied_versions()
            self._configure()
            if applied < set(SCHEMA_VERSIONS):
                self._migrate()
        self._identity = None if self._name == ":memory:" else _identity(self._name)
        self._rows = SqliteUnitOfWork(self._connection)
        self._data_version = -1
        self._is_durable = self._name == ":memory:"

    def _configure(self) -> None:
        self._enter_wal()
        for pragma in (
            "synchronous = FULL",
            "foreign_keys = ON",
            f"cache_size = -{CACHE_KIB}",
            "temp_store = MEMORY",
        ):
            self._connection.execute(f"PRAGMA {pragma}")

    def _enter_wal(self) -> None:
        """Switch to WAL; SQLite's busy timeout does not cover this, when two processes make the store at once."""
        deadline_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.01)

    def _applied_versions(self) -> set[str]:
        """The versions that the file's schema has been brought to.

        Raises:
            StoreError: it is another program's, or from a newer version.
        """
        tables = {
            name for (name,) in self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
        if not tables:
            return set()
        applied: set[str] = set()
        if "_sqlite_migrations" in tables:
            query = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'headend'"
            applied = {name for (name,) in self._connection.execute(query)}
        if not applied:
            raise StoreError(
                f"store {self._name} is a database of another program; name another with --store", transient=False
            )
        if unknown := applied - set(SCHEMA_VERSIONS):
            raise StoreError(
                f"store {self._name} was written by a newer version of headend (it has {max(unknown)});"
                " use that version, or another store",
                transient=False,
            )
        return applied

    def _migrate(self) -> None:
        import sqlite_utils

        from headend.adapters.migrations import MIGRATIONS

        # A table that others refer to can only be rebuilt with the checking of references off.
        self._connection.execute("PRAGMA foreign_keys = OFF")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            # Looked at again under the lock: another process may have done it meanwhile.
            MIGRATIONS.apply(sqlite_utils.Database(self._connection))
            broken = self._connection.execute("PRAGMA foreign_key_check").fetchall()
            assert not broken, f"the migration broke references: {broken[:5]}"
            self._connection.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        self._connection.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        """See `Store.transaction`."""
        self._check_still_there()
        with _translated(self._name):
            if not self._is_durable:
                # What a process wrote that died before its sync can be seen, but a power cut could still take it:
                # nobody may answer "exists" to that (I8). A checkpoint syncs the log first.
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._is_durable = True
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._rows
                self._connection.execute("COMMIT")
            except BaseException:
                self._rollback()
                raise

    @contextmanager
    def view(self) -> Iterator[UnitOfWork]:
        """See `Store.view`."""
        with _translated(self._name):
            self._connection.execute("BEGIN")
            try:
                yield self._rows
            finally:
                self._rollback()

    def _check_still_there(self) -> None:
        """A file that was removed or replaced would take our commits with it, receipts and all (I8)."""
        if self._identity is not None and _identity(self._name) != self._identity:
            raise StoreError(
                f"store {self._name} was removed or replaced while in use; put it back, or start again",
                transient=False,
            )

    def _rollback(self) -> None:
        # SQLite itself rolls back on a full disk; then there is no transaction left to end.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def changed(self) -> bool:
        """See `Store.changed`."""
        with _translated(self._name):
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        changed = version != self._data_version
        self._data_version = version
        return bool(changed)

    def close(self) -> None:
        """See `Store.close`."""
        self._connection.close()


def sqlite_version() -> str:
    """The version of SQLite that the store runs on."""
    return str(sqlite.sqlite_version)


def _prepare_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    except OSError as error:
        raise StoreError(
            f"store {path}: {error.strerror}; check the path and its permissions", transient=False
        ) from error


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - once a transaction, and Path costs more than the call
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn SQLite's errors into `StoreError`, once, with the cause kept."""
    try:
        yield
    except sqlite.IntegrityError:
        raise  # a broken rule of ours, not trouble of the store's
    except sqlite.DatabaseError as error:
        text = str(error)
        for sign, advice, transient in _ADVICE:
            if sign in text:
                raise StoreError(f"store {name}: {text}; {advice}", transient=transient) from error
        if isinstance(error, sqlite.ProgrammingError):
            raise
        raise StoreError(f"store {name}: {text}", transient=False) from error


_ADVICE: Final = (
    ("database is locked", "another process holds it; try again", True),
    ("disk is full", "free some space; nothing was half done", True),
    ("disk I/O error", "check the disk; nothing was half done", True),
    ("unable to open", "check the path and its permissions", True),
    ("readonly", "check its permissions", True),
    ("not a database", "it is no SQLite file; name another with --store", False),
    ("malformed", "it is damaged; restore a backup", False),
)
