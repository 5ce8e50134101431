"""Arrears plans: made by a clerk or by rule, paid back with each settled day or recharge, ended once.

Every move of money is a transfer between the consumer's account and the plan's own:

    ARREARS     arrears/METER/PLAN      the plan's account is debited, the consumer's credited with the debt
    INSTALMENT  instalment/METER/DATE   the consumer's is debited with a day's instalment
                instalment/RECHARGE     or with the share of a recharge
    ARREARS     arrears/METER/PLAN/end  the rest goes back when a plan is cancelled or not kept
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.arrears import (
    ArrearsRules,
    ChargedDay,
    Course,
    PlanState,
    arrears_account,
    follow_days,
    share_micros,
)
from headend.domain.calendar import day_of, midnight_s
from headend.domain.evidence import Act, ActKind
from headend.domain.ledger import Transfer, TransferKind
from headend.domain.reconcile import ExceptionKind
from headend.domain.recovery import Phase
from headend.service.ports import UnitOfWork
from headend.service.ports.recovery import Debtor, NewPlan, PlanRow
from headend.service.rows import NewTransfer

AFTER_OUTAGE_LIMIT: Final = 2_000
"""Most meters that are looked at for a plan after an outage in one commit."""

BY_RULE: Final = "headend"
"""Who makes and breaks plans without a clerk."""


class PlanOutcome(StrEnum):
    """What came of the wish to make or cancel a plan."""

    MADE = "MADE"
    CANCELLED = "CANCELLED"
    UNKNOWN_METER = "UNKNOWN_METER"
    NO_DEBT = "NO_DEBT"
    ABOVE_DEBT = "ABOVE_DEBT"
    PLAN_ACTIVE = "PLAN_ACTIVE"
    NO_PLAN = "NO_PLAN"


@dataclass(frozen=True, slots=True)
class Planned:
    """The answer. `plan` is the one made, cancelled or in the way; `debt_micros` what the account owes now."""

    outcome: PlanOutcome
    plan: PlanRow | None = None
    debt_micros: int = 0


# making and ending ------------------------------------------------------------------------------------------


def make_plan(
    meter: str,
    rules: ArrearsRules,
    amount_micros: int | None,
    actor: str,
    reason: str,
    zone: ZoneInfo,
    uow: UnitOfWork,
    now_s: int,
) -> Planned:
    """Put a meter's debt, or a part of it, into a plan by a clerk's word; `rules` say how it comes back.

    The debt is what is posted: energy that is not settled yet is paid as it is settled. No limit applies.
    """
    debtor = uow.debtor(meter)
    if debtor is None:
        return Planned(PlanOutcome.UNKNOWN_METER)
    debt_micros = max(0, -debtor.balance_micros)
    if debtor.active_plan is not None:
        (active,) = uow.active_plans([debtor.meter_key])
        return Planned(PlanOutcome.PLAN_ACTIVE, active, debt_micros)
    if debt_micros == 0:
        return Planned(PlanOutcome.NO_DEBT)
    wanted_micros = debt_micros if amount_micros is None else amount_micros
    if wanted_micros > debt_micros:
        return Planned(PlanOutcome.ABOVE_DEBT, None, debt_micros)
    new = NewPlan(debtor, wanted_micros, rules.terms(wanted_micros), day_of(now_s, zone), actor)
    (plan,) = _make([new], reason, uow, now_s)
    need = [(debtor.meter_key, str(ExceptionKind.ARREARS_NEED_PLAN))]
    uow.resolve_exceptions(need, actor, f"plan {plan.plan_id} was made", now_s)
    return Planned(PlanOutcome.MADE, plan, debt_micros - wanted_micros)


def cancel_plan(meter: str, actor: str, reason: str, uow: UnitOfWork, now_s: int) -> Planned:
    """End a meter's active plan; the rest of the debt stands on the consumer's account again."""
    debtor = uow.debtor(meter)
    if debtor is None:
        return Planned(PlanOutcome.UNKNOWN_METER)
    if debtor.active_plan is None:
        return Planned(PlanOutcome.NO_PLAN)
    (plan,) = uow.active_plans([debtor.meter_key])
    course = replace(plan.course, state=PlanState.CANCELLED)
    _record([(plan, course)], actor, reason, uow, now_s)
    return Planned(PlanOutcome.CANCELLED, plan, max(0, plan.left_micros - debtor.balance_micros))


def plan_after_outage(
    rules: ArrearsRules, region: str, after_meter_key: int, zone: ZoneInfo, uow: UnitOfWork, now_s: int
) -> int | None:
    """Give a page of a region's meters in debt a plan by rule; the meter to go on after, None: all were seen.

    A debt above the limit is listed for a clerk instead; a meter with an active plan keeps that one.
    """
    page = uow.debtors(region, after_meter_key, AFTER_OUTAGE_LIMIT)
    new: list[NewPlan] = []
    today = day_of(now_s, zone)
    for debtor in page:
        debt_micros = -debtor.balance_micros
        if debtor.active_plan is not None:
            continue
        if debt_micros > rules.plan_limit_micros:
            _list_for_a_clerk(debtor, rules, uow, now_s)
        else:
            new.append(NewPlan(debtor, debt_micros, rules.terms(debt_micros), today, BY_RULE))
    _make(new, "in debt after an outage", uow, now_s)
    return page[-1].meter_key if len(page) == AFTER_OUTAGE_LIMIT else None


def _make(new: Sequence[NewPlan], reason: str, uow: UnitOfWork, now_s: int) -> list[PlanRow]:
    plans = uow.add_plans(new, now_s)
    uow.post(
        [
            _move(
                _reference(plan), TransferKind.ARREARS, plan.account_key, plan.debtor_key, plan.debt_micros, now_s
            )
            for plan in plans
        ]
    )
    uow.record_acts(
        [
            Act(now_s, plan.made_by, ActKind.PLAN_MADE, f"meter/{plan.meter}", reason, _basis(plan))
            for plan in plans
        ]
    )
    return plans


def _list_for_a_clerk(debtor: Debtor, rules: ArrearsRules, uow: UnitOfWork, now_s: int) -> None:
    detail = (
        f"owes {-debtor.balance_micros} micros after an outage, above {rules.plan_limit_micros}:"
        " make a plan with `headend arrears plan`, or ask for payment"
    )
    uow.add_exception(ExceptionKind.ARREARS_NEED_PLAN, debtor.meter_key, detail, now_s)


# paying back ------------------------------------------------------------------------------------------------


def take_instalments(days: Sequence[tuple[int, int]], zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> int:
    """Take the instalments of days (meter_key, day) that this commit has just charged, in order; how many.

    Once for each meter and day, also when the day is billed anew.
    """
    plans = uow.active_plans({meter_key for meter_key, _ in days}) if days else []
    if not plans:
        return 0
    recovering = {row.region for row in uow.recoveries() if row.state.phase is not Phase.NORMAL}
    days_of = _charged_days(days, {plan.meter_key for plan in plans}, zone, uow)
    first = [(plan.plan_id, days_of[plan.meter_key][0].ends_s) for plan in plans]
    recharges: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for plan_id, posted_at_s, micros in uow.recharges_since(first):
        recharges[plan_id].append((posted_at_s, micros))
    courses: list[tuple[PlanRow, Course]] = []
    transfers: list[NewTransfer] = []
    for plan in plans:
        course, taken = follow_days(
            plan.terms,
            plan.course,
            days_of[plan.meter_key],
            plan.balance_micros,
            recharges[plan.plan_id],
            excused=plan.region in recovering,
        )
        courses.append((plan, course))
        for day, micros in taken:
            reference = f"instalment/{plan.meter}/{date.fromordinal(day)}"
            transfers.append(_instalment(plan, reference, micros, now_s))
    uow.post(transfers)
    _record(courses, BY_RULE, "", uow, now_s)
    return len(transfers)


def take_share(meter_key: int, recharge: Transfer, uow: UnitOfWork, now_s: int) -> int:
    """Keep a plan's share of a recharge that this commit has just recorded; how many micros. A second time: 0."""
    plans = uow.active_plans([meter_key])
    if not plans or plans[0].share_bp is None or plans[0].debtor_key != recharge.credit_account:
        return 0
    (plan,) = plans
    assert plan.share_bp is not None
    kept_micros = share_micros(recharge.amount_micros, plan.share_bp, plan.left_micros)
    reference = f"instalment/{recharge.reference}"
    if not kept_micros or uow.transfer(reference) is not None:
        return 0
    uow.post([_instalment(plan, reference, kept_micros, now_s)])
    left_micros = plan.left_micros - kept_micros
    state = PlanState.ACTIVE if left_micros else PlanState.PAID
    _record([(plan, replace(plan.course, left_micros=left_micros, state=state))], BY_RULE, "", uow, now_s)
    return kept_micros


