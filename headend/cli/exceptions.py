"""Commands for what a person must look at: counters that make no sense, silent meters, broken plans, refusals."""

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.meters import find_meter
from headend.cli.options import (
    ClockOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    MeterArgument,
    StoreOption,
    checked_reason,
    read_config,
)
from headend.cli.output import as_json, print_json, print_table
from headend.cli.progress import progress
from headend.domain.calendar import local_text
from headend.domain.exception_kind import ExceptionKind
from headend.domain.units import format_rupees
from headend.errors import HeadendError
from headend.service.exceptions import ADVICE
from headend.service.resolutions import COUNTERS, MOST_LOST, Outcome, Resolution, resolve_page
from headend.service.resolutions import resolve_exception as close_exception
from headend.service.rows import ExceptionRow

app = typer.Typer(help="What a person must look at.", no_args_is_help=True)


@app.command("list")
def list_exceptions(
    meter: Annotated[str | None, typer.Option("--meter", help="Of one meter only.")] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Those that are closed, with by whom and why.")
    ] = False,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List open exceptions, oldest first. Kinds that begin with CREDIT, RELAY or POLICY hold those deliveries."""
    settings = read_config(config, store, clock)
    if meter is not None:
        find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.exceptions(meter, limit, resolved=resolved)
    now_s = bootstrap.clock(settings).now_s()
    if json:
        print_json(
            [as_json(row, **_state(row, now_s), what_to_do=ADVICE[ExceptionKind(row.kind)]) for row in rows]
        )
        return
    zone = ZoneInfo(settings.zone)
    last_columns = ("closed", "by", "found and done") if resolved else ("age", "what to do")
    print_table(
        "closed exceptions" if resolved else "open exceptions",
        ("meter", "kind", "detail", "first", "last", "count", *last_columns),
        (
            (
                row.meter,
                row.kind,
                row.detail,
                local_text(row.first_at_s, zone),
                local_text(row.last_at_s, zone),
                row.count,
                *(
                    (local_text(row.resolved_at_s, zone), row.resolved_by, row.resolution)
                    if resolved
                    else (_age_text(now_s - row.first_at_s), ADVICE[ExceptionKind(row.kind)])
                ),
            )
            for row in rows
        ),
    )


def _state(row: ExceptionRow, now_s: int) -> dict[str, object]:
    """Whether it is open, and how long it has been or was."""
    until_s = now_s if row.resolved_at_s is None else row.resolved_at_s
    return {
        "state": "OPEN" if row.resolved_at_s is None else "RESOLVED",
        "age_s": max(0, until_s - row.first_at_s),
    }


def _age_text(age_s: int) -> str:
    """Days and hours, or minutes: as exact as it matters."""
    minutes = max(0, age_s) // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} d {hours % 24} h"


@app.command("resolve")
def resolve_exception(
    meter: MeterArgument,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="As `exceptions list` shows it.")],
    actor: Annotated[str, typer.Option("--actor", help="Who resolves it; it is kept.")],
    note: Annotated[str, typer.Option("--note", help="What was found and done; it is kept.")],
    believe: Annotated[
        bool, typer.Option("--believe", help="IMPLAUSIBLE_JUMP: the meter's display shows it; go on from there.")
    ] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Close an exception: what it held goes out again. If the meter still disagrees, it comes back.

    A meter that is ahead (CREDIT_AHEAD, RELAY_AHEAD, POLICY_AHEAD, CREDIT_TOTAL_DIFFERS) is taken at its word: its
    numbers count as given, and what is to be sent goes on above them. Its relay is ordered closed, so that it has
    supply; the rules decide on cuts anew. Refused while the meter has more credit than the ledger.

    A reading that jumped (IMPLAUSIBLE_JUMP) stays unused, and those after it that are possible count as ever. With
    --believe it is the newest one from now on: only what its display shows can say that it was the meter's.
    """
    settings = read_config(config, store, clock)
    checked_reason(actor, "actor")
    checked_reason(note, "note")
    find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        resolution = close_exception(meter, kind, actor, note, uow, now_s, believe=believe)
    if resolution.outcome is not Outcome.RESOLVED:
        raise HeadendError(f"meter {meter} {_why_open(resolution)}")
    if json:
        print_json({"meter": meter, "kind": kind, "resolved": True})
    else:
        print(f"meter {meter}: {kind} resolved")


@app.command("resolve-all")
def resolve_all_exceptions(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(COUNTERS)}.")],
    actor: Annotated[str, typer.Option("--actor", help="Who resolves them; it is kept.")],
    note: Annotated[str, typer.Option("--note", help="What was found and done; it is kept.")],
    region: Annotated[str | None, typer.Option("--region", help="Of one region only.")] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """After a restore from a backup: close all exceptions of a kind that can be closed, and list the others."""
    settings = read_config(config, store, clock)
    checked_reason(actor, "actor")
    checked_reason(note, "note")
    if kind not in COUNTERS:
        raise HeadendError(f"{kind} is looked at meter by meter; resolve-all takes {', '.join(COUNTERS)}")
    resolutions: list[Resolution] = []
    after: int | None = 0
    with bootstrap.store(settings) as opened, progress("looked at") as tell:
        while after is not None:
            with opened.transaction() as uow:
                now_s = bootstrap.clock(settings).now_s()
                page, after = resolve_page(ExceptionKind(kind), region, after, actor, note, uow, now_s)
            resolutions += page
            tell(len(resolutions))
    left = [each for each in resolutions if each.outcome is not Outcome.RESOLVED]
    resolved = len(resolutions) - len(left)
    if json:
        print_json({"kind": kind, "resolved": resolved, "left": [as_json(row) for row in left]})
        return
    print(f"{resolved} resolved, {len(left)} left open")
    if left:
        print_table("left open", ("meter", "why"), ((row.meter, _why_open(row)) for row in left))


def _why_open(resolution: Resolution) -> str:
    """What stands in the way, and what to do about it."""
    match resolution.outcome:
        case Outcome.METER_HAS_MORE:
            return (
                f"has Rs {format_rupees(resolution.missing_micros)} more credit than our books: find what is"
                " missing in the payment providers' settlements, submit it with its own reference, then resolve"
            )
        case Outcome.NOT_BELIEVED:
            return (
                f"speaks of number {resolution.said_number}, more than {MOST_LOST} above ours: not believed;"
                " check the meter and who can write on the broker, exchange it if it is really so"
            )
        case Outcome.NOTHING_TO_BELIEVE:
            return (
                "--believe is for an IMPLAUSIBLE_JUMP that tells of a reading ahead of the newest accepted one;"
                " there is none"
            )
        case _:
            return f"has no open exception {resolution.kind}; `headend exceptions list` shows those open"
