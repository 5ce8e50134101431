"""A real `headend serve` whose disk and clock the laboratory breaks while it runs."""

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from running import Running, Site, environment, gateway_by_hand, make_site, rows_of, running
from waiting import wait_until

from meter_sim.lab.disk_control import DiskControl, write_control
from meter_sim.lab.unsynced import power_cut_file

UNDER_TEST = (sys.executable, "-m", "meter_sim.lab.under_test")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = make_site(tmp_path / "site")
    made.add_meters("M1", "M2")
    return made


def tell(site: Site, control: DiskControl) -> None:
    write_control(site.folder / "disk.json", control)


@contextmanager
def serving_under_test(site: Site, port: int) -> Iterator[Running]:
    words = (*UNDER_TEST, "serve", "--broker", f"mqtt://127.0.0.1:{port}")
    ours = {
        "METER_SIM_DISK": str(site.folder / "disk.json"),
        "METER_SIM_DISK_JOURNAL": str(site.folder / "disk.journal"),
    }
    with running(site, *words, **ours) as serve:
        serve.wait_for("headend ready:")
        serve.wait_for("connected to broker")
        yield serve


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (DiskControl(full=True), "disk is full"),
        (DiskControl(fails="write"), "disk I/O error"),
        (DiskControl(fails="sync"), "disk I/O error"),
    ],
    ids=["full", "write", "sync"],
)
def test_headend_waits_for_its_disk_and_goes_on(
    site: Site, mosquitto: int, control: DiskControl, words: str
) -> None:
    with serving_under_test(site, mosquitto) as serve, gateway_by_hand(site, mosquitto) as gateway:
        gateway.status(online=True)
        gateway.hello("M1", "M2")
        wait_until(lambda: bool(gateway.receipts()))
        tell(site, control)
        serve.wait_for(f"{words}; ")
        serve.wait_for("(trying again)")
        frame = gateway.reading("M1", 1, 1_010)
        site.good("recharge", "M1", "25", "--reference", "PAY-1")  # a process of its own, on a disk that works
        assert [receipt for receipt in gateway.receipts() if receipt.get("frame") == frame] == []
        assert gateway.commands("M1") == [], "nothing leaves that was not committed"
        tell(site, DiskControl())
        serve.wait_for("the store can be written again")
        gateway.receipt(frame)
        gateway.credit_applied("M1", 1, gateway.command("M1", 1)["credit_total_micros"])
        wait_until(lambda: site.rows("SELECT count(*) FROM delivery WHERE state = 'APPLIED'") == [(1,)])
        assert serve.ask_to_stop() == 0
    site.audit_in_flight()


def test_slow_disk_delays_the_receipt(site: Site, mosquitto: int) -> None:
    with serving_under_test(site, mosquitto) as serve, gateway_by_hand(site, mosquitto) as gateway:
        gateway.status(online=True)
        gateway.receipt(gateway.reading("M1", 1, 1_010))
        tell(site, DiskControl(delay_ms=100))
        serve.wait_for('"delay_ms":100')
        began_s = time.monotonic()
        frame = gateway.reading("M1", 2, 1_020)
        gateway.receipt(frame, timeout_s=40)
        assert time.monotonic() - began_s > 0.25, "at least a page with its head, and the sync"
        tell(site, DiskControl())
        assert serve.ask_to_stop(timeout_s=30) == 0


def test_clock_is_set_off_and_right_again(site: Site, mosquitto: int) -> None:
    def beat_s() -> int:
        return int(site.rows("SELECT at_s FROM heartbeat")[0][0])

    with serving_under_test(site, mosquitto) as serve:
        wait_until(lambda: abs(beat_s() - time.time()) < 60)
        tell(site, DiskControl(clock_offset_s=7_200))
        wait_until(lambda: beat_s() > time.time() + 7_000)
        assert serve.ask_to_stop() == 0


@pytest.mark.parametrize("lies", [False, True], ids=["honest", "lying"])
def test_receipt_survives_a_power_cut_unless_the_disk_lied(
    site: Site, mosquitto: int, tmp_path: Path, lies: bool
) -> None:
    tell(site, DiskControl(lies=lies))
    with serving_under_test(site, mosquitto) as serve, gateway_by_hand(site, mosquitto) as gateway:
        gateway.status(online=True)
        gateway.receipt(gateway.reading("M1", 1, 1_010))
        serve.kill()
    kept = 0
    for seed in range(10):
        after = Path(shutil.copytree(site.folder, tmp_path / f"after-{seed}"))
        power_cut_file(after / "disk.journal", random.Random(seed), after / "store.db")
        # What a liar leaves may be no database any more; of an honest disk that would be an error.
        with suppress(sqlite3.DatabaseError if lies else ()):
            kept += rows_of(after / "store.db", "SELECT max(register_wh) FROM register") == [(1_010,)]
    if lies:
        assert kept < 10
    else:
        assert kept == 10


def test_without_a_control_file_it_does_not_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [*UNDER_TEST, "doctor"], env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=40
    )
    assert done.returncode == 1
    assert "METER_SIM_DISK names no control file" in done.stderr


def test_words_and_exit_statuses_stay_the_headends(site: Site) -> None:
    ours = {"METER_SIM_DISK": str(site.folder / "disk.json")}
    plain = site.headend("balance", "NOBODY")
    under_test = site.run(*UNDER_TEST, "balance", "NOBODY", **ours)
    assert plain.status == under_test.status == 3
    assert plain.complaint == under_test.complaint
    tell(site, DiskControl(full=True))
    done = site.run(*UNDER_TEST, "recharge", "M1", "25", "--reference", "PAY-1", **ours)
    assert done.status == 5
    assert "disk is full" in done.complaint
