"""Recovery: follows each region from an outage of the journal through its phases back to NORMAL.

Nothing is kept in memory: where a region stands is in the store, so that a restart goes on from there, and
head-ends with different regions do not disturb each other. The theory is in `domain.recovery`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from headend.domain.arrears import ArrearsRules
from headend.domain.calendar import day_of
from headend.domain.outage import Silence, outages
from headend.domain.recovery import (
    WORK_PHASES,
    Event,
    Phase,
    RecoveryRules,
    RegionState,
    advance,
    seconds_to_go,
)
from headend.service.arrears import plan_after_outage
from headend.service.ports import UnitOfWork
from headend.service.ports.recovery import RegionRow


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """A region moved from a phase to the next. `state` is the one after it, with the outage's times."""

    region: str
    before: Phase
    event: Event
    state: RegionState


@dataclass(frozen=True, slots=True)
class RegionProgress:
    """Where a region stands, for people. `left`: by phase of work, while the region recovers.

    `to_go_s`: how long its phase is going to last, at the pace that it has had; None: not known.
    """

    region: str
    state: RegionState
    left: dict[Phase, int]
    to_go_s: int | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """Follows the regions of one head-end; no `regions`: all."""

    rules: RecoveryRules
    arrears: ArrearsRules
    zone: ZoneInfo
    regions: tuple[str, ...] = ()

    def follow(self, uow: UnitOfWork, now_s: int) -> list[PhaseChange]:
        """Look what the journal says and whether anything is left, and move on; what moved, in order.

        Call it with every sign of life, after the journal: a region in NORMAL costs next to nothing.
        """
        rows = [row for row in uow.recoveries() if not self.regions or row.region in self.regions]
        if not rows:
            return []
        silences = uow.silences(min(row.looked_until_s for row in rows))
        gateways = uow.gateway_counts() if silences else {}
        by_region: defaultdict[str | None, list[Silence]] = defaultdict(list)
        for region, silence in silences:
            by_region[region].append(silence)
        changes: list[PhaseChange] = []
        for row in rows:
            # Another region may have looked less far: what this one has seen is behind it.
            heard = [
                silence
                for silence in (*by_region[None], *by_region[row.region])
                if silence.ended_s is None or silence.ended_s > row.looked_until_s
            ]
            after = self._follow_region(row, heard, gateways.get(row.region, 0), changes, uow, now_s)
            if any(silence.ended_s is not None for _, silence in silences):
                after = replace(after, looked_until_s=max(now_s, row.looked_until_s))
            if after != row:
                uow.put_region(after)
        return changes

    def _follow_region(
        self,
        row: RegionRow,
        silences: Sequence[Silence],
        gateways: int,
        changes: list[PhaseChange],
        uow: UnitOfWork,
        now_s: int,
    ) -> RegionRow:
        after = row
        for event, at_s in self._outage_events(row.state, silences, gateways, now_s):
            after = self._move(after, event, at_s, changes)
        return self._work(after, changes, uow, now_s)

    def _outage_events(
        self, state: RegionState, silences: Sequence[Silence], gateways: int, now_s: int
    ) -> Iterator[tuple[Event, int]]:
        """What the journal says of a region since it was last looked at."""
        lasting = state.phase is Phase.OUTAGE
        found = outages(silences, gateways, self.rules, now_s, lasting=lasting)
        for outage in found:
            yield Event.OUTAGE_BEGAN, outage.began_s
            if outage.ended_s is not None:
                yield Event.OUTAGE_ENDED, outage.ended_s
        if lasting and not found:
            yield Event.OUTAGE_ENDED, now_s

    def _work(self, row: RegionRow, changes: list[PhaseChange], uow: UnitOfWork, now_s: int) -> RegionRow:
        """Move on through all phases in which nothing is left."""
        while row.state.phase in WORK_PHASES:
            if self._is_left(row, uow):
                entered = bool(changes) and changes[-1].region == row.region
                return replace(row, first_left=self._count(row, row.state.phase, uow)) if entered else row
            row = self._move(row, Event.DRAINED, now_s, changes)
        if row.state.phase is Phase.GRACE:
            if row.arrears_key is not None:
                key = plan_after_outage(self.arrears, row.region, row.arrears_key, self.zone, uow, now_s)
                row = replace(row, arrears_key=key)
            grace_until_s = row.state.grace_until_s
            if row.arrears_key is None and grace_until_s is not None and now_s >= grace_until_s:
                row = self._move(row, Event.GRACE_OVER, now_s, changes)
        return row

    def _is_left(self, row: RegionRow, uow: UnitOfWork) -> bool:
        """Whether anything is left in a region's phase, or came back to the phases before it."""
        here = WORK_PHASES.index(row.state.phase)
        phases = (row.state.phase, *WORK_PHASES[:here])
        return any(self._count(row, phase, uow, limit=1) for phase in phases)

    def _count(self, row: RegionRow, phase: Phase, uow: UnitOfWork, limit: int = -1) -> int:
        ended_s = row.state.outage_ended_s
        assert ended_s is not None, "there is work after an outage only"
        return uow.left_count(row.region, phase, ended_s, day_of(ended_s, self.zone), limit)

    def _move(self, row: RegionRow, event: Event, at_s: int, changes: list[PhaseChange]) -> RegionRow:
        state = advance(row.state, event, at_s, self.rules.grace_s)
        if state is row.state:
            return row
        changes.append(PhaseChange(row.region, row.state.phase, event, state))
        plans_due = state.phase is Phase.GRACE and self.arrears.auto_after_outage
        return replace(row, state=state, arrears_key=0 if plans_due else None)

    def progress(self, uow: UnitOfWork, now_s: int) -> list[RegionProgress]:
        """Where all regions stand, with what is left in every phase of those that recover."""
        return [self._progress(row, uow, now_s) for row in uow.recoveries()]

    def _progress(self, row: RegionRow, uow: UnitOfWork, now_s: int) -> RegionProgress:
        state = row.state
        if state.phase is Phase.GRACE and state.grace_until_s is not None:
            return RegionProgress(row.region, state, {}, max(0, state.grace_until_s - now_s))
        if state.phase not in WORK_PHASES:
            return RegionProgress(row.region, state, {}, None)
        left = {phase: self._count(row, phase, uow) for phase in WORK_PHASES}
        to_go_s = seconds_to_go(row.first_left, left[state.phase], now_s - state.since_s)
        return RegionProgress(row.region, state, left, to_go_s)
