"""The disk beneath the store: harmless while it is sound, and each of its faults as it is told."""

import hashlib
import itertools
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from headend.adapters.sqlite import SqliteStore
from headend.service.accounts import Recharge, record_recharge, register_meters
from headend.service.audit import audit
from headend.service.ports import StoreError
from headend.service.rows import Registration
from headend.service.traffic import GatewayId
from meter_sim.lab import disk_vfs, unsynced
from meter_sim.lab.disk import Disk
from meter_sim.lab.unsynced import Damage, power_cut_file

NOW_S = 1_730_000_000
STORE_FILES = ("", "-wal", "-journal")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one meter, to be copied: to make one takes longer than all else here."""
    path = tmp_path_factory.mktemp("made") / "s.db"
    store = SqliteStore(path)
    with store.transaction() as uow:
        register_meters([Registration("M1", GatewayId("R1", "G1"), 0, 739_000)], uow)
    store.close()
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "s.db"))


@pytest.fixture
def disk(path: Path) -> Iterator[Disk]:
    with Disk(path) as made:
        yield made


@pytest.fixture
def own_chance() -> Iterator[None]:
    """SQLite's random numbers are the test's, and then again anybody's."""
    yield
    disk_vfs.seed_chance_of_sqlite(0)


def opened(path: Path, checkpoint_pages: int = 1000) -> SqliteStore:
    store = SqliteStore(path)
    store._connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
    return store


def recharge(store: SqliteStore, reference: str) -> None:
    with store.transaction() as uow:
        record_recharge(Recharge("M1", 1_000_000, reference), uow, NOW_S)


def recharges(store: SqliteStore, count: int, acknowledged: list[str]) -> None:
    for _ in range(count):
        reference = f"PAY-{len(acknowledged)}"
        recharge(store, reference)
        acknowledged.append(reference)


def references(store: SqliteStore) -> set[str]:
    with store.view() as uow:
        return {transfer.reference for transfer in uow.transfers()}


def assert_sound(store: SqliteStore) -> None:
    assert store._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with store.view() as uow:
        assert [found for check in audit(uow, None, converged=False) for found in check.violations] == []


def digest(path: Path) -> str:
    files = [path.with_name(path.name + suffix) for suffix in STORE_FILES]
    content = b"|".join(file.read_bytes() if file.exists() else b"none" for file in files)
    return hashlib.sha256(content).hexdigest()


def cut(disk: Disk, store: SqliteStore, seed: object) -> Damage:
    """The power goes now."""
    disk.freeze()
    store.close()
    return disk.power_cut(random.Random(str(seed)))


# --- a sound disk -------------------------------------------------------------------------------------------


def test_sound_disk_changes_nothing(path: Path) -> None:
    with Disk(path) as disk:
        connection = sqlite.connect(str(path), isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 50")
        connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)")
        for number in range(400):
            connection.execute("INSERT INTO t (v) VALUES (?)", ("x" * (number % 97) * 50,))
        assert disk.unsynced == 0
        assert disk.counts.sync >= 400
        connection.execute("VACUUM")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    other = sqlite.connect(str(path))  # no longer through us
    assert other.execute("SELECT count(*), sum(length(v)) FROM t").fetchone() == (
        400,
        sum(number % 97 * 50 for number in range(400)),
    )
    other.close()


def test_two_connections_lock_each_other_out(disk: Disk, path: Path) -> None:
    first, second = SqliteStore(path), SqliteStore(path)
    second._connection.execute("PRAGMA busy_timeout = 0")
    with first.transaction(), pytest.raises(StoreError, match="locked"):
        recharge(second, "PAY-0")
    recharge(second, "PAY-0")
    assert "PAY-0" in references(first)
    first.close()
    second.close()


def test_other_files_are_left_alone(disk: Disk, tmp_path: Path) -> None:
    disk.freeze()
    store = SqliteStore(tmp_path / "other.db")
    store.close()
    assert disk.counts.write == disk.counts.read == 0


def test_default_is_the_unix_vfs_again_afterwards(path: Path, tmp_path: Path) -> None:
    library = disk_vfs._library
    library.sqlite3_vfs_find.restype = disk_vfs.c_void_p
    with Disk(path), Disk(tmp_path / "second.db"):
        assert library.sqlite3_vfs_find(None) != disk_vfs._unix_address
    assert library.sqlite3_vfs_find(None) == disk_vfs._unix_address


def test_store_has_one_disk(disk: Disk, path: Path) -> None:
    with pytest.raises(ValueError, match="covered already"):
        Disk(path)


