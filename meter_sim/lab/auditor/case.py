"""Everything about one run in one place, with what follows from it: what was accepted, what counts as an outage.

An outage is what the promises call so: head-end, broker or all links down for an hour or more. Who reads a clock
that was shifted, or wall time in a run of processes, is given the slack that this makes.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np

from meter_sim.lab.auditor.books import Books, Credit, open_books
from meter_sim.lab.auditor.course import Broken, Course, Request, read_course
from meter_sim.lab.auditor.finding import found
from meter_sim.lab.auditor.meter_log import ABSENT, DatabaseError, MeterLog, Move, read_meter_log
from meter_sim.lab.auditor.promises import HOUR_S, PROMISES, Promises
from meter_sim.lab.auditor.slack import Slack
from meter_sim.lab.auditor.store import Store, Transfer, Wish, read_store
from meter_sim.lab.auditor.wire import Wire, read_wire
from meter_sim.lab.result import Finding
from meter_sim.lab.run_folder import RunFolder

NO_STORE: Final = "there is no store to look at"
LEAST_OUTAGE_S: Final = HOUR_S
SILENT_S: Final = 2 * HOUR_S
"""So long a gateway is silent before it counts as out."""
REGION_SHARE: Final = 0.2
"""So many gateways silent at once are an outage."""

DOWN: Final = frozenset({"headend", "broker", "fleet"})
PLAN_KINDS: Final = ("ARREARS", "INSTALMENT", "REFUND")
LOSING: Final = frozenset({"store-restore", "store-lies"})
"""Faults after which commits may be gone that were answered: no store can help it, only who asks again."""

Spans = Sequence[tuple[int, int]]
"""[from, to) in virtual seconds."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A recharge that was answered to stand in the ledger. `at_s`: by true time, `asked_at_s`: the first time."""

    reference: str
    meter: str
    amount_micros: int
    asked_at_s: int
    at_s: int
    link: str


@dataclass(slots=True)
class Case:
    """One run."""

    course: Course
    log: MeterLog
    store: Store | None
    wire: Wire | None
    promises: Promises
    books: Books
    accepted: dict[str, Accepted]
    unanswered: dict[str, Request]
    """References of which no request was ever answered, by their last one."""
    outages: Spans = ()
    losses_s: Sequence[int] = ()
    """When commits may have been lost that were answered."""
    slack: Slack = field(default_factory=Slack)
    headend_clock_s: int = 0
    """How far the head-end's clock was off at most."""
    fleet_clock_s: int = 0
    openings: list[Move] = field(default_factory=list)
    applied_at_s: dict[str, int] = field(default_factory=dict)
    """When a meter counted a recharge, by reference and its own log; not there: it has not, or nobody knows."""
    moved: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """(posted_at_s, micros) that arrears plans moved onto a home's account; below 0: away from it."""
    store_trouble: str = ""
    """Why the store cannot be read."""
    _wrong_balances: list[str] | None = None

    @property
    def last_loss_s(self) -> int:
        """The last of `losses_s`; before all time: there was none."""
        return max(self.losses_s, default=-1)

    @property
    def region(self) -> str:
        """The region in the topics; every run has one."""
        return self.log.region

    @property
    def caught_up(self) -> bool:
        """Whether the run came to an end with nothing left over."""
        return self.course.converged_at_s is not None and self.course.drained

    def delays_s(self, from_s: int, to_s: int) -> list[int]:
        """How long meters took to count recharges accepted in a time, but for those before the start."""
        return [
            self.applied_at_s[each.reference] - each.at_s
            for each in self.accepted.values()
            if from_s <= each.at_s < to_s
            and each.at_s > self.course.start_s
            and each.reference in self.applied_at_s
        ]

    def without_store(self, invariant: str) -> Finding:
        """The finding where there is no store: one that is broken is another thing than none."""
        unknown = [self.store_trouble] if self.store_trouble else []
        return found(invariant, (), "", not_shown=NO_STORE, unknown=unknown)

    def moved_micros(self, meter: str, at_s: int = 1 << 62) -> int:
        """What arrears plans had moved onto a home's account up to a time."""
        return sum(micros for posted_at_s, micros in self.moved.get(meter, ()) if posted_at_s <= at_s)

    def lost_days(self) -> dict[str, int]:
        """The first day of each home of which a lost store took the midnight with it: it may stay open.

        The meter had its receipt and does not send it again: a person has to enter what it showed.
        """
        log, store = self.log, self.store
        if store is None or not self.losses_s or not log.midnight_columns:
            return {}
        columns = np.array(log.midnight_columns)
        gone = (store.held_wh[:, columns] == ABSENT) & (log.receipted_at_s[:, columns] <= self.last_loss_s)
        days = log.days
        rows = np.flatnonzero(gone.any(axis=1))
        return {log.meters[row]: days[int(np.argmax(gone[row]))].toordinal() for row in rows}

    def wrong_balances(self) -> list[str]:
        """Homes whose balance at the end is not exactly theirs, in words; only where there is a store."""
        if self._wrong_balances is None:
            self._wrong_balances = list(_wrong_balances(self))
        return self._wrong_balances

    def wish_of(self) -> dict[tuple[str, int], Wish]:
        """The wish behind each order to open that was issued, by meter and version."""
        wishes = [] if self.store is None else self.store.wishes
        return {(wish.meter, wish.relay_version): wish for wish in wishes if wish.relay_version is not None}

    def ordered(self) -> set[tuple[str, int]]:
        """Meter and version of each order to open that an operator got."""
        orders = [order for order in self.course.orders if order.relay == "open" and order.answer is not None]
        if self.course.naive:
            return self._ordered_naively(orders)
        found = {
            (order.meter, int(order.answer["version"]))
            for order in orders
            if order.answer is not None and order.answer.get("version") is not None
        }
        return found | {key for key, wish in self.wish_of().items() if wish.origin == "ORDER"}

    def _ordered_naively(self, orders: list[Request]) -> set[tuple[str, int]]:
        """The naive server names no version: the first opening after an order is by it."""
        asked = [(order.at_s, order.meter) for order in orders]
        asked += [(bulk.at_s, meter) for bulk in self.course.bulks for meter in bulk.meters]
        found: set[tuple[str, int]] = set()
        for at_s, meter in asked:
            after = [move.version for move in self.openings if move.meter == meter and move.at_s >= at_s]
            found.update((meter, version) for version in after[:1])
        return found


