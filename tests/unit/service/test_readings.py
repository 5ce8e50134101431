"""Readings: the newest wins, whatever was repeated, reordered or lost; what goes back is for a person."""

from collections.abc import Sequence

import pytest
from unit.service.bench import DAY, START_S, Bench

Row = tuple[str, int, int, int]


def interval(meter: str, seq: int, register_wh: int) -> Row:
    return meter, seq, START_S + 900 * seq, register_wh


def refused(bench: Bench, frame: int) -> list[tuple[str, str]]:
    receipt = bench.receipts()[frame]
    assert receipt.outcome == "accepted"
    return sorted((row.meter, str(row.code)) for row in receipt.refused)


def take(bench: Bench, frames: Sequence[Sequence[Row]], *, together: bool) -> None:
    """Take frames in one commit, or in one each."""
    for frame in frames:
        bench.readings(*frame)
        if not together:
            bench.run()
    bench.run()


def test_newer_readings_are_taken_and_receipted(online: Bench) -> None:
    frame = online.readings(interval("M1", 1, 100), interval("M2", 1, 50), interval("M1", 2, 150))
    online.run()
    assert refused(online, frame) == []
    assert online.register_of("M1") == (2, 150)
    assert online.register_of("M2") == (1, 50)
    assert online.meter("M1").read_at_s == START_S + 1_800
    assert online.exceptions() == []
    assert online.violations() == []


def test_repeated_frame_is_receipted_again_and_changes_nothing(online: Bench) -> None:
    for _ in range(3):
        frame = online.readings(interval("M1", 1, 100), frame=7)
        online.run()
        assert refused(online, frame) == []
    assert online.register_of("M1") == (1, 100)
    assert online.exceptions() == []
    assert online.violations() == []


@pytest.mark.parametrize("together", [True, False])
def test_older_frame_that_comes_later_changes_nothing(online: Bench, together: bool) -> None:
    take(online, [[interval("M1", 3, 300)], [interval("M1", 1, 100), interval("M1", 2, 200)]], together=together)
    assert online.register_of("M1") == (3, 300)
    assert online.exceptions() == []
    assert online.violations() == []


def test_rows_of_one_meter_in_any_order_end_at_the_newest(online: Bench) -> None:
    online.readings(*(interval("M1", seq, seq * 10) for seq in (5, 2, 9, 1, 9, 8)))
    online.run()
    assert online.register_of("M1") == (9, 90)
    assert online.exceptions() == []


def test_newer_reading_with_the_same_register_is_taken(online: Bench) -> None:
    take(online, [[interval("M1", 1, 100)], [interval("M1", 2, 100)]], together=False)
    assert online.register_of("M1") == (2, 100)
    assert online.exceptions() == []


def test_register_that_goes_back_is_kept_flagged_and_not_taken(online: Bench) -> None:
    take(online, [[interval("M1", 1, 100)]], together=False)
    online.take()
    frame = online.readings(interval("M1", 2, 99), interval("M2", 1, 5))
    online.run()
    assert refused(online, frame) == [("M1", "REGISTER_WENT_BACK")]
    assert online.register_of("M1") == (1, 100)
    assert online.register_of("M2") == (1, 5), "one bad meter holds up no other"
    (entry,) = online.exceptions()
    assert (entry.meter, entry.kind) == ("M1", "REGISTER_WENT_BACK")
    assert "99 Wh" in entry.detail
    assert "100 Wh" in entry.detail
    assert online.violations() == []
    with online.store.view() as uow:
        kept = [list(zip(seqs, wh, strict=True)) for _, _, seqs, _, wh in uow.segments()]
    assert [(2, 99), (1, 5)] in kept, "the reading itself is never thrown away"


def test_register_that_goes_back_inside_a_frame_is_flagged(online: Bench) -> None:
    frame = online.readings(interval("M1", 1, 100), interval("M1", 2, 60), interval("M1", 3, 110))
    online.run()
    assert refused(online, frame) == [("M1", "REGISTER_WENT_BACK")]
    assert online.register_of("M1") == (3, 110)


