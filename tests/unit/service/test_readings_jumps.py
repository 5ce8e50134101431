"""Readings that no meter can have come to: nothing goes on from them, and true ones after them are taken."""

import pytest
from unit.service.bench import DAY_S, MAX_DAY_WH, START_S, Bench
from unit.service.test_readings import interval, refused

from headend.domain.pace import MOST_FIRST_SEQ
from headend.service.resolutions import Outcome, Resolution, resolve_exception

FORGED = ("M1", 2**40, START_S + 950, 10**12)


def kept_rows(bench: Bench) -> list[tuple[int, int]]:
    """(seq, register_wh) of all readings in the store's segments."""
    with bench.store.view() as uow:
        return [row for _, _, seqs, _, wh in uow.segments() for row in zip(seqs, wh, strict=True)]


def resolve(bench: Bench, *, believe: bool) -> Resolution:
    with bench.store.transaction() as uow:
        now_s = bench.clock.now_s()
        return resolve_exception("M1", "IMPLAUSIBLE_JUMP", "asha", "read", uow, now_s, believe=believe)


@pytest.fixture
def read(online: Bench) -> Bench:
    """A bench that has one reading of M1, and is a reading's interval further."""
    online.readings(interval("M1", 1, 100))
    online.run()
    online.clock.jump(900)
    online.take()
    return online


@pytest.mark.parametrize(
    ("seq", "register_wh"),
    [(2**40, 10**12), (2, 100 + MAX_DAY_WH + 1), (2**53 - 1, 101), (2, 2**53 - 1), (1 + 5_000, 101)],
)
def test_reading_that_no_meter_can_have_come_to_is_listed_and_not_used(
    read: Bench, seq: int, register_wh: int
) -> None:
    frame = read.readings(("M1", seq, START_S + 950, register_wh), interval("M2", 1, 5), relays_open=["M1"])
    read.run()
    assert refused(read, frame) == [("M1", "REGISTER_WENT_BACK")]
    assert read.register_of("M1") == (1, 100)
    assert read.register_of("M2") == (1, 5), "one bad meter holds up no other"
    meter = read.meter("M1")
    assert (meter.read_at_s, meter.relay_open) == (START_S + 900, 0)
    (entry,) = read.exceptions()
    assert (entry.meter, entry.kind) == ("M1", "IMPLAUSIBLE_JUMP")
    assert f"reading {seq}: {register_wh} Wh" in entry.detail
    assert kept_rows(read) == [(1, 100), (1, 5)], "it is no reading"
    assert [letter.code for letter in read.dead_letters()] == ["ROWS_REFUSED"], "its bytes are kept"
    assert read.violations() == []


@pytest.mark.parametrize("together", [True, False])
def test_true_readings_go_on_being_taken(read: Bench, together: bool) -> None:
    for rows in ([FORGED], [interval("M1", 2, 110)], [FORGED], [interval("M1", 3, 120)]):
        read.readings(*rows)
        if not together:
            read.run()
    read.run()
    assert read.register_of("M1") == (3, 120)
    assert kept_rows(read) == [(1, 100), (2, 110), (3, 120)]
    assert [(row.kind, row.count) for row in read.exceptions()] == [("IMPLAUSIBLE_JUMP", 2)]
    assert read.violations() == []


def test_snapshot_that_jumped_closes_no_day_and_leaves_room_for_the_true_one(read: Bench) -> None:
    read.clock.jump(DAY_S)
    midnight_s = START_S + DAY_S
    read.readings(("M1", 2**40, midnight_s, 10**12), snapshot=True)
    read.run()
    assert read.snapshots() == []
    read.midnight(("M1", 2, 0, 500))
    read.run()
    assert read.snapshots() == [("M1", 0, 500, True)]


def test_first_reading_may_not_be_more_than_the_days_since_the_installation_explain(online: Bench) -> None:
    online.register("M9", register_wh=500)
    online.readings(("M9", 1, START_S, 500 + 10 * MAX_DAY_WH), ("M2", MOST_FIRST_SEQ * 10, START_S, 5))
    online.run()
    assert online.register_of("M9") == (0, 500)
    assert online.register_of("M2") == (0, 0)
    online.readings(("M9", 1, START_S, 500 + MAX_DAY_WH), ("M2", 400_000, START_S, 5))
    online.run()
    assert online.register_of("M9") == (1, 500 + MAX_DAY_WH)
    assert online.register_of("M2") == (400_000, 5), "a device may have counted before it came here"


