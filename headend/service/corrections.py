"""Corrections: what was posted wrongly is reversed by a transfer that names it, and a day is billed anew."""

from dataclasses import dataclass
from enum import StrEnum

from headend.domain.evidence import Act, ActKind
from headend.domain.ledger import Transfer, TransferKind
from headend.domain.pricing import DayCharge
from headend.service.ports import UnitOfWork
from headend.service.ports.billing import ChargeRow
from headend.service.rows import MeterRow, NewTransfer
from headend.service.settle import split_lines

REVERSIBLE = (TransferKind.RECHARGE, TransferKind.CHARGE)
"""The others follow from these, or correct them."""


class ReverseOutcome(StrEnum):
    """What came of a wish to reverse a transfer."""

    REVERSED = "REVERSED"
    EXISTS = "EXISTS"
    UNKNOWN_REFERENCE = "UNKNOWN_REFERENCE"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"


@dataclass(frozen=True, slots=True)
class Reversed:
    """The answer. `transfer` is the one to be reversed, if there is one of that reference."""

    outcome: ReverseOutcome
    transfer: Transfer | None


def reverse(reference: str, actor: str, reason: str, uow: UnitOfWork, now_s: int) -> Reversed:
    """Take back a recharge (a payment that bounced) or a day's charge, whole; a second time changes nothing.

    The meter's credit counter only goes up, so a reversed recharge lowers the balance here and nothing there.
    """
    transfer = uow.transfer(reference)
    if transfer is None:
        return Reversed(ReverseOutcome.UNKNOWN_REFERENCE, None)
    if transfer.kind not in REVERSIBLE:
        return Reversed(ReverseOutcome.NOT_REVERSIBLE, transfer)
    if uow.transfer(_reversal_reference(transfer)) is not None:
        return Reversed(ReverseOutcome.EXISTS, transfer)
    _post_reversal(transfer, uow, now_s)
    charge = uow.charge_of_transfer(transfer.transfer_id)
    if charge is not None:
        split_lines([_lines(charge)], _reversal_reference(transfer), uow, now_s, sign=-1)
    uow.look_again(transfer.debit_account, transfer.credit_account)
    basis = {"transfer_id": transfer.transfer_id, "kind": transfer.kind, "amount_micros": transfer.amount_micros}
    uow.record_act(Act(now_s, actor, ActKind.REVERSAL, f"transfer/{reference}", reason, basis))
    return Reversed(ReverseOutcome.REVERSED, transfer)


def rebill(meter: MeterRow, from_day: int, actor: str, reason: str, uow: UnitOfWork, now_s: int) -> int:
    """Reverse a meter's charges from a day on, and open the days again: they settle anew; how many days.

    Used when a category or a load turns out to have been another, or a snapshot was wrong. A charge that was
    reversed by hand before stays as it is.
    """
    charges = [
        charge
        for charge in uow.charges(meter.meter, from_day, meter.settled_day)
        if not charge.reversed and charge.transfer_id is not None
    ]
    lines = []
    for charge in charges:
        assert charge.transfer_id is not None
        transfer = uow.transfer_by_id(charge.transfer_id)
        if uow.transfer(_reversal_reference(transfer)) is None:
            _post_reversal(transfer, uow, now_s)
            lines.append(_lines(charge))
    for transfer in uow.energy_of_version_1(meter.meter, from_day):
        _post_reversal(transfer, uow, now_s)
    if lines:
        split_lines(lines, f"reversal/{meter.meter}/{uow.last_transfer_id()}", uow, now_s, sign=-1)
    days = meter.settled_day - from_day + 1
    uow.reopen_days(uow.meter_keys([meter.meter])[0][1], from_day)
    basis = {"from_day": from_day, "days": days, "settled_day": meter.settled_day}
    uow.record_act(Act(now_s, actor, ActKind.REVERSAL, f"meter/{meter.meter}", reason, basis))
    return days


def _post_reversal(transfer: Transfer, uow: UnitOfWork, now_s: int) -> None:
    uow.post(
        [
            NewTransfer(
                _reversal_reference(transfer), TransferKind.REVERSAL, transfer.credit_account,
                transfer.debit_account, transfer.amount_micros, now_s, now_s, corrects=transfer.transfer_id,
            )
        ]
    )  # fmt: skip


def _reversal_reference(transfer: Transfer) -> str:
    return f"reversal/{transfer.reference}"


def _lines(charge: ChargeRow) -> DayCharge:
    return DayCharge(
        charge.energy_micros,
        charge.fixed_micros,
        charge.duty_micros,
        charge.rebate_micros,
        charge.rounding_micros,
    )
