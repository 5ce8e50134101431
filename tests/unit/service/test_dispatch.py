"""Sending: paced by the window, one command a lane, resent until answered, nothing forgotten."""

from collections import Counter

import pytest
from unit.service.bench import RUPEE, START_S, TIMEOUT_S, Bench

from headend.domain.reconcile import ExceptionKind


def bench_of(window: int, meters: int, gateway: str = "G1") -> Bench:
    """A head-end with a small window and this many meters M01, M02 ... behind one gateway, in contact."""
    made = Bench(window=window)
    made.register(*(f"M{number:02}" for number in range(1, meters + 1)), gateway=gateway)
    made.connect()
    return made


def recharge_all(bench: Bench, round_: int = 1) -> None:
    with bench.store.view() as uow:
        meters = [row.meter for row in uow.meter_rows("", 10_000)]
    for meter in meters:
        bench.recharge(meter, f"PAY-{round_}-{meter}")


def test_recharge_of_another_process_is_noticed_and_sent(online: Bench) -> None:
    online.recharge("M1", "PAY-1", 7)
    online.run()
    ((gateway, message),) = online.take()
    assert gateway == "G1"
    (command,) = message.commands
    assert (command.meter, command.seq, command.credit_total_micros) == ("M1", 1, 7 * RUPEE)
    assert command.issued_at_s == START_S
    (row,) = online.queue("M1")
    assert (row.state, row.sent_at_s, row.attempts) == ("SENT", START_S, 1)


def test_nothing_goes_to_a_gateway_without_contact(bench: Bench) -> None:
    bench.recharge("M1", "PAY-1")
    bench.link.connect()
    bench.run()
    assert bench.commands() == []
    assert bench.states("M1") == ["QUEUED"]


def test_what_waited_goes_when_contact_comes(online: Bench) -> None:
    online.status(False)
    online.recharge("M1", "PAY-1")
    online.run()
    assert online.commands() == []
    online.readings(("M2", 1, START_S, 5))
    online.run()
    assert online.commands() == [("M1", "credit", 1)]


def test_nothing_is_sent_to_a_gateway_that_has_not_said_its_counters_to_this_process(bench: Bench) -> None:
    """The store may be an old backup: then the next number is one that the meter has seen with other content."""
    bench.recharge("M1", "PAY-1")
    bench.link.connect()
    bench.run()
    assert bench.hellos_wanted() == ["G1", "G2"]
    bench.readings(("M2", 1, START_S, 5))
    bench.run()
    assert bench.take()[1:] == [], "but the receipt"
    bench.clock.advance(TIMEOUT_S)
    bench.readings(("M2", 2, START_S, 6))
    bench.run()
    assert bench.hellos_wanted() == ["G1"], "the first request, or its answer, may be lost"
    bench.hello(("M1", 0, 0, 0, 0), ("M2", 6, 0, 0, 0))
    bench.run()
    assert bench.commands() == [("M1", "credit", 1)]


def test_only_the_newest_counter_travels_and_those_before_travel_in_it(online: Bench) -> None:
    for number in range(1, 4):
        online.recharge("M1", f"PAY-{number}")
    online.run()
    assert online.commands() == [("M1", "credit", 3)]
    assert [(row.state, row.attempts) for row in online.queue("M1")] == [("SENT", 1)] * 3


