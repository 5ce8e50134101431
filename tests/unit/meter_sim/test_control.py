import json
from pathlib import Path

import pytest

from meter_sim.control import Control


def test_file_is_told_once_each_time_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "control.json"
    control = Control(path)
    assert control.changed() is None
    path.write_text(json.dumps({"clock_offsets": {"G0001": 3600}}))
    assert control.changed() == {"G0001": 3600}
    assert control.changed() is None
    path.write_text(json.dumps({"clock_offsets": {"G0001": -1700000000, "G0002": 5}}))
    assert control.changed() == {"G0001": -1700000000, "G0002": 5}


def test_without_its_file_nothing_is_off_any_more(tmp_path: Path) -> None:
    path = tmp_path / "control.json"
    path.write_text(json.dumps({"clock_offsets": {"G0001": 3600}}))
    control = Control(path)
    assert control.changed() == {"G0001": 3600}
    path.unlink()
    assert control.changed() == {}
    assert control.changed() is None


@pytest.mark.parametrize("content", ["", "[]", '{"clock_offsets": {"G1": 1.5}}', '{"clocks": {}}'])
def test_file_without_sense_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "control.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"control\.json"):
        Control(path).changed()