def _charged_days(
    days: Sequence[tuple[int, int]], wanted: set[int], zone: ZoneInfo, uow: UnitOfWork
) -> dict[int, list[ChargedDay]]:
    """By meter the days that were charged, with what they came to, in order."""
    chosen = [(meter_key, day) for meter_key, day in days if meter_key in wanted]
    charges = uow.charges_of_days(chosen)
    ends_s = {day: midnight_s(day + 1, zone) for day in {day for _, day in chosen}}
    found: defaultdict[int, list[ChargedDay]] = defaultdict(list)
    for meter_key, day in chosen:
        found[meter_key].append(ChargedDay(day, ends_s[day], charges.get((meter_key, day), 0)))
    return found


def _record(
    courses: Sequence[tuple[PlanRow, Course]], actor: str, reason: str, uow: UnitOfWork, now_s: int
) -> None:
    """Keep how far plans have come, and see to those that ended."""
    uow.put_courses(courses, now_s)
    ended = [(plan, course) for plan, course in courses if course.state is not PlanState.ACTIVE]
    back = [
        _move(
            f"{_reference(plan)}/end", TransferKind.ARREARS, plan.debtor_key, plan.account_key, course.left_micros,
            now_s,
        )
        for plan, course in ended
        if course.left_micros
    ]  # fmt: skip
    uow.post(back)
    acts = []
    for plan, course in ended:
        why = reason or _WHY_ENDED[course.state]
        basis = _basis(plan) | {"state": course.state.value, "left_micros": course.left_micros}
        acts.append(Act(now_s, actor, ActKind.PLAN_ENDED, f"meter/{plan.meter}", why, basis))
        if course.state is PlanState.EXPIRED:
            detail = (
                f"plan {plan.plan_id}: in debt on more than {plan.missed_allowed} days in a row;"
                f" {course.left_micros} micros stand on the account again"
            )
            uow.add_exception(ExceptionKind.PLAN_BROKEN, plan.meter_key, detail, now_s)
    uow.record_acts(acts)


_WHY_ENDED: Final = {
    PlanState.PAID: "all is paid",
    PlanState.EXPIRED: "more missed days in a row than allowed",
}


def _move(reference: str, kind: TransferKind, debit: int, credit: int, micros: int, now_s: int) -> NewTransfer:
    return NewTransfer(reference, kind, debit, credit, micros, now_s, now_s)


def _instalment(plan: PlanRow, reference: str, micros: int, now_s: int) -> NewTransfer:
    return _move(reference, TransferKind.INSTALMENT, plan.debtor_key, plan.account_key, micros, now_s)


def _reference(plan: PlanRow) -> str:
    return arrears_account(plan.meter, plan.plan_id)


def _basis(plan: PlanRow) -> dict[str, object]:
    how: dict[str, object] = (
        {"share_bp": plan.share_bp}
        if plan.instalment_micros is None
        else {"instalment_micros": plan.instalment_micros}
    )
    return {"plan": plan.plan_id, "debt_micros": plan.debt_micros, "missed_allowed": plan.missed_allowed} | how
