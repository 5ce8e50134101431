"""The folder of one run: what is in it, under which name. The judge and the report know nothing else of a run."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2 as sqlite

from meter_sim.lab.processes import LabError

MARKER: Final = ".laboratory"
"""In a folder that a run has made, and that the next one may empty."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths only; nothing is made."""

    path: Path

    @property
    def scenario(self) -> Path:
        """The scenario as it was run, as JSON with every default filled in."""
        return self.path / "scenario.json"

    @property
    def journal(self) -> Path:
        """See `journal.py`."""
        return self.path / "journal.jsonl"

    @property
    def samples(self) -> Path:
        """JSON lines of `plant.Sample`, ascending."""
        return self.path / "samples.jsonl"

    @property
    def wire(self) -> Path:
        """What passed on the links, see `wire_log.py`."""
        return self.path / "wire.db"

    @property
    def fleet(self) -> Path:
        """The meters' own log, see `meter_sim/log_tables.py`."""
        return self.path / "fleet.db"

    @property
    def store(self) -> Path:
        """The head-end's store, read as data."""
        return self.path / "headend.db"

    @property
    def result(self) -> Path:
        """The verdict (`result.py`)."""
        return self.path / "result.json"

    @property
    def report(self) -> Path:
        """The verdict for people."""
        return self.path / "report.html"

    @property
    def junit(self) -> Path:
        """The verdict for CI."""
        return self.path / "report.xml"

    @property
    def naive(self) -> "RunFolder":
        """The same seed without the protections."""
        return RunFolder(self.path / "naive")


def read_only(path: Path) -> Any:
    """A connection to a run's database that cannot write."""
    connection = sqlite.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 10000")
    return connection


@contextmanager
def fresh_folder(folder: Path) -> Iterator[None]:
    """An empty folder that no other run uses meanwhile; what a former run left there is removed.

    Raises:
        LabError: another run is using it, or what it holds is no run's.
    """
    marker = folder / MARKER
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError(f"another run uses {folder}: wait for its end or end it") from None
        if folder.exists():
            if any(folder.iterdir()) and not marker.exists():
                raise LabError(f"{folder} holds something else than a run: choose another folder")
            shutil.rmtree(folder)
        folder.mkdir()
        marker.touch()
        yield