def test_mistake_inside_becomes_an_io_error_and_is_told(path: Path) -> None:
    errors: list[BaseException] = [KeyboardInterrupt(), LookupError("ours")]

    def stumble() -> None:
        if errors:
            raise errors.pop()

    disk = Disk(path, before=stumble)
    for expected in (LookupError, KeyboardInterrupt):
        with pytest.raises(StoreError, match="I/O error"):
            SqliteStore(path)
        with pytest.raises(expected):
            disk.check()
    SqliteStore(path).close()
    disk.close()


# --- faults ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["full", "bytes_left", "write", "sync"])
def test_store_says_what_is_wrong_and_works_again(disk: Disk, path: Path, fault: str) -> None:
    store = SqliteStore(path)
    recharge(store, "PAY-0")
    full = fault in ("full", "bytes_left")
    match fault:
        case "full":
            disk.full = True
        case "bytes_left":
            disk.bytes_left = 6_000
        case "write" | "sync":
            disk.fails = fault  # type: ignore[assignment]
    with pytest.raises(StoreError, match="disk is full" if full else "disk I/O error") as raised:
        recharge(store, "PAY-1")
    assert raised.value.transient
    assert references(store) == {"PAY-0"}
    disk.heal()
    recharge(store, "PAY-1")
    assert references(store) == {"PAY-0", "PAY-1"}
    assert_sound(store)
    store.close()


def test_unreadable_disk_is_transient_trouble_too(disk: Disk, path: Path) -> None:
    disk.fails = "read"
    with pytest.raises(StoreError, match="disk I/O error") as raised:
        SqliteStore(path)
    assert raised.value.transient
    disk.heal()
    SqliteStore(path).close()


def test_growth_is_taken_from_what_is_left(disk: Disk, path: Path) -> None:
    store = SqliteStore(path)
    disk.bytes_left = 1 << 20
    recharge(store, "PAY-0")
    log = path.with_name("s.db-wal")
    assert disk.bytes_left == (1 << 20) - log.stat().st_size
    store.close()
    assert not log.exists()
    assert disk.bytes_left >= (1 << 20) - 4096 * 4, "the log's room is free again"


def test_slow_disk_takes_its_time_for_writes_and_syncs(path: Path) -> None:
    slept: list[float] = []
    with Disk(path, sleep=slept.append) as disk:
        store = SqliteStore(path)
        disk.delay_s = 0.25
        before = disk.counts.changes
        recharge(store, "PAY-0")
        assert slept == [0.25] * (disk.counts.changes - before)
        assert len(slept) > 2
        store.close()


@pytest.mark.parametrize("once", [True, False], ids=["once", "from then on"])
def test_every_operation_of_a_commit_can_fail(disk: Disk, path: Path, once: bool) -> None:
    store = opened(path, checkpoint_pages=10)
    failed = 0
    for point in itertools.count():
        disk.fail_after(point, once=once)
        answered = False
        with suppress(StoreError):
            recharge(store, f"PAY-{point}")
            answered = True
        fired = disk.fired
        disk.heal()
        assert (f"PAY-{point}" in references(store)) == answered
        failed += not answered
        if not fired:
            break
    assert failed >= 3
    assert_sound(store)
    store.close()


# --- power cuts -----------------------------------------------------------------------------------------------


def run_until_the_cut(path: Path, acknowledged: list[str]) -> None:
    """Commits, checkpoints, and a stop in good order in between."""
    for count in (2, 3):
        store = opened(path, checkpoint_pages=12)
        try:
            recharges(store, count, acknowledged)
        finally:
            store.close()


def test_what_was_acknowledged_survives_a_cut_at_every_point(made: Path, tmp_path: Path) -> None:
    damage, unanswered = Damage(), 0
    for point in itertools.count():
        path = Path(shutil.copy(made, tmp_path / "s.db"))
        acknowledged: list[str] = []
        with Disk(path) as disk:
            disk.freeze_after(point)
            with suppress(StoreError):
                run_until_the_cut(path, acknowledged)
            fired = disk.fired
            damage += disk.power_cut(random.Random(point))
            store = SqliteStore(path)
            found = references(store)
            assert set(acknowledged) <= found <= {*acknowledged, f"PAY-{len(acknowledged)}"}, point
            unanswered += found != set(acknowledged)
            assert_sound(store)
            store.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        if not fired:
            break
    assert point > 60
    assert len(acknowledged) == 5, "the last run came to its end"
    assert damage.kept > 20
    assert damage.torn > 20
    assert damage.lost > 20
    assert unanswered > 0, "what nobody was told of may be there too"


def test_store_that_does_not_sync_its_commits_is_found_out(made: Path, tmp_path: Path) -> None:
    lost = 0
    for seed in range(10):
        path = Path(shutil.copy(made, tmp_path / f"{seed}.db"))
        with Disk(path) as disk:
            store, acknowledged = opened(path), list[str]()
            store._connection.execute("PRAGMA synchronous = NORMAL")
            recharges(store, 3, acknowledged)
            cut(disk, store, seed)
            store = SqliteStore(path)
            lost += not set(acknowledged) <= references(store)
            store.close()
    assert lost > 2


