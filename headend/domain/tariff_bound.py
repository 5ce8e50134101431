"""How much energy surely costs no more than an amount: what tells which meters need not be priced in a sweep."""

from typing import Final

from headend.domain.pricing import MAX_ENERGY_WH
from headend.domain.tariff import BP_WHOLE, CategoryTerms
from headend.domain.tariff_rounding import Rounding

_ROUNDED_LINES_MICROS: Final = 4
"""Most that rounding to the micro adds: 1 to the energy, 1 to its duty, half of 1 each to duty and rebate."""


def price_bound_micros_per_kwh(terms: CategoryTerms) -> int:
    """Most that a further kWh can cost with duty, wherever in the month and in the day it is drawn."""
    price = max(slab.price_micros_per_kwh for slab in terms.slabs)
    factor_bp = BP_WHOLE + max((0, *(band.change_bp for band in terms.bands)))
    return -(-price * factor_bp * (BP_WHOLE + terms.duty_bp) // BP_WHOLE**2)


def energy_within_wh(terms: CategoryTerms, rounding: Rounding, amount_micros: int) -> int:
    """Energy that costs `amount_micros` at most, in one month or over several; fixed charges aside."""
    bound = price_bound_micros_per_kwh(terms)
    if bound == 0:
        return MAX_ENERGY_WH
    left_micros = amount_micros - rounding.unit_micros - _ROUNDED_LINES_MICROS
    return min(max(0, left_micros * 1_000 // bound), MAX_ENERGY_WH)
