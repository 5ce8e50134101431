"""What a planted bug is, and two ways to plant one: another statement, a table without its checks."""

from dataclasses import dataclass

import pytest
from planted_stages import Planted

from headend.adapters.sqlite import SqliteStore
from headend.adapters.sqlite_statements import SQL


@dataclass(frozen=True, slots=True)
class Bug:
    """One mistake in the real head-end, or in a meter.

    `breaks`: the invariant whose finding must be a failure. `stage`: of `STAGES`. `shows`: what the finding has to
    say, so that it is this mistake that was found and not another.
    """

    name: str
    breaks: str
    stage: str
    plant: Planted
    shows: str


def change_statement(patch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    """Put other words into a named statement of the store."""
    assert old in SQL[name], f"{name} has no {old!r} any more"
    patch.setitem(SQL, name, SQL[name].replace(old, new))


def without_checks(patch: pytest.MonkeyPatch) -> None:
    """A store whose tables have no CHECK: what a bug has to get past as well."""
    configure = SqliteStore._configure

    def configured(store: SqliteStore) -> None:
        configure(store)
        store._connection.execute("PRAGMA ignore_check_constraints = ON")

    patch.setattr(SqliteStore, "_configure", configured)
