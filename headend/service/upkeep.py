"""What is looked after between messages: recovery, standings, cuts and reconnections, policies; in small steps.

A round begins with each sign of life; its steps go on while messages come in, each in the commit of its step.
"""

from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.evidence import Act, ActKind
from headend.domain.rules import Rules
from headend.service.exceptions import list_days_not_settled, list_open_without_order, list_silent_meters
from headend.service.notices import tell_of_outages
from headend.service.policies import Policies
from headend.service.ports import UnitOfWork
from headend.service.protect import LOOK_LIMIT, protect_debtors
from headend.service.quarantine import cut_released
from headend.service.reconnections import reconnect_homes
from headend.service.recovery import Recovery
from headend.service.standing import look_at_standings

SILENT_LIMIT: Final = 5_000
"""Most meters that one round lists as silent."""

SILENCE_EVERY_S: Final = 60

SWEEP_EVERY_S: Final = 60
"""How often all released wishes and all homes cut for debt are looked at; a recharge is at once."""


class Upkeep:
    """One head-end's rounds."""

    def __init__(self, rules: Rules, zone: ZoneInfo, silent_after_s: int, meter_silent_after_s: int) -> None:
        """`silent_after_s`: an outage shorter than this is told to nobody.

        `meter_silent_after_s`: a meter that sent
        no reading for so long is for a person to look at.
        """
        self._rules = rules
        self._zone = zone
        self._silent_after_s = silent_after_s
        self._meter_silent_after_s = meter_silent_after_s
        self._recovery = Recovery(rules.recovery, rules.arrears, zone)
        self._policies = Policies(rules.protection, zone)
        self._today = 0
        self._standings: int | None = None
        self._released: int | None = None
        self._cuts: int | None = None
        self._debtors = False
        self._next_silence_s = 0
        self._next_sweep_s = 0

    def look_again(self) -> None:
        """Another process changed something."""
        self._policies.look_again()

    def has_work(self) -> bool:
        """Whether a step would do something now."""
        pages = (self._standings, self._released, self._cuts)
        return self._debtors or self._policies.has_work() or any(page is not None for page in pages)

    def begin_round(self, uow: UnitOfWork, now_s: int) -> None:
        """What is done once a round; what takes longer is begun."""
        today = day_of(now_s, self._zone)
        if not self._today:
            # The rules may be others than those of the process before.
            uow.look_at_debtors_again()
        if today != self._today:
            # Fixed charges fell due, and policies may have to be renewed.
            uow.look_at_all_again()
            self._policies.look_again()
            self._today = today
        for change in self._recovery.follow(uow, now_s):
            after = change.state
            basis = {"from": change.before, "outage_began_s": after.outage_began_s or 0}
            basis |= {"outage_ended_s": after.outage_ended_s or 0, "grace_until_s": after.grace_until_s or 0}
            subject, reason = f"region/{change.region}", f"enters {after.phase} by {change.event}"
            uow.record_act(Act(now_s, "headend", ActKind.RECOVERY_PHASE, subject, reason, basis))
        tell_of_outages(uow, now_s, self._silent_after_s)
        if now_s >= self._next_silence_s:
            list_silent_meters(uow, self._zone, now_s, self._meter_silent_after_s, SILENT_LIMIT)
            list_days_not_settled(uow, self._zone, now_s, self._meter_silent_after_s, SILENT_LIMIT)
            list_open_without_order(uow, now_s, SILENT_LIMIT)
            self._next_silence_s = now_s + SILENCE_EVERY_S
        self._standings = 0 if self._standings is None else self._standings
        if now_s >= self._next_sweep_s:
            self._released = 0 if self._released is None else self._released
            self._cuts = 0 if self._cuts is None else self._cuts
            self._next_sweep_s = now_s + SWEEP_EVERY_S
        self._debtors = True

    def step(self, uow: UnitOfWork, now_s: int) -> None:
        """One page of each thing that is under way."""
        if self._policies.wants_look:
            self._policies.follow(uow, now_s)
        self._policies.step(uow, now_s)
        if self._standings is not None:
            tariffs = [row.tariff for row in uow.tariffs()]
            swept = look_at_standings(self._rules.alerts, tariffs, self._zone, uow, now_s, self._standings)
            self._standings = swept.resume_after
        if self._cuts is not None:
            self._cuts = reconnect_homes(self._rules, self._zone, uow, now_s, self._cuts)
        if self._debtors:
            self._debtors = protect_debtors(self._rules, self._zone, uow, now_s) == LOOK_LIMIT
        if self._released is not None:
            self._released = cut_released(self._rules, self._zone, uow, now_s, self._released)
