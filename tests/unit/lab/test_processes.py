import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from meter_sim.lab.processes import Children, LabError, clean_environment
from meter_sim.lab.run_folder import fresh_folder

SLEEPER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_leaving_the_context_ends_every_child(tmp_path: Path) -> None:
    with Children(tmp_path, tmp_path) as children:
        child = children.start("sleeper", SLEEPER, os.environ)
        child.wait_until_ready(lambda: "here" in child.output(), 10)
        children.check()
    assert not child.running


def test_a_child_that_ends_by_itself_is_named_with_its_last_words(tmp_path: Path) -> None:
    with Children(tmp_path, tmp_path) as children:
        child = children.start("loser", [sys.executable, "-c", "print('no luck'); exit(3)"], os.environ)
        with pytest.raises(LabError, match="loser ended with status 3: no luck"):
            child.wait_until_ready(lambda: False, 10)


def test_a_child_that_never_gets_ready_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with Children(tmp_path, tmp_path) as children:
        child = children.start("sleeper", SLEEPER, os.environ)
        with pytest.raises(LabError, match="sleeper gets ready"):
            child.wait_until_ready(lambda: False, 0.1)


def test_output_is_that_of_the_present_process_only(tmp_path: Path) -> None:
    with Children(tmp_path, tmp_path) as children:
        for _ in range(2):
            child = children.start("sleeper", SLEEPER, os.environ)
            child.wait_until_ready(lambda child=child: "here" in child.output(), 10)  # type: ignore[misc]
            children.kill("sleeper")
            assert child.output() == "here\n"
    assert (tmp_path / "sleeper.log").read_text() == "here\nhere\n"


def test_children_die_with_the_laboratory(tmp_path: Path) -> None:
    """When the laboratory itself is killed with SIGKILL, the system ends its children."""
    program = f"""
import os, sys, time
from pathlib import Path
from meter_sim.lab.processes import Children
children = Children(Path("."), Path({str(tmp_path)!r}))
child = children.start("sleeper", {SLEEPER!r}, os.environ)
child.wait_until_ready(lambda: "here" in child.output(), 10)
print(child._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as laboratory:
        assert laboratory.stdout is not None
        pid = int(laboratory.stdout.readline())
        assert is_alive(pid)
        laboratory.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))


def test_settings_of_the_caller_do_not_reach_the_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADEND_STORE", "/elsewhere")
    monkeypatch.setenv("METER_SIM_CLOCK", "other")
    environment = clean_environment(HEADEND_CLOCK="ours")
    assert "HEADEND_STORE" not in environment
    assert "METER_SIM_CLOCK" not in environment
    assert environment["HEADEND_CLOCK"] == "ours"


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with fresh_folder(folder):
        (folder / "store").touch()
        with pytest.raises(LabError, match="another run uses"), fresh_folder(folder):
            pass
        assert (folder / "store").exists()
    with fresh_folder(folder):
        assert not (folder / "store").exists()


def test_a_folder_of_somebody_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").touch()
    with pytest.raises(LabError, match="something else"), fresh_folder(tmp_path / "home"):
        pass
    assert (tmp_path / "home" / "letter").exists()
