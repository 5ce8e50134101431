"""What is seen from outside, I21 to I25: balances shown, queues drained, latency, repeatability, acts."""

import hashlib
import json
from collections.abc import Iterator
from typing import Final

import numpy as np

from meter_sim.lab.auditor.case import Case
from meter_sim.lab.auditor.course import Request
from meter_sim.lab.auditor.finding import found
from meter_sim.lab.auditor.ledger import GENESIS
from meter_sim.lab.auditor.meter_log import ABSENT
from meter_sim.lab.auditor.promises import HOUR_S
from meter_sim.lab.auditor.store import Act, Meter, Store
from meter_sim.lab.result import Finding

STALE_AFTER_S: Final = 2 * HOUR_S
"""A balance whose reading is older has to be marked."""
FEW: Final = 5
"""Fewer recharges tell nothing of latency."""
TIMES_BEFORE: Final = 2
FLOOR_S: Final = 600
MEMORY_KIB: Final = 64 * 1024
BYTES_A_READING: Final = 400
BYTES_A_TRANSFER: Final = 4_096
BYTES_AT_LEAST: Final = 8 * 1024 * 1024


def judge_outside(case: Case, this_hash: str, again_hash: str | None) -> list[Finding]:
    """I21 to I25. `again_hash`: of a second run with the same seed; None: there was none."""
    return [
        _shown(case),
        _drained(case),
        _bounded(case),
        _repeated(this_hash, again_hash),
        _approved(case),
    ]


# --- I21 ---------------------------------------------------------------------------------------------------


def _shown(case: Case) -> Finding:
    answered = [each for each in case.course.enquiries if each.answer is not None]
    wrong = [*_wrong_marks(case, answered), *_went_back(case, answered)]
    compared = 0
    for each in answered:
        text = _wrong_balance(case, each)
        compared += text is not None
        if text:
            wrong.append(text)
    if case.store is not None and case.caught_up:
        wrong += case.wrong_balances()
    elif case.store is None:
        if not wrong:
            return case.without_store("I21")
        return found("I21", wrong, f"{len(answered):,} answers to enquiries")
    meters = len(case.log.meters) if case.store is not None and case.caught_up else 0
    holds = (
        f"{len(answered):,} answers to enquiries, {compared:,} of them compared; {meters:,} balances at the end"
    )
    unknown = ["the run has not caught up: nobody can compare its last balances"] if not meters else []
    return found("I21", wrong, holds, unknown=unknown)


def _wrong_marks(case: Case, answered: list[Request]) -> Iterator[str]:
    """Old balances that are shown as if they were fresh, and the other way round."""
    for each in answered:
        assert each.answer is not None
        slack_s = case.slack.after(each.at_s) + case.headend_clock_s + case.course.scenario.fleet.interval
        as_of_s, stale = each.answer.get("as_of_s"), bool(each.answer.get("stale"))
        if as_of_s is None:
            if not stale:
                yield f"{each.meter} at {each.at_s}: never read, and not marked"
            continue
        # The answer speaks of some moment between the question and itself.
        least_s, most_s = each.at_s - as_of_s, each.answered_at_s - as_of_s
        if not stale and least_s > STALE_AFTER_S + slack_s:
            yield f"{each.meter} at {each.at_s}: {least_s} s old, and not marked stale"
        elif stale and most_s < STALE_AFTER_S - slack_s:
            yield f"{each.meter} at {each.at_s}: {most_s} s old, and marked stale"
        elif most_s < -slack_s - case.fleet_clock_s:
            yield f"{each.meter} at {each.at_s}: as of {as_of_s}, which is still to come"


def _went_back(case: Case, answered: list[Request]) -> Iterator[str]:
    newest: dict[str, tuple[int, int]] = {}
    for each in answered:
        assert each.answer is not None
        as_of_s = each.answer.get("as_of_s")
        if as_of_s is None:
            continue
        before_s, seen_at_s = newest.get(each.meter, (as_of_s, each.at_s))
        lost = any(seen_at_s <= loss_s <= each.answered_at_s for loss_s in case.losses_s)
        if as_of_s < before_s and not lost:
            yield f"{each.meter} at {each.at_s}: as of {as_of_s}, after {before_s} was shown"
        newest[each.meter] = as_of_s, each.answered_at_s


