"""How amounts are written, and the whole numbers that they become: exact, or refused."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from headend.rules.quantities import (
    Change,
    Energy,
    Money,
    Percent,
    TimeOfDay,
    basis_points,
    micros,
    minute_of_day,
    number,
    watt_hours,
)


class Written(BaseModel):
    money: Money = Decimal(0)
    energy: Energy = Decimal(0)
    percent: Percent = Decimal(0)
    change: Change = Decimal(0)
    at: TimeOfDay = "00:00"


def test_amounts_become_whole_numbers() -> None:
    written = Written.model_validate(
        {"money": Decimal("4.123456"), "energy": "99.999", "percent": "5.25", "at": "17:30"}
    )
    assert micros(written.money) == 4_123_456
    assert watt_hours(written.energy) == 99_999
    assert basis_points(written.percent) == 525
    assert minute_of_day(written.at) == 17 * 60 + 30


def test_a_change_may_be_below_zero() -> None:
    assert basis_points(Written.model_validate({"change": Decimal("-52.5")}).change) == -5_250


@pytest.mark.parametrize(
    "wrong",
    [
        {"money": "4.1234567"},
        {"money": -1},
        {"money": "NaN"},
        {"money": "Infinity"},
        {"money": 1_000_001},
        {"money": True},
        {"energy": "0.0001"},
        {"percent": "100.01"},
        {"percent": "5.001"},
        {"change": "-100.01"},
        {"change": "1000.01"},
        {"at": "24:00"},
        {"at": "7:30"},
        {"at": "07:60"},
        {"at": "07:30\n"},
    ],
    ids=str,
)
def test_what_cannot_be_exact_or_is_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Written.model_validate(wrong)


@pytest.mark.parametrize("same", ["100", "1e2", "100.0", Decimal("100.00")], ids=str)
def test_equal_amounts_are_equal_texts(same: Any) -> None:
    assert str(Written.model_validate({"money": same}).money) == "100"


@given(st.integers(0, 10**12))
def test_the_way_back_is_exact(amount_micros: int) -> None:
    assert micros(number(amount_micros, 1_000_000)) == amount_micros
    assert Written.model_validate({"money": str(number(amount_micros, 1_000_000))}).money == number(
        amount_micros, 10**6
    )
