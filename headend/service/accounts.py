"""Use cases of the counter: register meters, record recharges, order relay positions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from zoneinfo import ZoneInfo

from headend.domain.account import Balance, derive_balance
from headend.domain.calendar import day_of
from headend.domain.ledger import RECHARGES_ACCOUNT, RecordOutcome, Transfer, TransferKind
from headend.domain.pricing import Pricer
from headend.domain.tariff_book import PriceBook
from headend.domain.units import MAX_TOTAL_MICROS
from headend.service.ports import UnitOfWork
from headend.service.ports.billing import Terms
from headend.service.rows import MeterRow, NewTransfer, Registration
from headend.service.settle import terms_on


class RegisterOutcome(StrEnum):
    """What came of registering a meter."""

    REGISTERED = "REGISTERED"
    EXISTS = "EXISTS"
    EXISTS_DIFFERENT = "EXISTS_DIFFERENT"


@dataclass(frozen=True, slots=True)
class Recharge:
    """A request: the caller's reference makes it the same request however often it comes."""

    meter: str
    amount_micros: int
    reference: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer to a recharge. `transfer` is what stands in the ledger under the reference, if anything."""

    recharge: Recharge
    outcome: RecordOutcome
    transfer: Transfer | None


def register_meters(new: Sequence[Registration], uow: UnitOfWork) -> list[RegisterOutcome]:
    """Enter meters; the same registration again changes nothing. One outcome per request, in order."""
    asked = [registration.meter for registration in new]
    known, former = uow.registrations(asked), {device.device for device in uow.former_devices(asked)}
    outcomes = []
    added: dict[str, Registration] = {}
    for registration in new:
        before = known.get(registration.meter) or added.get(registration.meter)
        if registration.meter in former:
            # The id of a device that was exchanged is never given to another meter.
            outcomes.append(RegisterOutcome.EXISTS_DIFFERENT)
        elif before is None:
            added[registration.meter] = registration
            outcomes.append(RegisterOutcome.REGISTERED)
        elif before == registration:
            outcomes.append(RegisterOutcome.EXISTS)
        else:
            outcomes.append(RegisterOutcome.EXISTS_DIFFERENT)
    uow.register_meters(list(added.values()))
    return outcomes


def record_recharge(recharge: Recharge, uow: UnitOfWork, now_s: int) -> Recorded:
    """Enter a recharge: ledger transfer, balance, credit number and delivery belong to one commit.

    The caller has checked the amount (`units.parse_rupees`) and the reference's form.
    """
    earlier = uow.transfer(recharge.reference)
    account = uow.meter_account(recharge.meter)
    if earlier is not None:
        same = (
            earlier.kind is TransferKind.RECHARGE
            and earlier.amount_micros == recharge.amount_micros
            # Also where its device was exchanged since, or its consumer moved out.
            and uow.is_account_of(earlier.credit_account, recharge.meter)
        )
        return Recorded(recharge, RecordOutcome.EXISTS if same else RecordOutcome.EXISTS_DIFFERENT, earlier)
    if account is None:
        return Recorded(recharge, RecordOutcome.UNKNOWN_METER, None)
    if account.credit_total_micros + recharge.amount_micros > MAX_TOTAL_MICROS:
        return Recorded(recharge, RecordOutcome.TOTAL_TOO_LARGE, None)
    (transfer,) = uow.post(
        [
            NewTransfer(
                reference=recharge.reference,
                kind=TransferKind.RECHARGE,
                debit_account=uow.account_key(RECHARGES_ACCOUNT),
                credit_account=account.account_key,
                amount_micros=recharge.amount_micros,
                accepted_at_s=now_s,
                posted_at_s=now_s,
            )
        ]
    )
    uow.issue_credit(account, transfer)
    return Recorded(recharge, RecordOutcome.RECORDED, transfer)


def changed_terms(row: MeterRow, uow: UnitOfWork) -> list[Terms]:
    """A meter's terms, where they ever changed: what its registration says is then only what it began with."""
    return uow.terms(uow.meter_keys([row.meter])[0][1]) if row.has_terms else []


def shown_balance(
    row: MeterRow, prices: PriceBook, today: int, zone: ZoneInfo, changed: Sequence[Terms]
) -> Balance:
    """A meter's balance as its consumer is shown it: posted, less what is used and not settled.

    `changed`: the meter's terms, where they ever changed (`changed_terms`).

    While days of a consumer who moved out are not settled, nobody knows what of the energy since is whose: then
    only what is posted on the present consumer's account is shown, as provisional.

    Raises:
        NoPrice: the tariff has no price for the meter's category.
    """
    reading_day = None if row.read_at_s is None else day_of(row.read_at_s - 1, zone)
    shared = row.settled_day + 1 < row.account_from_day
    own = Terms(0, row.account_key, row.category, row.load_w)

    def pricer(day: int) -> Pricer:
        terms = terms_on(day, changed, own)
        return prices.pricer(day, terms.category, terms.load_w)

    balance = derive_balance(
        pricer,
        credits_micros=row.credits_micros,
        debits_micros=row.debits_micros,
        register_wh=row.settled_register_wh if shared else row.register_wh,
        settled_register_wh=row.settled_register_wh,
        settled_day=today - 1 if shared else row.settled_day,
        month_wh=row.month_wh,
        today=today,
        reading_day=reading_day,
        as_of_s=row.read_at_s,
    )
    return replace(balance, provisional_since_day=row.account_from_day) if shared else balance


def order_closed(meter: str, reason: str, uow: UnitOfWork, now_s: int) -> int | None:
    """Order the supply back: it never expires and is never refused; the version, None for an unknown meter.

    Orders to open a relay come from the gate alone (`service.gate`).
    """
    return uow.issue_relay(meter, "closed", reason, None, now_s)
