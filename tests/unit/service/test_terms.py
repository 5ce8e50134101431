"""What a meter is billed by from a day on: category, load, and whose account it is."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from unit.service.bench import DAY, RUPEE, Bench
from unit.service.billing_course import account_balances, prices_of

from headend.rules import load_rules
from headend.service.accounts import shown_balance
from headend.service.terms import TermsOutcome, change_terms, move_out

KWH = 1_000
CHEAP, DEAR, RURAL = 4_120, 5_520, 2_450
"""Micros per Wh of the preset: the first 100 kWh of a month, more, and rural."""


@pytest.fixture
def bihar() -> Iterator[Bench]:
    """A head-end with the meter M1, registered on 30 October."""
    made = Bench(rules=load_rules("bihar"))
    made.register("M1")
    made.connect()
    yield made
    assert made.violations() == []
    made.store.close()


def change(bench: Bench, day: int, category: str | None = None, load_w: int | None = None) -> TermsOutcome:
    with bench.store.transaction() as uow:
        row = uow.meter_row("M1")
        assert row is not None
        done = change_terms(row, DAY + day, category, load_w, "clerk", "test", uow, bench.clock.now_s())
    bench.store.news = True
    return done


def leave(bench: Bench, last_day: int) -> TermsOutcome:
    with bench.store.transaction() as uow:
        row = uow.meter_row("M1")
        assert row is not None
        done = move_out(row, DAY + last_day, "clerk", "test", uow, bench.clock.now_s())
    bench.store.news = True
    return done


def close(bench: Bench, day: int, kwh: int) -> None:
    """The snapshot that closes a day, with the register at so many kWh."""
    bench.midnight(("M1", day + 1, day, kwh * KWH))
    bench.run()


def charges(bench: Bench) -> list[int]:
    """Each day's charge in micros, in order of the days."""
    with bench.store.view() as uow:
        return [row.total_micros for row in uow.charges("M1", DAY, DAY + 400) if not row.reversed]


def acts(bench: Bench) -> list[str]:
    return [kind for (kind,) in bench._query("SELECT kind FROM act WHERE subject = 'meter/M1' ORDER BY act_id")]


def test_a_category_holds_from_its_day_on(bihar: Bench) -> None:
    assert change(bihar, 1, "rural") is TermsOutcome.CHANGED
    for day in range(3):
        close(bihar, day, 10 * (day + 1))
    assert charges(bihar) == [10 * KWH * CHEAP, 10 * KWH * RURAL, 10 * KWH * RURAL]
    assert acts(bihar) == ["TERMS_CHANGED"]


def test_slabs_run_on_over_a_change_of_category(bihar: Bench) -> None:
    """Rural until 1 November, urban on the 2nd: the 90 kWh of the 1st count for its slabs."""
    assert change(bihar, 0, "rural") is TermsOutcome.CHANGED
    assert change(bihar, 3, "urban") is TermsOutcome.CHANGED
    for day, kwh in enumerate((50, 100, 190, 210)):
        close(bihar, day, kwh)
    assert charges(bihar)[2:] == [90 * KWH * RURAL, 10 * KWH * CHEAP + 10 * KWH * DEAR]


def test_the_same_terms_again_change_nothing(bihar: Bench) -> None:
    assert change(bihar, 1, "rural", 2_000) is TermsOutcome.CHANGED
    assert change(bihar, 1, "rural", 2_000) is TermsOutcome.EXISTS
    assert change(bihar, 4, load_w=2_000) is TermsOutcome.EXISTS
    assert acts(bihar) == ["TERMS_CHANGED"]


def test_terms_of_a_day_can_be_changed_until_it_is_charged(bihar: Bench) -> None:
    assert change(bihar, 1, "rural") is TermsOutcome.CHANGED
    assert change(bihar, 1, "kutir-jyoti") is TermsOutcome.CHANGED
    close(bihar, 0, 10)
    assert change(bihar, 0, "rural") is TermsOutcome.ALREADY_SETTLED
    close(bihar, 1, 20)
    assert charges(bihar) == [10 * KWH * CHEAP, 10 * KWH * 1_970]


def test_terms_before_the_installation_are_refused(bihar: Bench) -> None:
    assert change(bihar, -1, "rural") is TermsOutcome.BEFORE_INSTALLED
    assert acts(bihar) == []


def test_a_category_without_a_price_leaves_the_day_open_and_lists_the_meter(bihar: Bench) -> None:
    assert change(bihar, 1, "palace") is TermsOutcome.CHANGED
    close(bihar, 0, 10)
    close(bihar, 1, 20)
    assert len(charges(bihar)) == 1
    assert bihar.exception_kinds() == [("M1", "NO_PRICE")]
    assert change(bihar, 1, "rural") is TermsOutcome.CHANGED
    bihar.run()
    assert charges(bihar) == [10 * KWH * CHEAP, 10 * KWH * RURAL]


# moving out -------------------------------------------------------------------------------------------------