def test_log_that_was_removed_may_be_back_and_does_no_harm(made: Path, tmp_path: Path) -> None:
    returned = 0
    for seed in range(12):
        path = Path(shutil.copy(made, tmp_path / f"{seed}.db"))
        with Disk(path) as disk:
            store = SqliteStore(path)
            recharge(store, "PAY-0")
            store.close()
            assert not path.with_name(f"{seed}.db-wal").exists()
            damage = disk.power_cut(random.Random(seed))
            assert path.with_name(f"{seed}.db-wal").exists() == (damage.returned == 1)
            returned += damage.returned
            store = SqliteStore(path)
            assert references(store) == {"PAY-0"}
            assert_sound(store)
            store.close()
    assert 0 < returned < 12


def test_store_that_is_being_made_survives_a_cut_at_every_point(tmp_path: Path) -> None:
    fired = 0
    for point in itertools.chain(range(40), itertools.count(40, 17)):
        path = tmp_path / f"{point}.db"
        with Disk(path) as disk:
            disk.freeze_after(point)
            with suppress(StoreError):
                SqliteStore(path).close()
            fired = disk.fired
            disk.power_cut(random.Random(point))
            store = SqliteStore(path)
            assert_sound(store)
            store.close()
        if not fired:
            break
    assert point > 60


