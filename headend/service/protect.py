"""Cuts for debt by the rules: small steps between messages.

A home in debt is looked at when something about it can have changed: its grace ends, a window opens, its own
moment within the permitted hours has come. Nobody is cut who was not told before, with the time.
"""

from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.case import Origin
from headend.domain.evidence import Act, ActKind
from headend.domain.exception_kind import ExceptionKind
from headend.domain.protection import Reason, Refused, due_s
from headend.domain.rules import Rules
from headend.service.gate import Gate, Wish, Withheld
from headend.service.notices import announce_cuts
from headend.service.ports import UnitOfWork
from headend.service.ports.protection import CaseRow

LOOK_LIMIT: Final = 500
"""Most homes in debt that one step looks at."""

LOOK_AGAIN_S: Final = 3_600
"""When a home is looked at again that is protected by something without a known end."""

NOTICE_S: Final = 3_600
"""A consumer is told of a cut this long before it, at the least."""

EDGE_S: Final = 600
"""When a home is looked at again that is to be cut at the edge of the permitted hours."""

ANNOUNCED_FOR_S: Final = 43_200
"""How long after its time an announced cut may still be made; after that it is announced anew."""

FOR_DEBT: Final = Wish("headend", Origin.DEBT, "no credit left, and nothing that protects the home")


def protect_debtors(rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> int:
    """Look at homes in debt that are due for it: announce, refuse, quarantine or cut; how many were looked at."""
    if not rules.protection.disconnect_automatically:
        return 0
    keys = uow.due_debtors(now_s, LOOK_LIMIT)
    if not keys:
        return 0
    looks = _Looks(rules, Gate(rules, zone, uow, now_s), now_s)
    waiting = uow.waiting_meters(keys)
    for row in uow.cases(keys):
        looks.at(row, waits=row.meter_key in waiting)
    announce_cuts(looks.announced, uow, now_s)
    uow.record_acts(looks.acts)
    for meter_key, detail in looks.implausible:
        uow.add_exception(ExceptionKind.IMPLAUSIBLE_JUMP, meter_key, detail, now_s)
    uow.note_debtors(looks.noted)
    for decision in looks.gate.decide(looks.due, FOR_DEBT):
        uow.note_debtors([(decision.meter_key, now_s + LOOK_AGAIN_S, ",".join(decision.reasons) or None)])
    return len(keys)


class _Looks:
    """One step's looks, and what is to be done about them."""

    def __init__(self, rules: Rules, gate: Gate, now_s: int) -> None:
        self.gate = gate
        self._rules = rules
        self._now_s = now_s
        self.announced: list[tuple[int, int]] = []
        self.acts: list[Act] = []
        self.noted: list[tuple[int, int, str | None]] = []
        self.due: list[CaseRow] = []
        self.implausible: list[tuple[int, str]] = []

    def at(self, row: CaseRow, *, waits: bool) -> None:
        """One home. `waits`: an earlier wish to cut it is in quarantine, or released from it."""
        refused = self.gate.look(row, Origin.DEBT)
        if waits:
            self._refuse(row, (Withheld.IN_QUARANTINE,), None)
        elif refused is not None and (refused.until_s is None or Reason.ALREADY_OPEN in refused.reasons):
            self._refuse(row, refused.reasons, None)
        else:
            self._plan(row, refused)

    def _plan(self, row: CaseRow, refused: Refused | None) -> None:
        """A home that will be cut, now or at a time that is known: it is told of that time."""
        if refused is None or refused.until_s is None:
            free_from_s, told_from_s = self._now_s, self._now_s - ANNOUNCED_FOR_S
        else:
            free_from_s = told_from_s = refused.until_s
        at_s = row.announced_s
        if at_s is None or at_s < told_from_s:
            at_s = self._cut_time_s(row, free_from_s)
            if at_s is not None:
                self.announced.append((row.meter_key, at_s))
        if refused is not None:
            self._refuse(row, refused.reasons, max(free_from_s, at_s or 0))
        elif at_s is None or at_s > self._now_s:
            self._again(row, at_s, row.refused_for)
        elif self.gate.is_at_the_edge(row.meter.region):
            self._refuse(row, (Withheld.AT_THE_EDGE,), self._now_s + EDGE_S)
        else:
            self.due.append(row)

    def _cut_time_s(self, row: CaseRow, free_from_s: int) -> int | None:
        """Its own moment of the permitted hours, after the grace and the notice."""
        due = due_s(self.gate.case(row, Origin.DEBT), self._rules.protection)
        if due is None:
            return None
        timing = self.gate.cut_time(row, max(due, free_from_s, self._now_s + NOTICE_S))
        return None if timing is None else timing.at_s

    def _refuse(self, row: CaseRow, reasons: Sequence[str], until_s: int | None) -> None:
        """A refusal is evidence when its reasons are others than the last time, not each time that one looks.

        That the protected hours come and go each day is no change. That a home is cut already, or waits for a
        decision, refuses nothing: its own wish says all.
        """
        told = ",".join([each for each in reasons if each != Reason.PROTECTED_HOURS] or reasons)
        if told != row.refused_for and not {Reason.ALREADY_OPEN, Withheld.IN_QUARANTINE} & set(reasons):
            basis = self.gate.basis(row, Origin.DEBT) | {"refused_for": list(reasons), "until_s": until_s or 0}
            kind, subject = ActKind.CUT_REFUSED, f"meter/{row.meter.meter}"
            self.acts.append(Act(self._now_s, FOR_DEBT.actor, kind, subject, FOR_DEBT.reason, basis))
            if Reason.IMPLAUSIBLE_READING in reasons:
                detail = f"its register shows {basis['unsettled_wh']} Wh since the last day that is charged"
                self.implausible.append((row.meter_key, detail))
        self._again(row, until_s, told)

    def _again(self, row: CaseRow, at_s: int | None, refused_for: str | None) -> None:
        again_s = self._now_s + LOOK_AGAIN_S if at_s is None else max(at_s, self._now_s + 1)
        self.noted.append((row.meter_key, again_s, refused_for))
