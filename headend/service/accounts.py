"""Use cases of the counter: register meters, record recharges, order relay positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from headend.domain.ledger import RECHARGES_ACCOUNT, RecordOutcome, Transfer, TransferKind
from headend.domain.units import MAX_TOTAL_MICROS
from headend.service.ports import UnitOfWork
from headend.service.rows import NewTransfer, Registration


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
    known = uow.registrations([registration.meter for registration in new])
    outcomes = []
    added: dict[str, Registration] = {}
    for registration in new:
        before = known.get(registration.meter) or added.get(registration.meter)
        if before is None:
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
            account is not None
            and earlier.kind is TransferKind.RECHARGE
            and earlier.credit_account == account.account_key
            and earlier.amount_micros == recharge.amount_micros
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


def order_relay(
    meter: str, position: str, reason: str, opens_expire_after_s: int, uow: UnitOfWork, now_s: int
) -> int | None:
    """Order a relay position (`open` or `closed`); its version, None for an unknown meter.

    An order to open expires, so that no cut comes late; an order to close never does.
    """
    expires_at_s = now_s + opens_expire_after_s if position == "open" else None
    return uow.issue_relay(meter, position, reason, expires_at_s, now_s)
