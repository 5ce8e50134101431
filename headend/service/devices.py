"""The devices behind a meter: one is exchanged for another, or its register rolls over. The meter goes on."""

from enum import StrEnum

from headend.domain.evidence import Act, ActKind
from headend.domain.exception_kind import ExceptionKind
from headend.service.intake import Intake
from headend.service.ports import UnitOfWork
from headend.service.ports.devices import Exchange
from headend.service.rows import MeterRow

EXPLAINED = (
    ExceptionKind.REGISTER_WENT_BACK,
    ExceptionKind.READING_SEQ_WENT_BACK,
    ExceptionKind.CREDIT_WENT_BACK,
)
"""What an exchange explains, if it was listed before anybody entered it."""


class ExchangeOutcome(StrEnum):
    """What came of entering an exchange."""

    EXCHANGED = "EXCHANGED"
    DEVICE_KNOWN = "DEVICE_KNOWN"
    """The new device is, or was, a registered meter."""
    FINAL_TOO_LOW = "FINAL_TOO_LOW"
    """The old device has already reported more."""


def exchange_device(
    meter: MeterRow,
    new_device: str,
    final_register_wh: int,
    opening_register_wh: int,
    actor: str,
    reason: str,
    uow: UnitOfWork,
    now_s: int,
) -> ExchangeOutcome:
    """Enter that a meter's device was exchanged now: its register and its credit go on with the new one.

    `final_register_wh`: what the old device showed at last; `opening_register_wh`: what the new one began with.
    The meter is called by its new device's id from now on. Midnights of the old device that come late still count.
    """
    if uow.meter_keys([new_device]) or uow.former_devices([new_device]):
        return ExchangeOutcome.DEVICE_KNOWN
    ((_, meter_key, _),) = uow.meter_keys([meter.meter])
    register_wh = final_register_wh + uow.register_offsets([meter_key]).get(meter_key, 0)
    if register_wh < meter.register_wh:
        return ExchangeOutcome.FINAL_TOO_LOW
    uow.exchange(
        Exchange(meter_key, meter.meter, new_device, final_register_wh, opening_register_wh, register_wh, now_s)
    )
    uow.resolve_exceptions([(meter_key, kind) for kind in EXPLAINED], actor, f"exchanged: {reason}", now_s)
    basis = {
        "new_device": new_device,
        "final_register_wh": final_register_wh,
        "opening_register_wh": opening_register_wh,
        "register_wh": register_wh,
        "credit_seq": meter.credit_seq,
    }
    for subject in (meter.meter, new_device):
        uow.record_act(Act(now_s, actor, ActKind.METER_EXCHANGED, f"meter/{subject}", reason, basis))
    return ExchangeOutcome.EXCHANGED


def note_rollover(meter_key: int, rollover_wh: int, intake: Intake) -> None:
    """A register ran over its last digit: what it shows from now on counts so much more."""
    uow = intake.uow
    uow.add_to_offset(meter_key, rollover_wh)
    intake.directory.offsets[meter_key] = intake.directory.offsets.get(meter_key, 0) + rollover_wh
    (row,) = uow.cases([meter_key])
    basis = {"rollover_wh": rollover_wh, "register_wh": row.meter.register_wh}
    reason = "its register fell by more than half of what its digits can show"
    uow.record_act(Act(intake.now_s, "headend", ActKind.ROLLOVER, f"meter/{row.meter.meter}", reason, basis))
