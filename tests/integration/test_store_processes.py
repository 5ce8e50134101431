"""The store between processes: several write at once, and any of them may be killed at any moment."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from waiting import wait_until

from headend.adapters.sqlite import SqliteStore
from headend.service.accounts import register_meters
from headend.service.audit import audit
from headend.service.rows import Registration
from headend.service.traffic import GatewayId

TESTS = Path(__file__).parent.parent
METERS = [f"M{number}" for number in range(1, 6)]
G1 = GatewayId("R1", "G1")

WRITER = """
import sys
from headend.adapters.sqlite import SqliteStore
from headend.service.accounts import Recharge, record_recharge
name, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SqliteStore(path)
for number in range(count):
    with store.transaction() as uow:
        outcome = record_recharge(
            Recharge(f"M{number % 5 + 1}", 1_000_000 + number, f"{name}-{number}"), uow, 1_730_000_000
        ).outcome
    print(outcome, number, flush=True)
store.close()
"""

OPENER = """
import sys, time
from pathlib import Path
from headend.adapters.sqlite import SqliteStore
for number in range(8):
    time.sleep(max(0.0, float(sys.argv[2]) + number * 0.15 - time.time()))
    SqliteStore(Path(sys.argv[1]) / f"{number}.db").close()
"""

INGESTER = """
import sys
from zoneinfo import ZoneInfo
from headend.adapters.memory import ManualClock, MemoryLink
from headend.adapters.sqlite import SqliteStore
from headend.service.server import Headend, Settings
from plain_rules import plain_rules
from headend.wire.codec import encode
from headend.wire.messages import ReadingKind, Readings
START_S = 1_730_226_600
settings = Settings(ZoneInfo("Asia/Kolkata"), plain_rules(4), 10**6, 100, 10.0, 1.0, 0.05, 3600)
store, clock = SqliteStore(sys.argv[1]), ManualClock(START_S)
link = MemoryLink(lambda topic, payload: None)
headend = Headend(store, link, clock, settings)
for number in range(1, int(sys.argv[2]) + 1):
    message = Readings(
        frame=number,
        sent_at_s=1,
        kind=ReadingKind.SNAPSHOT if number % 2 == 0 else ReadingKind.INTERVAL,
        meters=["M1", "M2", "M3", "M4", "M5"],
        seqs=[number] * 5,
        at_s=[START_S + number // 2 * 86_400] * 5,
        registers_wh=[number * 10] * 5,
    )
    link.deliver("ami/v1/R1/G1/up/readings", encode(message))
    while headend.step(0.0):
        pass
    clock.advance(50_000)
    print("STEP", number, flush=True)
store.close()
"""


def spawn(script: str, *arguments: object, out: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    found_in = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdout=out, env=found_in)


def new_store(path: Path) -> None:
    store = SqliteStore(path)
    with store.transaction() as uow:
        register_meters([Registration(meter, G1, 0, 739_189) for meter in METERS], uow)
    store.close()


def check(path: Path) -> set[str]:
    """The audit is clean; the references of all recharges."""
    store = SqliteStore(path)
    with store.view() as uow:
        assert [found for each in audit(uow, None, converged=False) for found in each.violations] == []
        references = [transfer.reference for transfer in uow.transfers() if transfer.kind == "RECHARGE"]
    assert store._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()
    assert len(references) == len(set(references))
    return set(references)


def all_have_begun(logs: list[Path]) -> bool:
    return all(log.stat().st_size > 0 for log in logs)


def answers(log: Path) -> list[list[str]]:
    """Whole lines only: what was being written when the process died was not said yet."""
    return [line.split() for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_processes_that_write_at_once_make_one_whole_chain(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    new_store(path)
    count = 60
    writers = [
        spawn(WRITER, name, path, count) for name in ("A", "B", "A")
    ]  # one of them twice: the same requests
    ingester = spawn(INGESTER, path, 40)
    said = [process.communicate(timeout=60)[0].decode().split() for process in (*writers, ingester)]
    assert [process.returncode for process in (*writers, ingester)] == [0] * 4
    assert check(path) == {f"{name}-{number}" for name in ("A", "B") for number in range(count)}
    twice = [word for words in (said[0], said[2]) for word in words]
    assert (twice.count("RECORDED"), twice.count("EXISTS")) == (count, count)
    store = SqliteStore(path)
    with store.view() as uow:
        assert [row.register_wh for row in uow.meter_rows("", 10)] == [400] * 5
        assert [row.settled_register_wh for row in uow.meter_rows("", 10)] == [400] * 5
    store.close()


def test_processes_that_make_the_store_at_once_make_one(tmp_path: Path) -> None:
    together_s = time.time() + 3
    command = [sys.executable, "-W", "error", "-c", OPENER, str(tmp_path), str(together_s)]
    made = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    complaints = [process.communicate(timeout=60)[1].decode() for process in made]
    assert complaints == [""] * 4
    paths = sorted(tmp_path.glob("*.db"))
    assert len(paths) == 8
    for path in paths:
        assert check(path) == set()


@pytest.mark.parametrize("round_", range(2))
def test_what_was_answered_survives_a_kill(round_: int, tmp_path: Path, seed: int) -> None:
    """A writer and an ingester are killed at random moments, again and again, on one store."""
    chance = random.Random(seed * 10 + round_)
    path = tmp_path / "s.db"
    new_store(path)
    answered: set[str] = set()
    for life in range(3):
        logs = [tmp_path / f"{name}-{life}.log" for name in ("writer", "ingester")]
        with logs[0].open("wb") as first, logs[1].open("wb") as second:
            processes = [
                spawn(WRITER, "W", path, 10_000, out=first),
                spawn(INGESTER, path, 10_000, out=second),
            ]
            wait_until(partial(all_have_begun, logs), 30)
            time.sleep(chance.uniform(0, 0.3))
            chance.shuffle(processes)
            for process in processes:
                process.send_signal(signal.SIGKILL)
                time.sleep(chance.uniform(0, 0.05))
            for process in processes:
                process.wait(10)
        answered |= {f"W-{number}" for _, number in answers(logs[0])}
        steps = [int(number) for _, number in answers(logs[1])]
        recorded = check(path)
        assert answered <= recorded, "lost"
        assert len(recorded - answered) <= life + 1, "at most the one that was under way at each kill"
        store = SqliteStore(path)
        with store.view() as uow:
            row = uow.meter_row("M1")
            assert row is not None
            assert row.reading_seq >= max(steps)
        store.close()


def test_reading_is_possible_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    new_store(path)
    writer = spawn(WRITER, "W", path, 150)
    store = SqliteStore(path)
    seen = []
    while writer.poll() is None:
        with store.view() as uow:
            rows = uow.meter_rows("", 10)
            seen.append(sum(row.credit_seq for row in rows))
            assert [found for each in audit(uow, None, converged=False) for found in each.violations] == []
    assert writer.communicate()[0].count(b"RECORDED") == 150
    store.close()
    assert writer.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 1, seen
