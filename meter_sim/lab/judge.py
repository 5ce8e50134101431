"""The judge: what happened, by the driver's journal, the meters' own log and the store, all read as data.

Shares no code with the head-end, so that a mistake there is not made here a second time. Its yardsticks are the
requests and answers (what was promised) and the meters' log (what arrived); the store is what is judged. It
judges a run that has converged and stopped.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from meter_sim.lab.accounts import charges, open_accounts
from meter_sim.lab.cuts import Cuts, Spans, judge_cuts
from meter_sim.lab.evidence import ABSENT, Evidence, Move, Order, Posted, Request, first_accepted
from meter_sim.lab.promises import Promises

SHOWN: Final = 5
"""Most violations named in a check's detail."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check's result, in words."""

    check_id: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What was promised, and what was done to the head-end. Times in virtual seconds.

    `open_expires_after_s`: for so long an order of the driver's to open has effect. `slack_s`: for so long an
    order that was replaced or has expired may still be carried out, because it was on its way already.
    `outages`: from when to when something was down.
    """

    promises: Promises
    zone: ZoneInfo
    open_expires_after_s: int
    slack_s: int = 0
    outages: Spans = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found."""

    checks: list[Check]
    recharges: int
    submitted_twice: int
    submitted_three_times: int
    refused: int
    recharges_during_outage: int
    credits_lost: int
    credits_doubled: int
    relays_opened_by_outage: int
    cuts: Cuts

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


def judge(evidence: Evidence, rules: Rules) -> Verdict:
    """Hold the run to what was promised."""
    accepted = first_accepted(evidence.requests)
    same = Counter(request.reference for request in evidence.requests if request.accepted)
    by_meter: dict[str, list[int]] = defaultdict(list)
    for request in accepted.values():
        by_meter[request.meter].append(request.amount_micros)
    lost = list(_lost(evidence, by_meter))
    doubled = list(_doubled(evidence, by_meter))
    # Where nobody is cut for debt, an order of the head-end's own to open is none.
    own = [
        order for order in evidence.orders_by_rule if order.relay == "closed" or rules.promises.grace_s is not None
    ]
    unordered = [
        f"{move.meter}: opened at {move.at_s} by version {move.version}"
        for move in evidence.moves
        if move.relay == "open" and not _in_force(move, [*evidence.orders, *own], rules)
    ]
    accounts = open_accounts(evidence, rules.promises, rules.zone)
    cuts = judge_cuts(evidence, rules.promises, accounts, rules.outages)
    return Verdict(
        checks=[
            _check("answered", "every request was answered in the end", _unanswered(evidence.requests, accepted)),
            _check(
                "credits-lost", "every accepted recharge is in its meter's counter", (text for text, _ in lost)
            ),
            _check("credits-doubled", "no meter has more than was accepted", (text for text, _ in doubled)),
            _check("ledger", "accepted = in the ledger, once, as asked", _ledger(evidence.posted, accepted)),
            _check("same-answer", "same reference and content: same answer", _same_answer(evidence.requests)),
            _check("refused", "same reference, other content: refused", _refused(evidence.requests, accepted)),
            _check("four-facts", "accepted <= posted <= sent <= applied", _facts(evidence.posted)),
            _check("relays", "no relay opened without an order in force", unordered),
            _check("wrong-cuts", "nobody was cut wrongly, by the meters' own logs", cuts.wrong),
            _check("supplied", "no home in credit is without supply at the end", cuts.left_dark),
            _check("bulk-orders", "of lists of homes to cut at once, nothing was sent", _bulk_orders(evidence)),
            _check(
                "signed",
                "no signature was refused; each meter holds its policy",
                _signed(evidence, rules),
            ),
            _check("readings", "every reading that a meter took is in the store as taken", _readings(evidence)),
            _check("days", "each day is charged once, by the meter's own midnights", _days(evidence, rules)),
        ],
        recharges=len(accepted),
        submitted_twice=sum(times == 2 for times in same.values()),
        submitted_three_times=sum(times >= 3 for times in same.values()),
        refused=sum(request.answer is not None and not request.accepted for request in evidence.requests),
        recharges_during_outage=sum(request.link == "down" for request in accepted.values()),
        credits_lost=sum(count for _, count in lost),
        credits_doubled=sum(count for _, count in doubled),
        relays_opened_by_outage=len(unordered),
        cuts=cuts,
    )


def _check(check_id: str, holds: str, violations: Iterable[str]) -> Check:
    found = list(violations)
    if not found:
        return Check(check_id, True, holds)
    more = f"; and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return Check(check_id, False, f"not so: {'; '.join(found[:SHOWN])}{more}")


# --- money ------------------------------------------------------------------------------------------------


def _unanswered(requests: Iterable[Request], accepted: dict[str, Request]) -> Iterator[str]:
    """References that were asked for and never answered: nobody knows whether they count."""
    answered = {request.reference for request in requests if request.answer is not None}
    for reference in {request.reference for request in requests} - answered:
        yield f"{reference}: no answer"
    for request in requests:
        outcome = None if request.answer is None else request.answer["outcome"]
        if outcome not in (None, "RECORDED", "EXISTS", "EXISTS_DIFFERENT"):
            yield f"{request.reference}: answered {outcome}"


def _lost(evidence: Evidence, accepted: dict[str, list[int]]) -> Iterator[tuple[str, int]]:
    """Per meter that has less than was accepted for it: in words, and how many credits that is at least."""
    for meter, amounts in accepted.items():
        missing_micros = sum(amounts) - evidence.counters_micros.get(meter, 0)
        if missing_micros > 0:
            yield f"{meter}: {missing_micros} of {sum(amounts)} micros missing", _fewest(amounts, missing_micros)


def _doubled(evidence: Evidence, accepted: dict[str, list[int]]) -> Iterator[tuple[str, int]]:
    """Per meter that has more than was accepted for it: in words, and how many credits that is at least."""
    for meter, total_micros in evidence.counters_micros.items():
        amounts = accepted.get(meter, [])
        excess_micros = total_micros - sum(amounts)
        if excess_micros > 0:
            yield f"{meter}: {excess_micros} micros more than {sum(amounts)}", _fewest(amounts, excess_micros)


def _fewest(amounts: list[int], micros: int) -> int:
    """The smallest number of these amounts that makes up a difference; 1 at least."""
    count = 0
    for amount in sorted(amounts, reverse=True):
        if micros <= 0:
            break
        micros -= amount
        count += 1
    return max(count, 1)


def _ledger(posted: list[Posted], accepted: dict[str, Request]) -> Iterator[str]:
    seen: dict[str, Posted] = {}
    for entry in posted:
        if entry.reference in seen:
            yield f"{entry.reference}: twice in the ledger"
        seen[entry.reference] = entry
    for reference, request in accepted.items():
        found = seen.get(reference)
        if found is None:
            yield f"{reference}: accepted, but not in the ledger"
        elif (found.meter, found.amount_micros) != (request.meter, request.amount_micros):
            yield f"{reference}: {found.amount_micros} micros for {found.meter}, accepted was another recharge"
    for reference in seen.keys() - accepted.keys():
        yield f"{reference}: in the ledger, but never accepted"


def _same_answer(requests: Iterable[Request]) -> Iterator[str]:
    """RECORDED at most once and before any EXISTS; the same receipt each time."""
    first: dict[str, tuple[int, int]] = {}
    for request in requests:
        if request.answer is None or not request.accepted:
            continue
        receipt = request.answer["transfer_id"], request.answer["accepted_at_s"]
        if request.answer["outcome"] == "RECORDED" and request.reference in first:
            yield f"{request.reference}: recorded again"
        if first.setdefault(request.reference, receipt) != receipt:
            yield f"{request.reference}: another receipt the second time"


def _refused(requests: Iterable[Request], accepted: dict[str, Request]) -> Iterator[str]:
    for request in requests:
        if request.answer is None or request.reference not in accepted:
            continue
        stands = accepted[request.reference]
        same = (request.meter, request.amount_micros) == (stands.meter, stands.amount_micros)
        if request.accepted != same:
            yield f"{request.reference}: {'the same' if same else 'another'} content, {request.answer['outcome']}"


def _facts(posted: Iterable[Posted]) -> Iterator[str]:
    for entry in posted:
        times = (entry.accepted_at_s, entry.posted_at_s, entry.sent_at_s, entry.applied_at_s)
        if None in times:
            yield f"{entry.reference}: not applied"
        elif any(earlier > later for earlier, later in pairwise(time for time in times if time is not None)):
            yield f"{entry.reference}: accepted, posted, sent, applied at {times}"


# --- relays, readings, days -------------------------------------------------------------------------------


def _in_force(move: Move, orders: Iterable[Order], rules: Rules) -> bool:
    """Whether an opening was ordered, and the order was neither replaced nor expired then."""
    of_meter = {order.version: order for order in orders if order.meter == move.meter}
    order = of_meter.get(move.version)
    if order is None or order.relay != "open":
        return False
    ends = [later.answered_at_s for version, later in of_meter.items() if version > move.version]
    ends.append(order.expires_at_s or order.answered_at_s + rules.open_expires_after_s)
    return move.at_s <= min(ends) + rules.slack_s


def _readings(evidence: Evidence) -> Iterator[str]:
    yield from evidence.contradictions
    for row, column in np.argwhere(evidence.taken_wh != evidence.held_wh):
        taken, held = evidence.taken_wh[row, column], evidence.held_wh[row, column]
        stored = "nothing" if held == ABSENT else f"{held} Wh"
        yield f"{evidence.meters[row]} reading {column + 1}: {taken} Wh at the meter, {stored} in the store"


def _bulk_orders(evidence: Evidence) -> Iterator[str]:
    for bulk in evidence.bulks:
        if bulk.counts["ISSUED"] or sum(bulk.counts.values()) != bulk.meters:
            yield f"at {bulk.at_s}, of {bulk.meters}: {bulk.counts}"


def _signed(evidence: Evidence, rules: Rules) -> Iterator[str]:
    for code in ("BAD_SIGNATURE", "UNKNOWN_KEY", "FUTURE_DATED"):
        if evidence.refusals.get(code):
            yield f"{code} {evidence.refusals[code]} times"
    if rules.promises.holidays and evidence.with_policy < len(evidence.meters):
        yield f"{len(evidence.meters) - evidence.with_policy} meters never held a policy"


def _days(evidence: Evidence, rules: Rules) -> Iterator[str]:
    expected = {
        f"charge/{day}/{meter}": (meter, micros)
        for (meter, day), micros in charges(evidence, rules.promises).items()
    }
    for reference, meter, micros in evidence.charges:
        wanted = expected.pop(reference, None)
        if wanted != (meter, micros):
            yield f"{reference}: {micros} micros from {meter}, by the meter it is {wanted}"
    for reference, (_, micros) in expected.items():
        yield f"{reference}: {micros} micros not charged"
