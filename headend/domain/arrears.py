"""Arrears: a debt that is paid back in parts, and when its plan ends.

    ACTIVE --all is paid--> PAID
       |----cancelled-----> CANCELLED
       +----not kept------> EXPIRED

A plan moves the whole debt to an account of its own, so that the consumer begins again at zero; what is paid back
comes from there. Recovery is by equal daily instalments, each of which is charged with its billing day, or by a
share of every recharge. A plan that ends early gives the rest of the debt back.

A plan is kept while the consumer pays for what they use. A billing day at the end of which the consumer's account
stands below zero is missed; more days in a row than allowed break the plan. What counts is the account as it stood
at the end of that day, so that days that settle late, or many at once, end the same as days in time. A day that is
settled while the region recovers is never missed: nobody could see a balance then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from headend.domain.units import MICROS_PER_PAISA

FULL_SHARE_BP: Final = 10_000


def arrears_account(meter: str, plan_id: int) -> str:
    """The code of the account that a plan's debt stands on."""
    return f"arrears/{meter}/{plan_id}"


class PlanState(StrEnum):
    """Where a plan stands. All but ACTIVE are ends."""

    ACTIVE = "ACTIVE"
    PAID = "PAID"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """How a debt comes back: `instalment_micros` a day, or `share_bp` (basis points) of each recharge; not both.

    `missed_allowed`: so many missed days in a row do not break the plan yet.
    """

    instalment_micros: int | None
    share_bp: int | None
    missed_allowed: int

    def __post_init__(self) -> None:
        """Neither way, or both, is a mistake of ours."""
        assert (self.instalment_micros is None) != (self.share_bp is None)


@dataclass(frozen=True, slots=True)
class ArrearsRules:
    """Plans as a utility makes them: by a count of daily `instalments`, or by a share of each recharge; not both.

    `plan_limit_micros`: a higher debt needs a plan made by a clerk. `auto_after_outage`: after an outage each
    meter in debt is given a plan.
    """

    instalments: int | None
    share_bp: int | None
    plan_limit_micros: int
    missed_allowed: int
    auto_after_outage: bool

    def terms(self, debt_micros: int) -> PlanTerms:
        """The plan for a debt."""
        if self.instalments is None:
            return PlanTerms(None, self.share_bp, self.missed_allowed)
        return PlanTerms(instalment_micros(debt_micros, self.instalments), None, self.missed_allowed)


def instalment_micros(debt_micros: int, count: int) -> int:
    """The equal instalments of a debt: whole paise, rounded up, so that the last one is the smaller rest."""
    paise = -(-debt_micros // (count * MICROS_PER_PAISA))
    return paise * MICROS_PER_PAISA


def share_micros(recharge_micros: int, share_bp: int, left_micros: int) -> int:
    """What is kept of a recharge: its share, rounded down to a paisa, and never more than is left of the debt."""
    paise = recharge_micros * share_bp // (FULL_SHARE_BP * MICROS_PER_PAISA)
    return min(left_micros, paise * MICROS_PER_PAISA)


class ChargedDay(NamedTuple):
    """A billing day that was charged. `ends_s`: the midnight that closes it."""

    day: int
    ends_s: int
    charge_micros: int


@dataclass(frozen=True, slots=True)
class Course:
    """How far a plan has come. `missed`: days in a row that were missed. `next_day`: the next one to be taken."""

    left_micros: int
    missed: int
    next_day: int
    state: PlanState = PlanState.ACTIVE


def follow_days(
    terms: PlanTerms,
    course: Course,
    days: Sequence[ChargedDay],
    balance_micros: int,
    recharges: Iterable[tuple[int, int]],
    *,
    excused: bool,
) -> tuple[Course, list[tuple[int, int]]]:
    """Take days that were charged, in order: the plan after them, and (day, micros) of the instalments.

    `balance_micros` is the consumer's account after all of these days' charges. `recharges` are its recharges as
    (posted_at_s, micros), at least those since the first of the days ended. `excused`: no day counts as missed.
    """
    later = list(recharges)
    uncharged_micros = sum(day.charge_micros for day in days)
    left_micros, missed, next_day = course.left_micros, course.missed, course.next_day
    taken: list[tuple[int, int]] = []
    for day in days:
        uncharged_micros -= day.charge_micros
        if day.day < next_day:
            continue
        next_day = day.day + 1
        due_micros = min(terms.instalment_micros or 0, left_micros)
        if due_micros:
            taken.append((day.day, due_micros))
            left_micros -= due_micros
            balance_micros -= due_micros
        if not left_micros:
            return Course(0, missed, next_day, PlanState.PAID), taken
        if excused:
            continue
        since_micros = sum(micros for at_s, micros in later if at_s >= day.ends_s)
        in_debt = balance_micros + uncharged_micros - since_micros < 0
        missed = missed + 1 if in_debt else 0
        if missed > terms.missed_allowed:
            return Course(left_micros, missed, next_day, PlanState.EXPIRED), taken
    return Course(left_micros, missed, next_day), taken
