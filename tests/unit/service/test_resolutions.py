"""A meter that is ahead of the store, as after a restore: what a person brings about by resolving, and only he."""

import pytest
from unit.service.bench import RUPEE, START_S, TIMEOUT_S, Bench

from headend.domain.exception_kind import ExceptionKind
from headend.service.resolutions import MOST_LOST, Outcome, Resolution, resolve_exception, resolve_page


def resolve(bench: Bench, kind: str, meter: str = "M1") -> Resolution:
    with bench.store.transaction() as uow:
        done = resolve_exception(meter, kind, "asha", "looked at it", uow, bench.clock.now_s())
    bench.store.news = True
    bench.run()
    return done


def say(bench: Bench, credit_seq: int, total_micros: int, relay_version: int = 0, *, later_s: int = 1) -> None:
    bench.clock.advance(later_s)
    bench.hello(("M1", 0, credit_seq, total_micros, relay_version), ("M2", 0, 0, 0, 0))
    bench.run()


# --- credit -------------------------------------------------------------------------------------------------


def test_numbers_go_on_above_those_that_the_meter_has_seen(online: Bench) -> None:
    say(online, 2, 3 * RUPEE)
    for number, rupees in enumerate((2, 1, 5)):
        online.recharge("M1", f"PAY-{number}", rupees)
    online.run()
    assert online.commands() == []
    assert resolve(online, "CREDIT_AHEAD").outcome is Outcome.RESOLVED
    assert online.commands() == [("M1", "credit", 6)], "1 to 3 were ours, 1 and 2 the meter's: none goes out again"
    assert [row.seq for row in online.queue("M1")] == [4, 5, 6]
    online.credit_result("M1", 6, 8 * RUPEE)
    online.run()
    assert online.states("M1") == ["APPLIED"] * 3
    assert online.exceptions() == []
    assert online.violations(converged=True) == []


def test_meter_that_has_more_than_the_books_stays_listed_with_the_difference(online: Bench) -> None:
    say(online, 2, 30 * RUPEE)
    online.recharge("M1", "PAY-1", 10)
    done = resolve(online, "CREDIT_AHEAD")
    assert (done.outcome, done.missing_micros) == (Outcome.METER_HAS_MORE, 20 * RUPEE)
    assert online.exception_kinds() == [("M1", "CREDIT_AHEAD")]
    online.recharge("M1", "PAY-2", 20)
    assert resolve(online, "CREDIT_AHEAD").outcome is Outcome.RESOLVED
    assert online.commands() == [("M1", "credit", 4)]


def test_meter_that_has_just_what_the_books_have_is_told_so_and_answers_itself(online: Bench) -> None:
    say(online, 2, 30 * RUPEE)
    online.recharge("M1", "PAY-2", 20)
    online.recharge("M1", "PAY-1", 10)
    say(online, 2, 30 * RUPEE)
    assert online.states("M1") == ["QUEUED", "QUEUED"], "its numbers may stand for other recharges"
    resolve(online, "CREDIT_AHEAD")
    assert online.states("M1") == ["SENT", "SENT"]
    say(online, 2, 30 * RUPEE)
    assert online.exceptions() == [], "still where it said it was"
    online.credit_result("M1", 4, 30 * RUPEE)
    online.run()
    assert online.states("M1") == ["APPLIED", "APPLIED"]
    assert online.violations(converged=True) == []


def test_books_that_caught_up_before_the_meter_spoke_are_numbered_anew_too(online: Bench) -> None:
    for number in range(3):
        online.recharge("M1", f"PAY-{number}", 10)
    say(online, 2, 15 * RUPEE)
    assert online.exception_kinds() == [("M1", "CREDIT_TOTAL_DIFFERS")]
    assert online.commands() == []
    assert resolve(online, "CREDIT_TOTAL_DIFFERS").outcome is Outcome.RESOLVED
    assert online.commands() == [("M1", "credit", 6)]
    assert online.violations() == []


def test_answer_of_before_does_not_take_back_what_the_meter_said(online: Bench) -> None:
    say(online, 2, 2 * RUPEE, later_s=60)
    online.recharge("M1", "PAY-1")
    online.credit_result("M1", 0, 0, at_s=START_S + 59)
    online.run()
    assert online.exception_kinds() == [("M1", "CREDIT_AHEAD")]
    assert online.commands() == []


def test_answer_that_agrees_while_the_meter_is_ahead_applies_nothing(online: Bench) -> None:
    say(online, 1, RUPEE)
    online.recharge("M1", "PAY-OTHER")
    online.clock.advance(5)
    online.credit_result("M1", 1, RUPEE)
    online.run()
    assert online.states("M1") == ["QUEUED"]
    assert online.exception_kinds() == [("M1", "CREDIT_AHEAD")]


def test_number_beyond_belief_moves_nothing(online: Bench) -> None:
    say(online, MOST_LOST + 1, 0, MOST_LOST + 1)
    for kind in ("CREDIT_AHEAD", "RELAY_AHEAD"):
        done = resolve(online, kind)
        assert (done.outcome, done.said_number) == (Outcome.NOT_BELIEVED, MOST_LOST + 1)
    assert (online.meter("M1").credit_seq, online.meter("M1").relay_version) == (0, 0)
    assert len(online.exceptions()) == 2


