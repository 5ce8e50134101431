"""What meters say of their counters, in results and in hellos."""

from unit.service.bench import RUPEE, START_S, TIMEOUT_S, Bench

from headend.wire.messages import CreditResult, Outcome


def credited(bench: Bench, count: int, meter: str = "M1") -> None:
    """Recharges of one rupee, so that the total at number n is n rupees."""
    for number in range(1, count + 1):
        bench.recharge(meter, f"PAY-{meter}-{number}")
    bench.run()
    bench.take()


def test_answer_acknowledges_all_before_it(online: Bench) -> None:
    credited(online, 3)
    online.credit_result("M1", 3, 3 * RUPEE)
    online.run()
    assert online.states("M1") == ["APPLIED"] * 3
    row = online.meter("M1")
    assert (row.applied_credit_seq, row.applied_credit_total_micros) == (3, 3 * RUPEE)
    assert online.commands() == []
    assert online.violations(converged=True) == []


def test_answer_acknowledges_nothing_after_it(online: Bench) -> None:
    credited(online, 3)
    online.credit_result("M1", 2, 2 * RUPEE)
    online.run()
    assert online.states("M1") == ["APPLIED", "APPLIED", "SENT"]
    assert online.commands() == []
    online.wait(TIMEOUT_S)
    assert online.commands() == [("M1", "credit", 3)], "what is left is sent on at the time-out"
    assert online.violations() == []


def test_answer_tells_when_it_was_applied(online: Bench) -> None:
    credited(online, 1)
    online.credit_result("M1", 1, RUPEE, at_s=START_S + 77)
    online.run()
    assert online.queue("M1")[0].applied_at_s == START_S + 77


def test_repeated_and_late_answers_change_nothing(online: Bench) -> None:
    credited(online, 3)
    for seq in (3, 3, 1, 2, 0, 3):
        online.credit_result("M1", seq, seq * RUPEE, at_s=START_S + seq)
        online.run()
    assert online.states("M1") == ["APPLIED"] * 3
    assert online.meter("M1").applied_credit_seq == 3
    assert online.exceptions() == []
    assert online.violations() == []


def test_several_answers_of_one_meter_in_one_message_count_as_the_furthest(online: Bench) -> None:
    credited(online, 3)
    online.results(
        *(
            CreditResult(
                meter="M1",
                seq=seq,
                credit_total_micros=seq * RUPEE,
                outcome=Outcome.APPLIED,
                at_s=START_S + seq,
            )
            for seq in (1, 3, 2)
        )
    )
    online.run()
    assert online.states("M1") == ["APPLIED"] * 3
    assert online.exceptions() == []


def test_answer_after_the_time_out_counts_all_the_same(online: Bench) -> None:
    credited(online, 1)
    online.status(False)
    online.wait(60)
    assert online.states("M1") == ["QUEUED"]
    online.credit_result("M1", 1, RUPEE)
    online.run()
    assert online.states("M1") == ["APPLIED"]
    assert online.violations() == []


def test_answer_with_another_total_is_for_a_person_and_applies_nothing(online: Bench) -> None:
    credited(online, 2)
    online.credit_result("M1", 2, 2 * RUPEE + 1)
    online.run()
    assert online.exception_kinds() == [("M1", "CREDIT_TOTAL_DIFFERS")]
    assert "APPLIED" not in online.states("M1")
    online.wait(100)
    assert online.commands() == [], "nothing more goes to this counter"
    assert online.violations() == []


def test_answer_ahead_of_us_is_for_a_person_and_applies_nothing(online: Bench) -> None:
    credited(online, 2)
    online.credit_result("M1", 3, 3 * RUPEE)
    online.run()
    assert online.exception_kinds() == [("M1", "CREDIT_AHEAD")]
    assert online.meter("M1").applied_credit_seq == 0
    assert online.violations() == []


