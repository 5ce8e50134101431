import pytest

from meter_sim.lab.run_clock import WARM_UP_S, RunClock
from meter_sim.lab.scenario import Clock


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_700_000_000.0]
    monkeypatch.setattr("meter_sim.lab.run_clock.time.time", lambda: now[0])
    return now


def clock_of(**fields: object) -> Clock:
    return Clock.model_validate({"start": "2024-10-25T10:00", "length": "4d"} | fields)


def test_clock_stands_still_until_it_is_started_and_while_parts_start(wall: list[float]) -> None:
    clock = RunClock(clock_of(speed=3_600))
    start_s = clock.now_s
    assert start_s == clock_of().start_s
    wall[0] += 100
    assert clock.since_start_s == 0
    clock.start()
    wall[0] += WARM_UP_S - 0.1
    assert clock.since_start_s == 0
    wall[0] += 1.1
    assert clock.since_start_s == pytest.approx(3_600, abs=2)
    assert clock.ago_s(0.5) == pytest.approx(start_s + 1_800, abs=2)
    assert clock.wait_s(start_s + 7_201) == pytest.approx(1.0, abs=0.01)
    assert clock.wait_s(start_s) == 0.0
    assert clock.first_day == "2024-10-25"


@pytest.mark.parametrize(("speed", "factor"), [(None, 1), (7_200, 2)])
def test_turns_change_the_speed_and_another_speed_changes_them_in_proportion(
    speed: float | None, factor: int, wall: list[float]
) -> None:
    turns = [{"at": "1h", "speed": 60}, {"at": "2h", "speed": 36_000}]
    clock = RunClock(clock_of(speed=3_600, turns=turns), speed)
    assert clock.fastest == 36_000 * factor
    clock.start()
    wall[0] += WARM_UP_S + 1 / factor
    assert clock.since_start_s == pytest.approx(3_600, abs=2)
    wall[0] += 60 / factor
    assert clock.since_start_s == pytest.approx(7_200, abs=20)
    wall[0] += 1 / factor
    assert clock.since_start_s == pytest.approx(43_200, abs=100)


def test_stopped_clock_shows_its_time_for_ever_and_keeps_its_start(wall: list[float]) -> None:
    clock = RunClock(clock_of(speed=3_600))
    clock.start()
    wall[0] += WARM_UP_S + 1
    start = clock.spec.partition("@")[0]
    end_s = clock.ahead_s(0.5)
    assert end_s == pytest.approx(clock.now_s + 1_800, abs=2)
    clock.stop(end_s)
    wall[0] += 60
    assert clock.now_s == end_s
    assert clock.spec.partition("@")[0] == start
