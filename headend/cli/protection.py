"""Commands for protection: moratoria, and the quarantine that a second person releases from."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.options import (
    FIRST_DAY,
    LAST_DAY,
    MAX_NUMBER,
    ActorOption,
    AfterOption,
    ClockOption,
    ConfigOption,
    JsonOption,
    LimitOption,
    ReasonOption,
    StoreOption,
    check_kept,
    checked_id,
    read_config,
)
from headend.cli.output import as_json, print_json, print_table
from headend.cli.progress import progress
from headend.config import Config
from headend.domain.calendar import local_text
from headend.domain.evidence import Act, ActKind
from headend.errors import HeadendError
from headend.service.ports import UnitOfWork
from headend.service.quarantine import QuarantineError, drop, is_own, release

moratoria = typer.Typer(help="Times in which nobody is cut, by an operator's word.", no_args_is_help=True)
quarantine = typer.Typer(help="Orders to cut beyond the caps: a second person decides.", no_args_is_help=True)

NumbersArgument = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBER...", min=1, max=MAX_NUMBER, help="As `quarantine list` shows them."),
]
FirstOption = Annotated[
    int | None, typer.Option("--first", min=1, help="In place of numbers: so many, those that wait longest.")
]

CHUNK: Final = 1_000
"""Orders released or dropped in one commit."""


@moratoria.command("declare")
def declare(
    actor: ActorOption,
    reason: ReasonOption,
    from_time: Annotated[
        str, typer.Option("--from", metavar="TIME", help="2024-10-31 or 2024-10-31T18:00, local.")
    ],
    to_time: Annotated[str, typer.Option("--to", metavar="TIME", help="Its end, excluded; likewise.")],
    region: Annotated[str | None, typer.Option(help="One region (default: all).")] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Declare that nobody is cut for a time, in one region or everywhere; meters are told too."""
    settings = read_config(config, store, clock)
    from_s, to_s = _instant(from_time, "from", settings), _instant(to_time, "to", settings)
    check_kept(actor, reason)
    now_s = bootstrap.clock(settings).now_s()
    if to_s <= max(from_s, now_s):
        raise HeadendError(f"--to {to_time} is not after --from {from_time}, or is past")
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        if region is not None and checked_id(region, "region") not in {row.region for row in uow.recoveries()}:
            raise HeadendError(f"region {region} has no meters; `headend recovery` lists the regions")
        number = uow.declare_moratorium(region, from_s, to_s, reason, actor, now_s)
        basis = {"moratorium": number, "from_s": from_s, "to_s": to_s}
        subject = f"region/{region}" if region else "regions"
        uow.record_act(Act(now_s, actor, ActKind.MORATORIUM_DECLARED, subject, reason, basis))
    if json:
        print_json({"moratorium": number, "region": region, "from_s": from_s, "to_s": to_s})
    else:
        print(f"moratorium {number} declared for {region or 'all regions'}")


