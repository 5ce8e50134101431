"""How the head-end of a simulation is set up: its rules, its settings, its meters."""

from dataclasses import replace
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.rules import Rules
from headend.rules import load_rules
from headend.service.rows import Registration
from headend.service.server import Settings
from headend.service.traffic import GatewayId
from meter_sim.fleet import FleetPlan
from meter_sim.lab.households import consumer, feeder
from meter_sim.lab.scenario import ZONE
from meter_sim.load import opening_register_wh

WINDOW: Final = 100
ANSWER_TIMEOUT_S: Final = 300.0
"""A minute of silence costs a step; days of it would cost thousands, for nothing."""

MAX_DAY_WH: Final = 2_400_000
"""The head-end's default: more energy than this in a day is looked at, not billed."""

SILENT_AFTER_S: Final = 2 * 3_600


@lru_cache
def preset(name: str) -> Rules:
    """The rules of a preset; to look up their festivals takes a while."""
    rules = load_rules(name)
    return replace(rules, protection=replace(rules.protection, max_day_wh=MAX_DAY_WH))


def settings_of(rules: Rules, interval_s: int, heartbeat_s: float) -> Settings:
    """What the head-end is told; its times are virtual."""
    silent_after_s = max(SILENT_AFTER_S, 2 * interval_s)
    return Settings(
        zone=ZoneInfo(ZONE),
        rules=rules,
        max_day_wh=MAX_DAY_WH,
        window=WINDOW,
        answer_timeout_s=ANSWER_TIMEOUT_S,
        heartbeat_s=heartbeat_s,
        poll_s=1.0,
        stalled_after_s=heartbeat_s,
        silent_after_s=silent_after_s,
        meter_silent_after_s=12 * silent_after_s,
    )


def registrations(rules: str, plan: FleetPlan) -> list[Registration]:
    """The meters of a fleet as they are registered."""
    day = day_of(plan.start_s, ZoneInfo(ZONE))
    found = []
    for number, opening_wh in enumerate(opening_register_wh(1, plan.meters).tolist(), start=1):
        who, gateway = consumer(rules, number), plan.gateway_id(number)
        place = GatewayId(plan.region, gateway)
        details = (who.category or None, who.load_w, feeder(gateway))
        found.append(Registration(plan.meter_id(number), place, opening_wh, day, *details))
    return found
