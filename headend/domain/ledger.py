"""The double-entry ledger: transfers that name both accounts, in one hash chain.

A transfer moves a positive amount from the account that it debits to the one that it credits, so the sum over
all accounts is zero by construction. Transfers are never changed or removed; a correction is a new transfer
that names the old one. Consumers' accounts are liabilities: balance = credits - debits.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from headend.domain.pricing import DayCharge


class TransferKind(StrEnum):
    """Why money moved."""

    RECHARGE = "RECHARGE"
    ENERGY = "ENERGY"
    """A day's charge as the first schema had it: energy at one price, without lines."""
    CHARGE = "CHARGE"
    SPLIT = "SPLIT"
    """What charges gathered, from the account `charges` on to those of their lines."""
    REVERSAL = "REVERSAL"
    ARREARS = "ARREARS"
    INSTALMENT = "INSTALMENT"
    REFUND = "REFUND"


class RecordOutcome(StrEnum):
    """What came of a request to record something under a caller's reference."""

    RECORDED = "RECORDED"
    EXISTS = "EXISTS"
    EXISTS_DIFFERENT = "EXISTS_DIFFERENT"
    UNKNOWN_METER = "UNKNOWN_METER"
    TOTAL_TOO_LARGE = "TOTAL_TOO_LARGE"


RECHARGES_ACCOUNT: Final = "recharges"
"""Debited by every recharge: money that payment channels owe or have paid us."""

CHARGES_ACCOUNT: Final = "charges"
"""Credited by every charge and emptied again in the same commit: it stands at zero."""

ENERGY_ACCOUNT: Final = "energy"
FIXED_ACCOUNT: Final = "fixed"
DUTY_ACCOUNT: Final = "duty"
REBATES_ACCOUNT: Final = "rebates"
ROUNDING_ACCOUNT: Final = "rounding"
"""The lines of bills: revenue, duty owed to the state, rebates granted, and what rounding to a paisa leaves."""

REFUNDS_ACCOUNT: Final = "refunds"
"""Credited with what is owed to consumers who moved out."""

GENESIS_HASH: Final = bytes(32)


def consumer_account(meter: str) -> str:
    """The code of a consumer's account."""
    return f"consumer/{meter}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One row of the ledger. Accounts are keys of the store; times are seconds UTC.

    `accepted_at_s` is when the request was accepted, `posted_at_s` when it entered the ledger: the first two
    of a recharge's four facts.
    """

    transfer_id: int
    reference: str
    kind: TransferKind
    debit_account: int
    credit_account: int
    amount_micros: int
    accepted_at_s: int
    posted_at_s: int
    corrects: int | None
    chain_hash: bytes


def chain_hash(
    previous: bytes,
    transfer_id: int,
    reference: str,
    kind: str,
    debit_account: int,
    credit_account: int,
    amount_micros: int,
    accepted_at_s: int,
    posted_at_s: int,
    corrects: int | None,
) -> bytes:
    """SHA-256 over the previous transfer's hash and every field of this one: 32 bytes.

    Fields are joined by line feeds, which no field can contain, so different rows have different inputs.
    """
    fields = (
        f"{transfer_id}\n{reference}\n{kind}\n{debit_account}\n{credit_account}\n{amount_micros}\n"
        f"{accepted_at_s}\n{posted_at_s}\n{'' if corrects is None else corrects}"
    )
    return hashlib.sha256(previous + fields.encode()).digest()


class LineTransfer(NamedTuple):
    """What goes from one account to another for one line of many bills. `account` is the line's own."""

    account: str
    debits: str
    credits: str
    amount_micros: int


def line_transfers(bills: Sequence[DayCharge], sign: int = 1) -> list[LineTransfer]:
    """Where the total of bills goes, by their lines. `sign` -1: where it comes back from."""
    lines = (
        (ENERGY_ACCOUNT, sign * sum(bill.energy_micros for bill in bills)),
        (FIXED_ACCOUNT, sign * sum(bill.fixed_micros for bill in bills)),
        (DUTY_ACCOUNT, sign * sum(bill.duty_micros for bill in bills)),
        (REBATES_ACCOUNT, -sign * sum(bill.rebate_micros for bill in bills)),
        (ROUNDING_ACCOUNT, sign * sum(bill.rounding_micros for bill in bills)),
    )
    return [
        LineTransfer(account, CHARGES_ACCOUNT, account, amount)
        if amount > 0
        else LineTransfer(account, account, CHARGES_ACCOUNT, -amount)
        for account, amount in lines
        if amount
    ]
