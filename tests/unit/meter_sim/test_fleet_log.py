import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pysqlite3 import dbapi2
from unit.meter_sim.fleet_bench import QUARTER_S, START_S, Bench, document_of, plan_of

from headend.wire.messages import RelayPosition
from meter_sim.log import FleetLog, LogError, stored_plan
from meter_sim.log_tables import FrameRow, ReceiptRow


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
    bench.step([bench.policy(document_of(3, (900, 7_200), (9_000, 9_900)), "M0000001", "M0000003")])
    bench.step([bench.relay("M0000001", 1, RelayPosition.OPEN)])
    return bench


@pytest.mark.parametrize("table", ["fleet", "meter", "policy", "event", "frame", "receipt"])
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
        used.log._connection.execute("INSERT OR REPLACE INTO meter VALUES (1, 'M0000001', 'G0001', 0, 0)")


def test_auditor_reads_the_truth_of_each_meter_while_the_fleet_runs(used: Bench) -> None:
    events = read(used.path, "SELECT meter_key, kind, number, credit_total_micros, relay, code FROM event")
    assert events == [
        (1, "credit", 1, 500, None, None),
        (2, "relay", 1, None, "open", None),
        (1, "refused", 2, 400, None, "TOTAL_WENT_BACK"),
        (1, "policy", 3, None, None, None),
        (3, "policy", 3, None, None, None),
        (1, "refused", 1, None, "open", "PROTECTED"),
    ]
    ((version, issued_at_s, valid_until_s, tolerance_s, windows),) = read(
        used.path,
        "SELECT version, issued_at_s, valid_until_s, clock_tolerance_s, protected FROM policy"
        " WHERE policy_key IN (SELECT policy_key FROM event WHERE meter_key = 1)",
    )
    assert (version, issued_at_s, valid_until_s - START_S, tolerance_s) == (3, START_S, 30 * 86_400, 60)
    spans = [[at_s - START_S for at_s in window] for window in json.loads(windows)]
    assert spans == [[900, 7_200], [9_000, 9_900]]
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
        ({"clock_error_s": 5}, "clock_error_s"),
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


def test_log_of_another_version_is_refused_by_its_number(used: Bench) -> None:
    used.close()
    intruder = dbapi2.connect(str(used.path), isolation_level=None)
    intruder.execute("DROP TRIGGER fleet_keeps_values")
    intruder.execute("UPDATE fleet SET schema_version = 1")
    intruder.close()
    for look in (lambda: stored_plan(used.path), lambda: FleetLog.open(used.path, used.plan, "clock")):
        with pytest.raises(LogError, match="has log version 1; this program knows 2"):
            look()


def test_policy_in_force_survives_a_restart_and_is_shared(used: Bench) -> None:
    used.step([used.policy(document_of(4, (3_600, 7_200)), "M0000003")])
    before = [used.core.columns.meter(row).policy for row in range(4)]
    used.restart()
    after = [used.core.columns.meter(row).policy for row in range(4)]
    assert [policy and (policy.version, policy.begins_s, policy.ends_s) for policy in after] == [
        policy and (policy.version, policy.begins_s, policy.ends_s) for policy in before
    ]
    assert [policy and policy.version for policy in after] == [3, None, 4, None]
    used.greet()
    used.step([used.policy(document_of(4, (3_600, 7_200)), "M0000001", "M0000002")])
    assert read(used.path, "SELECT version FROM policy ORDER BY policy_key") == [(3,), (4,)]
    assert used.core.columns.meter(0).policy is used.core.columns.meter(2).policy


def test_meter_rows_name_the_error_of_each_clock(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(plan=plan_of(200, 50, clock_error_s=600))
    rows = read(bench.path, "SELECT clock_error_s FROM meter ORDER BY meter_key")
    assert [error for (error,) in rows] == bench.core.columns.clock_error_s.tolist()
    assert min(rows) < (-300,) < (300,) < max(rows)
    assert all(abs(error) <= 600 for (error,) in rows)
