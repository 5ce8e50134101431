"""Comparing a meter's counters with ours: what to do after a hello. Pure, and never a guess.

Both counters only go up, so every difference has one meaning. Where it has none (a counter that went back, a
counter ahead of ours, a total that does not belong to its number), a person has to look at it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from headend.domain.exception_kind import ExceptionKind as ExceptionKind
from headend.domain.rollover import rolled_over_wh


@dataclass(frozen=True, slots=True)
class MeterView:
    """The meter's own counters as they were at `at_s`, by its own clock."""

    at_s: int
    register_wh: int
    reading_seq: int
    credit_seq: int
    credit_total_micros: int
    relay_version: int
    policy_version: int = 0


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
    policy_version: int = 0
    applied_policy_version: int = 0


@dataclass(frozen=True, slots=True)
class CreditApplied:
    """Credits up to this number are at the meter."""

    seq: int


@dataclass(frozen=True, slots=True)
class RelayApplied:
    """The relay command of this version was carried out."""

    version: int


@dataclass(frozen=True, slots=True)
class PolicyApplied:
    """The meter holds the policy of this version."""

    version: int


@dataclass(frozen=True, slots=True)
class Exceptional:
    """A person must look at this meter; until then nothing is sent to it for the counter in question.

    `said_number`: the meter's own, where the exception is about that."""

    kind: ExceptionKind
    detail: str
    said_number: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyForgotten:
    """The meter once held our policy and now holds this older version: it has to be told again."""

    version: int


Finding = CreditApplied | RelayApplied | PolicyApplied | PolicyForgotten | Exceptional


def reconcile(
    theirs: MeterView, ours: HeadendView, our_total_micros: int | None, rollover_wh: int | None = None
) -> Iterator[Finding]:
    """Compare one meter's counters with ours.

    `our_total_micros` is our cumulative total at the meter's credit number, None where we have no such number.
    `rollover_wh`: all that a register can show; one that ran over did not go back.
    What is behind in a healthy way yields nothing: open deliveries are sent again anyhow. A lower counter in an
    *older* message is only late, so the meter's time decides: a counter that is lower later went back.
    """
    yield from reconcile_credit(theirs.at_s, theirs.credit_seq, theirs.credit_total_micros, ours, our_total_micros)
    if theirs.at_s > ours.read_at_s:
        register_wh = theirs.register_wh + rolled_over_wh(ours.register_wh, theirs.register_wh, rollover_wh)
        if register_wh < ours.register_wh:
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
        yield _ahead(ExceptionKind.RELAY_AHEAD, "relay", theirs.relay_version, ours.relay_version)
    elif theirs.relay_version > ours.applied_relay_version:
        yield RelayApplied(theirs.relay_version)
    if theirs.policy_version > ours.policy_version:
        yield _ahead(ExceptionKind.POLICY_AHEAD, "policy", theirs.policy_version, ours.policy_version)
    elif theirs.policy_version > ours.applied_policy_version:
        yield PolicyApplied(theirs.policy_version)
    elif theirs.policy_version < ours.applied_policy_version and theirs.at_s > ours.read_at_s:
        yield PolicyForgotten(theirs.policy_version)


def _ahead(kind: ExceptionKind, what: str, theirs: int, ours: int) -> Exceptional:
    return Exceptional(kind, f"{what} version {theirs} at the meter, {ours} issued by us", theirs)


def reconcile_credit(
    at_s: int, seq: int, total_micros: int, ours: HeadendView, our_total_micros: int | None
) -> Iterator[Finding]:
    """Compare the credit counter alone: it stands in a hello and in every result."""
    if seq > ours.credit_seq:
        yield Exceptional(
            ExceptionKind.CREDIT_AHEAD,
            f"credit {seq}, {total_micros} micros in all, at the meter; {ours.credit_seq} issued by us",
            seq,
        )
    elif our_total_micros != total_micros:
        yield Exceptional(
            ExceptionKind.CREDIT_TOTAL_DIFFERS,
            f"credit total {total_micros} micros at number {seq} at the meter, {our_total_micros} in our ledger",
            seq,
        )
    elif seq > ours.applied_credit_seq:
        yield CreditApplied(seq)
    elif seq < ours.applied_credit_seq and at_s > ours.applied_credit_at_s:
        yield Exceptional(
            ExceptionKind.CREDIT_WENT_BACK,
            f"credit {seq} at the meter, {ours.applied_credit_seq} acknowledged before",
        )
