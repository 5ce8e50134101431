"""One step of ingest: the transaction that it writes in, and what came of it."""

from collections.abc import Collection, Sequence
from typing import Final

from headend.domain.pace import CLOCK_TOLERANCE_S as CLOCK_TOLERANCE_S
from headend.domain.pace import pace_at
from headend.service.directory import Directory
from headend.service.ports import UnitOfWork
from headend.service.rows import Lane
from headend.service.traffic import Arrival, ReceiptOut

UNKNOWN_METER: Final = "UNKNOWN_METER"
OTHER_GATEWAY: Final = "OTHER_GATEWAY"


class Intake:
    """Shared by the takers of one step. Read it after the commit."""

    def __init__(
        self,
        directory: Directory,
        uow: UnitOfWork,
        now_s: int,
        band_minutes: Collection[int] = (),
        rollover_wh: int | None = None,
        max_day_wh: int | None = None,
    ) -> None:
        """`band_minutes`: local minutes of the day at which registers are kept for time-of-day prices.

        `rollover_wh`: all that a device's register can show; None: it is not known, or none ever gets there.
        `max_day_wh`: the most energy of a day that is believed; None: whatever a meter says is.
        """
        self.directory = directory
        self.uow = uow
        self.now_s = now_s
        self.band_minutes = band_minutes
        self.rollover_wh = rollover_wh
        self.pace = None if max_day_wh is None else pace_at(max_day_wh, now_s)
        self.receipts: list[ReceiptOut] = []
        self.heard: set[int] = set()
        """Keys of gateways that a message came from."""
        self.greeted: set[int] = set()
        """Keys of gateways that said hello."""
        self.answered: list[Lane] = []
        """The lane of every command that was answered."""
        self.rows = 0
        self.snapshots = 0
        self.bands = 0
        self.dead_letters = 0
        self.ahead = 0
        """How often a meter spoke of a number or version that this store never gave out."""

    def believed(self, at_s: int) -> int:
        """A meter's time, or ours where its clock is too far ahead: nothing may look fresh for years."""
        return at_s if at_s <= self.now_s + CLOCK_TOLERANCE_S else self.now_s

    def keep_letter(self, arrival: Arrival, code: str, detail: str) -> None:
        """Keep a message's bytes because not all of it could be used."""
        self.uow.add_dead_letter(arrival.topic, arrival.payload, code, detail, self.now_s)
        self.dead_letters += 1

    def keys_of(self, gateway_key: int, meters: Sequence[str]) -> tuple[list[int | None], dict[str, str]]:
        """Each meter's key, None for those that are not this gateway's; and the codes of those, by meter."""
        own = self.directory.own_meter_keys(gateway_key, meters, self.uow)
        if own is not None:
            return list(own), {}
        keys: list[int | None] = []
        strangers: dict[str, str] = {}
        for meter in meters:
            meter_key = self.directory.meter_key(meter)
            if meter_key is not None and not self.directory.hangs_on(meter_key, gateway_key):
                meter_key = None
                strangers[meter] = OTHER_GATEWAY
            elif meter_key is None:
                strangers[meter] = UNKNOWN_METER
            keys.append(meter_key)
        return keys, strangers