def _wrong_balance(case: Case, each: Request) -> str | None:
    """What is wrong with a fresh balance; "": nothing. None: it cannot be compared.

    Compared is what is exact: a home whose days are all charged, so that only today's energy is open.
    """
    answer, log = each.answer, case.log
    if answer is None or answer.get("stale") or answer.get("as_of_s") is None or case.store is None:
        return None
    if each.meter not in log.rows or any(loss_s <= each.answered_at_s for loss_s in case.losses_s):
        return None
    as_of_s, row = int(answer["as_of_s"]), log.rows[each.meter]
    column = int(np.searchsorted(log.taken_at_s, as_of_s, side="right")) - 1
    if column < 0 or log.taken_at_s[column] != as_of_s or not _all_charged(case, each.meter, each.at_s, as_of_s):
        return None
    used = case.books.used_micros(each.meter, as_of_s, int(log.taken_wh[row, column]))
    shown = int(answer["balance_micros"])
    paid = [credit for credit in case.books.credits.get(each.meter, ()) if credit.at_s <= each.answered_at_s]
    moved = case.moved_micros(each.meter, each.at_s)
    # What was accepted while the question was asked may be in the answer or not.
    least = sum(credit.micros for credit in paid if credit.at_s < each.at_s) - used + moved
    most = sum(credit.micros for credit in paid) - used + moved
    rounding = case.promises.paisa_micros
    if least - rounding <= shown <= most + rounding:
        return ""
    return f"{each.meter} at {each.at_s}: {shown} micros shown as of {as_of_s}, it was {least}"


def _all_charged(case: Case, meter: str, at_s: int, as_of_s: int) -> bool:
    """Whether all days before a time were charged then, so that what it showed is of today alone."""
    assert case.store is not None
    over = [day for day, end_s in zip(case.log.days, case.log.midnights_s[1:], strict=True) if end_s <= at_s]
    if not over:
        return as_of_s >= case.log.start_s
    settled_at_s = case.store.snapshots.get((meter, over[-1].toordinal()), (0, None))[1]
    return settled_at_s is not None and settled_at_s < at_s and as_of_s >= case.log.midnights_s[len(over)]


# --- I22 ---------------------------------------------------------------------------------------------------


def _drained(case: Case) -> Finding:
    store, course = case.store, case.course
    if store is None:
        return case.without_store("I22")
    if not course.ended:
        return found("I22", (), "", unknown=["the run was interrupted before it could catch up"])

    def wrong() -> Iterator[str]:
        if course.converged_at_s is None:
            yield "the run never caught up with what was left"
        if not course.drained:
            yield "not every reading was handed over"
        waiting = [each for each in store.deliveries if each.state in ("QUEUED", "SENT")]
        for delivery in waiting:
            yield f"{delivery.meter}: {delivery.kind.lower()} {delivery.seq} still {delivery.state}"
        for meter in case.log.meters:
            row = store.meters.get(meter)
            if row is None:
                yield f"{meter}: not in the store"
            else:
                yield from _wrong_picture(case, row)

    holds = f"{len(store.meters):,} meters as the head-end sees them, {len(store.deliveries):,} deliveries"
    return found("I22", wrong(), holds)


def _wrong_picture(case: Case, row: Meter) -> Iterator[str]:
    log = case.log
    place = log.rows[row.meter]
    taken = np.flatnonzero(log.taken_wh[place] != ABSENT)
    if len(taken):
        theirs = int(taken[-1]) + 1, int(log.taken_wh[place, taken[-1]])
        if (row.reading_seq, row.register_wh) != theirs:
            yield f"{row.meter}: reading {row.reading_seq} of {row.register_wh} Wh, at the meter {theirs}"
    version, relay = log.relay(row.meter)
    spent = [] if case.store is None else case.store.lost_numbers.get((row.meter, "RELAY"), [])
    # A version that a lost store gave out is known by its number alone.
    if row.applied_relay_version != version and not any(first <= version <= last for first, last in spent):
        yield f"{row.meter}: relay version {row.applied_relay_version} applied, at the meter {version}"
    if bool(row.relay_open) != (relay == "open") and _settled(case, row):
        yield f"{row.meter}: relay {'open' if row.relay_open else 'closed'}, at the meter {relay}"
    counter = log.counter(row.meter)
    if (row.applied_credit_seq, row.applied_credit_total_micros) != counter:
        ours = row.applied_credit_seq, row.applied_credit_total_micros
        yield f"{row.meter}: credits applied up to {ours}, at the meter {counter}"


def _settled(case: Case, row: Meter) -> bool:
    """Whether the meter took a reading after its relay moved last: only readings tell the position."""
    moves = case.log.moves.get(row.meter)
    return not moves or not len(case.log.taken_at_s) or moves[-1].at_s <= int(case.log.taken_at_s[-1])


# --- I23, I24 ----------------------------------------------------------------------------------------------


