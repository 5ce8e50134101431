"""A long-lived command that answers each line with a line of JSON, begun anew whenever it has ended.

Answers carry the number of their line (`line`), so one that comes after its asker gave up is known as such.
Knows nothing of what is asked.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from meter_sim.lab.processes import LabError, dying_with_us

STORE_TROUBLE: Final = 5
"""Exit status of a command that could not use its store: no fault of its own."""

RESTART_S: Final = 1.0
"""So long after its store has ended it nobody is there to be asked, as with a service that is started again."""


class LineCommand:
    """One such command; it runs from the first question on."""

    def __init__(
        self, name: str, command: Sequence[str], env: Callable[[], Mapping[str, str]], cwd: Path, log: Path
    ) -> None:
        """`env` is asked at each start. What the command complains of goes to `log`."""
        self.name = name
        self._command = command
        self._env = env
        self._cwd = cwd
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        self._rest = b""
        self._closed_until_s = 0.0

    @property
    def running(self) -> bool:
        """Whether a process is there."""
        return self._process is not None

    def open(self) -> None:
        """Start it now, so that the first question need not wait for it."""
        if self._process is not None:
            return
        with self._log.open("ab") as complaints:
            process = subprocess.Popen(
                dying_with_us(self._command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=dict(self._env()),
                cwd=self._cwd,
                start_new_session=True,
            )
        self._process, self._asked, self._rest = process, 0, b""
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)

    def ask(self, line: str, patience_s: float, *, kill_after_s: float | None = None) -> dict[str, Any] | None:
        """The answer; None: none came in time, the command died, or it has not come back yet.

        With `kill_after_s` it is killed so long after the question left, or after the answer if that comes first.

        Raises:
            LabError: it ended by itself, and not because of its store; or the answer is none.
        """
        if self._process is None and time.monotonic() < self._closed_until_s:
            return None
        self.open()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            # Shorter than a pipe's atomic write: it goes in whole or not at all.
            os.write(process.stdin.fileno(), line.encode() + b"\n")
        except BlockingIOError:
            return None
        except BrokenPipeError:
            self._bury()
            return None
        self._asked += 1
        if kill_after_s is not None:
            found = self._answer(process, time.monotonic() + kill_after_s)
            process.kill()
            found = found or self._answer(process, time.monotonic() + patience_s)
            self.kill()
            return found
        found = self._answer(process, time.monotonic() + patience_s)
        if found is None and process.poll() is not None:
            self._bury()
        return found

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, if there is one."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._close()

    def close(self) -> None:
        """End it in good order, if it runs."""
        if self._process is not None:
            self._close()

    def _close(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
        process.stdout.close()
        return process.returncode

    def _bury(self) -> None:
        status = self._close()
        if status not in (0, STORE_TROUBLE):
            raise LabError(f"{self.name} ended with status {status} (log: {self._log})")
        self._closed_until_s = time.monotonic() + RESTART_S

    def _answer(self, process: subprocess.Popen[bytes], until_s: float) -> dict[str, Any] | None:
        """The answer to the last question, if it comes in time; older ones are passed over."""
        assert process.stdout is not None
        while True:
            while b"\n" not in self._rest:
                ready, _, _ = select.select([process.stdout], [], [], max(0.0, until_s - time.monotonic()))
                content = os.read(process.stdout.fileno(), 65_536) if ready else b""
                if not content:
                    if ready:
                        process.wait()
                    return None
                self._rest += content
            line, _, self._rest = self._rest.partition(b"\n")
            try:
                answer: dict[str, Any] = json.loads(line)
                number = answer["line"]
            except (ValueError, KeyError, TypeError) as error:
                raise LabError(f"{self.name} answered {line!r}") from error
            if number == self._asked:
                return answer