def test_refused_credit_is_for_a_person_and_stays_open(online: Bench) -> None:
    credited(online, 1)
    online.credit_result("M1", 0, 0, code="TOTAL_WENT_BACK")
    online.run()
    (entry,) = online.exceptions()
    assert (entry.meter, entry.kind) == ("M1", "CREDIT_REFUSED")
    assert "TOTAL_WENT_BACK" in entry.detail
    assert online.states("M1")[0] in ("QUEUED", "SENT")
    assert online.commands() == []
    assert online.violations() == []


def test_refused_credit_that_is_there_after_all_is_applied(online: Bench) -> None:
    credited(online, 2)
    online.credit_result("M1", 1, RUPEE, code="TOTAL_WENT_BACK")
    online.run()
    assert online.meter("M1").applied_credit_seq == 1
    assert online.exception_kinds() == [("M1", "CREDIT_REFUSED")]


def test_credit_that_went_back_is_for_a_person(online: Bench) -> None:
    credited(online, 2)
    online.credit_result("M1", 2, 2 * RUPEE)
    online.run()
    online.clock.advance(5)
    online.credit_result("M1", 1, RUPEE)
    online.run()
    assert online.exception_kinds() == [("M1", "CREDIT_WENT_BACK")]
    assert online.meter("M1").applied_credit_seq == 2


def test_refusal_of_a_gateway_that_lost_the_meter_is_not_the_meters_counter(online: Bench) -> None:
    credited(online, 1)
    online.credit_result("M1", 1, RUPEE)
    online.wait(60)
    online.recharge("M1", "PAY-2")
    online.run()
    online.credit_result("M1", 0, 0, code="UNKNOWN_METER")
    online.run()
    assert online.exception_kinds() == [("M1", "METER_NOT_FOUND")]
    assert online.meter("M1").applied_credit_seq == 1
    online.take()
    online.wait(TIMEOUT_S)
    assert online.commands() == [("M1", "credit", 2)], "the credit goes on waiting for the meter"


def test_unknown_and_other_gateways_meters_are_kept_as_letters(online: Bench) -> None:
    credited(online, 1)
    credited(online, 1, "M3")
    online.credit_result("NOBODY", 1, RUPEE)
    online.credit_result("M3", 1, RUPEE)  # by G1, but it hangs on G2
    online.credit_result("M1", 1, RUPEE)
    online.run()
    assert online.states("M1") == ["APPLIED"]
    assert online.states("M3") == ["SENT"]
    assert [letter.code for letter in online.dead_letters()] == ["ROWS_REFUSED"] * 2


def test_held_meter_delays_no_other(online: Bench) -> None:
    credited(online, 1)
    online.credit_result("M1", 5, 5)
    online.run()
    online.recharge("M1", "A")
    online.recharge("M2", "B")
    online.order("M1", "closed")
    online.run()
    assert sorted(online.commands()) == [("M1", "closed", 1), ("M2", "credit", 1)], "the relay is another counter"


# --- relays -------------------------------------------------------------------------------------------------


def test_applied_relay_ends_older_ones_as_superseded(online: Bench) -> None:
    for position in ("open", "closed"):
        online.order("M1", position)
        online.run()
    online.relay_result("M1", 1, code="OLDER_VERSION")  # its lane goes on
    online.run()
    online.relay_result("M1", 2)
    online.run()
    assert online.states("M1") == ["OLDER_VERSION", "APPLIED"]
    assert online.meter("M1").applied_relay_version == 2


def test_late_answer_of_a_superseded_order_changes_nothing(online: Bench) -> None:
    online.order("M1", "closed")
    online.run()
    online.order("M1", "closed")
    online.wait(10)
    online.relay_result("M1", 2)
    online.run()
    online.relay_result("M1", 1)
    online.run()
    assert online.states("M1") == ["SUPERSEDED", "APPLIED"]
    assert online.meter("M1").applied_relay_version == 2
    assert online.violations(converged=True) == []