def _bounded(case: Case) -> Finding:
    course = case.course
    wrong: list[str] = []
    shown: list[str] = []
    first_s = min((fault.window.from_s for fault in course.faults), default=None)
    healed_s = course.healed_at_s
    if first_s is not None and healed_s is not None:
        before = case.delays_s(0, first_s)
        calm_s = healed_s if course.converged_at_s is None else min(course.converged_at_s, healed_s + HOUR_S)
        after = case.delays_s(calm_s, 1 << 62)
        if min(len(before), len(after)) >= FEW:
            was_s, is_s = float(np.percentile(before, 90)), float(np.percentile(after, 90))
            most_s = max(TIMES_BEFORE * was_s, FLOOR_S + case.slack.most_s)
            shown.append(f"credits within {was_s:,.0f} s before and {is_s:,.0f} s after")
            if is_s > most_s:
                wrong.append(f"nine of ten credits within {is_s:,.0f} s after healing, {was_s:,.0f} s before")
    wrong += _memory(case, shown)
    # That a store is as large as what is in it says nothing of faults.
    store_size = _store_size(case, wrong)
    not_shown = "" if shown else "too few recharges and samples before and after a fault"
    shown += store_size
    return found("I23", wrong, "; ".join(shown), not_shown=not_shown)


def _memory(case: Case, shown: list[str]) -> Iterator[str]:
    samples = case.course.samples
    rss = samples.get("headend_rss_kib", np.empty(0, np.int64))
    stages = np.array(case.course.stages)
    if (rss > 0).any() and (stages == "before").any():
        calm = int(rss[stages == "before"].max())
        most = int(rss.max())
        shown.append(f"at most {most:,} KiB of memory, {calm:,} before the faults")
        if calm and most > TIMES_BEFORE * calm + MEMORY_KIB:
            yield f"{most:,} KiB of memory, {calm:,} before the faults"


def _store_size(case: Case, wrong: list[str]) -> list[str]:
    """How large the store grew, in words; too large is added to what is wrong."""
    size = case.course.samples.get("store_bytes", np.empty(0, np.int64))
    if case.store is None or len(size) < 2 or not size.max():
        return []
    store, readings = case.store, int((case.log.taken_wh != ABSENT).sum())
    rows = len(store.transfers) + len(store.deliveries) + len(store.acts) + len(case.log.meters)
    most_bytes, grown = BYTES_AT_LEAST + BYTES_A_READING * readings + BYTES_A_TRANSFER * rows, int(size.max())
    if grown > most_bytes:
        wrong.append(f"the store grew to {grown:,} bytes, for what is in it {most_bytes:,} are enough")
    return [f"a store of {grown:,} bytes for {readings:,} readings"]


def _repeated(this_hash: str, again_hash: str | None) -> Finding:
    if again_hash is None:
        return found("I24", (), "", not_shown="the seed was run once")
    wrong = [f"{this_hash} and {again_hash}"] if this_hash != again_hash else []
    return found("I24", wrong, f"two runs of one seed, log hash {this_hash[:16]}")


# --- I25 ---------------------------------------------------------------------------------------------------


def _approved(case: Case) -> Finding:
    store = case.store
    if store is None:
        return case.without_store("I25")

    def wrong() -> Iterator[str]:
        previous, expected = GENESIS, 1
        for act in store.acts:
            if act.act_id != expected:
                yield f"act {expected} is missing before {act.act_id}"
            if not (act.actor.strip() and act.reason.strip() and act.subject.strip()):
                yield f"act {act.act_id} ({act.kind}): by {act.actor!r} for {act.reason!r}"
            if _link(previous, act) != act.chain_hash:
                yield f"act {act.act_id} ({act.kind} {act.subject}) does not fit the one before it"
            previous, expected = act.chain_hash, act.act_id + 1
        yield from _unapproved(store)

    releases = sum(act.kind == "RELEASED" for act in store.acts)
    holds = f"{len(store.acts):,} acts in the chain, {releases:,} releases"
    return found("I25", wrong(), holds, not_shown="" if store.acts else "nobody did anything")


def _link(previous: bytes, act: Act) -> bytes:
    """SHA-256 over the hash before and the act as a JSON array; its basis stands there as it is."""
    texts = ",".join(json.dumps(text, ensure_ascii=False) for text in act[2:6])
    return hashlib.sha256(previous + f"[{act.act_id},{act.at_s},{texts},{act.basis}]".encode()).digest()


def _unapproved(store: Store) -> Iterator[str]:
    """Cuts without an act, and releases by the person who had asked."""
    cut = {(act.subject, _basis(act).get("relay_version")) for act in store.acts if act.kind == "CUT"}
    for wish in store.wishes:
        if wish.state == "ISSUED" and (f"meter/{wish.meter}", wish.relay_version) not in cut:
            yield f"{wish.meter}: order {wish.relay_version} to open, and no act says who and why"
    for act in store.acts:
        asked_by = str(_basis(act).get("requested_by", ""))
        if act.kind == "RELEASED" and asked_by.strip().casefold() == act.actor.strip().casefold():
            yield f"act {act.act_id}: {act.actor} released what {asked_by} had asked for"


def _basis(act: Act) -> dict[str, object]:
    try:
        basis = json.loads(act.basis)
    except ValueError:
        return {}
    return basis if isinstance(basis, dict) else {}
