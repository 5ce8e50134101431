"""Bugs that lose, double or misplace money: I1 to I8."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest
from planted_bug import Bug, change_statement, without_checks

from headend.adapters import sqlite_rows
from headend.adapters.sqlite import SqliteStore
from headend.adapters.sqlite_rows import SqliteUnitOfWork
from headend.domain import arrears, pricing
from headend.domain.ledger import RecordOutcome, Transfer, TransferKind
from headend.domain.tariff_rounding import Rounding, RoundingRule, divide
from headend.service import arrears as plans
from headend.service import recharges, settle
from headend.service.accounts import Recharge, Recorded, record_recharge
from headend.service.ports import StoreError, UnitOfWork
from headend.service.ports.billing import OpenDay
from headend.service.rows import NewTransfer
from headend.service.server import Headend
from headend.service.traffic import ReceiptOut
from headend.service.upkeep import Upkeep

DAY_S: Final = 86_400

# --- the ledger in itself ----------------------------------------------------------------------------------


def credits_whole_rupees(patch: pytest.MonkeyPatch) -> None:
    """What is credited is rounded down to a rupee; what is debited is not."""
    change_statement(patch, "credit_accounts", "SELECT credit_account, sum(amount_micros)",
                     "SELECT credit_account, sum(amount_micros) / 1000000 * 1000000")  # fmt: skip


def balances_without_transfer(patch: pytest.MonkeyPatch) -> None:
    """A bonus is written into the accounts, and no transfer tells of it."""
    record = recharges.record_recharge

    def recorded(recharge: Recharge, uow: SqliteUnitOfWork, now_s: int) -> Recorded:
        found = record(recharge, uow, now_s)
        if found.outcome is RecordOutcome.RECORDED and found.transfer is not None:
            for column, account in (
                ("credits", found.transfer.credit_account),
                ("debits", found.transfer.debit_account),
            ):
                update = f"UPDATE account SET {column}_micros = {column}_micros + 10000 WHERE account_key = ?"
                uow._connection.execute(update, (account,))
        return found

    patch.setattr(recharges, "record_recharge", recorded)


def chain_without_amounts(patch: pytest.MonkeyPatch) -> None:
    """The hash of a transfer does not cover how much it was."""
    link = sqlite_rows.chain_hash

    def chained(previous: bytes, number: int, reference: str, kind: str, debit: int, credit: int, micros: int,
                *times: Any) -> bytes:  # fmt: skip
        return link(previous, number, reference, kind, debit, credit, 0 * micros, *times)

    patch.setattr(sqlite_rows, "chain_hash", chained)


def _after_conflict(
    patch: pytest.MonkeyPatch, then: Callable[[Recharge, Transfer, SqliteUnitOfWork, int], Recorded]
) -> None:
    """Do something about a request whose reference stands for other content."""
    record = recharges.record_recharge

    def recorded(recharge: Recharge, uow: SqliteUnitOfWork, now_s: int) -> Recorded:
        found = record(recharge, uow, now_s)
        if found.outcome is RecordOutcome.EXISTS_DIFFERENT and found.transfer is not None:
            return then(recharge, found.transfer, uow, now_s)
        return found

    patch.setattr(recharges, "record_recharge", recorded)


def transfer_changed_in_place(patch: pytest.MonkeyPatch) -> None:
    """Who asks for another amount under the same reference changes the transfer."""

    def change(recharge: Recharge, transfer: Transfer, uow: SqliteUnitOfWork, now_s: int) -> Recorded:
        update = "UPDATE transfer SET amount_micros = ? WHERE transfer_id = ?"
        uow._connection.execute(update, (recharge.amount_micros, transfer.transfer_id))
        return Recorded(recharge, RecordOutcome.EXISTS_DIFFERENT, transfer)

    _after_conflict(patch, change)


def reversal_of_nothing(patch: pytest.MonkeyPatch) -> None:
    """A conflict is corrected by money that goes back, and does not say what it corrects."""
    without_checks(patch)

    def reverse(recharge: Recharge, transfer: Transfer, uow: SqliteUnitOfWork, now_s: int) -> Recorded:
        reference = f"reversal/{recharge.reference}"
        if uow.transfer(reference) is None:
            accounts = transfer.credit_account, transfer.debit_account
            uow.post(
                [NewTransfer(reference, TransferKind.REVERSAL, *accounts, transfer.amount_micros, now_s, now_s)]
            )
        return Recorded(recharge, RecordOutcome.EXISTS_DIFFERENT, transfer)

    _after_conflict(patch, reverse)


# --- references --------------------------------------------------------------------------------------------


def _recorded_anew(
    patch: pytest.MonkeyPatch, forgotten: Callable[[Transfer, SqliteUnitOfWork, int], bool]
) -> None:
    """What is forgotten is recorded once more, under a number of our own."""

    def recorded(recharge: Recharge, uow: SqliteUnitOfWork, now_s: int) -> Recorded:
        earlier = uow.transfer(recharge.reference)
        if earlier is not None and forgotten(earlier, uow, now_s):
            recharge = replace(recharge, reference=f"{recharge.reference}#{now_s}")
        return record_recharge(recharge, uow, now_s)

    patch.setattr(recharges, "record_recharge", recorded)


def references_kept_a_day(patch: pytest.MonkeyPatch) -> None:
    """The usual window of 24 hours in which a repetition is known as one."""
    _recorded_anew(patch, lambda earlier, uow, now_s: now_s - earlier.accepted_at_s > DAY_S)


def references_kept_in_memory(patch: pytest.MonkeyPatch) -> None:
    """A process knows the references that it has seen itself."""
    seen: dict[int, tuple[object, set[str]]] = {}

    def is_new_here(earlier: Transfer, uow: SqliteUnitOfWork, now_s: int) -> bool:
        _, known = seen.setdefault(id(uow), (uow, set()))
        fresh = earlier.accepted_at_s < now_s and earlier.reference not in known
        known.add(earlier.reference)
        return fresh and len(known) > 1

    _recorded_anew(patch, is_new_here)


def other_amount_accepted(patch: pytest.MonkeyPatch) -> None:
    """The same reference is the same recharge, whatever it asks for."""

    def accept(recharge: Recharge, transfer: Transfer, uow: SqliteUnitOfWork, now_s: int) -> Recorded:
        return Recorded(recharge, RecordOutcome.EXISTS, transfer)

    _after_conflict(patch, accept)


# --- charges -----------------------------------------------------------------------------------------------


def day_charged_twice(patch: pytest.MonkeyPatch) -> None:
    """A night's charges are posted, and posted again under references that look new."""
    write = settle._Batch.write

    def written(batch: settle._Batch) -> None:
        write(batch)
        batch.uow.post([each._replace(reference=f"{each.reference}/again") for each in batch.transfers[:1]])

    patch.setattr(settle._Batch, "write", written)


