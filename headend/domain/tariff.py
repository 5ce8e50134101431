"""What energy costs: tariffs as dated, versioned documents of prices. How they are applied stands in `pricing`.

Prices are micros, energy is Wh, shares are basis points (1 % = 100), days are `date.toordinal` numbers. A tariff
that makes no sense cannot be constructed: a ValueError says what is wrong.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from headend.domain.tariff_rounding import Rounding

BP_WHOLE: Final = 10_000
"""Basis points of the whole."""

MAX_PRICE_MICROS_PER_KWH: Final = 10**9
"""Above Rs 1,000 a kWh, a slip of the keyboard is likelier."""

MAX_FIXED_MICROS: Final = 10**12
MINUTES_PER_DAY: Final = 1_440


class DutyOn(StrEnum):
    """Which of a day's lines the duty is a share of."""

    ENERGY = "ENERGY"
    ENERGY_AND_FIXED = "ENERGY_AND_FIXED"


@dataclass(frozen=True, slots=True)
class Slab:
    """A price for the month's energy from `from_wh` up to the next slab."""

    from_wh: int
    price_micros_per_kwh: int


@dataclass(frozen=True, slots=True)
class TimeBand:
    """A part of the local day, from a minute of it up to the next band: the slab price changed by a share."""

    from_minute: int
    change_bp: int


@dataclass(frozen=True, slots=True)
class CategoryTerms:
    """Prices of one consumer category.

    The first `free_wh` of a month cost nothing; they count for the slabs all the same. Duty and rebate are shares
    of the day's lines, the rebate of the energy before duty. No bands: the same price at all hours.
    """

    name: str
    slabs: tuple[Slab, ...]
    free_wh: int = 0
    fixed_micros_per_day: int = 0
    fixed_micros_per_kw_month: int = 0
    duty_bp: int = 0
    duty_on: DutyOn = DutyOn.ENERGY
    rebate_bp: int = 0
    bands: tuple[TimeBand, ...] = ()

    def __post_init__(self) -> None:
        _need(bool(self.name), "a category has a name")
        edges_wh = [slab.from_wh for slab in self.slabs]
        _need(edges_wh[:1] == [0], "the first slab begins at 0 kWh")
        _need(_rises(edges_wh), "each slab begins above the one before it")
        for slab in self.slabs:
            _need(0 <= slab.price_micros_per_kwh <= MAX_PRICE_MICROS_PER_KWH, "a price is from 0 to 1000 per kWh")
        for fixed in (self.fixed_micros_per_day, self.fixed_micros_per_kw_month):
            _need(0 <= fixed <= MAX_FIXED_MICROS, "a fixed charge is from 0 to 1000000")
        _need(self.free_wh >= 0, "free energy is not below 0 kWh")
        _need(0 <= self.duty_bp <= BP_WHOLE, "the duty is from 0 to 100 %")
        _need(0 <= self.rebate_bp <= BP_WHOLE, "the rebate is from 0 to 100 %")
        minutes = [band.from_minute for band in self.bands]
        _need(minutes[:1] in ([], [0]), "the first time band begins at 00:00")
        _need(_rises(minutes) and max(minutes, default=0) < MINUTES_PER_DAY, "time bands follow in a day")
        for band in self.bands:
            _need(-BP_WHOLE <= band.change_bp <= 10 * BP_WHOLE, "a band changes the price by -100 to 1000 %")


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in force from a day on, until the next tariff's day. Meters without a category have the default."""

    name: str
    version: int
    from_day: int
    rounding: Rounding
    default_category: str
    categories: tuple[CategoryTerms, ...]

    def __post_init__(self) -> None:
        names = [category.name for category in self.categories]
        _need(bool(self.name), "a tariff has a name")
        _need(self.version >= 1, "a tariff's version is at least 1")
        _need(len(set(names)) == len(names), "each category stands once")
        _need(self.default_category in names, "the default category is one of the tariff's")

    def category(self, name: str | None) -> CategoryTerms | None:
        """The terms of a category, of the default one for None; None: the tariff does not have it."""
        wanted = self.default_category if name is None else name
        return next((category for category in self.categories if category.name == wanted), None)


def tariff_on(tariffs: Sequence[Tariff], day: int) -> Tariff | None:
    """The tariff in force on a day, of tariffs in the order of their days; None: before the first."""
    index = bisect_right(tariffs, day, key=lambda tariff: tariff.from_day)
    return tariffs[index - 1] if index else None


def _need(holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(rule)


def _rises(numbers: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(numbers))
