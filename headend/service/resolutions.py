"""A person resolves an exception: what it held goes out again, above the numbers that the meter has seen.

A meter can be ahead of the store, or hold another total than ours, when an old backup was put in place of a store
that was lost. What the lost one gave out only the meters know. Their word comes in unsigned messages, so it moves
our counters only when a person says so: the numbers that it speaks of are taken as given (`LostNumbers`), and all
that is still to be sent goes on above them. A meter never gets less credit by that than it says that it has.

A reading that no meter can have come to is mostly nobody's: closing its exception changes nothing. Only who says
that the display shows it (`believe`) lets the readings go on from there.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headend.domain.delivery import DeliveryKind
from headend.domain.evidence import Act, ActKind
from headend.domain.exception_kind import ExceptionKind
from headend.service.accounts import order_closed
from headend.service.ports import UnitOfWork
from headend.service.ports.lost_numbers import LostNumbers, Word
from headend.service.rows import ExceptionRow, MeterRow

MOST_LOST: Final = 100_000
"""Numbers of one meter between two backups; a meter that is farther ahead than this is not believed."""

PAGE: Final = 500
"""Exceptions that one commit resolves: others write in between."""

COUNTERS: Final = {
    ExceptionKind.CREDIT_AHEAD: DeliveryKind.CREDIT,
    ExceptionKind.CREDIT_TOTAL_DIFFERS: DeliveryKind.CREDIT,
    ExceptionKind.RELAY_AHEAD: DeliveryKind.RELAY,
    ExceptionKind.POLICY_AHEAD: DeliveryKind.POLICY,
}
"""The kinds that an old backup brings about, and the counter that each is about."""


class Outcome(StrEnum):
    """What came of resolving an exception."""

    RESOLVED = "RESOLVED"
    NOT_OPEN = "NOT_OPEN"
    METER_HAS_MORE = "METER_HAS_MORE"
    """More credit than the ledger: recharges are missing in it."""
    NOT_BELIEVED = "NOT_BELIEVED"
    """No store can have given out so many numbers."""
    NOTHING_TO_BELIEVE = "NOTHING_TO_BELIEVE"
    """Nothing that the meter said is ahead of the newest reading that was accepted."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """`missing_micros`: what the meter has more than the ledger. `said_number`: what was not believed."""

    meter: str
    kind: str
    outcome: Outcome
    missing_micros: int = 0
    said_number: int = 0


def resolve_exception(
    meter: str, kind: str, actor: str, note: str, uow: UnitOfWork, now_s: int, *, believe: bool = False
) -> Resolution:
    """Close a meter's open exception, unless what the meter says makes that unsafe: then nothing is changed.

    `believe`: the reading that was listed as IMPLAUSIBLE_JUMP counts as accepted; readings go on from it.
    """
    rows = [row for row in uow.exceptions(meter, -1) if row.kind == kind]
    if not rows:
        return Resolution(meter, kind, Outcome.NOT_OPEN)
    if not believe:
        return _resolve(rows[0], actor, note, uow, now_s)
    believed = _believe(rows[0], uow)
    if not believed:
        return Resolution(meter, kind, Outcome.NOTHING_TO_BELIEVE)
    return _resolve(rows[0], actor, note, uow, now_s, believed)


def _believe(row: ExceptionRow, uow: UnitOfWork) -> dict[str, object]:
    """Take the reading that was not believed, if it is still newer than what is held and not lower."""
    seq, register_wh, at_s = row.said_number, row.said_total_micros, row.said_at_s
    if row.kind != ExceptionKind.IMPLAUSIBLE_JUMP or seq is None or register_wh is None or at_s is None:
        return {}
    ((_, meter_key, _),) = uow.meter_keys([row.meter])
    meter = uow.meter_row(row.meter)
    assert meter is not None, "an exception is of a registered meter"
    if not uow.advance_registers([(meter_key, seq, at_s, register_wh, meter.relay_open)]):
        return {}
    uow.add_segment([meter_key], [seq], [at_s], [register_wh])
    return {"believed_seq": seq, "believed_register_wh": register_wh}


def resolve_page(
    kind: ExceptionKind, region: str | None, after: int, actor: str, note: str, uow: UnitOfWork, now_s: int
) -> tuple[list[Resolution], int | None]:
    """Close a page of the open exceptions of one of the kinds that an old backup brings about, where that is safe.

    Returns what came of each, and the exception to go on after; None: there are no more.
    """
    assert kind in COUNTERS, "all others are looked at one by one"
    rows = uow.exceptions_of_kind(kind, region, after, PAGE)
    return [_resolve(row, actor, note, uow, now_s) for _, row in rows], rows[-1][0] if len(rows) == PAGE else None


def _resolve(
    row: ExceptionRow,
    actor: str,
    note: str,
    uow: UnitOfWork,
    now_s: int,
    believed: dict[str, object] | None = None,
) -> Resolution:
    meter = uow.meter_row(row.meter)
    assert meter is not None, "an exception is of a registered meter"
    ((_, meter_key, _),) = uow.meter_keys([row.meter])
    counter = COUNTERS.get(ExceptionKind(row.kind))
    taken: dict[str, object] = believed or {}
    if counter is not None and row.said_number is not None and row.said_at_s is not None:
        word = Word(row.said_number, row.said_total_micros, row.said_at_s)
        unsafe = _unsafe(row, counter, word, meter)
        if unsafe is not None:
            return unsafe
        taken = _take_over(counter, word, meter_key, meter, f"{row.kind} resolved: {note}", uow, now_s)
    uow.resolve_exceptions([(meter_key, row.kind)], actor, note, now_s)
    basis = {"exception": row.kind, "detail": row.detail, "first_at_s": row.first_at_s, "count": row.count}
    subject = f"meter/{row.meter}"
    uow.record_act(Act(now_s, actor, ActKind.EXCEPTION_RESOLVED, subject, note, basis | taken))
    return Resolution(row.meter, row.kind, Outcome.RESOLVED)


def _unsafe(row: ExceptionRow, counter: DeliveryKind, word: Word, meter: MeterRow) -> Resolution | None:
    if word.number > _issued(counter, meter) + MOST_LOST:
        return Resolution(row.meter, row.kind, Outcome.NOT_BELIEVED, said_number=word.number)
    missing_micros = (word.total_micros or 0) - meter.credit_total_micros
    if counter is DeliveryKind.CREDIT and missing_micros > 0:
        return Resolution(row.meter, row.kind, Outcome.METER_HAS_MORE, missing_micros)
    return None


def _take_over(
    counter: DeliveryKind,
    word: Word,
    meter_key: int,
    meter: MeterRow,
    reason: str,
    uow: UnitOfWork,
    now_s: int,
) -> dict[str, object]:
    """Take a meter's numbers as given, and order anew above them what it is to have; what was taken over."""
    issued, applied = _issued(counter, meter), _applied(counter, meter)
    if word.number <= applied:
        return {}
    if counter is DeliveryKind.POLICY and word.number <= uow.last_lost_policy(meter.region):
        # Another meter of the region said as much: the policy above it is for all.
        return {}
    if counter is DeliveryKind.CREDIT:
        # Also above our own: some of those may have gone out, with a total that is another by now.
        first = min(uow.first_open(meter_key, counter) or issued + 1, word.number)
        lost = LostNumbers(meter_key, counter, first, max(word.number, issued), word)
        uow.take_over_credit(lost)
    else:
        lost = LostNumbers(meter_key, counter, applied + 1, word.number, word)
        if counter is DeliveryKind.RELAY:
            uow.take_over_relay(lost)
            # What the lost store ordered last is not known. Supply is never wrong; the rules decide on cuts anew.
            order_closed(meter.meter, reason, uow, now_s)
            uow.note_reconnected([meter_key], now_s)
        else:
            # The next policy of the region goes above it, to all its meters (`service.policies`).
            uow.take_over_policy(lost)
    return {"lost_from": lost.from_number, "lost_to": lost.to_number, "said_number": word.number}


def _issued(counter: DeliveryKind, meter: MeterRow) -> int:
    return {
        DeliveryKind.CREDIT: meter.credit_seq,
        DeliveryKind.RELAY: meter.relay_version,
        DeliveryKind.POLICY: meter.policy_version,
    }[counter]


def _applied(counter: DeliveryKind, meter: MeterRow) -> int:
    return {
        DeliveryKind.CREDIT: meter.applied_credit_seq,
        DeliveryKind.RELAY: meter.applied_relay_version,
        DeliveryKind.POLICY: meter.applied_policy_version,
    }[counter]
