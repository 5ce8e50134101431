"""Child processes of a run: started, waited for by a condition, killed by their own id. Knows no program.

Every child writes into a log file of its own and is a session of its own, so that Ctrl-C reaches the laboratory
only, which then ends its children. Where the system can do it, children die with the laboratory.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

POLL_S: Final = 0.05
GRACE_S: Final = 10.0
"""How long a child may take to end in good order."""

_LAST_LINES: Final = 3


class LabError(Exception):
    """The run cannot go on, in words for its user."""


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Look again and again until the condition holds.

    Raises:
        LabError: it does not within `timeout_s`.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise LabError(f"{what}: not within {timeout_s:g} s")
        time.sleep(POLL_S)


def dying_with_us(command: Sequence[str]) -> list[str]:
    """The command, killed by the system when we end without a word (where util-linux is there)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else list(command)


class Child:
    """One running process and the log file that it appends to."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self.name = name
        self.log = log
        self._began_at = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                dying_with_us(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended; None: it has not."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)

    def output(self) -> str:
        """What this process has written."""
        with self.log.open("rb") as lines:
            lines.seek(self._began_at)
            return lines.read().decode("utf-8", "replace")

    def wait_until_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait for the condition.

        Raises:
            LabError: the process ended before, or the condition did not come true in time.
        """

        def ready_or_dead() -> bool:
            self.check()
            return ready()

        wait_until(ready_or_dead, timeout_s, f"{self.name} gets ready (log: {self.log})")

    def check(self) -> None:
        """See that the process runs.

        Raises:
            LabError: it has ended by itself; with its last words.
        """
        if not self.running:
            words = " / ".join(self.output().strip().splitlines()[-_LAST_LINES:])
            raise LabError(f"{self.name} ended with status {self._process.returncode}: {words} (log: {self.log})")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def terminate(self, grace_s: float = GRACE_S) -> None:
        """SIGTERM, and wait until it is gone.

        Raises:
            LabError: it did not end in time; it was killed.
        """
        self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"{self.name} did not end within {grace_s:g} s of SIGTERM (log: {self.log})") from None


class Children:
    """The children of a run by name. Leaving the context kills all that are left."""

    def __init__(self, cwd: Path, logs: Path) -> None:
        self._cwd = cwd
        self._logs = logs
        self._children: dict[str, Child] = {}

    def __enter__(self) -> "Children":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._children):
            self.kill(name)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Child:
        """Start a process under a name that is free."""
        assert not self.is_up(name), f"{name} is up already"
        child = Child(name, command, env, self._cwd, self._logs / f"{name}.log")
        self._children[name] = child
        return child

    def get(self, name: str) -> Child | None:
        """The child of this name, if we have not ended it."""
        return self._children.get(name)

    def is_up(self, name: str) -> bool:
        """Whether there is a child of this name that we have not ended."""
        return name in self._children

    def kill(self, name: str) -> None:
        """SIGKILL one."""
        self._children.pop(name).kill()

    def terminate(self, name: str) -> None:
        """SIGTERM one and wait for its end; see `Child.terminate`."""
        self._children.pop(name).terminate()

    def check(self) -> None:
        """See that all run; see `Child.check`."""
        for child in self._children.values():
            child.check()


def clean_environment(**more: str) -> dict[str, str]:
    """Our environment without settings of either end, so that a run depends on nothing but its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEADEND_", "METER_SIM_"))}
    return kept | more


def interrupt_on_sigterm() -> None:
    """Make SIGTERM end us as Ctrl-C does, children first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
