"""The gate: caps in any 24 hours, quarantine and release, and orders that are taken back before they are sent."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from plain_rules import PLAIN_CATEGORY
from unit.service.bench import PRICE, RUPEE, ZONE
from unit.service.protect_bench import DAY_S, HOUR_S, ProtectBench, in_debt, rules_of

from headend.domain.caps import CapLimits
from headend.domain.case import Origin
from headend.domain.tariff import CategoryTerms, Slab
from headend.rules import load_rules
from headend.service.audit_protection import ProtectionAudit
from headend.service.evidence import check_acts
from headend.service.gate import Decision, Verdict, Withheld, summary
from headend.service.ports.protection import NewDisconnection
from headend.service.quarantine import QuarantineError, drop, release
from headend.service.terms import change_terms

HOMES = ("M1", "M2", "M3", "M4")


def bench_with(caps: CapLimits, *homes: str) -> ProtectBench:
    """Homes in debt at 10:30, which only an operator cuts."""
    bench = ProtectBench(rules_of(caps=caps, disconnect_automatically=False), *(homes or HOMES))
    in_debt(bench, homes or HOMES)
    bench.until(0, 10, 30)
    return bench


@pytest.fixture
def capped() -> Iterator[ProtectBench]:
    """A fleet that may cut two homes in 24 hours."""
    made = bench_with(CapLimits(fleet=2))
    yield made
    made.store.close()


def verdicts(decisions: list[Decision]) -> list[str]:
    return [str(decision.verdict) for decision in decisions]


def numbers(bench: ProtectBench, state: str = "QUARANTINED") -> list[int]:
    with bench.store.view() as uow:
        return [wish.disconnection_id for wish in uow.waiting(state, 0, 100)]


def release_all(bench: ProtectBench) -> None:
    waiting = numbers(bench)
    with bench.command_line() as uow:
        release(waiting, "ravi", "checked", uow, bench.clock.now_s())


def test_order_without_debt_is_refused_where_the_rules_ask_for_debt() -> None:
    bench = ProtectBench(rules_of(), "M1")
    bench.pay("M1", 100)
    bench.until(0, 10, 30)
    (decision,) = bench.order_open("M1")
    assert (decision.verdict, decision.reasons) == (Verdict.REFUSED, ("IN_CREDIT",))
    (wish,) = bench.wishes()
    assert (wish.state, wish.refused_for, wish.requested_by) == ("REFUSED", "IN_CREDIT", "asha")
    assert bench.acts("CUT_REFUSED") == [("CUT_REFUSED", "meter/M1")]
    assert bench.relays == []
    bench.store.close()


def test_order_under_flat_rules_passes_whatever_the_balance() -> None:
    bench = ProtectBench(load_rules("flat"), "M1")
    bench.pay("M1", 100)
    bench.live(HOUR_S)
    assert verdicts(bench.order_open("M1")) == ["ISSUED"]
    bench.live(1)
    assert bench.opened() == ["M1"]
    bench.store.close()


def test_fleet_cap_holds_and_the_rest_waits(capped: ProtectBench) -> None:
    assert verdicts(capped.order_open(*HOMES)) == ["ISSUED", "ISSUED", "QUARANTINED", "QUARANTINED"]
    capped.live(60)
    assert capped.opened() == ["M1", "M2"]
    assert [wish.refused_for for wish in capped.wishes()[2:]] == ["CAP_FLEET", "CAP_FLEET"]
    assert len(capped.acts("QUARANTINED")) == 2


def test_same_order_again_changes_nothing(capped: ProtectBench) -> None:
    capped.order_open(*HOMES)
    again = capped.order_open(*HOMES)
    assert verdicts(again) == ["REFUSED"] * 4
    assert [decision.reasons for decision in again] == [
        ("ALREADY_OPEN",), ("ALREADY_OPEN",), (Withheld.IN_QUARANTINE,), (Withheld.IN_QUARANTINE,)
    ]  # fmt: skip
    assert summary(again)["ALREADY_OPEN"] == 2


def test_cap_of_a_feeder_and_of_a_region_count_their_own_homes_only() -> None:
    for caps, reason in ((CapLimits(feeder=1), "CAP_FEEDER"), (CapLimits(region=2), "CAP_REGION")):
        bench = ProtectBench(rules_of(caps=caps, disconnect_automatically=False))
        bench.enter("A1", "A2", feeder="F1")
        bench.enter("B1", feeder="F2")
        bench.enter("N1", "N2")
        bench.connect()
        in_debt(bench, ["A1", "A2", "B1", "N1", "N2"])
        bench.until(0, 10, 30)
        found = {each.meter: each.reasons for each in bench.order_open("A1", "A2", "B1", "N1", "N2")}
        held = {meter for meter, reasons in found.items() if reasons == (reason,)}
        assert held == ({"A2"} if reason == "CAP_FEEDER" else {"B1", "N1", "N2"})
        bench.store.close()


def test_cap_counts_the_24_hours_before_now_and_not_the_calendar_day(capped: ProtectBench) -> None:
    capped.until(0, 12)
    assert verdicts(capped.order_open("M1", "M2")) == ["ISSUED", "ISSUED"]
    capped.until(1, 10, 30)
    (kept,) = capped.order_open("M3")
    assert (kept.verdict, kept.reasons) == (Verdict.QUARANTINED, ("CAP_FLEET",))
    capped.until(1, 12, 1)
    assert verdicts(capped.order_open("M4")) == ["ISSUED"]


def test_release_needs_a_second_person_however_the_name_is_written(capped: ProtectBench) -> None:
    capped.order_open(*HOMES, actor="asha")
    waiting = numbers(capped)
    for name in ("asha", "Asha", " ASHA "):
        with pytest.raises(QuarantineError, match="second person"), capped.command_line() as uow:
            release(waiting, name, "checked", uow, capped.clock.now_s())
    assert numbers(capped) == waiting
    with capped.command_line() as uow:
        assert release(waiting, "ravi", "checked", uow, capped.clock.now_s()) == 2
    assert numbers(capped, "RELEASED") == waiting
    assert len(capped.acts("RELEASED")) == 2


def test_released_orders_go_as_there_is_room_and_never_beyond_the_cap(capped: ProtectBench) -> None:
    capped.order_open(*HOMES)
    first_s = capped.clock.now_s()
    release_all(capped)
    capped.until(0, 12, 59)
    assert capped.opened() == ["M1", "M2"]
    capped.until(1, 13)
    late = [(meter, sent_s) for meter, _, _, sent_s, _ in capped.relays][2:]
    assert [meter for meter, _ in late] == ["M3", "M4"]
    assert all(sent_s - first_s >= DAY_S for _, sent_s in late)
    assert [wish.state for wish in capped.wishes()] == ["ISSUED"] * 4
    assert len(capped.acts("CUT")) == 4


def test_released_cut_cites_the_balance_at_which_it_was_made(capped: ProtectBench) -> None:
    capped.order_open(*HOMES)
    release_all(capped)
    capped.draw("M3", 5)
    capped.until(1, 13)
    wish = capped.wishes("M3")[0]
    basis = json.loads(wish.basis)
    assert basis["balance_micros"] == -15_000_000
    assert wish.decided_at_s - basis["read_at_s"] <= HOUR_S
    assert (wish.decided_by, wish.requested_by) == ("ravi", "asha")


def test_released_order_for_a_home_that_has_paid_meanwhile_is_ended(capped: ProtectBench) -> None:
    capped.order_open(*HOMES)
    release_all(capped)
    capped.pay("M3", 50)
    capped.live(HOUR_S)
    wish = capped.wishes("M3")[0]
    assert (wish.state, (wish.refused_for or "").split(",")[0]) == ("REFUSED", "IN_CREDIT")
    capped.until(2, 13)
    assert capped.opened() == ["M1", "M2", "M4"]


def test_released_order_waits_for_the_permitted_hours(capped: ProtectBench) -> None:
    capped.order_open(*HOMES)
    capped.until(1, 13, 1)
    release_all(capped)
    capped.until(2, 9, 59)
    assert capped.opened() == ["M1", "M2"]
    capped.until(2, 10, 12)
    assert capped.opened() == list(HOMES)


def test_dropped_order_is_never_carried_out_and_frees_the_home_for_another(capped: ProtectBench) -> None:
    capped.order_open(*HOMES)
    third, fourth = numbers(capped)
    with capped.command_line() as uow:
        assert drop([third], "asha", "a mistake", uow, capped.clock.now_s()) == 1
    with pytest.raises(QuarantineError, match="not in quarantine"), capped.command_line() as uow:
        release([fourth, third], "ravi", "checked", uow, capped.clock.now_s())
    assert numbers(capped) == [fourth], "and none of the others was released"
    capped.until(1, 12)
    assert capped.opened() == ["M1", "M2"]
    assert verdicts(capped.order_open("M3")) == ["ISSUED"]


def test_order_too_near_the_end_of_the_hours_is_refused_and_not_issued_to_expire(capped: ProtectBench) -> None:
    capped.until(0, 12, 50)
    (decision,) = capped.order_open("M1")
    assert decision.reasons == (Withheld.AT_THE_EDGE,)
    assert capped.relay_states("M1") == []


def test_order_expires_before_a_moratorium_that_is_declared_for_later(capped: ProtectBench) -> None:
    capped.declare(capped.at_s(0, 10, 50), capped.at_s(3))
    capped.order_open("M1")
    capped.live(1)
    assert capped.relays[0][4] == capped.at_s(0, 10, 40), "by twice the tolerance for the meter's clock"


@pytest.mark.parametrize("hours", [9, 13, 20, 23])
def test_order_in_protected_hours_is_refused_with_their_end(capped: ProtectBench, hours: int) -> None:
    capped.until(1, hours)
    (decision,) = capped.order_open("M1")
    assert decision.reasons == ("PROTECTED_HOURS",)
    assert decision.until_s == capped.at_s(1 if hours < 10 else 2, 10)


def test_order_under_rules_without_hours_passes_at_every_minute_of_the_day() -> None:
    bench = ProtectBench(load_rules("flat"), *[f"M{number}" for number in range(1, 7)])
    minutes = (-10, -1, 0, 1, 9, 30)
    for number, minute in enumerate(minutes, 1):
        bench.live(bench.at_s(1, 0) + minute * 60 - bench.clock.now_s())
        assert verdicts(bench.order_open(f"M{number}")) == ["ISSUED"], minute
    bench.store.close()


# taken back -----------------------------------------------------------------------------------------------------


def test_order_that_waits_when_a_moratorium_is_declared_is_never_sent(capped: ProtectBench) -> None:
    capped.status(online=False)
    capped.run()
    capped.order_open("M1")
    capped.wait(1)
    capped.declare(capped.clock.now_s(), capped.at_s(9))
    capped.wait(1)
    capped.greet()
    capped.live(60)
    assert capped.relays == []
    assert capped.relay_states("M1") == ["WITHDRAWN"]
    assert capped.refusals("M1")[-1] == "MORATORIUM"


def test_order_and_moratorium_of_the_same_second_send_nothing(capped: ProtectBench) -> None:
    capped.order_open("M1")
    capped.declare(capped.clock.now_s(), capped.at_s(9))
    capped.live(5)
    assert capped.relays == []
    assert capped.relay_states("M1") == ["WITHDRAWN"]


def test_moratorium_of_another_region_takes_nothing_back(capped: ProtectBench) -> None:
    capped.order_open("M1")
    capped.declare(capped.clock.now_s(), capped.at_s(9), region="R2")
    capped.live(5)
    assert capped.opened() == ["M1"]


def test_order_that_was_sent_and_not_answered_is_followed_by_one_to_close(capped: ProtectBench) -> None:
    capped.obeys = False
    capped.order_open("M1")
    capped.live(1)
    assert [position for _, position, *_ in capped.relays] == ["open"]
    capped.declare(capped.clock.now_s(), capped.at_s(9))
    capped.live(15 * 60)
    assert [position for _, position, *_ in capped.relays][:2] == ["open", "closed"]
    assert capped.opened() == ["M1"], "it is not sent a second time"
    capped.obeys = True
    capped.live(HOUR_S)
    assert capped.relay_states("M1") == ["SUPERSEDED", "APPLIED"]


def test_order_that_waits_when_an_outage_begins_is_never_sent(capped: ProtectBench) -> None:
    capped.status(online=False)
    capped.run()
    capped.order_open("M1")
    capped.link.disconnect()
    capped.run()
    capped.wait(1_300)
    capped.wait(600)
    capped.link.connect()
    capped.greet()
    capped.live(1)
    assert capped.relays == []


def test_recharge_accepted_before_the_order_is_sent_takes_it_back(capped: ProtectBench) -> None:
    capped.status(online=False)
    capped.run()
    capped.order_open("M1")
    capped.obeys = False
    capped.pay("M1", 1)
    capped.greet()
    capped.live(30)
    assert capped.relays == []
    assert capped.relay_states("M1")[0] == "WITHDRAWN"


def test_order_that_nothing_protects_from_is_sent_again_until_it_is_answered(capped: ProtectBench) -> None:
    capped.obeys = False
    capped.order_open("M1")
    for _ in range(6):
        capped.live(10)
    assert capped.opened().count("M1") >= 3


def test_wish_by_the_rules_is_held_to_debt_though_orders_are_not() -> None:
    bench = ProtectBench(rules_of(debt_only=False), "M1")
    bench.pay("M1", 100)
    bench.until(0, 10, 30)
    (by_rule,) = bench.order_open("M1", origin=Origin.DEBT)
    assert by_rule.reasons == ("IN_CREDIT",)
    assert verdicts(bench.order_open("M1")) == ["ISSUED"]
    bench.store.close()


def test_home_is_judged_by_the_terms_in_force_and_not_by_those_of_its_registration() -> None:
    rules = rules_of(disconnect_automatically=False, grace_s=0)
    dear = CategoryTerms("dear", (Slab(0, 10 * PRICE * 1_000),))
    rules = replace(rules, tariff=replace(rules.tariff, categories=(*rules.tariff.categories, dear)))
    bench = ProtectBench(rules)
    bench.enter("M1", category="dear")
    bench.connect()
    bench.pay("M1", 100)
    bench.live(60)
    row = bench.meter("M1")
    with bench.command_line() as uow:
        change_terms(row, bench.day, PLAIN_CATEGORY, 2_000, "asha", "test", uow, bench.clock.now_s())
    bench.draw("M1", 20)
    bench.until(0, 10, 30)
    (decision,) = bench.order_open("M1")
    assert (decision.verdict, decision.reasons) == (Verdict.REFUSED, ("IN_CREDIT",))
    (wish,) = bench.wishes()
    assert json.loads(wish.basis)["balance_micros"] == 80 * RUPEE
    assert json.loads(wish.basis)["load_w"] == 2_000
    bench.draw("M1", 90)
    bench.until(0, 11)
    assert verdicts(bench.order_open("M1")) == ["ISSUED"]
    bench.live(60)
    bench.pay("M1", 20)
    bench.live(60)
    assert [position for _, position, *_ in bench.relays] == ["open", "closed"]
    bench.store.close()


def test_audit_holds_no_cut_against_a_moratorium_that_was_declared_after_it(capped: ProtectBench) -> None:
    audit = ProtectionAudit(capped.rules, ZONE)
    assert verdicts(capped.order_open("M1")) == ["ISSUED"]
    capped.until(0, 12)
    capped.declare(capped.at_s(0), capped.at_s(2))
    with capped.store.view() as uow:
        assert list(audit.inside_windows(uow)) == []
        later_s = capped.clock.now_s() + 60
    with capped.store.transaction() as uow:
        uow.add_disconnections([_issued_at(later_s)])
    with capped.store.view() as uow:
        ((meter, detail),) = audit.inside_windows(uow)
    assert (meter, "protected by moratorium: Chhath" in detail) == ("M2", True)


def _issued_at(now_s: int) -> NewDisconnection:
    basis = '{"exhausted_since_s":null}'
    return NewDisconnection(2, now_s, "asha", "ORDER", "unpaid", "ISSUED", None, basis, now_s, "asha", 1)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE disconnection SET basis = replace(basis, '-10000000', '-90000000')", "meter M1"),
        ("UPDATE disconnection SET basis = json_set(basis, '$.read_at_s', requested_at_s - 60)", "meter M1"),
        ("UPDATE disconnection SET basis = 'x'", "meter M1"),
        ("UPDATE disconnection SET requested_by = 'ravi'", "meter M1"),
        ("UPDATE disconnection SET decided_at_s = decided_at_s - 60", "meter M1"),
        ("UPDATE disconnection SET origin = 'DEBT'", "meter M1"),
        ("DELETE FROM disconnection", "act 3"),
        ("DELETE FROM act WHERE kind = 'CUT'", "meter M1"),
        ("UPDATE moratorium SET to_s = to_s - 60", "moratorium 1"),
        ("UPDATE moratorium SET region = 'R9'", "moratorium 1"),
        ("UPDATE moratorium SET declared_by = 'ravi'", "moratorium 1"),
        ("UPDATE moratorium SET declared_at_s = declared_at_s + 60", "moratorium 1"),
        ("DELETE FROM moratorium", "act 4"),
    ],
)
def test_a_decision_that_is_not_what_its_act_says_is_found(capped: ProtectBench, change: str, found: str) -> None:
    capped.order_open("M1")
    capped.declare(capped.at_s(1), capped.at_s(2))
    with capped.store.view() as uow:
        assert check_acts(uow) == []
    capped._query(f"{change} RETURNING 1")
    with capped.store.view() as uow:
        assert found in [subject for subject, _ in check_acts(uow)]


def test_order_of_the_rules_is_not_sent_any_more_once_the_rules_cut_nobody() -> None:
    bench = ProtectBench(rules_of(grace_s=0), "M1", "M2")
    bench.until(0, 10, 29)
    for meter in ("M1", "M2"):
        bench.draw(meter, 10)
    bench.until(0, 10, 31)
    assert verdicts(bench.order_open("M1", origin=Origin.DEBT)) == ["ISSUED"]
    assert verdicts(bench.order_open("M2")) == ["ISSUED"]
    bench.rules = rules_of(grace_s=0, disconnect_automatically=False)
    bench.settings = replace(bench.settings, rules=bench.rules)
    bench.start()
    bench.connect()
    bench.report()
    bench.live(120)
    assert bench.opened() == ["M2"], "a person's order stands"
    assert bench.relay_states("M1") == ["WITHDRAWN"]
    assert bench.refusals("M1")[-1] == "NOT_BY_RULE"
    bench.store.close()
