"""Settlement: each day once, in order, by its closing snapshot."""

from datetime import date

import pytest
from unit.service.bench import DAY, MAX_DAY_WH, PRICE, START_S, Bench


def reference(meter: str, day: int) -> str:
    return f"charge/{date.fromordinal(DAY + day)}/{meter}"


def test_day_is_charged_by_the_difference_of_its_snapshots(online: Bench) -> None:
    online.midnight(("M1", 1, 0, 700))
    online.run()
    assert online.charges("M1") == [(reference("M1", 0), 700 * PRICE)]
    row = online.meter("M1")
    assert (row.settled_day, row.settled_register_wh, row.debits_micros) == (DAY, 700, 700 * PRICE)
    assert online.violations() == []


def test_first_day_is_charged_from_the_opening_register(online: Bench) -> None:
    online.register("M9", register_wh=500)
    online.midnight(("M9", 1, 0, 700))
    online.run()
    assert online.charges("M9") == [(reference("M9", 0), 200 * PRICE)]


def test_days_that_come_out_of_order_are_charged_in_order(online: Bench) -> None:
    online.midnight(("M1", 3, 2, 300), ("M1", 1, 0, 100))
    online.run()
    assert online.charges("M1") == [(reference("M1", 0), 100 * PRICE)]
    assert online.snapshots() == [("M1", 0, 100, True), ("M1", 2, 300, False)]
    online.midnight(("M1", 2, 1, 150))
    online.run()
    assert online.charges("M1") == [
        (reference("M1", 0), 100 * PRICE),
        (reference("M1", 1), 50 * PRICE),
        (reference("M1", 2), 150 * PRICE),
    ]
    assert online.violations() == []


def test_missing_day_stays_open_and_holds_up_only_its_meter(online: Bench) -> None:
    online.midnight(("M1", 2, 1, 150), ("M2", 1, 0, 10), ("M2", 2, 1, 20))
    online.run()
    assert online.charges("M1") == []
    assert len(online.charges("M2")) == 2


def test_eleven_days_at_once_are_all_charged(online: Bench) -> None:
    online.midnight(*(("M1", day + 1, day, 100 * (day + 1)) for day in range(11)))
    online.run()
    assert online.charges("M1") == [(reference("M1", day), 100 * PRICE) for day in range(11)]
    assert online.violations() == []


def test_day_without_use_is_settled_without_a_transfer(online: Bench) -> None:
    online.midnight(("M1", 1, 0, 0), ("M1", 2, 1, 5))
    online.run()
    assert online.charges("M1") == [(reference("M1", 1), 5 * PRICE)]
    assert online.meter("M1").settled_day == DAY + 1
    assert online.violations() == []


def test_day_is_charged_once_however_often_its_snapshot_comes(online: Bench) -> None:
    for _ in range(3):
        online.midnight(("M1", 1, 0, 700))
        online.run()
    online.start()
    online.connect()
    online.midnight(("M1", 1, 0, 700))
    online.run()
    assert online.charges("M1") == [(reference("M1", 0), 700 * PRICE)]


@pytest.mark.parametrize("day_wh", [MAX_DAY_WH, MAX_DAY_WH + 1])
def test_day_that_no_home_can_have_is_listed_and_not_billed(online: Bench, day_wh: int) -> None:
    online.midnight(("M1", 1, 0, day_wh), ("M1", 2, 1, day_wh + 1), ("M2", 1, 0, 5))
    online.run()
    assert len(online.charges("M2")) == 1
    if day_wh > MAX_DAY_WH:
        assert online.charges("M1") == []
        assert online.exception_kinds() == [("M1", "IMPLAUSIBLE_JUMP")]
        assert online.meter("M1").settled_day == DAY - 1, "the day stays open, and those after it"
    else:
        assert len(online.charges("M1")) == 2
        assert online.exceptions() == []
    assert online.violations() == []


def test_snapshot_below_the_settled_register_is_listed_and_not_billed(online: Bench) -> None:
    online.midnight(("M1", 5, 0, 90))
    online.midnight(("M1", 3, 1, 50))  # an older number, for the day after it
    online.run()
    assert [charge for _, charge in online.charges("M1")] == [90 * PRICE]
    assert online.exception_kinds() == [("M1", "REGISTER_WENT_BACK")]
    assert online.meter("M1").settled_day == DAY
    assert online.violations() == []


def test_what_was_open_at_a_restart_is_settled_after_it(online: Bench) -> None:
    online.midnight(("M1", 1, 0, 700))
    with online.store.transaction() as uow:
        ((_, key, _),) = uow.meter_keys(["M2"])
        uow.add_snapshots([(key, DAY, 40)])
    online.start()
    online.run()
    assert online.charges("M2") == [(reference("M2", 0), 40 * PRICE)]


def test_shown_balance_moves_by_use_and_not_by_settlement(online: Bench) -> None:
    online.recharge("M1", "PAY-1", 10)
    online.readings(("M1", 1, START_S, 650))
    online.midnight(("M1", 2, 0, 700))
    online.readings(("M1", 3, START_S + 86_500, 730))
    online.run()
    row = online.meter("M1")
    assert row.credits_micros - row.debits_micros == 10_000_000 - 700 * PRICE
    assert row.register_wh - row.settled_register_wh == 30
