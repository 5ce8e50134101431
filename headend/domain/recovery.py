"""The recovery of a region from an outage: in which phase it is, and when the next one begins.

Theory
------
An outage delays and does nothing else, so that after it there is only work to be done, and the work has an order:

    NORMAL         all is as it should be; the only phase in which cuts leave.
    OUTAGE         the head-end or its link to the broker is out, or a large share of the region's gateways.
    CREDITS        recharges that waited are going out: nobody is without what they have paid for.
    RECONNECTIONS  orders to close that waited are going out: nobody is without supply by our fault.
    SNAPSHOTS      the midnight registers of the days of the outage are coming in.
    SETTLEMENT     these days are being charged.
    DISPLAY        meters are reporting anew: the balances shown are fresh again.
    GRACE          everything is known again, and people have time to see it and to recharge.

    NORMAL --> OUTAGE --> CREDITS --> RECONNECTIONS --> SNAPSHOTS --> SETTLEMENT --> DISPLAY --> GRACE --> NORMAL
                  ^          |               |              |             |             |          |
                  +----------+---------------+--------------+-------------+-------------+----------+

A phase ends when nothing is left in it and in those before it; the phases say what the work is, and do not keep
any of it from being done earlier. What is left is counted against the end of the outage, so that the recharges
and days of today hold up nothing. A meter that is listed for a person holds up nothing either: it is not lost,
but on the list. A new outage leads back to OUTAGE, from everywhere, and keeps the earlier beginning: the recovery
from the first one was not over.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Where a region is."""

    NORMAL = "NORMAL"
    OUTAGE = "OUTAGE"
    CREDITS = "CREDITS"
    RECONNECTIONS = "RECONNECTIONS"
    SNAPSHOTS = "SNAPSHOTS"
    SETTLEMENT = "SETTLEMENT"
    DISPLAY = "DISPLAY"
    GRACE = "GRACE"


class Event(StrEnum):
    """What moves a region on."""

    OUTAGE_BEGAN = "OUTAGE_BEGAN"
    OUTAGE_ENDED = "OUTAGE_ENDED"
    DRAINED = "DRAINED"
    GRACE_OVER = "GRACE_OVER"


WORK_PHASES: Final = (Phase.CREDITS, Phase.RECONNECTIONS, Phase.SNAPSHOTS, Phase.SETTLEMENT, Phase.DISPLAY)
"""The phases in which something is left to do, in order."""

TABLE: Final[dict[tuple[Phase, Event], Phase]] = {
    **{(phase, Event.OUTAGE_BEGAN): Phase.OUTAGE for phase in Phase if phase is not Phase.OUTAGE},
    (Phase.OUTAGE, Event.OUTAGE_ENDED): Phase.CREDITS,
    (Phase.CREDITS, Event.DRAINED): Phase.RECONNECTIONS,
    (Phase.RECONNECTIONS, Event.DRAINED): Phase.SNAPSHOTS,
    (Phase.SNAPSHOTS, Event.DRAINED): Phase.SETTLEMENT,
    (Phase.SETTLEMENT, Event.DRAINED): Phase.DISPLAY,
    (Phase.DISPLAY, Event.DRAINED): Phase.GRACE,
    (Phase.GRACE, Event.GRACE_OVER): Phase.NORMAL,
}


@dataclass(frozen=True, slots=True)
class RecoveryRules:
    """What counts as an outage of a region, and how long nobody is cut after the recovery from it.

    `region_share_bp`: the share of a region's gateways, in basis points, that makes it an outage of the region.
    """

    min_outage_s: int
    region_share_bp: int
    grace_s: int


@dataclass(frozen=True, slots=True)
class RegionState:
    """A region's phase, since when, and the times of its newest outage. None: there was none, or it lasts."""

    phase: Phase = Phase.NORMAL
    since_s: int = 0
    outage_began_s: int | None = None
    outage_ended_s: int | None = None
    grace_until_s: int | None = None


def advance(state: RegionState, event: Event, at_s: int, grace_s: int) -> RegionState:
    """The state after an event at a time; an event that the table does not name changes nothing."""
    phase = TABLE.get((state.phase, event))
    if phase is None:
        return state
    after = replace(state, phase=phase, since_s=at_s)
    if phase is Phase.OUTAGE:
        began_s = at_s if state.phase is Phase.NORMAL or state.outage_began_s is None else state.outage_began_s
        return replace(after, outage_began_s=min(began_s, at_s), outage_ended_s=None, grace_until_s=None)
    if event is Event.OUTAGE_ENDED:
        return replace(after, outage_ended_s=at_s)
    if phase is Phase.GRACE:
        return replace(after, grace_until_s=at_s + grace_s)
    return after


def seconds_to_go(first_left: int, left: int, elapsed_s: int) -> int | None:
    """How long a phase will last at the pace that it has had, rounded up; None: nothing was done yet."""
    done = first_left - left
    return -(-left * elapsed_s // done) if done > 0 and elapsed_s > 0 else None
