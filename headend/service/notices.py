"""What consumers are told, and when: each function adds the notices of one event, in the event's own commit.

Notices of crossed levels come from the sweep over standings. How notices reach anybody is `service.notify`'s.
"""

from collections.abc import Iterable
from typing import Any, Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import iso_text, local_text
from headend.domain.ledger import Transfer
from headend.domain.notice import NoticeKind, notice_text
from headend.service.journal import HEADEND_SUBJECT, OutageKind
from headend.service.ports import UnitOfWork
from headend.service.ports.notices import NewNotice, Notice

TELL_OF_ENDED_S: Final = 86_400
"""An outage that ended longer ago is told to nobody any more."""


def notice_of_recharge(meter_key: int, transfer: Transfer, uow: UnitOfWork) -> None:
    """A recharge was accepted: it is in the ledger, and on its way to the meter."""
    content = {
        "amount_micros": transfer.amount_micros,
        "reference": transfer.reference,
        "transfer_id": transfer.transfer_id,
    }
    kind = NoticeKind.RECHARGE_RECEIVED
    uow.add_notices([NewNotice(kind, meter_key, None, transfer.accepted_at_s, content)])


def announce_cuts(cuts: Iterable[tuple[int, int]], uow: UnitOfWork, now_s: int) -> None:
    """(meter_key, cut_at_s): the supply will be cut then at the earliest, if nothing changes."""
    announced = list(cuts)
    kind = NoticeKind.CUT_ANNOUNCED
    uow.add_notices(NewNotice(kind, key, None, now_s, {"cut_at_s": cut_at_s}) for key, cut_at_s in announced)
    uow.note_cut_announced(announced)


def notices_of_cuts(cuts: Iterable[tuple[int, str, int]], uow: UnitOfWork, now_s: int) -> None:
    """(meter_key, reason, cut_s): the meter has opened its relay."""
    uow.add_notices(
        NewNotice(NoticeKind.CUT, key, None, now_s, {"reason": reason, "cut_s": cut_s})
        for key, reason, cut_s in cuts
    )


def notices_of_restored(restored: Iterable[tuple[int, int]], uow: UnitOfWork, now_s: int) -> None:
    """(meter_key, restored_s): the meter has closed its relay again."""
    uow.add_notices(
        NewNotice(NoticeKind.RESTORED, key, None, now_s, {"restored_s": restored_s})
        for key, restored_s in restored
    )


def watch_headend(uow: UnitOfWork, now_s: int, silent_after_s: int) -> None:
    """Write down that `headend serve` gives no sign of life: it cannot say so itself. Its next start ends that."""
    beat = uow.heartbeat()
    if beat is not None and now_s - beat[0] > silent_after_s:
        detail = "stopped in good order" if beat[1] else "gives no sign of life"
        uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, detail, beat[0])


def tell_of_outages(uow: UnitOfWork, now_s: int, after_s: int) -> int:
    """Tell everybody of each outage of the system that lasts, or lasted, longer than `after_s`, and of its end.

    Once each, whoever calls this and however often. A gateway's outage is none of the system.
    """
    told = []
    for outage, is_begin_told in uow.outages_to_tell(now_s - TELL_OF_ENDED_S, now_s, after_s):
        content = {"outage_id": outage.outage_id, "outage": outage.kind, "began_s": outage.began_at_s}
        if not is_begin_told:
            told.append(NewNotice(NoticeKind.OUTAGE, None, None, now_s, content))
        if outage.ended_at_s is not None:
            ended = content | {"ended_s": outage.ended_at_s}
            told.append(NewNotice(NoticeKind.OUTAGE_ENDED, None, None, now_s, ended))
    uow.add_notices(told)
    return len(told)


def notice_json(notice: Notice, zone: ZoneInfo) -> dict[str, Any]:
    """A notice for machines, with its sentence. The same notice always gives the same."""
    return {
        "id": notice.notice_id,
        "kind": notice.kind,
        "meter": notice.meter,
        "region": notice.region,
        "at_s": notice.at_s,
        "at": iso_text(notice.at_s),
        "text": sentence(notice, zone),
        "content": dict(notice.content),
    }


def sentence(notice: Notice, zone: ZoneInfo) -> str:
    """What a notice says, times as people of the zone read them."""
    return notice_text(notice.kind, notice.content, lambda at_s: local_text(at_s, zone))
