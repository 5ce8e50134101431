"""The flat price: exact, and the same for one reading or for many."""

from hypothesis import given
from hypothesis import strategies as st

from headend.domain.tariff import FlatTariff


def test_a_kilowatt_hour_costs_the_price() -> None:
    assert FlatTariff(4_120).energy_charge_micros(1_000) == 4_120_000


def test_nothing_drawn_costs_nothing() -> None:
    assert FlatTariff(4_120).energy_charge_micros(0) == 0


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**12), max_size=20))
def test_charging_in_pieces_costs_the_same(price: int, pieces_wh: list[int]) -> None:
    tariff = FlatTariff(price)
    charge_micros = tariff.energy_charge_micros(sum(pieces_wh))
    assert charge_micros == sum(map(tariff.energy_charge_micros, pieces_wh))
    assert type(charge_micros) is int
