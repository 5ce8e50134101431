"""What the store holds of the devices behind a meter. See `service.ports.devices`."""

import json
from collections.abc import Iterable, Sequence

from headend.adapters.sqlite_statements import SqliteStatements
from headend.service.ports.devices import Exchange, FormerDevice


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
