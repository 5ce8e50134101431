"""Corrections: reversals that name what they reverse, and days that are billed anew."""

from collections.abc import Iterator

import pytest
from unit.service.bench import DAY, PRICE, RUPEE, Bench
from unit.service.billing_course import Course, Home, account_balances, deliver_in_time

from headend.domain.ledger import TransferKind
from headend.rules import load_rules
from headend.service.corrections import ReverseOutcome, rebill, reverse
from headend.service.ports.billing import SettledDay
from headend.service.rows import NewTransfer
from headend.service.settle import day_hash
from headend.service.terms import TermsOutcome, change_terms

KWH = 1_000
CHEAP, RURAL = 4_120, 2_450
DAYS = 4
LINES = ("charges", "energy", "fixed", "duty", "rebates", "rounding")


@pytest.fixture
def billed() -> Iterator[Bench]:
    """The meter M1 under `bihar` with a recharge of Rs 1,000 and four days of 10 kWh, the last two in November."""
    made = deliver_in_time(Course(load_rules("bihar"), [Home("M1", [[10 * KWH]] * DAYS)], recharges={"M1": 1_000}))
    yield made
    assert made.violations() == []
    assert account_balances(made)["charges"] == 0
    assert sum(account_balances(made).values()) == 0
    made.store.close()


def take_back(bench: Bench, reference: str) -> ReverseOutcome:
    with bench.store.transaction() as uow:
        done = reverse(reference, "clerk", "test", uow, bench.clock.now_s())
    bench.store.news = True
    bench.run()
    return done.outcome


def bill_anew(bench: Bench, from_day: int, category: str | None = None) -> int:
    """Reverse the days from one on, change what they are billed by, and let them settle."""
    with bench.store.transaction() as uow:
        row = uow.meter_row("M1")
        assert row is not None
        count = rebill(row, DAY + from_day, "clerk", "test", uow, bench.clock.now_s())
        if category is not None:
            row = uow.meter_row("M1")
            assert row is not None
            done = change_terms(row, DAY + from_day, category, None, "clerk", "test", uow, bench.clock.now_s())
            assert done is TermsOutcome.CHANGED
    bench.store.news = True
    bench.run()
    return count


def charge(day: int) -> str:
    return f"charge/{('2024-10-30', '2024-10-31', '2024-11-01', '2024-11-02')[day]}/M1"


def standing(bench: Bench) -> list[int]:
    """The totals of the bills that stand, in micros."""
    with bench.store.view() as uow:
        return [row.total_micros for row in uow.charges("M1", DAY, DAY + DAYS) if not row.reversed]


def balance(bench: Bench) -> int:
    row = bench.meter("M1")
    return row.credits_micros - row.debits_micros


def content(bench: Bench) -> list[tuple[object, ...]]:
    tables = ("transfer", "charge", "act", "snapshot", "account")
    return [row for table in tables for row in bench._query(f"SELECT * FROM {table} ORDER BY 1, 2")]


def test_a_bounced_recharge_is_taken_back_here_and_not_at_the_meter(billed: Bench) -> None:
    before = balance(billed)
    assert take_back(billed, "FIRST-M1") is ReverseOutcome.REVERSED
    assert balance(billed) == before - 1_000 * RUPEE
    row = billed.meter("M1")
    assert (row.credit_seq, row.credit_total_micros) == (1, 1_000 * RUPEE)
    with billed.store.view() as uow:
        recharge, back = uow.transfer("FIRST-M1"), uow.transfer("reversal/FIRST-M1")
    assert recharge is not None
    assert back is not None
    assert back.corrects == recharge.transfer_id


def test_a_reversed_charge_comes_back_from_the_accounts_of_its_lines(billed: Bench) -> None:
    before, lines = balance(billed), account_balances(billed)
    assert take_back(billed, charge(1)) is ReverseOutcome.REVERSED
    assert balance(billed) == before + 10 * KWH * CHEAP
    assert account_balances(billed)["energy"] == lines["energy"] - 10 * KWH * CHEAP
    assert len(standing(billed)) == DAYS, "the day stays settled: it is forgiven, not billed anew"


@pytest.mark.parametrize("reference", ["FIRST-M1", charge(0)])
def test_a_second_reversal_changes_nothing(billed: Bench, reference: str) -> None:
    assert take_back(billed, reference) is ReverseOutcome.REVERSED
    before = content(billed)
    assert take_back(billed, reference) is ReverseOutcome.EXISTS
    assert content(billed) == before


@pytest.mark.parametrize(
    ("reference", "outcome"),
    [
        ("NEVER", ReverseOutcome.UNKNOWN_REFERENCE),
        (f"split/energy/{charge(0)}", ReverseOutcome.NOT_REVERSIBLE),
    ],
)
def test_what_is_no_recharge_and_no_charge_is_not_reversed(
    billed: Bench, reference: str, outcome: ReverseOutcome
) -> None:
    before = content(billed)
    assert take_back(billed, reference) is outcome
    assert content(billed) == before