def missing_midnight_guessed(patch: pytest.MonkeyPatch) -> None:
    """A midnight that is not in an hour later is taken to be the newest reading that there is."""
    begin = Upkeep.begin_round
    guess = (
        "INSERT INTO snapshot (meter_key, day, register_wh) SELECT m.meter_key, m.settled_day + 1, r.register_wh"
        " FROM meter AS m JOIN register AS r USING (meter_key) WHERE r.read_at_s < ? ON CONFLICT DO NOTHING"
    )

    def begun(upkeep: Upkeep, uow: SqliteUnitOfWork, now_s: int) -> None:
        uow._connection.execute(guess, (now_s - 4 * 3_600,))
        begin(upkeep, uow, now_s)

    patch.setattr(Upkeep, "begin_round", begun)


def day_closed_by_newest_reading(patch: pytest.MonkeyPatch) -> None:
    """A day is charged up to the newest reading, which is the midnight's only if all goes well."""
    settle_meter = settle._settle_meter

    def settled(days: Sequence[OpenDay], batch: Any) -> None:
        held = batch.uow.register_states([days[0].meter_key])
        settle_meter([day._replace(register_wh=held[day.meter_key][1]) for day in days], batch)

    patch.setattr(settle, "_settle_meter", settled)


def paisa_cut_off(patch: pytest.MonkeyPatch) -> None:
    """A bill is rounded down, not to the nearest paisa."""

    def rounded(rounding: Rounding, amount_micros: int) -> int:
        return divide(amount_micros, rounding.unit_micros, RoundingRule.DOWN) * rounding.unit_micros

    patch.setattr(Rounding, "rounded_micros", rounded)


def money_in_fractions(patch: pytest.MonkeyPatch) -> None:
    """Energy is priced in kWh and rupees, with a fraction, and made whole at the end."""

    def cost_micros(ladder: pricing._Ladder, month_wh: int) -> int:
        return int(month_wh / 1_000 * 4.12 * 1e6)

    patch.setattr(pricing._Ladder, "cost_micros", cost_micros)


def readings_dropped(patch: pytest.MonkeyPatch) -> None:
    """The first row of every frame is not kept, and receipted with the others."""
    add = SqliteUnitOfWork.add_segment

    def added(uow: SqliteUnitOfWork, *columns: Sequence[int]) -> None:
        if len(columns[0]) > 1:
            add(uow, *(column[1:] for column in columns))

    patch.setattr(SqliteUnitOfWork, "add_segment", added)


