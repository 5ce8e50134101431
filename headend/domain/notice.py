"""What consumers are told: the kinds of notices, and each as a sentence."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from headend.domain.units import format_rupees

LocalText = Callable[[int | None], str]
"""An instant (seconds UTC) as people of the utility's zone read it."""


class NoticeKind(StrEnum):
    """What a notice is about."""

    LOW_BALANCE = "LOW_BALANCE"
    ZERO_BALANCE = "ZERO_BALANCE"
    EMERGENCY_CREDIT = "EMERGENCY_CREDIT"
    CUT_ANNOUNCED = "CUT_ANNOUNCED"
    CUT = "CUT"
    RESTORED = "RESTORED"
    RECHARGE_RECEIVED = "RECHARGE_RECEIVED"
    OUTAGE = "OUTAGE"
    OUTAGE_ENDED = "OUTAGE_ENDED"


Content = Mapping[str, Any]
"""A notice's facts, as JSON values: amounts `..._micros`, instants `..._s`."""


def notice_text(kind: NoticeKind, content: Content, local_text: LocalText) -> str:
    """The notice as a sentence. `content` holds what `service.notices` puts there for this kind."""
    return _SENTENCES[kind](content, local_text)


def _balance(content: Content, local_text: LocalText) -> str:
    provisional = ", provisional" if content["provisional"] else ""
    amount = format_rupees(content["balance_micros"])
    return f"balance Rs {amount} as of {local_text(content['as_of_s'])}{provisional}"


def _low(content: Content, local_text: LocalText) -> str:
    return f"low {_balance(content, local_text)}: at or below Rs {format_rupees(content['level_micros'])}"


def _zero(content: Content, local_text: LocalText) -> str:
    return f"no credit left: {_balance(content, local_text)}"


def _emergency(content: Content, local_text: LocalText) -> str:
    left = content["emergency_left_micros"]
    rest = f"; Rs {format_rupees(left)} of it left" if left else ""
    return f"emergency credit in use: {_balance(content, local_text)}{rest}"


def _cut_announced(content: Content, local_text: LocalText) -> str:
    return f"the supply will be cut at {local_text(content['cut_at_s'])} unless the meter is recharged"


def _cut(content: Content, local_text: LocalText) -> str:
    return f"the supply was cut at {local_text(content['cut_s'])}: {content['reason']}"


def _restored(content: Content, local_text: LocalText) -> str:
    return f"the supply was restored at {local_text(content['restored_s'])}"


def _recharge(content: Content, local_text: LocalText) -> str:
    return f"recharge of Rs {format_rupees(content['amount_micros'])} received, reference {content['reference']}"


def _outage(content: Content, local_text: LocalText) -> str:
    return (
        f"the metering system has a fault since {local_text(content['began_s'])}: balances may show late,"
        " recharges are kept and will be credited, nobody is cut because of it"
    )


def _outage_ended(content: Content, local_text: LocalText) -> str:
    return (
        f"the fault of the metering system ended at {local_text(content['ended_s'])}: balances are being updated"
    )


_SENTENCES: Final[dict[NoticeKind, Callable[[Content, LocalText], str]]] = {
    NoticeKind.LOW_BALANCE: _low,
    NoticeKind.ZERO_BALANCE: _zero,
    NoticeKind.EMERGENCY_CREDIT: _emergency,
    NoticeKind.CUT_ANNOUNCED: _cut_announced,
    NoticeKind.CUT: _cut,
    NoticeKind.RESTORED: _restored,
    NoticeKind.RECHARGE_RECEIVED: _recharge,
    NoticeKind.OUTAGE: _outage,
    NoticeKind.OUTAGE_ENDED: _outage_ended,
}
