"""A store in memory with meters in it, for tests of one service: readings and recharges go straight in."""

from datetime import date
from zoneinfo import ZoneInfo

from headend.adapters.memory import memory_store
from headend.adapters.sqlite import SqliteStore
from headend.domain.calendar import midnight_s
from headend.domain.ledger import RECHARGES_ACCOUNT, Transfer, TransferKind
from headend.service.ports import UnitOfWork
from headend.service.rows import NewTransfer, Registration
from headend.service.traffic import GatewayId

ZONE = ZoneInfo("Asia/Kolkata")
DAY = date(2024, 10, 30).toordinal()
NOON_S = midnight_s(DAY, ZONE) + 12 * 3_600
RUPEE = 1_000_000


def store_with(*meters: str, gateway: str = "G1", region: str = "R1") -> SqliteStore:
    """These meters, installed today with a register of 0."""
    store = memory_store()
    with store.transaction() as uow:
        register(uow, *meters, gateway=gateway, region=region)
    return store


def register(uow: UnitOfWork, *meters: str, gateway: str = "G1", region: str = "R1") -> None:
    uow.register_meters([Registration(meter, GatewayId(region, gateway), 0, DAY) for meter in meters])


def key_of(uow: UnitOfWork, meter: str) -> int:
    ((_, meter_key, _),) = uow.meter_keys([meter])
    return meter_key


def read(uow: UnitOfWork, meter: str, seq: int, at_s: int, register_wh: int, *, relay_open: bool = False) -> None:
    assert uow.advance_registers([(key_of(uow, meter), seq, at_s, register_wh, int(relay_open))])


def recharge(uow: UnitOfWork, meter: str, reference: str, rupees: int, at_s: int = NOON_S) -> Transfer:
    """As `record_recharge`, for a store that is looked at alone."""
    account = uow.meter_account(meter)
    assert account is not None
    recharges = uow.account_key(RECHARGES_ACCOUNT)
    (transfer,) = uow.post(
        [
            NewTransfer(
                reference=reference,
                kind=TransferKind.RECHARGE,
                debit_account=recharges,
                credit_account=account.account_key,
                amount_micros=rupees * RUPEE,
                accepted_at_s=at_s,
                posted_at_s=at_s,
            )
        ]
    )
    uow.issue_credit(account, transfer)
    return transfer
