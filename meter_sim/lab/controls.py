"""What is wrong with the disk and the clocks of a run between processes: all faults together, as files.

The head-end's file is that of `disk_control.py`, the fleet's that of `meter_sim/control.py`. A drift is told as an
offset that grows, so that every process of the head-end has the same clock whenever it began.
"""

import json
from collections import Counter
from pathlib import Path

from meter_sim.lab.disk_control import DiskControl, write_control
from meter_sim.lab.plant import ClockShift, DiskState, Part


class Controls:
    """Names of faults, and what each adds."""

    def __init__(self, headend: Path, fleet: Path) -> None:
        """The files; nothing is written before something is wrong."""
        self._headend = headend
        self._fleet = fleet
        self._disks: dict[str, DiskState] = {}
        self._shifts: dict[tuple[Part, str], tuple[ClockShift, int]] = {}
        self._stops_at_s: int | None = None
        self._told = DiskControl()
        self._told_fleet: dict[str, int] = {}

    @property
    def disk_is_bad(self) -> bool:
        """Whether anything is wrong with the disk."""
        return bool(self._disks)

    def set_disk(self, name: str, state: DiskState | None, now_s: int) -> None:
        """What a fault adds; None: nothing any more."""
        if state is None:
            self._disks.pop(name, None)
        else:
            self._disks[name] = state
        self.tell(now_s)

    def shift_clock(self, name: str, part: Part, shift: ClockShift | None, now_s: int) -> None:
        """What a fault adds from now on; None: nothing any more."""
        if shift is None:
            self._shifts.pop((part, name), None)
        else:
            self._shifts[part, name] = shift, now_s
        self.tell(now_s)

    def stop_clock(self, at_s: int) -> None:
        """Let the head-end's clock go no further than this."""
        self._stops_at_s = at_s
        self.tell(at_s)

    def tell(self, now_s: int) -> None:
        """Write down how it is now, where that has changed: a drift goes on by itself."""
        states = self._disks.values()
        errors_s = [
            error_s(shift, now_s - since_s)
            for (part, _), (shift, since_s) in self._shifts.items()
            if part is Part.HEADEND
        ]
        content = {
            "delay_ms": round(1_000 * sum(state.delay_s for state in states)),
            "full": any(state.full for state in states),
            # One operation fails at a time: the newest fault's.
            "fails": next((state.fails for state in reversed(states) if state.fails), None),
            "lies": any(state.lies for state in states),
            "clock_offset_s": sum(errors_s),
            "clock_stops_at_s": self._stops_at_s,
        }
        control = DiskControl.model_validate(content)
        if control != self._told:
            write_control(self._headend, control)
            self._told = control
        offsets = self._fleet_offsets(now_s)
        if offsets != self._told_fleet:
            fresh = self._fleet.with_name(self._fleet.name + ".new")
            fresh.write_text(json.dumps({"clock_offsets": offsets}), encoding="utf-8")
            fresh.replace(self._fleet)
            self._told_fleet = offsets

    def close(self) -> None:
        """Nothing is wrong any more."""
        self._disks.clear()
        self._shifts.clear()
        for path in (self._headend, self._fleet):
            path.unlink(missing_ok=True)

    def _fleet_offsets(self, now_s: int) -> dict[str, int]:
        offsets: Counter[str] = Counter()
        for (part, _), (shift, since_s) in self._shifts.items():
            if part is Part.FLEET:
                for gateway in shift.gateways:
                    offsets[gateway] += error_s(shift, now_s - since_s)
        return dict(offsets)


def error_s(shift: ClockShift, lasts_s: int) -> int:
    """What a shift comes to after a while."""
    return shift.offset_s + lasts_s * shift.drift_ppm // 1_000_000
