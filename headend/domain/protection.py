"""Protection: whether a home may be cut. The only place where that is decided.

`may_disconnect` asks every reason against a cut, in one order, and answers with all that hold. Each check says
until when its reason holds: an instant that is past means that it does not. Whatever is not known protects: a
meter that never reported, a home whose credit ended at a time that nobody recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headend.domain.case import Case, Origin, Situation
from headend.domain.protection_rules import ProtectionRules
from headend.domain.reconnection import DAY_S

NO_END: Final = 2**63 - 1
"""The end of a reason that does not end by itself."""

OVER: Final = 0
"""The end of a reason that does not hold."""


class Reason(StrEnum):
    """Why a home is not cut, in the order in which reasons are given."""

    PROTECTED_HOURS = "PROTECTED_HOURS"
    MORATORIUM = "MORATORIUM"
    IN_CREDIT = "IN_CREDIT"
    GRACE = "GRACE"
    EMERGENCY_CREDIT = "EMERGENCY_CREDIT"
    STALE_READING = "STALE_READING"
    IMPLAUSIBLE_READING = "IMPLAUSIBLE_READING"
    PROVISIONAL_BALANCE = "PROVISIONAL_BALANCE"
    UNSETTLED_RECHARGE = "UNSETTLED_RECHARGE"
    RECOVERING = "RECOVERING"
    RECOVERY_GRACE = "RECOVERY_GRACE"
    PLAN_KEPT = "PLAN_KEPT"
    EXCEPTION_OPEN = "EXCEPTION_OPEN"
    ALREADY_OPEN = "ALREADY_OPEN"


DEBT_REASONS: Final = frozenset(
    {
        Reason.IN_CREDIT,
        Reason.GRACE,
        Reason.EMERGENCY_CREDIT,
        Reason.STALE_READING,
        Reason.IMPLAUSIBLE_READING,
        Reason.PROVISIONAL_BALANCE,
        Reason.UNSETTLED_RECHARGE,
        Reason.PLAN_KEPT,
        Reason.EXCEPTION_OPEN,
    }
)
"""Reasons that ask for the debt: an operator's order passes them where the rules do not ask for debt."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Nothing protects the home."""


@dataclass(frozen=True, slots=True)
class Refused:
    """All reasons that hold, in order. `until_s`: no cut before; None: one of them does not end by itself."""

    reasons: tuple[Reason, ...]
    until_s: int | None


def may_disconnect(case: Case, rules: ProtectionRules, situation: Situation) -> Allowed | Refused:
    """Decide whether a home may be cut at the instant of the situation."""
    needs_debt = rules.debt_only or case.origin is Origin.DEBT
    ends = {
        reason: ends_s(case, rules, situation)
        for reason, ends_s in _CHECKS.items()
        if needs_debt or reason not in DEBT_REASONS
    }
    holding = {reason: end_s for reason, end_s in ends.items() if end_s > situation.now_s}
    return Refused(tuple(holding), _known(max(holding.values()))) if holding else Allowed()


def due_s(case: Case, rules: ProtectionRules) -> int | None:
    """From when the debt alone would allow a cut: what a notice names. None: there is no debt, or no end known."""
    return _known(max(_in_credit(case, rules), _grace(case, rules), _emergency(case, rules)))


def _known(end_s: int) -> int | None:
    return None if end_s == NO_END else end_s


def _while(condition: bool) -> int:
    return NO_END if condition else OVER


def _protected_hours(case: Case, rules: ProtectionRules, situation: Situation) -> int:
    window = situation.hours
    if window is None:
        return OVER
    # In credit at the opening includes emergency credit: what matters is whether there was any supply left to use.
    exhausted_s = case.exhausted_since_s
    if rules.hours.only_if_in_credit_at_opening and exhausted_s is not None and exhausted_s < window.opened_s:
        return OVER
    return window.until_s


def _in_credit(case: Case, rules: ProtectionRules) -> int:
    return _while(case.balance_micros >= rules.cut_below_micros)


def _grace(case: Case, rules: ProtectionRules) -> int:
    return max(case.no_cut_before_s or OVER, _after_zero(case, rules, rules.grace_s))


def _emergency(case: Case, rules: ProtectionRules) -> int:
    if rules.exhausted_at_micros < case.balance_micros < rules.cut_below_micros:
        return NO_END
    return _after_zero(case, rules, rules.emergency_days(case.load_w) * DAY_S)


def _after_zero(case: Case, rules: ProtectionRules, length_s: int) -> int:
    if length_s == 0:
        return OVER
    if case.zero_since_s is None:
        return _while(case.balance_micros < rules.cut_below_micros)
    return case.zero_since_s + length_s


_CHECKS: Final[dict[Reason, Callable[[Case, ProtectionRules, Situation], int]]] = {
    Reason.PROTECTED_HOURS: _protected_hours,
    Reason.MORATORIUM: lambda case, rules, at: at.moratorium.until_s if at.moratorium else OVER,
    Reason.IN_CREDIT: lambda case, rules, at: _in_credit(case, rules),
    Reason.GRACE: lambda case, rules, at: _grace(case, rules),
    Reason.EMERGENCY_CREDIT: lambda case, rules, at: _emergency(case, rules),
    Reason.STALE_READING: lambda case, rules, at: _while(not rules.is_fresh(case.read_at_s, at.now_s)),
    Reason.IMPLAUSIBLE_READING: lambda case, rules, at: _while(
        not rules.believes(case.unsettled_wh, at.today - case.settled_day)
    ),
    # Yesterday's snapshot may still be on its way.
    Reason.PROVISIONAL_BALANCE: lambda case, rules, at: _while(case.settled_day < at.today - 2),
    Reason.UNSETTLED_RECHARGE: lambda case, rules, at: _while(case.unsettled_recharges > 0),
    Reason.RECOVERING: lambda case, rules, at: _while(at.recovering),
    Reason.RECOVERY_GRACE: lambda case, rules, at: at.recovery_grace_until_s or OVER,
    Reason.PLAN_KEPT: lambda case, rules, at: _while(case.plan_kept),
    Reason.EXCEPTION_OPEN: lambda case, rules, at: _while(bool(case.open_exceptions)),
    Reason.ALREADY_OPEN: lambda case, rules, at: _while(case.relay_ordered_open),
}
