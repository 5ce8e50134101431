"""Wishes to cut beyond the caps: a second person releases or drops them; those released go as there is room."""

from collections.abc import Iterable
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.caps import Cap
from headend.domain.case import Origin
from headend.domain.evidence import Act, ActKind, basis_text
from headend.domain.protection import Reason
from headend.domain.rules import Rules
from headend.service.gate import Gate, Verdict
from headend.service.ports import UnitOfWork
from headend.service.ports.protection import CaseRow, Decided, DisconnectionRow

RELEASE_LIMIT: Final = 500
"""Most released wishes that one step looks at."""

ENDING: Final = frozenset({Reason.IN_CREDIT, Reason.PLAN_KEPT, Reason.ALREADY_OPEN})
"""What ends a released wish: there is nothing left to cut for. Anything else only delays it."""


class QuarantineError(ValueError):
    """A wish cannot be released or dropped: what is wrong."""


def release(numbers: Iterable[int], actor: str, reason: str, uow: UnitOfWork, now_s: int) -> int:
    """Let wishes out of quarantine; the person must be another than the one who wished.

    Raises:
        QuarantineError: one of them is not in quarantine, or the person's own; then none is released.
    """
    return _end(numbers, "RELEASED", ActKind.RELEASED, actor, reason, uow, now_s)


def drop(numbers: Iterable[int], actor: str, reason: str, uow: UnitOfWork, now_s: int) -> int:
    """Give wishes up that are in quarantine.

    Raises:
        QuarantineError: as `release`, but one may drop one's own.
    """
    return _end(numbers, "DROPPED", ActKind.DROPPED, actor, reason, uow, now_s)


def is_own(wish: DisconnectionRow, actor: str) -> bool:
    """Whether a wish is this person's, however they spell their name."""
    return wish.requested_by.strip().casefold() == actor.strip().casefold()


def _end(
    numbers: Iterable[int], state: str, kind: ActKind, actor: str, reason: str, uow: UnitOfWork, now_s: int
) -> int:
    acts = []
    for number in numbers:
        wish = uow.waiting_wish(number)
        if wish is None:
            raise QuarantineError(f"{number} is not in quarantine; `headend quarantine list` shows what is")
        if kind is ActKind.RELEASED and is_own(wish, actor):
            raise QuarantineError(f"{number} was wished by {actor}: a second person has to release it")
        uow.decide(Decided(number, state, actor, now_s))
        basis = {"disconnection": number, "requested_by": wish.requested_by, "refused_for": wish.refused_for or ""}
        acts.append(Act(now_s, actor, kind, f"meter/{wish.meter}", reason, basis))
    uow.record_acts(acts)
    return len(acts)


def cut_released(rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int, after: int) -> int | None:
    """Take up a page of wishes that a second person released, as far as the caps and all else allow now.

    A release lets a wish out of quarantine, not past the caps: it goes when there is room. Returns the number to
    go on after; None: all were seen, or there is no use in going on.
    """
    waiting = uow.waiting("RELEASED", after, RELEASE_LIMIT)
    gate = Gate(rules, zone, uow, now_s) if waiting else None
    if gate is None or gate.is_shut():
        return None
    keys = {meter: key for meter, key, _ in uow.meter_keys([wish.meter for wish in waiting])}
    cases = {row.meter_key: row for row in uow.cases(list(keys.values()))}
    for wish in waiting:
        if _take_up(wish, cases[keys[wish.meter]], gate, uow, now_s) is Cap.FLEET:
            return None
    return waiting[-1].disconnection_id if len(waiting) == RELEASE_LIMIT else None


def _take_up(wish: DisconnectionRow, row: CaseRow, gate: Gate, uow: UnitOfWork, now_s: int) -> Cap | None:
    """Carry a released wish out, end it, or let it wait; the cap that stands in its way, if one does."""
    origin = Origin(wish.origin)
    refused = gate.look(row, origin)
    if refused is not None and not ENDING & set(refused.reasons):
        return None
    basis = gate.basis(row, origin)
    kept = basis | {"disconnection": wish.disconnection_id, "released_by": wish.decided_by}
    subject = f"meter/{wish.meter}"
    if refused is not None:
        reasons = list(map(str, refused.reasons))
        refused_for, state = ",".join(reasons), Verdict.REFUSED.value
        uow.decide(Decided(wish.disconnection_id, state, wish.decided_by, now_s, None, refused_for))
        kept |= {"refused_for": reasons}
        uow.record_act(Act(now_s, wish.requested_by, ActKind.CUT_REFUSED, subject, wish.reason, kept))
        return None
    version = gate.issue(row, wish.reason)
    if version is None or isinstance(version, Cap):
        return version
    issued = Decided(wish.disconnection_id, Verdict.ISSUED.value, wish.decided_by, now_s, version)
    uow.decide(issued._replace(basis=basis_text(basis)))
    kept |= {"relay_version": version}
    uow.record_act(Act(now_s, wish.requested_by, ActKind.CUT, subject, wish.reason, kept))
    return None
