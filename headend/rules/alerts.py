"""The section [alerts] of a rules file: at which balances consumers are told that their credit runs low."""

from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from headend.domain.protection_rules import ProtectionRules
from headend.domain.standing import AlertRules
from headend.rules.quantities import Money, Percent, basis_points, micros

LEVELS_MAX: Final = 10


def _above_zero(levels: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    if min(levels, default=Decimal(1)) <= 0:
        raise ValueError("a level is above 0; zero is told of in any case")
    return levels


class AlertsSection(BaseModel):
    """The whole section. Zero and, where there is any, emergency credit are told of without being named here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Annotated[tuple[Money, ...], Field(max_length=LEVELS_MAX), AfterValidator(_above_zero)] = ()
    low_percent_of_recharge: Annotated[
        tuple[Percent, ...], Field(max_length=LEVELS_MAX), AfterValidator(_above_zero)
    ] = ()

    def to_domain(self, protection: ProtectionRules) -> AlertRules:
        """The rules as plain values; where debt begins and emergency credit ends is the protection's."""
        return AlertRules(
            low_micros=tuple(micros(level) for level in self.low),
            low_share_bp=tuple(basis_points(share) for share in self.low_percent_of_recharge),
            debt_at_micros=protection.cut_below_micros,
            emergency_credit=bool(protection.emergency_credit_micros or protection.emergency_days_by_load),
            exhausted_at_micros=protection.exhausted_at_micros,
        )
