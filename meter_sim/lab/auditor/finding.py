"""From violations to a finding: fail before unknown, and never a pass for what a run could not show."""

from collections.abc import Iterable
from typing import Final

from meter_sim.lab.result import Finding, Verdict

SHOWN: Final = 5
"""Most lines of evidence of one finding."""

TITLES: Final = {
    "I1": "Every transfer debits and credits the same; the sum over all accounts is 0 in every look",
    "I2": "Stored balances are the fold of the transfers",
    "I3": "Of accepted recharges none is lost, none doubled, none unexpected",
    "I4": "Same reference: same answer; other content: refused without effect; nothing forgotten",
    "I5": "Transfers are append-only, in one hash chain; corrections name what they correct",
    "I6": "Charged energy is the difference of the meters' registers, and priced as promised",
    "I7": "A plan ends in exactly one of paid, cancelled, expired, and its money adds up",
    "I8": "What was answered is in the store, whatever died meanwhile",
    "I9": "On the wire means committed before; committed goes on the wire or ends with a reason",
    "I10": "Each credit is applied at most once, and once after convergence",
    "I11": "Credit numbers have no gap and are never used twice",
    "I12": "Applied only by the meter's own answer",
    "I13": "Credits never expire; orders to cut always do, and the meter checks",
    "I14": "An unreachable meter delays no other",
    "I15": "No relay opens for debt in protected time, nor otherwise than promised",
    "I16": "No relay opens without an order in force, however long there is silence",
    "I17": "Each cut cites a fresh reading, a balance below the limit, and no open recharge",
    "I18": "Cuts in any 24 hours stay below the caps; a second person releases the rest",
    "I19": "No cut before the end of the grace; arrears come back at the promised share",
    "I20": "Credit again means supply again in time",
    "I21": "Shown balances are right or marked stale, and their time never goes back",
    "I22": "Queues and gaps drain; the head-end's picture of each meter is the meter",
    "I23": "After healing, latency is as before; memory and disk stay bounded",
    "I24": "The same seed gives the same log",
    "I25": "Each privileged act has an actor, a reason and its approval; the audit chain holds",
}


def found(
    invariant: str,
    violations: Iterable[str],
    holds: str,
    *,
    not_shown: str = "",
    unknown: Iterable[str] = (),
) -> Finding:
    """The finding of an invariant.

    `holds`: what was looked at, with counts. `not_shown`: why this run could not show a breach; then it is not
    counted as passed. `unknown`: what nobody can tell.
    """
    broken, open_questions = list(violations), list(unknown)
    title = TITLES[invariant]
    if broken:
        return Finding(
            invariant, title, Verdict.FAIL, _said(f"{_times(broken)} not so", holds), tuple(broken[:SHOWN])
        )
    if open_questions:
        detail = _said(f"{_times(open_questions)} nobody can tell", holds)
        return Finding(invariant, title, Verdict.UNKNOWN, detail, tuple(open_questions[:SHOWN]))
    if not_shown:
        return Finding(invariant, title, Verdict.NOT_EXERCISED, not_shown)
    return Finding(invariant, title, Verdict.PASS, holds)


def _said(first: str, holds: str) -> str:
    return f"{first}; {holds}" if holds else first


def _times(lines: list[str]) -> str:
    return "once" if len(lines) == 1 else f"{len(lines):,} times"
