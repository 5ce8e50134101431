"""A device is exchanged: account, bills, credit and register of the meter go on with the new one."""

from collections.abc import Iterator

import pytest
from unit.service.bench import DAY_S, PRICE, RUPEE, START_S, TIMEOUT_S, registration
from unit.service.device_bench import DeviceBench, device_bench

from headend.domain.ledger import RecordOutcome
from headend.service.accounts import RegisterOutcome, register_meters
from headend.service.audit import audit
from headend.service.devices import ExchangeOutcome
from headend.service.resolutions import Outcome, resolve_exception

NOON_S = DAY_S // 2


@pytest.fixture
def bench() -> Iterator[DeviceBench]:
    made = device_bench()
    yield made
    made.store.close()


def applied(bench: DeviceBench, meter: str, seq: int, total: int) -> None:
    bench.run()
    bench.credit_result(meter, seq, total * RUPEE)
    bench.run()


# --- registers and days -------------------------------------------------------------------------------------


def test_register_and_days_go_on_with_the_new_device(bench: DeviceBench) -> None:
    bench.midnight_of("M1", 1, 0, 700)
    bench.readings(("M1", 2, START_S + DAY_S + NOON_S, 900))
    bench.run()
    assert bench.exchange("M1", "N1", 1_000, 50) is ExchangeOutcome.EXCHANGED
    bench.run()
    assert bench.register_of("N1") == (0, 1_000), "the register stands where the old device ended"
    bench.midnight_of("N1", 1, 1, 80)
    bench.midnight_of("N1", 2, 2, 130)
    bench.run()
    assert bench.register_of("N1") == (2, 1_080)
    assert bench.charged_wh() == [700, 330, 50]
    assert bench.exceptions() == []
    assert bench.violations(converged=True) == []


def test_what_the_old_device_drew_after_its_last_reading_is_charged(bench: DeviceBench) -> None:
    bench.exchange("M1", "N1", 400)
    bench.midnight_of("N1", 1, 0, 100)
    bench.run()
    assert bench.charged_wh() == [500]


def test_readings_of_the_new_device_begin_again_at_number_one(bench: DeviceBench) -> None:
    bench.readings(("M1", 500, START_S + 900, 700))
    bench.run()
    bench.exchange("M1", "N1", 700)
    frame = bench.readings(("N1", 1, START_S + 1_800, 10), ("N1", 2, START_S + 2_700, 20))
    bench.run()
    assert bench.receipts()[frame].refused == []
    assert bench.register_of("N1") == (2, 720)
    assert bench.violations() == []


def test_midnights_of_the_old_device_that_come_late_are_charged_in_order(bench: DeviceBench) -> None:
    bench.clock.jump(2 * DAY_S + NOON_S)
    bench.exchange("M1", "N1", 1_000)
    bench.midnight_of("N1", 1, 2, 40)
    bench.run()
    assert bench.charged_wh() == [], "two midnights are missing"
    frame = bench.midnight(("M1", 2, 1, 900), ("M1", 1, 0, 600))
    bench.run()
    assert bench.receipts()[frame].refused == []
    assert bench.charged_wh() == [600, 300, 140]
    assert bench.dead_letters() == []
    assert bench.register_of("N1") == (1, 1_040), "a midnight of the old device moves no register"
    bench.midnight(("M1", 2, 1, 900), ("M1", 1, 0, 600))
    bench.run()
    assert (bench.exceptions(), bench.violations(converged=True)) == ([], [])


def test_midnight_of_the_old_device_that_says_otherwise_is_listed(bench: DeviceBench) -> None:
    bench.midnight_of("M1", 1, 0, 600)
    bench.run()
    bench.exchange("M1", "N1", 1_000)
    bench.midnight_of("M1", 1, 0, 650)
    bench.run()
    assert bench.exception_kinds() == [("N1", "SNAPSHOT_DIFFERS")]
    assert bench.charged_wh() == [600]


def test_register_of_the_old_device_above_its_last_is_listed_and_kept(bench: DeviceBench) -> None:
    bench.clock.jump(DAY_S + NOON_S)
    bench.exchange("M1", "N1", 1_000)
    frame = bench.midnight(("M1", 1, 0, 1_001), ("M2", 1, 0, 5))
    bench.run()
    assert [row.meter for row in bench.receipts()[frame].refused] == ["M1"]
    assert bench.exception_kinds() == [("N1", "REGISTER_WENT_BACK")]
    assert len(bench.dead_letters()) == 1
    assert bench.snapshots() == [("M2", 0, 5, True)], "the other meter of the frame is not held up"


