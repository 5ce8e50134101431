"""Commands for bills: billing days, changed terms, consumers who move out, corrections."""

from datetime import date
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.meters import MAX_LOAD_W, held_meter
from headend.cli.options import (
    ActorOption,
    ClockOption,
    ConfigOption,
    FromOption,
    JsonOption,
    MeterArgument,
    ReasonOption,
    StoreOption,
    ToOption,
    check_kept,
    checked_day,
    checked_id,
    checked_reference,
    day_range,
    read_config,
)
from headend.cli.output import as_json, print_json, print_table
from headend.domain.calendar import day_of
from headend.domain.units import format_rupees
from headend.errors import ExitStatus, HeadendError
from headend.service.corrections import ReverseOutcome, rebill, reverse
from headend.service.devices import Devices, ExchangeOutcome, RegisterLimits, exchange_device
from headend.service.settle import day_hash
from headend.service.terms import TermsOutcome, change_terms, move_out
from headend.wire.limits import MAX_INTEGER

MOVE_OUT_DAYS_AHEAD: Final = 31
"""A last day further ahead is likelier a slip, and nothing could take it back."""

_REFUSALS: Final = {
    TermsOutcome.ALREADY_SETTLED: "days from then on are charged already; bill them anew with `headend rebill`,"
    " or name a day that is still open",
    TermsOutcome.BEFORE_INSTALLED: "the meter was not installed yet",
    TermsOutcome.TOO_EARLY: "another consumer's time is touched by it",
}


