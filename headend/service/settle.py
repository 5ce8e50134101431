"""Settlement: a billing day is charged once, when its closing midnight snapshot is in, in order of days."""

from dataclasses import dataclass
from datetime import date

from headend.domain.ledger import ENERGY_ACCOUNT, TransferKind
from headend.domain.reconcile import ExceptionKind
from headend.domain.tariff import FlatTariff
from headend.service.ports import UnitOfWork
from headend.service.rows import NewTransfer, UnsettledDay


@dataclass(frozen=True, slots=True)
class Billing:
    """What a day is charged by. `max_day_wh`: a home that drew more in a day is not billed but looked at."""

    tariff: FlatTariff
    max_day_wh: int


def settle_days(billing: Billing, uow: UnitOfWork, today: int, now_s: int, limit: int) -> int:
    """Charge up to `limit` billing days before `today`, at most one a meter; how many there were (0: none left).

    A snapshot that a meter sent ahead of its day waits until the day is over by our own clock.
    """
    days = uow.unsettled_days(billing.max_day_wh, today, limit)
    if not days:
        for day in uow.impossible_days(billing.max_day_wh):
            _list_for_a_person(day, uow, now_s)
        return 0
    energy_account = uow.account_key(ENERGY_ACCOUNT)
    charges = []
    for day in days:
        charge_micros = billing.tariff.energy_charge_micros(day.register_wh - day.settled_register_wh)
        if charge_micros:
            charges.append(
                NewTransfer(
                    reference=f"energy/{day.meter}/{date.fromordinal(day.day)}",
                    kind=TransferKind.ENERGY,
                    debit_account=day.account_key,
                    credit_account=energy_account,
                    amount_micros=charge_micros,
                    accepted_at_s=now_s,
                    posted_at_s=now_s,
                )
            )
    uow.post(charges)
    uow.settle_days(days, now_s)
    return len(days)


def _list_for_a_person(day: UnsettledDay, uow: UnitOfWork, now_s: int) -> None:
    went_back = day.register_wh < day.settled_register_wh
    kind = ExceptionKind.REGISTER_WENT_BACK if went_back else ExceptionKind.IMPLAUSIBLE_JUMP
    detail = (
        f"{date.fromordinal(day.day)} closes at {day.register_wh} Wh after {day.settled_register_wh} Wh:"
        " not billed, the day stays open"
    )
    uow.add_exception(kind, day.meter_key, detail, now_s)
