"""How the laboratory tells a head-end under test what its disk and its clock do: a small JSON file.

Owns the file's form, and when it is looked at. The laboratory writes it whole and renames it into place; the
process under test looks at its date at most every 50 ms, and only while it does something.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meter_sim.lab.disk import Disk, Kind

CONTROL_VARIABLE: Final = "METER_SIM_DISK"
"""The environment variable that names the file."""

JOURNAL_VARIABLE: Final = "METER_SIM_DISK_JOURNAL"
"""The one that names the journal of unsynced changes, if the power is to be cut (`unsynced.power_cut_file`)."""

LOOK_EVERY_S: Final = 0.05

log = logging.getLogger(__name__)


class DiskControl(BaseModel):
    """What is wrong with the disk and the clock; the default is nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delay_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    """How much longer each write and sync takes."""
    full: bool = False
    """No file may grow."""
    bytes_left: Annotated[int, Field(ge=0)] | None = None
    """By how much the files may grow from now on."""
    fails: Kind | None = None
    """The operation that ends with an I/O error."""
    lies: bool = False
    """A sync says that it is done, and does nothing."""
    clock_offset_s: int = 0
    """By how much the clock is ahead."""
    clock_drift_ppm: int = 0
    """What the clock gains, in millionths, from when this is read."""
    clock_stops_at_s: int | None = None
    """The clock goes no further than this."""

    def apply_to(self, disk: Disk) -> None:
        """Set a disk's faults."""
        disk.delay_s = self.delay_ms / 1000
        disk.full = self.full
        disk.bytes_left = self.bytes_left
        disk.fails = self.fails
        disk.lies = self.lies


def write_control(path: Path, control: DiskControl) -> None:
    """Tell the process under test; it knows at its next operation that is 50 ms after the last look."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(control.model_dump_json(), encoding="utf-8")
    fresh.replace(path)


class ControlFile:
    """The file as the process under test sees it. No file says that nothing is wrong."""

    def __init__(self, path: Path, apply: Callable[[DiskControl], None]) -> None:
        self._path = path
        self._apply = apply
        self._next_look_s = 0.0
        self._seen: tuple[int, int, int] | None = None

    def look(self) -> None:
        """Apply what the file says, if it says something new. What cannot be read changes nothing, and is told."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._seen is not None:
                self._seen = None
                self._apply(DiskControl())
            return
        seen = found.st_mtime_ns, found.st_ino, found.st_size
        if seen == self._seen:
            return
        self._seen = seen
        try:
            control = DiskControl.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            log.error("%s: %s; disk and clock stay as they were", self._path, error)
            return
        log.info("disk and clock under test: %s", control.model_dump_json(exclude_defaults=True))
        self._apply(control)
