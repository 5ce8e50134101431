"""Homes whose credit ends when a scenario says so, also in runs that begin in the middle of a day."""

import pytest

from meter_sim.lab.households import Households, plan_of
from meter_sim.lab.scenario import Scenario

HOUR_S = 3_600


def credits_micros(start: str, out_s: int) -> list[int]:
    """What homes have as the run begins, so that it ends after `out_s`."""
    scenario = Scenario.model_validate(
        {
            "name": "short",
            "story": "Homes run out.",
            "fleet": {"meters": 20, "gateways": 1},
            "clock": {"start": start, "length": "3d"},
            "homes": [{"share": 1.0, "out_from": out_s, "out_to": out_s}],
        }
    )
    homes = Households(scenario, plan_of(scenario, 1, "patna"), 1)
    return [payment.amount_micros for payment in homes.first_payments()]


@pytest.mark.parametrize("start", ["2024-10-22T00:00", "2024-10-22T08:00", "2024-10-22T23:30"])
def test_credit_that_is_to_last_longer_is_more(start: str) -> None:
    totals = [sum(credits_micros(start, hours * HOUR_S)) for hours in (1, 6, 17, 30, 48)]
    assert totals == sorted(set(totals))


def test_run_from_noon_is_charged_no_energy_of_the_morning() -> None:
    whole = sum(credits_micros("2024-10-22T00:00", 24 * HOUR_S + 1))
    afternoon = sum(credits_micros("2024-10-22T12:00", 12 * HOUR_S + 1))
    assert 0 < afternoon < whole
