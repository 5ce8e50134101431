"""Registers that a person read where none came: a lost device, a false clock. Until then the day stays open."""

from dataclasses import dataclass
from enum import StrEnum

from headend.domain.evidence import Act, ActKind
from headend.service.ports import UnitOfWork


class EntryOutcome(StrEnum):
    """What came of entering a register."""

    ENTERED = "ENTERED"
    EXISTS = "EXISTS"
    UNKNOWN_METER = "UNKNOWN_METER"
    NOT_OVER = "NOT_OVER"
    ALREADY_SETTLED = "ALREADY_SETTLED"
    EXISTS_DIFFERENT = "EXISTS_DIFFERENT"
    """Another register is held of that time; it can be replaced on purpose."""
    NOT_BETWEEN = "NOT_BETWEEN"
    """It is below what was read before, or above what was read later."""


@dataclass(frozen=True, slots=True)
class ManualReading:
    """What a device showed at the end of a billing day, or at a minute of it.

    `device` may be one that was exchanged since; `register_wh` is as its display says.
    """

    device: str
    day: int
    minute: int | None
    register_wh: int
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """The outcome, with the lowest and highest register (by the device's display) that fit, and what was held."""

    outcome: EntryOutcome
    lowest_wh: int = 0
    highest_wh: int = 0
    held_wh: int | None = None


def enter_reading(
    reading: ManualReading, today: int, actor: str, reason: str, uow: UnitOfWork, now_s: int
) -> Entry:
    """Enter a register that is missing of a day that is over and not settled; settlement takes it up next."""
    place = _place(reading.device, uow)
    if place is None:
        return Entry(EntryOutcome.UNKNOWN_METER)
    meter_key, offset_wh = place
    (row,) = uow.cases([meter_key])
    if reading.day >= today:
        return Entry(EntryOutcome.NOT_OVER)
    if reading.day <= row.meter.settled_day:
        return Entry(EntryOutcome.ALREADY_SETTLED)
    around = uow.registers_around(meter_key, reading.day, reading.minute)
    lowest_wh = max(row.meter.settled_register_wh, around.before_wh or 0)
    highest_wh = row.meter.register_wh if around.after_wh is None else around.after_wh
    register_wh = reading.register_wh + offset_wh
    held_wh = None if around.held_wh is None else around.held_wh - offset_wh
    limits = (lowest_wh - offset_wh, highest_wh - offset_wh, held_wh)
    if around.held_wh == register_wh:
        return Entry(EntryOutcome.EXISTS, *limits)
    if around.held_wh is not None and not reading.replaces:
        return Entry(EntryOutcome.EXISTS_DIFFERENT, *limits)
    if not lowest_wh <= register_wh <= highest_wh:
        return Entry(EntryOutcome.NOT_BETWEEN, *limits)
    uow.enter_register(meter_key, reading.day, reading.minute, register_wh)
    basis: dict[str, object] = {"day": reading.day, "register_wh": register_wh}
    basis |= {"minute": reading.minute} if reading.minute is not None else {}
    basis |= {"replaced_wh": around.held_wh} if around.held_wh is not None else {}
    uow.record_act(Act(now_s, actor, ActKind.READING_ENTERED, f"meter/{reading.device}", reason, basis))
    return Entry(EntryOutcome.ENTERED, *limits)


def _place(device: str, uow: UnitOfWork) -> tuple[int, int] | None:
    """The meter that a device is or was, and what is added to its registers."""
    for former in uow.former_devices([device]):
        return former.meter_key, former.register_offset_wh
    for _, meter_key, _ in uow.meter_keys([device]):
        return meter_key, uow.register_offsets([meter_key]).get(meter_key, 0)
    return None