def test_what_the_old_device_sends_of_later_times_is_refused_and_kept(bench: DeviceBench) -> None:
    bench.exchange("M1", "N1", 1_000)
    frames = [
        bench.midnight(("M1", 7, 0, 1_200), ("M2", 1, 0, 5)),
        bench.readings(("M1", 8, START_S + DAY_S + 900, 1_200)),
    ]
    bench.run()
    receipts = bench.receipts()
    assert [[(row.meter, str(row.code)) for row in receipts[frame].refused] for frame in frames] == [
        [("M1", "UNKNOWN_METER")]
    ] * 2
    assert len(bench.dead_letters()) == 2
    assert bench.register_of("N1") == (0, 1_000)
    assert bench.charges("N1") == []


def test_one_late_midnight_that_counts_hides_no_other_row_that_does_not(bench: DeviceBench) -> None:
    bench.clock.jump(DAY_S + NOON_S)
    bench.exchange("M1", "N1", 1_000)
    frame = bench.midnight(("M1", 1, 0, 600), ("M1", 2, 1, 1_100))
    bench.run()
    assert bench.charged_wh() == [600]
    assert [row.meter for row in bench.receipts()[frame].refused] == ["M1"]
    assert len(bench.dead_letters()) == 1


def test_late_midnight_from_another_gateway_is_a_strangers(bench: DeviceBench) -> None:
    bench.clock.jump(DAY_S + NOON_S)
    bench.exchange("M1", "N1", 1_000)
    frame = bench.readings(("M1", 1, START_S + DAY_S, 600), gateway="G2", snapshot=True)
    bench.run()
    assert [row.meter for row in bench.receipts()[frame].refused] == ["M1"]
    assert bench.snapshots() == []


def test_second_exchange_goes_on_from_the_first(bench: DeviceBench) -> None:
    bench.midnight_of("M1", 1, 0, 700)
    bench.run()
    bench.exchange("M1", "N1", 1_000, 50)
    bench.midnight_of("N1", 1, 1, 90)
    bench.run()
    bench.exchange("N1", "O1", 100, 7)
    bench.midnight_of("O1", 1, 2, 10)
    bench.run()
    assert bench.register_of("O1") == (1, 1_053)
    assert bench.charged_wh() == [700, 340, 13]
    assert bench.violations(converged=True) == []


def test_two_exchanges_within_one_second_go_on(bench: DeviceBench) -> None:
    bench.readings(("M1", 1, START_S + 900, 300))
    bench.run()
    bench.exchange("M1", "Z1", 300, 0)
    bench.exchange("Z1", "A1", 20, 0)
    bench.midnight_of("A1", 1, 0, 5)
    bench.run()
    assert bench.charged_wh() == [325]
    assert bench.violations(converged=True) == []


@pytest.mark.parametrize("new", ["M2", "M3", "M1", "N1"])
def test_id_that_is_or_was_a_meters_is_refused(bench: DeviceBench, new: str) -> None:
    bench.exchange("M1", "N1", 10)
    assert bench.exchange("N1", new, 20) is ExchangeOutcome.DEVICE_KNOWN
    assert bench.register_of("N1") == (0, 10)


def test_unknown_meter_is_not_exchanged(bench: DeviceBench) -> None:
    assert bench.exchange("M9", "N1", 10) is ExchangeOutcome.UNKNOWN_METER
    bench.exchange("M1", "N1", 10)
    assert bench.exchange("M1", "N2", 10) is ExchangeOutcome.UNKNOWN_METER, "it has another id now"


def test_id_of_an_exchanged_device_is_given_to_no_other_meter(bench: DeviceBench) -> None:
    bench.exchange("M1", "N1", 10)
    with bench.store.transaction() as uow:
        outcomes = register_meters([registration("M1"), registration("M4")], uow)
    assert outcomes == [RegisterOutcome.EXISTS_DIFFERENT, RegisterOutcome.REGISTERED]


def test_last_register_below_the_newest_reading_is_refused(bench: DeviceBench) -> None:
    bench.readings(("M1", 1, START_S + 900, 700))
    bench.run()
    assert bench.exchange("M1", "N1", 699) is ExchangeOutcome.FINAL_TOO_LOW
    assert bench.register_of("M1") == (1, 700)
    assert bench.acts("METER_EXCHANGED") == []


