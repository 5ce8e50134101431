"""How a run stands, read as data from the store and the fleet's log: for the display and for convergence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from meter_sim.lab.site import INTERVAL_S, SILENT_AFTER_S, Site

UNDER_WAY_S: Final = 1.0
"""A live fleet always has a frame on its way: what is younger than this in wall time (or than four intervals in
virtual time) is neither late nor silent."""

_DELIVERIES: Final = "SELECT state, count(*) FROM delivery GROUP BY state"
_STALE: Final = "SELECT count(*) FROM register WHERE read_at_s IS NULL OR read_at_s < ?"
_ONLINE: Final = "SELECT count(*) FROM gateway WHERE last_heard_s >= ?"
_UNSETTLED: Final = "SELECT count(*) FROM snapshot WHERE settled_at_s IS NULL"
_LATE: Final = """
SELECT coalesce(sum(f.rows), 0) FROM frame AS f LEFT JOIN receipt AS r USING (gateway, frame)
WHERE f.kind <> 'hello' AND r.outcome IS NULL AND f.at_s < ?
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """One look. Counts of meters (stale), deliveries (open, applied), gateways, readings (late), days."""

    stale_balances: int
    open_deliveries: int
    applied_deliveries: int
    gateways_online: int
    late_readings: int
    unsettled_days: int

    def converged(self, gateways: int) -> bool:
        """Whether nothing is left to catch up with."""
        late = self.stale_balances + self.open_deliveries + self.late_readings + self.unsettled_days
        return late == 0 and self.gateways_online == gateways


class Watch:
    """Looks at a site's files, never writing."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._store = read_only(site.store)
        self._log: Any = None

    def look(self) -> Picture:
        """How the run stands now."""
        now_s = self._site.now_s()
        since_s = now_s - int(max(4 * INTERVAL_S, self._site.virtual_of(UNDER_WAY_S)))
        states = dict(self._store.execute(_DELIVERIES).fetchall())
        return Picture(
            stale_balances=self._store.execute(_STALE, (now_s - SILENT_AFTER_S,)).fetchone()[0],
            open_deliveries=states.get("QUEUED", 0) + states.get("SENT", 0),
            applied_deliveries=states.get("APPLIED", 0),
            gateways_online=self._store.execute(_ONLINE, (since_s,)).fetchone()[0],
            late_readings=self._late_readings(since_s),
            unsettled_days=self._store.execute(_UNSETTLED).fetchone()[0],
        )

    def unreceipted_readings(self) -> int:
        """Readings in the meters' log that the head-end has not receipted."""
        return self._late_readings(1 << 62)

    def settled_days(self) -> int:
        """The number of billing days that every meter is settled for."""
        (days,) = self._store.execute("SELECT min(settled_day - installed_day + 1) FROM meter").fetchone()
        return int(days)

    def relay(self, meter: str) -> str:
        """The position of a meter's relay by its own log."""
        row = self._log.execute(
            "SELECT e.relay FROM event AS e JOIN meter AS m USING (meter_key)"
            " WHERE e.kind = 'relay' AND m.meter = ? ORDER BY e.event_id DESC",
            (meter,),
        ).fetchone()
        return "closed" if row is None else str(row[0])

    def gateways_reporting(self) -> int:
        """Gateways whose session is up, by the fleet's own word."""
        try:
            content = json.loads((self._site.plan.folder / "fleet.json").read_text())
        except (OSError, ValueError):
            return 0
        return int(content["reporting"])

    def close(self) -> None:
        """Let go of the files."""
        self._store.close()
        if self._log is not None:
            self._log.close()

    def _late_readings(self, before_s: int) -> int:
        if self._log is None:
            self._log = read_only(self._site.log)
        return int(self._log.execute(_LATE, (before_s,)).fetchone()[0])


def read_only(path: Path) -> Any:
    """A connection that cannot write."""
    connection = sqlite.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 10000")
    return connection
