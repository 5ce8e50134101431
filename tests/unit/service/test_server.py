"""The step: nothing is said before its commit; a commit that fails says nothing and loses nothing."""

import pytest
from unit.service.bench import RUPEE, START_S, TIMEOUT_S, Bench

from headend.service.ports import StoreError
from headend.service.server import HELLO_REQUEST_PAUSE_S, HELLO_REQUESTS


def fails(bench: Bench, times: int = 1) -> None:
    bench.store.failing_commits = times
    for _ in range(times):
        with pytest.raises(StoreError):
            bench.headend.step(0.0)
    assert bench.store.failing_commits == 0


def test_nothing_to_do_does_nothing(online: Bench) -> None:
    assert online.headend.step(0.0) is False
    assert online.sent == []


def test_message_is_acknowledged_and_receipted_after_the_commit(online: Bench) -> None:
    seen: list[tuple[int, int]] = []
    online.on_send = lambda topic, payload: seen.append((online.register_of("M1")[0], len(online.link.unsettled)))
    online.readings(("M1", 1, START_S, 5))
    online.run()
    assert seen == [(1, 0)], "when the receipt goes out, the row is committed and the message acknowledged"


def test_command_is_committed_as_sent_before_it_goes_out(online: Bench) -> None:
    seen: list[list[str]] = []
    online.on_send = lambda topic, payload: seen.append(online.states("M1"))
    online.recharge("M1", "PAY-1")
    online.run()
    assert seen == [["SENT"]]


def test_failing_commit_says_nothing_and_is_made_up_for(online: Bench) -> None:
    frame = online.readings(("M1", 1, START_S, 5))
    fails(online, 3)
    assert online.sent == []
    assert len(online.link.unsettled) == 1
    assert online.register_of("M1") == (0, 0)
    online.run()
    assert online.receipts()[frame].outcome == "accepted"
    assert online.link.unsettled == {}
    assert online.register_of("M1") == (1, 5)
    assert online.violations() == []


def test_failing_commit_takes_in_no_message_before_the_first(online: Bench) -> None:
    online.readings(("M1", 1, START_S, 5))
    fails(online)
    online.readings(("M1", 2, START_S + 900, 7))
    fails(online)
    online.run()
    assert online.register_of("M1") == (2, 7)
    assert len(online.receipts()) == 2


