"""The plant on real processes: what breaks it comes and goes, and nothing of it is left behind."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
from waiting import wait_until

from meter_sim.lab.households import Households, plan_of
from meter_sim.lab.installation import Installation
from meter_sim.lab.plant import ClockShift, DiskState, Link, Part, Payment
from meter_sim.lab.process_plant import ProcessPlant
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario
from meter_sim.lab.toxics import AppliedToxic
from meter_sim.lab.toxics.black_hole import BlackHole

SEED = 7
PATIENCE_S = 60.0
SCENARIO = {
    "name": "small",
    "story": "Everything that can be done to a plant.",
    "fleet": {"meters": 40, "gateways": 2, "interval": "15m"},
    "clock": {"start": "2024-10-30T00:00", "length": "10d", "speed": 3_600},
    "workload": {"orders": 1},
}


def scenario() -> Scenario:
    return Scenario.model_validate(SCENARIO)


def payments() -> list[Payment]:
    return Households(scenario(), plan_of(scenario(), SEED, "patna"), SEED).first_payments()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def plant(folder: RunFolder) -> Iterator[ProcessPlant]:
    with ProcessPlant(scenario(), plan_of(scenario(), SEED, "patna"), folder) as plant:
        answers = plant.set_up(payments())
        assert [answer["outcome"] for answer in answers] == ["RECORDED"] * 40
        yield plant
    assert running(folder) == []
    assert not list(folder.path.glob("*control.json"))
    assert not (folder.path / "disk.json").exists()


def running(folder: RunFolder) -> list[str]:
    """The command lines of all processes of a run, as they name its folder or were begun with its settings."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                about = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                is_dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                if str(folder.path).encode() in about and b"HEADEND_CLOCK" in about and not is_dead:
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


