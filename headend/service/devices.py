"""The devices behind a meter: one is exchanged for another, or its register rolls over. The meter goes on."""

from dataclasses import dataclass
from enum import StrEnum

from headend.domain.evidence import Act, ActKind
from headend.domain.exception_kind import ExceptionKind
from headend.domain.rollover import rolled_over_wh
from headend.service.accounts import order_closed
from headend.service.intake import Intake
from headend.service.ports import UnitOfWork
from headend.service.ports.devices import Exchange

EXPLAINED = (
    ExceptionKind.REGISTER_WENT_BACK,
    ExceptionKind.READING_SEQ_WENT_BACK,
    ExceptionKind.IMPLAUSIBLE_JUMP,
    ExceptionKind.CREDIT_WENT_BACK,
    ExceptionKind.CREDIT_AHEAD,
    ExceptionKind.CREDIT_TOTAL_DIFFERS,
    ExceptionKind.RELAY_AHEAD,
    ExceptionKind.POLICY_AHEAD,
    ExceptionKind.CREDIT_REFUSED,
    ExceptionKind.COMMAND_REJECTED,
    ExceptionKind.METER_NOT_FOUND,
)
"""What an exchange explains or ends, if it was listed before anybody entered it: all of it is the old device's."""

EXCHANGED = "the device was exchanged: a new one comes closed"


class ExchangeOutcome(StrEnum):
    """What came of entering an exchange."""

    EXCHANGED = "EXCHANGED"
    UNKNOWN_METER = "UNKNOWN_METER"
    DEVICE_KNOWN = "DEVICE_KNOWN"
    """The new device is, or was, a registered meter."""
    FINAL_TOO_LOW = "FINAL_TOO_LOW"
    """The old device has already reported more."""
    FINAL_TOO_HIGH = "FINAL_TOO_HIGH"
    """Nobody draws so much in the days that are not billed yet."""


@dataclass(frozen=True, slots=True)
class Devices:
    """What was exchanged.

    `final_register_wh`: what the old device showed at last; `opening_register_wh`: what the new one began with.
    """

    old: str
    new: str
    final_register_wh: int
    opening_register_wh: int


@dataclass(frozen=True, slots=True)
class RegisterLimits:
    """The most energy of a day that is believed, and all that a register can show (None: it never runs over)."""

    max_day_wh: int
    rollover_wh: int | None = None


def exchange_device(
    devices: Devices, limits: RegisterLimits, today: int, actor: str, reason: str, uow: UnitOfWork, now_s: int
) -> ExchangeOutcome:
    """Enter that a meter's device was exchanged now: its register and its credit go on with the new one.

    The meter is called by its new device's id from now on. Midnights of the old device that come late still count.
    """
    meter = uow.meter_row(devices.old)
    if meter is None:
        return ExchangeOutcome.UNKNOWN_METER
    if uow.meter_keys([devices.new]) or uow.former_devices([devices.new]):
        return ExchangeOutcome.DEVICE_KNOWN
    ((_, meter_key, _),) = uow.meter_keys([devices.old])
    register_wh = devices.final_register_wh + uow.register_offsets([meter_key]).get(meter_key, 0)
    rolled_wh = rolled_over_wh(meter.register_wh, register_wh, limits.rollover_wh)
    register_wh += rolled_wh
    if register_wh < meter.register_wh:
        return ExchangeOutcome.FINAL_TOO_LOW
    open_days = max(1, today - meter.settled_day)
    if register_wh - meter.settled_register_wh > limits.max_day_wh * open_days:
        return ExchangeOutcome.FINAL_TOO_HIGH
    uow.add_to_offset(meter_key, rolled_wh)
    final_wh, opening_wh = devices.final_register_wh, devices.opening_register_wh
    uow.exchange(Exchange(meter_key, devices.old, devices.new, final_wh, opening_wh, register_wh, now_s))
    if meter.relay_version:
        order_closed(devices.new, EXCHANGED, uow, now_s)
    uow.resolve_exceptions([(meter_key, kind) for kind in EXPLAINED], actor, f"exchanged: {reason}", now_s)
    basis = {
        "new_device": devices.new,
        "final_register_wh": final_wh,
        "opening_register_wh": opening_wh,
        "register_wh": register_wh,
        "credit_seq": meter.credit_seq,
    }
    uow.record_act(Act(now_s, actor, ActKind.METER_EXCHANGED, f"meter/{devices.old}", reason, basis))
    return ExchangeOutcome.EXCHANGED


def note_rollover(meter_key: int, energy_wh: int, intake: Intake) -> None:
    """A register ran over its last digit: what it shows from now on counts so much more."""
    uow = intake.uow
    uow.add_to_offset(meter_key, energy_wh)
    intake.directory.offsets[meter_key] = intake.directory.offsets.get(meter_key, 0) + energy_wh
    (row,) = uow.cases([meter_key])
    basis = {"rollover_wh": energy_wh, "register_wh": row.meter.register_wh}
    reason = "its register fell by more than half of what its digits can show"
    uow.record_act(Act(intake.now_s, "headend", ActKind.ROLLOVER, f"meter/{row.meter.meter}", reason, basis))
