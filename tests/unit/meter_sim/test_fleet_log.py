import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pysqlite3 import dbapi2
from unit.meter_sim.fleet_bench import QUARTER_S, START_S, Bench, plan_of

from headend.wire.messages import RelayPosition
from meter_sim.log import FleetLog, FrameRow, LogError, ReceiptRow, stored_plan


def read(path: Path, query: str) -> list[Any]:
    """As an auditor does: another connection, read-only, while the fleet has the log open."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture
def used(bench: Bench) -> Bench:
    bench.greet()
    bench.step([bench.credit("M0000001", 1, 500), bench.relay("M0000002", 1, RelayPosition.OPEN)], after_s=60)
    bench.step([bench.credit("M0000001", 2, 400)], after_s=QUARTER_S)
    bench.step([bench.receipts(2)])
    return bench


@pytest.mark.parametrize("table", ["fleet", "meter", "event", "frame", "receipt"])
def test_no_row_can_be_changed_or_deleted(used: Bench, table: str) -> None:
    intruder = dbapi2.connect(str(used.path), isolation_level=None)
    before = intruder.execute(f"SELECT * FROM {table}").fetchall()
    assert before
    column = intruder.execute(f"SELECT name FROM pragma_table_info('{table}') LIMIT 1").fetchone()[0]
    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
        with pytest.raises(dbapi2.DatabaseError, match="append-only"):
            intruder.execute(statement)
    assert intruder.execute(f"SELECT * FROM {table}").fetchall() == before
    intruder.close()


def test_replacing_a_row_is_refused_too(used: Bench) -> None:
    with pytest.raises(dbapi2.DatabaseError, match="append-only"):
        used.log._connection.execute("INSERT OR REPLACE INTO meter VALUES (1, 'M0000001', 'G0001', 0)")


def test_auditor_reads_the_truth_of_each_meter_while_the_fleet_runs(used: Bench) -> None:
    events = read(used.path, "SELECT meter_key, kind, number, credit_total_micros, relay, code FROM event")
    assert events == [
        (1, "credit", 1, 500, None, None),
        (2, "relay", 1, None, "open", None),
        (1, "refused", 2, 400, None, "TOTAL_WENT_BACK"),
    ]
    ((gateway, first, rows, seq, at_s, blob),) = read(
        used.path, "SELECT gateway, first_meter_key, rows, seq, at_s, registers_wh FROM newest_reading"
    )
    assert (gateway, first, rows, seq, at_s) == ("G0001", 1, 4, 1, START_S + QUARTER_S)
    registers = used.core.columns.registers_wh(START_S + QUARTER_S)
    assert np.frombuffer(blob, "<i8").tolist() == registers.tolist()
    ((opened_at,),) = read(used.path, "SELECT register_wh FROM event WHERE kind = 'relay'")
    assert opened_at == registers[1]


def test_a_step_is_committed_before_anything_of_it_goes_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.greet()
    order = bench.credit("M0000001", 1, 500)

    def fail(*_: object) -> None:
        raise LogError("disk full")

    monkeypatch.setattr(bench.log, "append", fail)
    with pytest.raises(LogError):
        bench.step([order])
    monkeypatch.undo()
    assert read(bench.path, "SELECT count(*) FROM event") == [(0,)]
    bench.restart()
    assert bench.core.columns.meter(0).credit_seq == 0


def test_a_step_is_written_whole_or_not_at_all(bench: Bench) -> None:
    registers = np.arange(4, dtype=np.int64)
    frame = FrameRow("G0001", 1, "interval", START_S, 1, 1, registers, np.zeros(0, np.int64))
    twice = ReceiptRow("G0001", 1, "accepted", None, 0, START_S)
    with pytest.raises(LogError, match=r"fleet\.db"):
        bench.log.append([frame], [twice, twice], [])
    assert read(bench.path, "SELECT count(*) FROM frame") == [(0,)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "seed"),
        ({"meters": 8}, "meters"),
        ({"interval_s": 60}, "interval_s"),
        ({"zone": "UTC"}, "zone"),
    ],
)
def test_log_of_another_fleet_is_refused_by_name(used: Bench, change: dict[str, Any], named: str) -> None:
    used.close()
    used.close()
    with pytest.raises(LogError, match=f"with {named} "):
        FleetLog.open(used.path, plan_of(**change), "clock")


def test_log_serves_one_process_at_a_time(used: Bench) -> None:
    with pytest.raises(LogError, match="in use by another"):
        FleetLog.open(used.path, used.plan, "clock")


def test_what_is_no_log_is_refused(tmp_path: Path, new_bench: Callable[..., Bench]) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look at" * 20)
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE transfer (x)")
    connection.close()
    for path in (text, other, tmp_path):
        with pytest.raises(LogError, match=path.name):
            FleetLog.open(path, plan_of(), "clock")
    for path in (text, other):
        with pytest.raises(LogError, match=path.name):
            stored_plan(path)
    assert stored_plan(tmp_path / "nothing.db") is None


def test_log_tells_its_plan_and_clock(used: Bench) -> None:
    assert stored_plan(used.path) == (used.plan, "clock")
