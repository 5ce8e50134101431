"""What the store holds of the devices behind a meter: exchanges, and registers that rolled over."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from headend.service.rows import Lane


class FormerDevice(NamedTuple):
    """A device that was exchanged. `register_offset_wh` makes its registers the meter's, up to the exchange.

    `final_wh`: the meter's register at the exchange, counted on over all devices.
    """

    device: str
    meter_key: int
    gateway_key: int
    register_offset_wh: int
    final_wh: int
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

    def device_now(self, device: str) -> str | None:
        """The id that the meter of an exchanged device has now; None: it was never exchanged."""

    def devices_now(self) -> dict[str, str]:
        """By the id of every exchanged device the id that its meter has now."""

    def open_lanes_of_exchanged(self) -> list[Lane]:
        """Lanes with something to send to meters whose device was ever exchanged."""

    def is_account_of(self, account_key: int, device: str) -> bool:
        """Whether an account is, or was, that of the meter which has, or had, this id."""
