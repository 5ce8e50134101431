"""Outages on virtual time: whatever is lost, repeated, reordered or killed, both ends agree in the end."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from world import PRICE, SETTINGS, Faults, World, converge

from headend.domain.ledger import RecordOutcome

HOUR_S = 3_600
DAY_S = 24 * HOUR_S


@pytest.fixture
def world(tmp_path: Path, seed: int) -> Iterator[World]:
    made = World(tmp_path, seed)
    yield made
    made.close()


def assert_converged(world: World) -> None:
    converge(world)
    assert world.violations(converged=True) == []
    assert world.exceptions() == []
    assert world.credited_at_meters() == world.owed_at_meters()


def test_a_quiet_day_ends_in_agreement(world: World) -> None:
    assert world.recharge(world.meters[0], 50, "P1") is RecordOutcome.RECORDED
    world.advance(DAY_S + HOUR_S)
    assert world.violations(converged=True) == []
    assert world.credited_at_meters() == {world.meters[0]: 50_000_000}
    with world.store.view() as uow:
        rows = uow.meter_rows("", 100)
    assert [row.settled_day - row.installed_day for row in rows] == [0] * len(world.meters)
    drawn_wh = [row.settled_register_wh - row.opening_register_wh for row in rows]
    assert [row.debits_micros for row in rows] == [wh * PRICE for wh in drawn_wh]
    assert sum(drawn_wh) > 0


def test_recharges_during_a_link_outage_arrive_once_each(world: World) -> None:
    world.advance(HOUR_S)
    world.cut_link()
    for number in range(60):
        meter = world.meters[number % len(world.meters)]
        assert world.recharge(meter, 10 + number, f"P{number}") is RecordOutcome.RECORDED
        assert world.recharge(meter, 10 + number, f"P{number}") is RecordOutcome.EXISTS
        world.advance(600)
    assert world.credited_at_meters() == {}
    assert world.violations(converged=False) == []
    assert_converged(world)


def test_an_outage_over_midnights_bills_as_if_there_had_been_none(tmp_path: Path, seed: int) -> None:
    bills = []
    for outage in (False, True):
        (tmp_path / str(outage)).mkdir()
        world = World(tmp_path / str(outage), seed)
        world.advance(5 * HOUR_S)
        if outage:
            world.cut_link()
            world.kill_headend()
        world.advance(3 * DAY_S)
        converge(world)
        assert world.violations(converged=True) == []
        with world.store.view() as uow:
            bills.append(
                [
                    [(line.reference, line.amount_micros) for line in uow.statement(meter, 0, 1_000)]
                    for meter in world.meters
                ]
            )
        world.close()
    # Three days are charged; a home that used nothing on a day has no line for it.
    assert len({reference.split("/")[1] for bill in bills[0] for reference, _ in bill}) == 3
    assert bills[0] == bills[1]


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
def test_a_head_end_killed_around_a_commit_loses_and_doubles_nothing(world: World, moment: str) -> None:
    for number in range(40):
        world.recharge(world.random.choice(world.meters), 20, f"P{number}")
        world.store.kill = moment
        world.advance(60)
        if world.headend is None:
            world.restart_headend()
    assert world.kills >= 20
    assert_converged(world)


def test_a_relay_moves_by_order_only_and_the_newest_order_wins(world: World) -> None:
    first, second = world.meters[:2]
    world.order_relay(first, "open")
    world.advance(120)
    world.cut_link()
    world.order_relay(first, "closed")
    world.order_relay(second, "open")
    world.advance(2 * HOUR_S)
    assert_converged(world)
    # The order to open the second one expired while it could not be delivered: it has no effect any more.
    states = dict(zip(world.meters, relay_positions(world), strict=True))
    assert states == dict.fromkeys(world.meters, "closed")


def relay_positions(world: World) -> list[str]:
    moved = {meter: relay for meter, _, relay, _ in world.relays_at_meters()}
    return [moved.get(meter, "closed") for meter in world.meters]


def test_silence_of_days_opens_no_relay(world: World) -> None:
    world.cut_link()
    world.kill_headend()
    world.advance(11 * DAY_S)
    assert world.relays_at_meters() == []
    assert_converged(world)


def storm(directory: Path, seed: int, hours: int = 30) -> World:
    """Everything at once: a bad wire, cuts and kills at random moments, recharges and orders throughout."""
    world = World(directory, seed)
    dice = random.Random(seed + 1)
    number = 0
    for _ in range(hours * 4):
        world.faults = Faults(
            loss=dice.choice((0.0, 0.1, 0.3)),
            repeat=dice.choice((0.0, 0.5)),
            most_delay_s=dice.choice((0.2, 40.0)),
        )
        for _ in range(dice.randrange(3)):
            number += 1
            world.recharge(dice.choice(world.meters), dice.randrange(1, 500), f"P{number}")
        if world.accepted and dice.random() < 0.3:
            reference = dice.choice(sorted(world.accepted))
            meter, amount_micros = world.accepted[reference]
            assert world.recharge(meter, amount_micros // 1_000_000, reference) is RecordOutcome.EXISTS
            assert world.recharge(meter, 1_000, reference) is RecordOutcome.EXISTS_DIFFERENT
        if dice.random() < 0.1:
            world.order_relay(dice.choice(world.meters), dice.choice(("open", "closed")))
        accident = dice.random()
        if accident < 0.08 and world.link_is_up:
            world.cut_link()
        elif accident < 0.16 and not world.link_is_up:
            world.heal_link()
        elif accident < 0.24:
            world.kill_headend()
        elif accident < 0.36:
            world.store.kill = dice.choice(("before commit", "after commit"))
        elif accident < 0.42:
            world.restart_fleet()
        if world.headend is None and dice.random() < 0.5:
            world.restart_headend()
        world.advance(dice.randrange(60, 1_800))
        assert world.violations(converged=False) == []
    return world


@pytest.mark.parametrize("number", range(6))
def test_a_storm_of_accidents_ends_in_agreement(tmp_path: Path, seed: int, number: int) -> None:
    world = storm(tmp_path, seed + 1_000 * number)
    assert_converged(world)
    assert world.kills > 0
    world.close()


def test_the_same_seed_gives_the_same_log(tmp_path: Path, seed: int) -> None:
    hashes = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        world = storm(tmp_path / run, seed, hours=6)
        hashes.append(world.log_hash())
        world.close()
    assert hashes[0] == hashes[1]


def test_an_unreachable_gateway_delays_no_other(world: World) -> None:
    """Commands to one gateway go nowhere; the others have theirs within a time-out."""
    deaf = world.plan.address(0).gateway
    put = world._put
    world._put = lambda topic, payload: None if f"/{deaf}/down/" in topic else put(topic, payload)  # type: ignore[method-assign]
    world.advance(60)
    for number, meter in enumerate(world.meters):
        world.recharge(meter, 10, f"P{number}")
    world.advance(SETTINGS.answer_timeout_s)
    reached = world.credited_at_meters()
    assert set(reached) == set(world.meters[4:])
    world._put = put  # type: ignore[method-assign]
    assert_converged(world)


def test_a_head_end_that_stood_still_says_so(tmp_path: Path, seed: int) -> None:
    """A paused machine: the process lives, and nothing was done for hours. Recovery and grace depend on it."""
    with closing(World(tmp_path, seed)) as world:
        world.advance(3_600)
        paused, world.headend = world.headend, None
        world.advance(8 * 3_600)
        world.headend = paused
        world.advance(600)
        with world.store.view() as uow:
            (row,) = [row for row in uow.outages(ended=True, limit=-1) if row.kind == "HEADEND"]
    assert row.detail == "stood still"
    assert row.ended_at_s is not None
    assert 8 * 3_600 <= row.ended_at_s - row.began_at_s <= 8 * 3_600 + 600
