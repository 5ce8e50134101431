"""The balance that is shown: posted less unsettled, with the time that it is of."""

from hypothesis import given
from hypothesis import strategies as st

from headend.domain.account import Balance, balance
from headend.domain.tariff import FlatTariff

TARIFF = FlatTariff(4_120)
wh = st.integers(0, 2**53)


def balance_of(
    credits_micros: int, debits_micros: int, register_wh: int, settled_wh: int, as_of_s: int | None = 7
) -> Balance:
    return balance(
        TARIFF,
        credits_micros=credits_micros,
        debits_micros=debits_micros,
        register_wh=register_wh,
        settled_register_wh=settled_wh,
        as_of_s=as_of_s,
    )


def test_shown_balance_is_posted_less_unsettled_energy() -> None:
    found = balance_of(100_000_000, 30_000_000, 5_000, 3_000)
    assert found == Balance(70_000_000, 2_000, 8_240_000, 7)
    assert found.shown_micros == 61_760_000


def test_balance_may_be_below_zero() -> None:
    assert balance_of(0, 0, 1_000, 0).shown_micros == -4_120_000


def test_meter_that_never_reported_has_no_time() -> None:
    assert balance_of(5, 0, 0, 0, None).as_of_s is None


def test_register_behind_the_settled_one_gives_nothing_back() -> None:
    found = balance_of(10, 0, 1_000, 2_000)
    assert (found.unsettled_wh, found.shown_micros) == (0, 10)


@given(wh, wh, wh)
def test_settling_a_day_does_not_move_the_shown_balance(opening_wh: int, day_wh: int, since_wh: int) -> None:
    register_wh = opening_wh + day_wh + since_wh
    before = balance_of(0, 0, register_wh, opening_wh)
    after = balance_of(0, TARIFF.energy_charge_micros(day_wh), register_wh, opening_wh + day_wh)
    assert before.shown_micros == after.shown_micros
