"""What the meters themselves remember: their append-only log, read by the schema in `meter_sim/log_tables.py`.

The ground truth of what arrived, what was drawn and when relays moved, by true time.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from pysqlite3 import dbapi2 as sqlite

from meter_sim.lab.run_folder import read_only
from meter_sim.load import Integers

ABSENT: Final = -1

_FRAMES: Final = """
SELECT kind, at_s, seq, first_meter_key, registers_wh FROM frame WHERE kind <> 'hello' ORDER BY at_s, seq
"""
_RECEIPTED: Final = """
SELECT f.seq, f.first_meter_key, f.rows, r.at_s FROM frame AS f JOIN receipt AS r USING (gateway, frame)
WHERE f.kind <> 'hello' AND r.outcome = 'accepted' AND r.refused_rows = 0
"""
_EVENTS: Final = """
SELECT at_s, meter_key, kind, number, credit_total_micros, relay, code, register_wh FROM event ORDER BY event_id
"""
NEVER_S: Final = 1 << 62

DatabaseError = sqlite.DatabaseError
"""What reading a damaged file ends in."""


@dataclass(frozen=True, slots=True)
class Credited:
    """A meter's credit counter as it changed."""

    at_s: int
    seq: int
    total_micros: int


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a meter's relay: the true time, and its register then."""

    meter: str
    version: int
    relay: str
    at_s: int
    register_wh: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that a meter refused. `relay`: what it asked for; None: it was none for a relay."""

    meter: str
    at_s: int
    code: str
    number: int
    relay: str | None


def _none() -> Integers:
    return np.empty((0, 0), np.int64)


@dataclass(slots=True)
class MeterLog:
    """All meters of the run. Row i of an array of readings is meter i, column k the reading number k + 1."""

    meters: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    gateways: list[str] = field(default_factory=list)
    clock_errors_s: dict[str, int] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    region: str = ""
    start_s: int = 0
    taken_wh: Integers = field(default_factory=_none)
    """ABSENT: no such reading."""
    taken_at_s: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    receipted_at_s: Integers = field(default_factory=_none)
    """When the receipt for a reading came; NEVER_S: it did not."""
    midnights_s: list[int] = field(default_factory=list)
    """The start of the run, then each midnight of which all meters took the register."""
    midnight_wh: Integers = field(default_factory=_none)
    """The registers then, a column each."""
    midnight_columns: list[int] = field(default_factory=list)
    """Where the readings of these midnights, but the first entry, stand in `taken_wh`."""
    credited: dict[str, list[Credited]] = field(default_factory=dict)
    moves: dict[str, list[Move]] = field(default_factory=dict)
    refusals: list[Refused] = field(default_factory=list)
    policies: dict[str, int] = field(default_factory=dict)
    """The newest policy version of each meter that ever had one."""

    @property
    def days(self) -> list[date]:
        """The local day that each midnight but the first entry ends."""
        return [datetime.fromtimestamp(at_s - 1, self.zone).date() for at_s in self.midnights_s[1:]]

    def counter(self, meter: str) -> tuple[int, int]:
        """A meter's credit counter at the end: (number, micros)."""
        of_meter = self.credited.get(meter)
        return (of_meter[-1].seq, of_meter[-1].total_micros) if of_meter else (0, 0)

    def relay(self, meter: str) -> tuple[int, str]:
        """A meter's relay at the end: (version, position)."""
        of_meter = self.moves.get(meter)
        return (of_meter[-1].version, of_meter[-1].relay) if of_meter else (0, "closed")

    def openings(self) -> list[Move]:
        """Every time a relay really opened, in order of time; one that was open already does not open."""
        found = []
        for of_meter in self.moves.values():
            before = "closed"
            for move in of_meter:
                if move.relay == "open" and before == "closed":
                    found.append(move)
                before = move.relay
        return sorted(found, key=lambda move: (move.at_s, move.meter))


def read_meter_log(path: Path) -> MeterLog:
    """Read it; the run has stopped."""
    run = read_only(path)
    try:
        log = MeterLog()
        meters = run.execute(
            "SELECT meter_key, meter, gateway, opening_register_wh, clock_error_s FROM meter ORDER BY meter_key"
        ).fetchall()
        log.meters, log.gateways = [row[1] for row in meters], [row[2] for row in meters]
        log.rows = {meter: row for row, meter in enumerate(log.meters)}
        log.clock_errors_s = {row[1]: row[4] for row in meters}
        log.region, log.start_s, zone = run.execute("SELECT region, start_s, zone FROM fleet").fetchone()
        log.zone = ZoneInfo(zone)
        first_key = meters[0][0] if meters else 0
        _read_frames(run, first_key, np.array([row[3] for row in meters], np.int64), log)
        _read_events(run, first_key, log)
    finally:
        run.close()
    return log


def _read_frames(run: Any, first_key: int, openings_wh: Integers, log: MeterLog) -> None:
    (last_seq,) = run.execute("SELECT coalesce(max(seq), 0) FROM frame WHERE kind <> 'hello'").fetchone()
    shape = (len(log.meters), last_seq)
    log.taken_wh = np.full(shape, ABSENT, np.int64)
    log.taken_at_s = np.zeros(last_seq, np.int64)
    log.receipted_at_s = np.full(shape, NEVER_S, np.int64)
    by_midnight: dict[int, Integers] = {}
    columns: dict[int, int] = {}
    for kind, at_s, seq, key, blob in run.execute(_FRAMES):
        registers = np.frombuffer(blob, "<i8")
        rows = slice(key - first_key, key - first_key + len(registers))
        log.taken_wh[rows, seq - 1] = registers
        log.taken_at_s[seq - 1] = at_s
        if kind == "snapshot" and at_s > log.start_s:
            by_midnight.setdefault(at_s, np.full(len(log.meters), ABSENT, np.int64))[rows] = registers
            columns[at_s] = seq - 1
    whole = [at_s for at_s, column in by_midnight.items() if (column != ABSENT).all()]
    log.midnights_s = [log.start_s, *whole]
    log.midnight_columns = [columns[at_s] for at_s in whole]
    log.midnight_wh = np.column_stack([openings_wh, *(by_midnight[at_s] for at_s in whole)])
    for seq, key, rows, at_s in run.execute(_RECEIPTED):
        log.receipted_at_s[key - first_key : key - first_key + rows, seq - 1] = at_s


def _read_events(run: Any, first_key: int, log: MeterLog) -> None:
    credited: defaultdict[str, list[Credited]] = defaultdict(list)
    moves: defaultdict[str, list[Move]] = defaultdict(list)
    for at_s, key, kind, number, total, relay, code, register_wh in run.execute(_EVENTS):
        meter = log.meters[key - first_key]
        if kind == "credit":
            credited[meter].append(Credited(at_s, number, total))
        elif kind == "relay":
            moves[meter].append(Move(meter, number, relay, at_s, register_wh))
        elif kind == "policy":
            log.policies[meter] = number
        else:
            log.refusals.append(Refused(meter, at_s, code, number, relay))
    log.credited, log.moves = dict(credited), dict(moves)
