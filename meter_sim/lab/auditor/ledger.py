"""The ledger in itself, I1, I2 and I5: it balances, its sums are the fold of its transfers, its chain holds."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from meter_sim.lab.auditor.case import Case
from meter_sim.lab.auditor.finding import found
from meter_sim.lab.auditor.store import Store, Transfer
from meter_sim.lab.result import Finding

GENESIS: Final = bytes(32)


def balanced(case: Case, store: Store) -> Finding:
    """I1."""
    sums = case.course.samples.get("ledger_sum_micros", np.empty(0, np.int64))

    def wrong() -> Iterator[str]:
        for transfer in store.transfers:
            if transfer.amount_micros <= 0 or transfer.debit == transfer.credit:
                accounts = f"{transfer.debit} to {transfer.credit}"
                yield f"{transfer.reference}: {transfer.amount_micros} micros from {accounts}"
            elif transfer.debit not in store.accounts or transfer.credit not in store.accounts:
                yield f"{transfer.reference}: an account that does not exist"
        total = sum(each.credits_micros - each.debits_micros for each in store.accounts.values())
        if total:
            yield f"the accounts add up to {total} micros"
        for index in np.flatnonzero(sums):
            yield f"at {case.course.samples['at_s'][index]} the accounts added up to {sums[index]} micros"

    holds = (
        f"{len(store.transfers):,} transfers, {len(store.accounts):,} accounts, {len(sums):,} looks at their sum"
    )
    return found("I1", wrong(), holds, not_shown="" if store.transfers else "nothing was ever transferred")


def folded(store: Store) -> Finding:
    """I2."""
    debits: Counter[int] = Counter()
    credits: Counter[int] = Counter()
    recharged: Counter[int] = Counter()
    for transfer in store.transfers:
        debits[transfer.debit] += transfer.amount_micros
        credits[transfer.credit] += transfer.amount_micros
        if transfer.kind == "RECHARGE":
            recharged[transfer.credit] += transfer.amount_micros

    def wrong() -> Iterator[str]:
        for account in store.accounts.values():
            fold = credits[account.account_key], debits[account.account_key]
            if fold != (account.credits_micros, account.debits_micros):
                stored = account.credits_micros, account.debits_micros
                yield f"{account.code}: credits and debits {stored} stored, {fold} by the transfers"
        for meter in store.meters.values():
            if recharged[meter.account_key] != meter.credit_total_micros:
                yield (
                    f"{meter.meter}: counter at {meter.credit_total_micros} micros,"
                    f" recharges of {recharged[meter.account_key]}"
                )

    counted = f"{len(store.accounts):,} accounts and {len(store.meters):,} counters"
    holds = f"{counted}, by {len(store.transfers):,} transfers"
    return found("I2", wrong(), holds, not_shown="" if store.transfers else "nothing was ever transferred")


def chained(store: Store) -> Finding:
    """I5."""

    def wrong() -> Iterator[str]:
        previous, expected = GENESIS, 1
        by_id = {transfer.transfer_id: transfer for transfer in store.transfers}
        for transfer in store.transfers:
            if transfer.transfer_id != expected:
                yield f"transfer {expected} is missing before {transfer.transfer_id}"
            if _link(previous, transfer) != transfer.chain_hash:
                yield f"transfer {transfer.transfer_id} ({transfer.reference}) does not fit the one before it"
            if transfer.kind == "REVERSAL":
                yield from _wrong_reversal(transfer, by_id)
            elif transfer.corrects is not None:
                yield f"transfer {transfer.transfer_id} corrects one and is no reversal"
            previous, expected = transfer.chain_hash, transfer.transfer_id + 1

    reversals = sum(transfer.kind == "REVERSAL" for transfer in store.transfers)
    holds = f"the chain of {len(store.transfers):,} transfers, with {reversals:,} corrections"
    return found("I5", wrong(), holds, not_shown="" if store.transfers else "nothing was ever transferred")


def _link(previous: bytes, transfer: Transfer) -> bytes:
    corrects = "" if transfer.corrects is None else transfer.corrects
    text = "\n".join(str(part) for part in (*transfer[:8], corrects))
    return hashlib.sha256(previous + text.encode()).digest()


def _wrong_reversal(transfer: Transfer, by_id: dict[int, Transfer]) -> Iterator[str]:
    old = None if transfer.corrects is None else by_id.get(transfer.corrects)
    if old is None or old.transfer_id >= transfer.transfer_id:
        yield f"reversal {transfer.transfer_id} names no earlier transfer"
    elif (old.debit, old.credit, old.amount_micros) != (transfer.credit, transfer.debit, transfer.amount_micros):
        yield f"reversal {transfer.transfer_id} is not the opposite of {old.transfer_id}"
