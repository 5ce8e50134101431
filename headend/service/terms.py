"""What a meter is billed by, from a day on: category, load, and whose account it is."""

from enum import StrEnum

from headend.domain.evidence import Act, ActKind
from headend.domain.ledger import consumer_account
from headend.service.arrears import cancel_plan
from headend.service.ports import UnitOfWork
from headend.service.ports.billing import Terms
from headend.service.rows import MeterRow
from headend.service.settle import terms_on


class TermsOutcome(StrEnum):
    """What came of a change of terms."""

    CHANGED = "CHANGED"
    EXISTS = "EXISTS"
    ALREADY_SETTLED = "ALREADY_SETTLED"
    """The first day is charged already: bill it anew (`corrections.rebill`), or begin later."""
    BEFORE_INSTALLED = "BEFORE_INSTALLED"
    TOO_EARLY = "TOO_EARLY"
    """An earlier consumer than the present one lived there on that day."""


def change_terms(
    meter: MeterRow,
    from_day: int,
    category: str | None,
    load_w: int | None,
    actor: str,
    reason: str,
    uow: UnitOfWork,
    now_s: int,
) -> TermsOutcome:
    """Bill a meter by another category or load (None: as before) from a day on; days before stay as they are."""
    meter_key = uow.meter_keys([meter.meter])[0][1]
    changed, own = _terms(meter, meter_key, uow)
    before = terms_on(from_day, changed, own)
    new = Terms(from_day, before.account_key, category or before.category, load_w or before.load_w)
    if new[1:] == before[1:]:
        return TermsOutcome.EXISTS
    if from_day < meter.installed_day:
        return TermsOutcome.BEFORE_INSTALLED
    if from_day <= meter.settled_day:
        return TermsOutcome.ALREADY_SETTLED
    uow.put_terms(meter_key, new)
    basis = {"from_day": from_day, "category": new.category or "", "load_w": new.load_w}
    uow.record_act(Act(now_s, actor, ActKind.TERMS_CHANGED, f"meter/{meter.meter}", reason, basis))
    return TermsOutcome.CHANGED


def move_out(meter: MeterRow, last_day: int, actor: str, reason: str, uow: UnitOfWork, now_s: int) -> TermsOutcome:
    """End a consumer's account with a billing day: the next one begins with an account of its own at zero.

    Recharges go to the new account at once. The last days are charged to the old one when they settle, and what
    is left on it then is refunded.
    """
    if last_day < meter.account_from_day:
        return TermsOutcome.TOO_EARLY
    if last_day <= meter.settled_day:
        return TermsOutcome.ALREADY_SETTLED
    meter_key = uow.meter_keys([meter.meter])[0][1]
    changed, own = _terms(meter, meter_key, uow)
    before = terms_on(last_day + 1, changed, own)
    if any(terms.from_day > last_day + 1 for terms in changed):
        return TermsOutcome.TOO_EARLY
    # What is left of a plan is the consumer's who leaves: it comes off what is refunded.
    cancel_plan(meter.meter, actor, "moved out", uow, now_s)
    account_key = uow.add_account(f"{consumer_account(meter.meter)}/{last_day + 1}", meter.meter)
    uow.put_terms(meter_key, Terms(last_day + 1, account_key, before.category, before.load_w))
    uow.move_to_account(meter_key, account_key, last_day + 1)
    basis = {"last_day": last_day, "settled_day": meter.settled_day}
    uow.record_act(Act(now_s, actor, ActKind.MOVED_OUT, f"meter/{meter.meter}", reason, basis))
    return TermsOutcome.CHANGED


def _terms(meter: MeterRow, meter_key: int, uow: UnitOfWork) -> tuple[list[Terms], Terms]:
    return uow.terms(meter_key), Terms(0, meter.account_key, meter.category, meter.load_w)
