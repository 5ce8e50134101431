"""Commands for arrears: a clerk makes, cancels and looks at plans by which debts come back in parts."""

import re
from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.meters import find_meter
from headend.cli.options import (
    PAGE,
    ActorOption,
    AfterOption,
    ClockOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    MeterArgument,
    ReasonOption,
    StoreOption,
    check_kept,
    read_config,
    unknown_meter,
)
from headend.cli.output import as_json, print_json, print_table
from headend.config import Config
from headend.domain.arrears import ArrearsRules, PlanState
from headend.domain.calendar import local_text
from headend.domain.units import format_rupees, parse_rupees
from headend.errors import HeadendError
from headend.service.arrears import Planned, PlanOutcome, cancel_plan, make_plan
from headend.service.ports.recovery import PlanRow

app = typer.Typer(help="Debts that are paid back in parts.", no_args_is_help=True)

_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?")


@app.command("plan")
def plan(
    meter: MeterArgument,
    actor: ActorOption,
    reason: ReasonOption,
    instalments: Annotated[
        int | None, typer.Option(min=1, max=3_660, help="In so many equal daily instalments.")
    ] = None,
    share: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="By this share of each recharge, such as 25.")
    ] = None,
    amount: Annotated[
        str | None, typer.Option(metavar="RUPEES", help="Only so much of the debt (default: all of it).")
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Put a meter's debt into a plan; without --instalments or --share in the way that the rules name."""
    settings = read_config(config, store, clock)
    check_kept(actor, reason)
    rules = _rules(settings, instalments, share)
    amount_micros = None if amount is None else _amount(amount)
    find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        planned = make_plan(meter, rules, amount_micros, actor, reason, ZoneInfo(settings.zone), uow, now_s)
    _say(meter, planned, json)


@app.command("cancel")
def cancel(
    meter: MeterArgument,
    actor: ActorOption,
    reason: ReasonOption,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """End a meter's plan; what has not come back is the consumer's debt again."""
    settings = read_config(config, store, clock)
    check_kept(actor, reason)
    find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        planned = cancel_plan(meter, actor, reason, uow, bootstrap.clock(settings).now_s())
    _say(meter, planned, json)


@app.command("list")
def list_plans(
    state: Annotated[
        PlanState | None, typer.Option(case_sensitive=False, help="Only plans in this state.")
    ] = None,
    after: AfterOption = 0,
    limit: LimitOption = PAGE,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List plans, oldest first."""
    settings = read_config(config, store, clock)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        plans = uow.plans(None, state, after, limit)
    if json:
        print_json([_as_json(each) for each in plans])
        return
    if len(plans) == limit:
        print(f"the first {limit:,}; more with --after {plans[-1].plan_id} or a higher --limit")
    _print_plans("arrears plans", plans, ZoneInfo(settings.zone))


@app.command("show")
def show(
    meter: MeterArgument,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show a meter's plans: what was owed, what has come back, what is left, and what comes next."""
    settings = read_config(config, store, clock)
    row = find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        plans = uow.plans(row.meter, None, 0, PAGE)
    if json:
        print_json([_as_json(each) for each in plans])
        return
    _print_plans(f"arrears plans of {meter}", plans, ZoneInfo(settings.zone))


def _rules(config: Config, instalments: int | None, share: str | None) -> ArrearsRules:
    rules = bootstrap.rules(config).arrears
    if instalments is not None and share is not None:
        raise HeadendError("--instalments and --share: a debt comes back by one of them")
    if instalments is not None:
        return replace(rules, instalments=instalments, share_bp=None)
    if share is not None:
        return replace(rules, instalments=None, share_bp=_share_bp(share))
    return rules


def _share_bp(text: str) -> int:
    match = _PERCENT.fullmatch(text.removesuffix("%").strip())
    share_bp = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else 0
    if not 0 < share_bp <= 10_000:
        raise HeadendError(f"--share {text[:20]!r} is not a percentage from 0.01 to 100, such as 25 or 12.5")
    return share_bp


def _amount(text: str) -> int:
    try:
        return parse_rupees(text)
    except ValueError as error:
        raise HeadendError(f"--amount: {error}") from error


def _say(meter: str, planned: Planned, json: bool) -> None:
    """Answer what came of it.

    Raises:
        HeadendError: nothing was changed, and why.
    """
    debt = format_rupees(planned.debt_micros)
    match planned.outcome:
        case PlanOutcome.UNKNOWN_METER:
            raise unknown_meter(meter)
        case PlanOutcome.NO_DEBT:
            raise HeadendError(f"meter {meter} owes nothing that is posted; see `headend balance {meter}`")
        case PlanOutcome.ABOVE_DEBT:
            raise HeadendError(
                f"--amount is above the debt of meter {meter}, which is Rs {debt}; nothing was changed"
            )
        case PlanOutcome.NO_PLAN:
            raise HeadendError(f"meter {meter} has no active plan; see `headend arrears show {meter}`")
    assert planned.plan is not None
    if planned.outcome is PlanOutcome.PLAN_ACTIVE:
        raise HeadendError(
            f"meter {meter} has plan {planned.plan.plan_id} already, with Rs"
            f" {format_rupees(planned.plan.left_micros)} left; cancel it first: `headend arrears cancel {meter}`"
        )
    if json:
        print_json({"outcome": planned.outcome, "debt_micros": planned.debt_micros} | _as_json(planned.plan))
        return
    left = format_rupees(planned.plan.left_micros)
    print(f"{planned.outcome}: plan {planned.plan.plan_id} of meter {meter}, Rs {left}, {_way(planned.plan)}")
    if planned.debt_micros:
        print(f"on the account itself the meter owes Rs {debt}")


def _way(plan: PlanRow) -> str:
    if plan.instalment_micros is not None:
        return f"Rs {format_rupees(plan.instalment_micros)} a day"
    assert plan.share_bp is not None
    return f"{plan.share_bp // 100}.{plan.share_bp % 100:02d} % of each recharge"


def _print_plans(title: str, plans: list[PlanRow], zone: ZoneInfo) -> None:
    print_table(
        title,
        ("plan", "meter", "state", "made", "by", "owed", "come back", "left", "way", "next", "missed", "ended"),
        (
            (
                each.plan_id,
                each.meter,
                each.state,
                local_text(each.made_at_s, zone),
                each.made_by,
                format_rupees(each.debt_micros),
                format_rupees(each.recovered_micros),
                format_rupees(each.left_micros),
                _way(each),
                _next(each),
                f"{each.missed} of {each.missed_allowed}",
                local_text(each.ended_at_s, zone),
            )
            for each in plans
        ),
    )


def _next(plan: PlanRow) -> str:
    if plan.next_micros is None:
        return "-" if plan.state is not PlanState.ACTIVE else "the next recharge"
    return f"{format_rupees(plan.next_micros)} for {date.fromordinal(plan.next_day)}"


def _as_json(plan: PlanRow) -> dict[str, Any]:
    return as_json(
        plan,
        from_day=date.fromordinal(plan.from_day).isoformat(),
        next_day=date.fromordinal(plan.next_day).isoformat(),
        settled_up_to=date.fromordinal(plan.settled_day).isoformat(),
        left_micros=plan.left_micros,
        next_micros=plan.next_micros,
    )
