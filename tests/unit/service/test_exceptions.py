"""Exceptions hold their own kind of delivery, and let go when they are over or resolved."""

from unit.service.bench import RUPEE, TIMEOUT_S, Bench


def held_by(bench: Bench, meter: str) -> list[str | None]:
    return [row.held_by for row in bench.queue(meter)]


def test_credit_ahead_of_ours_holds_credits_until_the_meter_agrees(online: Bench) -> None:
    online.credit_result("M1", 5, 5 * RUPEE)
    online.run()
    online.recharge("M1", "PAY-1")
    online.run()
    assert online.commands() == []
    assert held_by(online, "M1") == ["CREDIT_AHEAD"]
    online.clock.advance(5)
    online.credit_result("M1", 0, 0)
    online.run()
    assert online.exceptions() == []
    assert online.commands() == [("M1", "credit", 1)], "what was held goes out"


def test_resolved_exception_lets_its_deliveries_go(online: Bench) -> None:
    online.credit_result("M1", 5, 5 * RUPEE)
    online.run()
    online.recharge("M1", "PAY-1")
    online.order("M1", "closed")
    online.run()
    assert online.commands() == [("M1", "closed", 1)], "the relay is not held by a credit counter"
    with online.store.transaction() as uow:
        ((_, meter_key, _),) = uow.meter_keys(["M1"])
        assert uow.resolve_exceptions([(meter_key, "CREDIT_AHEAD")], "a clerk", "meter was changed", 1) == 1
        assert uow.resolve_exceptions([(meter_key, "CREDIT_AHEAD")], "a clerk", "again", 1) == 0
    online.store.news = True
    online.run()
    assert online.commands() == [("M1", "credit", 1)]


def test_reading_far_ahead_of_our_clock_is_listed_and_makes_no_balance_fresh(online: Bench) -> None:
    far_s = 4_102_444_800
    online.readings(("M1", 1, far_s, 5))
    online.run()
    assert online.exception_kinds() == [("M1", "CLOCK_AHEAD")]
    assert online.meter("M1").read_at_s == online.clock.now_s()
    assert online.register_of("M1") == (1, 5)


def test_same_number_with_another_register_is_refused(online: Bench) -> None:
    online.readings(("M1", 10, online.clock.now_s(), 5_000))
    online.run()
    online.midnight(("M1", 10, 0, 900_000))
    online.run()
    assert online.charges("M1") == []
    assert online.exception_kinds() == [("M1", "REGISTER_WENT_BACK")]


def test_order_to_open_that_expires_leaves_the_order_to_close_in_force(online: Bench) -> None:
    online.status(False)
    online.run()
    online.order("M1", "closed")
    online.order("M1", "open", 60)
    online.clock.advance(120)
    online.greet()
    online.run()
    assert online.states("M1") == ["SENT", "EXPIRED"]


def test_silent_meters_do_not_starve_the_orders_of_others() -> None:
    bench = Bench(window=2)
    bench.register("M01", "M02", "M03", "M04")
    bench.connect()
    for number in range(1, 5):
        bench.recharge(f"M0{number}", f"PAY-{number}")
    bench.run()
    bench.order("M04", "closed")
    for _ in range(3):
        bench.wait(TIMEOUT_S)
    assert ("M04", "closed", 1) in bench.commands()
