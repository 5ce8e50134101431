"""Policies for the meters: each region's protected windows for weeks ahead, renewed in time, sent to every meter.

A meter holds itself to its policy whatever we or a forger may order: the second lock on the same door. Where a
utility protects nothing, and never did, no policy is sent.
"""

from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of, midnight_s
from headend.domain.evidence import Act, ActKind
from headend.domain.policy import draw_up, must_replace
from headend.domain.protection_rules import ProtectionRules
from headend.domain.windows import protected_intervals
from headend.service.ports import UnitOfWork

POLICY_DAYS: Final = 60
"""How far ahead a policy tells a meter the windows: longer than the longest outage that is to be survived."""

RENEW_BEFORE_S: Final = 30 * 86_400
"""A policy is renewed when it holds no longer than this."""

ISSUE_LIMIT: Final = 2_000
"""Most meters that one step queues a policy for."""


class Policies:
    """Keeps the regions' policies current, and queues them for their meters in bounded steps."""

    def __init__(self, rules: ProtectionRules, zone: ZoneInfo) -> None:
        self._rules = rules
        self._zone = zone
        self._behind: dict[str, tuple[int, int]] = {}
        """By region: the version, and the meter key up to which it is queued in this pass."""
        self._queued: dict[str, tuple[int, int]] = {}
        """By region: the version that a pass found nobody without, up to which meter key."""
        self.wants_look = True

    def look_again(self) -> None:
        """Another process changed something: meters may be new, a moratorium declared or ended."""
        self.wants_look = True

    def has_work(self) -> bool:
        """Whether meters are to be told something."""
        return self.wants_look or bool(self._behind)

    def follow(self, uow: UnitOfWork, now_s: int) -> None:
        """Issue a new policy where a region's windows changed, or the old one ends soon."""
        self.wants_look = False
        first_day = day_of(now_s, self._zone)
        until_s = midnight_s(first_day + POLICY_DAYS, self._zone)
        moratoria = uow.moratoria(now_s)
        for region in [row.region for row in uow.recoveries()]:
            here = [moratorium for moratorium in moratoria if moratorium.covers(region)]
            windows = protected_intervals(self._rules.hours, here, self._zone, first_day, POLICY_DAYS)
            held = uow.newest_policy(region)
            held_version = 0 if held is None else held.version
            lost_version = uow.last_lost_policy(region)
            version = max(held_version, lost_version) + 1
            fresh = draw_up(version, windows, until_s, self._rules.spread.clock_tolerance_s, now_s)
            # A store that was lost has told the meters more than this one knows of.
            behind = lost_version >= held_version and lost_version > 0
            if held is None and not windows and not behind:
                continue
            if held is not None and not behind and not must_replace(held, fresh, RENEW_BEFORE_S):
                self._look_for_new_meters(region, held.version, uow)
                continue
            uow.add_policy(region, fresh)
            basis = {"version": version, "windows": len(fresh.protected), "valid_until_s": fresh.valid_until_s}
            reason = "the protected windows of the rules and the moratoria in force"
            uow.record_act(Act(now_s, "headend", ActKind.POLICY_ISSUED, f"region/{region}", reason, basis))
            if behind:
                uow.close_policies_ahead(region, version, now_s)
            self._behind[region] = (version, 0)

    def _look_for_new_meters(self, region: str, version: int, uow: UnitOfWork) -> None:
        queued, up_to = self._queued.get(region, (0, 0))
        if queued != version:
            self._behind.setdefault(region, (version, 0))
        elif up_to < uow.last_meter_key():
            self._behind[region] = (version, up_to)

    def step(self, uow: UnitOfWork, now_s: int) -> None:
        """Queue the newest policy for some of the meters that are behind."""
        if not self._behind:
            return
        region, (version, after) = next(iter(self._behind.items()))
        last = uow.issue_policies(region, version, after, now_s, ISSUE_LIMIT)
        queued, checked = self._queued.get(region, (0, 0))
        checked = checked if queued == version else 0
        if last is not None:
            self._behind[region] = (version, last)
        elif after > checked:
            # Once more from the beginning: the commit of a page before this one may have failed.
            self._behind[region] = (version, checked)
        else:
            del self._behind[region]
            self._queued[region] = (version, uow.last_meter_key())
