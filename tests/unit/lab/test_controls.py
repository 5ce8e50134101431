import json
from pathlib import Path

import pytest

from meter_sim.control import Control
from meter_sim.lab.controls import Controls
from meter_sim.lab.disk_control import DiskControl
from meter_sim.lab.plant import ClockShift, DiskState, Part
from meter_sim.lab.under_test import UnderTest


@pytest.fixture
def controls(tmp_path: Path) -> Controls:
    return Controls(tmp_path / "disk.json", tmp_path / "fleet.json")


def told(tmp_path: Path) -> DiskControl:
    return DiskControl.model_validate_json((tmp_path / "disk.json").read_bytes())


def test_faults_of_a_disk_add_up_and_are_taken_back_one_by_one(controls: Controls, tmp_path: Path) -> None:
    controls.set_disk("slow", DiskState(delay_s=0.2), 0)
    controls.set_disk("slower", DiskState(delay_s=0.3, fails="read"), 0)
    controls.set_disk("full", DiskState(full=True, fails="sync"), 0)
    assert told(tmp_path) == DiskControl(delay_ms=500, full=True, fails="sync")
    controls.set_disk("full", None, 0)
    assert told(tmp_path) == DiskControl(delay_ms=500, fails="read")
    controls.set_disk("slow", None, 0)
    controls.set_disk("slower", None, 0)
    assert told(tmp_path) == DiskControl()
    assert not controls.disk_is_bad


def test_clock_of_the_head_end_jumps_and_drifts(controls: Controls, tmp_path: Path) -> None:
    controls.shift_clock("jump", Part.HEADEND, ClockShift(3_600), 1_000)
    controls.shift_clock("drift", Part.HEADEND, ClockShift(drift_ppm=100_000), 1_000)
    assert told(tmp_path).clock_offset_s == 3_600
    controls.tell(2_000)
    assert told(tmp_path).clock_offset_s == 3_700
    controls.shift_clock("jump", Part.HEADEND, None, 3_000)
    assert told(tmp_path).clock_offset_s == 200
    assert not (tmp_path / "fleet.json").exists()


def test_clock_of_the_head_end_goes_no_further_than_its_stop(controls: Controls, tmp_path: Path) -> None:
    controls.shift_clock("jump", Part.HEADEND, ClockShift(3_600), 1_000)
    controls.stop_clock(6_000)
    under_test = UnderTest(tmp_path / "disk.json", None)
    under_test.control.look()
    assert [under_test.skewed_s(at_s) for at_s in (2_000, 2_400, 9_000)] == [5_600, 6_000, 6_000]


def test_clocks_of_gateways_are_told_in_the_form_that_a_fleet_reads(controls: Controls, tmp_path: Path) -> None:
    controls.shift_clock("a", Part.FLEET, ClockShift(60, 0, ("G0001", "G0002")), 0)
    controls.shift_clock("b", Part.FLEET, ClockShift(0, -10_000, ("G0002",)), 0)
    controls.tell(1_000)
    assert Control(tmp_path / "fleet.json").changed() == {"G0001": 60, "G0002": 50}
    controls.shift_clock("a", Part.FLEET, None, 1_000)
    controls.shift_clock("b", Part.FLEET, None, 1_000)
    assert json.loads((tmp_path / "fleet.json").read_text()) == {"clock_offsets": {}}


def test_end_of_a_run_leaves_no_file(controls: Controls, tmp_path: Path) -> None:
    controls.set_disk("full", DiskState(full=True), 0)
    controls.shift_clock("a", Part.FLEET, ClockShift(60, 0, ("G0001",)), 0)
    controls.close()
    assert list(tmp_path.iterdir()) == []