def test_last_register_that_nobody_can_have_drawn_is_refused(bench: DeviceBench) -> None:
    assert bench.exchange("M1", "N1", 1_000_001) is ExchangeOutcome.FINAL_TOO_HIGH
    bench.clock.jump(DAY_S)
    assert bench.exchange("M1", "N1", 1_000_001) is ExchangeOutcome.EXCHANGED, "two days are open"


# --- while the head-end serves ------------------------------------------------------------------------------


def test_head_end_forgets_what_it_knew_of_the_old_device(bench: DeviceBench) -> None:
    bench.readings(("M1", 1, START_S + 900, 100))
    bench.run()
    bench.exchange("M1", "N1", 100, 30)
    bench.readings(("N1", 1, START_S + 1_800, 40))
    frame = bench.readings(("M1", 2, START_S + 1_800, 110))
    bench.run()
    assert bench.register_of("N1") == (1, 110)
    assert [row.meter for row in bench.receipts()[frame].refused] == ["M1"]


def test_exchange_in_a_step_that_fails_is_noticed_by_the_next(bench: DeviceBench) -> None:
    bench.readings(("M1", 1, START_S + 900, 100))
    bench.run()
    bench.exchange("M1", "N1", 100)
    bench.readings(("N1", 1, START_S + 1_800, 40))
    bench.store.failing_commits = 1
    with pytest.raises(Exception, match="disk is full"):
        bench.headend.step(0.0)
    bench.run()
    assert bench.register_of("N1") == (1, 140)


def test_new_device_gets_all_credit_at_once_while_the_head_end_serves(bench: DeviceBench) -> None:
    """Credits that the old device had, one that is open, in one command, without a hello."""
    bench.recharge("M1", "PAY-1", 10)
    applied(bench, "M1", 1, 10)
    bench.recharge("M1", "PAY-2", 5)
    applied(bench, "M1", 2, 15)
    bench.take()
    bench.exchange("M1", "N1", 0)
    bench.run()
    assert bench.commands() == [("N1", "credit", 2)]
    assert bench.states("N1") == ["SENT", "SENT"]
    applied(bench, "N1", 2, 15)
    assert bench.states("N1") == ["APPLIED", "APPLIED"]
    assert bench.meter("N1").applied_credit_total_micros == 15 * RUPEE
    assert bench.exceptions() == []
    assert bench.violations(converged=True) == []


def test_credit_on_its_way_to_the_old_device_goes_to_the_new_one(bench: DeviceBench) -> None:
    bench.recharge("M1", "PAY-1", 10)
    bench.run()
    assert bench.commands() == [("M1", "credit", 1)]
    bench.exchange("M1", "N1", 0)
    bench.credit_result("M1", 1, 10 * RUPEE)
    bench.run()
    assert bench.states("N1") == ["SENT"], "the old device's word is not the new one's"
    bench.wait(TIMEOUT_S)
    assert bench.commands() == [("N1", "credit", 1)]
    applied(bench, "N1", 1, 10)
    assert bench.violations(converged=True) == []


def test_exchange_while_the_link_is_down_is_sent_when_it_is_up(bench: DeviceBench) -> None:
    bench.recharge("M1", "PAY-1", 10)
    applied(bench, "M1", 1, 10)
    bench.link.disconnect()
    bench.run()
    bench.recharge("M1", "PAY-2", 5)
    bench.exchange("M1", "N1", 300)
    bench.run()
    bench.take()
    bench.link.connect()
    bench.hello(("N1", 0, 0, 0, 0), reading_seq=0, at_s=START_S + 60)
    bench.run()
    assert bench.exceptions() == []
    assert ("N1", "credit", 2) in bench.commands()
    applied(bench, "N1", 2, 15)
    assert bench.violations(converged=True) == []


def test_exchange_is_known_after_a_restart(bench: DeviceBench) -> None:
    bench.recharge("M1", "PAY-1", 10)
    applied(bench, "M1", 1, 10)
    bench.exchange("M1", "N1", 300, 20, told=False)
    bench.start()
    bench.link.connect()
    bench.hello(("N1", 20, 0, 0, 0), reading_seq=0, at_s=START_S + 60)
    bench.readings(("N1", 1, START_S + 900, 25))
    bench.run()
    assert ("N1", "credit", 1) in bench.commands()
    assert bench.register_of("N1") == (1, 305)
    assert bench.exceptions() == []