# --- plans -------------------------------------------------------------------------------------------------


def instalments_not_counted(patch: pytest.MonkeyPatch) -> None:
    """What is paid on a plan is taken, and the plan does not know of it."""
    change_statement(patch, "put_course", "recovered_micros = debt_micros - ?2", "recovered_micros = 0 * ?2")


def plan_without_its_debt(patch: pytest.MonkeyPatch) -> None:
    """A plan is made, and the debt stays where it was."""
    move = plans._move

    def moved(reference: str, kind: TransferKind, debit: int, credit: int, micros: int, now_s: int) -> NewTransfer:
        return move(reference, kind, debit, credit, micros if kind is not TransferKind.ARREARS else 1, now_s)

    patch.setattr(plans, "_move", moved)


def instalments_too_high(patch: pytest.MonkeyPatch) -> None:
    """A debt comes back in thirty parts where three hundred were promised."""
    instalment = arrears.instalment_micros
    patch.setattr(arrears, "instalment_micros", lambda debt_micros, count: instalment(debt_micros, count // 10))


# --- answers and commits -----------------------------------------------------------------------------------


def store_synced_now_and_then(patch: pytest.MonkeyPatch) -> None:
    """What most use with a write-ahead log: synced is what a checkpoint has copied."""
    configure = SqliteStore._configure

    def configured(store: SqliteStore) -> None:
        configure(store)
        store._connection.execute("PRAGMA synchronous = NORMAL")

    patch.setattr(SqliteStore, "_configure", configured)


def failed_commit_ignored(patch: pytest.MonkeyPatch) -> None:
    """A commit that fails is noted somewhere, and the answer goes out all the same."""
    transaction = SqliteStore.transaction

    @contextmanager
    def ignoring(store: SqliteStore) -> Iterator[UnitOfWork]:
        entered = False
        try:
            with transaction(store) as uow:
                entered = True
                yield uow
        except StoreError:
            if not entered:
                raise

    patch.setattr(SqliteStore, "transaction", ignoring)


def receipts_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Gateways get their receipts as soon as their messages are taken in."""
    take = Headend._take_messages

    def taken(headend: Headend, messages: Any, uow: UnitOfWork, now_s: int) -> list[Any]:
        outgoing = take(headend, messages, uow, now_s)
        receipts = [each for each in outgoing if isinstance(each, ReceiptOut)]
        headend._link.send(receipts, now_s)
        return [each for each in outgoing if not isinstance(each, ReceiptOut)]

    patch.setattr(Headend, "_take_messages", taken)


MONEY: Final = (
    Bug("credits whole rupees", "I1", "away", credits_whole_rupees, "add up to"),
    Bug("balances without a transfer", "I2", "away", balances_without_transfer, "by the transfers"),
    Bug("references kept in memory", "I3", "disk", references_kept_in_memory, "micros more than"),
    Bug("references kept for a day", "I4", "ordinary", references_kept_a_day, "recorded again"),
    Bug("another amount accepted", "I4", "ordinary", other_amount_accepted, "asked for with other content"),
    Bug("chain without amounts", "I5", "away", chain_without_amounts, "does not fit"),
    Bug("transfer changed in place", "I5", "ordinary", transfer_changed_in_place, "does not fit"),
    Bug("reversal of nothing", "I5", "ordinary", reversal_of_nothing, "names no earlier transfer"),
    Bug("day charged twice", "I6", "away", day_charged_twice, "taken from its account"),
    Bug("missing midnight guessed", "I6", "cuts", missing_midnight_guessed, "by the meter it is"),
    Bug("day closed by the newest reading", "I6", "ordinary", day_closed_by_newest_reading, "by the meter it is"),
    Bug("paisa cut off", "I6", "cuts", paisa_cut_off, "by the meter it is"),
    Bug("money in fractions", "I6", "ordinary", money_in_fractions, "by the meter it is"),
    Bug("readings dropped", "I6", "away", readings_dropped, "nothing in the store"),
    Bug("instalments not counted", "I7", "cuts", instalments_not_counted, "left on its account"),
    Bug("plan without its debt", "I7", "cuts", plan_without_its_debt, "left on its account"),
    Bug("instalments too high", "I19", "cuts", instalments_too_high, "taken for arrears"),
    Bug("store synced now and then", "I8", "disk", store_synced_now_and_then, "in the store None"),
    Bug("failed commit ignored", "I8", "disk", failed_commit_ignored, "in the store None"),
    Bug("receipts before the commit", "I8", "disk", receipts_before_commit, "receipted, and not in the store"),
)
