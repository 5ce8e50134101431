"""A store on disk with as many meters as wanted, generated: nothing of it is kept."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from headend.adapters.sqlite import SqliteStore
from headend.domain.calendar import midnight_s
from headend.domain.ledger import RECHARGES_ACCOUNT, TransferKind, consumer_account
from headend.domain.rules import Rules
from headend.service.accounts import register_meters
from headend.service.rows import NewTransfer, Registration
from headend.service.tariffs import ensure_tariff
from headend.service.traffic import GatewayId

ZONE = ZoneInfo("Asia/Kolkata")
FIRST_DAY = date(2024, 10, 30).toordinal()
METERS_PER_GATEWAY = 500
CHUNK = 10_000
SEED = 1


@contextmanager
def large_store(rules: Rules, meters: int, folder: Path | None) -> Iterator[tuple[SqliteStore, Path]]:
    """A new store with these meters, its tariff imported, in a folder of its own that is removed at the end."""
    with TemporaryDirectory(prefix="headend-bench-", dir=folder) as directory:
        path = Path(directory) / "store.db"
        store = SqliteStore(path)
        try:
            register_all(store, rules, meters)
            yield store, path
        finally:
            store.close()


def register_all(store: SqliteStore, rules: Rules, meters: int) -> None:
    """Enter the meters; categories and loads vary from one to the next."""
    categories = [None, *(category.name for category in rules.tariff.categories)]
    for first in range(0, meters, CHUNK):
        with store.transaction() as uow:
            ensure_tariff(rules.tariff, uow, midnight_s(FIRST_DAY, ZONE))
            new = [
                Registration(
                    meter=f"M{number:07d}",
                    gateway=GatewayId("R1", f"G{number // METERS_PER_GATEWAY:04d}"),
                    opening_register_wh=0,
                    installed_day=FIRST_DAY,
                    category=categories[number % len(categories)],
                    load_w=1_000 * (1 + number % 5),
                )
                for number in range(first, min(first + CHUNK, meters))
            ]
            register_meters(new, uow)


def draw_day(store: SqliteStore, registers_wh: list[int], day: int) -> None:
    """Each meter draws 0.5 to 25 kWh on a day, and its closing snapshot comes in."""
    chance = random.Random(SEED + day)
    at_s = midnight_s(day + 1, ZONE)
    for first in range(0, len(registers_wh), CHUNK):
        part = range(first, min(first + CHUNK, len(registers_wh)))
        for number in part:
            registers_wh[number] += chance.randint(500, 25_000)
        with store.transaction() as uow:
            # Meter keys are given from 1 on, in the order of registration.
            uow.add_snapshots([(number + 1, day, registers_wh[number]) for number in part])
    read_all(store, registers_wh, day, at_s)


def read_all(store: SqliteStore, registers_wh: list[int], seq: int, at_s: int) -> None:
    """A reading of every meter."""
    for first in range(0, len(registers_wh), CHUNK):
        part = range(first, min(first + CHUNK, len(registers_wh)))
        with store.transaction() as uow:
            taken = uow.advance_registers([(number + 1, seq, at_s, registers_wh[number], 0) for number in part])
            assert taken, "every reading is newer and higher"


def give_credit(store: SqliteStore, micros: Iterable[int]) -> None:
    """A recharge for each meter in order, as the ledger has it; nothing is sent to the meters."""
    at_s = midnight_s(FIRST_DAY, ZONE)
    with store.view() as uow:
        channel = uow.account_key(RECHARGES_ACCOUNT)
        first = uow.account_key(consumer_account("M0000000"))
    amounts = iter(enumerate(micros))
    while part := list(islice(amounts, CHUNK)):
        with store.transaction() as uow:
            # Consumers' accounts have keys without gaps, in the order of registration.
            uow.post_many(
                [
                    NewTransfer(f"PAY-{n}", TransferKind.RECHARGE, channel, first + n, amount, at_s, at_s)
                    for n, amount in part
                ]
            )
