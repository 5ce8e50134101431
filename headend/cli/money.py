"""Commands for money: recharges and balances. They need the store alone: no server, broker or meter."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.batches import batch_lines
from headend.cli.meters import balance_of, find_meter
from headend.cli.options import (
    ClockOption,
    ConfigOption,
    JsonOption,
    StoreOption,
    checked_id,
    checked_reference,
    read_config,
    unknown_meter,
)
from headend.cli.output import as_json, print_json, print_json_line
from headend.config import Config
from headend.domain.account import Balance
from headend.domain.calendar import local_text
from headend.domain.ledger import RecordOutcome
from headend.domain.units import format_rupees, parse_rupees
from headend.errors import ExitStatus, HeadendError
from headend.service.accounts import Recharge, Recorded
from headend.service.recharges import take_recharge
from headend.service.rows import MeterRow


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
        rules, zone = bootstrap.rules(settings, festivals=False), ZoneInfo(settings.zone)
        recorded = take_recharge(request, rules, zone, uow, bootstrap.clock(settings).now_s())
        exchanged_for = uow.device_now(request.meter)
    if json:
        print_json(_recorded_json(recorded))
    elif recorded.outcome in (RecordOutcome.RECORDED, RecordOutcome.EXISTS):
        print(f"{recorded.outcome}: Rs {format_rupees(request.amount_micros)} for {meter}, reference {reference}")
    if recorded.outcome is RecordOutcome.UNKNOWN_METER:
        raise unknown_meter(request.meter, exchanged_for)
    if recorded.outcome is RecordOutcome.TOTAL_TOO_LARGE:
        raise HeadendError(f"meter {meter} cannot be credited more in all; nothing was changed")
    if recorded.outcome is RecordOutcome.EXISTS_DIFFERENT:
        assert recorded.transfer is not None
        raise HeadendError(
            f"EXISTS_DIFFERENT: reference {reference} stands for another recharge (transfer"
            f" {recorded.transfer.transfer_id}, Rs {format_rupees(recorded.transfer.amount_micros)});"
            " nothing was changed",
            ExitStatus.EXISTS_DIFFERENT,
        )


def _recharge_batch(batch: Path, config: Config) -> None:
    """Each line is one commit, answered by one line of JSON after it."""
    failed = 0
    clock, rules, zone = bootstrap.clock(config), bootstrap.rules(config, festivals=False), ZoneInfo(config.zone)
    with bootstrap.store(config) as opened:
        for number, line in batch_lines(batch, "METER,RUPEES,REFERENCE"):
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
                recorded = take_recharge(request, rules, zone, uow, clock.now_s())
            failed += recorded.outcome not in (RecordOutcome.RECORDED, RecordOutcome.EXISTS)
            print_json_line({"line": number} | _recorded_json(recorded))
    if failed:
        raise HeadendError(f"{failed} lines were not recorded; their answers say why")


def _recharge_request(meter: str, rupees: str, reference: str) -> Recharge:
    try:
        amount_micros = parse_rupees(rupees)
    except ValueError as error:
        raise HeadendError(str(error)) from error
    return Recharge(checked_id(meter), amount_micros, checked_reference(reference))


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
    meter: Annotated[str | None, typer.Argument(metavar="METER", help="A meter's id.")] = None,
    batch: Annotated[
        Path | None, typer.Option("--batch", help="Lines METER of a file, or - for stdin; answers are JSON.")
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Show a meter's balance as last known, with its time; stale when the meter has not been heard lately."""
    settings = read_config(config, store, clock)
    if batch is not None:
        if meter is not None:
            raise HeadendError("--batch reads meters from its lines")
        _show_balances(batch, settings)
        return
    if meter is None:
        raise HeadendError("say METER, or --batch FILE")
    row = find_meter(meter, settings)
    shown = balance_of(row, settings)
    if json:
        print_json(_balance_json(row, shown, settings))
        return
    stale = _is_stale(shown, settings)
    on_the_way = row.credit_total_micros - row.applied_credit_total_micros
    zone = ZoneInfo(settings.zone)
    print(f"{row.meter}  Rs {format_rupees(shown.shown_micros)}")
    if shown.as_of_s is None:
        print("as of     no reading yet")
    else:
        print(f"as of     {local_text(shown.as_of_s, zone)}{'  (stale)' if stale else ''}")
    print(f"posted    Rs {format_rupees(shown.posted_micros)}")
    print(f"unsettled Rs {format_rupees(shown.unsettled_micros)} for {shown.unsettled_wh:,} Wh")
    if shown.provisional_since_day is not None:
        first = date.fromordinal(shown.provisional_since_day)
        print(f"provisional: {first} and the days after it are not settled yet")
    if on_the_way:
        print(f"on the way to the meter: Rs {format_rupees(on_the_way)} (counted above)")


def _show_balances(batch: Path, config: Config) -> None:
    """Each line is answered by one line of JSON, as the store is then; what cannot be shown, with its reason."""
    failed = 0
    for number, line in batch_lines(batch, "METER"):
        try:
            row = find_meter(line.strip(), config)
            print_json_line({"line": number} | _balance_json(row, balance_of(row, config), config))
        except HeadendError as error:
            failed += 1
            print_json_line({"line": number, "error": str(error)})
    if failed:
        raise HeadendError(f"{failed} balances cannot be shown; their answers say why")


def _is_stale(shown: Balance, config: Config) -> bool:
    now_s = bootstrap.clock(config).now_s()
    return shown.as_of_s is None or now_s - shown.as_of_s > config.balance_stale_after_s


def _balance_json(row: MeterRow, shown: Balance, config: Config) -> dict[str, Any]:
    since = shown.provisional_since_day
    content = {
        "meter": row.meter,
        "balance_micros": shown.shown_micros,
        "stale": _is_stale(shown, config),
        "provisional_since": None if since is None else date.fromordinal(since).isoformat(),
    }
    on_the_way = row.credit_total_micros - row.applied_credit_total_micros
    return content | as_json(shown) | {"credits_on_the_way_micros": on_the_way}
