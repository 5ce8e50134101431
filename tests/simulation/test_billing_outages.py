"""Bills over long outages: thirteen days without a deduction, then all at once, and each balance is right."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import world as virtual
from world import START_DAY, Faults, World, converge

from headend.rules import load_rules, preset_names
from headend.service.settle import day_hash

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
DAYS_BEFORE, DAYS_OUT = 2, 13
DAYS = DAYS_BEFORE + DAYS_OUT
RUPEES = 2_000


def story(folder: Path, seed: int, *, outage: bool, faults: Faults) -> dict[str, Any]:
    """Two good days, thirteen that may be lost to an outage, and what then stands in the store."""
    folder.mkdir()
    world = World(folder, seed, meters=6, meters_per_gateway=3)
    for number, meter in enumerate(world.meters):
        world.recharge(meter, RUPEES, f"P{number}")
    world.advance(DAYS_BEFORE * DAY_S + 5 * HOUR_S)
    if outage:
        world.cut_link()
        world.kill_headend()
        world.advance(4 * DAY_S)
        # The head-end is back before its broker is: it can settle nothing.
        world.restart_headend()
    world.advance((DAYS_OUT - (4 if outage else 0)) * DAY_S)
    if outage:
        assert settled_days(world) == {DAYS_BEFORE}, "nothing was deducted meanwhile"
        world.faults = faults
        world.heal_link()
        world.advance(2 * HOUR_S)
        world.faults = Faults()
    else:
        world.advance(2 * HOUR_S)
    converge(world)
    assert world.violations(converged=True) == []
    first = START_DAY.toordinal()
    with world.store.view() as uow:
        found = {
            "hashes": [day_hash(first + day, uow) for day in range(DAYS)],
            "balances": [row.credits_micros - row.debits_micros for row in uow.meter_rows("", 100)],
        }
    assert settled_days(world) == {DAYS}
    world.close()
    return found


def settled_days(world: World) -> set[int]:
    """How many days each meter is settled for."""
    with world.store.view() as uow:
        return {row.settled_day - row.installed_day + 1 for row in uow.meter_rows("", 100)}


@pytest.mark.parametrize("preset", preset_names())
def test_thirteen_days_without_deductions_end_in_the_balances_of_a_run_without_outage(
    preset: str, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual, "SETTINGS", replace(virtual.SETTINGS, rules=load_rules(preset)))
    good = story(tmp_path / "good", seed, outage=False, faults=Faults())
    bad = story(tmp_path / "bad", seed, outage=True, faults=Faults(loss=0.1, repeat=0.3, most_delay_s=120.0))
    assert bad == good
    drawn = [RUPEES * 1_000_000 - balance for balance in good["balances"]]
    assert sum(drawn) > 0
    assert len(set(drawn)) > 1, "homes that are all alike would not show a mix-up"
