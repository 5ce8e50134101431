"""The wire log keeps every message in order, or says that it did not."""

from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite

from meter_sim.lab import wire_log
from meter_sim.lab.wire_log import WireLog, WireLogError


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite.connect(path)) as connection:
        return connection.execute(query).fetchall()


def add(log: WireLog, payload: bytes, channel: str = "up/hello", at_s: int = 1) -> None:
    log.add(at_s, "fleet", "G1", "up", f"ami/v1/R1/G1/{channel}", payload, "passed")


def test_rows_are_written_in_order_with_the_bulk_left_out(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.db", "clock")
    add(log, b"first", at_s=5)
    add(log, b"bulk", "up/readings", at_s=6)
    assert rows(tmp_path / "wire.db", "SELECT * FROM wire") == []
    log.flush()
    assert rows(tmp_path / "wire.db", "SELECT frame_id, at_s, wall_s, bytes, payload, digest FROM wire") == [
        (1, 5, None, 5, b"first", sha256(b"first").digest()[:8]),
        (2, 6, None, 4, None, sha256(b"bulk").digest()[:8]),
    ]
    assert rows(tmp_path / "wire.db", "SELECT * FROM run") == [(1, 1, "clock", 0, 0)]
    log.close()
    assert rows(tmp_path / "wire.db", "SELECT is_complete FROM run") == [(1,)]


def test_full_batch_is_written_at_once(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.db")
    for _ in range(wire_log.BATCH_ROWS):
        add(log, b"")
    assert rows(tmp_path / "wire.db", "SELECT count(*) FROM wire") == [(wire_log.BATCH_ROWS,)]
    log.close()


def test_same_messages_give_the_same_rows(tmp_path: Path) -> None:
    for name in ("a", "b"):
        log = WireLog(tmp_path / name)
        for number in range(100):
            add(log, b"%d" % number, at_s=number)
        log.close()
    assert rows(tmp_path / "a", "SELECT * FROM wire") == rows(tmp_path / "b", "SELECT * FROM wire")


def test_file_is_continued(tmp_path: Path) -> None:
    for payload in (b"first", b"second"):
        log = WireLog(tmp_path / "wire.db")
        add(log, payload)
        log.close()
    assert rows(tmp_path / "wire.db", "SELECT frame_id, payload FROM wire") == [(1, b"first"), (2, b"second")]


def test_what_the_disk_does_not_take_is_kept_then_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_log, "MAX_PENDING_ROWS", 3)
    path = tmp_path / "wire.db"
    log = WireLog(path)
    with closing(sqlite.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON wire BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        for number in range(5):
            add(log, b"%d" % number)
        log.flush()
        assert (log.trouble, log.dropped) == ("disk full", 2)
        other.execute("DROP TRIGGER full")
    log.close()
    assert log.trouble == ""
    assert rows(path, "SELECT payload FROM wire") == [(b"0",), (b"1",), (b"2",)]
    assert rows(path, "SELECT is_complete, dropped FROM run") == [(1, 2)]


def test_file_that_is_no_wire_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database" * 100)
    with pytest.raises(WireLogError, match=r"notes\.txt cannot be used as a wire log"):
        WireLog(tmp_path / "notes.txt")
    with closing(sqlite.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE wire (something)")
    with pytest.raises(WireLogError, match=r"other\.db cannot be used"):
        WireLog(tmp_path / "other.db")