def accounts(bench: Bench) -> list[int]:
    """The balances of the meter's consumers, in order, in micros."""
    return [
        balance
        for (balance,) in bench._query(
            "SELECT credits_micros - debits_micros FROM account WHERE meter_key = 1 ORDER BY account_key"
        )
    ]


def test_what_is_left_is_refunded_when_the_last_day_settles(bihar: Bench) -> None:
    bihar.recharge("M1", "P1", 100)
    assert leave(bihar, 0) is TermsOutcome.CHANGED
    assert accounts(bihar) == [100 * RUPEE, 0]
    close(bihar, 0, 10)
    assert accounts(bihar) == [0, 0]
    assert account_balances(bihar)["refunds"] == 100 * RUPEE - 10 * KWH * CHEAP
    assert acts(bihar) == ["MOVED_OUT"]


def test_the_refund_waits_for_a_last_day_that_comes_late(bihar: Bench) -> None:
    bihar.recharge("M1", "P1", 100)
    leave(bihar, 1)
    for day in (4, 3, 1):
        close(bihar, day, 10 * (day + 1))
    assert accounts(bihar) == [100 * RUPEE, 0], "its first day is missing: nobody knows what is left"
    assert account_balances(bihar)["refunds"] == 0
    close(bihar, 0, 10)
    assert accounts(bihar) == [0, 0]
    assert account_balances(bihar)["refunds"] == 100 * RUPEE - 20 * KWH * CHEAP
    close(bihar, 2, 30)
    assert accounts(bihar) == [0, -30 * KWH * CHEAP]


def test_a_debt_stays_with_who_made_it(bihar: Bench) -> None:
    leave(bihar, 0)
    close(bihar, 0, 10)
    close(bihar, 1, 20)
    assert accounts(bihar) == [-10 * KWH * CHEAP, -10 * KWH * CHEAP]
    assert account_balances(bihar)["refunds"] == 0


def test_the_next_consumer_begins_the_slabs_anew(bihar: Bench) -> None:
    """All in November: 95 kWh, the move, 20 kWh. Without the move, 15 of these would be dear."""
    leave(bihar, 2)
    for day, kwh in enumerate((0, 0, 95, 115)):
        close(bihar, day, kwh)
    assert charges(bihar) == [0, 0, 95 * KWH * CHEAP, 20 * KWH * CHEAP]


def test_a_recharge_between_goes_to_who_moves_in(bihar: Bench) -> None:
    bihar.recharge("M1", "P1", 100)
    leave(bihar, 0)
    bihar.recharge("M1", "P2", 50)
    assert accounts(bihar) == [100 * RUPEE, 50 * RUPEE]
    row = bihar.meter("M1")
    assert (row.credits_micros, row.account_from_day, row.credit_seq) == (50 * RUPEE, DAY + 1, 2)
    close(bihar, 0, 10)
    assert accounts(bihar) == [0, 50 * RUPEE]


def test_who_moves_in_is_shown_no_use_of_who_moved_out(bihar: Bench) -> None:
    leave(bihar, 1)
    bihar.recharge("M1", "P2", 50)
    bihar.readings(("M1", 9, bihar.clock.now_s() + 4 * 86_400, 900 * KWH))
    bihar.run()

    def shown() -> tuple[int, int | None]:
        balance = shown_balance(bihar.meter("M1"), prices_of(bihar).prices, DAY + 4, ZoneInfo("Asia/Kolkata"), [])
        return balance.shown_micros, balance.provisional_since_day

    assert shown() == (50 * RUPEE, DAY + 2)
    for day, kwh in enumerate((700, 880)):
        close(bihar, day, kwh)
    assert shown() == (50 * RUPEE - 20 * KWH * CHEAP, DAY + 2)


def test_consumers_may_follow_each_other_day_by_day(bihar: Bench) -> None:
    for day in range(3):
        bihar.recharge("M1", f"P{day}", 100)
        assert leave(bihar, day) is TermsOutcome.CHANGED
    for day in (2, 3, 1, 0):
        close(bihar, day, 10 * (day + 1))
    assert accounts(bihar) == [0, 0, 0, -10 * KWH * CHEAP]
    assert account_balances(bihar)["refunds"] == 3 * (100 * RUPEE - 10 * KWH * CHEAP)


def test_a_move_is_entered_once_and_not_into_the_past(bihar: Bench) -> None:
    close(bihar, 0, 10)
    assert leave(bihar, 0) is TermsOutcome.ALREADY_SETTLED
    assert leave(bihar, 2) is TermsOutcome.CHANGED
    assert leave(bihar, 2) is TermsOutcome.TOO_EARLY, "the next consumer's time begins after it"
    assert leave(bihar, 1) is TermsOutcome.TOO_EARLY
    assert len(accounts(bihar)) == 2


def test_a_move_keeps_category_and_load(bihar: Bench) -> None:
    change(bihar, 0, "rural", 3_000)
    leave(bihar, 0)
    for day in range(2):
        close(bihar, day, 10 * (day + 1))
    with bihar.store.view() as uow:
        rows = uow.charges("M1", DAY, DAY + 1)
    assert [(row.category, row.load_w) for row in rows] == [("rural", 3_000)] * 2
