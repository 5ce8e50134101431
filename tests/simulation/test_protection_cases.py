"""Cuts that would have been wrong, as they happened or could: in bulk, by a head-end gone bad, by silence."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from protected_world import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    RING,
    TUESDAY,
    order_open,
    refused_opens,
    until,
    world_of,
)
from world import World, converge

from headend.rules import load_rules
from headend.wire.codec import encode
from headend.wire.messages import Command, Commands, RelayCommand, RelayPosition
from headend.wire.topics import Channel

# Uttar Pradesh, 12 August 2020: on the day of Janmashtami one command cut 300,000 homes -------------------------

HOMES = 3_000


def test_an_order_to_cut_the_whole_fleet_cuts_nobody_on_the_festival_and_the_cap_on_the_day_after(
    tmp_path: Path, seed: int
) -> None:
    protection = load_rules("uttar-pradesh").protection
    assert protection.caps.fleet is not None
    cap = protection.caps.fleet * HOMES // 300_000
    caps = replace(protection.caps, fleet=cap)
    protection = replace(protection, caps=caps, disconnect_automatically=False)
    rules = replace(load_rules("uttar-pradesh"), protection=protection)
    fleet = {"meters": HOMES, "meters_per_gateway": 500, "load_w": 5_000}
    with world_of(tmp_path, seed, rules, date(2020, 8, 9), **fleet) as world:
        paid = world.meters[::10]
        for meter in paid:
            world.recharge(meter, 20_000, f"P-{meter}")
        for hour in (12, 19):
            until(world, 3, hour)
            found = order_open(world, world.meters)
            assert (found["REFUSED"], found["PROTECTED_HOURS"]) == (HOMES, HOMES)
            world.advance(5 * MINUTE_S)
        assert (world.relays_sent, world.relays_at_meters()) == ([], [])
        until(world, 4, 10)
        for turn, actor in enumerate(("asha", "ravi")):
            found = order_open(world, world.meters, actor)
            assert (found["ISSUED"], found["IN_CREDIT"]) == ((cap, 0)[turn], len(paid))
            assert found["QUARANTINED" if turn == 0 else "IN_QUARANTINE"] == HOMES - cap - len(paid)
            world.advance(HOUR_S)
        opened = {meter for meter, *_ in world.relays_at_meters()}
        assert len(opened) == len(world.relays_at_meters()) == cap
        assert opened == {order.meter for _, order in world.relays_sent}
        assert opened.isdisjoint(paid)
        assert world.violations(converged=True) == []


# a head-end that has turned bad ---------------------------------------------------------------------------------


def say(world: World, command: Command) -> None:
    """Sign a command with the real key and put it on the wire, past the gate and the store."""
    key = RING.signing_key(world.clock.now_s())
    assert key is not None
    message = Commands(sent_at_s=world.clock.now_s(), commands=[key.sign(command)])
    gateway = (int(command.meter.removeprefix("M")) - 1) // world.plan.meters_per_gateway
    world._put(world.plan.address(gateway).topic(Channel.COMMANDS), encode(message))


def opening(world: World, meter: str, version: int = 1) -> RelayCommand:
    now_s = world.clock.now_s()
    until_s = now_s + HOUR_S
    return RelayCommand(
        meter=meter, version=version, relay=RelayPosition.OPEN, issued_at_s=now_s, expires_at_s=until_s
    )


@pytest.mark.parametrize("hour", [10, 13, 20])
def test_well_signed_cut_inside_a_window_is_refused_by_the_meters_and_named_by_the_audit(
    tmp_path: Path, seed: int, hour: int
) -> None:
    with world_of(tmp_path, seed, load_rules("bihar"), TUESDAY) as world:
        until(world, 0, hour)
        for meter in world.meters[:5]:
            say(world, opening(world, meter))
        world.advance(2 * HOUR_S)
        assert world.relays_at_meters() == []
        assert sorted(refused_opens(world)) == [(meter, "PROTECTED") for meter in world.meters[:5]]
        found = world.violations(converged=True)
        assert sorted(line.split(":")[0] for line in found) == [f"I15 {meter}" for meter in world.meters[:5]]
        assert all("turned bad" in line for line in found)
        assert {line.split()[0] for line in world.exceptions()} == set(world.meters[:5]), "a person is told"


def test_well_signed_cut_outside_every_window_is_carried_out_and_named_by_the_audit(
    tmp_path: Path, seed: int
) -> None:
    """What a policy cannot hold up, the meters' log shows."""
    with world_of(tmp_path, seed, load_rules("bihar"), TUESDAY) as world:
        until(world, 2, 12)
        say(world, opening(world, world.meters[0]))
        world.advance(2 * HOUR_S)
        assert [(meter, relay) for meter, _, relay, _ in world.relays_at_meters()] == [(world.meters[0], "open")]
        assert {line.split(":")[0] for line in world.violations(converged=False)} == {f"I16 {world.meters[0]}"}


def test_order_to_open_put_past_the_gate_into_the_store_is_taken_back_unsent_and_named_by_the_audit(
    tmp_path: Path, seed: int
) -> None:
    with world_of(tmp_path, seed, load_rules("bihar"), TUESDAY) as world:
        until(world, 0, 20)
        world.order_relay(world.meters[0], "open")
        world.advance(2 * HOUR_S)
        assert (world.relays_sent, world.relays_at_meters()) == ([], [])
        found = {line.split(":")[0] for line in world.violations(converged=True)}
        assert found == {f"I17 {world.meters[0]}"}


# silence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alive", [True, False], ids=["no broker", "no broker and no head-end"])
def test_weeks_without_contact_cut_nobody_whatever_was_used_and_ordered(
    tmp_path: Path, seed: int, alive: bool
) -> None:
    with world_of(tmp_path, seed, load_rules("bihar"), TUESDAY) as world:
        until(world, 3, 11)
        world.advance(20 * MINUTE_S)
        assert world.relays_sent == []
        world.cut_link()
        found = order_open(world, world.meters)
        assert found["ISSUED"], "in debt, their grace over, in permitted hours"
        if not alive:
            world.kill_headend()
        world.advance(21 * DAY_S)
        assert (world.relays_sent, world.relays_at_meters()) == ([], [])
        converge(world)
        world.advance(DAY_S)
        assert (world.relays_sent, world.relays_at_meters()) == ([], [])
        assert world.violations(converged=True) == []