def read_case(folder: RunFolder, promises: Promises | None = None) -> Case:
    """Read everything; the run has stopped. `promises`: None: those of the rules that it ran with."""
    course = read_course(folder)
    log = read_meter_log(folder.fleet) if folder.fleet.exists() else MeterLog()
    store, store_trouble = None, ""
    if folder.store.exists() and not course.naive:
        suspect = any(fault.kind == "power-cut" or fault.kind.startswith("store-") for fault in course.faults)
        try:
            store = read_store(folder.store, log, suspect=suspect)
        except DatabaseError as error:
            store_trouble = f"the store cannot be read: {' '.join(str(error).split())[:200]}"
    wire = read_wire(folder.wire) if folder.wire.exists() else None
    promises = PROMISES[course.scenario.rules] if promises is None else promises
    accepted, unanswered = _accepted(course)
    credits = _credits(accepted, unanswered, {} if store is None else store.recharges)
    slack = Slack.of(course.scenario.clock, course.mode)
    return Case(
        course=course,
        log=log,
        store=store,
        wire=wire,
        promises=promises,
        books=open_books(course, log, promises, credits),
        accepted=accepted,
        unanswered=unanswered,
        outages=_outages(course.faults, slack),
        losses_s=sorted(fault.window.to_s for fault in course.faults if fault.kind in LOSING),
        slack=slack,
        headend_clock_s=_clock_s(course.faults, "headend"),
        fleet_clock_s=_clock_s(course.faults, "fleet"),
        openings=log.openings(),
        applied_at_s={} if store is None else _applied(store, log),
        moved={} if store is None else _moved(store),
        store_trouble=store_trouble,
    )


def _accepted(course: Course) -> tuple[dict[str, Accepted], dict[str, Request]]:
    first: dict[tuple[str, str, int], int] = {}
    accepted: dict[str, Accepted] = {}
    open_requests: dict[str, Request] = {}
    answered: set[str] = set()
    for request in course.recharges:
        asked_at_s = first.setdefault((request.reference, request.meter, request.amount_micros), request.at_s)
        if request.answer is None:
            open_requests.setdefault(request.reference, request)
        else:
            answered.add(request.reference)
        if request.accepted and request.reference not in accepted:
            assert request.answer is not None
            said_s = int(request.answer.get("accepted_at_s", request.answered_at_s))
            at_s = min(max(said_s, asked_at_s), request.answered_at_s)
            accepted[request.reference] = Accepted(
                request.reference, request.meter, request.amount_micros, asked_at_s, at_s, request.link
            )
    unanswered = {reference: each for reference, each in open_requests.items() if reference not in answered}
    return accepted, unanswered


def _credits(
    accepted: dict[str, Accepted], unanswered: dict[str, Request], ledger: dict[str, Transfer]
) -> dict[str, list[Credit]]:
    """What each home has paid: what was answered, and what stands in the ledger without an answer."""
    found: defaultdict[str, list[Credit]] = defaultdict(list)
    for each in accepted.values():
        found[each.meter].append(Credit(each.at_s, each.amount_micros, each.reference, each.asked_at_s))
    for reference, request in unanswered.items():
        if reference in ledger:
            at_s = max(request.at_s, ledger[reference].accepted_at_s)
            found[request.meter].append(Credit(at_s, request.amount_micros, reference, request.at_s))
    return {meter: sorted(credits) for meter, credits in found.items()}


