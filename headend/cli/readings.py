"""The command for a register that a person read."""

import re
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.options import (
    ActorOption,
    ClockOption,
    ConfigOption,
    JsonOption,
    ReasonOption,
    StoreOption,
    check_kept,
    checked_day,
    checked_id,
    read_config,
    unknown_meter,
)
from headend.cli.output import print_json
from headend.domain.calendar import day_of
from headend.errors import ExitStatus, HeadendError
from headend.service.manual_readings import Entry, EntryOutcome, ManualReading, enter_reading
from headend.wire.limits import MAX_INTEGER

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def enter(
    device: Annotated[
        str, typer.Argument(metavar="METER", help="The meter's id; of an exchanged device, the old one's.")
    ],
    day: Annotated[str, typer.Option("--day", metavar="DAY", help="The billing day that is not settled.")],
    register_wh: Annotated[
        int, typer.Option("--register-wh", min=0, max=MAX_INTEGER, help="What its display showed then, in Wh.")
    ],
    actor: ActorOption,
    reason: ReasonOption,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="HH:MM", help="A time of the day (default: its end)."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of a register that came and is false.")
    ] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Enter a register that a person read, where none came: then the day can be settled."""
    settings = read_config(config, store, clock)
    reading = ManualReading(checked_id(device), checked_day(day, "day"), _minute(at), register_wh, replace)
    check_kept(actor, reason)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        today = day_of(now_s, ZoneInfo(settings.zone))
        entry = enter_reading(reading, today, actor, reason, uow, now_s)
    _complain(entry, device, day, register_wh)
    if json:
        print_json({"meter": device, "day": day, "at": at, "register_wh": register_wh, "outcome": entry.outcome})
    else:
        print(f"{entry.outcome}: {register_wh:,} Wh of {device} at {at or 'the end'} of {day}")


def _complain(entry: Entry, device: str, day: str, register_wh: int) -> None:
    match entry.outcome:
        case EntryOutcome.UNKNOWN_METER:
            raise unknown_meter(device)
        case EntryOutcome.NOT_OVER:
            raise HeadendError(f"--day {day} is not over yet; nothing was changed")
        case EntryOutcome.ALREADY_SETTLED:
            raise HeadendError(f"--day {day} is settled already; nothing was changed")
        case EntryOutcome.EXISTS_DIFFERENT:
            raise HeadendError(
                f"{entry.held_wh:,} Wh is held of {device} then; --replace puts this in its place;"
                " nothing was changed",
                ExitStatus.EXISTS_DIFFERENT,
            )
        case EntryOutcome.NOT_BETWEEN:
            raise HeadendError(
                f"--register-wh {register_wh} does not fit: before and after it {device} showed"
                f" {entry.lowest_wh} and {entry.highest_wh} Wh; nothing was changed"
            )


def _minute(text: str | None) -> int | None:
    if text is None:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise HeadendError(f"--at {text[:40]!r} is not a time of day such as 06:00")
    return int(match[1]) * 60 + int(match[2])
