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
    # Statement by statement: executescript would commit, and a migration and its record belong together.
    for statement in _statements((SQL_DIRECTORY / "schema_1.sql").read_text(encoding="utf-8")):
        db.conn.execute(statement)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite.complete_statement(statement):
            yield statement
            statement = ""
