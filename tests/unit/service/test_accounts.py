"""The counter's use cases: one commit each, named outcomes, nothing half done."""

import pytest
from unit.service.bench import DAY, RUPEE, START_S, Bench, registration

from headend.domain.ledger import RecordOutcome
from headend.service.accounts import Recharge, RegisterOutcome, record_recharge, register_meters
from headend.service.ports import StoreError
from headend.wire.limits import MAX_INTEGER


def test_recharge_is_ledger_balance_and_delivery_at_once(bench: Bench) -> None:
    recorded = bench.recharge("M1", "PAY-1", 50)
    assert recorded.outcome is RecordOutcome.RECORDED
    assert recorded.transfer is not None
    assert recorded.transfer.amount_micros == 50 * RUPEE
    row = bench.meter("M1")
    assert (row.credits_micros, row.credit_seq, row.credit_total_micros) == (50 * RUPEE, 1, 50 * RUPEE)
    (delivery,) = bench.queue("M1")
    assert (delivery.kind, delivery.seq, delivery.state) == ("CREDIT", 1, "QUEUED")
    assert (delivery.reference, delivery.accepted_at_s, delivery.posted_at_s) == ("PAY-1", START_S, START_S)
    assert (delivery.sent_at_s, delivery.applied_at_s) == (None, None)
    assert bench.violations() == []


def test_resent_recharge_adds_credit_once(bench: Bench) -> None:
    first = bench.recharge("M1", "PAY-1", 50)
    bench.clock.advance(30 * 86_400)
    for _ in range(3):
        again = bench.recharge("M1", "PAY-1", 50)
        assert again.outcome is RecordOutcome.EXISTS
        assert again.transfer == first.transfer, "the answer is about the first one"
    assert bench.meter("M1").credits_micros == 50 * RUPEE
    assert len(bench.queue("M1")) == 1


@pytest.mark.parametrize(("meter", "rupees"), [("M1", 51), ("M2", 50), ("NOBODY", 50)])
def test_reference_with_other_content_changes_nothing(bench: Bench, meter: str, rupees: int) -> None:
    first = bench.recharge("M1", "PAY-1", 50)
    other = bench.recharge(meter, "PAY-1", rupees)
    assert other.outcome is RecordOutcome.EXISTS_DIFFERENT
    assert other.transfer == first.transfer
    assert bench.meter("M1").credits_micros == 50 * RUPEE
    assert bench.meter("M2").credits_micros == 0
    assert bench.violations() == []


def test_reference_of_an_energy_charge_is_no_recharge(bench: Bench) -> None:
    bench.midnight(("M1", 1, 0, 100))
    bench.run()
    ((reference, amount_micros),) = bench.charges("M1")
    with bench.store.transaction() as uow:
        recorded = record_recharge(Recharge("M1", amount_micros, reference), uow, START_S)
    assert recorded.outcome is RecordOutcome.EXISTS_DIFFERENT


def test_unknown_meter_is_not_credited(bench: Bench) -> None:
    recorded = bench.recharge("NOBODY", "PAY-1")
    assert (recorded.outcome, recorded.transfer) == (RecordOutcome.UNKNOWN_METER, None)
    bench.register("NOBODY")
    assert bench.recharge("NOBODY", "PAY-1").outcome is RecordOutcome.RECORDED, "the reference is still free"


def test_credit_numbers_are_gapless_and_totals_add_up(bench: Bench) -> None:
    for number in range(1, 6):
        bench.recharge("M1", f"PAY-{number}", number)
        bench.recharge("M1", f"PAY-{number}", number)
        bench.recharge("M1", f"PAY-{number}", number + 1)
    assert [row.seq for row in bench.queue("M1")] == [1, 2, 3, 4, 5]
    assert bench.meter("M1").credit_total_micros == 15 * RUPEE
    assert bench.violations() == []


@pytest.mark.parametrize("method", ["post", "issue_credit"])
def test_recharge_that_fails_half_way_leaves_nothing(bench: Bench, method: str) -> None:
    bench.store.failing_method = method
    with pytest.raises(StoreError):
        bench.recharge("M1", "PAY-1")
    assert bench.meter("M1").credits_micros == 0
    assert bench.queue("M1") == []
    assert bench.violations() == []
    assert bench.recharge("M1", "PAY-1").outcome is RecordOutcome.RECORDED


def test_recharge_that_fails_at_the_commit_leaves_nothing(bench: Bench) -> None:
    bench.store.failing_commits = 1
    with pytest.raises(StoreError):
        bench.recharge("M1", "PAY-1")
    assert bench.violations() == []
    assert bench.recharge("M1", "PAY-1").outcome is RecordOutcome.RECORDED
    assert bench.meter("M1").credit_seq == 1


def test_meter_is_registered_once(bench: Bench) -> None:
    new = [registration("M9"), registration("M9"), registration("M9", "G2"), registration("M1")]
    with bench.store.transaction() as uow:
        outcomes = register_meters(new, uow)
    assert outcomes == [
        RegisterOutcome.REGISTERED,
        RegisterOutcome.EXISTS,
        RegisterOutcome.EXISTS_DIFFERENT,
        RegisterOutcome.EXISTS,
    ]
    assert bench.meter("M9").gateway == "G1"


@pytest.mark.parametrize(
    "other", [registration("M1", "G2"), registration("M1", register_wh=1), registration("M1", day=DAY + 1)]
)
def test_meter_that_is_registered_otherwise_stays_as_it_is(bench: Bench, other: object) -> None:
    before = bench.meter("M1")
    with bench.store.transaction() as uow:
        assert register_meters([other], uow) == [RegisterOutcome.EXISTS_DIFFERENT]  # type: ignore[list-item]
    assert bench.meter("M1") == before


def test_new_meter_is_settled_up_to_its_installation(bench: Bench) -> None:
    bench.register("M9", register_wh=777)
    row = bench.meter("M9")
    assert (row.settled_day, row.settled_register_wh, row.register_wh) == (DAY - 1, 777, 777)
    assert (row.read_at_s, row.reading_seq, row.relay_open) == (None, 0, 0)


def test_order_to_open_expires_and_to_close_does_not(bench: Bench) -> None:
    assert bench.order("M1", "open", 60) == 1
    assert bench.order("M2", "closed") == 1
    with bench.store.view() as uow:
        orders = {meter: (version, relay, expires) for meter, version, relay, expires in uow.all_relay_orders()}
    assert orders == {"M1": (1, "open", START_S + 60), "M2": (1, "closed", None)}


def test_order_for_an_unknown_meter_is_none(bench: Bench) -> None:
    assert bench.order("NOBODY", "closed") is None


def test_credit_total_stays_within_what_the_wire_carries(bench: Bench) -> None:
    most_micros = 1_000_000 * RUPEE
    with bench.store.transaction() as uow:
        outcomes = [
            record_recharge(Recharge("M1", most_micros, f"PAY-{number}"), uow, START_S).outcome
            for number in range(MAX_INTEGER // most_micros + 1)
        ]
    assert set(outcomes[:-1]) == {RecordOutcome.RECORDED}
    assert outcomes[-1] is RecordOutcome.TOTAL_TOO_LARGE
    bench.connect()
    assert bench.meter("M1").credit_total_micros <= MAX_INTEGER
    assert bench.violations() == []