def test_backlog_of_a_long_outage_is_taken(read: Bench) -> None:
    read.clock.jump(11 * DAY_S)
    read.readings(("M1", 900_000, START_S + 11 * DAY_S, 100 + 11 * MAX_DAY_WH))
    read.run()
    assert read.register_of("M1") == (900_000, 100 + 11 * MAX_DAY_WH)
    assert read.exceptions() == []


@pytest.mark.parametrize("at_s", [0, START_S - 40 * DAY_S])
def test_meter_whose_clock_was_set_back_goes_on(read: Bench, at_s: int) -> None:
    read.clock.jump(11 * DAY_S)
    read.readings(("M1", 2, at_s, 100 + 5 * MAX_DAY_WH))
    read.run()
    assert read.register_of("M1") == (2, 100 + 5 * MAX_DAY_WH), "it has drawn all the same"


def test_readings_go_on_while_our_own_clock_is_set_back(read: Bench) -> None:
    read.clock.jump(-30 * DAY_S)
    for seq in (2, 3, 4):
        read.readings(interval("M1", seq, 100 + seq))
        read.run()
    assert read.register_of("M1") == (4, 104)


def test_steps_that_follow_from_each_other_are_taken_beside_one_that_jumped(read: Bench) -> None:
    steps = [interval("M1", 2 + n, 100 + n * MAX_DAY_WH) for n in range(1, 4)]
    read.readings(*steps, FORGED)
    read.run()
    assert read.register_of("M1") == (5, 100 + 3 * MAX_DAY_WH)


def test_hello_with_such_counters_is_listed_and_changes_nothing(read: Bench) -> None:
    read.hello(("M1", 10**12, 0, 0, 0), reading_seq=2**40)
    read.run()
    assert ("M1", "IMPLAUSIBLE_JUMP") in read.exception_kinds()
    assert read.register_of("M1") == (1, 100)
    assert resolve(read, believe=True).outcome is Outcome.NOTHING_TO_BELIEVE


def test_resolving_it_believes_nothing(read: Bench) -> None:
    read.readings(FORGED)
    read.run()
    assert resolve(read, believe=False).outcome is Outcome.RESOLVED
    assert read.register_of("M1") == (1, 100)
    assert read.exceptions() == []


def test_person_who_saw_it_on_the_display_makes_readings_go_on_from_there(read: Bench) -> None:
    read.readings(FORGED)
    read.run()
    assert resolve(read, believe=True).outcome is Outcome.RESOLVED
    assert read.register_of("M1") == FORGED[1:2] + FORGED[3:]
    read.readings(("M1", FORGED[1] + 1, START_S + 1_800, FORGED[3] + 5))
    read.run()
    assert read.register_of("M1") == (FORGED[1] + 1, FORGED[3] + 5)
    assert read.exceptions() == []
    assert read.violations() == []
    with read.store.view() as uow:
        acts = [act for act in uow.acts() if act.kind == "EXCEPTION_RESOLVED"]
    assert [f'"believed_register_wh":{FORGED[3]}' in act.basis.replace(" ", "") for act in acts] == [True]


def test_reading_that_later_ones_overtook_is_not_believed(read: Bench) -> None:
    read.readings(("M1", 5_000, START_S + 950, 110))
    read.run()
    read.readings(interval("M1", 2, 105), interval("M1", 3, 115))
    read.run()
    assert resolve(read, believe=True).outcome is Outcome.NOTHING_TO_BELIEVE
    assert read.register_of("M1") == (3, 115)


def test_fall_that_takes_more_than_can_be_drawn_is_no_rollover() -> None:
    bench = Bench(rollover_wh=10**9)
    bench.register("M1", register_wh=600_000_000)
    bench.connect()
    bench.readings(interval("M1", 1, 5))
    bench.run()
    assert bench.register_of("M1") == (0, 600_000_000)
    assert bench.exception_kinds() == [("M1", "REGISTER_WENT_BACK")]
    bench.readings(interval("M1", 2, 600_000_010))
    bench.run()
    assert bench.register_of("M1") == (2, 600_000_010)
    bench.store.close()