def test_a_reversal_is_not_reversed(billed: Bench) -> None:
    take_back(billed, charge(0))
    assert take_back(billed, f"reversal/{charge(0)}") is ReverseOutcome.NOT_REVERSIBLE


def test_days_are_billed_anew_by_another_category(billed: Bench) -> None:
    assert standing(billed) == [10 * KWH * CHEAP] * DAYS
    assert bill_anew(billed, 1, "rural") == DAYS - 1
    assert standing(billed) == [10 * KWH * CHEAP] + [10 * KWH * RURAL] * 3
    assert balance(billed) == 1_000 * RUPEE - 10 * KWH * (CHEAP + 3 * RURAL)
    assert billed.charges("M1")[-1][0] == f"{charge(3)}/2"


def test_billing_anew_twice_leaves_the_last_bill(billed: Bench) -> None:
    bill_anew(billed, 0, "rural")
    bill_anew(billed, 2, "kutir-jyoti")
    assert standing(billed) == [10 * KWH * RURAL] * 2 + [10 * KWH * 1_970] * 2
    assert billed.charges("M1")[-1][0] == f"{charge(3)}/3"
    assert balance(billed) == 1_000 * RUPEE - sum(standing(billed))


def test_billing_anew_by_the_same_terms_gives_the_same_bills(billed: Bench) -> None:
    def hashes() -> list[str]:
        with billed.store.view() as uow:
            return [day_hash(DAY + day, uow) for day in range(DAYS)]

    before, bills, lines = hashes(), standing(billed), account_balances(billed)
    bill_anew(billed, 0)
    assert (hashes(), standing(billed), account_balances(billed)) == (before, bills, lines)
    assert len(set(before)) == DAYS


def test_a_charge_that_was_reversed_by_hand_is_not_reversed_again(billed: Bench) -> None:
    take_back(billed, charge(1))
    assert bill_anew(billed, 0, "rural") == DAYS
    assert standing(billed) == [10 * KWH * RURAL] * DAYS
    assert balance(billed) == 1_000 * RUPEE - DAYS * 10 * KWH * RURAL


def test_slabs_of_the_month_go_on_where_billing_anew_begins(billed: Bench) -> None:
    """The month's energy before the day still counts: 10 kWh of 1 November, then 95: the last 5 are dear."""
    billed.midnight(("M1", 5, 4, 40 * KWH + 95 * KWH))
    billed.run()
    before = standing(billed)[-1]
    with billed.store.view() as uow:
        (last,) = uow.charges("M1", DAY + 4, DAY + 4)
    assert last.month_wh == 20 * KWH
    bill_anew(billed, 4)
    assert standing(billed)[-1] == before == 80 * KWH * CHEAP + 15 * KWH * 5_520
    bill_anew(billed, 3)
    assert standing(billed)[-1] == before


def test_every_correction_is_kept_with_who_and_why(billed: Bench) -> None:
    take_back(billed, charge(1))
    bill_anew(billed, 2)
    rows = billed._query("SELECT actor, kind, subject, reason FROM act WHERE kind = 'REVERSAL' ORDER BY act_id")
    assert rows == [
        ("clerk", "REVERSAL", f"transfer/{charge(1)}", "test"),
        ("clerk", "REVERSAL", "meter/M1", "test"),
    ]


def test_a_day_without_use_is_billed_anew_too() -> None:
    bench = deliver_in_time(Course(load_rules("bihar"), [Home("M1", [[0], [10 * KWH], [0]])]))
    assert bill_anew(bench, 0, "rural") == 3
    assert standing(bench) == [0, 10 * KWH * RURAL, 0]
    assert bench.violations() == []
    bench.store.close()


def test_days_that_the_first_version_charged_are_not_charged_twice_when_billed_anew() -> None:
    bench = Bench()
    bench.register("M1")
    bench.connect()
    bench.recharge("M1", "P1", 1)
    bench.midnight(("M1", 1, 0, 10 * KWH))
    with bench.store.transaction() as uow:
        # As that version left it: one transfer, no bill.
        row, now_s = uow.meter_row("M1"), bench.clock.now_s()
        assert row is not None
        paid = row.account_key, uow.account_key("energy"), 10 * KWH * PRICE
        energy = NewTransfer("energy/M1/2024-10-30", TransferKind.ENERGY, *paid, now_s, now_s)
        uow.post([energy])
        uow.add_snapshots([(1, DAY, 10 * KWH)])
        uow.settle([(1, DAY)], [SettledDay(1, DAY, 10 * KWH, 0)], now_s)
    before = balance(bench)
    bench.run()
    assert balance(bench) == before
    assert bill_anew(bench, 0) == 1
    bench.run()
    assert standing(bench) == [10 * KWH * PRICE]
    assert balance(bench) == before == RUPEE - 10 * KWH * PRICE
    assert bill_anew(bench, 0) == 1
    assert balance(bench) == before
    bench.store.close()