def days(
    from_day: FromOption = None,
    to_day: ToOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List billing days: how many meters are settled, how many wait, and the hash of what was charged."""
    settings = read_config(config, store, clock)
    first, last = day_range(from_day, to_day)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = [(row, day_hash(row.day, uow)) for row in uow.billing_days(first, last)]
    if json:
        print_json([as_json(row, day=date.fromordinal(row.day).isoformat(), hash=hashed) for row, hashed in rows])
        return
    print_table(
        "billing days",
        ("day", "settled", "waiting", "hash"),
        ((date.fromordinal(row.day), row.settled, row.waiting, hashed[:16]) for row, hashed in rows),
    )


def terms(
    meter: MeterArgument,
    actor: ActorOption,
    reason: ReasonOption,
    from_day: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day of the new terms.")],
    category: Annotated[str | None, typer.Option(help="The consumer category from then on.")] = None,
    load_w: Annotated[
        int | None, typer.Option(min=1, max=MAX_LOAD_W, help="The sanctioned load from then on, in W.")
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Bill a meter by another category or load from a day on."""
    settings = read_config(config, store, clock)
    if category is None and load_w is None:
        raise HeadendError("say --category, --load-w, or both")
    checked = None if category is None else checked_id(category, "category")
    day = checked_day(from_day, "from")
    check_kept(actor, reason)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        outcome = change_terms(held_meter(meter, uow), day, checked, load_w, actor, reason, uow, now_s)
    _say(meter, outcome, f"terms from {from_day} on", json)


def moved_out(
    meter: MeterArgument,
    last_day: Annotated[str, typer.Option("--last-day", metavar="DATE", help="The last day that is theirs.")],
    actor: ActorOption,
    reason: ReasonOption,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """End a consumer's account with a day; what is left on it is refunded once that day is settled."""
    settings = read_config(config, store, clock)
    day = checked_day(last_day, "last-day")
    check_kept(actor, reason)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        row, now_s = held_meter(meter, uow), bootstrap.clock(settings).now_s()
        if day > day_of(now_s, ZoneInfo(settings.zone)) + MOVE_OUT_DAYS_AHEAD:
            raise HeadendError(
                f"--last-day {last_day} is more than {MOVE_OUT_DAYS_AHEAD} days ahead: enter it nearer to that day"
            )
        outcome = move_out(row, day, actor, reason, uow, now_s)
    _say(meter, outcome, f"moved out with {last_day}", json)


def exchange(
    meter: MeterArgument,
    new_device: Annotated[str, typer.Argument(metavar="NEW", help="The id of the device in its place.")],
    final_wh: Annotated[
        int, typer.Option("--final-wh", min=0, max=MAX_INTEGER, help="What the old device showed at last, in Wh.")
    ],
    actor: ActorOption,
    reason: ReasonOption,
    opening_wh: Annotated[
        int, typer.Option("--opening-wh", min=0, max=MAX_INTEGER, help="What the new one began with, in Wh.")
    ] = 0,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Enter that a meter's device was exchanged: account, bills and credit go on; the meter has the new id now."""
    settings = read_config(config, store, clock)
    devices = Devices(checked_id(meter), checked_id(new_device), final_wh, opening_wh)
    check_kept(actor, reason)
    limits = RegisterLimits(settings.max_day_wh, settings.rollover_wh)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        held_meter(meter, uow)
        today = day_of(now_s, ZoneInfo(settings.zone))
        outcome = exchange_device(devices, limits, today, actor, reason, uow, now_s)
    if outcome is ExchangeOutcome.DEVICE_KNOWN:
        raise HeadendError(f"{new_device} is, or was, a registered meter", ExitStatus.EXISTS_DIFFERENT)
    if outcome is ExchangeOutcome.FINAL_TOO_LOW:
        raise HeadendError(f"--final-wh {final_wh}: meter {meter} has already reported more; nothing was changed")
    if outcome is ExchangeOutcome.FINAL_TOO_HIGH:
        raise HeadendError(
            f"--final-wh {final_wh}: more than {settings.max_day_wh} Wh for each day that is not billed yet;"
            " nothing was changed"
        )
    if json:
        print_json({"meter": new_device, "was": meter, "outcome": outcome})
    else:
        print(f"meter {meter} is {new_device} now")


def reverse_transfer(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="As `headend statement` shows it.")],
    actor: ActorOption,
    reason: ReasonOption,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Take back a recharge or a day's charge by a transfer that names it. A second time changes nothing."""
    settings = read_config(config, store, clock)
    checked = reference if reference.startswith("charge/") else checked_reference(reference)
    check_kept(actor, reason)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        done = reverse(checked, actor, reason, uow, bootstrap.clock(settings).now_s())
    if done.outcome is ReverseOutcome.UNKNOWN_REFERENCE:
        raise HeadendError(f"the ledger has no transfer {reference}; `headend statement METER` lists a meter's")
    assert done.transfer is not None
    if done.outcome is ReverseOutcome.NOT_REVERSIBLE:
        raise HeadendError(
            f"{reference} is a {done.transfer.kind.lower()}: only recharges and charges are reversed"
        )
    if json:
        print_json({"reference": reference, "outcome": done.outcome, "amount_micros": done.transfer.amount_micros})
    else:
        print(f"{done.outcome}: {reference}, {format_rupees(done.transfer.amount_micros)}")


def rebill_days(
    meter: MeterArgument,
    actor: ActorOption,
    reason: ReasonOption,
    from_day: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day to be billed anew.")],
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Reverse a meter's charges from a day on; `headend serve` bills the days anew, by the terms in force then."""
    settings = read_config(config, store, clock)
    day = checked_day(from_day, "from")
    check_kept(actor, reason)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        row = held_meter(meter, uow)
        if not max(row.installed_day, row.account_from_day) <= day <= row.settled_day:
            first = date.fromordinal(max(row.installed_day, row.account_from_day))
            raise HeadendError(
                f"{from_day} is not between {first} and {date.fromordinal(row.settled_day)}, the last settled"
            )
        count = rebill(row, day, actor, reason, uow, bootstrap.clock(settings).now_s())
    if json:
        print_json({"meter": meter, "from": from_day, "days": count})
    else:
        print(f"meter {meter}: {count} days from {from_day} on are reversed and will be billed anew")


def _say(meter: str, outcome: TermsOutcome, what: str, json: bool) -> None:
    if outcome in _REFUSALS:
        raise HeadendError(f"meter {meter}: {what}: {_REFUSALS[outcome]}", ExitStatus.EXISTS_DIFFERENT)
    if json:
        print_json({"meter": meter, "outcome": outcome})
    else:
        print(f"meter {meter}: {what}: {outcome}")
