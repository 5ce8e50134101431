"""Which parts stand still: those that are paused, and slow ones for a share of each turn. SIGSTOP and SIGCONT.

Owns who is stopped at this moment. A thread takes the turns of slow parts, and lives as long as there are any.
"""

import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from math import prod
from typing import Final

from meter_sim.lab.plant import Part

TURN_S: Final = 0.2
TICK_S: Final = 0.01


class Pace:
    """How fast each part runs."""

    def __init__(self, send: Callable[[Part, signal.Signals], None]) -> None:
        """`send` signals a part's process, if there is one; it is called from a thread too."""
        self._send = send
        self._lock = threading.Lock()
        self._pauses: Counter[Part] = Counter()
        self._shares: defaultdict[Part, dict[str, float]] = defaultdict(dict)
        self._stopped: set[Part] = set()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def is_paused(self, part: Part) -> bool:
        """Whether a part is to stand still."""
        return self._pauses[part] > 0

    def pause(self, part: Part) -> None:
        """Let it stand still; counted."""
        with self._lock:
            self._pauses[part] += 1
            self._apply(part)

    def resume(self, part: Part) -> None:
        """Take one `pause` back."""
        with self._lock:
            assert self._pauses[part] > 0, f"{part} is not paused"
            self._pauses[part] -= 1
            self._apply(part)

    def slow(self, name: str, part: Part, share: float) -> None:
        """Let it run for a share of the time; shares of several names multiply, 1 takes a name's back."""
        with self._lock:
            if share < 1.0:
                self._shares[part][name] = share
            else:
                self._shares[part].pop(name, None)
            self._apply(part)
        if self._thread is None and any(self._shares.values()):
            self._thread = threading.Thread(target=self._take_turns, name="pace", daemon=True)
            self._thread.start()

    def begun(self, part: Part) -> None:
        """A new process of this part has started: it runs, and has to be stopped if the old one was to be."""
        with self._lock:
            self._stopped.discard(part)
            self._apply(part)

    def close(self) -> None:
        """Let all go on."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._pauses.clear()
            self._shares.clear()
            for part in list(self._stopped):
                self._apply(part)

    def _take_turns(self) -> None:
        while not self._ended.wait(TICK_S):
            with self._lock:
                for part in self._shares:
                    self._apply(part)

    def _apply(self, part: Part) -> None:
        shares = self._shares[part].values() if part in self._shares else ()
        is_off = time.monotonic() % TURN_S >= TURN_S * prod(shares) if shares else False
        stops = self._pauses[part] > 0 or is_off
        if stops and part not in self._stopped:
            self._stopped.add(part)
            self._send(part, signal.SIGSTOP)
        elif not stops and part in self._stopped:
            self._stopped.discard(part)
            self._send(part, signal.SIGCONT)
