"""What the store holds of the devices behind a meter. See `service.ports.devices`."""

import json
from collections.abc import Iterable, Sequence

from headend.adapters.sqlite_statements import SqliteStatements
from headend.domain.delivery import DeliveryKind
from headend.service.ports.devices import Exchange, FormerDevice
from headend.service.rows import Lane


class SqliteDeviceRows(SqliteStatements):
    """`DeviceRows` by the named statements of `sql/devices.sql`."""

    def register_offsets(self, meter_keys: Iterable[int]) -> dict[int, int]:
        return dict(self._all("register_offsets", json.dumps(list(meter_keys))))

    def former_devices(self, devices: Sequence[str]) -> list[FormerDevice]:
        return [FormerDevice(*row) for row in self._all("former_devices", json.dumps(list(devices)))]

    def exchange(self, exchange: Exchange) -> None:
        key = exchange.meter_key
        self._run("add_former_device", key, exchange.final_register_wh, exchange.at_s)
        offset_wh = exchange.register_wh - exchange.opening_register_wh
        self._run("exchange_device", key, exchange.new_device, offset_wh)
        self._run("exchange_register", key, exchange.register_wh)
        self._run("forget_applied", key)

    def add_to_offset(self, meter_key: int, energy_wh: int) -> None:
        self._run("add_to_offset", meter_key, energy_wh)

    def device_now(self, device: str) -> str | None:
        row = self._one("device_now", device)
        return None if row is None else str(row[0])

    def devices_now(self) -> dict[str, str]:
        return dict(self._all("devices_now"))

    def open_lanes_of_exchanged(self) -> list[Lane]:
        rows = self._all("open_lanes_of_exchanged")
        return [Lane(gateway, DeliveryKind(kind), meter) for gateway, kind, meter in rows]

    def is_account_of(self, account_key: int, device: str) -> bool:
        return self._one("is_account_of", account_key, device) is not None
