"""Running named statements on an open connection: what the rows of every concern are made with."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, Final

from headend.adapters.statements import load_statements

SQL: Final = load_statements(
    "registry", "ingest", "ledger", "delivery", "journal",
    "billing", "protection", "notices", "recovery", "evidence", "policies", "audit_protection", "devices",
    "lost_numbers",
)  # fmt: skip

INSERT_ROWS: Final = 1_000
"""Rows that one statement of `_insert` adds."""


class SqliteStatements:
    """`SqliteStore` begins and ends the transactions around them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def _one(self, name: str, *values: object) -> Any:
        return self._connection.execute(SQL[name], values).fetchone()

    def _all(self, name: str, *values: object) -> list[Any]:
        return self._connection.execute(SQL[name], values).fetchall()  # type: ignore[no-any-return]

    def _run(self, name: str, *values: object) -> int:
        return self._connection.execute(SQL[name], values).rowcount  # type: ignore[no-any-return]

    def _many(self, name: str, rows: Iterable[Sequence[object]]) -> int:
        if isinstance(rows, list) and not rows:
            return 0
        return self._connection.executemany(SQL[name], rows).rowcount  # type: ignore[no-any-return]

    def _insert(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        """As `_many`, for a statement that ends in one row of VALUES: with many of them it is a quarter faster."""
        head, values = SQL[name].rsplit("VALUES", 1)
        remaining = iter(rows)
        while part := list(islice(remaining, INSERT_ROWS)):
            statement = f"{head}VALUES{', '.join([values] * len(part))}"
            self._connection.execute(statement, list(chain.from_iterable(part)))