def in_time(plant: ProcessPlant, condition: Callable[[], bool], what: str) -> None:
    """Let time pass on the plant until the condition holds."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, f"{what}: not in time"
        plant.advance(plant.now_s + 300)


def is_stopped(plant: ProcessPlant, folder: RunFolder, word: str) -> bool:
    """Whether the one process whose command line has this word stands still."""
    (pid,) = (
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and belongs(entry, folder) and word.encode() in (entry / "cmdline").read_bytes()
    )
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def belongs(entry: Path, folder: RunFolder) -> bool:
    with suppress(OSError):
        return f"HEADEND_CONFIG={folder.path}/".encode() in (entry / "environ").read_bytes()
    return False


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_parts_and_links_break_and_heal(plant: ProcessPlant, folder: RunFolder) -> None:
    in_time(plant, plant.has_converged, "convergence at first")
    first = plant.look("before")
    assert (first.gateways_online, first.headend_up, first.recharges_accepted) == (2, 1, 40)
    assert first.messages > 0
    assert first.headend_rss_kib > 10_000

    for _ in range(2):
        plant.kill(Part.HEADEND)
    plant.start(Part.HEADEND)
    assert (plant.is_up(Part.HEADEND), plant.look("faults").headend_up) == (False, 0)
    assert answered(plant, "DOWN-1") == "RECORDED"
    plant.start(Part.HEADEND)
    assert plant.is_up(Part.HEADEND)

    for _ in range(2):
        plant.pause(Part.FLEET)
    plant.resume(Part.FLEET)
    plant.kill(Part.BROKER)
    assert is_stopped(plant, folder, "meter-sim")
    plant.resume(Part.FLEET)
    assert not is_stopped(plant, folder, "meter-sim")
    plant.start(Part.BROKER)
    in_time(plant, plant.has_converged, "convergence after kills")

    plant.slow("slow", Part.FLEET, 0.3)
    seen = set()
    wait_until(lambda: seen.add(is_stopped(plant, folder, "meter-sim")) or len(seen) == 2)  # type: ignore[func-returns-value]
    plant.slow("slow", Part.FLEET, 1.0)

    hole = AppliedToxic("hole", BlackHole(), "upstream", 1.0, frozenset({"patna-G0001"}), 1)
    plant.add_toxic(Link.FLEET, hole)
    fates = "SELECT DISTINCT link, fate FROM wire"
    in_time(plant, lambda: ("fleet", "lost") in rows(folder.wire, fates), "messages are lost")
    in_time(plant, lambda: plant.look("faults").readings_late > 0, "readings are kept")
    plant.remove_toxic(Link.FLEET, "hole")
    in_time(plant, plant.has_converged, "convergence after the black hole")

    plant.publish("ami/v1/patna/G0001/up/readings", b"garbage")
    in_time(plant, lambda: rows(folder.store, "SELECT count(*) FROM dead_letter") == [(1,)], "a dead letter")

    plant.kill(Part.COUNTER)
    plant.recharge(Payment("M0000001", 5_000_000, "DOOM-1"))
    assert plant.recharge(Payment("M0000001", 5_000_000, "DOOM-1")) is None, "it died in the request before"
    plant.start(Part.COUNTER)
    assert answered(plant, "DOOM-1") in ("RECORDED", "EXISTS")
    in_time(plant, plant.has_converged, "convergence at last")
    assert plant.finish()
    (credited,) = rows(folder.store, "SELECT count(*) FROM transfer WHERE reference IN ('DOWN-1', 'DOOM-1')")
    assert credited == (2,)


def answered(plant: ProcessPlant, reference: str) -> str:
    """The first answer to a recharge; who gets none asks again."""
    answers: list[str] = []

    def is_answered() -> bool:
        answer = plant.recharge(Payment("M0000001", 5_000_000, reference))
        answers.extend([] if answer is None else [answer["outcome"]])
        return answer is not None

    in_time(plant, is_answered, f"an answer to {reference}")
    return answers[0]


def test_disk_power_store_and_clocks_break_and_heal(plant: ProcessPlant, folder: RunFolder) -> None:
    in_time(plant, plant.has_converged, "convergence at first")
    headend_log = folder.path / "headend.log"

    plant.set_disk("full", DiskState(full=True))
    asked: list[str] = []

    def is_unanswered() -> bool:
        asked.append(f"FULL-{len(asked)}")
        return plant.recharge(Payment("M0000001", 5_000_000, asked[-1])) is None

    in_time(plant, is_unanswered, "a request finds no room: there is some until the log has to grow")
    in_time(plant, lambda: "trying again" in headend_log.read_text(), "the head-end notices")
    plant.set_disk("full", None)
    assert answered(plant, asked[-1]) in ("RECORDED", "EXISTS")

    plant.kill(Part.COUNTER)
    plant.kill(Part.HEADEND)
    plant.cut_power(Random(1))
    plant.start(Part.HEADEND)
    plant.start(Part.COUNTER)
    assert answered(plant, asked[-1]) == "EXISTS"

    in_time(plant, lambda: not shown(plant)["stale"], "a fresh balance")
    plant.shift_clock("ahead", Part.HEADEND, ClockShift(86_400))
    in_time(plant, lambda: bool(shown(plant)["stale"]), "a balance is stale by the wrong clock")
    plant.shift_clock("ahead", Part.HEADEND, None)
    in_time(plant, lambda: not shown(plant)["stale"], "a fresh balance again")

    plant.shift_clock("1970", Part.FLEET, ClockShift(-1_700_000_000, 0, ("G0002",)))
    refused = "SELECT m.gateway FROM event JOIN meter AS m USING (meter_key) WHERE kind = 'refused'"
    # Not before the region has recovered from what was done to the head-end.
    in_time(plant, lambda: ordered(plant, "M0000040"), "an order to open passes the gate")
    in_time(plant, lambda: rows(folder.fleet, refused) == [("G0002",)], "the meter refuses")
    plant.shift_clock("1970", Part.FLEET, None)
    plant.shift_clock("behind", Part.HEADEND, ClockShift(-2 * 86_400))
    ahead = "SELECT count(*) FROM exception WHERE kind = 'CLOCK_AHEAD' AND resolved_at_s IS NULL"
    in_time(plant, lambda: rows(folder.store, ahead) != [(0,)], "meters are ahead of the wrong clock")
    plant.shift_clock("behind", Part.HEADEND, None)
    did: list[str] = []
    in_time(plant, lambda: bool(did.extend(plant.attend()) or did), "somebody attends")
    assert all(said.endswith("CLOCK_AHEAD resolved: the clock was set") for said in did)

    counts = plant.order_cut(["M0000001", "M0000002"], "operator", "the wrong file")
    assert counts is not None
    assert sum(counts["counts"].values()) == 2

    plant.back_up()
    assert answered(plant, "LATE-1") == "RECORDED"
    plant.restore()
    assert plant.is_up(Part.HEADEND)
    assert answered(plant, "LATE-1") == "RECORDED"


def ordered(plant: ProcessPlant, meter: str) -> bool:
    answer = plant.order_relay(meter, "open", "exercise")
    return answer is not None and answer["outcome"] == "ORDERED"


def shown(plant: ProcessPlant) -> dict[str, object]:
    answer = plant.enquire("M0000001")
    assert answer is not None
    return dict(answer)


RUN = """
import json, sys
from pathlib import Path
from meter_sim.lab.households import plan_of
from meter_sim.lab.plant import ClockShift, Part
from meter_sim.lab.process_plant import ProcessPlant
from meter_sim.lab.processes import interrupt_on_sigterm
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario

interrupt_on_sigterm()
scenario = Scenario.model_validate(json.loads(sys.argv[1]))
try:
    with ProcessPlant(scenario, plan_of(scenario, 7, "patna"), RunFolder(Path(sys.argv[2]))) as plant:
        plant.set_up([])
        plant.pause(Part.HEADEND)
        plant.slow("slow", Part.BROKER, 0.5)
        plant.shift_clock("x", Part.FLEET, ClockShift(60, 0, ("G0001",)))
        print("up", flush=True)
        plant.advance(plant.now_s + 10**7)
except KeyboardInterrupt:
    sys.exit(105)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_run_that_is_interrupted_leaves_nothing_behind(number: signal.Signals, folder: RunFolder) -> None:
    command = [sys.executable, "-c", RUN, json.dumps(SCENARIO), str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "up\n"
            assert len(running(folder)) >= 5
            run.send_signal(number)
            assert run.wait(30) == (105 if number is not signal.SIGKILL else -signal.SIGKILL)
        finally:
            run.kill()
    # Killed, we can do nothing more: the system ends our children.
    wait_until(lambda: running(folder) == [])
    if number is not signal.SIGKILL:
        assert not (folder.path / "fleet-control.json").exists()


def test_nothing_runs_before_the_set_up_and_ports_are_free_after_it(folder: RunFolder) -> None:
    with ProcessPlant(scenario(), plan_of(scenario(), SEED, "patna"), folder) as plant:
        assert not any(plant.is_up(part) for part in Part)
        assert running(folder) == []
        assert not Installation.broker_listens(plant._site)
