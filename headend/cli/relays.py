"""`headend relay`: orders for relay positions, one or a file of any size. What opens a relay passes the gate."""

import getpass
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from headend import bootstrap
from headend.cli.batches import batch_lines
from headend.cli.meters import find_meter, held_meter, opened_file
from headend.cli.options import (
    ClockOption,
    ConfigOption,
    JsonOption,
    StoreOption,
    checked_id,
    checked_reason,
    read_config,
)
from headend.cli.output import print_json, print_json_line
from headend.cli.progress import progress
from headend.config import Config
from headend.domain.calendar import local_text
from headend.domain.case import Origin
from headend.domain.rules import Rules
from headend.errors import ExitStatus, HeadendError
from headend.service.gate import Decision, Verdict, Wish, summary
from headend.service.orders import order_relays
from headend.service.ports import UnitOfWork

CHUNK: Final = 1_000
"""Meters decided about in one commit."""

SHOWN: Final = 5
SHOWN_CHARS: Final = 40

POSITIONS: Final = ("open", "close")


def relay(
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[METER] open|close", help="open: cut off; close: give supply.")
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who orders it (default: the login name).")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Meters, one a line; - is stdin.")] = None,
    batch: Annotated[
        Path | None,
        typer.Option("--batch", help="Lines METER,open|close of a file, or - for stdin; answers are JSON."),
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    clock: ClockOption = None,
    json: JsonOption = False,
) -> None:
    """Order a relay position. To open it has to pass the gate (protection, caps, quarantine); to close never."""
    settings = read_config(config, store, clock)
    wish = Wish(checked_reason(actor or getpass.getuser(), "actor"), Origin.ORDER, checked_reason(reason))
    words = words or []
    if batch is not None:
        if words or file is not None:
            raise HeadendError("--batch reads meters and positions from its lines")
        _order_batch(batch, wish, settings)
        return
    expected = 1 if file is not None else 2
    if len(words) != expected or words[-1] not in POSITIONS:
        what = " ".join(words)[:60]
        raise HeadendError(
            f"{what!r}: say METER open|close, --file FILE open|close, or --batch FILE (open: cut off)"
        )
    rules = bootstrap.rules(settings) if words[-1] == "open" else None
    if file is not None:
        _order_all(file, wish, rules, settings, json)
        return
    meter = checked_id(words[0])
    find_meter(meter, settings)
    with bootstrap.store(settings) as opened, opened.transaction() as uow:
        (decision,) = _order([meter], wish, rules, settings, uow)
    wanted = "closed" if rules is None else "open"
    if decision.verdict is Verdict.ISSUED:
        if json:
            print_json({"meter": meter, "relay": wanted, "version": decision.relay_version})
        else:
            print(f"meter {meter}: relay {wanted}, version {decision.relay_version}, queued")
        return
    if json:
        print_json(_as_json(decision))
    raise HeadendError(_words(decision, settings), ExitStatus.REFUSED)


def _words(decision: Decision, settings: Config) -> str:
    reasons = ", ".join(decision.reasons)
    if decision.verdict is Verdict.QUARANTINED:
        return (
            f"meter {decision.meter}: in quarantine ({reasons});"
            " a second person can release it with `headend quarantine release`"
        )
    until = ""
    if decision.until_s is not None:
        until = f"; not before {local_text(decision.until_s, ZoneInfo(settings.zone))}"
    return f"meter {decision.meter}: refused ({reasons}){until}; nothing was sent"


def _as_json(decision: Decision) -> dict[str, object]:
    return {
        "meter": decision.meter,
        "outcome": decision.verdict,
        "reasons": list(decision.reasons),
        "until_s": decision.until_s,
        "version": decision.relay_version,
    }


def _order(
    meters: list[str], wish: Wish, rules: Rules | None, settings: Config, uow: UnitOfWork
) -> list[Decision]:
    """Open registered meters by these rules, or (None) close them: a decision each, in order."""
    return order_relays(meters, wish, rules, ZoneInfo(settings.zone), uow, bootstrap.clock(settings).now_s())


def _order_batch(batch: Path, wish: Wish, settings: Config) -> None:
    """Each line is one commit, answered by one line of JSON after it."""
    refused = 0
    rules = bootstrap.rules(settings)
    with bootstrap.store(settings) as opened:
        for number, line in batch_lines(batch, "METER,open or METER,close"):
            try:
                meter, _, position = (field.strip() for field in line.partition(","))
                if position not in POSITIONS:
                    raise HeadendError("not METER,open or METER,close")
                with opened.transaction() as uow:
                    held_meter(meter, uow)
                    (decision,) = _order([meter], wish, rules if position == "open" else None, settings, uow)
                content = _as_json(decision)
            except HeadendError as error:
                content = {"outcome": Verdict.REFUSED, "error": str(error)}
            refused += content["outcome"] != Verdict.ISSUED
            print_json_line({"line": number} | content)
    if refused:
        raise HeadendError(f"{refused} orders were not issued; their answers say why", ExitStatus.REFUSED)


def _order_all(file: Path, wish: Wish, rules: Rules | None, settings: Config, json: bool) -> None:
    """A file of meters in commits of 1,000; a line that is no registered meter is said and left out."""
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    strangers: list[str] = []
    with bootstrap.store(settings) as opened, opened_file(file) as lines, progress("meters") as tell:
        for chunk in _chunks(lines):
            meters = [meter for meter in dict.fromkeys(chunk) if meter not in seen]
            seen.update(meters)
            with opened.transaction() as uow:
                known = {meter for meter, _, _ in uow.meter_keys(meters)}
                strangers += [meter for meter in meters if meter not in known]
                found = [meter for meter in meters if meter in known]
                counts += summary(_order(found, wish, rules, settings, uow))
            tell(len(seen))
    if not seen:
        raise HeadendError(f"{file} names no meters: one meter's id a line is expected")
    verdicts = {str(verdict): counts.pop(verdict, 0) for verdict in Verdict}
    if json:
        print_json({"counts": verdicts, "reasons": dict(counts), "unknown": strangers})
    else:
        print(", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.items()))
        for why, count in counts.most_common():
            print(f"  {count:,} {why}")
    if strangers:
        some = ", ".join(repr(stranger[:SHOWN_CHARS]) for stranger in strangers[:SHOWN])
        raise HeadendError(
            f"{file}: {len(strangers):,} lines are no registered meters and were left out: {some}",
            ExitStatus.UNKNOWN_METER,
        )
    if verdicts[Verdict.REFUSED] or verdicts[Verdict.QUARANTINED]:
        raise HeadendError("not all was ordered; `headend quarantine list` shows what waits", ExitStatus.REFUSED)


def _chunks(lines: Iterator[str]) -> Iterator[list[str]]:
    meters = (line.strip() for line in lines)
    wanted = (meter for meter in meters if meter)
    while chunk := list(islice(wanted, CHUNK)):
        yield chunk
