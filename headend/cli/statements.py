"""`headend statement`: a consumer's account like a bank statement, with the lines of every day's bill."""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.meters import find_meter
from headend.cli.options import (
    PAGE,
    AfterOption,
    ClockOption,
    ConfigOption,
    FromOption,
    JsonOption,
    LimitOption,
    MeterArgument,
    StoreOption,
    ToOption,
    day_range,
    read_config,
)
from headend.cli.output import as_json, print_json, print_table
from headend.domain.calendar import local_text, midnight_s
from headend.domain.units import decimal_rupees, format_rupees
from headend.service.ports.billing import ChargeRow
from headend.service.rows import StatementRow

CSV_COLUMNS: Final = (
    "posted", "reference", "kind", "corrects", "day", "energy_kwh", "energy", "fixed", "duty", "rebate",
    "rounding", "debit", "credit", "balance",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the statement. `balance_micros`: after it. `charge`: the bill, where it is one."""

    row: StatementRow
    balance_micros: int
    charge: ChargeRow | None


def statement(
    meter: MeterArgument,
    from_day: FromOption = None,
    to_day: ToOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV on standard output.")] = False,
    after: AfterOption = 0,
    limit: LimitOption = PAGE,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """A meter's account like a bank statement: what was posted, oldest first, and the balance after each."""
    settings = read_config(config, store, clock)
    find_meter(meter, settings)
    zone = ZoneInfo(settings.zone)
    first, last = day_range(from_day, to_day)
    from_s, to_s = midnight_s(first, zone), midnight_s(last + 1, zone)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.statement(meter, after, limit, from_s, to_s)
        opening_micros = uow.balance_before(meter, from_s, after)
        bills = {charge.transfer_id: charge for charge in uow.charges_of_transfers(meter, _span(rows))}
    amounts = [row.amount_micros if row.is_credit else -row.amount_micros for row in rows]
    balances = list(accumulate(amounts, initial=opening_micros))[1:]
    entries = [
        _Entry(row, balance, bills.get(row.transfer_id)) for row, balance in zip(rows, balances, strict=True)
    ]
    if json:
        print_json([_as_json(entry) for entry in entries])
    elif as_csv:
        _print_csv(entries, zone)
    else:
        if len(rows) == limit:
            print(f"the first {limit:,}; more with --after {rows[-1].transfer_id} or a higher --limit")
        print_table(
            f"statement of {meter}, opening balance {format_rupees(opening_micros)}",
            ("#", "posted", "reference", "what", "debit", "credit", "balance", "sent", "applied"),
            _table(entries, zone),
        )
        print(f"closing balance {format_rupees(balances[-1] if balances else opening_micros)}")


def _span(rows: Sequence[StatementRow]) -> tuple[int, int]:
    return (rows[0].transfer_id, rows[-1].transfer_id) if rows else (0, -1)


def _table(entries: Sequence[_Entry], zone: ZoneInfo) -> Iterator[Sequence[object]]:
    for entry in entries:
        row = entry.row
        amount = format_rupees(row.amount_micros)
        yield (
            row.transfer_id,
            local_text(row.posted_at_s, zone),
            row.reference,
            _words(entry),
            "" if row.is_credit else amount,
            amount if row.is_credit else "",
            format_rupees(entry.balance_micros),
            local_text(row.sent_at_s, zone) if row.credit_seq else "",
            local_text(row.applied_at_s, zone) if row.credit_seq else "",
        )


def _words(entry: _Entry) -> str:
    charge = entry.charge
    if charge is None:
        words = entry.row.kind.lower()
        return words if entry.row.corrects is None else f"{words} of {entry.row.corrects}"
    lines = [f"energy {format_rupees(charge.energy_micros)}"]
    for name, amount in (
        ("fixed", charge.fixed_micros),
        ("duty", charge.duty_micros),
        ("rebate", -charge.rebate_micros),
    ):
        if amount:
            lines.append(f"{name} {format_rupees(amount)}")
    return (
        f"{date.fromordinal(charge.day)} {charge.category} {charge.energy_wh / 1000:.3f} kWh: {', '.join(lines)}"
    )


def _print_csv(entries: Sequence[_Entry], zone: ZoneInfo) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for entry in entries:
        row, charge = entry.row, entry.charge
        bill: Sequence[object] = ("",) * 7
        if charge is not None:
            amounts = (
                charge.energy_micros, charge.fixed_micros, charge.duty_micros, -charge.rebate_micros,
                charge.rounding_micros,
            )  # fmt: skip
            kwh = f"{charge.energy_wh // 1000}.{charge.energy_wh % 1000:03d}"
            bill = (date.fromordinal(charge.day), kwh, *map(decimal_rupees, amounts))
        amount = decimal_rupees(row.amount_micros)
        writer.writerow(
            (
                local_text(row.posted_at_s, zone), row.reference, row.kind, row.corrects or "", *bill,
                "" if row.is_credit else amount, amount if row.is_credit else "",
                decimal_rupees(entry.balance_micros),
            )
        )  # fmt: skip
    sys.stdout.write(text.getvalue())


def _as_json(entry: _Entry) -> dict[str, Any]:
    bill = None
    if entry.charge is not None:
        bill = as_json(entry.charge, day=date.fromordinal(entry.charge.day).isoformat())
    return as_json(entry.row, balance_micros=entry.balance_micros, bill=bill)
