import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from meter_sim.lab.line_command import LineCommand
from meter_sim.lab.processes import LabError

PROGRAM = """
import json, sys, time
for number, line in enumerate(iter(sys.stdin.readline, ""), start=1):
    word = line.strip()
    if word == "store":
        sys.exit(5)
    if word == "bug":
        sys.exit("a bug")
    if word == "noise":
        print("what?", flush=True)
    if word == "hang":
        time.sleep(60)
    print(json.dumps({"line": number, "word": word}), flush=True)
"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[LineCommand]:
    command = LineCommand("test", [sys.executable, "-c", PROGRAM], dict, tmp_path, tmp_path / "test.log")
    yield command
    command.kill()


def test_each_line_is_answered_by_one_process(command: LineCommand) -> None:
    assert not command.running
    assert command.ask("a", 30) == {"line": 1, "word": "a"}
    assert command.ask("b", 30) == {"line": 2, "word": "b"}
    assert command.running
    command.close()
    assert not command.running
    assert command.ask("c", 30) == {"line": 1, "word": "c"}


def test_answer_that_comes_too_late_is_not_taken_for_the_next(command: LineCommand) -> None:
    assert command.ask("a", 30) == {"line": 1, "word": "a"}
    command.send(signal.SIGSTOP)
    assert command.ask("late", 0.0) is None
    command.send(signal.SIGCONT)
    assert command.ask("b", 30) == {"line": 3, "word": "b"}


def test_command_that_its_store_has_ended_gives_no_answer_and_comes_back(command: LineCommand) -> None:
    assert command.ask("store", 30) is None
    assert command.ask("at once", 30) is None
    assert not command.running
    wait_until(lambda: command.ask("a", 30) == {"line": 1, "word": "a"})


@pytest.mark.parametrize(("word", "said"), [("bug", "status 1"), ("noise", "what?")])
def test_command_with_a_fault_of_its_own_ends_the_run(word: str, said: str, command: LineCommand) -> None:
    with pytest.raises(LabError, match=said.replace("?", r"\?")):
        command.ask(word, 30)


def test_command_that_is_to_die_in_a_request_answers_or_does_not(command: LineCommand) -> None:
    assert command.ask("hang", 30, kill_after_s=0.01) is None
    assert not command.running
    assert command.ask("a", 30) == {"line": 1, "word": "a"}
