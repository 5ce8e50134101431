"""Comparing a meter's counters with ours: what to do after a hello. Pure, and never a guess.

Both counters only go up, so every difference has one meaning. Where it has none (a counter that went back, a
counter ahead of ours, a total that does not belong to its number), a person has to look at it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class ExceptionKind(StrEnum):
    """What a person must look at. One whose name begins with a delivery's kind holds that meter's deliveries."""

    REGISTER_WENT_BACK = "REGISTER_WENT_BACK"
    READING_SEQ_WENT_BACK = "READING_SEQ_WENT_BACK"
    CLOCK_AHEAD = "CLOCK_AHEAD"
    IMPLAUSIBLE_JUMP = "IMPLAUSIBLE_JUMP"
    SNAPSHOT_DIFFERS = "SNAPSHOT_DIFFERS"
    CREDIT_WENT_BACK = "CREDIT_WENT_BACK"
    CREDIT_AHEAD = "CREDIT_AHEAD"
    CREDIT_TOTAL_DIFFERS = "CREDIT_TOTAL_DIFFERS"
    CREDIT_REFUSED = "CREDIT_REFUSED"
    RELAY_AHEAD = "RELAY_AHEAD"
    METER_NOT_FOUND = "METER_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class MeterView:
    """The meter's own counters as they were at `at_s`, by its own clock."""

    at_s: int
    register_wh: int
    reading_seq: int
    credit_seq: int
    credit_total_micros: int
    relay_version: int


@dataclass(frozen=True, slots=True)
class HeadendView:
    """What the head-end holds of the same meter. `applied_` is what the meter once acknowledged.

    `read_at_s` and `applied_credit_at_s` are the meter's times of the newest reading and acknowledgement; 0: none.
    """

    register_wh: int
    reading_seq: int
    read_at_s: int
    credit_seq: int
    applied_credit_seq: int
    applied_credit_at_s: int
    relay_version: int
    applied_relay_version: int


@dataclass(frozen=True, slots=True)
class CreditApplied:
    """Credits up to this number are at the meter."""

    seq: int


@dataclass(frozen=True, slots=True)
class RelayApplied:
    """The relay command of this version was carried out."""

    version: int


@dataclass(frozen=True, slots=True)
class Exceptional:
    """A person must look at this meter; until then nothing is sent to it for the counter in question."""

    kind: ExceptionKind
    detail: str


Finding = CreditApplied | RelayApplied | Exceptional


def reconcile(theirs: MeterView, ours: HeadendView, our_total_micros: int | None) -> Iterator[Finding]:
    """Compare one meter's counters with ours.

    `our_total_micros` is our cumulative total at the meter's credit number, None where we have no such number.
    What is behind in a healthy way yields nothing: open deliveries are sent again anyhow. A lower counter in an
    *older* message is no more than a late message, so the meter's time decides: only a counter that is lower
    later went back.
    """
    yield from reconcile_credit(theirs.at_s, theirs.credit_seq, theirs.credit_total_micros, ours, our_total_micros)
    if theirs.at_s > ours.read_at_s:
        if theirs.register_wh < ours.register_wh:
            yield Exceptional(
                ExceptionKind.REGISTER_WENT_BACK,
                f"register {theirs.register_wh} Wh in hello, {ours.register_wh} Wh acknowledged before",
            )
        if theirs.reading_seq < ours.reading_seq:
            yield Exceptional(
                ExceptionKind.READING_SEQ_WENT_BACK,
                f"reading number {theirs.reading_seq} in hello, {ours.reading_seq} acknowledged before:"
                " its readings look old and are not used",
            )
    if theirs.relay_version > ours.relay_version:
        yield Exceptional(
            ExceptionKind.RELAY_AHEAD,
            f"relay version {theirs.relay_version} at the meter, {ours.relay_version} issued by us",
        )
    elif theirs.relay_version > ours.applied_relay_version:
        yield RelayApplied(theirs.relay_version)


def reconcile_credit(
    at_s: int, seq: int, total_micros: int, ours: HeadendView, our_total_micros: int | None
) -> Iterator[Finding]:
    """Compare the credit counter alone: it stands in a hello and in every result."""
    if seq > ours.credit_seq:
        yield Exceptional(ExceptionKind.CREDIT_AHEAD, f"credit {seq} at the meter, {ours.credit_seq} issued by us")
    elif our_total_micros != total_micros:
        yield Exceptional(
            ExceptionKind.CREDIT_TOTAL_DIFFERS,
            f"credit total {total_micros} micros at number {seq} at the meter, {our_total_micros} in our ledger",
        )
    elif seq > ours.applied_credit_seq:
        yield CreditApplied(seq)
    elif seq < ours.applied_credit_seq and at_s > ours.applied_credit_at_s:
        yield Exceptional(
            ExceptionKind.CREDIT_WENT_BACK,
            f"credit {seq} at the meter, {ours.applied_credit_seq} acknowledged before",
        )
