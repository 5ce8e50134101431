"""Reading a simulated fleet's own log as data. Its schema is described in `meter_sim/log_tables.py`."""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite

from headend.service.ports import StoreError


class SqliteFleetLog:
    """`FleetLog` in the SQLite files of one or more fleet processes, opened for reading only."""

    def __init__(self, paths: list[Path]) -> None:
        """Open the files.

        Raises:
            StoreError: a file is missing or is no fleet log.
        """
        self._connections = [_open(path) for path in paths]

    def credits(self) -> Iterator[tuple[str, int, int]]:
        """See `FleetLog.credits`."""
        return self._rows(
            "SELECT m.meter, e.number, e.credit_total_micros FROM event AS e JOIN meter AS m USING (meter_key)"
            " WHERE e.kind = 'credit' ORDER BY e.event_id"
        )

    def relays(self) -> Iterator[tuple[str, int, str, int]]:
        """See `FleetLog.relays`."""
        return self._rows(
            "SELECT m.meter, e.number, e.relay, e.at_s FROM event AS e JOIN meter AS m USING (meter_key)"
            " WHERE e.kind = 'relay' ORDER BY e.event_id"
        )

    def refused_opens(self) -> Iterator[tuple[str, int, str, int]]:
        """See `FleetLog.refused_opens`."""
        return self._rows(
            "SELECT m.meter, e.number, e.code, e.at_s FROM event AS e JOIN meter AS m USING (meter_key)"
            " WHERE e.kind = 'refused' AND e.relay = 'open' ORDER BY e.event_id"
        )

    def newest_readings(self) -> Iterator[tuple[str, int, int]]:
        """See `FleetLog.newest_readings`."""
        for connection in self._connections:
            meters = dict(connection.execute("SELECT meter_key, meter FROM meter"))
            for first, seq, registers in connection.execute(
                "SELECT first_meter_key, seq, registers_wh FROM newest_reading"
            ):
                for meter_key, register_wh in enumerate(array("q", registers), start=first):
                    yield meters[meter_key], seq, register_wh

    def _rows(self, query: str) -> Iterator[Any]:
        for connection in self._connections:
            yield from connection.execute(query)


def _open(path: Path) -> Any:
    try:
        connection = sqlite.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        connection.execute("SELECT count(*) FROM newest_reading").fetchone()
    except sqlite.DatabaseError as error:
        raise StoreError(
            f"fleet log {path}: {error}; name a file that meter-sim wrote", transient=False
        ) from error
    return connection
