"""The section [recovery] of a rules file: what counts as an outage of a region, and the grace after it."""

from decimal import Decimal
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from headend.domain.recovery import RecoveryRules
from headend.rules.quantities import Exact, basis_points

_HALF: Final = Decimal(50)


class RecoverySection(BaseModel):
    """The whole section. The defaults follow outages, and give no grace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_outage_s: Annotated[int, Field(gt=0, le=366 * 86_400)] = 900
    gateways_out_percent: Annotated[Exact, Field(gt=0, le=100, decimal_places=2)] = _HALF
    grace_s: Annotated[int, Field(ge=0, le=366 * 86_400)] = 0

    def to_domain(self) -> RecoveryRules:
        """The rules as plain values."""
        return RecoveryRules(
            min_outage_s=self.min_outage_s,
            region_share_bp=basis_points(self.gateways_out_percent),
            grace_s=self.grace_s,
        )
