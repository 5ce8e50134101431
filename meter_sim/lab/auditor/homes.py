"""The ten homes that fared worst, each with its story: what it asked for and was told, and what happened."""

from collections import defaultdict
from typing import Final

from meter_sim.lab.auditor.case import Case
from meter_sim.lab.auditor.cuts import Cuts
from meter_sim.lab.auditor.meter_log import Move
from meter_sim.lab.auditor.money import differences
from meter_sim.lab.auditor.promises import HOUR_S
from meter_sim.lab.result import Story

SHOWN: Final = 10
MOST_EVENTS: Final = 60
MICROS: Final = 1_000_000
WRONG_CUT, LOST_CREDIT, DARK_HOUR, WAITING_HOUR = 1_000.0, 1_000.0, 10.0, 1.0
"""How much worse one thing is than another."""

Events = list[tuple[int, str]]


def worst_off(case: Case, cuts: Cuts) -> tuple[Story, ...]:
    """Ranked; a home to which nothing happened has no story."""
    burdens: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for wrong in cuts.wrong:
        burdens[wrong.move.meter].append((WRONG_CUT, f"cut wrongly ({', '.join(wrong.reasons)})"))
    lost, doubled, _ = differences(case)
    for meter, text, count in lost:
        burdens[meter].append((LOST_CREDIT * count, f"money lost ({text.split(': ', 1)[1]})"))
    for meter, text, count in doubled:
        burdens[meter].append((float(count), f"credited twice ({text.split(': ', 1)[1]})"))
    for meter, moves in case.log.moves.items():
        hours = _dark_hours(moves, case.course.end_s)
        if hours:
            burdens[meter].append((DARK_HOUR * hours, f"{hours:,.0f} hours without supply"))
    for meter, hours in _waiting_hours(case).items():
        if hours >= 1:
            burdens[meter].append((WAITING_HOUR * hours, f"waited {hours:,.0f} hours for a recharge"))
    ranked = sorted(burdens, key=lambda meter: (-sum(weight for weight, _ in burdens[meter]), meter))
    return tuple(
        Story(meter, "; ".join(text for _, text in sorted(burdens[meter], reverse=True)), _events(case, meter))
        for meter in ranked[:SHOWN]
    )


def _dark_hours(moves: list[Move], end_s: int) -> float:
    dark_s, since_s = 0, None
    for move in moves:
        if move.relay == "open" and since_s is None:
            since_s = move.at_s
        elif move.relay == "closed" and since_s is not None:
            dark_s, since_s = dark_s + move.at_s - since_s, None
    return (dark_s + (0 if since_s is None else end_s - since_s)) / HOUR_S


def _waiting_hours(case: Case) -> dict[str, float]:
    """The longest that a home waited for one recharge, from asking until its meter counted it."""
    longest: dict[str, float] = {}
    for each in case.accepted.values():
        if each.asked_at_s <= case.course.start_s:
            continue
        done_s = case.applied_at_s.get(each.reference, each.at_s if case.store is None else case.course.end_s)
        longest[each.meter] = max(longest.get(each.meter, 0.0), (done_s - each.asked_at_s) / HOUR_S)
    return longest


def _events(case: Case, meter: str) -> tuple[tuple[int, str], ...]:
    events: Events = []
    for request in case.course.recharges:
        if request.meter == meter:
            outcome = "no answer" if request.answer is None else str(request.answer.get("outcome"))
            events.append(
                (request.at_s, f"asks for {_money(request.amount_micros)} ({request.reference}): {outcome}")
            )
    for request in case.course.enquiries:
        if request.meter == meter:
            events.append((request.at_s, f"asks for the balance: {_balance(request.answer)}"))
    for credited in case.log.credited.get(meter, ()):
        events.append((credited.at_s, f"the meter counts {_money(credited.total_micros)} in all"))
    for move in case.log.moves.get(meter, ()):
        events.append((move.at_s, "supply is cut" if move.relay == "open" else "supply is there"))
    for refused in case.log.refusals:
        if refused.meter == meter:
            events.append((refused.at_s, f"the meter refuses a command ({refused.code})"))
    for told, at_s, kind in [] if case.store is None else case.store.notices:
        if told == meter:
            events.append((at_s, f"is told: {kind.lower().replace('_', ' ')}"))
    events.sort()
    if len(events) > MOST_EVENTS:
        events = [*events[: MOST_EVENTS - 1], (events[-1][0], f"and {len(events) - MOST_EVENTS + 1} more")]
    return tuple(events)


def _balance(answer: object) -> str:
    if not isinstance(answer, dict):
        return "no answer"
    stale = " (marked stale)" if answer.get("stale") else ""
    balance = answer.get("balance_micros")
    return f"{_money(int(balance))}{stale}" if balance is not None else f"none{stale}"


def _money(micros: int) -> str:
    return f"{micros / MICROS:,.2f}"
