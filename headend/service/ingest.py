"""Taking in what gateways send. One commit for many messages; receipts are for after the commit."""

from collections.abc import Collection, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from headend.service.answers import take_hello, take_results
from headend.service.directory import Directory
from headend.service.intake import Intake
from headend.service.ports import UnitOfWork
from headend.service.readings import ReadingBatch
from headend.service.traffic import Arrival, HelloFrame, ReadingFrame, ReceiptOut, ResultFrame, Unreadable, Verdict

UNKNOWN_GATEWAY: Final = "UNKNOWN_GATEWAY"


def ingest(
    arrivals: Sequence[Arrival],
    directory: Directory,
    zone: ZoneInfo,
    uow: UnitOfWork,
    now_s: int,
    band_minutes: Collection[int] = (),
    rollover_wh: int | None = None,
    max_day_wh: int | None = None,
) -> Intake:
    """Write everything of these arrivals inside the open transaction; what came of it."""
    intake = Intake(directory, uow, now_s, band_minutes, rollover_wh, max_day_wh)
    batch = ReadingBatch(intake, zone)
    for arrival in arrivals:
        match arrival.message:
            case ReadingFrame() | HelloFrame() | ResultFrame() as message:
                gateway_key = directory.gateway_key(message.gateway, uow)
                if gateway_key is None:
                    _turn_away(arrival, message, intake)
                    continue
                intake.heard.add(gateway_key)
                match message:
                    case ReadingFrame():
                        batch.add(arrival, message, gateway_key)
                    case HelloFrame():
                        take_hello(arrival, message, gateway_key, intake)
                    case ResultFrame():
                        take_results(arrival, message, gateway_key, intake)
            case Unreadable() as unreadable:
                _keep_unreadable(unreadable, intake)
    batch.write()
    return intake


def _turn_away(arrival: Arrival, message: ReadingFrame | HelloFrame | ResultFrame, intake: Intake) -> None:
    """An unknown gateway may be registered yet: it is told to come again, and its bytes are kept."""
    gateway = message.gateway
    detail = f"gateway {gateway.gateway} of region {gateway.region} is not registered"
    intake.keep_letter(arrival, UNKNOWN_GATEWAY, detail)
    if not isinstance(message, ResultFrame):
        intake.receipts.append(ReceiptOut(gateway, message.frame, Verdict.LATER, UNKNOWN_GATEWAY, detail))


def _keep_unreadable(message: Unreadable, intake: Intake) -> None:
    intake.uow.add_dead_letter(message.topic, message.payload, message.code, message.detail, intake.now_s)
    intake.dead_letters += 1
    # Without a gateway there is nobody to tell.
    if message.gateway is not None:
        intake.receipts.append(
            ReceiptOut(message.gateway, message.frame, Verdict.REFUSED, message.code, message.detail)
        )
