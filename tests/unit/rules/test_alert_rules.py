"""The section [alerts]: levels as a utility writes them; debt and emergency credit are the protection's."""

from typing import Any

import pytest
from pydantic import ValidationError

from headend.domain.protection_rules import ProtectionRules
from headend.domain.reconnection import Step
from headend.domain.standing import AlertRules
from headend.rules.alerts import AlertsSection

RUPEE = 1_000_000


def rules(protection: ProtectionRules = ProtectionRules(), **section: Any) -> AlertRules:  # noqa: B008 - frozen
    return AlertsSection.model_validate(section).to_domain(protection)


def test_levels_are_amounts_and_shares_of_the_last_recharge() -> None:
    assert rules(low=[100, 50], low_percent_of_recharge=[30, 10]) == AlertRules(
        low_micros=(100 * RUPEE, 50 * RUPEE), low_share_bp=(3_000, 1_000)
    )


def test_section_may_be_empty() -> None:
    assert rules() == AlertRules()
    assert rules().levels_micros(500 * RUPEE) == [0]


def test_emergency_credit_by_amount_ends_where_the_protection_ends_it() -> None:
    given = rules(ProtectionRules(cut_below_micros=0, emergency_credit_micros=10 * RUPEE))
    assert (given.emergency_credit, given.debt_at_micros, given.exhausted_at_micros) == (True, 0, -10 * RUPEE)


def test_emergency_credit_by_days_is_emergency_credit_too() -> None:
    given = rules(ProtectionRules(emergency_days_by_load=(Step(None, 3),)))
    assert (given.emergency_credit, given.exhausted_at_micros) == (True, 0)


@pytest.mark.parametrize(
    "section",
    [
        {"low": [0]},
        {"low": [-5]},
        {"low_percent_of_recharge": [0]},
        {"low_percent_of_recharge": [101]},
        {"low": [1] * 11},
        {"high": [1]},
    ],
)
def test_section_that_makes_no_sense_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertsSection.model_validate(section)
