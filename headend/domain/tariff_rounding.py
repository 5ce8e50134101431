"""Rounding by a named rule, in integers. Only amounts that are not negative are ever rounded here."""

from dataclasses import dataclass
from enum import StrEnum


class RoundingRule(StrEnum):
    """What becomes of a fraction."""

    HALF_EVEN = "HALF_EVEN"
    HALF_UP = "HALF_UP"
    DOWN = "DOWN"
    UP = "UP"


# An enum's members are slow to look up, and every bill is rounded.
_HALF_UP, _DOWN, _UP = RoundingRule.HALF_UP, RoundingRule.DOWN, RoundingRule.UP


def divide(dividend: int, divisor: int, rule: RoundingRule = RoundingRule.HALF_EVEN) -> int:
    """`dividend / divisor` as a whole number by the rule; `dividend` >= 0, `divisor` > 0."""
    quotient, rest = divmod(dividend, divisor)
    if rest == 0 or rule is _DOWN:
        return quotient
    if rule is _UP or 2 * rest > divisor:
        return quotient + 1
    is_tie = 2 * rest == divisor
    if is_tie and (rule is _HALF_UP or quotient % 2 == 1):
        return quotient + 1
    return quotient


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a day's total is rounded: to multiples of `unit_micros` (10,000: a paisa), by the rule."""

    rule: RoundingRule
    unit_micros: int

    def __post_init__(self) -> None:
        if self.unit_micros < 1:
            raise ValueError("the rounding unit must be at least a micro")

    def rounded_micros(self, amount_micros: int) -> int:
        """The amount (>= 0) as a multiple of the unit."""
        return divide(amount_micros, self.unit_micros, self.rule) * self.unit_micros
