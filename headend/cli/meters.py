"""Commands for meters: register them, look them up."""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
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
    checked_id,
    read_config,
    unknown_meter,
)
from headend.cli.output import as_json, print_json, print_table
from headend.config import Config
from headend.domain.account import Balance
from headend.domain.calendar import day_of, local_text
from headend.domain.tariff_book import NoPrice, PriceBook
from headend.domain.units import format_rupees
from headend.errors import ExitStatus, HeadendError
from headend.service.accounts import (
    RegisterOutcome,
    changed_terms,
    register_meters,
    shown_balance,
)
from headend.service.ports import UnitOfWork
from headend.service.rows import DEFAULT_LOAD_W, MeterRow, Registration
from headend.service.traffic import GatewayId
from headend.wire.limits import MAX_INTEGER

IMPORT_CHUNK: Final = 5_000
"""Meters registered in one commit."""

FIRST_DAY: Final = date(2000, 1, 1).toordinal()
MAX_DAYS_AHEAD: Final = 366
MAX_LOAD_W: Final = 1_000_000_000

_WHOLE_NUMBER = re.compile(r"[0-9]{1,16}")

CSV_COLUMNS: Final = ("meter", "region", "gateway", "register_wh", "installed", "category", "load_w", "feeder")
REQUIRED_COLUMNS: Final = 4

app = typer.Typer(help="Register and look up meters.", no_args_is_help=True)


@app.command("add")
def meter_add(
    meter: MeterArgument,
    region: Annotated[str, typer.Option(help="The region's id.")],
    gateway: Annotated[str, typer.Option(help="The id of the gateway that the meter hangs on.")],
    register_wh: Annotated[int, typer.Option(min=0, help="The register on installation, in Wh.")] = 0,
    installed: Annotated[str | None, typer.Option(help="First billing day, YYYY-MM-DD (default: today).")] = None,
    category: Annotated[str | None, typer.Option(help="Consumer category (default: the tariff's).")] = None,
    load_w: Annotated[int, typer.Option(min=1, help="Sanctioned load, in W.")] = DEFAULT_LOAD_W,
    feeder: Annotated[str | None, typer.Option(help="The feeder that supplies it, for caps on cuts.")] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Register one meter. The same again changes nothing."""
    settings = read_config(config, store, clock)
    values = (meter, region, gateway, str(register_wh), installed, category, str(load_w), feeder)
    row = {name: value or "" for name, value in zip(CSV_COLUMNS, values, strict=True)}
    registration = _registration(row, _today(settings))
    with bootstrap.store(settings, create=True) as opened, opened.transaction() as uow:
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


@app.command("import")
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
    with bootstrap.store(settings, create=True) as opened, opened_file(file) as lines:
        for chunk in _chunks(_csv_rows(lines, file, today)):
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


@app.command("list")
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
        content = [_meter_json(row, shown) for row, shown in zip(rows, balances(rows, settings), strict=True)]
        print_json({"total": total, "meters": content})
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
                "no price" if isinstance(shown, NoPrice) else format_rupees(shown.shown_micros),
                f"{row.applied_credit_seq}/{row.credit_seq}",
            )
            for row, shown in zip(rows, balances(rows, settings), strict=True)
        ),
    )


@app.command("show")
def meter_show(
    meter: MeterArgument,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show everything that is held of one meter, and what a person must look at."""
    settings = read_config(config, store, clock)
    row = find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        exceptions = uow.exceptions(row.meter, PAGE)
    content = _meter_json(row, balance_of(row, settings)) | {
        "exceptions": [as_json(entry) for entry in exceptions]
    }
    if json:
        print_json(content)
        return
    for name, value in content.items():
        if name != "exceptions":
            print(f"{name:28} {'-' if value is None else value}")
    for entry in exceptions:
        print(f"{'exception':28} {entry.kind}: {entry.detail} ({entry.count}x)")


def _meter_json(row: MeterRow, shown: Balance | NoPrice) -> dict[str, Any]:
    return as_json(
        row,
        installed=date.fromordinal(row.installed_day).isoformat(),
        settled_up_to=date.fromordinal(row.settled_day).isoformat(),
        balance_micros=None if isinstance(shown, NoPrice) else shown.shown_micros,
    )


def find_meter(meter: str, config: Config) -> MeterRow:
    """One meter's row.

    Raises:
        HeadendError: it is not registered.
    """
    with bootstrap.store(config) as opened, opened.view() as uow:
        return held_meter(meter, uow)


def held_meter(meter: str, uow: UnitOfWork) -> MeterRow:
    """One meter's row as this transaction sees it: nothing about it changes before the commit.

    Raises:
        HeadendError: it is not registered.
    """
    row = uow.meter_row(checked_id(meter))
    if row is None:
        raise unknown_meter(meter, uow.device_now(meter))
    return row


def balance_of(row: MeterRow, config: Config) -> Balance:
    """A meter's balance by the tariff in force.

    Raises:
        HeadendError: no tariff has its day or its category.
    """
    (shown,) = balances([row], config)
    if isinstance(shown, NoPrice):
        raise HeadendError(f"no balance can be shown: {shown}; see `headend tariff list`") from shown
    return shown


def balances(rows: Sequence[MeterRow], config: Config) -> list[Balance | NoPrice]:
    """Meters' balances by the tariff in force (the rules', if none was imported), or why a meter has none."""
    with bootstrap.store(config) as opened, opened.view() as uow:
        tariffs = [row.tariff for row in uow.tariffs()] or [bootstrap.rules(config, festivals=False).tariff]
        changed = [changed_terms(row, uow) for row in rows]
    prices, zone, today = PriceBook(tariffs), ZoneInfo(config.zone), _today(config)
    shown: list[Balance | NoPrice] = []
    for row, terms in zip(rows, changed, strict=True):
        try:
            shown.append(shown_balance(row, prices, today, zone, terms))
        except NoPrice as error:
            shown.append(error)
    return shown


def _today(config: Config) -> int:
    return day_of(bootstrap.clock(config).now_s(), ZoneInfo(config.zone))


def opened_file(file: Path) -> IO[str]:
    """A text file for reading; `-` is standard input."""
    if str(file) == "-":
        return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="backslashreplace")
    try:
        return file.open(encoding="utf-8-sig", errors="backslashreplace", newline="")
    except OSError as error:
        raise HeadendError(f"{file}: {error.strerror}") from error


