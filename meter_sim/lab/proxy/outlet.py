"""What waits to be written to one side of a connection, each piece at its time. Bounded; knows no MQTT."""

import asyncio
import math
from contextlib import suppress
from heapq import heappop, heappush
from typing import Final

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Beyond this nothing more is read from the other side, and TCP holds its sender back."""


class Outlet:
    """The way to one peer. `put` never waits; who produces waits with `room` before it reads on."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[float, int, bytes]] = []
        self._waiting_bytes = 0
        self._count = 0
        self._last_due_s = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._progress = asyncio.Event()

    def put(self, delay_s: float, now_s: float, data: bytes, *, comes_last: bool = False) -> None:
        """Write `data` at `now_s + delay_s`; if it `comes_last`, after all that is waiting."""
        due_s = max(now_s + delay_s, self._last_due_s if comes_last else -math.inf)
        if due_s <= now_s and not (self._waiting and self._waiting[0][0] <= due_s):
            self._write(data)
            return
        self._last_due_s = max(self._last_due_s, due_s)
        self._count += 1
        self._waiting_bytes += len(data)
        heappush(self._waiting, (due_s, self._count, data))
        if self._timer is None or due_s < self._timer.when():
            self._set_timer()

    async def room(self) -> None:
        """Wait until there is room for more."""
        while self._waiting_bytes > MAX_WAITING_BYTES:
            self._progress.clear()
            await self._progress.wait()
        with suppress(OSError):  # a peer that is gone takes anything; whoever reads from it hears of its end
            await self._writer.drain()

    async def empty(self) -> None:
        """Wait until all that was put has been handed to the peer's socket."""
        while self._waiting:
            self._progress.clear()
            await self._progress.wait()

    def release(self) -> None:
        """Write all that waits now, in its order."""
        while self._waiting:
            self._write(heappop(self._waiting)[2])
        self._last_due_s = -math.inf
        self.drop()

    def drop(self) -> None:
        """Forget what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        self._waiting_bytes = 0
        self._progress.set()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._waiting[0][0], self._write_due) if self._waiting else None

    def _write_due(self) -> None:
        now_s = self._loop.time()
        self._timer = None
        while self._waiting and self._waiting[0][0] <= now_s:
            _, _, data = heappop(self._waiting)
            self._waiting_bytes -= len(data)
            self._write(data)
        self._set_timer()
        self._progress.set()

    def _write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)
