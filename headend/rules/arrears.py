"""The section [arrears] of a rules file: how debts come back in parts."""

from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headend.domain.arrears import ArrearsRules
from headend.rules.quantities import Exact, Money, basis_points, micros

DEFAULT_INSTALMENTS: Final = 30
_LIMIT: Final = Decimal(1_000_000)


class ArrearsSection(BaseModel):
    """The whole section. The defaults leave plans to clerks.

    Either `instalments`, a count of equal daily ones, or `share_percent` of each recharge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instalments: Annotated[int, Field(ge=1, le=3_660)] | None = None
    share_percent: Annotated[Exact, Field(gt=0, le=100, decimal_places=2)] | None = None
    plan_limit: Money = Field(default=_LIMIT, description="A higher debt needs a plan made by a clerk.")
    missed_days_allowed: Annotated[int, Field(ge=0, le=366)] = 3
    auto_after_outage: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.instalments is not None and self.share_percent is not None:
            raise ValueError("instalments and share_percent: a debt comes back by one of them")
        return self

    def to_domain(self) -> ArrearsRules:
        """The rules as plain values, by 30 instalments where the section names no way."""
        by_share = self.share_percent is not None
        return ArrearsRules(
            instalments=None if by_share else self.instalments or DEFAULT_INSTALMENTS,
            share_bp=None if self.share_percent is None else basis_points(self.share_percent),
            plan_limit_micros=micros(self.plan_limit),
            missed_allowed=self.missed_days_allowed,
            auto_after_outage=self.auto_after_outage,
        )