@moratoria.command("end")
def end(
    number: Annotated[
        int, typer.Argument(metavar="NUMBER", min=1, max=MAX_NUMBER, help="As `moratorium list` shows it.")
    ],
    actor: ActorOption,
    reason: ReasonOption,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """End a moratorium before its time."""
    settings = read_config(config, store, clock)
    check_kept(actor, reason)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        now_s = bootstrap.clock(settings).now_s()
        if not uow.end_moratorium(number, actor, now_s):
            raise HeadendError(f"there is no moratorium {number} that lasts; `headend moratorium list` shows all")
        subject = f"moratorium/{number}"
        uow.record_act(Act(now_s, actor, ActKind.MORATORIUM_ENDED, subject, reason, {"moratorium": number}))
    if json:
        print_json({"moratorium": number, "ended_at_s": now_s})
    else:
        print(f"moratorium {number} ended")


@moratoria.command("list")
def list_moratoria(
    limit: LimitOption = 50,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List moratoria, newest first."""
    settings = read_config(config, store, clock)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.moratorium_rows(limit)
    if json:
        print_json([as_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
    print_table(
        "moratoria",
        ("#", "region", "from", "to", "reason", "declared by", "ended", "ended by"),
        (
            (
                row.moratorium_id,
                row.region or "all",
                local_text(row.from_s, zone),
                local_text(row.to_s, zone),
                row.reason,
                row.declared_by,
                local_text(row.ended_at_s, zone),
                row.ended_by or "",
            )
            for row in rows
        ),
    )


@quarantine.command("list")
def list_quarantine(
    released: Annotated[bool, typer.Option("--released", help="Those released and not yet sent instead.")] = False,
    after: AfterOption = 0,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """List orders to cut that wait for a second person, oldest first."""
    settings = read_config(config, store, clock)
    with bootstrap.store(settings) as opened, opened.view() as uow:
        rows = uow.waiting("RELEASED" if released else "QUARANTINED", after, limit)
    if json:
        print_json([as_json(row) for row in rows])
        return
    zone = ZoneInfo(settings.zone)
    if len(rows) == limit:
        print(f"the first {limit:,}; more with --after {rows[-1].disconnection_id} or a higher --limit")
    print_table(
        "released" if released else "in quarantine",
        ("#", "meter", "wished by", "at", "reason", "because of"),
        (
            (
                row.disconnection_id,
                row.meter,
                row.requested_by,
                local_text(row.requested_at_s, zone),
                row.reason,
                row.refused_for or "",
            )
            for row in rows
        ),
    )


@quarantine.command("release")
def release_wishes(
    actor: ActorOption,
    reason: ReasonOption,
    numbers: NumbersArgument = None,
    first: FirstOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Let orders out of quarantine: they go as the caps have room, and only if nothing protects the home then."""
    _end_quarantine(release, numbers, first, actor, reason, read_config(config, store, clock), json)


@quarantine.command("drop")
def drop_wishes(
    actor: ActorOption,
    reason: ReasonOption,
    numbers: NumbersArgument = None,
    first: FirstOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Give orders up that are in quarantine."""
    _end_quarantine(drop, numbers, first, actor, reason, read_config(config, store, clock), json)


End = Callable[[Iterable[int], str, str, UnitOfWork, int], int]


def _end_quarantine(
    end: End,
    numbers: list[int] | None,
    first: int | None,
    actor: str,
    reason: str,
    config: Config,
    json: bool,
) -> None:
    check_kept(actor, reason)
    if bool(numbers) == (first is not None):
        raise HeadendError("say which: NUMBER... as `headend quarantine list` shows them, or --first COUNT")
    if first is not None:
        count = _end_first(end, first, actor, reason, config)
    else:
        try:
            with bootstrap.store(config) as opened, opened.transaction() as uow:
                count = end(dict.fromkeys(numbers or ()), actor, reason, uow, bootstrap.clock(config).now_s())
        except QuarantineError as error:
            raise HeadendError(f"{error}; nothing was changed") from error
    done = "released" if end is release else "dropped"
    if json:
        print_json({done: count})
    else:
        print(f"{count:,} {done}")


def _end_first(end: End, first: int, actor: str, reason: str, config: Config) -> int:
    """The oldest that this person may decide about, in commits of 1,000; how many there were."""
    count = after = 0
    with bootstrap.store(config) as opened, progress("orders") as tell:
        while count < first:
            with opened.transaction() as uow:
                page = uow.waiting("QUARANTINED", after, CHUNK)
                numbers = [wish.disconnection_id for wish in page if end is drop or not is_own(wish, actor)]
                count += end(numbers[: first - count], actor, reason, uow, bootstrap.clock(config).now_s())
            if not page:
                break
            after = page[-1].disconnection_id
            tell(count)
    if count == 0 and after:
        raise HeadendError(f"all that waits was wished by {actor}: a second person has to release it")
    return count


def _instant(text: str, option: str, config: Config) -> int:
    """A local time as people write it, a date being its midnight."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError as error:
        raise HeadendError(
            f"--{option} {text[:40]!r} is not a time such as 2024-10-31 or 2024-10-31T18:00"
        ) from error
    if not FIRST_DAY <= local.toordinal() <= LAST_DAY:
        raise HeadendError(f"--{option} {text[:40]!r} is not of the years 2000 to 2199")
    if local.tzinfo is None:
        local = local.replace(tzinfo=ZoneInfo(config.zone))
    return int(local.timestamp())
