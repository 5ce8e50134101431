"""What the store holds of tariffs, terms and charges."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from headend.domain.ledger import Transfer
from headend.domain.pricing import DayCharge
from headend.domain.tariff import Tariff


@dataclass(frozen=True, slots=True)
class TariffRow:
    """A version of the tariff as it is kept. `used_at_s`: when a day was first charged by it; None: never."""

    tariff_key: int
    tariff: Tariff
    imported_at_s: int
    imported_by: str
    used_at_s: int | None


class OpenDay(NamedTuple):
    """A closing snapshot that is not settled, with what its meter's bill needs."""

    meter_key: int
    meter: str
    account_key: int
    category: str | None
    load_w: int
    has_terms: int
    settled_day: int
    settled_register_wh: int
    month_wh: int
    day: int
    register_wh: int
    revision: int


class Terms(NamedTuple):
    """What a meter is billed by from a day on."""

    from_day: int
    account_key: int
    category: str | None
    load_w: int


class NewCharge(NamedTuple):
    """A day's bill. `month_wh`: drawn in the month before the day. `transfer_id` None: it came to nothing."""

    meter_key: int
    day: int
    revision: int
    tariff_key: int
    category: str
    load_w: int
    month_wh: int
    energy_wh: int
    lines: DayCharge
    total_micros: int
    transfer_id: int | None


class SettledDay(NamedTuple):
    """Where a meter stands after its newest settled day."""

    meter_key: int
    day: int
    register_wh: int
    month_wh: int


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """A day's bill with its lines, as it is kept. `reversed` is 1 when a later revision stands in its place."""

    meter: str
    day: int
    revision: int
    tariff_key: int
    category: str
    load_w: int
    month_wh: int
    energy_wh: int
    energy_micros: int
    fixed_micros: int
    duty_micros: int
    rebate_micros: int
    rounding_micros: int
    total_micros: int
    transfer_id: int | None
    reversed: int


@dataclass(frozen=True, slots=True)
class BillingDayRow:
    """One billing day over all meters: how many are settled, and how many have a snapshot that is not."""

    day: int
    settled: int
    waiting: int


class RegistersAround(NamedTuple):
    """Registers of a meter, over all devices: the highest before a place, the lowest after it, at it."""

    before_wh: int | None
    after_wh: int | None
    held_wh: int | None


class BillingRows(Protocol):
    """What the store holds of tariffs, terms and charges."""

    def tariffs(self) -> list[TariffRow]:
        """All versions, in order of their first day."""

    def put_tariff(self, tariff: Tariff, actor: str, now_s: int) -> None:
        """Keep a version, in place of one with the same first day."""

    def note_tariffs_used(self, tariff_keys: Iterable[int], now_s: int) -> None:
        """From now on these versions are immutable."""

    def last_charged_day(self) -> int:
        """The newest day that any meter was charged for; 0: none."""

    def open_days(self, after_meter_key: int, today: int, limit: int) -> list[OpenDay]:
        """Unsettled snapshots of days before today, of meters after a key, in order of meters and days."""

    def terms(self, meter_key: int) -> list[Terms]:
        """A meter's terms in order of their first day, if they ever changed."""

    def put_terms(self, meter_key: int, terms: Terms) -> None:
        """Enter what a meter is billed by from a day on; the first time, what it was before is kept too."""

    def band_registers(self, meter_key: int, day: int) -> dict[int, int]:
        """Registers of a day by local minute, as far as they are in."""

    def add_band_registers(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        """Keep (meter_key, day, minute, register_wh) unless there is one."""

    def registers_around(self, meter_key: int, day: int, minute: int | None) -> RegistersAround:
        """A meter's register around a place: a minute of a day, or (None) the midnight after it."""

    def enter_register(self, meter_key: int, day: int, minute: int | None, register_wh: int) -> None:
        """Put a register at such a place of a day that is not settled, whatever is held of it."""

    def add_charges(self, charges: Sequence[NewCharge]) -> None:
        """Keep the bills of days."""

    def settle(self, days: Sequence[tuple[int, int]], meters: Sequence[SettledDay], now_s: int) -> None:
        """Mark (meter_key, day) as settled, and move meters on to their newest settled day."""

    def look_again(self, debit_account: int, credit_account: int) -> None:
        """The balances of these accounts' meters changed otherwise than by their registers."""

    def charges(self, meter: str, from_day: int, to_day: int) -> list[ChargeRow]:
        """A meter's bills of a range of days (both included), reversed ones too, in order."""

    def charges_of_transfers(self, meter: str, span: tuple[int, int]) -> list[ChargeRow]:
        """A meter's bills whose transfers lie between two (both included)."""

    def day_charges(self, day: int) -> Iterable[ChargeRow]:
        """All bills of a day that stand, in order of meters."""

    def billing_days(self, from_day: int, to_day: int) -> list[BillingDayRow]:
        """Days with snapshots or charges in a range, in order."""

    def charge_of_transfer(self, transfer_id: int) -> ChargeRow | None:
        """The bill that a transfer belongs to."""

    def energy_of_version_1(self, meter: str, from_day: int) -> list[Transfer]:
        """What the first version charged a meter without a bill, for days from one on; not what is reversed."""

    def reopen_days(self, meter_key: int, from_day: int) -> None:
        """Mark the days from one on as reversed and unsettled: they are billed anew."""

    def account_balance(self, account_key: int) -> int:
        """Credits less debits of an account, in micros."""

    def add_account(self, code: str, meter: str) -> int:
        """Open a further account of a meter's consumer; its key."""

    def move_to_account(self, meter_key: int, account_key: int, from_day: int) -> None:
        """From now on recharges of the meter go to another account."""
