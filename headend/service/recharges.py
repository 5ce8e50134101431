"""What belongs to a recharge, in one commit: money, notice, the share for arrears, the supply given back."""

from zoneinfo import ZoneInfo

from headend.domain.ledger import RecordOutcome
from headend.domain.rules import Rules
from headend.service.accounts import Recharge, Recorded, record_recharge
from headend.service.arrears import take_share
from headend.service.notices import notice_of_recharge
from headend.service.ports import UnitOfWork
from headend.service.reconnections import reconnect_after_recharge


def take_recharge(recharge: Recharge, rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> Recorded:
    """Record a recharge, and what follows from it at once; the same request again has no second effect."""
    recorded = record_recharge(recharge, uow, now_s)
    if recorded.outcome is RecordOutcome.RECORDED:
        account = uow.meter_account(recharge.meter)
        assert account is not None, "it was credited just now"
        assert recorded.transfer is not None, "it was recorded just now"
        notice_of_recharge(account.meter_key, recorded.transfer, uow)
        take_share(account.meter_key, recorded.transfer, uow, now_s)
        reconnect_after_recharge(account.meter_key, rules, zone, uow, now_s)
    return recorded
