"""How a run stands, read as data from the store and the fleet's log: for the display and for convergence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from meter_sim.lab.site import Site

UNDER_WAY_S: Final = 1.0
"""A live fleet always has a frame on its way: what is younger than this in wall time (or than four intervals in
virtual time) is neither late nor silent."""

STALE_AFTER_S: Final = 2 * 3_600
"""A balance whose reading is older than this, in virtual time, is stale."""

_DELIVERIES: Final = "SELECT state, count(*) FROM delivery GROUP BY state"
_STALE: Final = "SELECT count(*) FROM register WHERE read_at_s IS NULL OR read_at_s < ?"
_ONLINE: Final = "SELECT count(*) FROM gateway WHERE last_heard_s >= ?"
_UNSETTLED: Final = "SELECT count(*) FROM snapshot WHERE settled_at_s IS NULL"
_PHASE: Final = "SELECT phase FROM region ORDER BY region LIMIT 1"
_AT_ZERO: Final = "SELECT count(*) FROM standing WHERE zero_since_s IS NOT NULL"
_LATE: Final = """
SELECT coalesce(sum(f.rows), 0) FROM frame AS f LEFT JOIN receipt AS r USING (gateway, frame)
WHERE f.kind <> 'hello' AND r.outcome IS NULL AND f.at_s < ?
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """One look. Counts of meters (stale, at zero, dark: without supply), deliveries (open, applied), gateways,
    readings (late), days; and the region's phase.
    """

    stale_balances: int
    open_deliveries: int
    applied_deliveries: int
    gateways_online: int
    late_readings: int
    unsettled_days: int
    phase: str
    at_zero: int
    dark: int

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
        site = self._site
        now_s, under_way_s = site.now_s(), site.ago_s(UNDER_WAY_S)
        since_s = min(now_s - 4 * site.plan.interval_s, under_way_s)
        stale_s = min(now_s - STALE_AFTER_S, under_way_s)
        states = dict(self._store.execute(_DELIVERIES).fetchall())
        return Picture(
            stale_balances=self._store.execute(_STALE, (stale_s,)).fetchone()[0],
            open_deliveries=states.get("QUEUED", 0) + states.get("SENT", 0),
            applied_deliveries=states.get("APPLIED", 0),
            gateways_online=self._store.execute(_ONLINE, (since_s,)).fetchone()[0],
            late_readings=self._late_readings(since_s),
            unsettled_days=self._store.execute(_UNSETTLED).fetchone()[0],
            phase=self._store.execute(_PHASE).fetchone()[0],
            at_zero=self._store.execute(_AT_ZERO).fetchone()[0],
            dark=self._of_fleet("relays_open"),
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
        return self._of_fleet("reporting")

    def close(self) -> None:
        """Let go of the files."""
        self._store.close()
        if self._log is not None:
            self._log.close()

    def _of_fleet(self, what: str) -> int:
        """A figure of the fleet's progress; 0 while there is none."""
        try:
            content = json.loads((self._site.plan.folder / "fleet.json").read_text())
        except (OSError, ValueError):
            return 0
        return int(content[what])

    def _late_readings(self, before_s: int) -> int:
        if self._log is None:
            self._log = read_only(self._site.log)
        return int(self._log.execute(_LATE, (before_s,)).fetchone()[0])


def read_only(path: Path) -> Any:
    """A connection that cannot write."""
    connection = sqlite.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 10000")
    return connection
