"""Supply given back: at once and in the recharge's own commit, whatever protects, recovers or is used up."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from unit.service.protect_bench import DAY_S, HOUR_S, PROTECTION, ProtectBench, in_debt, rules_of

from headend.domain.caps import CapLimits
from headend.domain.notice import NoticeKind
from headend.domain.reconnection import ReconnectionRules, Step
from headend.rules import load_rules
from headend.service.accounts import order_closed


@pytest.fixture
def cut() -> Iterator[ProtectBench]:
    """M1 was cut for Rs 10 of debt; the cap of one cut a day is used up."""
    made = ProtectBench(rules_of(caps=CapLimits(fleet=1)), "M1", "M2")
    made.pay("M2", 100)
    in_debt(made, ["M1"])
    made.until(0, 11, 30)
    assert made.opened() == ["M1"]
    yield made
    made.store.close()


def closed(bench: ProtectBench) -> list[str]:
    return [meter for meter, position, *_ in bench.relays if position == "closed"]


def test_recharge_orders_the_supply_back_in_its_own_commit(cut: ProtectBench) -> None:
    cut.pay("M1", 10)
    assert cut.relay_states("M1") == ["APPLIED", "QUEUED"], "before the head-end had a step"
    assert cut.wishes("M1")[0].reconnected_at_s == cut.clock.now_s()
    assert cut.acts("RECONNECTED") == [("RECONNECTED", "meter/M1")]
    cut.live(1)
    assert closed(cut) == ["M1"]
    cut.live(60)
    ((_, content),) = cut.notices("M1", NoticeKind.RESTORED)
    assert cut.clock.now_s() - content["restored_s"] <= 61


@pytest.mark.parametrize("hour", [14, 22])
def test_recharge_in_protected_hours_and_a_moratorium_reconnects_at_once(cut: ProtectBench, hour: int) -> None:
    cut.declare(cut.clock.now_s(), cut.at_s(9))
    cut.until(0, hour)
    cut.pay("M1", 10)
    cut.live(1)
    assert closed(cut) == ["M1"]


def test_recharge_while_the_region_recovers_reconnects_at_once(cut: ProtectBench) -> None:
    cut.link.disconnect()
    cut.run()
    cut.wait(2_000)
    cut.pay("M1", 10)
    cut.link.connect()
    cut.greet()
    cut.wait(0)
    cut.live(15)
    with cut.store.view() as uow:
        assert [str(row.state.phase) for row in uow.recoveries()] != ["NORMAL"]
    assert cut.relay_states("M1") == ["APPLIED", "APPLIED"]


def test_recharge_that_does_not_suffice_leaves_the_home_without_supply(cut: ProtectBench) -> None:
    cut.pay("M1", 9)
    cut.live(2 * HOUR_S)
    assert closed(cut) == []
    cut.pay("M1", 1, "the rest")
    cut.live(1)
    assert closed(cut) == ["M1"]


def test_correction_reconnects_within_minutes(cut: ProtectBench) -> None:
    with cut.command_line() as uow:
        account = uow.meter_account("M1")
        assert account is not None
        from headend.domain.ledger import TransferKind
        from headend.service.rows import NewTransfer

        now_s = cut.clock.now_s()
        source = uow.account_key("recharges")
        kind = TransferKind.ARREARS
        uow.post([NewTransfer("given back", kind, source, account.account_key, 10_000_000, now_s, now_s)])
    cut.wait(61)
    cut.run()
    cut.answer()
    assert closed(cut) == ["M1"]


def test_home_that_an_operator_cut_for_debt_is_reconnected_where_only_debt_allows_a_cut() -> None:
    for debt_only, wanted in ((True, ["M1"]), (False, [])):
        bench = ProtectBench(rules_of(disconnect_automatically=False, debt_only=debt_only), "M1")
        in_debt(bench, ["M1"])
        bench.until(0, 10, 30)
        bench.order_open("M1")
        bench.live(60)
        bench.pay("M1", 10)
        bench.live(600)
        assert closed(bench) == wanted
        bench.store.close()


def test_home_closed_by_hand_is_not_ordered_closed_a_second_time(cut: ProtectBench) -> None:
    with cut.command_line() as uow:
        order_closed("M1", "mercy", uow, cut.clock.now_s())
    cut.live(120)
    cut.pay("M1", 50)
    cut.live(120)
    assert closed(cut) == ["M1"]


def test_same_recharge_again_reconnects_nothing_again(cut: ProtectBench) -> None:
    cut.pay("M1", 10, "P1")
    cut.live(60)
    cut.pay("M1", 10, "P1")
    cut.live(60)
    assert closed(cut) == ["M1"]
    assert len(cut.acts("RECONNECTED")) == 1


def test_recharge_before_the_order_to_cut_was_sent_ends_it_unsent() -> None:
    bench = ProtectBench(rules_of(disconnect_automatically=False), "M1")
    in_debt(bench, ["M1"])
    bench.until(0, 10, 30)
    bench.status(online=False)
    bench.run()
    bench.order_open("M1")
    bench.pay("M1", 10)
    bench.greet()
    bench.live(60)
    assert bench.opened() == []
    assert closed(bench) == ["M1"]
    bench.store.close()


HALF = ReconnectionRules(from_micros=0, min_share_bp=5_000, days_by_share=(Step(7_500, 3), Step(None, 7)))


@pytest.mark.parametrize(("rupees", "days"), [(4, None), (5, 3), (7, 3), (8, 7)])
def test_part_of_the_dues_buys_days_without_a_cut(rupees: int, days: int | None) -> None:
    rules = rules_of()
    rules = replace(rules, protection=replace(PROTECTION, reconnection=HALF))
    bench = ProtectBench(rules, "M1")
    in_debt(bench, ["M1"])
    bench.until(0, 11, 30)
    paid_s = bench.clock.now_s()
    bench.pay("M1", rupees)
    bench.live(60)
    assert closed(bench) == (["M1"] if days else [])
    bench.live(12 * DAY_S, period_s=HOUR_S)
    again = [sent_s for _, position, _, sent_s, _ in bench.relays if position == "open"][1:]
    if days is None:
        assert again == []
    else:
        assert days * DAY_S <= again[0] - paid_s < (days + 1) * DAY_S
        assert bench.announced("M1")[-1] == again[0], "told anew, with the new time"
    bench.store.close()


def test_uttar_pradesh_gives_three_days_for_half_of_the_dues() -> None:
    bench = ProtectBench(load_rules("uttar-pradesh"), first_day=date(2024, 11, 20))
    bench.enter("M1", load_w=3_000)
    bench.connect()
    bench.draw("M1", 10)
    bench.live(8 * DAY_S, period_s=HOUR_S)
    assert bench.opened() == ["M1"]
    with bench.store.view() as uow:
        row = uow.meter_row("M1")
    assert row is not None
    dues_rupees = (row.debits_micros - row.credits_micros) // 1_000_000
    bench.pay("M1", dues_rupees * 6 // 10)
    bench.live(60)
    assert closed(bench) == ["M1"]
    with bench.store.view() as uow:
        (case,) = uow.cases([1])
    assert case.no_cut_before_s is not None
    assert abs(case.no_cut_before_s - bench.clock.now_s() - 3 * DAY_S) <= 61
    bench.store.close()
