"""The folder of one run: what is in it, under which name. The judge and the report know nothing else of a run."""

from dataclasses import dataclass
from pathlib import Path


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
