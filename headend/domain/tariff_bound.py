"""What a charge surely does not exceed: it tells which meters need not be priced in a sweep."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from headend.domain.tariff import BP_WHOLE, CategoryTerms, Tariff
from headend.domain.tariff_rounding import Rounding

_ROUNDED_LINES_MICROS: Final = 4
"""Most that rounding to the micro adds: 1 to the energy, 1 to its duty, half of 1 each to duty and rebate."""

_SHORTEST_MONTH_DAYS: Final = 28


class ChargeBound(NamedTuple):
    """Most that a home's open days can cost in all, in micros: a Wh, a day, a kW (or part) and day, and once."""

    micros_per_wh: int
    micros_per_day: int
    micros_per_kw_day: int
    once_micros: int

    def energy_within_wh(self, amount_micros: int) -> int:
        """Energy that costs `amount_micros` at most, in one month or over several; fixed charges aside."""
        return max(0, amount_micros - self.once_micros) // self.micros_per_wh


def charge_bounds(tariffs: Iterable[Tariff]) -> dict[str | None, ChargeBound]:
    """The bounds of each category over all these tariffs; None: of the default categories."""
    bounds: dict[str | None, ChargeBound] = {}
    for tariff in tariffs:
        for name in (None, *(category.name for category in tariff.categories)):
            terms = tariff.category(name)
            assert terms is not None, "a tariff has its own categories"
            bound = _charge_bound(terms, tariff.rounding)
            bounds[name] = dearest((bound, bounds.get(name, bound)))
    return bounds


def dearest(bounds: Iterable[ChargeBound]) -> ChargeBound:
    """What holds for each of these."""
    return ChargeBound(*map(max, zip(*bounds, strict=True)))


def _charge_bound(terms: CategoryTerms, rounding: Rounding) -> ChargeBound:
    # Wherever in the month and in the day energy is drawn.
    price = max(slab.price_micros_per_kwh for slab in terms.slabs)
    factor_bp = BP_WHOLE + max((0, *(band.change_bp for band in terms.bands)))
    with_duty_bp = BP_WHOLE + terms.duty_bp
    return ChargeBound(
        # At least 1: it is divided by.
        max(1, _rounded_up(price * factor_bp * with_duty_bp, 1_000 * BP_WHOLE**2)),
        # A day's part of the charge per kW and month may be rounded up to the micro.
        _rounded_up((terms.fixed_micros_per_day + 1) * with_duty_bp, BP_WHOLE),
        _rounded_up(terms.fixed_micros_per_kw_month * with_duty_bp, _SHORTEST_MONTH_DAYS * BP_WHOLE),
        rounding.unit_micros + _ROUNDED_LINES_MICROS,
    )


def _rounded_up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
