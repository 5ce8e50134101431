"""The figures of a whole run (`figures.FINAL`), as far as its files tell; None: nobody knows."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from meter_sim.lab.auditor.case import Case
from meter_sim.lab.auditor.course import Request
from meter_sim.lab.auditor.cuts import Cuts
from meter_sim.lab.auditor.money import differences
from meter_sim.lab.auditor.promises import HOUR_S
from meter_sim.lab.auditor.protection import left_dark
from meter_sim.lab.result import Finding, Verdict
from meter_sim.load import Integers


def measure(case: Case, cuts: Cuts, findings: Sequence[Finding]) -> dict[str, float | None]:
    """All of them, by name."""
    return {
        **_recharges(case),
        **_protection(case, cuts),
        **_store(case),
        "blank_hours": _hours(case, _blank(case)),
        "stale_hours": _hours(case, case.course.samples.get("balances_stale")),
        "converged_after_s": _converged_after_s(case),
        "refused_by_meters": len(case.log.refusals),
        "invariants_failed": sum(finding.verdict is Verdict.FAIL for finding in findings),
    }


def _recharges(case: Case) -> dict[str, float | None]:
    lost, doubled, _ = differences(case)
    asked: Counter[str] = Counter()
    by_reference: defaultdict[str, list[Request]] = defaultdict(list)
    for request in case.course.recharges:
        asked[request.reference] += 1
        by_reference[request.reference].append(request)
    refused = sum(
        request.answer is not None and request.answer.get("outcome") == "EXISTS_DIFFERENT"
        for request in case.course.recharges
    )
    delays = case.delays_s(0, 1 << 62)
    in_outage = sum(
        any(fault.window.from_s <= each.at_s < fault.window.to_s for fault in case.course.faults)
        or each.link == "down"
        for each in case.accepted.values()
    )
    return {
        "recharges_accepted": len(case.accepted),
        "recharges_in_outage": in_outage,
        "recharges_repeated": sum(_is_repeated(requests) for requests in by_reference.values()),
        "recharges_refused": refused,
        "recharges_unanswered": len(case.unanswered),
        "credits_lost": sum(count for _, _, count in lost),
        "credits_doubled": sum(count for _, _, count in doubled),
        "applied_p50_s": float(np.percentile(delays, 50)) if delays else None,
        "applied_p99_s": float(np.percentile(delays, 99)) if delays else None,
    }


def _is_repeated(requests: list[Request]) -> bool:
    contents = Counter((request.meter, request.amount_micros) for request in requests)
    return max(contents.values()) > 1


def _protection(case: Case, cuts: Cuts) -> dict[str, float | None]:
    return {
        "wrong_cuts": len(cuts.wrong),
        "right_cuts": len(cuts.right),
        "homes_spared": len(cuts.spared),
        "relays_opened_unordered": len(cuts.unordered) if cuts.unordered_known or not case.openings else None,
        "homes_left_dark": len(left_dark(case)),
        "bulk_orders_sent": sum(bulk.counts.get("ISSUED", 0) for bulk in case.course.bulks),
    }


def _store(case: Case) -> dict[str, float | None]:
    store = case.store
    if store is None:
        return dict.fromkeys(("credits_pending", "balances_wrong", "exceptions_open", "dead_letters"))
    pending = sum(
        delivery.kind == "CREDIT" and delivery.seq > case.log.counter(delivery.meter)[0]
        for delivery in store.deliveries
    )
    return {
        "credits_pending": pending,
        "balances_wrong": len(case.wrong_balances()),
        "exceptions_open": len(store.exceptions),
        "dead_letters": store.dead_letters,
    }


def _blank(case: Case) -> Integers | None:
    shown = case.course.samples.get("balances_shown")
    return None if shown is None else len(case.course.registered) - shown


def _hours(case: Case, homes: Integers | None) -> float | None:
    """Over all homes: each look holds until the next one."""
    if homes is None or len(homes) < 2:
        return None
    return round(float((homes[:-1] * np.diff(case.course.samples["at_s"])).sum()) / HOUR_S, 1)


def _converged_after_s(case: Case) -> float | None:
    healed_s, converged_s = case.course.healed_at_s, case.course.converged_at_s
    if converged_s is None:
        return None
    return max(0, converged_s - (case.course.start_s if healed_s is None else healed_s))
