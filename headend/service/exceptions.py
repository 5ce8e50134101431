"""What a person must look at: what to do about each kind, and the sweeps for what nobody reports.

The sweeps close what they listed once it is over. Each goes over all meters in one statement: once a minute is
enough.
"""

from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.exception_kind import ExceptionKind
from headend.service.ports import UnitOfWork

ADVICE: Final[dict[ExceptionKind, str]] = {
    ExceptionKind.REGISTER_WENT_BACK: "compare the meter's display; if exchanged or rolled over, enter that",
    ExceptionKind.READING_SEQ_WENT_BACK: "the meter's memory was reset or it was exchanged: enter the exchange",
    ExceptionKind.CLOCK_AHEAD: "set the meter's clock; its times are not believed until then",
    ExceptionKind.IMPLAUSIBLE_JUMP: "read its display; resolve it, with --believe only if that is what it shows",
    ExceptionKind.DAY_NOT_SETTLED: "a register is missing: read it on site, and enter it with meter reading",
    ExceptionKind.SNAPSHOT_DIFFERS: "the first snapshot holds; find out why the gateway sent another",
    ExceptionKind.CREDIT_WENT_BACK: "the meter lost credit or was exchanged: check its display; credits are held",
    ExceptionKind.CREDIT_AHEAD: "old backup? have later recharges submitted anew, then resolve; credits are held",
    ExceptionKind.CREDIT_TOTAL_DIFFERS: "as CREDIT_AHEAD, or somebody else's credit: find it; credits are held",
    ExceptionKind.CREDIT_REFUSED: "see what the meter refused and why; credits are held",
    ExceptionKind.RELAY_AHEAD: "an old backup as store? resolve it: its supply is ordered back; its relay is held",
    ExceptionKind.POLICY_AHEAD: "an old backup as store? resolve one: its region gets a newer policy; it is held",
    ExceptionKind.METER_NOT_FOUND: "its gateway does not know it: check where it hangs, and its registration",
    ExceptionKind.NO_PRICE: "import a tariff that has the day and the category, or change the meter's terms",
    ExceptionKind.ARREARS_NEED_PLAN: "agree on instalments with the consumer: headend arrears plan",
    ExceptionKind.PLAN_BROKEN: "speak to the consumer: a new plan, or none; the home may be cut by the rules",
    ExceptionKind.METER_SILENT: "check gateway, signal and supply on site; it closes when the meter reports",
    ExceptionKind.COMMAND_REJECTED: "read why the meter refused; order again only if that is over",
    ExceptionKind.OPEN_WITHOUT_ORDER: "the home may be without supply: check on site, then order the relay closed",
}
"""One sentence for each kind: where to begin."""


def list_silent_meters(uow: UnitOfWork, zone: ZoneInfo, now_s: int, after_s: int, limit: int) -> int:
    """List up to `limit` meters of which there is no reading for `after_s`, close those that report again.

    Silence counts only while we listen: after an outage of the head-end or its broker everybody has as long again.
    A meter that never reported counts from its installation, to the day. How many were listed.
    """
    since_s = now_s - after_s
    uow.close_silent_meters(since_s, now_s)
    if not _have_listened_since(since_s, uow):
        return 0
    return uow.list_silent_meters(since_s, day_of(since_s, zone), now_s, limit)


def list_days_not_settled(uow: UnitOfWork, zone: ZoneInfo, now_s: int, after_s: int, limit: int) -> int:
    """List up to `limit` meters with a day that cannot be settled, though it is over for `after_s` and a later one
    is known: a register is missing. What is no longer so is closed. How many were listed.

    As silence, it counts only while we listen: after an outage the backlog has as long to come in.
    """
    since_s = now_s - after_s
    uow.close_days_not_settled(now_s)
    if not _have_listened_since(since_s, uow):
        return 0
    return uow.list_days_not_settled(day_of(since_s, zone), now_s, limit)


def _have_listened_since(since_s: int, uow: UnitOfWork) -> bool:
    listening_since_s = uow.listening_since_s()
    return listening_since_s is not None and listening_since_s < since_s


def list_open_without_order(uow: UnitOfWork, now_s: int, limit: int) -> int:
    """List up to `limit` meters that report an open relay that nobody ordered (I16); close what is over."""
    uow.close_open_without_order(now_s)
    return uow.list_open_without_order(now_s, limit)
