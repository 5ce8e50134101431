"""Evidence: the audit log's own check (I25), and the story of an outage."""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.evidence import GENESIS_ACT_HASH, act_hash
from headend.service.journal import OutageKind
from headend.service.ports import UnitOfWork
from headend.service.ports.evidence import StoryRow
from headend.service.rows import OutageRow
from headend.service.traffic import GatewayId


def check_acts(uow: UnitOfWork) -> list[tuple[str, str]]:
    """(subject, what is wrong): acts that break the chain or say too little, and what was done without one."""
    return [*_broken_acts(uow), *uow.privileges_without_act()]


def _broken_acts(uow: UnitOfWork) -> Iterator[tuple[str, str]]:
    head = GENESIS_ACT_HASH
    for number, act in enumerate(uow.acts(), start=1):
        if act.act_id != number:
            yield f"act {act.act_id}", f"stands where act {number} should"
            return
        if act_hash(head, *act[:-1]) != act.chain_hash:
            yield f"act {act.act_id}", f"{act.kind} of {act.subject} was changed after it was recorded"
        if not (act.actor and act.reason):
            yield f"act {act.act_id}", f"{act.kind} of {act.subject} names no actor or no reason"
        # From the stored hash, so that one changed row is one violation and not all that follow.
        head = act.chain_hash


@dataclass(frozen=True, slots=True)
class OutageStory:
    """What an outage did, as it stands at `told_at_s`.

    `region` None: it was the whole system's. `until_s`: the end of the grace period after it, or its own end, or
    now while it lasts. `totals`: see `outage_totals` of `sql/evidence.sql`.
    """

    outage: OutageRow
    region: str | None
    until_s: int
    told_at_s: int
    totals: dict[str, int | None]
    story: list[StoryRow]


def story_of_outage(outage_id: int, zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> OutageStory | None:
    """Gather the story of an outage; None: there is none of this number."""
    outage = uow.outage(outage_id)
    if outage is None:
        return None
    gateway = None
    if outage.kind == OutageKind.GATEWAY:
        gateway = GatewayId(*outage.subject.split("/", 1))
    region = gateway.region if gateway else None
    ended_s = now_s if outage.ended_at_s is None else outage.ended_at_s
    until_s = max(ended_s, uow.grace_until_s(region, ended_s) or 0)
    # A day can be settled once it is over.
    days = day_of(outage.began_at_s, zone), min(day_of(ended_s, zone), day_of(now_s, zone) - 1)
    totals = uow.outage_totals(gateway, (outage.began_at_s, ended_s, until_s), days)
    story = uow.story_of_outage(outage_id, region, outage.began_at_s, until_s)
    return OutageStory(outage, region, until_s, now_s, totals, story)
