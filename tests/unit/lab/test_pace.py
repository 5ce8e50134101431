import signal
from collections.abc import Iterator

import pytest
from waiting import wait_until

from meter_sim.lab.pace import Pace
from meter_sim.lab.plant import Part

STOP, GO = signal.SIGSTOP, signal.SIGCONT


class Signals(list[tuple[Part, signal.Signals]]):
    def send(self, part: Part, number: signal.Signals) -> None:
        self.append((part, number))

    def of(self, part: Part) -> list[signal.Signals]:
        return [number for each, number in self if each is part]


@pytest.fixture
def signals() -> Signals:
    return Signals()


@pytest.fixture
def pace(signals: Signals) -> Iterator[Pace]:
    pace = Pace(signals.send)
    yield pace
    pace.close()


def test_part_that_was_paused_twice_goes_on_with_the_second_resume(pace: Pace, signals: Signals) -> None:
    pace.pause(Part.FLEET)
    pace.pause(Part.FLEET)
    pace.resume(Part.FLEET)
    assert signals == [(Part.FLEET, STOP)]
    assert pace.is_paused(Part.FLEET)
    pace.resume(Part.FLEET)
    assert signals == [(Part.FLEET, STOP), (Part.FLEET, GO)]
    assert not pace.is_paused(Part.FLEET)


def test_new_process_of_a_paused_part_is_stopped_too(pace: Pace, signals: Signals) -> None:
    pace.pause(Part.HEADEND)
    pace.begun(Part.HEADEND)
    assert signals == [(Part.HEADEND, STOP)] * 2


def test_slow_part_stops_and_goes_on_again_and_again_until_that_is_taken_back(
    pace: Pace, signals: Signals
) -> None:
    pace.slow("a", Part.BROKER, 0.5)
    pace.slow("b", Part.HEADEND, 0.5)
    wait_until(lambda: min(len(signals.of(Part.BROKER)), len(signals.of(Part.HEADEND))) >= 5)
    pace.slow("a", Part.BROKER, 1.0)
    sent = signals.of(Part.BROKER)
    assert sent[:4] == [STOP, GO, STOP, GO]
    assert sent[-1] is GO
    count = len(signals.of(Part.HEADEND))
    wait_until(lambda: len(signals.of(Part.HEADEND)) >= count + 3)
    assert signals.of(Part.BROKER) == sent


def test_pause_of_a_slow_part_holds_through_its_turns(pace: Pace, signals: Signals) -> None:
    pace.slow("a", Part.FLEET, 0.5)
    pace.slow("b", Part.BROKER, 0.5)
    pace.pause(Part.FLEET)
    sent = signals.of(Part.FLEET)
    count = len(signals.of(Part.BROKER))
    wait_until(lambda: len(signals.of(Part.BROKER)) >= count + 4)
    assert signals.of(Part.FLEET) == sent
    assert sent[-1] is STOP


def test_end_lets_all_go_on(signals: Signals) -> None:
    pace = Pace(signals.send)
    pace.pause(Part.FLEET)
    pace.slow("a", Part.BROKER, 0.1)
    pace.close()
    assert signals.of(Part.FLEET) == [STOP, GO]
    assert signals.of(Part.BROKER)[-1:] in ([], [GO])
