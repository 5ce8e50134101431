"""What the store holds of the devices behind a meter: exchanges, and registers that rolled over."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class FormerDevice(NamedTuple):
    """A device that was exchanged. `register_offset_wh` makes its registers the meter's, up to the exchange."""

    device: str
    meter_key: int
    gateway_key: int
    register_offset_wh: int
    exchanged_at_s: int


class Exchange(NamedTuple):
    """One device for another. `register_wh`: the meter's register at the exchange, counted on over all devices."""

    meter_key: int
    old_device: str
    new_device: str
    final_register_wh: int
    opening_register_wh: int
    register_wh: int
    at_s: int


class DeviceRows(Protocol):
    """What the store holds of the devices behind a meter."""

    def register_offsets(self, meter_keys: Iterable[int]) -> dict[int, int]:
        """What is added to these meters' registers as they come, where it is not 0."""

    def former_devices(self, devices: Sequence[str]) -> list[FormerDevice]:
        """Those of these ids that were exchanged for another device."""

    def exchange(self, exchange: Exchange) -> None:
        """Let another device take a meter's place: what the old one had applied goes out again."""

    def add_to_offset(self, meter_key: int, energy_wh: int) -> None:
        """A register rolled over: from now on so much more is added to it."""
