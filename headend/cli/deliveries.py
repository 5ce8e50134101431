"""`headend queue`: what is on its way to meters."""

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.meters import find_meter
from headend.cli.options import (
    AfterOption,
    ClockOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    StoreOption,
    read_config,
)
from headend.cli.output import as_json, print_json, print_table
from headend.domain.calendar import local_text
from headend.domain.units import format_rupees


def queue(
    meter: Annotated[str | None, typer.Argument(metavar="[METER]", help="All deliveries of one meter.")] = None,
    after: AfterOption = 0,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is on its way to meters; with METER also what has arrived."""
    settings = read_config(config, store, clock)
    if meter is not None:
        find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.queue(meter, after, limit)
    if json:
        print_json([as_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
    if len(rows) == limit:
        print(f"the first {limit:,}; more with --after {rows[-1].delivery_id} or a higher --limit")
    print_table(
        f"deliveries of {meter}" if meter else "open deliveries",
        ("#", "meter", "what", "state", "reference", "accepted", "posted", "sent", "applied", "tries"),
        (
            (
                row.delivery_id,
                row.meter,
                f"credit {row.seq}: Rs {format_rupees(row.amount_micros)}"
                if row.amount_micros is not None
                else f"relay {row.seq}: {row.relay}",
                f"held: {row.held_by}" if row.held_by else row.ended_reason or row.state,
                row.reference or row.reason or "",
                local_text(row.accepted_at_s, zone),
                local_text(row.posted_at_s, zone),
                local_text(row.sent_at_s, zone),
                local_text(row.applied_at_s, zone),
                row.attempts,
            )
            for row in rows
        ),
    )