def _csv_rows(lines: Iterable[str], file: Path, today: int) -> Iterator[Registration]:
    reader = csv.DictReader(lines)
    try:
        if reader.fieldnames is None or not set(CSV_COLUMNS[:REQUIRED_COLUMNS]) <= set(reader.fieldnames):
            raise HeadendError(f"{file}: the first line must name the columns {','.join(CSV_COLUMNS)}")
        for row in reader:
            try:
                yield _registration(row, today)
            except HeadendError as error:
                raise HeadendError(f"{file}, line {reader.line_num}: {error}; the lines before are in") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise HeadendError(f"{file}, line {reader.line_num}: {error}") from error


def _chunks(rows: Iterator[Registration]) -> Iterator[list[Registration]]:
    """Rows in lots of one commit each; where the rows end in an error, the good ones before it come first."""
    chunk: list[Registration] = []
    try:
        for row in rows:
            chunk.append(row)
            if len(chunk) == IMPORT_CHUNK:
                yield chunk
                chunk = []
    except HeadendError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _registration(row: dict[str, str], today: int) -> Registration:
    gateway = GatewayId(checked_id(row["region"] or "", "region"), checked_id(row["gateway"] or "", "gateway"))
    register = row["register_wh"] or ""
    if not _WHOLE_NUMBER.fullmatch(register) or int(register) > MAX_INTEGER:
        raise HeadendError(f"register_wh {register[:40]!r} is not a whole number of Wh up to {MAX_INTEGER}")
    installed = row.get("installed")
    try:
        day = date.fromisoformat(installed).toordinal() if installed else today
    except ValueError:
        day = 0
    if not FIRST_DAY <= day <= today + MAX_DAYS_AHEAD or (installed and len(installed) != len("2024-10-30")):
        raise HeadendError(
            f"installed {installed!r:.40} is not a date such as 2024-10-30, from 2000 to a year ahead"
        )
    category, load, feeder = row.get("category"), row.get("load_w") or str(DEFAULT_LOAD_W), row.get("feeder")
    if not _WHOLE_NUMBER.fullmatch(load) or not 0 < int(load) <= MAX_LOAD_W:
        raise HeadendError(f"load_w {load[:40]!r} is not a whole number of W from 1 to {MAX_LOAD_W}")
    return Registration(
        checked_id(row["meter"] or ""),
        gateway,
        int(register),
        day,
        checked_id(category, "category") if category else None,
        int(load),
        checked_id(feeder, "feeder") if feeder else "",
    )
