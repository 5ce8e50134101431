"""Options and arguments that several commands share, and what is made of them."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import typer

from headend.config import Config, load_config
from headend.errors import ExitStatus, HeadendError
from headend.wire.topics import is_id

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="HEADEND_CONFIG", help="Configuration file (default: headend.toml if there)."),
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="The store (HEADEND_STORE; default var/headend.db).")
]
ClockOption = Annotated[
    str | None,
    typer.Option("--clock", help="Laboratory only: virtual time START@EPOCHxSPEED (HEADEND_CLOCK)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]
MeterArgument = Annotated[str, typer.Argument(metavar="METER", help="A meter's id.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="Most rows to show.")]

MAX_NUMBER: Final = 2**63 - 1
"""The largest number that a row of the store can have."""

AfterOption = Annotated[int, typer.Option("--after", min=0, max=MAX_NUMBER, help="Begin after this number.")]

FromOption = Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day, YYYY-MM-DD.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last day, YYYY-MM-DD, included.")]
ActorOption = Annotated[str, typer.Option("--actor", help="Who does it; it is kept.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]

FIRST_DAY: Final = date(2000, 1, 1).toordinal()
LAST_DAY: Final = date(2199, 12, 31).toordinal()

MAX_REASON_CHARS: Final = 200

PAGE: Final = 1_000

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_REFERENCE = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def read_config(config: Path | None, store: Path | None, clock: str | None) -> Config:
    """The configuration with the options that every command has."""
    return load_config(config, store=store, clock=clock)


def checked_id(text: str, what: str = "meter") -> str:
    """The id of a meter, gateway or region as it may stand in a message.

    Raises:
        HeadendError: it can be none.
    """
    if not is_id(text):
        raise HeadendError(f"{text[:40]!r} is not a {what} id (letters, digits, dashes; at most 32)")
    return text


def checked_day(text: str, option: str) -> int:
    """A billing day as people write it.

    Raises:
        HeadendError: it is no date, or not of these centuries.
    """
    try:
        day = date.fromisoformat(text).toordinal() if _DATE.fullmatch(text) else 0
    except ValueError:
        day = 0
    if not FIRST_DAY <= day <= LAST_DAY:
        raise HeadendError(f"--{option} {text[:40]!r} is not a date such as 2024-10-30")
    return day


def day_range(from_day: str | None, to_day: str | None) -> tuple[int, int]:
    """The first and last day of `--from` and `--to`; all days where they are not given.

    Raises:
        HeadendError: one of them is no date, or they are the wrong way round.
    """
    first = FIRST_DAY if from_day is None else checked_day(from_day, "from")
    last = LAST_DAY if to_day is None else checked_day(to_day, "to")
    if first > last:
        raise HeadendError(f"--from {from_day} is after --to {to_day}")
    return first, last


def checked_reason(text: str, option: str = "reason") -> str:
    """A reason, a note or a name that is kept.

    Raises:
        HeadendError: it is empty, too long, or not plain text.
    """
    if not text.strip() or len(text) > MAX_REASON_CHARS or not text.isprintable():
        raise HeadendError(f"--{option} must be 1 to {MAX_REASON_CHARS} printable characters")
    return text


def check_kept(actor: str, reason: str) -> None:
    """Who does something, and why: both are kept.

    Raises:
        HeadendError: as `checked_reason`.
    """
    checked_reason(actor, "actor")
    checked_reason(reason)


def checked_reference(text: str) -> str:
    """A caller's reference for a recharge.

    Raises:
        HeadendError: it is empty, too long or has other characters.
    """
    if _REFERENCE.fullmatch(text) is None:
        raise HeadendError(
            f"reference {text[:70]!r}: 1 to 64 letters, digits, dots, dashes, colons or underscores,"
            " made by the payment's own source so that a repetition has the same one"
        )
    return text


def unknown_meter(meter: str, now: str | None = None) -> HeadendError:
    """The complaint about a meter that is not registered; `now`: its id since its device was exchanged."""
    if now is not None:
        return HeadendError(f"the device {meter} was exchanged: the meter is {now} now", ExitStatus.UNKNOWN_METER)
    return HeadendError(
        f"meter {meter} is not registered; see `headend meter list`, or enter it with `headend meter add`",
        ExitStatus.UNKNOWN_METER,
    )
