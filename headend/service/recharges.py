"""What belongs to a recharge, in one commit: money, notice, the share for arrears, the supply given back."""

from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.ledger import RecordOutcome
from headend.domain.rules import Rules
from headend.domain.standing import NO_DEBT
from headend.domain.tariff_book import NoPrice
from headend.service.accounts import Recharge, Recorded, changed_terms, record_recharge, shown_balance
from headend.service.arrears import take_share
from headend.service.notices import notice_of_recharge
from headend.service.ports import UnitOfWork
from headend.service.reconnections import reconnect_after_recharge
from headend.service.tariffs import prices_at_hand


def take_recharge(recharge: Recharge, rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> Recorded:
    """Record a recharge, and what follows from it at once; the same request again has no second effect."""
    recorded = record_recharge(recharge, uow, now_s)
    if recorded.outcome is RecordOutcome.RECORDED:
        account = uow.meter_account(recharge.meter)
        assert account is not None, "it was credited just now"
        assert recorded.transfer is not None, "it was recorded just now"
        notice_of_recharge(account.meter_key, recorded.transfer, uow)
        take_share(account.meter_key, recorded.transfer, uow, now_s)
        _end_debt(account.meter_key, rules, zone, uow, now_s)
        reconnect_after_recharge(account.meter_key, rules, zone, uow, now_s)
    return recorded


def _end_debt(meter_key: int, rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> None:
    """A debt that is paid is over now, not when `headend serve` looks next: until then it may be in debt anew."""
    (row,) = uow.cases([meter_key])
    if row.zero_since_s is None:
        return
    prices = prices_at_hand(rules.tariff, uow)
    try:
        shown = shown_balance(row.meter, prices, day_of(now_s, zone), zone, changed_terms(row.meter, uow))
    except NoPrice:
        return
    if shown.shown_micros > rules.alerts.debt_at_micros:
        uow.put_debts([(meter_key, NO_DEBT)])
