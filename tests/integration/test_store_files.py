"""The store as a file: durable, private, and clear about every file that it cannot be."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from headend.adapters.migrations import MIGRATIONS
from headend.adapters.sqlite import OLDEST_SOUND_SQLITE, SqliteStore, sqlite_version
from headend.service.accounts import Recharge, record_recharge, register_meters
from headend.service.audit import audit
from headend.service.ports import StoreError
from headend.service.rows import Registration
from headend.service.traffic import GatewayId

G1 = GatewayId("R1", "G1")
OLD_STORES = Path(__file__).parents[1] / "contract" / "stores"


def pragma(store: SqliteStore, name: str) -> object:
    return store._connection.execute(f"PRAGMA {name}").fetchone()[0]


def register(store: SqliteStore, *meters: str) -> None:
    with store.transaction() as uow:
        register_meters([Registration(meter, G1, 0, 739_000) for meter in meters], uow)


def recharge(store: SqliteStore, reference: str, meter: str = "M1") -> str:
    with store.transaction() as uow:
        return record_recharge(Recharge(meter, 1_000_000, reference), uow, 1_730_000_000).outcome


def violations(store: SqliteStore) -> list[tuple[str, str]]:
    with store.view() as uow:
        return [found for check in audit(uow, None, converged=False) for found in check.violations]


# --- durability and privacy ---------------------------------------------------------------------------------


def test_commits_are_synced(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "synchronous") == 2, "FULL"
    assert pragma(store, "foreign_keys") == 1
    assert pragma(store, "busy_timeout") == 10_000
    store.close()


def test_sqlite_is_one_that_does_not_lose_commits() -> None:
    assert tuple(map(int, sqlite_version().split("."))) >= OLDEST_SOUND_SQLITE


def test_each_commit_reaches_the_disk_before_it_returns(tmp_path: Path) -> None:
    """The file as another process would find it after a SIGKILL: a copy of file and log, made while it is open."""
    store = SqliteStore(tmp_path / "s.db")
    register(store, "M1")
    for number in range(3):
        recharge(store, f"PAY-{number}")
        copy = tmp_path / f"copy-{number}"
        copy.mkdir()
        for name in ("s.db", "s.db-wal"):
            shutil.copy(tmp_path / name, copy / name)
        found = SqliteStore(copy / "s.db")
        with found.view() as uow:
            assert uow.transfer(f"PAY-{number}") is not None
        found.close()
    store.close()


def test_folder_is_made_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "headend.db"
    before = os.umask(0)
    try:
        store = SqliteStore(path)
        register(store, "M1")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    store.close()
    assert modes
    assert set(modes.values()) == {0o600}, modes


def test_store_is_the_same_after_closing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    register(store, "M1")
    recharge(store, "PAY-1")
    store.close()
    store = SqliteStore(tmp_path / "s.db")
    assert recharge(store, "PAY-1") == "EXISTS"
    assert violations(store) == []
    store.close()


# --- files that are none of ours ----------------------------------------------------------------------------


def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"milk, eggs, bread\n" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt: file is not a database; .*--store") as refused:
        SqliteStore(path)
    assert not refused.value.transient
    assert path.read_bytes() == b"milk, eggs, bread\n" * 100


def test_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    store = SqliteStore(path)
    register(store, "M1")
    store.close()


def test_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite.connect(str(path))
    other.execute("CREATE TABLE bookmark (url TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"other\.db is a database of another program; .*--store"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_store_of_a_newer_version_is_refused_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    newer = sqlite.connect(str(path), isolation_level=None)
    newer.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('headend', 'm999_future', 'x')"
    )
    newer.close()
    before = path.read_bytes()
    with pytest.raises(
        StoreError, match=r"written by a newer version of headend \(it has m999_future\)"
    ) as refused:
        SqliteStore(path)
    assert not refused.value.transient
    assert path.read_bytes() == before


def test_damaged_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = SqliteStore(path)
    register(store, *(f"M{number}" for number in range(500)))
    store.close()
    content = bytearray(path.read_bytes())
    content[100:4_096] = b"\xff" * 3_996
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"malformed.*restore a backup"):
        SqliteStore(path)


def test_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/s\.db"):
        SqliteStore(tmp_path / "file" / "s.db")


def test_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file; check the path"):
        SqliteStore(tmp_path)


# --- old stores ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dump", sorted(OLD_STORES.glob("schema_*.sql")), ids=lambda path: path.stem)
def test_store_of_every_release_opens_with_all_that_it_holds(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = sqlite.connect(str(path), isolation_level=None)
    old.executescript(dump.read_text(encoding="utf-8"))
    old.close()
    store = SqliteStore(path)
    assert violations(store) == []
    with store.view() as uow:
        row = uow.meter_row("M1")
        assert row is not None
        assert (row.credit_seq, row.applied_credit_seq, row.credits_micros) == (2, 1, 75_000_000)
        assert (row.settled_register_wh, row.debits_micros, row.register_wh) == (3_500, 10_300_000, 3_900)
        assert [row.state for row in uow.queue("M1", 0, 10)] == ["APPLIED", "SENT", "APPLIED"]
        assert [letter.code for letter in uow.dead_letters(10)] == ["BAD_JSON"]
        assert [outage.kind for outage in uow.outages(ended=True, limit=10)] == ["GATEWAY"]
        assert [entry.kind for entry in uow.exceptions(None, 10)] == ["SNAPSHOT_DIFFERS"]
    assert recharge(store, "PAY-1") == "EXISTS_DIFFERENT"
    assert recharge(store, "PAY-NEW") == "RECORDED"
    assert violations(store) == []
    store.close()


def test_there_is_an_old_store_for_each_schema() -> None:
    schemas = len(MIGRATIONS._migrations)
    assert {path.stem for path in OLD_STORES.glob("*.sql")} == {f"schema_{n}" for n in range(1, schemas + 1)}


# --- disks that refuse --------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A small file system of its own; the test is skipped where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "headend-test", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"mounting is not permitted here: {tried.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def recharge_until_it_fails(store: SqliteStore, recorded: list[int]) -> None:
    for number in range(100_000):
        recharge(store, f"PAY-{number}")
        recorded.append(number)


def test_full_disk_loses_nothing_and_work_goes_on_after_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=3m") as disk:
        store = SqliteStore(disk / "s.db")
        register(store, "M1")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(300_000))
        recorded: list[int] = []
        with pytest.raises(StoreError, match=r"full|space") as refused:
            recharge_until_it_fails(store, recorded)
        assert refused.value.transient
        assert "free some space; nothing was half done" in str(refused.value)
        assert len(recorded) > 10
        assert violations(store) == []
        with store.view() as uow:
            row = uow.meter_row("M1")
            assert row is not None
            assert row.credit_seq == len(recorded)
        with pytest.raises(StoreError):
            recharge(store, "PAY-again")
        ballast.unlink()
        assert recharge(store, f"PAY-{len(recorded)}") == "RECORDED"
        assert all(recharge(store, f"PAY-{number}") == "EXISTS" for number in recorded[:20])
        assert violations(store) == []
        store.close()


def test_full_disk_in_the_middle_of_a_large_transaction_leaves_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=3m") as disk:
        store = SqliteStore(disk / "s.db")
        with pytest.raises(StoreError, match=r"full|space"):
            register(store, *(f"M{number}" for number in range(20_000)))
        with store.view() as uow:
            assert uow.meter_count() == 0
        register(store, "M1")
        assert recharge(store, "PAY-1") == "RECORDED"
        store.close()


def test_full_disk_is_told_when_a_store_is_made(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        (disk / "ballast").write_bytes(bytes(56_000))
        with pytest.raises(StoreError, match=r"full|space") as refused:
            SqliteStore(disk / "s.db")
        assert refused.value.transient
        (disk / "ballast").unlink()
        remount(disk, "size=4m")
        store = SqliteStore(disk / "s.db")
        register(store, "M1")
        store.close()


def test_read_only_disk_is_told_and_changes_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=4m") as disk:
        store = SqliteStore(disk / "s.db")
        register(store, "M1")
        store.close()
        remount(disk, "ro")
        with pytest.raises(StoreError, match=r"check its permissions|check the path"):
            SqliteStore(disk / "s.db")
        with pytest.raises(StoreError, match=r"other\.db"):
            SqliteStore(disk / "other.db")
        remount(disk, "rw")
        store = SqliteStore(disk / "s.db")
        assert recharge(store, "PAY-1") == "RECORDED"
        store.close()
