"""The rules that a utility is run by, all in one."""

from dataclasses import dataclass, field
from typing import Final

from headend.domain.arrears import ArrearsRules
from headend.domain.protection_rules import ProtectionRules
from headend.domain.recovery import RecoveryRules
from headend.domain.standing import AlertRules
from headend.domain.tariff import Tariff
from headend.domain.units import MAX_AMOUNT_MICROS

PLAIN_ARREARS: Final = ArrearsRules(
    instalments=30, share_bp=None, plan_limit_micros=MAX_AMOUNT_MICROS, missed_allowed=3, auto_after_outage=False
)
PLAIN_RECOVERY: Final = RecoveryRules(min_outage_s=900, region_share_bp=5_000, grace_s=0)
"""What holds where a utility says nothing: plans by clerks only, no grace after an outage."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a utility is run by. `currency` is an ISO 4217 code."""

    name: str
    currency: str
    tariff: Tariff
    protection: ProtectionRules = field(default_factory=ProtectionRules)
    alerts: AlertRules = field(default_factory=AlertRules)
    arrears: ArrearsRules = PLAIN_ARREARS
    recovery: RecoveryRules = PLAIN_RECOVERY
