"""Commands for what is on its way to meters: the queue, and orders for relay positions."""

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
    MeterArgument,
    StoreOption,
    checked_id,
    checked_reason,
    read_config,
    unknown_meter,
)
from headend.cli.output import as_json, print_json, print_table
from headend.domain.calendar import local_text
from headend.domain.units import format_rupees
from headend.errors import HeadendError
from headend.service.accounts import (
    order_relay,
)


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


def relay(
    meter: MeterArgument,
    position: Annotated[str, typer.Argument(metavar="open|close", help="open: cut off; close: give supply.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Order a relay position. An order to open expires; a newer order replaces an older one."""
    settings = read_config(config, store, clock)
    if position not in ("open", "close"):
        raise HeadendError(f"{position[:40]!r}: say open (cut off) or close (give supply)")
    checked_reason(reason)
    wanted = "open" if position == "open" else "closed"
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        expires_after_s = settings.relay_open_expires_after_s
        version = order_relay(checked_id(meter), wanted, reason, expires_after_s, uow, now_s)
    if version is None:
        raise unknown_meter(meter)
    if json:
        print_json({"meter": meter, "relay": wanted, "version": version})
    else:
        print(f"meter {meter}: relay {wanted}, version {version}, queued")
