"""Bills over a long outage: thirteen days without a deduction, then all at once, as in May 2024.

The bills come out as if there had been no outage, and nobody is cut before they could see theirs.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import pytest
from world import SETTINGS, ZONE, Faults, World, converge

from headend.domain.notice import NoticeKind
from headend.domain.rules import Rules
from headend.rules import load_rules, preset_names
from headend.service.protect import NOTICE_S
from headend.service.settle import day_hash
from headend.wire.messages import RelayPosition

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
MAY = date(2024, 5, 1)
DAYS_BEFORE, DAYS_OUT = 2, 13
PLENTY = 20_000
DAYS = DAYS_BEFORE + DAYS_OUT
BAD_WIRE = Faults(loss=0.2, repeat=0.3, most_delay_s=60.0)


def world_of(folder: Path, seed: int, rules: Rules) -> World:
    """Few meters that report each two hours, and a sign of life each hour: fifteen days in a second or two."""
    folder.mkdir()
    settings = replace(SETTINGS, rules=rules, heartbeat_s=HOUR_S, silent_after_s=4 * HOUR_S)
    return World(folder, seed, 6, 3, settings=settings, start_day=MAY, interval_s=2 * HOUR_S, protected=True)


def live_to_the_outage(world: World) -> None:
    world.advance(DAYS_BEFORE * DAY_S + 5 * HOUR_S)


def live_through_thirteen_days(world: World, *, outage: bool) -> None:
    """Half of the homes pay meanwhile; in an outage nothing is charged, then all of it over a bad wire."""
    if outage:
        world.cut_link()
        world.kill_headend()
    world.advance(4 * DAY_S)
    if outage:
        # The head-end is back before its broker is: it can settle nothing.
        world.restart_headend()
    for number, meter in enumerate(world.meters[::2]):
        world.recharge(meter, 100 + number, f"MEANWHILE-{number}")
    world.advance((DAYS_OUT - 4) * DAY_S)
    if outage:
        assert settled_days(world) == {DAYS_BEFORE}, "nothing was deducted meanwhile"
        world.faults = BAD_WIRE
        world.heal_link()
    world.advance(HOUR_S)
    world.faults = Faults()


def settled_days(world: World) -> set[int]:
    """How many days each meter is settled for."""
    with world.store.view() as uow:
        return {row.settled_day - row.installed_day + 1 for row in uow.meter_rows("", 100)}


@dataclass(frozen=True)
class Bills:
    """What stands in the store, and at the meters."""

    hashes: list[object]
    balances: list[int]
    credited: dict[str, int]


def bills(world: World) -> Bills:
    first = MAY.toordinal()
    with world.store.view() as uow:
        hashes: list[object] = [day_hash(first + day, uow) for day in range(DAYS)]
        balances = [row.credits_micros - row.debits_micros for row in uow.meter_rows("", 100)]
    return Bills(hashes, balances, world.credited_at_meters())


@pytest.mark.parametrize("preset", preset_names())
def test_thirteen_days_without_deductions_end_in_the_bills_of_a_run_without_outage(
    preset: str, tmp_path: Path, seed: int
) -> None:
    found = []
    for outage in (False, True):
        with closing(world_of(tmp_path / str(outage), seed, load_rules(preset))) as world:
            for number, meter in enumerate(world.meters):
                world.recharge(meter, PLENTY, f"BEFORE-{number}")
            live_to_the_outage(world)
            live_through_thirteen_days(world, outage=outage)
            converge(world)
            assert world.violations(converged=True) == []
            assert world.exceptions() == []
            assert settled_days(world) == {DAYS}
            assert world.credited_at_meters() == world.owed_at_meters()
            found.append(bills(world))
    good, bad = found
    assert bad == good
    assert len(set(good.hashes)) == DAYS
    assert len(set(good.balances)) == len(good.balances), "homes that are all alike would not show a mix-up"


# cuts -----------------------------------------------------------------------------------------------------------

WINDOW = (11, 13)
"""Local hours from and to which Bihar permits cuts; not on Sundays."""
SUNDAY = 6


@contextmanager
def poor_homes(folder: Path, seed: int, *, outage: bool, plans: bool = False) -> Iterator[tuple[World, set[str]]]:
    """Bihar's May 2024, until an hour after the heal; every second home never pays. And who owes already."""
    bihar = load_rules("bihar")
    rules = replace(bihar, arrears=replace(bihar.arrears, auto_after_outage=plans))
    with closing(world_of(folder, seed, rules)) as world:
        for number, meter in enumerate(world.meters[::2]):
            world.recharge(meter, PLENTY, f"BEFORE-{number}")
        live_to_the_outage(world)
        assert world.relays_sent == [], "their grace is not over"
        with world.store.view() as uow:
            # A home that stands empty owes nothing.
            owing = {row.meter for row in uow.meter_rows("", 100) if row.debits_micros > row.credits_micros}
        assert owing
        live_through_thirteen_days(world, outage=outage)
        yield world, owing


def opened(world: World) -> dict[str, int]:
    """When each relay opened first, by the meters' log; none moved without an order on the wire."""
    moves = world.relays_at_meters()
    sent = {(order.meter, order.version, str(order.relay)) for _, order in world.relays_sent}
    assert {(meter, version, position) for meter, version, position, _ in moves} <= sent
    first: dict[str, int] = {}
    for meter, _, position, at_s in moves:
        if position == "open":
            first.setdefault(meter, at_s)
    return first


def announced(world: World, meter: str) -> list[int]:
    """When the consumer was told of a cut."""
    with world.store.view() as uow:
        notices = [row.notice for row in uow.notices(meter, None, 0, 1_000)]
    return [notice.at_s for notice in notices if notice.kind is NoticeKind.CUT_ANNOUNCED]


@pytest.mark.parametrize("plans", [False, True], ids=["no plans", "plans for all debts"])
def test_homes_in_debt_after_late_deductions_keep_their_grace_and_are_cut_in_permitted_hours_only(
    tmp_path: Path, seed: int, plans: bool
) -> None:
    with poor_homes(tmp_path / "bad", seed, outage=True, plans=plans) as (world, owing):
        healed_s = world.clock.now_s() - HOUR_S
        assert world.relays_sent == []
        world.advance(12 * DAY_S)
        assert world.violations(converged=True) == []
        when = opened(world)
        assert owing <= set(when) <= set(world.meters[1::2])
        sent = [at_s for at_s, order in world.relays_sent if order.relay is RelayPosition.OPEN]
        assert min(sent) > healed_s + world.settings.rules.recovery.grace_s
        for at_s in [*when.values(), *sent]:
            at = datetime.fromtimestamp(at_s, ZONE)
            assert (WINDOW[0] <= at.hour < WINDOW[1], at.weekday() == SUNDAY) == (True, False), at
        for meter, at_s in when.items():
            told = announced(world, meter)
            assert not [told_s for told_s in told if healed_s - DAYS_OUT * DAY_S < told_s < healed_s]
            assert healed_s < max(told) < at_s - NOTICE_S, "they were told anew, in time"


def test_the_same_homes_are_cut_in_these_days_if_there_is_no_outage(tmp_path: Path, seed: int) -> None:
    """Or the test before would show nothing."""
    with poor_homes(tmp_path / "good", seed, outage=False) as (world, owing):
        assert owing <= set(opened(world)) <= set(world.meters[1::2])
        assert world.violations(converged=True) == []
