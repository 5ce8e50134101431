"""A head-end whose disk and clock the laboratory can break: `python -m meter_sim.lab.under_test serve ...`.

Runs the command line of `headend` in this process, its answers and exit statuses unchanged. Owns nothing but the
two places where the disk and the clock are put in. What judges a run never imports this.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headend import bootstrap, cli
from meter_sim.lab.disk import Disk
from meter_sim.lab.disk_control import CONTROL_VARIABLE, JOURNAL_VARIABLE, ControlFile, DiskControl


class SkewedClock:
    """The head-end's clock, ahead by an offset and a drift; the transport's time stays true."""

    def __init__(self, true: Any, under_test: "UnderTest") -> None:
        self._true = true
        self._under_test = under_test

    def now_s(self) -> int:
        """See `headend.service.ports.Clock`."""
        self._under_test.control.look()
        return max(0, self._under_test.skewed_s(int(self._true.now_s())))

    def monotonic_s(self) -> float:
        """See `headend.service.ports.Clock`."""
        return float(self._true.monotonic_s())


class UnderTest:
    """The disks and the skew of this process, as the control file says."""

    def __init__(self, control: Path, journal: Path | None) -> None:
        self.control = ControlFile(control, self._apply)
        self._journal = journal
        self._said = DiskControl()
        self._drifts_since_s: int | None = None
        self._disks: dict[Path, Disk] = {}

    def skewed_s(self, true_s: int) -> int:
        """What the clock shows."""
        if self._drifts_since_s is None:
            self._drifts_since_s = true_s
        gained_s = (true_s - self._drifts_since_s) * self._said.clock_drift_ppm // 1_000_000
        shown_s = true_s + self._said.clock_offset_s + gained_s
        stops_at_s = self._said.clock_stops_at_s
        return shown_s if stops_at_s is None else min(shown_s, stops_at_s)

    def cover(self, store: Path) -> None:
        """Put a disk of ours under a store that is about to be opened."""
        path = store.resolve()
        if path not in self._disks:
            disk = Disk(path, sleep=time.sleep, flush=True, journal=self._journal, before=self.control.look)
            self._said.apply_to(disk)
            self._disks[path] = disk

    def _apply(self, control: DiskControl) -> None:
        if control.clock_drift_ppm != self._said.clock_drift_ppm:
            self._drifts_since_s = None
        self._said = control
        for disk in self._disks.values():
            control.apply_to(disk)


def install(under_test: UnderTest) -> None:
    """Put the disk and the clock in where the head-end puts its parts together."""
    names = vars(bootstrap)
    true_clock: Callable[..., Any] = names["clock"]
    true_store: Callable[..., Any] = names["SqliteStore"]

    def skewed_clock(*settings: Any) -> SkewedClock:
        return SkewedClock(true_clock(*settings), under_test)

    def covered_store(path: Path) -> Any:
        under_test.cover(path)
        return true_store(path)

    names["clock"] = skewed_clock
    names["SqliteStore"] = covered_store


def main() -> None:
    """Run a command of the head-end under test."""
    control = os.environ.get(CONTROL_VARIABLE)
    if not control:
        sys.exit(f"error: {CONTROL_VARIABLE} names no control file; without one run headend itself")
    journal = os.environ.get(JOURNAL_VARIABLE)
    install(UnderTest(Path(control), Path(journal) if journal else None))
    sys.argv[0] = "headend"
    cli.main()


if __name__ == "__main__":
    main()