def test_register_that_goes_back_inside_a_batch_names_the_right_frame(online: Bench) -> None:
    frames = [
        online.readings(interval("M2", 1, 1), interval("M1", 1, 100)),
        online.readings(interval("M2", 2, 2), interval("M1", 2, 60), interval("M2", 3, 3)),
        online.readings(interval("M2", 4, 4), interval("M1", 3, 110)),
    ]
    online.run()
    receipts = online.receipts()
    assert [[row.meter for row in receipts[frame].refused] for frame in frames] == [[], ["M1"], []]
    assert online.violations() == []


def test_register_below_the_opening_one_went_back(online: Bench) -> None:
    online.register("M9", register_wh=500)
    frame = online.readings(interval("M9", 1, 499))
    online.run()
    assert refused(online, frame) == [("M9", "REGISTER_WENT_BACK")]


@pytest.mark.parametrize("together", [True, False])
def test_register_that_goes_back_is_flagged_however_frames_are_batched(online: Bench, together: bool) -> None:
    take(online, [[interval("M1", 1, 1_000)]], together=False)
    take(online, [[interval("M1", 2, 900)], [interval("M1", 3, 1_100)]], together=together)
    assert online.register_of("M1") == (3, 1_100)
    assert online.exception_kinds() == [("M1", "REGISTER_WENT_BACK")]


def test_snapshot_that_goes_back_is_not_billed_however_frames_are_batched(online: Bench) -> None:
    take(online, [[interval("M1", 1, 1_000)]], together=False)
    online.midnight(("M1", 2, 0, 900))
    online.readings(interval("M1", 3, 1_100))
    online.run()
    assert online.snapshots() == []


def test_unknown_meter_is_named_kept_and_delays_no_other(online: Bench) -> None:
    online.take()
    frame = online.readings(interval("M1", 1, 10), interval("NOBODY", 1, 20), interval("M2", 1, 30))
    online.run()
    assert refused(online, frame) == [("NOBODY", "UNKNOWN_METER")]
    assert (online.register_of("M1"), online.register_of("M2")) == ((1, 10), (1, 30))
    (letter,) = online.dead_letters()
    assert (letter.code, letter.count) == ("ROWS_REFUSED", 1)
    assert b"NOBODY" in online.dead_letter_payloads()[0]


def test_meter_of_another_gateway_is_named_and_not_taken(online: Bench) -> None:
    frame = online.readings(interval("M3", 1, 20), interval("M1", 1, 10))
    online.run()
    assert refused(online, frame) == [("M3", "OTHER_GATEWAY")]
    assert online.register_of("M3") == (0, 0)
    assert online.register_of("M1") == (1, 10)


def test_frame_of_strangers_only_is_accepted_and_empty(online: Bench) -> None:
    frame = online.readings(interval("X1", 1, 1), interval("X2", 1, 1), interval("M3", 1, 1))
    online.run()
    assert refused(online, frame) == [("M3", "OTHER_GATEWAY"), ("X1", "UNKNOWN_METER"), ("X2", "UNKNOWN_METER")]
    assert online.violations() == []


def test_meter_registered_later_is_known_at_once(online: Bench) -> None:
    online.readings(interval("M9", 1, 20))
    online.run()
    online.register("M9")
    frame = online.readings(interval("M9", 1, 20))
    online.run()
    assert online.receipts()[frame].refused == []
    assert online.register_of("M9") == (1, 20)


def test_relay_positions_are_those_of_the_newest_row(online: Bench) -> None:
    online.readings(interval("M1", 1, 1), interval("M2", 1, 1), relays_open=["M1"])
    online.run()
    assert (online.meter("M1").relay_open, online.meter("M2").relay_open) == (1, 0)
    online.readings(interval("M1", 2, 1), interval("M2", 2, 1), relays_open=["M2"])
    online.run()
    assert (online.meter("M1").relay_open, online.meter("M2").relay_open) == (0, 1)
    online.readings(interval("M1", 1, 1), relays_open=["M1"])
    online.run()
    assert online.meter("M1").relay_open == 0, "an old reading is no news of the relay"


# --- snapshots ----------------------------------------------------------------------------------------------


def test_midnight_snapshot_closes_its_day_and_moves_the_register(online: Bench) -> None:
    frame = online.midnight(("M1", 1, 0, 100), ("M2", 1, 0, 200))
    online.run()
    assert refused(online, frame) == []
    assert online.snapshots() == [("M1", 0, 100, True), ("M2", 0, 200, True)]
    assert online.register_of("M1") == (1, 100)


