"""The sections [recovery] and [arrears]: what the presets say, and what makes no sense."""

import tomllib
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from headend.domain.arrears import ArrearsRules
from headend.domain.recovery import RecoveryRules
from headend.domain.rules import PLAIN_ARREARS, PLAIN_RECOVERY
from headend.rules import PRESETS, preset_names
from headend.rules.arrears import ArrearsSection
from headend.rules.recovery import RecoverySection

RUPEE = 1_000_000


def section(preset: str, name: str) -> Any:
    text = (PRESETS / f"{preset}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal).get(name, {})


def test_empty_sections_are_the_plain_rules() -> None:
    assert ArrearsSection().to_domain() == PLAIN_ARREARS
    assert RecoverySection().to_domain() == PLAIN_RECOVERY


@pytest.mark.parametrize("preset", preset_names())
def test_sections_of_every_preset_are_valid(preset: str) -> None:
    ArrearsSection.model_validate(section(preset, "arrears"))
    RecoverySection.model_validate(section(preset, "recovery"))


def test_bihar_recovers_debts_in_300_daily_instalments_and_large_ones_by_a_clerk() -> None:
    rules = ArrearsSection.model_validate(section("bihar", "arrears")).to_domain()
    assert rules == ArrearsRules(300, None, 50_000 * RUPEE, 3, auto_after_outage=True)
    rules_after = RecoverySection.model_validate(section("bihar", "recovery")).to_domain()
    assert rules_after == RecoveryRules(min_outage_s=3_600, region_share_bp=2_000, grace_s=72 * 3_600)


def test_share_is_in_percent() -> None:
    rules = ArrearsSection.model_validate({"share_percent": Decimal("12.5")}).to_domain()
    assert (rules.instalments, rules.share_bp) == (None, 1_250)


@pytest.mark.parametrize(
    "content",
    [
        {"instalments": 10, "share_percent": 5},
        {"instalments": 0},
        {"share_percent": 0},
        {"share_percent": 101},
        {"plan_limit": -1},
        {"missed_days_allowed": -1},
        {"unknown": 1},
    ],
)
def test_arrears_that_make_no_sense_are_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ArrearsSection.model_validate(content)


@pytest.mark.parametrize(
    "content", [{"min_outage_s": 0}, {"gateways_out_percent": 0}, {"gateways_out_percent": 101}, {"grace_s": -1}]
)
def test_recovery_that_makes_no_sense_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RecoverySection.model_validate(content)
