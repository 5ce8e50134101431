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
from headend.domain.calendar import local_text
from headend.domain.exception_kind import ExceptionKind
from headend.errors import HeadendError
from headend.service.exceptions import ADVICE
from headend.service.exceptions import resolve_exception as close_exception
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
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Close an exception: what it held goes out again. If the meter still disagrees, it comes back."""
    settings = read_config(config, store, clock)
    checked_reason(actor, "actor")
    checked_reason(note, "note")
    find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        resolved = close_exception(meter, kind, actor, note, uow, bootstrap.clock(settings).now_s())
    if not resolved:
        raise HeadendError(
            f"meter {meter} has no open exception {kind}; `headend exceptions list` shows those open"
        )
    if json:
        print_json({"meter": meter, "kind": kind, "resolved": True})
    else:
        print(f"meter {meter}: {kind} resolved")
