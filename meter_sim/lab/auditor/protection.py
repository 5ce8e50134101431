"""Protection, I15 to I20: nobody is cut wrongly, and who has credit again has supply again."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from meter_sim.lab.auditor.books import Credit
from meter_sim.lab.auditor.case import Case
from meter_sim.lab.auditor.cuts import ROUNDING, Cuts, local
from meter_sim.lab.auditor.finding import found
from meter_sim.lab.auditor.meter_log import Move
from meter_sim.lab.auditor.promises import DAY_S
from meter_sim.lab.auditor.store import Store, Wish
from meter_sim.lab.result import Finding

NO_CUTS = "the rules cut nobody for debt"
PERCENT = 100


def judge_protection(case: Case, cuts: Cuts) -> list[Finding]:
    """I15 to I20."""
    return [
        _protected(case, cuts),
        _in_force(case, cuts),
        _cited(case, cuts),
        _capped(case),
        _graced(case, cuts),
        _given_back(case, cuts),
    ]


def _protected(case: Case, cuts: Cuts) -> Finding:
    wrong = [each.text(case.log.zone) for each in cuts.wrong if each.hours] + cuts.sent_in_protected_time
    holds = f"{len(case.openings):,} relays opened, {len(cuts.debts):,} homes ever without credit"
    not_shown = "" if cuts.debts or case.openings else "no home was ever without credit"
    if not case.promises.cuts:
        not_shown = NO_CUTS
    return found("I15", wrong, f"{holds}, {len(cuts.spared):,} spared", not_shown=not_shown)


def _in_force(case: Case, cuts: Cuts) -> Finding:
    holds = f"{len(case.openings):,} relays opened, {len(case.outages):,} outages"
    not_shown = "" if case.outages else "there was no outage"
    unknown = []
    if not cuts.unordered_known and case.openings:
        unknown.append("neither store nor log of the links says what was ordered")
    return found("I16", cuts.unordered, holds, not_shown=not_shown, unknown=unknown)


# --- what a cut was based on -------------------------------------------------------------------------------


def _cited(case: Case, cuts: Cuts) -> Finding:
    wrong = [each.text(case.log.zone) for each in cuts.wrong if each.basis]
    if case.store is None:
        return found("I17", wrong, "cuts as the meters saw them") if wrong else case.without_store("I17")
    issued = [wish for wish in case.store.wishes if wish.relay_version is not None]
    if not case.promises.cuts:
        issued = [wish for wish in issued if wish.origin == "DEBT"]
    wrong += [f"{wish.meter}: {text}" for wish in issued for text in _wrong_basis(wish, case)]
    wrong += _uncited(case, case.store)
    not_shown = "" if issued else "nobody was cut for debt"
    return found("I17", wrong, f"{len(issued):,} orders to cut, each with its basis", not_shown=not_shown)


def _wrong_basis(wish: Wish, case: Case) -> Iterator[str]:
    try:
        basis: dict[str, Any] = json.loads(wish.basis)
        balance, read_at_s = int(basis["balance_micros"]), int(basis["read_at_s"])
        register_wh, unsettled = int(basis["register_wh"]), int(basis["unsettled_recharges"])
    except (ValueError, KeyError, TypeError):
        yield f"cut at {wish.decided_at_s} on a basis that cannot be read: {wish.basis[:80]!r}"
        return
    promises, log = case.promises, case.log
    if balance >= 0 or balance > -promises.emergency_micros:
        yield f"cut with {balance} micros left by its own basis"
    if wish.decided_at_s - read_at_s > promises.fresh_s:
        yield f"cut at {wish.decided_at_s} by a reading of {read_at_s}"
    if unsettled:
        yield f"cut with {unsettled} recharges on their way"
    column = int(np.searchsorted(log.taken_at_s, read_at_s, side="right")) - 1
    row = log.rows[wish.meter]
    if column < 0 or log.taken_at_s[column] != read_at_s or log.taken_wh[row, column] != register_wh:
        yield f"cut by a register of {register_wh} Wh at {read_at_s}, which the meter did not have"
        return
    ours = case.books.balance_micros(wish.meter, read_at_s, register_wh)
    ours += case.books.credited_micros(wish.meter, wish.decided_at_s) - case.books.credited_micros(
        wish.meter, read_at_s
    )
    ours += case.moved_micros(wish.meter, wish.decided_at_s)
    # Days that are not charged yet are rounded together.
    if ours > balance + (ROUNDING + 1) * promises.paisa_micros + _fixed_micros(case, row):
        yield f"cut on a balance of {balance} micros, by the meter and the receipts it was {ours}"


def _fixed_micros(case: Case, row: int) -> int:
    """A day's fixed charge: whether it is counted at midnight or with the day is not promised."""
    prices = case.promises.prices[case.books.categories[row]]
    days = case.log.days
    return prices.fixed_micros(case.books.loads_w[row], days[0]) * 2 if days else 0