def test_one_command_of_a_lane_is_on_its_way_at_a_time(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.run()
    online.recharge("M1", "PAY-2")
    online.run()
    assert online.commands() == [("M1", "credit", 1)]
    assert online.states("M1") == ["SENT", "QUEUED"]
    online.credit_result("M1", 1, RUPEE)
    online.run()
    assert online.commands() == [("M1", "credit", 2)]
    assert online.states("M1") == ["APPLIED", "SENT"]


def test_lanes_of_one_meter_do_not_wait_for_each_other(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.order("M1", "closed")
    online.run()
    assert sorted(online.commands()) == [("M1", "closed", 1), ("M1", "credit", 1)]


def test_unanswered_command_is_sent_again_with_the_same_number(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.run()
    assert online.commands() == [("M1", "credit", 1)]
    online.wait(TIMEOUT_S - 0.1)
    assert online.commands() == []
    for attempt in (2, 3, 4):
        online.wait(TIMEOUT_S)
        assert online.commands() == [("M1", "credit", 1)]
        assert online.queue("M1")[0].attempts == attempt


def test_answered_command_is_not_sent_again(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.run()
    online.credit_result("M1", 1, RUPEE)
    online.run()
    online.take()
    for _ in range(5):
        online.wait(TIMEOUT_S)
    assert online.commands() == []


def test_window_limits_what_is_unanswered_and_answers_make_room() -> None:
    bench = bench_of(window=3, meters=10)
    recharge_all(bench)
    bench.run()
    first = bench.commands()
    assert len(first) == 3
    bench.credit_result(first[0][0], 1, RUPEE)
    bench.run()
    assert len(bench.commands()) == 1
    sent = Counter(meter for meter, _, _ in first)
    for _ in range(20):
        with bench.store.view() as uow:
            open_meters = [row.meter for row in uow.queue(None, 0, 100) if row.state == "SENT"]
        assert len(open_meters) <= 3
        for meter in open_meters:
            bench.credit_result(meter, 1, RUPEE)
        bench.run()
        sent.update(meter for meter, _, _ in bench.commands())
    assert bench.violations(converged=True) == []


def test_windows_of_gateways_are_their_own() -> None:
    bench = bench_of(window=1, meters=3)
    bench.register("N1", gateway="G2")
    bench.greet()
    recharge_all(bench)
    bench.run()
    assert sorted(bench.commands()) == [("M01", "credit", 1), ("N1", "credit", 1)]


def test_credits_go_before_relay_positions_when_the_window_is_short() -> None:
    bench = bench_of(window=2, meters=2)
    bench.order("M01", "closed")
    bench.order("M02", "closed")
    recharge_all(bench)
    bench.run()
    assert sorted(bench.commands()) == [("M01", "credit", 1), ("M02", "credit", 1)]
    bench.credit_result("M01", 1, RUPEE)
    bench.credit_result("M02", 1, RUPEE)
    bench.run()
    assert sorted(bench.commands()) == [("M01", "closed", 1), ("M02", "closed", 1)]


def test_unreachable_meter_holds_one_place_for_one_time_out_and_delays_no_other() -> None:
    bench = bench_of(window=2, meters=6)
    recharge_all(bench)
    answered: set[str] = set()
    for _ in range(30):
        bench.run()
        for meter, _, seq in bench.commands():
            if meter != "M01":
                answered.add(meter)
                bench.credit_result(meter, seq, RUPEE * seq)
        bench.run()
        bench.clock.advance(1)
        if len(answered) == 5:
            break
    assert answered == {f"M{number:02}" for number in range(2, 7)}
    assert bench.clock.monotonic_s() <= TIMEOUT_S, "all others are served before the first time-out"
    assert bench.states("M01") == ["SENT"]


def test_last_will_puts_back_what_was_on_its_way(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.run()
    online.take()
    online.status(False)
    online.run()
    assert online.states("M1") == ["QUEUED"]
    for _ in range(3):
        online.wait(TIMEOUT_S)
    assert online.commands() == [], "nobody is there"
    online.greet()
    assert online.states("M1") == ["SENT"]
    assert online.queue("M1")[0].attempts == 2


def test_last_will_of_one_gateway_leaves_the_others_alone(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.recharge("M3", "PAY-3")
    online.status(False, "G2")
    online.run()
    assert online.commands() == [("M1", "credit", 1)]


def test_lost_link_puts_everything_back_and_its_return_asks_all_for_a_hello(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.recharge("M3", "PAY-3")
    online.run()
    online.take()
    online.link.disconnect()
    online.run()
    assert online.states("M1") == online.states("M3") == ["QUEUED"]
    online.wait(3 * TIMEOUT_S)
    assert online.sent == []
    online.link.connect()
    online.run()
    assert sorted(online.hellos_wanted()) == ["G1", "G2"]


def test_hello_voids_what_was_on_its_way(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.recharge("M2", "PAY-2")
    online.run()
    online.take()
    online.hello(("M1", 0, 1, RUPEE, 0), ("M2", 0, 0, 0, 0))
    online.run()
    assert online.commands() == [("M2", "credit", 1)], "at once, and not what the meter has"
    online.wait(TIMEOUT_S - 1)
    assert online.commands() == [], "the time-out counts from the new sending"


def test_restart_takes_up_what_was_queued_and_what_was_sent(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.run()
    online.recharge("M1", "PAY-2")
    online.recharge("M3", "PAY-3")
    online.take()
    online.start()
    online.run()
    assert online.states("M1") == ["QUEUED", "QUEUED"]
    online.connect()
    assert online.states("M1") == ["SENT", "SENT"]
    assert online.states("M3") == ["SENT"]
    assert [row.seq for row in online.queue("M1")] == [1, 2]
    assert online.violations() == []


def test_exception_holds_the_lane_until_a_person_resolves_it(online: Bench) -> None:
    with online.store.transaction() as uow:
        ((_, key, _),) = uow.meter_keys(["M1"])
        uow.add_exception(ExceptionKind.CREDIT_WENT_BACK, key, "seen", START_S)
    online.recharge("M1", "PAY-1")
    online.run()
    assert online.commands() == []
    online.store.inner._connection.execute("UPDATE exception SET resolved_at_s = 1")  # type: ignore[attr-defined]
    online.greet()
    assert online.states("M1") == ["SENT"]


@pytest.mark.parametrize("kind", ["REGISTER_WENT_BACK", "SNAPSHOT_DIFFERS", "IMPLAUSIBLE_JUMP"])
def test_exception_of_the_register_holds_up_no_credit(online: Bench, kind: str) -> None:
    with online.store.transaction() as uow:
        ((_, key, _),) = uow.meter_keys(["M1"])
        uow.add_exception(kind, key, "seen", START_S)  # type: ignore[arg-type]
    online.recharge("M1", "PAY-1")
    online.run()
    assert online.commands() == [("M1", "credit", 1)]


def test_held_lanes_leave_their_places_in_the_window_to_others() -> None:
    bench = bench_of(window=2, meters=4)
    for meter in ("M01", "M02"):
        bench.credit_result(meter, 9, 9)  # ahead of us: held
    bench.run()
    recharge_all(bench)
    bench.run()
    for _ in range(3):
        bench.wait(TIMEOUT_S)
    assert {meter for meter, _, _ in bench.commands()} == {"M03", "M04"}


def test_expired_orders_leave_their_places_in_the_window_to_others() -> None:
    bench = bench_of(window=2, meters=4)
    bench.status(False)
    bench.run()
    for meter in ("M01", "M02"):
        bench.order(meter, "open", 60)
    bench.order("M03", "closed")
    bench.wait(3_600)
    bench.greet()
    bench.wait(TIMEOUT_S)
    assert bench.states("M03") == ["SENT"]


def test_what_a_full_step_left_goes_in_the_next_one() -> None:
    bench = Bench(window=1_000)
    gateways = ("G1", "G2", "G3")
    for gateway in gateways:
        bench.register(*(f"{gateway}-{number}" for number in range(900)), gateway=gateway)
    bench.link.connect()
    for gateway in gateways:
        bench.hello((f"{gateway}-1", 0, 0, 0, 0), gateway=gateway)
    bench.run()
    with bench.store.transaction() as uow:
        for gateway in gateways:
            for number in range(900):
                uow.issue_relay(f"{gateway}-{number}", "closed", "test", None, START_S)
    bench.store.news = True
    bench.take()
    bench.run()
    assert len(bench.commands()) == 2_700


# --- orders that may come too late --------------------------------------------------------------------------


def test_order_to_open_that_expired_before_it_was_sent_is_never_sent(bench: Bench) -> None:
    bench.order("M1", "open", 60)
    bench.order("M2", "open", 10_000)
    bench.link.connect()
    bench.wait(61)
    bench.hello(("M1", 0, 0, 0, 0), ("M2", 0, 0, 0, 0))
    bench.run()
    assert bench.commands() == [("M2", "open", 1)]
    assert bench.states("M1") == ["EXPIRED"]


def test_order_that_expires_at_the_moment_of_contact_is_not_sent(bench: Bench) -> None:
    bench.link.connect()
    bench.order("M1", "open", 60)
    bench.run()
    bench.clock.advance(61)
    bench.hello(("M1", 0, 0, 0, 0))
    bench.headend.step(0.0)  # contact, and the first look at the clock since
    assert bench.commands() == []
    assert bench.states("M1") == ["EXPIRED"]


def test_order_to_open_is_in_force_up_to_its_expiry(bench: Bench) -> None:
    bench.order("M1", "open", 60)
    bench.link.connect()
    bench.wait(60)
    bench.hello(("M1", 0, 0, 0, 0))
    bench.run()
    assert bench.commands() == [("M1", "open", 1)]


def test_credits_and_orders_to_close_never_expire(bench: Bench) -> None:
    bench.recharge("M1", "PAY-1")
    bench.order("M1", "closed")
    bench.wait(400 * 86_400)
    bench.connect()
    assert bench.states("M1") == ["SENT", "SENT"]


def test_superseded_order_that_never_left_ends_at_once(bench: Bench) -> None:
    bench.order("M1", "open")
    bench.order("M1", "closed")
    assert bench.states("M1") == ["SUPERSEDED", "QUEUED"]
    bench.connect()
    assert bench.states("M1") == ["SUPERSEDED", "SENT"]


def test_superseded_order_that_left_ends_by_the_meters_word(online: Bench) -> None:
    online.order("M1", "open")
    online.run()
    online.order("M1", "closed")
    online.run()
    assert online.commands() == [("M1", "open", 1)]
    online.wait(TIMEOUT_S)
    assert online.commands() == [("M1", "closed", 2)], "only the newest is sent again"
    online.relay_result("M1", 2)
    online.run()
    assert online.states("M1") == ["SUPERSEDED", "APPLIED"]
    assert online.violations(converged=True) == []


def test_expired_order_for_a_silent_gateway_ends_by_itself(online: Bench) -> None:
    online.status(False, "G2")
    online.run()
    online.order("M3", "open", 60)
    for _ in range(3):
        online.wait(3_600)
    assert online.states("M3") == ["EXPIRED"]


def test_answer_that_does_not_move_the_counter_is_not_answered_at_once(online: Bench) -> None:
    """A gateway that answers with what the meter has, before the meter took the credit, must not make a loop."""
    online.recharge("M1", "PAY-1")
    online.run()
    online.take()
    sent = 0
    for _ in range(20):
        online.credit_result("M1", 0, 0)
        online.run()
        sent += len(online.commands())
    assert sent <= 2