@pytest.mark.parametrize("seed", range(6))
def test_store_survives_one_cut_after_the_other(disk: Disk, path: Path, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged: list[str] = []
    for _ in range(12):
        disk.freeze_after(chance.randrange(120))
        store = None
        with suppress(StoreError):
            store = opened(path, checkpoint_pages=15)
            recharges(store, 20, acknowledged)
        disk.freeze()
        if store is not None:
            store.close()
        disk.power_cut(chance)
        store = SqliteStore(path)
        assert set(acknowledged) <= references(store)
        acknowledged = sorted(references(store), key=lambda reference: int(reference.removeprefix("PAY-")))
        store.close()
    store = SqliteStore(path)
    assert len(acknowledged) > 10
    assert_sound(store)
    store.close()


def test_lying_disk_loses_what_was_acknowledged(path: Path) -> None:
    lost = broken = 0
    for seed in range(20):
        copy = Path(shutil.copy(path, path.with_name(f"{seed}.db")))
        with Disk(copy) as disk:
            store, acknowledged = opened(copy), list[str]()
            disk.lies = True
            recharges(store, 5, acknowledged)
            assert set(acknowledged) <= references(store), "while it runs nobody can tell"
            cut(disk, store, seed)
            disk.lies = False
            try:
                store = SqliteStore(copy)
                lost += not set(acknowledged) <= references(store)
                store.close()
            except StoreError:
                broken += 1
    assert lost >= 5
    assert broken <= 5, "without a checkpoint the store's own file is whole"


def test_lie_ends_with_the_next_honest_sync(disk: Disk, path: Path) -> None:
    store = opened(path)
    disk.lies = True
    recharge(store, "PAY-0")
    assert disk.unsynced
    disk.lies = False
    recharge(store, "PAY-1")
    assert disk.unsynced == 0
    cut(disk, store, 1)
    store = SqliteStore(path)
    assert references(store) == {"PAY-0", "PAY-1"}
    store.close()


def damaged(made: Path, folder: Path, seed: int) -> tuple[Damage, str]:
    folder.mkdir()
    path = Path(shutil.copy(made, folder / "s.db"))
    disk_vfs.seed_chance_of_sqlite(seed + 1)
    with Disk(path) as disk:
        store, acknowledged = opened(path, checkpoint_pages=12), list[str]()
        disk.lies = True
        recharges(store, 6, acknowledged)
        return cut(disk, store, seed), digest(path)


def test_same_seed_leaves_the_same_files(made: Path, tmp_path: Path, own_chance: None) -> None:
    once = [damaged(made, tmp_path / f"once-{seed}", seed) for seed in range(8)]
    again = [damaged(made, tmp_path / f"again-{seed}", seed) for seed in range(8)]
    assert [damage for damage, _ in once] == [damage for damage, _ in again]
    assert [content for _, content in once] == [content for _, content in again]
    assert len({content for _, content in once}) > 4, "another seed leaves other files"
    assert any(damage.torn for damage, _ in once)


def test_frozen_disk_changes_no_byte(disk: Disk, path: Path) -> None:
    store = opened(path)
    recharge(store, "PAY-0")
    before = digest(path)
    disk.freeze()
    with pytest.raises(StoreError, match="I/O error"):
        recharge(store, "PAY-1")
    with pytest.raises(RuntimeError, match="still open"):
        disk.power_cut(random.Random(1))
    store.close()
    assert digest(path) == before
    with pytest.raises(StoreError, match="unable to open"):
        SqliteStore(path)
    assert disk.power_cut(random.Random(1)) == Damage()
    assert not path.with_name("s.db-shm").exists()


def test_answer_about_what_a_dead_process_left_is_durable(disk: Disk, path: Path) -> None:
    """Its last commit may be seen before it is durable: whoever answers about it makes it durable first."""
    store = opened(path)
    disk.freeze_after(0, "sync")  # the log's head goes first
    with pytest.raises(StoreError):
        recharge(store, "PAY-0")
    store.close()
    disk.thaw()
    assert disk.unsynced
    store = opened(path)
    recharge(store, "PAY-0")
    disk.freeze_after(0, "sync")
    with pytest.raises(StoreError):
        recharge(store, "PAY-1")
    store.close()
    disk.thaw()
    store = opened(path)
    assert references(store) == {"PAY-0", "PAY-1"}
    assert disk.unsynced, "seen, and not durable"
    recharge(store, "PAY-1")
    assert disk.unsynced == 0
    store.close()


def test_files_put_in_place_are_durable(disk: Disk, path: Path, made: Path) -> None:
    store = opened(path)
    disk.lies = True
    recharge(store, "PAY-0")
    disk.freeze()
    store.close()
    disk.heal()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    shutil.copy(made, path)
    disk.settle()
    assert disk.power_cut(random.Random(1)) == Damage()
    assert path.read_bytes() == made.read_bytes()


def test_cache_of_a_liar_is_finite(disk: Disk, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsynced, "CACHE_BYTES", 50_000)
    store, acknowledged = opened(path), list[str]()
    disk.lies = True
    recharges(store, 30, acknowledged)
    changes = list(disk._unsynced._changes)
    assert sum(len(change.old) + len(change.new) for change in changes) <= 50_000
    cut(disk, store, 3)
    disk.heal()
    store = SqliteStore(path)
    assert 10 < len(references(store)) <= 30, "what was pushed out of it is durable"
    store.close()


# --- for another process ----------------------------------------------------------------------------------------


def state_before_the_cut(path: Path, journal: Path, *, lies: bool, point: int) -> Disk:
    """A run under a journal. The copies of its files are what a SIGKILL leaves."""
    disk = Disk(path, journal=journal)
    disk.lies = lies
    disk.freeze_after(point)
    store = opened(path, checkpoint_pages=12)
    with suppress(StoreError):
        recharges(store, 8, [])
    disk.freeze()
    store.close()
    return disk


@pytest.mark.parametrize(("lies", "point"), [(True, 70), (False, 41), (False, 43), (False, 70)])
def test_journal_leaves_another_process_the_same_cut(path: Path, tmp_path: Path, lies: bool, point: int) -> None:
    journal = tmp_path / "journal"
    disk = state_before_the_cut(path, journal, lies=lies, point=point)
    (tmp_path / "killed").mkdir()
    killed = tmp_path / "killed" / "s.db"
    for suffix in STORE_FILES:
        if (file := path.with_name(path.name + suffix)).exists():
            shutil.copy(file, killed.with_name(killed.name + suffix))
    copied = tmp_path / "killed" / "journal"
    copied.write_bytes(journal.read_bytes() + b"c\x00\x00\x00\x00")  # and a record that was being written
    damage = disk.power_cut(random.Random(7))
    disk.close()
    assert damage != Damage()
    assert power_cut_file(copied, random.Random(7), killed) == damage
    assert digest(killed) == digest(path)
    assert not copied.exists()


def test_journal_is_empty_while_all_is_synced(path: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with Disk(path, journal=journal) as disk:
        empty = journal.stat().st_size
        store = opened(path)
        acknowledged: list[str] = []
        recharges(store, 3, acknowledged)
        assert disk.unsynced == 0
        assert journal.stat().st_size == empty
        disk.lies = True
        recharges(store, 1, acknowledged)
        assert journal.stat().st_size > empty + 4096
        store.close()


def test_journal_is_written_anew_when_long(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsynced, "CACHE_BYTES", 50_000)
    monkeypatch.setattr(unsynced, "_JOURNAL_BYTES_MAX", 200_000)
    journal = tmp_path / "journal"
    with Disk(path, journal=journal) as disk:
        store, acknowledged = opened(path), list[str]()
        disk.lies = True
        recharges(store, 40, acknowledged)
        assert journal.stat().st_size < 300_000
        head, _, records = journal.read_bytes().partition(b"\n")
        assert str(path).encode() in head
        assert list(unsynced._replayed(memoryview(records))._changes) == list(disk._unsynced._changes)
        store.close()


def test_no_journal_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"")
    with pytest.raises(ValueError, match="no journal"):
        power_cut_file(tmp_path / "journal", random.Random(1))