def test_refused_order_ends_with_the_meters_reason(online: Bench) -> None:
    online.order("M1", "open")
    online.run()
    online.relay_result("M1", 1, code="EXPIRED")
    online.run()
    assert online.states("M1") == ["EXPIRED"]
    online.wait(60)
    online.relay_result("M1", 1)
    online.run()
    assert online.states("M1") == ["EXPIRED"], "an end is an end"


def test_answer_to_an_order_that_we_never_gave_is_for_a_person(online: Bench) -> None:
    online.relay_result("M1", 9)
    online.run()
    assert online.exception_kinds() == [("M1", "RELAY_AHEAD")]
    online.order("M1", "closed")
    online.run()
    assert online.commands() == []


def test_superseded_order_to_open_is_never_sent_after_the_newer_one_was_refused(online: Bench) -> None:
    online.order("M1", "open")
    online.run()
    online.order("M1", "closed")
    online.wait(10)
    assert online.commands()[-1] == ("M1", "closed", 2)
    online.relay_result("M1", 2, code="UNKNOWN_METER")
    online.wait(10)
    assert "open" not in {kind for _, kind, _ in online.commands()}


# --- hello --------------------------------------------------------------------------------------------------


def test_hello_marks_applied_what_the_meter_has(online: Bench) -> None:
    credited(online, 3)
    online.order("M1", "closed")
    online.run()
    online.hello(("M1", 0, 3, 3 * RUPEE, 1))
    online.run()
    assert online.states("M1") == ["APPLIED"] * 4
    assert online.violations(converged=True) == []


def test_hello_is_receipted_and_its_strangers_are_named(online: Bench) -> None:
    frame = online.hello(("M1", 0, 0, 0, 0), ("NOBODY", 0, 0, 0, 0), ("M3", 0, 9, 9, 9))
    online.run()
    receipt = online.receipts()[frame]
    assert receipt.outcome == "accepted"
    assert sorted((row.meter, str(row.code)) for row in receipt.refused) == [
        ("M3", "OTHER_GATEWAY"),
        ("NOBODY", "UNKNOWN_METER"),
    ]
    assert online.exceptions() == [], "nobody speaks for another gateway's meter"
    assert len(online.dead_letters()) == 1


def test_hello_flags_every_counter_that_is_wrong(online: Bench) -> None:
    online.readings(("M1", 1, START_S, 500))
    online.wait(5)
    online.hello(("M1", 499, 1, 1, 1), ("M2", 0, 0, 1, 0))
    online.run()
    assert sorted(online.exception_kinds()) == [
        ("M1", "CREDIT_AHEAD"),
        ("M1", "REGISTER_WENT_BACK"),
        ("M1", "RELAY_AHEAD"),
        ("M2", "CREDIT_TOTAL_DIFFERS"),
    ]
    assert online.register_of("M1") == (1, 500)


def test_late_hello_is_harmless(online: Bench) -> None:
    credited(online, 2)
    online.clock.advance(10)
    online.readings(("M1", 1, START_S + 10, 500))
    online.credit_result("M1", 2, 2 * RUPEE)
    online.run()
    online.hello(("M1", 100, 1, RUPEE, 0), at_s=START_S + 3)
    online.run()
    assert online.exceptions() == []
    assert online.meter("M1").applied_credit_seq == 2


def test_exception_is_listed_once_and_counted(online: Bench) -> None:
    for seconds in range(3):
        online.hello(("M1", 0, 9, 9, 0))
        online.wait(seconds)
    (entry,) = online.exceptions()
    assert (entry.count, entry.first_at_s, entry.last_at_s) == (3, START_S, START_S + 3)


def test_reading_number_that_went_back_is_for_a_person(online: Bench) -> None:
    online.readings(("M1", 500, START_S, 500))
    online.wait(5)
    online.hello(("M1", 510, 0, 0, 0), reading_seq=3)  # its later readings all look old
    online.run()
    assert online.exception_kinds() == [("M1", "READING_SEQ_WENT_BACK")]
