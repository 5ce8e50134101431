"""The section [tariff] of a rules file, and the document that the store keeps of a tariff: one form for both.

A price is written with its decimals, `price = 4.12`. The document is the same form as JSON with every value named
and every amount a text, so that the same tariff is always the same text.
"""

import json
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headend.domain.tariff import CategoryTerms, DutyOn, Slab, Tariff, TimeBand
from headend.domain.tariff_rounding import Rounding, RoundingRule
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

_MICROS: Final = 1_000_000
_WH_PER_KWH: Final = 1_000
_BP_PER_PERCENT: Final = 100

TARIFFS_AT_HAND: Final = 100
"""Documents that are kept parsed."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$")]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SlabForm(_Form):
    """A price per kWh from an amount of the month's energy on."""

    from_kwh: Energy = Decimal(0)
    price: Money


class BandForm(_Form):
    """A change of the slab price from a time of the local day on."""

    from_time: TimeOfDay
    change_percent: Change


class CategoryForm(_Form):
    """Prices of one consumer category."""

    slabs: Annotated[tuple[SlabForm, ...], Field(min_length=1, max_length=20)]
    free_kwh_per_month: Energy = Decimal(0)
    fixed_per_day: Money = Decimal(0)
    fixed_per_kw_month: Money = Decimal(0)
    duty_percent: Percent = Decimal(0)
    duty_on: DutyOn = DutyOn.ENERGY
    rebate_percent: Percent = Decimal(0)
    bands: Annotated[tuple[BandForm, ...], Field(max_length=48)] = ()

    def to_domain(self, name: str) -> CategoryTerms:
        """The prices as plain values."""
        return CategoryTerms(
            name=name,
            slabs=tuple(Slab(watt_hours(slab.from_kwh), micros(slab.price)) for slab in self.slabs),
            free_wh=watt_hours(self.free_kwh_per_month),
            fixed_micros_per_day=micros(self.fixed_per_day),
            fixed_micros_per_kw_month=micros(self.fixed_per_kw_month),
            duty_bp=basis_points(self.duty_percent),
            duty_on=self.duty_on,
            rebate_bp=basis_points(self.rebate_percent),
            bands=tuple(
                TimeBand(minute_of_day(band.from_time), basis_points(band.change_percent)) for band in self.bands
            ),
        )

    @classmethod
    def from_domain(cls, terms: CategoryTerms) -> Self:
        """The way back."""
        return cls(
            slabs=tuple(
                SlabForm(
                    from_kwh=number(slab.from_wh, _WH_PER_KWH), price=number(slab.price_micros_per_kwh, _MICROS)
                )
                for slab in terms.slabs
            ),
            free_kwh_per_month=number(terms.free_wh, _WH_PER_KWH),
            fixed_per_day=number(terms.fixed_micros_per_day, _MICROS),
            fixed_per_kw_month=number(terms.fixed_micros_per_kw_month, _MICROS),
            duty_percent=number(terms.duty_bp, _BP_PER_PERCENT),
            duty_on=terms.duty_on,
            rebate_percent=number(terms.rebate_bp, _BP_PER_PERCENT),
            bands=tuple(
                BandForm(
                    from_time=f"{band.from_minute // 60:02d}:{band.from_minute % 60:02d}",
                    change_percent=number(band.change_bp, _BP_PER_PERCENT),
                )
                for band in terms.bands
            ),
        )


class TariffSection(_Form):
    """A tariff: its categories, the day from which it is in force, and how a day's total is rounded."""

    name: Name
    version: int = Field(ge=1, le=1_000_000)
    from_day: date
    rounding: RoundingRule = RoundingRule.HALF_EVEN
    rounding_unit: Annotated[Money, Field(gt=0)]
    default_category: Name
    categories: Annotated[dict[Name, CategoryForm], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.to_domain()
        return self

    def to_domain(self) -> Tariff:
        """The tariff as plain values."""
        return Tariff(
            name=self.name,
            version=self.version,
            from_day=self.from_day.toordinal(),
            rounding=Rounding(self.rounding, micros(self.rounding_unit)),
            default_category=self.default_category,
            categories=tuple(category.to_domain(name) for name, category in self.categories.items()),
        )

    @classmethod
    def from_domain(cls, tariff: Tariff) -> Self:
        """The way back."""
        return cls(
            name=tariff.name,
            version=tariff.version,
            from_day=date.fromordinal(tariff.from_day),
            rounding=tariff.rounding.rule,
            rounding_unit=number(tariff.rounding.unit_micros, _MICROS),
            default_category=tariff.default_category,
            categories={terms.name: CategoryForm.from_domain(terms) for terms in tariff.categories},
        )


def tariff_to_json(tariff: Tariff) -> str:
    """The tariff's document: equal tariffs have equal texts."""
    content = TariffSection.from_domain(tariff).model_dump(mode="json")
    return json.dumps(content, separators=(",", ":"))


def tariff_to_toml(tariff: Tariff) -> str:
    """The tariff as a file that `headend tariff import` reads: to be changed and imported as a new version."""
    content = TariffSection.from_domain(tariff).model_dump()
    categories = content.pop("categories")
    lines = ["[tariff]", *_keys(content)]
    for name, category in categories.items():
        lines += ["", f"[tariff.categories.{name}]", *_keys(category)]
    return "\n".join(lines) + "\n"


def _keys(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    match value:
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(_value(item) for item in value)}]"
        case dict():
            return f"{{ {', '.join(_keys(value))} }}"
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


@lru_cache(maxsize=TARIFFS_AT_HAND)
def tariff_from_json(document: str) -> Tariff:
    """The tariff of a document; the same object for the same text, which is asked for in every round.

    Raises:
        ValueError: it is none.
    """
    return TariffSection.model_validate_json(document).to_domain()
