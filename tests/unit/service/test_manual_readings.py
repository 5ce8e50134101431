"""Registers that a person read: the day that waits for them is settled by them as by a meter's own."""

import json
from collections.abc import Iterator

import pytest
from unit.service.bench import DAY, ZONE
from unit.service.device_bench import DeviceBench, device_bench

from headend.domain.calendar import day_of
from headend.service.manual_readings import Entry, EntryOutcome, ManualReading, enter_reading


@pytest.fixture
def bench() -> Iterator[DeviceBench]:
    bench = device_bench()
    yield bench
    bench.store.close()


def enter(
    bench: DeviceBench,
    device: str,
    day: int,
    register_wh: int,
    *,
    minute: int | None = None,
    replaces: bool = False,
) -> Entry:
    now_s = bench.clock.now_s()
    reading = ManualReading(device, DAY + day, minute, register_wh, replaces)
    with bench.store.transaction() as uow:
        entry = enter_reading(reading, day_of(now_s, ZONE), "asha", "read on site", uow, now_s)
    bench.store.news = True
    bench.run()
    return entry


def test_missing_midnight_is_entered_and_the_days_behind_it_settle(bench: DeviceBench) -> None:
    bench.midnight_of("M1", 1, 0, 100)
    bench.midnight_of("M1", 2, 2, 700)
    bench.run()
    assert bench.settled("M1") == (1, 100)
    assert enter(bench, "M1", 1, 400).outcome is EntryOutcome.ENTERED
    assert bench.settled("M1") == (3, 700)
    assert bench.charged_wh() == [100, 300, 300]
    (act,) = bench.acts("READING_ENTERED")
    assert (act.actor, act.subject, act.reason) == ("asha", "meter/M1", "read on site")
    assert enter(bench, "M1", 1, 400).outcome is EntryOutcome.ALREADY_SETTLED


def test_lost_midnight_of_an_exchanged_device_is_entered_by_its_own_display(bench: DeviceBench) -> None:
    bench.midnight_of("M1", 1, 0, 100)
    bench.clock.advance(3 * 86_400 - 3_600)
    bench.exchange("M1", "N1", 900, 5_000)
    bench.run()
    bench.midnight_of("N1", 1, 2, 5_050)
    bench.run()
    assert bench.settled("N1") == (1, 100)
    assert enter(bench, "M1", 1, 300).outcome is EntryOutcome.ENTERED
    assert bench.settled("N1") == (3, 950)
    assert bench.charged_wh() == [100, 200, 650]


def test_register_that_does_not_fit_is_refused_with_what_would(bench: DeviceBench) -> None:
    bench.midnight_of("M1", 1, 0, 100)
    bench.midnight_of("M1", 2, 2, 700)
    bench.run()
    for register_wh in (99, 701):
        entry = enter(bench, "M1", 1, register_wh)
        assert entry == Entry(EntryOutcome.NOT_BETWEEN, 100, 700, None)
    assert enter(bench, "M1", 99, 400).outcome is EntryOutcome.NOT_OVER
    assert enter(bench, "M9", 1, 400).outcome is EntryOutcome.UNKNOWN_METER
    assert bench.settled("M1") == (1, 100)
    assert bench.acts("READING_ENTERED") == []


def test_false_midnight_is_replaced_on_purpose_only(bench: DeviceBench) -> None:
    bench.midnight_of("M1", 1, 0, 100)
    bench.midnight_of("M1", 2, 2, 700)
    bench.midnight_of("M1", 3, 3, 900)
    bench.run()
    entry = enter(bench, "M1", 2, 650)
    assert (entry.outcome, entry.held_wh) == (EntryOutcome.EXISTS_DIFFERENT, 700)
    assert enter(bench, "M1", 2, 700).outcome is EntryOutcome.EXISTS
    assert enter(bench, "M1", 2, 650, replaces=True).outcome is EntryOutcome.ENTERED
    assert enter(bench, "M1", 1, 300).outcome is EntryOutcome.ENTERED
    assert bench.charged_wh() == [100, 200, 350, 250]
    assert json.loads(bench.acts("READING_ENTERED")[0].basis)["replaced_wh"] == 700


def test_missing_time_of_day_is_entered_too(bench: DeviceBench) -> None:
    bench.midnight_of("M1", 1, 0, 100)
    bench.midnight_of("M1", 2, 1, 700)
    bench.midnight_of("M1", 3, 3, 900)
    bench.run()
    assert enter(bench, "M1", 2, 720, minute=360).outcome is EntryOutcome.ENTERED
    with bench.store.view() as uow:
        ((_, key, _),) = uow.meter_keys(["M1"])
        assert uow.band_registers(key, DAY + 2) == {360: 720}