def test_hello_of_the_new_device_at_zero_goes_back_in_nothing(bench: DeviceBench) -> None:
    bench.recharge("M1", "PAY-1", 10)
    applied(bench, "M1", 1, 10)
    bench.order("M1", "closed")
    bench.run()
    bench.relay_result("M1", 1)
    bench.readings(("M1", 9, START_S + 900, 4_000))
    bench.run()
    bench.exchange("M1", "N1", 4_000)
    bench.hello(("N1", 0, 0, 0, 0), reading_seq=0, at_s=START_S + 1_000)
    bench.run()
    assert bench.exceptions() == []


def test_hello_of_the_old_device_after_its_exchange_is_nobodys(bench: DeviceBench) -> None:
    bench.recharge("M1", "PAY-1", 10)
    applied(bench, "M1", 1, 10)
    bench.exchange("M1", "N1", 300)
    bench.hello(("M1", 300, 1, 10 * RUPEE, 0), reading_seq=3, at_s=START_S + 1_000)
    bench.run()
    assert bench.meter("N1").applied_credit_seq == 0
    assert bench.states("N1") == ["SENT"]
    assert len(bench.dead_letters()) == 1


@pytest.mark.parametrize("reported", ["before", "after"])
def test_exchange_ends_what_was_listed_of_the_old_device(bench: DeviceBench, reported: str) -> None:
    """A new device that answered under the old id before anybody entered it looked like a meter that went back."""
    bench.recharge("M1", "PAY-1", 10)
    applied(bench, "M1", 1, 10)
    bench.readings(("M1", 4, START_S + 900, 4_000))
    bench.run()
    bench.hello(("M1", 0, 0, 0, 0), reading_seq=0, at_s=START_S + 1_000)
    bench.run()
    assert len(bench.exceptions()) == 3
    bench.exchange("M1", "N1", 4_000)
    if reported == "after":
        bench.hello(("N1", 0, 0, 0, 0), reading_seq=0, at_s=START_S + 1_100)
    bench.take()
    bench.run()
    assert bench.exceptions() == []
    assert ("N1", "credit", 1) in bench.commands(), "nothing holds the credit any more"
    assert bench.violations() == []


# --- relay and policy ---------------------------------------------------------------------------------------


def converge(bench: DeviceBench, meter: str) -> list[str]:
    """Answer every relay command to a meter; the positions, in order."""
    positions = []
    for _ in range(5):
        bench.run()
        for name, what, number in bench.commands():
            if name == meter and what in ("open", "closed"):
                positions.append(what)
                bench.relay_result(meter, number)
        bench.wait(TIMEOUT_S)
    return positions


@pytest.mark.parametrize("answered", [True, False])
def test_order_to_open_never_goes_to_the_new_device(bench: DeviceBench, answered: bool) -> None:
    """It may be opened by a new decision only: who knows what was declared since the old one."""
    bench.order("M1", "open")
    bench.run()
    if answered:
        bench.relay_result("M1", 1)
        bench.readings(("M1", 1, START_S + 60, 5), relays_open=["M1"])
        bench.run()
    bench.take()
    bench.exchange("M1", "N1", 5)
    assert converge(bench, "N1") == ["closed"]
    row = bench.meter("N1")
    assert (row.relay_open, row.relay_version, row.applied_relay_version) == (0, 2, 2)
    assert bench.violations(converged=True) == []


def test_order_to_close_goes_to_the_new_device(bench: DeviceBench) -> None:
    for position in ("open", "closed"):
        bench.order("M1", position)
        bench.run()
    bench.relay_result("M1", 1)
    bench.relay_result("M1", 2)
    bench.run()
    bench.take()
    bench.exchange("M1", "N1", 0)
    assert converge(bench, "N1") == ["closed"]
    assert bench.violations(converged=True) == []


def test_meter_that_never_had_an_order_gets_none(bench: DeviceBench) -> None:
    bench.exchange("M1", "N1", 0)
    assert converge(bench, "N1") == []
    assert bench.violations(converged=True) == []


