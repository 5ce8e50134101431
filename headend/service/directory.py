"""Names to keys, in memory: filled on demand, because other processes register meters while we serve.

Bounded by what is registered; an unknown name is asked for again each time it comes, and never remembered.
"""

from array import array
from collections.abc import Sequence

from headend.service.ports import UnitOfWork
from headend.service.traffic import GatewayId


class Directory:
    """Keys of gateways and meters, and which gateway a meter hangs on."""

    def __init__(self) -> None:
        self.gateway_ids: dict[int, GatewayId] = {}
        self._gateway_keys: dict[GatewayId, int] = {}
        self._meter_keys: dict[str, int] = {}
        self._gateway_of = array("q")
        self.offsets: dict[int, int] = {}
        """By meter key what is added to a register as it comes, where an exchange or a rollover made it differ."""

    def load_gateways(self, uow: UnitOfWork) -> None:
        """Read all gateways: for the names of the keys that deliveries carry."""
        for key, gateway, _ in uow.gateways():
            self.gateway_ids[key] = gateway
            self._gateway_keys[gateway] = key

    def forget_meters(self) -> None:
        """Another process changed which device is which meter."""
        self._meter_keys.clear()
        self.offsets.clear()

    def gateway_id(self, key: int, uow: UnitOfWork) -> GatewayId:
        """A registered gateway's name by its key."""
        if key not in self.gateway_ids:
            self.load_gateways(uow)
        return self.gateway_ids[key]

    def gateway_key(self, gateway: GatewayId, uow: UnitOfWork) -> int | None:
        """A gateway's key; None: not registered."""
        key = self._gateway_keys.get(gateway)
        if key is None:
            key = uow.gateway_key(gateway)
            if key is not None:
                self._gateway_keys[gateway] = key
                self.gateway_ids[key] = gateway
        return key

    def own_meter_keys(self, gateway_key: int, meters: Sequence[str], uow: UnitOfWork) -> list[int] | None:
        """The meters' keys; None unless all of them are registered behind this gateway."""
        keys = self._known(meters)
        if keys is None:
            self._learn(meters, uow)
            keys = self._known(meters)
        if keys is None or set(map(self._gateway_of.__getitem__, keys)) != {gateway_key}:
            return None
        return keys

    def meter_key(self, meter: str) -> int | None:
        """A meter's key if `own_meter_keys` came across it before."""
        return self._meter_keys.get(meter)

    def hangs_on(self, meter_key: int, gateway_key: int) -> bool:
        """Whether a meter is registered behind a gateway."""
        return self._gateway_of[meter_key] == gateway_key

    def _known(self, meters: Sequence[str]) -> list[int] | None:
        try:
            return list(map(self._meter_keys.__getitem__, meters))
        except KeyError:
            return None

    def _learn(self, meters: Sequence[str], uow: UnitOfWork) -> None:
        for meter, meter_key, gateway_key in uow.meter_keys(meters):
            if meter_key >= len(self._gateway_of):
                self._gateway_of.extend([0] * (meter_key + 1 - len(self._gateway_of)))
            self._meter_keys[meter] = meter_key
            self._gateway_of[meter_key] = gateway_key
        known = [self._meter_keys[meter] for meter in meters if meter in self._meter_keys]
        self.offsets |= uow.register_offsets(known)
