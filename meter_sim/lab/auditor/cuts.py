"""Whether anybody was cut off wrongly: every opening of a relay held to `promises`, by the meters' own logs.

Knows nothing of how the head-end decides. What counts is when the relay opened by true time, and what the home
had, was promised and was told then.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from meter_sim.lab.auditor.books import FOR_EVER_S, Debt
from meter_sim.lab.auditor.case import Case
from meter_sim.lab.auditor.meter_log import Move
from meter_sim.lab.auditor.promises import DAY_S, HOUR_S

NOON_S: Final = 12 * HOUR_S
ROUNDING: Final = 2
"""Paise by which two ways to round an open day differ at most."""


@dataclass(frozen=True, slots=True)
class WrongCut:
    """A cut, and all that was wrong with it. `early`: that it came before its time, or the debt was none."""

    move: Move
    hours: list[str]
    early: list[str]
    basis: list[str]

    @property
    def reasons(self) -> list[str]:
        """All of it."""
        return [*self.hours, *self.early, *self.basis]

    def text(self, zone: ZoneInfo) -> str:
        """For people."""
        return f"{self.move.meter} at {local(self.move.at_s, zone)}: {', '.join(self.reasons)}"


@dataclass(slots=True)
class Cuts:
    """What came of all openings."""

    wrong: list[WrongCut] = field(default_factory=list)
    right: list[Move] = field(default_factory=list)
    by_operator: int = 0
    """Orders of an operator where the rules ask for no debt."""
    unordered: list[str] = field(default_factory=list)
    """Openings without an order in force."""
    unordered_known: bool = True
    sent_in_protected_time: list[str] = field(default_factory=list)
    """Orders to open that left when nobody was to be cut."""
    spared: list[str] = field(default_factory=list)
    """Homes that an ordinary day would have cut: in debt, out of grace, and a holiday or outage spared them."""
    debts: dict[str, list[Debt]] = field(default_factory=dict)


def look_at_cuts(case: Case) -> Cuts:
    """Look at every opening, and at the homes that were spared."""
    cuts = Cuts(debts=case.books.debts())
    ordered, told = case.ordered(), _told_s(case)
    for move in case.openings:
        by_operator = (move.meter, move.version) in ordered
        if by_operator and not case.promises.cuts:
            cuts.by_operator += 1
            continue
        wrong = _wrongs(move, case, cuts.debts.get(move.meter, []), told, by_operator=by_operator)
        if wrong.reasons:
            cuts.wrong.append(wrong)
        else:
            cuts.right.append(move)
    cuts.unordered_known = case.store is not None or case.wire is not None
    if cuts.unordered_known:
        cuts.unordered = list(_unordered(case))
    cuts.sent_in_protected_time = list(_sent_in_protected_time(case))
    if case.promises.cuts:
        cuts.spared = [meter for meter, debts in cuts.debts.items() if _is_spared(case, meter, debts)]
    return cuts


def _told_s(case: Case) -> dict[str, list[int]] | None:
    """When homes were told of a cut to come; None: nobody knows."""
    if case.store is None:
        return None
    told: defaultdict[str, list[int]] = defaultdict(list)
    for meter, at_s, kind in case.store.notices:
        if kind == "CUT_ANNOUNCED":
            told[meter].append(at_s)
    return told


def _wrongs(
    move: Move, case: Case, debts: Sequence[Debt], told: dict[str, list[int]] | None, *, by_operator: bool
) -> WrongCut:
    promises, at_s, log = case.promises, move.at_s, case.log
    hours: list[str] = []
    early: list[str] = []
    basis: list[str] = []
    if not promises.cuts:
        return WrongCut(move, ["nobody was to be cut for debt at all"], [], [])
    if promises.protects(at_s, log.zone) and _hours_hold(move.meter, at_s, case):
        hours.append("in protected time")
    if any(from_s + case.slack.after(from_s) <= at_s < to_s for from_s, to_s in case.outages):
        hours.append("in an outage")
    elif any(to_s <= at_s < to_s + promises.outage_grace_s for _, to_s in case.outages):
        early.append("in the grace after an outage")
    limit_micros = ROUNDING * promises.paisa_micros - promises.emergency_micros
    balance_micros = case.books.balance_micros(move.meter, at_s, move.register_wh)
    if balance_micros > limit_micros:
        basis.append(f"with {balance_micros} micros left")
    grace_s = promises.debt_grace_s(case.books.loads_w[log.rows[move.meter]])
    since_s = next((debt.since_s for debt in debts if debt.since_s <= at_s < (debt.until_s or FOR_EVER_S)), at_s)
    if at_s - since_s < grace_s:
        early.append(f"{(at_s - since_s) // HOUR_S} hours after its credit ended")
    counted = [each.total_micros for each in log.credited.get(move.meter, []) if each.at_s <= at_s]
    if case.books.credited_micros(move.meter, at_s) > (counted[-1] if counted else 0):
        basis.append("with a recharge on its way")
    # What a store that is lost had told nobody knows any more.
    if told is not None and not by_operator and not (case.losses_s and at_s <= case.last_loss_s):
        latest_s = at_s - promises.told_before_s
        if not any(told_s <= latest_s for told_s in told.get(move.meter, ())):
            early.append("not told in time")
    for plan in [] if case.store is None else case.store.plans:
        if plan.meter == move.meter and plan.made_at_s <= at_s < (plan.ended_at_s or FOR_EVER_S):
            early.append("in an arrears plan")
    return WrongCut(move, hours, early, basis)


def _hours_hold(meter: str, at_s: int, case: Case) -> bool:
    """Whether the hours protect this home: those of some utilities only who had credit as they opened."""
    promises, log = case.promises, case.log
    if not promises.only_if_in_credit:
        return True
    opened_s = promises.opened_s(at_s, log.zone)
    column = int(np.searchsorted(log.taken_at_s, opened_s, side="right")) - 1
    if column < 0 or meter not in log.rows:
        return True
    left_micros = int(case.books.balances_micros[log.rows[meter], column])
    return left_micros > ROUNDING * promises.paisa_micros - promises.emergency_micros


def _sent_in_protected_time(case: Case) -> Iterator[str]:
    """Orders to open that left in hours in which nobody is cut. That the meter refuses them is its own merit."""
    off_s = case.headend_clock_s
    for sent in [] if case.wire is None or not case.promises.cuts else case.wire.sent:
        if sent.kind != "RELAY" or sent.value != "open":
            continue
        # With its clock off, the head-end sees another hour.
        hours = (sent.at_s - off_s, sent.at_s, sent.at_s + off_s)
        protected = all(case.promises.protects(at_s, case.log.zone) for at_s in hours)
        if protected and _hours_hold(sent.meter, sent.at_s, case):
            yield f"{sent.meter}: order {sent.number} to open was sent at {local(sent.at_s, case.log.zone)}"


def _unordered(case: Case) -> Iterator[str]:
    """Openings without an order, or by one that a newer one had replaced before it was sent."""
    orders: dict[tuple[str, int], tuple[str, int]] = {}
    sent_s: dict[tuple[str, int], int] = {}
    for sent in [] if case.wire is None else case.wire.sent:
        if sent.kind == "RELAY":
            sent_s[sent.meter, sent.number] = sent.at_s
            orders.setdefault((sent.meter, sent.number), (str(sent.value), sent.at_s))
    if case.store is not None:
        known = {
            (delivery.meter, delivery.seq): (delivery.relay or "", delivery.queued_at_s)
            for delivery in case.store.deliveries
            if delivery.kind == "RELAY"
        }
        # Only a store that was lost explains an order that is not in the store.
        orders = ({key: value for key, value in orders.items() if value[1] <= case.last_loss_s}) | known
    newest: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for (meter, version), (_, at_s) in orders.items():
        newest[meter].append((version, at_s))
    for move in case.openings:
        key = move.meter, move.version
        relay, _ = orders.get(key, ("", 0))
        replaced_s = min((at_s for version, at_s in newest[move.meter] if version > move.version), default=None)
        if relay != "open":
            at = local(move.at_s, case.log.zone)
            yield f"{move.meter}: opened at {at} by version {move.version}, no such order"
        elif (
            replaced_s is not None
            and sent_s.get(key, 0) > replaced_s + case.slack.after(replaced_s) + case.headend_clock_s
        ):
            yield f"{move.meter}: version {move.version} was sent at {sent_s[key]}, replaced at {replaced_s}"


def _is_spared(case: Case, meter: str, debts: Sequence[Debt]) -> bool:
    """Whether a home had supply at noon of a protected day or in an outage, in debt for longer than the grace."""
    log, promises = case.log, case.promises
    grace_s = promises.debt_grace_s(case.books.loads_w[log.rows[meter]])
    end_s = case.course.end_s
    for debt in debts:
        noon_s = log.midnights_s[0] - log.midnights_s[0] % DAY_S + NOON_S
        while noon_s < min(debt.until_s or end_s, end_s):
            noon_s += DAY_S
            if debt.since_s + grace_s > noon_s or noon_s >= (debt.until_s or end_s):
                continue
            out = any(from_s <= noon_s < to_s + promises.outage_grace_s for from_s, to_s in case.outages)
            if out or promises.is_holiday(datetime.fromtimestamp(noon_s, log.zone).date()):
                before = [move.relay for move in log.moves.get(meter, ()) if move.at_s < noon_s]
                if not before or before[-1] == "closed":
                    return True
    return False


def local(at_s: int, zone: ZoneInfo) -> str:
    """A time for people."""
    return datetime.fromtimestamp(at_s, zone).strftime("%a %d %b %H:%M:%S")
