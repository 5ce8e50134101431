"""Commands for what a person must look at: counters that make no sense, clocks that are ahead, days not billed."""

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
from headend.errors import HeadendError

app = typer.Typer(help="What a person must look at.", no_args_is_help=True)


@app.command("list")
def list_exceptions(
    limit: LimitOption = 100,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List open exceptions, oldest first. One whose kind begins with CREDIT or RELAY holds those deliveries."""
    settings = read_config(config, store, clock)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.exceptions(None, limit)
    if json:
        print_json([as_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        "open exceptions",
        ("meter", "kind", "detail", "first", "last", "count"),
        (
            (
                row.meter,
                row.kind,
                row.detail,
                local_text(row.first_at_s, zone),
                local_text(row.last_at_s, zone),
                row.count,
            )
            for row in rows
        ),
    )


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
        ((_, meter_key, _),) = uow.meter_keys([meter])
        now_s = bootstrap.clock(settings).now_s()
        resolved = uow.resolve_exceptions([(meter_key, kind)], actor, note, now_s)
    if not resolved:
        raise HeadendError(
            f"meter {meter} has no open exception {kind}; `headend exceptions list` shows those open"
        )
    if json:
        print_json({"meter": meter, "kind": kind, "resolved": True})
    else:
        print(f"meter {meter}: {kind} resolved")