def test_snapshot_that_is_not_of_midnight_is_named_and_kept_as_a_letter(online: Bench) -> None:
    midnight_s = START_S + 86_400
    frame = online.readings(("M1", 1, midnight_s + 1, 100), ("M2", 1, midnight_s, 200), snapshot=True)
    online.run()
    assert refused(online, frame) == [("M1", "NOT_MIDNIGHT")]
    assert online.snapshots() == [("M2", 0, 200, True)]
    assert online.register_of("M1") == (0, 0)
    assert [letter.code for letter in online.dead_letters()] == ["ROWS_REFUSED"]


@pytest.mark.parametrize("at_s", [2**53 - 1, 253_402_300_800, 10**15])
def test_snapshot_of_no_calendar_day_is_refused(online: Bench, at_s: int) -> None:
    frame = online.readings(("M1", 1, at_s, 100), snapshot=True)
    online.run()
    assert refused(online, frame) == [("M1", "NOT_MIDNIGHT")]


def test_snapshot_frame_with_strangers_and_bad_instants_keeps_the_good_rows(online: Bench) -> None:
    midnight_s = START_S + 86_400
    rows = [
        ("X", 1, midnight_s, 1),
        ("M1", 1, midnight_s + 5, 2),
        ("M3", 1, midnight_s, 3),
        ("M2", 1, midnight_s, 4),
    ]
    frame = online.readings(*rows, snapshot=True)
    online.run()
    assert refused(online, frame) == [("M1", "NOT_MIDNIGHT"), ("M3", "OTHER_GATEWAY"), ("X", "UNKNOWN_METER")]
    assert online.snapshots() == [("M2", 0, 4, True)]


def test_second_snapshot_of_the_same_value_is_the_same(online: Bench) -> None:
    online.midnight(("M1", 1, 0, 100))
    online.run()
    online.take()
    frame = online.midnight(("M1", 1, 0, 100))
    online.run()
    assert refused(online, frame) == []
    assert online.exceptions() == []


@pytest.mark.parametrize("together", [True, False])
def test_second_snapshot_with_another_value_is_flagged_and_the_first_stands(online: Bench, together: bool) -> None:
    first = online.midnight(("M1", 1, 0, 100))
    if not together:
        online.run()
    second = online.midnight(("M1", 2, 0, 150))
    online.run()
    receipts = online.receipts()
    assert receipts[first].refused == []
    assert [(row.meter, str(row.code)) for row in receipts[second].refused] == [("M1", "SNAPSHOT_DIFFERS")]
    assert online.snapshots() == [("M1", 0, 100, True)]
    assert online.exception_kinds() == [("M1", "SNAPSHOT_DIFFERS")]
    assert online.exceptions()[0].count == 1
    assert online.violations() == []


def test_snapshot_that_goes_back_is_not_kept(online: Bench) -> None:
    take(online, [[interval("M1", 1, 1_000)]], together=False)
    online.take()
    frame = online.midnight(("M1", 2, 0, 900))
    online.run()
    assert refused(online, frame) == [("M1", "REGISTER_WENT_BACK")]
    assert online.snapshots() == []
    assert online.charges("M1") == []


def test_late_snapshot_is_kept_though_the_register_is_ahead(online: Bench) -> None:
    take(online, [[interval("M1", 100, 1_000)]], together=False)
    online.midnight(("M1", 96, 0, 900))
    online.run()
    assert online.register_of("M1") == (100, 1_000)
    assert online.snapshots() == [("M1", 0, 900, True)]
    assert online.exceptions() == []


def test_late_snapshot_above_the_newest_register_is_not_billed(online: Bench) -> None:
    take(online, [[interval("M1", 100, 1_000)]], together=False)
    online.midnight(("M1", 96, 0, 5_000))
    online.run()
    assert online.charges("M1") == []
    assert online.exceptions()


def test_snapshot_of_a_day_before_installation_is_never_charged(online: Bench) -> None:
    online.midnight(("M1", 1, -3, 100))
    online.run()
    assert online.charges("M1") == []
    assert online.meter("M1").settled_day == DAY - 1
    assert online.violations() == []


def test_time_of_the_newest_reading_never_goes_back(online: Bench) -> None:
    online.readings(("M1", 1, START_S + 900, 100))
    online.readings(("M1", 2, 5, 101))
    online.run()
    assert online.meter("M1").read_at_s == START_S + 900
