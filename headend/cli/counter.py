"""Commands of the counter: meters, recharges, balances, statements, the queue, relay positions.

They work on the store alone, whether or not `headend serve`, the broker or the meters are up.
"""

import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.options import (
    PAGE,
    ClockOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    MeterArgument,
    StoreOption,
    checked_meter,
    checked_reference,
    read_config,
    unknown_meter,
)
from headend.cli.output import as_json, print_json, print_json_line, print_table
from headend.config import Config
from headend.domain.account import Balance, balance
from headend.domain.calendar import day_of, local_text
from headend.domain.ledger import RecordOutcome
from headend.domain.units import format_rupees, parse_rupees
from headend.errors import ExitStatus, HeadendError
from headend.service.accounts import (
    Recharge,
    Recorded,
    RegisterOutcome,
    order_relay,
    record_recharge,
    register_meters,
)
from headend.service.rows import MeterRow, Registration
from headend.service.traffic import GatewayId
from headend.wire.limits import MAX_INTEGER

IMPORT_CHUNK: Final = 5_000
"""Meters registered in one commit."""

CSV_COLUMNS: Final = ("meter", "region", "gateway", "register_wh", "installed")

meter_app = typer.Typer(help="Register and look up meters.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.add_typer(meter_app, name="meter")
    for command in (recharge, show_balance, statement, queue, relay):
        name = command.__name__.removeprefix("show_")
        app.command(name)(command)


# --- meters -------------------------------------------------------------------------------------------------


@meter_app.command("add")
def meter_add(
    meter: MeterArgument,
    region: Annotated[str, typer.Option(help="The region's id.")],
    gateway: Annotated[str, typer.Option(help="The id of the gateway that the meter hangs on.")],
    register_wh: Annotated[int, typer.Option(min=0, help="The register on installation, in Wh.")] = 0,
    installed: Annotated[str | None, typer.Option(help="First billing day, YYYY-MM-DD (default: today).")] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Register one meter. The same again changes nothing."""
    settings = read_config(config, store, clock)
    row = dict(zip(CSV_COLUMNS, (meter, region, gateway, str(register_wh), installed or ""), strict=True))
    registration = _registration(row, _today(settings))
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        (outcome,) = register_meters([registration], uow)
    if json:
        print_json({"meter": meter, "outcome": outcome})
    else:
        print(f"meter {meter}: {outcome}")
    if outcome is RegisterOutcome.EXISTS_DIFFERENT:
        raise HeadendError(
            f"meter {meter} is registered otherwise; `headend meter show {meter}` says how",
            ExitStatus.EXISTS_DIFFERENT,
        )


@meter_app.command("import")
def meter_import(
    file: Annotated[Path, typer.Argument(metavar="CSV", help=f"Columns: {','.join(CSV_COLUMNS)}; - is stdin.")],
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Register meters from a CSV file, in commits of 5,000; again with the same file changes nothing."""
    settings = read_config(config, store, clock)
    today = _today(settings)
    counts = dict.fromkeys(RegisterOutcome, 0)
    differing: list[str] = []
    with bootstrap.store(settings) as opened, _opened(file) as lines:
        rows = _csv_rows(lines, file, today)
        while chunk := list(islice(rows, IMPORT_CHUNK)):
            with opened.transaction() as uow:
                outcomes = register_meters(chunk, uow)
            for registration, outcome in zip(chunk, outcomes, strict=True):
                counts[outcome] += 1
                if outcome is RegisterOutcome.EXISTS_DIFFERENT:
                    differing.append(registration.meter)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{sum(counts.values()):,} meters")
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    if json:
        print_json(counts)
    else:
        print(", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()))
    if differing:
        raise HeadendError(
            f"{len(differing)} meters are registered otherwise and stay as they are: {', '.join(differing[:5])}",
            ExitStatus.EXISTS_DIFFERENT,
        )


@meter_app.command("list")
def meter_list(
    after: Annotated[str, typer.Option(help="Begin after this meter id.")] = "",
    limit: LimitOption = 100,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List meters in order of their ids."""
    settings = read_config(config, store, clock)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.meter_rows(after, limit)
        total = uow.meter_count()
    if json:
        print_json({"total": total, "meters": [_meter_json(row, settings) for row in rows]})
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        f"{len(rows):,} of {total:,} meters",
        ("meter", "region", "gateway", "register Wh", "read at", "balance", "credits applied"),
        (
            (
                row.meter,
                row.region,
                row.gateway,
                row.register_wh,
                local_text(row.read_at_s, zone),
                format_rupees(_balance(row, settings).shown_micros),
                f"{row.applied_credit_seq}/{row.credit_seq}",
            )
            for row in rows
        ),
    )


@meter_app.command("show")
def meter_show(
    meter: MeterArgument,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show everything that is held of one meter, and what a person must look at."""
    settings = read_config(config, store, clock)
    row = _meter_row(meter, settings)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        exceptions = uow.exceptions(row.meter, PAGE)
    content = _meter_json(row, settings) | {"exceptions": [as_json(entry) for entry in exceptions]}
    if json:
        print_json(content)
        return
    for name, value in content.items():
        if name != "exceptions":
            print(f"{name:28} {'-' if value is None else value}")
    for entry in exceptions:
        print(f"{'exception':28} {entry.kind}: {entry.detail} ({entry.count}x)")


def _meter_json(row: MeterRow, config: Config) -> dict[str, Any]:
    return as_json(
        row,
        installed=date.fromordinal(row.installed_day).isoformat(),
        settled_up_to=date.fromordinal(row.settled_day).isoformat(),
        balance_micros=_balance(row, config).shown_micros,
    )


def _meter_row(meter: str, config: Config) -> MeterRow:
    with bootstrap.store(config) as opened, opened.view() as uow:
        row = uow.meter_row(checked_meter(meter))
    if row is None:
        raise unknown_meter(meter)
    return row


def _balance(row: MeterRow, config: Config) -> Balance:
    return balance(
        bootstrap.tariff(config),
        credits_micros=row.credits_micros,
        debits_micros=row.debits_micros,
        register_wh=row.register_wh,
        settled_register_wh=row.settled_register_wh,
        as_of_s=row.read_at_s,
    )


def _today(config: Config) -> int:
    return day_of(bootstrap.clock(config).now_s(), ZoneInfo(config.zone))


def _opened(file: Path) -> IO[str]:
    if str(file) == "-":
        return sys.stdin
    try:
        return file.open(encoding="utf-8", newline="")
    except OSError as error:
        raise HeadendError(f"{file}: {error.strerror}") from error


def _csv_rows(lines: Iterable[str], file: Path, today: int) -> Iterator[Registration]:
    reader = csv.DictReader(lines)
    try:
        if reader.fieldnames is None or not set(CSV_COLUMNS[:4]) <= set(reader.fieldnames):
            raise HeadendError(f"{file}: the first line must name the columns {','.join(CSV_COLUMNS)}")
        for row in reader:
            try:
                yield _registration(row, today)
            except HeadendError as error:
                raise HeadendError(f"{file}, line {reader.line_num}: {error}; the lines before are in") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise HeadendError(f"{file}, line {reader.line_num}: {error}") from error


def _registration(row: dict[str, str], today: int) -> Registration:
    gateway = GatewayId(checked_meter(row["region"] or ""), checked_meter(row["gateway"] or ""))
    register = row["register_wh"] or "0"
    if not register.isascii() or not register.isdigit() or int(register) > MAX_INTEGER:
        raise HeadendError(f"register_wh {register[:40]!r} is not a whole number of Wh up to {MAX_INTEGER}")
    installed = row.get("installed")
    try:
        day = date.fromisoformat(installed).toordinal() if installed else today
    except ValueError as error:
        raise HeadendError(f"installed {installed!r} is not a date such as 2024-10-30") from error
    return Registration(checked_meter(row["meter"] or ""), gateway, int(register), day)


# --- money --------------------------------------------------------------------------------------------------


def recharge(
    meter: Annotated[str | None, typer.Argument(metavar="METER", help="A meter's id.")] = None,
    rupees: Annotated[str | None, typer.Argument(metavar="RUPEES", help="Such as 250 or 99.50.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="The payment's own reference: the same again adds nothing.")
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option("--batch", help="Lines METER,RUPEES,REFERENCE of a file, or - for stdin."),
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Record a recharge: durable when this command answers, delivered when the meter can be reached."""
    settings = read_config(config, store, clock)
    if batch is not None:
        if meter or rupees or reference:
            raise HeadendError("--batch reads meter, rupees and reference from its lines")
        _recharge_batch(batch, settings)
        return
    if meter is None or rupees is None or reference is None:
        raise HeadendError("say METER RUPEES --reference REF, or --batch FILE")
    request = _recharge_request(meter, rupees, reference)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        recorded = record_recharge(request, uow, bootstrap.clock(settings).now_s())
    if json:
        print_json(_recorded_json(recorded))
    elif recorded.transfer is not None:
        print(f"{recorded.outcome}: Rs {format_rupees(request.amount_micros)} for {meter}, reference {reference}")
    if recorded.outcome is RecordOutcome.UNKNOWN_METER:
        raise unknown_meter(request.meter)
    if recorded.outcome is RecordOutcome.EXISTS_DIFFERENT:
        raise HeadendError(
            f"reference {reference} stands for another recharge; nothing was changed", ExitStatus.EXISTS_DIFFERENT
        )


def _recharge_batch(batch: Path, config: Config) -> None:
    """Each line is one commit, answered by one line of JSON after it."""
    failed = 0
    clock = bootstrap.clock(config)
    with bootstrap.store(config) as opened, _opened(batch) as lines:
        for number, line in enumerate(iter(lines.readline, ""), start=1):
            if not line.strip():
                continue
            try:
                fields = [field.strip() for field in line.split(",")]
                if len(fields) != 3:
                    raise HeadendError("not METER,RUPEES,REFERENCE")
                request = _recharge_request(*fields)
            except HeadendError as error:
                failed += 1
                print_json_line({"line": number, "outcome": "REFUSED", "error": str(error)})
                continue
            with opened.transaction() as uow:
                recorded = record_recharge(request, uow, clock.now_s())
            failed += recorded.outcome not in (RecordOutcome.RECORDED, RecordOutcome.EXISTS)
            print_json_line({"line": number} | _recorded_json(recorded))
    if failed:
        raise HeadendError(f"{failed} lines were not recorded; their answers say why")


def _recharge_request(meter: str, rupees: str, reference: str) -> Recharge:
    try:
        amount_micros = parse_rupees(rupees)
    except ValueError as error:
        raise HeadendError(str(error)) from error
    return Recharge(checked_meter(meter), amount_micros, checked_reference(reference))


def _recorded_json(recorded: Recorded) -> dict[str, Any]:
    request = recorded.recharge
    content: dict[str, Any] = {
        "outcome": recorded.outcome,
        "meter": request.meter,
        "amount_micros": request.amount_micros,
        "reference": request.reference,
    }
    if recorded.transfer is not None:
        content["transfer_id"] = recorded.transfer.transfer_id
        content["accepted_at_s"] = recorded.transfer.accepted_at_s
    return content


def show_balance(
    meter: MeterArgument,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show a meter's balance as last known, with its time; stale when the meter has not been heard lately."""
    settings = read_config(config, store, clock)
    row = _meter_row(meter, settings)
    shown = _balance(row, settings)
    now_s = bootstrap.clock(settings).now_s()
    stale = shown.as_of_s is None or now_s - shown.as_of_s > settings.gateway_silent_after_s
    on_the_way = row.credit_total_micros - row.applied_credit_total_micros
    if json:
        more = {"meter": row.meter, "balance_micros": shown.shown_micros, "stale": stale}
        print_json(more | as_json(shown) | {"credits_on_the_way_micros": on_the_way})
        return
    zone = ZoneInfo(settings.zone)
    print(f"{row.meter}  Rs {format_rupees(shown.shown_micros)}")
    if shown.as_of_s is None:
        print("as of     no reading yet")
    else:
        print(f"as of     {local_text(shown.as_of_s, zone)}{'  (stale)' if stale else ''}")
    print(f"posted    Rs {format_rupees(shown.posted_micros)}")
    print(f"unsettled Rs {format_rupees(shown.unsettled_micros)} for {shown.unsettled_wh:,} Wh")
    if on_the_way:
        print(f"on the way to the meter: Rs {format_rupees(on_the_way)} (counted above)")


def statement(
    meter: MeterArgument,
    after: Annotated[int, typer.Option(help="Begin after this transfer.")] = 0,
    limit: LimitOption = PAGE,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List a consumer's transfers, oldest first; a recharge with its four facts."""
    settings = read_config(config, store, clock)
    _meter_row(meter, settings)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.statement(meter, after, limit)
    if json:
        print_json([as_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        f"statement of {meter}",
        ("#", "reference", "rupees", "accepted", "posted", "sent", "applied"),
        (
            (
                row.transfer_id,
                row.reference,
                format_rupees(row.amount_micros if row.is_credit else -row.amount_micros),
                local_text(row.accepted_at_s, zone),
                local_text(row.posted_at_s, zone),
                local_text(row.sent_at_s, zone),
                local_text(row.applied_at_s, zone),
            )
            for row in rows
        ),
    )


# --- deliveries ---------------------------------------------------------------------------------------------


def queue(
    meter: Annotated[str | None, typer.Argument(metavar="[METER]", help="All deliveries of one meter.")] = None,
    after: Annotated[int, typer.Option(help="Begin after this delivery.")] = 0,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is on its way to meters; with METER also what has arrived."""
    settings = read_config(config, store, clock)
    if meter is not None:
        _meter_row(meter, settings)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.queue(meter, after, limit)
    if json:
        print_json([as_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
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
                f"{row.state} ({row.ended_reason})" if row.ended_reason else row.state,
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
    if not reason.strip():
        raise HeadendError("--reason must say why")
    wanted = "open" if position == "open" else "closed"
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        expires_after_s = settings.relay_open_expires_after_s
        version = order_relay(checked_meter(meter), wanted, reason, expires_after_s, uow, now_s)
    if version is None:
        raise unknown_meter(meter)
    if json:
        print_json({"meter": meter, "relay": wanted, "version": version})
    else:
        print(f"meter {meter}: relay {wanted}, version {version}, queued")
