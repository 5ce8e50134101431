"""Cuts for debt by the rules, and supply given back: small steps between messages.

A home in debt is looked at when something about it can have changed: its grace ends, a window opens, its own
moment within the permitted hours has come. Nobody is cut who was not told before, with the time.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.case import Origin
from headend.domain.evidence import Act, ActKind
from headend.domain.protection import Refused, due_s
from headend.domain.rules import Rules
from headend.service.gate import Gate, Verdict, Wish
from headend.service.notices import announce_cuts
from headend.service.ports import UnitOfWork
from headend.service.ports.protection import CaseRow, DisconnectionRow

LOOK_LIMIT: Final = 500
"""Most homes in debt that one step looks at."""

LOOK_AGAIN_S: Final = 3_600
"""When a home is looked at again that is protected by something without a known end."""

NOTICE_S: Final = 3_600
"""A consumer is told of a cut this long before it, at the least."""

FOR_DEBT: Final = Wish("headend", Origin.DEBT, "no credit left, and nothing that protects the home")


def protect_debtors(rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> int:
    """Look at the homes in debt that are due for it: announce, refuse, quarantine or cut; how many were looked at."""
    if not rules.protection.disconnect_automatically:
        return 0
    keys = uow.due_debtors(now_s, LOOK_LIMIT)
    if not keys:
        return 0
    gate = Gate(rules, zone, uow, now_s)
    looked, announced, due = [], [], []
    for row in uow.cases(keys):
        planned_s = _planned_s(row, rules, gate, now_s) if row.announced_s is None else row.announced_s
        if row.announced_s is None and planned_s is not None:
            announced.append((row.meter_key, planned_s))
        refused = gate.look(row, Origin.DEBT)
        if refused is not None:
            looked.append((row, _again_s(refused, now_s), refused))
        elif planned_s is None or planned_s > now_s:
            uow.note_debtors([(row.meter_key, planned_s or now_s + LOOK_AGAIN_S, None)])
        else:
            due.append(row)
    announce_cuts(announced, uow, now_s)
    _note_refused(looked, uow, now_s)
    for decision in gate.decide(due, FOR_DEBT):
        uow.note_debtors([(decision.meter_key, now_s + LOOK_AGAIN_S, ",".join(decision.reasons) or None)])
    return len(keys)


def _planned_s(row: CaseRow, rules: Rules, gate: Gate, now_s: int) -> int | None:
    """When a home will be cut if nothing changes: after grace and notice, at its own moment of permitted hours."""
    due = due_s(gate.case(row, Origin.DEBT), rules.protection)
    if due is None:
        return None
    timing = gate.cut_time(row, max(due, now_s + NOTICE_S))
    return None if timing is None else timing.at_s


def _again_s(refused: Refused, now_s: int) -> int:
    if refused.until_s is None:
        return now_s + LOOK_AGAIN_S
    return max(refused.until_s, now_s + 1)


def _note_refused(looked: Sequence[tuple[CaseRow, int, Refused]], uow: UnitOfWork, now_s: int) -> None:
    """A refusal is evidence when its reasons are others than the last time, not each time that one looks."""
    acts = []
    for row, _, refused in looked:
        reasons = ",".join(refused.reasons)
        if reasons != row.refused_for:
            basis = {"refused_for": list(refused.reasons), "until_s": refused.until_s or 0}
            basis |= {"read_at_s": row.meter.read_at_s or 0, "register_wh": row.meter.register_wh}
            subject = f"meter/{row.meter.meter}"
            acts.append(Act(now_s, FOR_DEBT.actor, ActKind.CUT_REFUSED, subject, FOR_DEBT.reason, basis))
    uow.record_acts(acts)
    uow.note_debtors([(row.meter_key, again_s, ",".join(refused.reasons)) for row, again_s, refused in looked])


def cut_released(rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int, after: int) -> int | None:
    """Take up a page of wishes that a second person released, as far as the caps and all else allow now.

    A release lets a wish out of quarantine, not past the caps: it goes when there is room. Returns the number to
    go on after; None: all were seen.
    """
    waiting = uow.waiting("RELEASED", after, LOOK_LIMIT)
    if not waiting:
        return None
    gate = Gate(rules, zone, uow, now_s)
    keys = {meter: key for meter, key, _ in uow.meter_keys([row.meter for row in waiting])}
    cases = {row.meter_key: row for row in uow.cases(list(keys.values()))}
    for wish in waiting:
        _cut_released(wish, cases[keys[wish.meter]], gate, uow, now_s)
    return waiting[-1].disconnection_id if len(waiting) == LOOK_LIMIT else None


def _cut_released(wish: DisconnectionRow, row: CaseRow, gate: Gate, uow: UnitOfWork, now_s: int) -> None:
    if gate.look(row, Origin(wish.origin)) is not None:
        return
    version = gate.issue(row, wish.reason)
    if isinstance(version, int):
        uow.decide(wish.disconnection_id, Verdict.ISSUED, wish.decided_by, now_s, version)
        basis = {"disconnection": wish.disconnection_id, "released_by": wish.decided_by, "relay_version": version}
        basis |= gate.case(row, Origin(wish.origin)).basis()
        uow.record_act(Act(now_s, wish.requested_by, ActKind.CUT, f"meter/{wish.meter}", wish.reason, basis))


class QuarantineError(ValueError):
    """A wish cannot be released or dropped: what is wrong."""


def release(numbers: Iterable[int], actor: str, reason: str, uow: UnitOfWork, now_s: int) -> int:
    """Let wishes out of quarantine; the person must be another than the one who wished.

    Raises:
        QuarantineError: one of them is not in quarantine, or the person's own; then none is released.
    """
    return _end_quarantine(numbers, "RELEASED", ActKind.RELEASED, actor, reason, uow, now_s)


def drop(numbers: Iterable[int], actor: str, reason: str, uow: UnitOfWork, now_s: int) -> int:
    """Give wishes up that are in quarantine.

    Raises:
        QuarantineError: as `release`, but one may drop one's own.
    """
    return _end_quarantine(numbers, "DROPPED", ActKind.DROPPED, actor, reason, uow, now_s)


def _end_quarantine(
    numbers: Iterable[int], state: str, kind: ActKind, actor: str, reason: str, uow: UnitOfWork, now_s: int
) -> int:
    acts = []
    for number in numbers:
        wish = uow.waiting_wish(number)
        if wish is None:
            raise QuarantineError(f"{number} is not in quarantine; `headend quarantine list` shows what is")
        if kind is ActKind.RELEASED and wish.requested_by == actor:
            raise QuarantineError(f"{number} was wished by {actor}: a second person has to release it")
        uow.decide(number, state, actor, now_s, None)
        basis = {"disconnection": number, "requested_by": wish.requested_by, "refused_for": wish.refused_for or ""}
        acts.append(Act(now_s, actor, kind, f"meter/{wish.meter}", reason, basis))
    uow.record_acts(acts)
    return len(acts)
