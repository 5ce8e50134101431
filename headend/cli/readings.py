"""The command for a register that a person read."""

import re
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.batches import batch_lines
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
from headend.cli.output import print_json, print_json_line
from headend.config import Config
from headend.domain.calendar import day_of
from headend.errors import ExitStatus, HeadendError
from headend.service.manual_readings import Entry, EntryOutcome, ManualReading, enter_reading
from headend.service.ports import Store
from headend.wire.limits import MAX_INTEGER

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def enter(
    actor: ActorOption,
    reason: ReasonOption,
    device: Annotated[
        str | None, typer.Argument(metavar="METER", help="The meter's id; of an exchanged device, the old one's.")
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", metavar="DAY", help="The billing day that is not settled.")
    ] = None,
    register_wh: Annotated[
        int | None,
        typer.Option("--register-wh", min=0, max=MAX_INTEGER, help="What its display showed then, in Wh."),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option("--batch", help="Lines METER,DAY,WH of a file, or - for stdin; answers are JSON."),
    ] = None,
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
    check_kept(actor, reason)
    if batch is not None:
        if device is not None or day is not None or register_wh is not None or at is not None:
            raise HeadendError("--batch reads meters, days and registers from its lines")
        _enter_batch(batch, replace, (actor, reason), settings)
        return
    if device is None or day is None or register_wh is None:
        raise HeadendError("say METER --day DAY --register-wh WH, or --batch FILE")
    reading = ManualReading(checked_id(device), checked_day(day, "day"), _minute(at), register_wh, replace)
    with bootstrap.store(settings) as opened:
        entry = _enter(reading, (actor, reason), settings, opened)
    _complain(entry, device, day, register_wh)
    if json:
        print_json({"meter": device, "day": day, "at": at, "register_wh": register_wh, "outcome": entry.outcome})
    else:
        print(f"{entry.outcome}: {register_wh:,} Wh of {device} at {at or 'the end'} of {day}")


def _enter(reading: ManualReading, kept: tuple[str, str], settings: Config, store: Store) -> Entry:
    """One commit; `kept` is who and why."""
    with store.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        return enter_reading(reading, day_of(now_s, ZoneInfo(settings.zone)), *kept, uow, now_s)


def _enter_batch(batch: Path, replace: bool, kept: tuple[str, str], settings: Config) -> None:
    """Each line is one commit, answered by one line of JSON after it."""
    failed = 0
    with bootstrap.store(settings) as opened:
        for number, line in batch_lines(batch, "METER,DAY,WH"):
            content: dict[str, object] = {"line": number}
            try:
                fields = [field.strip() for field in line.split(",")]
                if len(fields) != 3 or not fields[2].isdecimal() or int(fields[2]) > MAX_INTEGER:
                    raise HeadendError("not METER,DAY,WH")
                device, day, register_wh = checked_id(fields[0]), fields[1], int(fields[2])
                reading = ManualReading(device, checked_day(day, "day"), None, register_wh, replace)
                entry = _enter(reading, kept, settings, opened)
                content["outcome"] = entry.outcome
                _complain(entry, device, day, register_wh)
            except HeadendError as error:
                failed += 1
                content = {"outcome": "REFUSED"} | content | {"error": str(error)}
            print_json_line(content)
    if failed:
        raise HeadendError(f"{failed} registers were not entered; their answers say why")


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
