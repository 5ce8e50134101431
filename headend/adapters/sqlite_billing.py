"""What the store holds of tariffs, terms and charges. See `service.ports.billing`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from headend.adapters.sqlite_statements import SQL, SqliteStatements
from headend.domain.ledger import Transfer, TransferKind
from headend.domain.tariff import Tariff
from headend.rules.tariff import tariff_from_json, tariff_to_json
from headend.service.ports.billing import (
    BillingDayRow,
    ChargeRow,
    NewCharge,
    OpenDay,
    RegistersAround,
    SettledDay,
    TariffRow,
    Terms,
)


class SqliteBillingRows(SqliteStatements):
    """`BillingRows` by the named statements of `sql/billing.sql`."""

    def tariffs(self) -> list[TariffRow]:
        return [TariffRow(key, tariff_from_json(text), *rest) for key, text, *rest in self._all("tariffs")]

    def put_tariff(self, tariff: Tariff, actor: str, now_s: int) -> None:
        document = tariff_to_json(tariff)
        self._run("put_tariff", tariff.from_day, tariff.name, tariff.version, document, now_s, actor)

    def note_tariffs_used(self, tariff_keys: Iterable[int], now_s: int) -> None:
        self._many("note_tariff_used", [(tariff_key, now_s) for tariff_key in tariff_keys])

    def last_charged_day(self) -> int:
        return int(self._one("last_charged_day")[0])

    def open_days(self, after_meter_key: int, today: int, limit: int) -> list[OpenDay]:
        return list(map(OpenDay._make, self._all("open_days", after_meter_key, today, limit)))

    def terms(self, meter_key: int) -> list[Terms]:
        return [Terms(*row) for row in self._all("terms", meter_key)]

    def put_terms(self, meter_key: int, terms: Terms) -> None:
        self._run("keep_first_terms", meter_key)
        self._run("note_terms", meter_key)
        self._run("put_terms", meter_key, *terms)
        self._run("look_again", meter_key)

    def band_registers(self, meter_key: int, day: int) -> dict[int, int]:
        return dict(self._all("band_registers", meter_key, day))

    def add_band_registers(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        self._many("add_band_register", rows)

    def registers_around(self, meter_key: int, day: int, minute: int | None) -> RegistersAround:
        return RegistersAround(*self._one("registers_around", meter_key, day, minute))

    def enter_register(self, meter_key: int, day: int, minute: int | None, register_wh: int) -> None:
        if minute is None:
            self._run("enter_snapshot", meter_key, day, register_wh)
        else:
            self._run("enter_band_register", meter_key, day, minute, register_wh)

    def add_charges(self, charges: Sequence[NewCharge]) -> None:
        self._insert("add_charge", ((*charge[:8], *charge.lines, *charge[9:]) for charge in charges))

    def settle(self, days: Sequence[tuple[int, int]], meters: Sequence[SettledDay], now_s: int) -> None:
        self._many("settle_snapshot", ((meter_key, day, now_s) for meter_key, day in days))
        self._many("settle_meter", meters)
        self._run("look_again_at", json.dumps([meter_key for meter_key, *_ in meters]))

    def look_again(self, debit_account: int, credit_account: int) -> None:
        self._run("look_again_by_account", debit_account, credit_account)

    def charges(self, meter: str, from_day: int, to_day: int) -> list[ChargeRow]:
        return [ChargeRow(*row) for row in self._all("charges", meter, from_day, to_day)]

    def charges_of_transfers(self, meter: str, span: tuple[int, int]) -> list[ChargeRow]:
        return [ChargeRow(*row) for row in self._all("charges_of_transfers", meter, *span)]

    def day_charges(self, day: int) -> Iterator[ChargeRow]:
        return (ChargeRow(*row) for row in self._connection.execute(SQL["day_charges"], (day,)))

    def billing_days(self, from_day: int, to_day: int) -> list[BillingDayRow]:
        return [BillingDayRow(*row) for row in self._all("billing_days", from_day, to_day)]

    def charge_of_transfer(self, transfer_id: int) -> ChargeRow | None:
        row = self._one("charge_of_transfer", transfer_id)
        return None if row is None else ChargeRow(*row)

    def energy_of_version_1(self, meter: str, from_day: int) -> list[Transfer]:
        rows = self._all("energy_of_version_1", meter, date.fromordinal(from_day).isoformat())
        return [Transfer(number, reference, TransferKind(kind), *rest) for number, reference, kind, *rest in rows]

    def reopen_days(self, meter_key: int, from_day: int) -> None:
        self._run("reverse_charges", meter_key, from_day)
        self._run("reopen_snapshots", meter_key, from_day)
        self._run("reopen_meter", meter_key, from_day)
        self._run("look_again", meter_key)

    def account_balance(self, account_key: int) -> int:
        return int(self._one("account_balance", account_key)[0])

    def add_account(self, code: str, meter: str) -> int:
        self._run("add_account", code)
        self._run("own_account", meter, code)
        return int(self._one("account_key", code)[0])

    def move_to_account(self, meter_key: int, account_key: int, from_day: int) -> None:
        self._run("move_to_account", meter_key, account_key, from_day)
        self._run("begin_standing", meter_key)
        self._run("leave_debtor", meter_key)
