"""From energy to money: the charge of one meter for one billing day, line by line, exact in integers.

What runs over a month (energy in slabs, a fixed charge per kW and month) is rounded cumulatively: a day's line is
the difference of two rounded cumulative amounts, so the days of a month add up to the month to the micro, however
it is cut. Duty and rebate are shares of the day's lines. Lines are rounded to the micro, half to even. Then the
total is rounded by the tariff's own rule; what that adds or takes is a line of its own.
"""

from collections.abc import Sequence
from math import gcd
from typing import Final, NamedTuple

from headend.domain.tariff import BP_WHOLE, CategoryTerms, DutyOn, Tariff
from headend.domain.tariff_month import place_in_month
from headend.domain.tariff_rounding import divide

_PARTS_PER_MICRO: Final = 1_000 * BP_WHOLE
"""Wh times micros per kWh times basis points, in a micro."""


class DayCharge(NamedTuple):
    """One meter's bill of one billing day, in micros. Only `rounding_micros` may be below 0."""

    energy_micros: int
    fixed_micros: int
    duty_micros: int
    rebate_micros: int
    rounding_micros: int

    @property
    def total_micros(self) -> int:
        """What the consumer pays: never below 0, a multiple of the tariff's rounding unit."""
        return (
            self.energy_micros + self.fixed_micros + self.duty_micros - self.rebate_micros + self.rounding_micros
        )


class _Ladder:
    """What the month's energy costs up to any register, in one band: cumulative, rounded to the micro."""

    __slots__ = ("_divisor", "_steps")

    def __init__(self, terms: CategoryTerms, change_bp: int) -> None:
        edges_wh = sorted({slab.from_wh for slab in terms.slabs} | {terms.free_wh})
        steps, cost, before_wh, price = [], 0, 0, 0
        for edge_wh in edges_wh:
            cost += (edge_wh - before_wh) * price
            price = 0
            if edge_wh >= terms.free_wh:
                slab = next(slab for slab in reversed(terms.slabs) if slab.from_wh <= edge_wh)
                price = slab.price_micros_per_kwh * (BP_WHOLE + change_bp)
            steps.append((edge_wh, cost, price))
            before_wh = edge_wh
        # With prices of whole micros per Wh, as most are, nothing is left to divide.
        shared = gcd(_PARTS_PER_MICRO, *(price for _, _, price in steps))
        self._divisor = _PARTS_PER_MICRO // shared
        self._steps = tuple((edge_wh, cost // shared, price // shared) for edge_wh, cost, price in reversed(steps))

    def cost_micros(self, month_wh: int) -> int:
        """The cost of a month's first `month_wh` (>= 0)."""
        for edge_wh, cost, price in self._steps:
            if month_wh >= edge_wh:
                parts = cost + (month_wh - edge_wh) * price
                return parts if self._divisor == 1 else divide(parts, self._divisor)
        raise AssertionError("energy of a month is not below 0")


class Pricer:
    """A tariff's terms for one category and sanctioned load, made ready for pricing many meters."""

    __slots__ = ("_bands", "_fixed", "_ladder", "_load_w", "_rounding", "terms")

    def __init__(self, tariff: Tariff, terms: CategoryTerms, load_w: int) -> None:
        assert load_w >= 0, "a sanctioned load is not below 0"
        self.terms = terms
        self._load_w = load_w
        self._rounding = tariff.rounding
        self._ladder = _Ladder(terms, 0)
        self._bands = tuple(_Ladder(terms, band.change_bp) for band in terms.bands)
        self._fixed: dict[tuple[int, int], int] = {}

    def price_day(self, day: int, month_wh_before: int, energy_wh: int) -> DayCharge:
        """The charge of a day without regard to time bands; `month_wh_before`: settled earlier in its month."""
        return self.charge_of(self.energy_micros(month_wh_before, energy_wh), self.fixed_micros(day))

    def price_bands(self, day: int, month_wh_before: int, band_wh: Sequence[int]) -> DayCharge:
        """The charge of a day by its energy in each time band; the slabs are climbed in the order of the day."""
        return self.charge_of(sum(self.band_micros(month_wh_before, band_wh)), self.fixed_micros(day))

    def energy_micros(self, month_wh_before: int, energy_wh: int) -> int:
        """The energy line at slab prices, changed by no band."""
        ladder = self._ladder
        return ladder.cost_micros(month_wh_before + energy_wh) - ladder.cost_micros(month_wh_before)

    def band_micros(self, month_wh_before: int, band_wh: Sequence[int]) -> list[int]:
        """The energy line in its parts, one a time band."""
        parts, at_wh = [], month_wh_before
        for ladder, energy_wh in zip(self._bands, band_wh, strict=True):
            parts.append(ladder.cost_micros(at_wh + energy_wh) - ladder.cost_micros(at_wh))
            at_wh += energy_wh
        return parts

    def fixed_micros(self, day: int) -> int:
        """The fixed line of a day: per day, and the day's part of the charge per kW and month."""
        place = place_in_month(day)
        known = self._fixed.get(place)
        if known is None:
            nth, days = place
            month = self.terms.fixed_micros_per_kw_month * self._load_w
            known = divide(month * nth, 1_000 * days) - divide(month * (nth - 1), 1_000 * days)
            known += self.terms.fixed_micros_per_day
            self._fixed[place] = known
        return known

    def charge_of(self, energy_micros: int, fixed_micros: int) -> DayCharge:
        """The whole charge of an energy and a fixed line: duty, rebate and rounding follow from them."""
        terms = self.terms
        duty_micros = rebate_micros = 0
        if terms.duty_bp:
            dutiable_micros = energy_micros + (fixed_micros if terms.duty_on is DutyOn.ENERGY_AND_FIXED else 0)
            duty_micros = divide(dutiable_micros * terms.duty_bp, BP_WHOLE)
        if terms.rebate_bp:
            rebate_micros = divide(energy_micros * terms.rebate_bp, BP_WHOLE)
        exact_micros = energy_micros + fixed_micros + duty_micros - rebate_micros
        rounding_micros = self._rounding.rounded_micros(exact_micros) - exact_micros
        return DayCharge(energy_micros, fixed_micros, duty_micros, rebate_micros, rounding_micros)
