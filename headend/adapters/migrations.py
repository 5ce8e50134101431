"""The store's schema, version by version, by sqlite-utils. Imported only when a store is behind.

(sqlite-utils takes longer to import than most commands take to run.)
"""

from collections.abc import Iterator

import sqlite_utils
from pysqlite3 import dbapi2 as sqlite
from sqlite_utils.migrations import Migrations

from headend.adapters.statements import SQL_DIRECTORY

MIGRATIONS = Migrations("headend")


@MIGRATIONS()
def m001_first_schema(db: sqlite_utils.Database) -> None:
    """Everything up to release 0.1."""
    _run("schema_1", db)


@MIGRATIONS()
def m002_prepaid_rules(db: sqlite_utils.Database) -> None:
    """Tariffs, notices, protection, recovery, arrears, policies, the audit log."""
    _run("schema_2", db)


def _run(script: str, db: sqlite_utils.Database) -> None:
    # Statement by statement: executescript would commit, and a migration and its record belong together.
    for statement in _statements((SQL_DIRECTORY / f"{script}.sql").read_text(encoding="utf-8")):
        db.conn.execute(statement)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite.complete_statement(statement):
            yield statement
            statement = ""
