"""Money, I1 to I8: the ledger held to the answers that were given, and to what the meters drew."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

import numpy as np

from meter_sim.lab.auditor.case import NO_STORE, Accepted, Case
from meter_sim.lab.auditor.course import Request
from meter_sim.lab.auditor.finding import found
from meter_sim.lab.auditor.ledger import balanced, chained, folded
from meter_sim.lab.auditor.meter_log import ABSENT, NEVER_S
from meter_sim.lab.auditor.store import Plan, Store
from meter_sim.lab.result import Finding

DAY_KINDS: Final = ("CHARGE", "ENERGY")
DYING: Final = frozenset({"power-cut", "store-lies", "store-restore"})
ENDED: Final = ("PAID", "CANCELLED", "EXPIRED")


def judge_money(case: Case) -> list[Finding]:
    """I1 to I8."""
    store = case.store
    if store is None:
        names = ("I4", "I5", "I6", "I7")
        first = [case.without_store(name) for name in ("I1", "I2")]
        rest = [case.without_store(name) for name in names]
        broken = [case.store_trouble] if case.store_trouble else []
        return [*first, _recharges(case), *rest, found("I8", broken, "", not_shown=NO_STORE)]
    return [
        balanced(case, store),
        folded(store),
        _recharges(case),
        _answers(case, store),
        chained(store),
        _charged(case, store),
        _plans(store),
        _durable(case, store),
    ]


# --- I3, I4: recharges -------------------------------------------------------------------------------------


def differences(case: Case) -> tuple[list[tuple[str, str, int]], list[tuple[str, str, int]], list[str]]:
    """(lost, doubled, unknown): meters whose counter is not what was accepted, in words, and how many credits.

    What waits in the queue of a run that has not caught up is neither lost nor doubled. Of a request without an
    answer the ledger says whether it counts; without a ledger nobody does.
    """
    known: defaultdict[str, list[int]] = defaultdict(list)
    maybe: defaultdict[str, list[int]] = defaultdict(list)
    for each in case.accepted.values():
        known[each.meter].append(each.amount_micros)
    ledger = None if case.store is None else case.store.recharges
    for reference, request in case.unanswered.items():
        if ledger is None:
            maybe[request.meter].append(request.amount_micros)
        elif reference in ledger:
            known[request.meter].append(request.amount_micros)
    waiting = _waiting_micros(case)
    lost, doubled, unknown = [], [], []
    for meter in sorted(known.keys() | maybe.keys() | case.log.credited.keys()):
        least, most = sum(known[meter]), sum(known[meter]) + sum(maybe[meter])
        _, counted = case.log.counter(meter)
        missing, excess = least - waiting[meter] - counted, counted - most
        if missing > 0:
            lost.append((meter, f"{meter}: {missing} of {least} micros missing", _fewest(known[meter], missing)))
        elif excess > 0:
            amounts = known[meter] + maybe[meter]
            doubled.append((meter, f"{meter}: {excess} micros more than {most}", _fewest(amounts, excess)))
        elif counted not in (least - waiting[meter], most):
            unknown.append(
                f"{meter}: {counted} micros counted, {least} to {most} accepted, {waiting[meter]} waiting"
            )
    return lost, doubled, unknown


def _waiting_micros(case: Case) -> Counter[str]:
    """What the ledger holds and the meter does not have yet, because it is queued."""
    waiting: Counter[str] = Counter()
    for delivery in [] if case.store is None else case.store.deliveries:
        if delivery.kind == "CREDIT" and delivery.seq > case.log.counter(delivery.meter)[0]:
            waiting[delivery.meter] += (delivery.amount_micros or 0) * (delivery.state in ("QUEUED", "SENT"))
    return waiting


def _fewest(amounts: Iterable[int], micros: int) -> int:
    """The smallest number of these amounts that makes up a difference; 1 at least."""
    count = 0
    for amount in sorted(amounts, reverse=True):
        if micros <= 0:
            break
        micros -= amount
        count += 1
    return max(count, 1)


def _recharges(case: Case) -> Finding:
    lost, doubled, unknown = differences(case)
    wrong = [text for _, text, _ in (*lost, *doubled)]
    if case.store is not None:
        wrong += _ledger_differs(case, case.store)
    elif not case.course.naive:
        unknown.append(case.store_trouble or NO_STORE)
    holds = f"{len(case.accepted):,} recharges accepted, {len(case.unanswered):,} never answered"
    nothing = "" if case.accepted or case.unanswered else "nobody recharged"
    return found("I3", wrong, holds, not_shown=nothing, unknown=unknown)


def _ledger_differs(case: Case, store: Store) -> Iterator[str]:
    accounts = {meter.account_key: meter.meter for meter in store.meters.values()}
    seen: Counter[str] = Counter(transfer.reference for transfer in store.transfers if transfer.kind == "RECHARGE")
    ledger = store.recharges
    for reference, times in seen.items():
        if times > 1:
            yield f"{reference}: {times} times in the ledger"
    for reference, each in case.accepted.items():
        transfer = ledger.get(reference)
        if transfer is None:
            yield f"{reference}: accepted, but not in the ledger"
        elif (accounts.get(transfer.credit), transfer.amount_micros) != (each.meter, each.amount_micros):
            yield f"{reference}: {transfer.amount_micros} micros in the ledger, accepted was another recharge"
    for reference in sorted(ledger.keys() - case.accepted.keys()):
        request = case.unanswered.get(reference)
        if request is None:
            yield f"{reference}: in the ledger, but never accepted"
        elif ledger[reference].amount_micros not in _asked(case, reference):
            yield f"{reference}: {ledger[reference].amount_micros} micros in the ledger, which nobody asked for"


def _asked(case: Case, reference: str) -> set[int]:
    return {request.amount_micros for request in case.course.recharges if request.reference == reference}


def _answers(case: Case, store: Store) -> Finding:
    by_reference: defaultdict[str, list[Request]] = defaultdict(list)
    for request in case.course.recharges:
        if request.answer is not None:
            by_reference[request.reference].append(request)
    repeated = {reference: requests for reference, requests in by_reference.items() if len(requests) > 1}
    ledger = store.recharges

    def wrong() -> Iterator[str]:
        for reference, requests in by_reference.items():
            yield from _wrong_answers(reference, requests, case)
            if reference not in case.accepted and reference in ledger:
                outcomes = [request.answer["outcome"] for request in requests if request.answer]
                yield f"{reference}: answered {outcomes}, and in the ledger all the same"
        for reference in case.accepted.keys() - ledger.keys():
            yield f"{reference}: forgotten"

    refused = sum(not request.accepted for requests in repeated.values() for request in requests)
    holds = f"{len(repeated):,} references asked for again, {refused:,} times with other content"
    return found("I4", wrong(), holds, not_shown="" if repeated else "nothing was asked for again")


def _wrong_answers(reference: str, requests: list[Request], case: Case) -> Iterator[str]:
    """RECORDED once, then EXISTS with the same receipt; a loss of commits begins anew."""
    first: Accepted | None = case.accepted.get(reference)
    receipt: tuple[object, object] | None = None
    last_s = 0
    for request in requests:
        answer = request.answer
        assert answer is not None
        if any(last_s <= loss_s <= request.answered_at_s for loss_s in case.losses_s):
            receipt = None
        last_s = request.answered_at_s
        same = first is not None and (request.meter, request.amount_micros) == (first.meter, first.amount_micros)
        if request.accepted != same:
            what = "the same" if same else "other"
            yield f"{reference}: asked for with {what} content, answered {answer['outcome']}"
        elif request.accepted:
            this = answer.get("transfer_id"), answer.get("accepted_at_s")
            if receipt is not None and answer["outcome"] == "RECORDED":
                yield f"{reference}: recorded again"
            elif receipt is not None and receipt != this:
                yield f"{reference}: another receipt, {this} after {receipt}"
            receipt = this


# --- I6, I7: charges and plans -----------------------------------------------------------------------------


def _charged(case: Case, store: Store) -> Finding:
    expected = case.books.charges()
    wrong = list(_wrong_days(case, store, expected)) + list(_wrong_readings(case, store))
    wrong += _wrong_charge_transfers(store)
    lost_days = case.lost_days()
    late = {
        (meter, day)
        for meter, day in expected.keys() - {(charge.meter, charge.day) for charge in store.charges}
        if day < lost_days.get(meter, day + 1)
    }
    unknown = []
    if late and case.caught_up:
        wrong += [f"{meter} {date.fromordinal(day)}: not charged" for meter, day in sorted(late)]
    elif late:
        unknown.append(f"{len(late):,} days not charged when the run ended")
    readings = int((case.log.taken_wh != ABSENT).sum())
    holds = f"{len(store.charges):,} days charged, {readings:,} readings taken"
    return found("I6", wrong, holds, not_shown="" if expected else "no day ended", unknown=unknown)


def _wrong_days(case: Case, store: Store, expected: dict[tuple[str, int], tuple[int, int]]) -> Iterator[str]:
    """Days charged otherwise than by the meter's own midnights.

    Where a lost store took a midnight with it, a person may have entered another register for it: then only what
    the days before and after it come to together can be compared.
    """
    known: defaultdict[str, dict[int, int]] = defaultdict(dict)
    numbers = [day.toordinal() for day in case.log.days]
    if case.losses_s:
        midnights = case.log.midnight_wh.tolist()
        for meter, row in case.log.rows.items():
            known[meter] = dict(zip(numbers, midnights[row][1:], strict=True))
    carried: Counter[str] = Counter()
    last_day = {charge.meter: charge.day for charge in store.charges}
    for charge in store.charges:
        wanted = expected.get((charge.meter, charge.day))
        if wanted is None:
            yield f"{charge.meter} {date.fromordinal(charge.day)}: charged, but not over by the meter"
            continue
        if wanted == (charge.energy_wh, charge.total_micros):
            continue
        if case.losses_s:
            entered = [
                store.snapshots.get((charge.meter, day), (None, None))[0] != known[charge.meter].get(day)
                for day in (charge.day - 1, charge.day)
            ]
            carried[charge.meter] += charge.energy_wh - wanted[0]
            if any(entered):
                continue
        yield (
            f"{charge.meter} {date.fromordinal(charge.day)}: {charge.energy_wh} Wh, {charge.total_micros} micros,"
            f" by the meter it is {wanted[0]} Wh and {wanted[1]}"
        )
    for meter, energy_wh in carried.items():
        last = last_day[meter]
        if energy_wh and store.snapshots.get((meter, last), (None, None))[0] == known[meter].get(last):
            yield f"{meter}: {energy_wh} Wh too many in all"


def _wrong_readings(case: Case, store: Store) -> Iterator[str]:
    yield from store.contradictions
    # What a stranger sent in a meter's name is kept as it came; billing it is another matter.
    if store.strangers and not any(fault.kind == "hostile-payload" for fault in case.course.faults):
        yield f"{store.strangers} readings in the store that no meter took"
    taken, held = case.log.taken_wh, store.held_wh
    wrong = (held != ABSENT) & (held != taken)
    if case.caught_up:
        forgiven = case.log.receipted_at_s <= case.last_loss_s
        wrong |= (held == ABSENT) & (taken != ABSENT) & ~forgiven
    for row, column in np.argwhere(wrong):
        stored = "nothing" if held[row, column] == ABSENT else f"{held[row, column]} Wh"
        yield f"{case.log.meters[row]} reading {column + 1}: {taken[row, column]} Wh taken, {stored} in the store"


def _wrong_charge_transfers(store: Store) -> Iterator[str]:
    """Money that was taken for days is that of the bills."""
    owner = {account.account_key: account.code for account in store.accounts.values()}
    bills: Counter[str] = Counter()
    for charge in store.charges:
        bills[charge.meter] += charge.total_micros
    by_id = {transfer.transfer_id: transfer for transfer in store.transfers}
    taken: Counter[str] = Counter()
    of_account = {meter.account_key: meter.meter for meter in store.meters.values()}
    for transfer in store.transfers:
        old = by_id.get(transfer.corrects) if transfer.corrects is not None else None
        if transfer.kind in DAY_KINDS and transfer.debit in of_account:
            taken[of_account[transfer.debit]] += transfer.amount_micros
        elif transfer.kind in DAY_KINDS:
            yield f"{transfer.reference}: charged to {owner.get(transfer.debit, '?')}"
        elif old is not None and old.kind in DAY_KINDS:
            taken[of_account.get(transfer.credit, "?")] -= transfer.amount_micros
    for meter in sorted(bills.keys() | taken.keys()):
        if bills[meter] != taken[meter]:
            yield f"{meter}: bills of {bills[meter]} micros, {taken[meter]} taken from its account"


def _plans(store: Store) -> Finding:
    acts: Counter[tuple[str, str]] = Counter(
        (act.kind, act.subject) for act in store.acts if act.kind in ("PLAN_MADE", "PLAN_ENDED")
    )
    by_meter: defaultdict[str, list[Plan]] = defaultdict(list)
    for plan in store.plans:
        by_meter[plan.meter].append(plan)

    def wrong() -> Iterator[str]:
        for plan in store.plans:
            account = store.accounts[plan.account_key]
            left = account.debits_micros - account.credits_micros
            wanted = plan.debt_micros - plan.recovered_micros if plan.state == "ACTIVE" else 0
            if left != wanted:
                yield f"plan {plan.plan_id} of {plan.meter}: {left} micros left on its account, not {wanted}"
            if (plan.state in ENDED) != (plan.ended_at_s is not None):
                yield f"plan {plan.plan_id} of {plan.meter}: {plan.state}, ended at {plan.ended_at_s}"
            if (plan.state == "PAID") != (plan.recovered_micros == plan.debt_micros):
                yield f"plan {plan.plan_id} of {plan.meter}: {plan.state} with {plan.recovered_micros} micros paid"
        for meter, plans in by_meter.items():
            ended = sum(plan.state in ENDED for plan in plans)
            said = acts["PLAN_MADE", f"meter/{meter}"], acts["PLAN_ENDED", f"meter/{meter}"]
            if said != (len(plans), ended):
                yield f"{meter}: {len(plans)} plans of which {ended} ended, by the audit log {said}"
            if len(plans) - ended > 1:
                yield f"{meter}: {len(plans) - ended} plans at once"

    states = Counter(plan.state for plan in store.plans)
    holds = ", ".join(f"{count:,} {state.lower()}" for state, count in sorted(states.items()))
    return found("I7", wrong(), f"plans: {holds}", not_shown="" if store.plans else "no plan was made")


# --- I8: what was answered ---------------------------------------------------------------------------------


def _durable(case: Case, store: Store) -> Finding:
    """Answers and receipts, held to the rows that they speak of.

    A store that was lost, or a disk that lied, takes answered commits with it whatever the software does. What
    was answered before that is held to less: asked for again, it must stand in the ledger once, as asked for; not
    asked for again and gone, nobody can tell. Readings that were receipted to a lost store are not sent again.
    """
    ledger = store.recharges
    again = {
        request.reference
        for request in case.course.recharges
        if request.accepted and request.answered_at_s > case.last_loss_s
    }
    wrong: list[str] = []
    unknown: list[str] = []
    for request in case.course.recharges:
        if not request.accepted or request.answer is None:
            continue
        transfer = ledger.get(request.reference)
        if request.answered_at_s > case.last_loss_s:
            answer = request.answer
            row = None if transfer is None else (transfer.transfer_id, transfer.accepted_at_s)
            if row != (answer.get("transfer_id"), answer.get("accepted_at_s")):
                wrong.append(f"{request.reference}: answered {dict(answer)}, in the store {row}")
        elif transfer is None:
            text = f"{request.reference}: answered at {request.answered_at_s}, gone with the store"
            (wrong if request.reference in again else unknown).append(text)
    receipted = case.log.receipted_at_s != NEVER_S
    gone = receipted & (store.held_wh == ABSENT) & (case.log.taken_wh != ABSENT)
    forgiven = gone & (case.log.receipted_at_s <= case.last_loss_s)
    for row, column in np.argwhere(gone & ~forgiven):
        wrong.append(f"{case.log.meters[row]} reading {column + 1}: receipted, and not in the store")
    holds = f"{len(case.accepted):,} answers and {int(receipted.sum()):,} receipts"
    if forgiven.any():
        holds += f" ({int(forgiven.sum()):,} of them to a store that was lost)"
    exercised = any(
        fault.kind in DYING or (fault.kind == "process-kill" and fault.what.get("part") == "headend")
        for fault in case.course.faults
    )
    return found("I8", wrong, holds, not_shown="" if exercised else "the head-end never died", unknown=unknown)