def _applied(store: Store, log: MeterLog) -> dict[str, int]:
    references = {transfer.transfer_id: transfer.reference for transfer in store.transfers}
    found = {}
    for delivery in store.deliveries:
        if delivery.transfer_id not in references:
            continue
        credited = log.credited.get(delivery.meter, [])
        place = bisect_left(credited, delivery.seq, key=lambda each: each.seq)
        if place < len(credited):
            found[references[delivery.transfer_id]] = credited[place].at_s
    return found


def _moved(store: Store) -> dict[str, list[tuple[int, int]]]:
    meters = {meter.account_key: meter.meter for meter in store.meters.values()}
    moved: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for transfer in store.transfers:
        if transfer.kind in PLAN_KINDS:
            for account, micros in (
                (transfer.credit, transfer.amount_micros),
                (transfer.debit, -transfer.amount_micros),
            ):
                if account in meters:
                    moved[meters[account]].append((transfer.posted_at_s, micros))
    return dict(moved)


def _wrong_balances(case: Case) -> Iterator[str]:
    """Posted money, charged days and register, each against the judge's own."""
    store, log = case.store, case.log
    if store is None:
        return
    last_day = log.days[-1].toordinal() if log.days else None
    lost_days = case.lost_days()
    for meter, row in log.rows.items():
        ours = store.meters.get(meter)
        if ours is None:
            yield f"{meter}: not in the store"
            continue
        account = store.accounts[ours.account_key]
        posted = account.credits_micros - account.debits_micros - case.moved_micros(meter)
        credited = sum(credit.micros for credit in case.books.credits.get(meter, ()))
        open_days = 0 if last_day is None else last_day - ours.settled_day
        spared_days = 0 if meter not in lost_days else max(0, len(log.days) - open_days)
        charged = case.books.charged_micros[row]
        wanted = credited - int(charged[max(0, len(charged) - 1 - open_days) if spared_days else -1])
        # Where a person entered a midnight, the days around it may each be rounded otherwise.
        if abs(posted - wanted) > spared_days * case.promises.paisa_micros:
            yield f"{meter}: {posted} micros posted, by the receipts and the meter {wanted}"
        elif open_days and meter not in lost_days:
            yield f"{meter}: charged up to {date.fromordinal(ours.settled_day)}, not {log.days[-1]}"
        elif log.taken_wh.shape[1] and ours.register_wh != log.taken_wh[row, -1]:
            yield f"{meter}: shown by a register of {ours.register_wh} Wh, it is {log.taken_wh[row, -1]}"


def _clock_s(faults: Sequence[Broken], part: str) -> int:
    most_s = 0
    for fault in faults:
        if fault.what.get("part") != part:
            continue
        length_s = fault.window.to_s - fault.window.from_s
        if fault.kind == "clock-jump":
            most_s += abs(int(fault.what.get("offset_s", 0)))
        elif fault.kind == "clock-drift":
            most_s += math.ceil(abs(int(fault.what.get("drift_ppm", 0))) * length_s / 1_000_000)
    return most_s


def _least_s(fault: Broken) -> int | None:
    """How long a fault has to last to be an outage; None: it is none, however long."""
    what = fault.what
    if fault.kind in ("process-kill", "process-pause"):
        return LEAST_OUTAGE_S if what.get("part") in DOWN else None
    if fault.kind in ("broker-restart", "power-cut"):
        return LEAST_OUTAGE_S
    if fault.kind == "link-black-hole":
        share = 1.0 if what.get("link") == "headend" else float(what.get("share", 1.0))
        if share == 1.0:
            return LEAST_OUTAGE_S
        return SILENT_S if share >= REGION_SHARE else None
    return None


def _outages(faults: Sequence[Broken], slack: Slack) -> list[tuple[int, int]]:
    """Times of which the promises say that they are an outage; faults of one kind that touch are one."""
    spans: list[tuple[int, int]] = []
    for least_s in (LEAST_OUTAGE_S, SILENT_S):
        down = sorted(
            (fault.window.from_s, fault.window.to_s) for fault in faults if (_least_s(fault) or 1 << 62) <= least_s
        )
        spans += [
            (from_s, to_s) for from_s, to_s in _joined(down) if to_s - from_s >= least_s + slack.after(from_s)
        ]
    return _joined(sorted(spans))


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for from_s, to_s in spans:
        if found and from_s <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], to_s)
        else:
            found.append((from_s, to_s))
    return found
