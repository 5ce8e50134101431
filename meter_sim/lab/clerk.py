"""What a person knows who follows the head-end's list of exceptions, whichever way the run is carried out."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from meter_sim.grid import local_day, midnight_s
from meter_sim.lab.run_folder import read_only

AHEAD: Final = ("CREDIT_AHEAD", "CREDIT_TOTAL_DIFFERS", "RELAY_AHEAD", "POLICY_AHEAD")
"""What meters know and an old backup does not (`docs/restore.md`)."""

_SNAPSHOTS: Final = """
SELECT f.at_s, substr(f.registers_wh, 8 * (m.meter_key - f.first_meter_key) + 1, 8) FROM meter AS m
JOIN frame AS f ON f.gateway = m.gateway
    AND m.meter_key BETWEEN f.first_meter_key AND f.first_meter_key + f.rows - 1
WHERE m.meter = ? AND f.kind = 'snapshot' AND f.at_s >= ? ORDER BY f.at_s
"""


def midnights(fleet_log: Path, meter: str, first: date, zone: ZoneInfo) -> Iterator[tuple[date, int]]:
    """(day, register in Wh at its end) of each day from `first` on that a meter's own memory shows."""
    with closing(read_only(fleet_log)) as log:
        for at_s, word in log.execute(_SNAPSHOTS, (meter, midnight_s(first + timedelta(days=1), zone))):
            yield local_day(at_s, zone) - timedelta(days=1), int.from_bytes(word, "little", signed=True)
