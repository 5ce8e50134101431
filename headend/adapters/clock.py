"""The clock: the machine's own, or the laboratory's virtual one on top of it."""

import time

from headend.wire.timescale import TimeScale


class SystemClock:
    """`Clock` on the machine's time; with a `TimeScale` on the virtual time that both ends of a run share."""

    def __init__(self, scale: TimeScale | None = None) -> None:
        self._scale = scale

    def now_s(self) -> int:
        """See `Clock.now_s`."""
        wall_s = time.time()
        return int(wall_s) if self._scale is None else max(0, self._scale.virtual_s(wall_s))

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`: wall seconds, at whatever speed virtual time runs."""
        return time.monotonic()
