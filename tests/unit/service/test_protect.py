"""Cuts for debt by the rules: announced, in grace, at a home's own moment, and not if anything protects it."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta

import pytest
from unit.service.protect_bench import DAY_S, HOUR_S, ProtectBench, in_debt, rules_of

from headend.domain.caps import CapLimits
from headend.domain.notice import NoticeKind
from headend.rules import load_rules
from headend.service.ports import StoreError
from headend.service.protect import ANNOUNCED_FOR_S, NOTICE_S
from headend.service.terms import move_out


@pytest.fixture
def bench() -> Iterator[ProtectBench]:
    made = ProtectBench(rules_of(), "M1", "M2")
    yield made
    made.store.close()


def test_home_in_debt_is_told_the_time_then_cut_at_it_and_told_again(bench: ProtectBench) -> None:
    bench.pay("M2", 100)
    bench.draw("M1", 10)
    bench.live(1_802)
    (cut_at_s,) = bench.announced("M1")
    at = bench.local(cut_at_s)
    assert (at.day, 10 <= at.hour < 11) == (30, True), "its own moment in the first hour of the permitted ones"
    assert cut_at_s - bench.clock.now_s() > NOTICE_S
    bench.live(cut_at_s - 1 - bench.clock.now_s())
    assert bench.relays == []
    bench.live(2)
    ((meter, position, version, sent_s, expires_s),) = bench.relays
    assert (meter, position, version, sent_s) == ("M1", "open", 1, cut_at_s)
    assert expires_s == cut_at_s + 1_500
    (wish,) = bench.wishes()
    assert (wish.state, wish.origin, wish.requested_by, wish.relay_version) == ("ISSUED", "DEBT", "headend", 1)
    assert bench.acts("CUT") == [("CUT", "meter/M1")]
    _cut, content = bench.notices("M1", NoticeKind.CUT)[0]
    assert content["cut_s"] == cut_at_s
    bench.live(2 * DAY_S)
    assert bench.opened() == ["M1"], "once"
    assert [kind for kind, _ in bench.notices("M2", *NoticeKind)] == [NoticeKind.RECHARGE_RECEIVED]
    assert bench.violations() == []


def test_basis_of_a_cut_is_below_the_limit_fresh_and_without_recharges(bench: ProtectBench) -> None:
    in_debt(bench, ["M1"])
    bench.until(0, 11, 30)
    import json

    basis = json.loads(bench.wishes()[0].basis)
    assert basis["balance_micros"] == -10_000_000
    assert basis["unsettled_recharges"] == 0
    assert bench.relays[0][3] - basis["read_at_s"] <= HOUR_S
    assert basis["at"]["hours"] is None


def test_order_ends_with_the_permitted_hours_by_the_slowest_clock() -> None:
    rules = rules_of()
    late = ProtectBench(rules, "M1")
    in_debt(late, ["M1"], day=0)
    # Announced for 10:00 to 11:00; nobody served then, and the head-end is back at 12:40.
    late.clock.jump(late.at_s(0, 12, 40) - late.clock.now_s())
    late.report()
    late.live(60)
    assert [expires_s for *_, expires_s in late.relays] == [late.at_s(0, 12, 50)]
    late.store.close()


def test_grace_is_over_before_anything_is_ordered() -> None:
    bench = ProtectBench(rules_of(grace_s=3 * DAY_S), "M1")
    bench.draw("M1", 10)
    bench.live(1_802)
    zero_s = bench.clock.now_s() - 2
    (cut_at_s,) = bench.announced("M1")
    assert zero_s + 3 * DAY_S <= cut_at_s < zero_s + 4 * DAY_S
    bench.live(5 * DAY_S)
    assert [(meter, sent_s) for meter, _, _, sent_s, _ in bench.relays] == [("M1", cut_at_s)]
    bench.store.close()


def test_refusal_is_kept_once_for_each_change_of_its_reasons_and_not_for_each_look(bench: ProtectBench) -> None:
    bench.draw("M1", 10)
    bench.live(HOUR_S)
    assert bench.refusals("M1") == ["PROTECTED_HOURS,GRACE"]
    with bench.command_line() as uow:
        uow.add_exception("IMPLAUSIBLE_JUMP", 1, "test", bench.clock.now_s())  # type: ignore[arg-type]
    bench.until(0, 11)
    before = bench.refusals("M1")
    assert "EXCEPTION_OPEN" in before[-1]
    bench.until(0, 12, 59)
    assert bench.refusals("M1") == before, "hours of looks, and nothing new to say"
    assert bench.wishes() == []
    assert bench.acts("CUT") == []


def test_recharge_after_the_announcement_stops_the_cut(bench: ProtectBench) -> None:
    in_debt(bench, ["M1"])
    assert bench.announced("M1")
    bench.pay("M1", 11)
    bench.until(3, 0)
    assert bench.relays == []
    assert bench.wishes() == []


def test_recharge_that_is_accepted_and_not_at_the_meter_yet_stops_the_cut(bench: ProtectBench) -> None:
    in_debt(bench, ["M1"])
    bench.obeys = False
    bench.pay("M1", 1)
    bench.until(0, 12, 59)
    assert bench.relays == []
    assert "UNSETTLED_RECHARGE" in bench.refusals("M1")[-1]


def test_announcement_that_has_grown_old_is_made_anew_before_the_cut(bench: ProtectBench) -> None:
    in_debt(bench, ["M1"])
    (told_s,) = bench.announced("M1")
    bench.declare(bench.at_s(0, 9), bench.at_s(5))
    bench.until(7, 0)
    again_s = bench.announced("M1")[-1]
    assert again_s >= bench.at_s(5, 10)
    assert again_s - told_s > ANNOUNCED_FOR_S
    assert len(bench.announced("M1")) == 2
    assert [sent_s for _, _, _, sent_s, _ in bench.relays] == [again_s]


def test_nobody_is_cut_before_the_time_that_they_were_told_though_a_moratorium_ends_early(
    bench: ProtectBench,
) -> None:
    number = bench.declare(bench.at_s(0), bench.at_s(5))
    in_debt(bench, ["M1"])
    (told_s,) = bench.announced("M1")
    assert told_s >= bench.at_s(5, 10)
    with bench.command_line() as uow:
        assert uow.end_moratorium(number, "asha", bench.clock.now_s())
    bench.until(7, 0)
    assert [sent_s for _, _, _, sent_s, _ in bench.relays] == [told_s]


def test_home_in_quarantine_is_not_wished_for_again_every_hour() -> None:
    bench = ProtectBench(rules_of(caps=CapLimits(fleet=1)), "M1", "M2")
    in_debt(bench, ["M1", "M2"])
    bench.until(3, 0)
    assert sorted(state for _, state in bench.states_of_wishes()) == ["ISSUED", "QUARANTINED"]
    assert len(bench.acts("QUARANTINED")) == 1
    assert not [told for meter in ("M1", "M2") for told in bench.refusals(meter) if "IN_QUARANTINE" in told]
    bench.store.close()


def test_home_that_is_cut_is_no_refusal_and_is_announced_no_more(bench: ProtectBench) -> None:
    in_debt(bench, ["M1"])
    bench.until(4, 0)
    assert bench.opened() == ["M1"]
    assert len(bench.announced("M1")) == 1
    assert not [told for told in bench.refusals("M1") if "ALREADY_OPEN" in told]


def test_cuts_of_many_homes_are_spread_and_each_is_announced_for_its_own_moment() -> None:
    homes = [f"M{number}" for number in range(1, 41)]
    bench = ProtectBench(rules_of(), *homes)
    in_debt(bench, homes)
    announced = {meter: bench.announced(meter) for meter in homes}
    bench.live(3 * HOUR_S, period_s=600)
    assert {meter: [sent_s] for meter, _, _, sent_s, _ in bench.relays} == announced
    assert len({sent_s for _, _, _, sent_s, _ in bench.relays}) > 30
    bench.store.close()


def test_home_is_not_cut_by_a_step_that_was_not_committed(bench: ProtectBench) -> None:
    in_debt(bench, ["M1"])
    (cut_at_s,) = bench.announced("M1")
    bench.live(cut_at_s - 1 - bench.clock.now_s())
    bench.clock.advance(2)
    bench.store.failing_commits = 3
    for _ in range(3):
        with suppress(StoreError):
            bench.headend.step(0.0)
    assert bench.sent == []
    bench.live(10)
    assert bench.opened() == ["M1"]
    assert bench.acts("CUT") == [("CUT", "meter/M1")]


def test_silence_of_weeks_cuts_nobody_whatever_was_used_meanwhile() -> None:
    bench = ProtectBench(rules_of(), "M1")
    bench.pay("M1", 1)
    bench.live(2 * HOUR_S)
    bench.draw("M1", 1_000)
    report, bench.report = bench.report, lambda: None  # type: ignore[method-assign]
    bench.live(20 * DAY_S, period_s=HOUR_S)
    assert bench.relays == []
    assert bench.wishes() == []
    bench.report = report  # type: ignore[method-assign]
    bench.live(DAY_S)
    assert bench.relays == [], "its days are not settled: what it owes is not known yet"
    bench.store.close()


# presets --------------------------------------------------------------------------------------------------------

WEDNESDAY = date(2024, 11, 20)


@pytest.mark.parametrize(
    ("preset", "days", "from_hour", "to_hour"),
    [("bihar", 7, 11, 13), ("uttar-pradesh", 34, 8, 18), ("great-britain", 4, 12, 20)],
)
def test_cuts_under_a_preset_are_inside_its_hours_and_not_before_they_were_announced(
    preset: str, days: int, from_hour: int, to_hour: int
) -> None:
    bench = ProtectBench(load_rules(preset), "M1", "M2", first_day=WEDNESDAY)
    bench.draw("M1", 5_000)
    bench.draw("M2", 400)
    bench.live(days * DAY_S, period_s=HOUR_S)
    assert sorted(set(bench.opened())) == ["M1", "M2"]
    for meter, _, _, sent_s, expires_s in bench.relays:
        at = bench.local(sent_s)
        assert from_hour <= at.hour < to_hour
        assert at.weekday() != 6
        assert sent_s >= bench.announced(meter)[0]
        assert expires_s is not None
        assert expires_s > sent_s
    bench.store.close()


def test_flat_cuts_nobody_for_debt() -> None:
    bench = ProtectBench(load_rules("flat"), "M1", first_day=WEDNESDAY)
    bench.draw("M1", 5_000)
    bench.live(5 * DAY_S, period_s=HOUR_S)
    assert bench.relays == []
    assert bench.wishes() == []
    assert bench.acts("CUT_REFUSED", "POLICY_ISSUED") == []
    bench.store.close()


def test_uttar_pradesh_gives_small_homes_thirty_days_and_others_three() -> None:
    bench = ProtectBench(load_rules("uttar-pradesh"), first_day=WEDNESDAY)
    bench.enter("SMALL", load_w=2_000)
    bench.enter("LARGE", load_w=2_001)
    bench.connect()
    for meter in ("SMALL", "LARGE"):
        bench.draw(meter, 5_000)
    bench.live(1_802)
    zero_s = bench.clock.now_s() - 2
    bench.live(6 * DAY_S, period_s=HOUR_S)
    sent = {meter: sent_s for meter, _, _, sent_s, _ in bench.relays}
    assert list(sent) == ["LARGE"]
    bench.live(28 * DAY_S, period_s=HOUR_S)
    sent = {meter: sent_s for meter, _, _, sent_s, _ in bench.relays}
    assert 3 * DAY_S <= sent["LARGE"] - zero_s < 7 * DAY_S
    assert 30 * DAY_S <= sent["SMALL"] - zero_s < 34 * DAY_S
    bench.store.close()


def test_great_britain_protects_at_night_and_at_weekends_a_home_that_had_credit_then() -> None:
    friday = date(2024, 11, 22)
    bench = ProtectBench(load_rules("great-britain"), "M1", first_day=friday)
    bench.pay("M1", 500)
    bench.until(0, 20)
    bench.draw("M1", 5_000)
    bench.until(3, 11, 59)
    assert bench.relays == [], "from Friday 19:30 to Monday 12:00"
    bench.until(3, 19)
    ((_, position, _, sent_s, _),) = bench.relays
    assert (position, bench.local(sent_s).date()) == ("open", friday + timedelta(days=3))
    bench.store.close()


def test_who_moves_in_has_a_grace_of_their_own_and_not_what_is_left_of_the_one_before() -> None:
    bench = ProtectBench(rules_of(grace_s=36 * HOUR_S), "M1")
    bench.draw("M1", 10)
    bench.until(1, 14)
    assert bench.opened() == ["M1"]
    row = bench.meter("M1")
    with bench.command_line() as uow:
        move_out(row, bench.day + 1, "asha", "test", uow, bench.clock.now_s())
    (debt,) = bench._query("SELECT zero_since_s, exhausted_since_s, cut_announced_s FROM standing")
    assert debt == (None, None, None)
    assert bench._query("SELECT * FROM debtor") == []
    bench.until(2, 9)
    bench.draw("M1", 1)
    bench.until(3, 9, 59)
    assert [position for _, position, *_ in bench.relays] == ["open", "closed"]
    since_s = bench._query("SELECT zero_since_s FROM standing")[0][0]
    assert since_s >= bench.at_s(2)
    bench.until(3, 13)
    assert bench.opened() == ["M1", "M1"]
    assert bench.relays[-1][3] - since_s >= 36 * HOUR_S
    bench.store.close()


def test_who_moves_in_is_told_nothing_of_the_energy_of_who_moved_out() -> None:
    bench = ProtectBench(rules_of(), "M1")
    bench.pay("M1", 1_000)
    bench.draw("M1", 100)
    bench.until(0, 8)
    row = bench.meter("M1")
    with bench.command_line() as uow:
        move_out(row, bench.day, "asha", "test", uow, bench.clock.now_s())
    bench.pay("M1", 50)
    bench.until(1, 8)
    assert bench.notices("M1", NoticeKind.ZERO_BALANCE, NoticeKind.LOW_BALANCE, NoticeKind.CUT_ANNOUNCED) == []
    assert bench._query("SELECT zero_since_s, balance_micros FROM standing") == [(None, 50_000_000)]
    bench.store.close()


def test_grace_begins_anew_after_a_recharge_that_came_and_was_used_up_while_the_head_end_was_down() -> None:
    bench = ProtectBench(rules_of(grace_s=36 * HOUR_S), "M1")
    bench.draw("M1", 10)
    bench.until(0, 1)
    bench.headend.stop()
    bench.clock.jump(bench.at_s(1) - bench.clock.now_s())
    bench.pay("M1", 100)
    midnight_wh = bench.registers["M1"]
    bench.clock.jump(bench.at_s(1, 9, 30) - bench.clock.now_s())
    bench.draw("M1", 91)
    bench.start()
    bench.connect()
    bench.seqs["M1"] += 1
    bench.readings(("M1", bench.seqs["M1"], bench.at_s(1), midnight_wh), snapshot=True)
    bench.report()
    bench.until(1, 13)
    assert bench._query("SELECT zero_since_s FROM standing") == [(bench.at_s(1, 9, 30),)]
    bench.until(2, 13)
    assert bench.opened() == []
    bench.until(3, 13)
    assert bench.opened() == ["M1"]
    bench.store.close()


def test_home_whose_register_says_what_cannot_be_is_listed_and_not_cut() -> None:
    """One reading of a broken register is no debt."""
    bench = ProtectBench(rules_of(grace_s=0, max_day_wh=10**8), "M1", "M2")
    for meter in ("M1", "M2"):
        bench.pay(meter, 100)
    bench.live(HOUR_S)
    bench.registers["M1"] += 10**9
    bench.draw("M2", 150)
    bench.until(1, 12)
    assert [meter for meter, position, *_ in bench.relays if position == "open"] == ["M2"]
    assert [(row.meter, row.kind) for row in bench.exceptions()] == [("M1", "IMPLAUSIBLE_JUMP")]
    bench.store.close()
