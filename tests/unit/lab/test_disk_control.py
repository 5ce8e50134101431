"""What the laboratory tells a head-end under test arrives, once, and a mistake in it changes nothing."""

import itertools
from pathlib import Path

import pytest

from meter_sim.lab import disk_control
from meter_sim.lab.disk_control import ControlFile, DiskControl, write_control
from meter_sim.lab.under_test import SkewedClock, UnderTest


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(disk_control, "LOOK_EVERY_S", 0.0)
    return tmp_path / "control.json"


class TrueClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_s = 1_000_000

    def now_s(self) -> int:
        return self.at_s

    def monotonic_s(self) -> float:
        return 5.0


def test_what_is_new_is_applied_once(path: Path) -> None:
    applied: list[DiskControl] = []
    file = ControlFile(path, applied.append)
    file.look()
    assert applied == []
    write_control(path, DiskControl(full=True))
    file.look()
    file.look()
    assert applied == [DiskControl(full=True)]
    path.unlink()
    file.look()
    file.look()
    assert applied == [DiskControl(full=True), DiskControl()]


def test_file_is_looked_at_now_and_then_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(0, 10)
    monkeypatch.setattr(disk_control, "LOOK_EVERY_S", 25)
    monkeypatch.setattr(disk_control.time, "monotonic", lambda: next(ticks))
    applied: list[DiskControl] = []
    file = ControlFile(path, applied.append)
    file.look()
    write_control(path, DiskControl(full=True))
    file.look()
    file.look()
    assert applied == []
    file.look()
    assert applied == [DiskControl(full=True)]


@pytest.mark.parametrize("text", ["", "{", '{"delay": 3}', '{"fails": "fsync"}', '{"delay_ms": -1}', "[]"])
def test_mistake_is_told_and_changes_nothing(path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    applied: list[DiskControl] = []
    file = ControlFile(path, applied.append)
    path.write_text(text)
    file.look()
    file.look()
    assert applied == []
    assert len(caplog.messages) == 1
    assert "stay as they were" in caplog.messages[0]


def test_clock_is_ahead_and_drifts_from_when_it_was_told(path: Path) -> None:
    true = TrueClock()
    clock = SkewedClock(true, UnderTest(path, None))
    assert clock.now_s() == 1_000_000
    write_control(path, DiskControl(clock_offset_s=-30, clock_drift_ppm=10_000))
    assert clock.now_s() == 999_970
    true.at_s += 500
    assert clock.now_s() == 1_000_500 - 30 + 5
    write_control(path, DiskControl(clock_drift_ppm=10_000))
    true.at_s += 500
    assert clock.now_s() == 1_001_010, "the drift goes on while it is the same"
    assert clock.monotonic_s() == 5.0
    write_control(path, DiskControl())
    assert clock.now_s() == 1_001_000
