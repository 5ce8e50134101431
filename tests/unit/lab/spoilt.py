"""A simulated run without fault, and ways to spoil a copy of its folder: the judge has to see each."""

import atexit
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pysqlite3 import dbapi2 as sqlite

from meter_sim.lab.run import Silent, simulate
from meter_sim.lab.run_folder import RunFolder
from meter_sim.lab.scenario import Scenario

SEED = 7
CONTENT: dict[str, Any] = {
    "name": "sound",
    "story": "Cuts and payments, a region that is partly out, a head-end that dies, an outage, nothing wrong.",
    "rules": "bihar",
    "fleet": {"meters": 40, "gateways": 8, "interval": "1h"},
    "clock": {"start": "2024-10-14T00:00", "length": "9d"},
    "workload": {
        "recharges": 400, "retried": 0.5, "retried_within": "1d", "conflicting": 0.2, "enquiries": 150,
    },
    "homes": [
        {"share": 0.2, "out_from": 0, "out_to": 0, "pays": ["5d", "6d"]},
        {"share": 0.1, "out_from": 0, "out_to": 0},
    ],
    "timeline": [
        {"fault": "link-black-hole", "at": "1d", "for": "30h", "share": 0.125},
        {"fault": "process-kill", "part": "headend", "at": "2d8h", "for": "10m"},
        {"fault": "broker-restart", "at": "6d12h", "for": "5h"},
    ],
}  # fmt: skip


@cache
def sound_run() -> RunFolder:
    """Simulated once for all tests of a process."""
    path = Path(mkdtemp(prefix="sound-run-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return simulate(Scenario.model_validate(CONTENT), SEED, path, Silent())


def copy_of_sound_run(path: Path) -> RunFolder:
    """A folder of one's own."""
    shutil.copytree(sound_run().path, path, dirs_exist_ok=True)
    return RunFolder(path)


def change(database: Path, *statements: str) -> None:
    """Change a database behind everybody's back; each statement has to change something."""
    connection = sqlite.connect(str(database), isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys = OFF")
        for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, f"changes nothing: {statement}"
    finally:
        connection.close()


def change_lines(path: Path, spoil: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Change lines of a journal or of samples; None: leave the line out. One line at least has to differ."""
    before = [json.loads(line) for line in path.read_text().splitlines()]
    after = [line for line in (spoil(dict(line)) for line in before) if line is not None]
    assert after != before, "changes nothing"
    path.write_text("".join(json.dumps(line) + "\n" for line in after))