def test_new_device_gets_the_newest_policy(bench: DeviceBench) -> None:
    key = 1
    with bench.store.transaction() as uow:
        for version in (1, 2):
            assert uow.issue_policies("R1", version, 0, START_S, 1) == key
            uow.apply_policies([(key, version, START_S)])
    assert bench.states("M1") == ["APPLIED", "APPLIED"]
    bench.link.disconnect()
    bench.run()
    bench.exchange("M1", "N1", 0)
    assert bench.states("N1") == ["APPLIED", "QUEUED"]
    assert (bench.meter("N1").policy_version, bench.meter("N1").applied_policy_version) == (2, 0)


# --- money --------------------------------------------------------------------------------------------------


def test_recharge_repeated_under_the_old_id_is_the_same_recharge(bench: DeviceBench) -> None:
    """A payment that timed out before the exchange is asked for again after it (I4)."""
    bench.recharge("M1", "PAY-1", 10)
    bench.exchange("M1", "N1", 0)
    assert bench.recharge("M1", "PAY-1", 10).outcome is RecordOutcome.EXISTS
    assert bench.recharge("N1", "PAY-1", 10).outcome is RecordOutcome.EXISTS
    assert bench.recharge("M1", "PAY-1", 11).outcome is RecordOutcome.EXISTS_DIFFERENT
    assert bench.recharge("M2", "PAY-1", 10).outcome is RecordOutcome.EXISTS_DIFFERENT
    assert bench.recharge("M1", "PAY-2", 10).outcome is RecordOutcome.UNKNOWN_METER
    assert bench.meter("N1").credits_micros == 10 * RUPEE


def test_balance_goes_on(bench: DeviceBench) -> None:
    bench.recharge("M1", "PAY-1", 10)
    bench.midnight_of("M1", 1, 0, 700)
    bench.run()
    before = bench.meter("M1")
    bench.exchange("M1", "N1", 700)
    after = bench.meter("N1")
    assert (after.credits_micros, after.debits_micros) == (before.credits_micros, before.debits_micros)
    assert after.read_at_s == before.read_at_s
    assert after.debits_micros == 700 * PRICE


# --- evidence -----------------------------------------------------------------------------------------------


def test_story_of_a_meter_goes_over_all_its_devices(bench: DeviceBench) -> None:
    bench.hello(("M1", 0, 3, 0, 0))
    bench.run()
    with bench.store.transaction() as uow:
        resolved = resolve_exception("M1", "CREDIT_AHEAD", "clerk", "looked at it", uow, bench.clock.now_s())
        assert resolved.outcome is Outcome.RESOLVED
    bench.exchange("M1", "N1", 5)
    bench.exchange("N1", "O1", 7)
    acts = [(facts["kind"], facts["subject"]) for what, facts in bench.story("O1") if what == "ACT"]
    assert acts == [
        ("EXCEPTION_RESOLVED", "meter/M1"),
        ("METER_EXCHANGED", "meter/M1"),
        ("METER_EXCHANGED", "meter/N1"),
    ]
    assert bench.violations() == [], "what was done under an old id has its act (I25)"


class _Log:
    """Two devices' logs: each with a counter of its own."""

    def credits(self):  # type: ignore[no-untyped-def]
        return iter([("M1", 1, 10 * RUPEE), ("N1", 1, 10 * RUPEE)])

    def relays(self):  # type: ignore[no-untyped-def]
        return iter([("M1", 1, "open", START_S + 60), ("N1", 2, "closed", START_S + 900)])

    def refused_opens(self):  # type: ignore[no-untyped-def]
        return iter(())

    def newest_readings(self):  # type: ignore[no-untyped-def]
        return iter([("M1", 3, 400), ("N1", 1, 70), ("M2", 0, 0), ("M3", 0, 0)])


def test_audit_reads_the_logs_of_both_devices(bench: DeviceBench) -> None:
    bench.recharge("M1", "PAY-1", 10)
    applied(bench, "M1", 1, 10)
    bench.order("M1", "open")
    bench.run()
    bench.relay_result("M1", 1)
    bench.readings(("M1", 3, START_S + 600, 400))
    bench.run()
    bench.exchange("M1", "N1", 420, 50)
    bench.run()
    applied(bench, "N1", 1, 10)
    bench.relay_result("N1", 2)
    bench.readings(("N1", 1, START_S + 900, 70))
    bench.run()
    with bench.store.view() as uow:
        checks = audit(uow, _Log(), converged=True)
    assert [(check.check_id, check.violations) for check in checks if check.violations] == []
