"""A bench on which meters' devices are exchanged, beside the head-end as another process does it."""

from typing import Any

from unit.service.bench import DAY_S, MAX_DAY_WH, START_S, ZONE, Bench

from headend.domain.calendar import day_of
from headend.service.devices import Devices, ExchangeOutcome, RegisterLimits, exchange_device


class DeviceBench(Bench):
    """`Bench` with exchanges. What a device is said to have shown is its own register, not the meter's."""

    def exchange(
        self, old: str, new: str, final_wh: int, opening_wh: int = 0, *, told: bool = True
    ) -> ExchangeOutcome:
        """Enter an exchange; `told` False: the head-end does not notice that the store changed."""
        limits = RegisterLimits(MAX_DAY_WH, self.settings.rollover_wh)
        now_s = self.clock.now_s()
        with self.store.transaction() as uow:
            devices = Devices(old, new, final_wh, opening_wh)
            outcome = exchange_device(devices, limits, day_of(now_s, ZONE), "clerk", "broken", uow, now_s)
        self.store.news = self.store.news or told
        return outcome

    def midnight_of(self, meter: str, seq: int, day: int, register_wh: int) -> int:
        """The snapshot that closes a day after the first one."""
        return self.midnight((meter, seq, day, register_wh))

    def settled(self, meter: str) -> tuple[int, int]:
        """How many days are settled, and the register that they are settled to."""
        row = self.meter(meter)
        return row.settled_day - row.installed_day + 1, row.settled_register_wh

    def charged_wh(self) -> list[int]:
        """The energy of each charge in order of days."""
        rows = self._query("SELECT energy_wh FROM charge WHERE reversed = 0 ORDER BY meter_key, day")
        return [energy_wh for (energy_wh,) in rows]

    def acts(self, kind: str) -> list[Any]:
        with self.store.view() as uow:
            return [act for act in uow.acts() if act.kind == kind]

    def story(self, meter: str) -> list[tuple[str, dict[str, Any]]]:
        with self.store.view() as uow:
            return [(row.what, dict(row.facts)) for row in uow.story_of_meter(meter, 0, START_S + 400 * DAY_S)]


def device_bench(**changes: Any) -> DeviceBench:
    """M1 and M2 behind G1, M3 behind G2, in contact."""
    bench = DeviceBench(**changes)
    bench.register("M1", "M2")
    bench.register("M3", gateway="G2")
    bench.connect()
    return bench
