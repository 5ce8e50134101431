"""Commands, I9 to I14: what the store says of deliveries, held to the wire and to the meters' own log."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from meter_sim.lab.auditor.case import Case
from meter_sim.lab.auditor.finding import found
from meter_sim.lab.auditor.promises import HOUR_S
from meter_sim.lab.auditor.store import Delivery, Store
from meter_sim.lab.auditor.wire import Wire
from meter_sim.lab.result import Finding, Window

NO_WIRE: Final = "there is no log of the links to look at"
OPEN: Final = ("QUEUED", "SENT")
PARTIAL: Final = frozenset(
    {"link-black-hole", "link-loss", "link-latency", "link-reorder", "link-corrupt", "link-duplicate"}
)
"""Faults of links that a log of the links shows; those behind a share of the gateways."""
TIMES_BEFORE: Final = 10
FORGED: Final = ("BAD_SIGNATURE", "UNKNOWN_KEY")
FORGING: Final = frozenset({"hostile-payload", "link-corrupt"})


def judge_commands(case: Case) -> list[Finding]:
    """I9 to I14."""
    store = case.store
    if store is None:
        names = ("I9", "I10", "I11", "I12", "I13", "I14")
        return [case.without_store(name) for name in names]
    return [
        _committed_first(case, store),
        _counted_once(case, store),
        _gapless(case, store),
        _answered(case, store),
        _expiring(case, store),
        _undisturbed(case, store),
    ]


def _committed_first(case: Case, store: Store) -> Finding:
    by_key = {(delivery.meter, delivery.kind, delivery.seq): delivery for delivery in store.deliveries}
    wire = case.wire
    unknown: list[str] = []

    def wrong() -> Iterator[str]:
        for delivery in store.deliveries:
            if delivery.state == "REJECTED" and not delivery.ended_reason:
                yield f"{_name(delivery)}: ended without a reason"
        yield from _not_trusted(case)
        if wire is None:
            return
        if wire.unreadable:
            yield f"{wire.unreadable} commands of the head-end that the contract cannot read"
        yield from _uncommitted(case, wire, by_key)
        for delivery in _never_sent(wire, store):
            text = f"{_name(delivery)}: {delivery.state}, and never on the wire"
            if case.caught_up and wire.complete:
                yield text
            else:
                unknown.append(text)

    wrongs = list(wrong())
    holds = f"{len(store.deliveries):,} deliveries, {0 if wire is None else len(wire.sent):,} commands on the wire"
    not_shown = NO_WIRE if wire is None else "" if wire.sent else "no command was sent"
    return found("I9", wrongs, holds, not_shown=not_shown, unknown=unknown)


def _not_trusted(case: Case) -> Iterator[str]:
    """Commands that a meter took for forged or misdated, in a run in which nobody forged and no clock was off."""
    kinds = {fault.kind for fault in case.course.faults}
    codes = set() if kinds & FORGING else set(FORGED)
    if not (case.headend_clock_s or case.fleet_clock_s):
        codes.add("FUTURE_DATED")
    for refused in case.log.refusals:
        if refused.code in codes:
            yield f"{refused.meter}: refused command {refused.number} at {refused.at_s} ({refused.code})"


def _uncommitted(case: Case, wire: Wire, by_key: dict[tuple[str, str, int], Delivery]) -> Iterator[str]:
    for sent in wire.sent:
        delivery = by_key.get((sent.meter, sent.kind, sent.number))
        what = f"{sent.meter}: {sent.kind.lower()} {sent.number} on the wire at {sent.at_s}"
        if delivery is None:
            # What a lost store had committed is not in the one that took its place.
            if sent.at_s > case.last_loss_s:
                yield f"{what}, and not in the store"
            continue
        content: tuple[object, object] = (sent.value, sent.expires_at_s)
        wanted: tuple[object, object] = content
        if sent.kind == "CREDIT":
            wanted = delivery.credit_total_micros, None
        elif sent.kind == "RELAY":
            wanted = delivery.relay, delivery.expires_at_s
        if content != wanted and sent.at_s > case.last_loss_s:
            yield f"{what} says {content}, in the store {wanted}"
        if delivery.queued_at_s > sent.at_s + case.headend_clock_s and sent.at_s > case.last_loss_s:
            yield f"{what}, committed at {delivery.queued_at_s}"
        latest_s = sent.at_s + case.slack.after(sent.at_s) + case.headend_clock_s
        if sent.at_s > case.last_loss_s and _sent_late(delivery, latest_s):
            yield f"{what}, committed as sent at {delivery.sent_at_s}"


def _sent_late(delivery: Delivery, at_s: int) -> bool:
    """Whether a delivery was on the wire for a while before the store knew that it had been sent."""
    return delivery.sent_at_s is None or delivery.sent_at_s > at_s


def _never_sent(wire: Wire, store: Store) -> Iterator[Delivery]:
    """Deliveries still open, or said to be applied, that nobody saw. A credit goes with every later one."""
    highest: dict[str, int] = {}
    others: set[tuple[str, str, int]] = set()
    for sent in wire.sent:
        if sent.kind == "CREDIT":
            highest[sent.meter] = max(highest.get(sent.meter, 0), sent.number)
        else:
            others.add((sent.meter, sent.kind, sent.number))
    for delivery in store.deliveries:
        if delivery.state == "REJECTED":
            continue
        if delivery.kind == "CREDIT":
            seen = delivery.seq <= highest.get(delivery.meter, 0)
        else:
            seen = (delivery.meter, delivery.kind, delivery.seq) in others
        if not seen:
            yield delivery


def _counted_once(case: Case, store: Store) -> Finding:
    unknown: list[str] = []

    def wrong() -> Iterator[str]:
        for meter, credited in case.log.credited.items():
            for before, after in pairwise(credited):
                if after.seq <= before.seq:
                    yield f"{meter}: credit {after.seq} counted after {before.seq}"
                if after.total_micros < before.total_micros:
                    yield f"{meter}: counter fell from {before.total_micros} to {after.total_micros} micros"
        for row in store.meters.values():
            ours, theirs = (row.credit_seq, row.credit_total_micros), case.log.counter(row.meter)
            if ours == theirs:
                continue
            if theirs > ours or case.caught_up:
                yield f"{row.meter}: the meter stands at credit {theirs}, the ledger at {ours}"
            else:
                unknown.append(f"{row.meter}: the run ended with credits on their way")

    wrongs = list(wrong())
    times = sum(len(credited) for credited in case.log.credited.values())
    holds = f"{times:,} changes of {len(case.log.credited):,} credit counters"
    return found("I10", wrongs, holds, not_shown="" if times else "no credit reached a meter", unknown=unknown)


def _gapless(case: Case, store: Store) -> Finding:
    by_meter: defaultdict[str, list[Delivery]] = defaultdict(list)
    for delivery in store.deliveries:
        if delivery.kind == "CREDIT":
            by_meter[delivery.meter].append(delivery)
    given_out = _given_out(case)

    def wrong() -> Iterator[str]:
        for meter, deliveries in by_meter.items():
            expected, total = 1, 0
            for delivery in sorted(deliveries, key=lambda each: each.seq):
                total += delivery.amount_micros or 0
                # A number that a lost store gave out is spent: the one in its place goes on after it.
                spent = delivery.seq - 1 <= given_out.get(meter, 0) or _is_lost(
                    case, store, meter, expected, delivery.seq
                )
                if delivery.seq != expected and not spent:
                    yield f"{meter}: credit {delivery.seq} where {expected} comes next"
                if delivery.credit_total_micros != total:
                    yield f"{meter}: credit {delivery.seq} says {delivery.credit_total_micros} micros, not {total}"
                expected = delivery.seq + 1
            newest = store.meters[meter].credit_seq
            if newest != expected - 1 and newest > given_out.get(meter, 0):
                yield f"{meter}: numbers to {expected - 1}, counter at {newest}"
        said: dict[tuple[str, int], int | str] = {}
        for sent in [] if case.wire is None else case.wire.sent:
            if sent.kind == "CREDIT":
                before = said.setdefault((sent.meter, sent.number), sent.value)
                if before != sent.value:
                    yield f"{sent.meter}: credit {sent.number} once said {before} micros and once {sent.value}"
        counted: dict[tuple[str, int], int] = {}
        for meter, credited in case.log.credited.items():
            for each in credited:
                on_wire = said.get((meter, each.seq))
                if on_wire not in (None, each.total_micros):
                    yield f"{meter}: counted {each.total_micros} micros as credit {each.seq}, sent was {on_wire}"
                counted[meter, each.seq] = each.total_micros
        for delivery in store.deliveries:
            # One that was never sent can still be given another number.
            sent_once = delivery.kind == "CREDIT" and delivery.attempts > 0
            theirs = counted.get((delivery.meter, delivery.seq)) if sent_once else None
            if theirs not in (None, delivery.credit_total_micros):
                yield f"{delivery.meter}: credit {delivery.seq} stands for another one than the meter counted"

    numbers = sum(len(deliveries) for deliveries in by_meter.values())
    holds = f"{numbers:,} credit numbers of {len(by_meter):,} meters"
    return found("I11", wrong(), holds, not_shown="" if numbers else "no credit was issued")


def _given_out(case: Case) -> dict[str, int]:
    """The highest credit number of each meter that was seen before commits were lost; {}: none ever were."""
    highest: dict[str, int] = {}
    if not case.losses_s:
        return highest
    lost_s = case.last_loss_s + case.slack.after(case.last_loss_s)
    for sent in [] if case.wire is None else case.wire.sent:
        if sent.kind == "CREDIT" and sent.at_s <= lost_s:
            highest[sent.meter] = max(highest.get(sent.meter, 0), sent.number)
    for meter, credited in case.log.credited.items():
        before = [each.seq for each in credited if each.at_s <= lost_s]
        highest[meter] = max([highest.get(meter, 0), *before])
    return highest


def _is_lost(case: Case, store: Store, meter: str, first: int, after: int) -> bool:
    """Whether a store that was restored says of all these numbers that it will never know what they were."""
    ranges = store.lost_numbers.get((meter, "CREDIT"), []) if case.losses_s else []
    return all(any(low <= number <= high for low, high in ranges) for number in range(first, after))


def _answered(case: Case, store: Store) -> Finding:
    wire = case.wire
    applied = [delivery for delivery in store.deliveries if delivery.state == "APPLIED"]
    silent = set() if wire is None or not wire.complete else _unheard(wire, applied)
    off_s = case.headend_clock_s + case.fleet_clock_s

    def wrong() -> Iterator[str]:
        for delivery in applied:
            done_s = _done_at_s(case, delivery)
            if done_s is None:
                yield f"{_name(delivery)}: applied at {delivery.applied_at_s}, and the meter knows nothing of it"
            elif delivery.applied_at_s is not None and delivery.applied_at_s + case.fleet_clock_s < done_s:
                yield f"{_name(delivery)}: applied at {delivery.applied_at_s}, by the meter at {done_s}"
            times = [delivery.queued_at_s, delivery.sent_at_s, delivery.applied_at_s]
            if not off_s and None not in times and times != sorted(times, key=lambda at_s: at_s or 0):
                yield f"{_name(delivery)}: committed, sent and applied at {times}"
            if (delivery.meter, delivery.kind, delivery.seq) in silent:
                yield f"{_name(delivery)}: applied, and no answer of the meter ever came"

    holds = f"{len(applied):,} deliveries applied"
    not_shown = NO_WIRE if wire is None else "" if applied else "nothing was applied"
    return found("I12", wrong(), holds, not_shown=not_shown)


def _unheard(wire: Wire, applied: list[Delivery]) -> set[tuple[str, str, int]]:
    """Those of which no meter said that it has done them."""
    asked = {(delivery.meter, delivery.kind, delivery.seq) for delivery in applied}
    for look in (wire.results, wire.greetings):
        if asked:
            heard = look()
            asked = {each for each in asked if not heard.says(*each)}
    return asked


def _done_at_s(case: Case, delivery: Delivery) -> int | None:
    """When the meter did it by its own log; None: it did not. Policies are not looked up."""
    if delivery.kind == "CREDIT":
        times = [each.at_s for each in case.log.credited.get(delivery.meter, ()) if each.seq >= delivery.seq]
    elif delivery.kind == "RELAY":
        times = [each.at_s for each in case.log.moves.get(delivery.meter, ()) if each.version == delivery.seq]
    else:
        return 0 if case.log.policies.get(delivery.meter, 0) >= delivery.seq else None
    return min(times, default=None)


def _expiring(case: Case, store: Store) -> Finding:
    by_transfer = Counter(delivery.transfer_id for delivery in store.deliveries if delivery.kind == "CREDIT")
    opens = [delivery for delivery in store.deliveries if delivery.relay == "open"]
    expires_s = {(delivery.meter, delivery.seq): delivery.expires_at_s for delivery in opens}
    for sent in [] if case.wire is None else case.wire.sent:
        if sent.kind == "RELAY" and sent.value == "open":
            expires_s.setdefault((sent.meter, sent.number), sent.expires_at_s)

    def wrong() -> Iterator[str]:
        for transfer in store.recharges.values():
            if by_transfer[transfer.transfer_id] != 1:
                yield f"{transfer.reference}: {by_transfer[transfer.transfer_id]} deliveries to the meter"
        for delivery in store.deliveries:
            if delivery.kind == "CREDIT" and delivery.state == "REJECTED":
                yield f"{_name(delivery)}: dropped ({delivery.ended_reason})"
            if delivery.kind == "CREDIT" and delivery.expires_at_s is not None:
                yield f"{_name(delivery)}: would expire at {delivery.expires_at_s}"
            if delivery.relay == "open" and delivery.expires_at_s is None:
                yield f"{_name(delivery)}: never expires"
        begun: set[tuple[str, int]] = set()
        for sent in [] if case.wire is None else case.wire.sent:
            # Sent in time and again too late is a question for an answer: the meter carries nothing out any more.
            if sent.kind == "RELAY" and (sent.meter, sent.number) in begun:
                continue
            begun |= {(sent.meter, sent.number)} if sent.kind == "RELAY" else set()
            late_s = sent.at_s - case.headend_clock_s - case.slack.after(sent.expires_at_s or sent.at_s)
            if sent.expires_at_s is not None and late_s > sent.expires_at_s:
                yield f"{sent.meter}: order {sent.number} was sent at {sent.at_s}, expired at {sent.expires_at_s}"
        if case.caught_up and case.promises.cuts and not case.promises.only_if_in_credit:
            for meter in case.log.rows.keys() - case.log.policies.keys():
                yield f"{meter}: never held a policy, so it checks no hours"
        for move in case.openings:
            clock_s = move.at_s + case.log.clock_errors_s.get(move.meter, 0)
            end_s = expires_s.get((move.meter, move.version))
            if end_s is not None and clock_s > end_s + case.fleet_clock_s:
                yield f"{move.meter}: opened at {move.at_s} by an order that had expired at {end_s}"

    holds = f"{len(store.recharges):,} credits, {len(opens):,} orders to cut, {len(case.openings):,} carried out"
    return found("I13", wrong(), holds, not_shown="" if store.recharges or opens else "no command was issued")


def _undisturbed(case: Case, store: Store) -> Finding:
    """Credits to meters that nothing had befallen, while something had befallen others."""
    del store
    partial = [
        fault.window
        for fault in case.course.faults
        if fault.kind in PARTIAL
        and fault.what.get("link", "fleet") == "fleet"
        and float(fault.what.get("share", 1)) < 1
    ]
    others = [fault.window for fault in case.course.faults if fault.window not in partial]
    gateways = dict(zip(case.log.meters, case.log.gateways, strict=True))
    if case.wire is None:
        return found("I14", (), "", not_shown=NO_WIRE)
    before = case.delays_s(0, min((fault.window.from_s for fault in case.course.faults), default=0))
    usual_s = float(np.percentile(before, 99)) if before else 0.0
    limit_s = max(TIMES_BEFORE * usual_s, HOUR_S + case.slack.most_s)
    hit = _hit(case, case.wire, partial, limit_s)
    if not partial or not hit or len(hit) == len(set(gateways.values())):
        return found("I14", (), "", not_shown="no fault befell some gateways and not others")
    slow, looked_at = [], 0
    for each in case.accepted.values():
        if gateways.get(each.meter) in hit or not any(w.from_s <= each.at_s < w.to_s for w in partial):
            continue
        if any(w.from_s - limit_s <= each.at_s < w.to_s for w in others):
            continue
        looked_at += 1
        applied_s = case.applied_at_s.get(each.reference)
        if applied_s is None or applied_s - each.at_s > limit_s:
            slow.append(f"{each.meter}: {each.reference}, accepted at {each.at_s}, counted at {applied_s}")
    # One of a hundred may have met with something else.
    allowed = looked_at // 100
    holds = f"{looked_at:,} credits to meters behind gateways that nothing befell, within {limit_s:,.0f} s"
    return found(
        "I14",
        slow if len(slow) > allowed else (),
        holds,
        not_shown="" if looked_at else "nobody recharged meanwhile",
    )


def _hit(case: Case, wire: Wire, partial: Sequence[Window], limit_s: float) -> set[str]:
    """Gateways to which something happened on the way, or which lost their connection and dialled again."""
    clients = wire.touched | {
        client for at_s, client in wire.dialled if any(w.from_s <= at_s < w.to_s + limit_s for w in partial)
    }
    return {gateway for gateway in set(case.log.gateways) if clients & {gateway, f"{case.region}-{gateway}"}}


def _name(delivery: Delivery) -> str:
    return f"{delivery.meter}: {delivery.kind.lower()} {delivery.seq}"