def test_command_of_a_failed_commit_is_not_sent_and_comes_later(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    fails(online, 2)
    assert online.commands() == []
    assert online.states("M1") == ["QUEUED"]
    online.run()
    assert online.commands() == [("M1", "credit", 1)]
    assert online.violations() == []


def test_commands_on_their_way_survive_a_failed_commit(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.run()
    online.readings(("M2", 1, START_S, 5))
    fails(online)
    online.wait(TIMEOUT_S)
    online.credit_result("M1", 1, RUPEE)
    online.run()
    assert online.states("M1") == ["APPLIED"]
    assert online.violations() == []


def test_answer_in_a_failed_commit_is_not_lost(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    online.run()
    online.credit_result("M1", 1, RUPEE)
    fails(online)
    assert online.states("M1") == ["SENT"]
    online.run()
    assert online.states("M1") == ["APPLIED"]


def test_hello_in_a_failed_commit_is_not_lost(online: Bench) -> None:
    online.status(False)
    online.recharge("M1", "PAY-1")
    online.run()
    frame = online.hello(("M1", 0, 0, 0, 0), ("M2", 0, 0, 0, 0))
    fails(online)
    online.run()
    assert online.states("M1") == ["SENT"]
    assert online.receipts()[frame].outcome == "accepted"


def test_settlement_of_a_failed_commit_is_made_once(online: Bench) -> None:
    online.midnight(("M1", 1, 0, 700), ("M1", 2, 1, 900))
    fails(online)
    assert online.charges("M1") == []
    online.run()
    assert len(online.charges("M1")) == 2
    assert online.violations() == []


def test_failing_commit_of_the_second_settlement_step_is_made_up_for(online: Bench) -> None:
    online.midnight(("M1", 1, 0, 700))
    online.run()
    online.midnight(("M1", 2, 1, 900), ("M1", 3, 2, 1_000))
    fails(online)
    online.run()
    assert len(online.charges("M1")) == 3


def test_unit_that_fails_in_the_middle_leaves_nothing(online: Bench) -> None:
    online.readings(("M1", 1, START_S, 5))
    online.midnight(("M2", 1, 0, 9))
    for method in ("add_segment", "advance_registers", "add_snapshots", "post", "settle"):
        online.store.failing_method = method
        with pytest.raises(StoreError):
            online.headend.step(0.0)
        assert online.sent == []
        assert online.register_of("M1") == (0, 0)
        assert online.snapshots() == []
    online.run()
    assert (online.register_of("M1"), online.charges("M2") != []) == ((1, 5), True)
    assert online.violations() == []


def test_every_gateway_is_asked_for_a_hello_at_a_measured_pace() -> None:
    bench = Bench()
    for number in range(HELLO_REQUESTS + 50):
        bench.register(f"M{number}", gateway=f"G{number}")
    bench.link.connect()
    bench.headend.step(0.0)
    assert len(bench.hellos_wanted()) == HELLO_REQUESTS
    bench.run()
    assert bench.hellos_wanted() == [], "not before the pause is over"
    bench.wait(HELLO_REQUEST_PAUSE_S)
    assert len(bench.hellos_wanted()) == 50


def test_failing_commit_forgets_no_request_for_a_hello() -> None:
    bench = Bench()
    for number in range(HELLO_REQUESTS + 50):
        bench.register(f"M{number}", gateway=f"G{number}")
    bench.link.connect()
    bench.headend.step(0.0)
    asked = bench.hellos_wanted()
    bench.clock.advance(HELLO_REQUEST_PAUSE_S)
    fails(bench)
    bench.wait(HELLO_REQUEST_PAUSE_S)
    asked += bench.hellos_wanted()
    assert len(set(asked)) == HELLO_REQUESTS + 50


def test_own_absence_is_written_down_though_the_first_commit_fails(online: Bench) -> None:
    online.wait(100)
    online.clock.advance(5_000)
    online.start()
    fails(online)
    online.run()
    assert [row.began_at_s - START_S for row in online.outages() if row.kind == "HEADEND"] == [100]


def test_last_will_in_a_failed_commit_is_written_down(online: Bench) -> None:
    online.status(False, "G2")
    fails(online)
    online.run()
    assert [row.subject for row in online.outages() if row.kind == "GATEWAY"] == ["R1/G2"]


def test_return_of_a_gateway_in_a_failed_commit_ends_its_outage(online: Bench) -> None:
    online.status(False, "G2")
    online.run()
    online.readings(("M3", 1, START_S, 5), gateway="G2")
    fails(online)
    online.run()
    assert [row.ended_at_s for row in online.outages() if row.kind == "GATEWAY"] == [START_S]


def test_time_at_which_a_gateway_was_heard_survives_a_failed_commit(online: Bench) -> None:
    online.wait(50)
    online.readings(("M1", 1, START_S, 5))
    online.headend.step(0.0)
    online.clock.advance(2)
    fails(online)
    for _ in range(3):
        online.wait(2)
    with online.store.view() as uow:
        heard = {gateway.gateway: at_s for _, gateway, at_s in uow.gateways()}
    assert heard["G1"] == START_S + 50


def test_gateway_that_never_spoke_was_never_heard_whatever_failed() -> None:
    bench = Bench()
    bench.register("M1")
    bench.link.connect()
    bench.run()
    fails_at_the_next_beat(bench)
    bench.wait(2)
    with bench.store.view() as uow:
        assert [heard for _, _, heard in uow.gateways()] == [None]


def fails_at_the_next_beat(bench: Bench) -> None:
    bench.clock.advance(2)
    fails(bench)


def test_store_that_fails_twice_leaves_gateways_in_contact(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    fails(online)
    online.store.failing_method = "requeue_all"
    with pytest.raises(StoreError):
        online.headend.step(0.0)
    online.run()
    assert online.commands() == [("M1", "credit", 1)]


def test_restart_after_any_step_loses_nothing(online: Bench) -> None:
    online.recharge("M1", "PAY-1")
    for number in range(1, 6):
        online.readings(("M1", number, START_S + number, number))
        online.headend.step(0.0)
        online.start()
        online.connect()
    online.credit_result("M1", 1, RUPEE)
    online.run()
    assert online.register_of("M1") == (5, 5)
    assert online.violations(converged=True) == []