def _uncited(case: Case, store: Store) -> Iterator[str]:
    """Orders to open that no wish stands behind."""
    behind = case.wish_of().keys()
    for delivery in store.deliveries:
        if delivery.relay == "open" and (delivery.meter, delivery.seq) not in behind:
            yield f"{delivery.meter}: order {delivery.seq} to open, and nothing says why"


# --- caps, grace, arrears ----------------------------------------------------------------------------------


def _capped(case: Case) -> Finding:
    store, cap = case.store, case.promises.cap_a_day
    if cap is None:
        return found("I18", (), "", not_shown="the rules have no cap")
    if store is None:
        return case.without_store("I18")
    issued_s = [delivery.queued_at_s for delivery in store.deliveries if delivery.relay == "open"]
    opened_s = [move.at_s for move in case.openings]
    released = [wish for wish in store.wishes if wish.state == "RELEASED" or wish.decided_by != wish.requested_by]

    def wrong() -> Iterator[str]:
        for what, times_s in (("ordered", issued_s), ("opened", opened_s)):
            most, at_s = _most_in_a_day(times_s)
            if most > cap:
                yield f"{most:,} relays {what} in 24 hours from {local(at_s, case.log.zone)}; the cap is {cap:,}"
        for wish in released:
            if _same_person(wish.requested_by, wish.decided_by):
                yield f"{wish.meter}: released by {wish.decided_by}, who had asked for it"

    kept = sum(wish.state in ("QUARANTINED", "RELEASED", "DROPPED") for wish in store.wishes)
    most, _ = _most_in_a_day(issued_s)
    holds = f"at most {most:,} orders to cut in 24 hours, the cap is {cap:,}; {kept:,} were kept back"
    not_shown = "" if kept or most >= cap else f"the cap of {cap:,} was never reached"
    return found("I18", wrong(), holds, not_shown=not_shown)


def _most_in_a_day(times_s: Iterable[int]) -> tuple[int, int]:
    """The most within any 24 hours, and when those begin."""
    times = np.sort(np.fromiter(times_s, np.int64))
    if not len(times):
        return 0, 0
    counts = np.searchsorted(times, times + DAY_S) - np.arange(len(times))
    best = int(np.argmax(counts))
    return int(counts[best]), int(times[best])


