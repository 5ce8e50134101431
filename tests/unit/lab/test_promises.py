"""The judge's own prices and calendar, by figures worked out by hand."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from meter_sim.lab.promises import BIHAR, FLAT

ZONE = ZoneInfo("Asia/Kolkata")


def at(local: str) -> int:
    return int(datetime.fromisoformat(local).replace(tzinfo=ZONE).timestamp())


@pytest.mark.parametrize(
    ("category", "before_wh", "energy_wh", "rupees"),
    [
        ("urban", 0, 10_000, 41.20),
        ("urban", 95_000, 10_000, 5 * 4.12 + 5 * 5.52),
        ("urban", 100_000, 10_000, 55.20),
        ("rural", 99_000, 10_000, 24.50),
        ("kutir-jyoti", 0, 1_000, 1.97),
        ("kutir-jyoti", 0, 0, 0.0),
    ],
)
def test_a_day_is_priced_by_the_slabs_of_its_month(
    category: str, before_wh: int, energy_wh: int, rupees: float
) -> None:
    assert BIHAR.day_micros(category, before_wh, energy_wh) == round(rupees * 100) * 10_000


@pytest.mark.parametrize(("energy_wh", "paise"), [(500, 98), (1_500, 296), (502, 99)])
def test_half_a_paisa_is_rounded_to_the_even_one(energy_wh: int, paise: int) -> None:
    assert BIHAR.day_micros("kutir-jyoti", 0, energy_wh) == paise * 10_000


def test_a_flat_price_is_exact() -> None:
    assert FLAT.day_micros("", 10**9, 7) == 7 * 4_120


@pytest.mark.parametrize(
    ("local", "protected"),
    [
        ("2024-10-29T10:59:59", True),
        ("2024-10-29T11:00:00", False),
        ("2024-10-29T12:59:59", False),
        ("2024-10-29T13:00:00", True),
        ("2024-10-27T12:00:00", True),  # a Sunday
        ("2024-10-30T12:00:00", True),  # the day before Diwali
        ("2024-11-08T12:00:00", True),  # in Chhath
        ("2024-11-11T12:00:00", False),
    ],
)
def test_nobody_is_cut_but_around_noon_of_working_days(local: str, protected: bool) -> None:
    assert BIHAR.protects(at(local), ZONE) is protected
