"""How a run between processes stands, read as data: the store, the meters' log, the wire log, the system.

Never writes, and keeps nothing open on the store, which may be replaced at any time.
"""

import json
from contextlib import closing
from pathlib import Path
from typing import Final

from pysqlite3 import dbapi2 as sqlite

from meter_sim.lab.plant import Sample
from meter_sim.lab.run_clock import RunClock
from meter_sim.lab.run_folder import RunFolder, read_only
from meter_sim.lab.standing import INTERVALS, STALE_AFTER_S, Standing

UNDER_WAY_S: Final = 1.5
"""A live fleet always has a frame on its way: what is younger than this in wall time (or than some intervals in
virtual time) is neither late nor silent."""

_LATE: Final = """
SELECT coalesce(sum(f.rows), 0) FROM frame AS f LEFT JOIN receipt AS r USING (gateway, frame)
WHERE f.kind <> 'hello' AND r.outcome IS NULL AND f.at_s < ?
"""
_PASSED: Final = "SELECT coalesce(max(frame_id), 0) FROM wire"
_OPEN_EXCEPTIONS: Final = "SELECT count(*) FROM exception WHERE resolved_at_s IS NULL"


class Gauges:
    """The figures of one run."""

    def __init__(self, folder: RunFolder, interval_s: int, progress: Path, clock: RunClock) -> None:
        """`progress`: where the fleet says how it stands."""
        self._folder = folder
        self._late_s = max(STALE_AFTER_S, INTERVALS * interval_s)
        self._progress = progress
        self._clock = clock
        self._standing = Standing(folder.store, interval_s)

    def look(
        self, stage: str, recharges_accepted: int, homes_served: int, headend_pid: int | None, *, headend_up: bool
    ) -> Sample:
        """A sample; what only the plant knows is passed in. `homes_served`: they are answered if the store can be
        read.
        """
        found = self._standing.look(self._since_s + self._late_s)
        return Sample(
            balances_shown=homes_served if self._standing.is_readable else 0,
            at_s=self._clock.now_s,
            stage=stage,
            readings_late=self._unreceipted_readings(self._since_s),
            relays_open=self._of_fleet("relays_open"),
            recharges_accepted=recharges_accepted,
            messages=self._number(self._folder.wire, _PASSED),
            headend_rss_kib=0 if headend_pid is None else _rss_kib(headend_pid),
            headend_up=int(headend_up),
            **found,
        )

    def has_converged(self, gateways: int, mended_at_s: int) -> bool:
        """Whether nothing is left to catch up with, and all gateways report.

        All must have been heard since something was mended: before, nobody may have noticed that it was broken.
        """
        found = self._standing.look(max(self._since_s, mended_at_s) + self._late_s)
        late = found["balances_stale"] + found["days_unsettled"]
        # In a fast run there is always a recharge on its way.
        late += self._standing.commands_open_since(self._clock.ago_s(UNDER_WAY_S))
        if late or found["gateways_online"] < gateways or self._of_fleet("reporting") < gateways:
            return False
        return self._unreceipted_readings(self._since_s) == 0

    def nothing_is_left(self) -> bool:
        """Whether a fleet that takes no new readings has handed over all, and all that follows is done."""
        found = self._standing.look(self._clock.now_s)
        left = found["commands_open"] + found["days_unsettled"] + self._unreceipted_readings(1 << 62)
        return bool(left == 0)

    def exceptions_open(self) -> int:
        """Cases that wait for a person."""
        return self._number(self._folder.store, _OPEN_EXCEPTIONS)

    @property
    def _since_s(self) -> int:
        """What is older than this is late."""
        return min(self._clock.now_s - self._late_s, self._clock.ago_s(UNDER_WAY_S))

    def _unreceipted_readings(self, before_s: int) -> int:
        return self._number(self._folder.fleet, _LATE, before_s)

    def _of_fleet(self, what: str) -> int:
        """A figure of the fleet's progress; 0 while there is none."""
        try:
            return int(json.loads(self._progress.read_text())[what])
        except (OSError, ValueError):
            return 0

    @staticmethod
    def _number(path: Path, query: str, *values: int) -> int:
        """What a query counts; 0 while the file cannot be read."""
        try:
            with closing(read_only(path)) as connection:
                return int(connection.execute(query, values).fetchone()[0])
        except sqlite.DatabaseError:
            return 0


def _rss_kib(pid: int) -> int:
    """What a process holds in memory; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
