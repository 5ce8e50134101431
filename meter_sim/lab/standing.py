"""How a run stands by the head-end's store, read as data beside the processes that write it."""

from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from meter_sim.lab.run_folder import read_only

STALE_AFTER_S: Final = 2 * 3_600
INTERVALS: Final = 4
"""A gateway or a balance is late after so many intervals, at least."""

_LOOK: Final = """
SELECT
    (SELECT count(*) FROM register WHERE read_at_s IS NULL OR read_at_s < :stale_s),
    (SELECT count(*) FROM snapshot WHERE settled_at_s IS NULL),
    (SELECT count(*) FROM delivery WHERE kind = 'CREDIT' AND state IN ('QUEUED', 'SENT')),
    (SELECT count(*) FROM delivery WHERE state IN ('QUEUED', 'SENT')),
    (SELECT count(*) FROM delivery WHERE kind = 'CREDIT' AND state = 'APPLIED'),
    (SELECT count(*) FROM standing WHERE zero_since_s IS NOT NULL),
    (SELECT count(*) FROM gateway WHERE last_heard_s >= :silent_s),
    (SELECT sum(credits_micros) - sum(debits_micros) FROM account),
    (SELECT phase FROM region ORDER BY region LIMIT 1)
"""
_NAMES: Final = (
    "balances_stale", "days_unsettled", "credits_queued", "commands_open", "credits_applied", "homes_at_zero",
    "gateways_online", "ledger_sum_micros", "region_phase",
)  # fmt: skip


_OPEN_SINCE: Final = "SELECT count(*) FROM delivery WHERE state IN ('QUEUED', 'SENT') AND queued_at_s < ?"


class Standing:
    """Looks at a store, never writing."""

    def __init__(self, store: Path, interval_s: int) -> None:
        self._store = store
        self._interval_s = interval_s
        self._last: dict[str, Any] = {}
        self.is_readable = True
        """Whether the last look could read it: who can, can show balances."""

    def look(self, now_s: int) -> dict[str, Any]:
        """The figures of `plant.Sample` that the store tells; the last ones while it cannot be read."""
        late_s = max(STALE_AFTER_S, INTERVALS * self._interval_s)
        times = {"stale_s": now_s - late_s, "silent_s": now_s - late_s}
        try:
            with closing(read_only(self._store)) as connection:
                found = dict(zip(_NAMES, connection.execute(_LOOK, times).fetchone(), strict=True))
        except sqlite.DatabaseError:
            self.is_readable = False
            return dict(self._last)
        self.is_readable = True
        found["store_bytes"] = sum(path.stat().st_size for path in self._store.parent.glob(self._store.name + "*"))
        self._last = found
        return dict(found)

    def commands_open_since(self, before_s: int) -> int:
        """Commands given before a time that have no answer yet; while the store cannot be read, one."""
        try:
            with closing(read_only(self._store)) as connection:
                return int(connection.execute(_OPEN_SINCE, (before_s,)).fetchone()[0])
        except sqlite.DatabaseError:
            return 1
