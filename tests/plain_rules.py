"""Rules for tests: one price for every watt-hour, nothing rounded, nobody protected, nobody cut."""

from headend.domain.rules import Rules
from headend.domain.tariff import CategoryTerms, Slab, Tariff
from headend.domain.tariff_rounding import Rounding, RoundingRule
from headend.service.ports import UnitOfWork

PLAIN_CATEGORY = "domestic"


def plain_tariff(price_micros_per_wh: int, from_day: int = 1, version: int = 1) -> Tariff:
    terms = CategoryTerms(PLAIN_CATEGORY, (Slab(0, price_micros_per_wh * 1_000),))
    rounding = Rounding(RoundingRule.HALF_EVEN, 1)
    return Tariff("plain", version, from_day, rounding, PLAIN_CATEGORY, (terms,))


def plain_rules(price_micros_per_wh: int) -> Rules:
    return Rules("plain", "INR", plain_tariff(price_micros_per_wh))


def order_relay(
    meter: str, position: str, reason: str, expires_after_s: int, uow: UnitOfWork, now_s: int
) -> int | None:
    """An order below the gate: for tests of how orders travel, not of who may give them."""
    expires_at_s = now_s + expires_after_s if position == "open" else None
    return uow.issue_relay(meter, position, reason, expires_at_s, now_s)