def _same_person(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _graced(case: Case, cuts: Cuts) -> Finding:
    wrong = [each.text(case.log.zone) for each in cuts.wrong if each.early]
    plans = [] if case.store is None else case.store.plans
    if case.store is not None:
        wrong += _wrong_instalments(case, case.store)
    made = f"{len(plans):,} plans"
    holds = f"{len(cuts.right):,} rightful cuts, {len(cuts.spared):,} homes spared, {made}"
    shown = case.openings or cuts.spared or plans
    not_shown = NO_CUTS if not case.promises.cuts else "" if shown else "nobody came near a cut"
    return found("I19", wrong, holds, not_shown=not_shown)


def _wrong_instalments(case: Case, store: Store) -> Iterator[str]:
    promises = case.promises
    by_account = {plan.account_key: plan for plan in store.plans}
    recharges = store.recharges
    for transfer in store.transfers:
        plan = by_account.get(transfer.credit)
        if transfer.kind != "INSTALMENT" or plan is None:
            continue
        recharge = recharges.get(transfer.reference.removeprefix("instalment/"))
        if recharge is not None and promises.share_percent is not None:
            most = -(-recharge.amount_micros * promises.share_percent // PERCENT)
        elif recharge is None and promises.instalments is not None:
            most = -(-plan.debt_micros // promises.instalments)
            most += -most % promises.paisa_micros
        else:
            continue
        if transfer.amount_micros > most:
            yield f"{plan.meter}: {transfer.amount_micros} micros taken for arrears, at most {most} at a time"


# --- supply given back -------------------------------------------------------------------------------------


def _given_back(case: Case, cuts: Cuts) -> Finding:
    if not case.promises.cuts:
        return found("I20", (), "", not_shown=NO_CUTS)
    wrong: list[str] = []
    due = 0
    for meter in sorted({move.meter for move in case.openings}):
        for opened, closed in _dark(case.log.moves[meter]):
            paid = _paid(case, opened, closed)
            if paid is None:
                continue
            due += 1
            until_s = _due_s(case, max(paid.at_s, opened.at_s))
            if case.course.end_s > until_s and (closed is None or closed.at_s > until_s):
                came = "never" if closed is None else local(closed.at_s, case.log.zone)
                times = f"paid at {local(paid.at_s, case.log.zone)}, due {local(until_s, case.log.zone)}"
                wrong.append(f"{meter}: {times}, {came}")
    wrong += [text for text in left_dark(case) if text.split(":")[0] not in " ".join(wrong)]
    holds = f"{due:,} homes in credit again after a cut"
    return found("I20", wrong, holds, not_shown="" if due else "no home that was cut was in credit again")


def _dark(moves: list[Move]) -> Iterator[tuple[Move, Move | None]]:
    opened: Move | None = None
    for move in moves:
        if move.relay == "open" and opened is None:
            opened = move
        elif move.relay == "closed" and opened is not None:
            yield opened, move
            opened = None
    if opened is not None:
        yield opened, None


def _paid(case: Case, opened: Move, closed: Move | None) -> Credit | None:
    """The recharge by which a home without supply was in credit again; None: there was none."""
    used = case.books.used_micros(opened.meter, opened.at_s, opened.register_wh)
    total = 0
    for credit in case.books.credits.get(opened.meter, ()):
        total += credit.micros
        in_time = closed is None or credit.at_s <= closed.at_s
        if in_time and credit.at_s > opened.at_s and total - used - ROUNDING * case.promises.paisa_micros >= 0:
            return credit
    return None


def _due_s(case: Case, paid_s: int) -> int:
    """When supply is due: so long after the payment, or after the last fault that is in the way has ended."""
    within_s = case.promises.back_within_s
    due_s = paid_s + within_s + case.slack.after(paid_s)
    for fault in case.course.faults:
        if fault.window.from_s <= due_s and fault.window.to_s > paid_s:
            due_s = max(due_s, fault.window.to_s + within_s + case.slack.after(fault.window.to_s))
    return due_s


def left_dark(case: Case) -> list[str]:
    """Homes in credit at the end and without supply, where the rules give it back."""
    found_dark: list[str] = []
    if not case.promises.cuts:
        return found_dark
    for meter, moves in case.log.moves.items():
        if moves[-1].relay != "open":
            continue
        balance = case.books.last_balance_micros(meter)
        if balance is not None and balance > ROUNDING * case.promises.paisa_micros:
            found_dark.append(f"{meter}: without supply at the end, in credit by {balance} micros")
    return found_dark


def refusals_by_code(case: Case) -> Counter[str]:
    """Commands that meters refused."""
    return Counter(refused.code for refused in case.log.refusals)