def test_nothing_is_taken_over_without_a_person(online: Bench) -> None:
    say(online, 5, 0, 7)
    online.wait(100)
    row = online.meter("M1")
    assert (row.credit_seq, row.relay_version) == (0, 0)


def test_an_exchange_ends_what_the_old_device_said(online: Bench) -> None:
    from headend.service.devices import Devices, RegisterLimits, exchange_device

    say(online, 5, 50 * RUPEE, 7)
    with online.store.transaction() as uow:
        devices, limits = Devices("M1", "N1", 0, 0), RegisterLimits(1_000_000)
        exchange_device(devices, limits, 1, "asha", "it was broken", uow, online.clock.now_s())
    assert online.exceptions() == []


# --- relay --------------------------------------------------------------------------------------------------


def test_relay_that_is_ahead_is_ordered_closed_above_it(online: Bench) -> None:
    say(online, 0, 0, 7)
    online.order("M1", "closed")
    online.run()
    assert online.commands() == []
    assert resolve(online, "RELAY_AHEAD").outcome is Outcome.RESOLVED
    assert online.commands() == [("M1", "closed", 8)]
    online.relay_result("M1", 8)
    online.run()
    assert online.states("M1") == ["SUPERSEDED", "APPLIED"]
    assert online.violations(converged=True) == []


def test_resolving_never_opens_a_relay(online: Bench) -> None:
    online.order("M1", "open")
    online.run()
    online.relay_result("M1", 1)
    online.run()
    online.take()
    say(online, 0, 0, 2)
    online.order("M1", "open")
    resolve(online, "RELAY_AHEAD")
    assert online.commands() == [("M1", "closed", 3)]


def test_version_that_we_never_sent_is_not_taken_for_ours(online: Bench) -> None:
    online.status(False)
    online.order("M1", "closed")
    online.run()
    say(online, 0, 0, 1)
    assert online.exception_kinds() == [("M1", "RELAY_AHEAD")]
    assert online.states("M1") == ["QUEUED"]
    resolve(online, "RELAY_AHEAD")
    assert online.commands() == [("M1", "closed", 2)]


def test_order_to_close_that_is_older_for_the_meter_does_not_end_silently(online: Bench) -> None:
    online.order("M1", "closed")
    online.run()
    online.take()
    online.relay_result("M1", 1, code="OLDER_VERSION")
    online.run()
    assert online.exception_kinds() == [("M1", "RELAY_AHEAD")]
    assert online.states("M1") == ["SENT"]
    online.wait(TIMEOUT_S)
    assert online.commands() == [], "it is held until the meter's own version is known and a person has looked"
    say(online, 0, 0, 4)
    resolve(online, "RELAY_AHEAD")
    assert online.commands() == [("M1", "closed", 5)]


# --- all at once --------------------------------------------------------------------------------------------


def test_all_of_a_kind_are_resolved_as_far_as_that_is_safe(online: Bench) -> None:
    online.hello(("M1", 0, 1, 5 * RUPEE, 0), ("M2", 0, 1, RUPEE, 0))
    online.run()
    online.recharge("M2", "PAY-1")
    with online.store.transaction() as uow:
        now_s = online.clock.now_s()
        elsewhere = resolve_page(ExceptionKind.CREDIT_AHEAD, "R9", 0, "asha", "n", uow, now_s)
        done, after = resolve_page(ExceptionKind.CREDIT_AHEAD, "R1", 0, "asha", "n", uow, now_s)
    assert (elsewhere, after) == (([], None), None)
    assert [(each.meter, each.outcome) for each in done] == [
        ("M1", Outcome.METER_HAS_MORE),
        ("M2", Outcome.RESOLVED),
    ]
    assert online.exception_kinds() == [("M1", "CREDIT_AHEAD")]


def test_all_are_resolved_page_by_page(online: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headend.service.resolutions.PAGE", 1)
    online.hello(("M1", 0, 1, 5 * RUPEE, 0), ("M2", 0, 1, 0, 0))
    online.run()
    after: int | None = 0
    pages = []
    while after is not None:
        with online.store.transaction() as uow:
            page, after = resolve_page(
                ExceptionKind.CREDIT_AHEAD, None, after, "asha", "n", uow, online.clock.now_s()
            )
        pages.append([each.meter for each in page])
    assert pages == [["M1"], ["M2"], []], "those that are left are not looked at again"


@pytest.mark.parametrize("kind", ["CREDIT_AHEAD", "RELAY_AHEAD"])
def test_what_was_taken_over_is_in_the_audit_log(online: Bench, kind: str) -> None:
    say(online, 3, 0, 4)
    resolve(online, kind)
    ((basis,),) = online._query("SELECT basis FROM act WHERE kind = 'EXCEPTION_RESOLVED'")
    assert f'"lost_to":{3 if kind == "CREDIT_AHEAD" else 4}' in basis.replace(" ", "")
