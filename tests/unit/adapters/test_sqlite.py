"""SQLite's errors as people meet them, and statements that are all there and all used."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite

from headend.adapters import sqlite_rows
from headend.adapters.sqlite import _translated
from headend.adapters.statements import SQL_DIRECTORY, load_statements
from headend.service.ports import StoreError

STATEMENTS = sqlite_rows.SQL | {f"audit {name}": sql for name, sql in sqlite_rows.AUDIT.items()}
EACH_STEP = (
    *("advance_register", "register_states", "meter_keys", "headend_views", "credit_totals", "add_snapshot"),
    *("newest_open", "send", "requeue", "apply_credits", "acknowledge_credits", "apply_relay", "supersede_relays"),
    *("open_lanes_after", "open_lanes_of_gateway", "open_numbers", "transfer_by_reference", "statement"),
    *("open_days", "settle_snapshot", "settle_meter", "look_again", "note_tariff_used"),
)


@pytest.mark.parametrize(
    ("error", "advice", "transient"),
    [
        (sqlite.OperationalError("database is locked"), "another process holds it; try again", True),
        (sqlite.OperationalError("database or disk is full"), "free some space", True),
        (sqlite.OperationalError("disk I/O error"), "check the disk", True),
        (sqlite.OperationalError("unable to open database file"), "check the path", True),
        (sqlite.OperationalError("attempt to write a readonly database"), "check its permissions", True),
        (sqlite.DatabaseError("file is not a database"), "name another with --store", False),
        (sqlite.DatabaseError("database disk image is malformed"), "restore a backup", False),
        (sqlite.OperationalError("no such table: meter"), "no such table", False),
    ],
)
def test_trouble_is_told_with_where_and_what_to_do(error: Exception, advice: str, transient: bool) -> None:
    with pytest.raises(StoreError, match=re.escape(advice)) as told, _translated("var/headend.db"):
        raise error
    assert str(told.value).startswith("store var/headend.db: ")
    assert told.value.transient is transient
    assert told.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [sqlite.IntegrityError("UNIQUE"), sqlite.ProgrammingError("x"), ValueError("x"), OSError("x")]
)
def test_mistakes_of_our_own_are_not_dressed_up(error: Exception) -> None:
    with pytest.raises(type(error)), _translated("s"):
        raise error


def explained(connection: Any, statement: str) -> list[str]:
    """The plan of a statement, with as many parameters as it takes."""
    for count in range(20):
        try:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * count).fetchall()
        except sqlite.ProgrammingError:
            continue
        return [step for *_, step in rows]
    raise AssertionError(f"no number of parameters fits: {statement}")


@pytest.fixture
def connection() -> Iterator[Any]:
    """An empty store of the newest schema, without the layers above it."""
    opened = sqlite.connect(":memory:")
    for schema in sorted(SQL_DIRECTORY.glob("schema_*.sql")):
        opened.executescript(schema.read_text(encoding="utf-8"))
    yield opened
    opened.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_is_one_that_sqlite_takes(name: str, connection: Any) -> None:
    explained(connection, STATEMENTS[name])


def test_statements_are_found_by_name_and_end_without_a_semicolon() -> None:
    found = load_statements("journal")
    assert found["heartbeat"] == "SELECT at_s, stopped FROM heartbeat"
    assert not any(statement.endswith(";") for statement in STATEMENTS.values())


@pytest.mark.parametrize("name", EACH_STEP)
def test_what_runs_with_each_step_reads_no_whole_table(name: str, connection: Any) -> None:
    scans = [step for step in explained(connection, sqlite_rows.SQL[name]) if step.startswith("SCAN")]
    assert [step for step in scans if not step.startswith(("SCAN wanted", "SCAN s USING INDEX"))] == []
