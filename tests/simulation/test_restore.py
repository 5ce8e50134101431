"""The store is lost and an old backup put in its place: what a person, the providers and the meters bring back."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from world import SETTINGS, ZONE, Faults, World, converge

from headend.adapters.sqlite import SqliteStore
from headend.domain.calendar import day_of
from headend.domain.exception_kind import ExceptionKind
from headend.domain.ledger import RecordOutcome
from headend.service.manual_readings import EntryOutcome, ManualReading, enter_reading
from headend.service.resolutions import Outcome, resolve_exception, resolve_page

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
RUPEE = 1_000_000


@pytest.fixture
def world(tmp_path: Path, seed: int) -> Iterator[World]:
    with closing(World(tmp_path, seed)) as made:
        yield made


def recharge_some(world: World, prefix: str, count: int) -> None:
    for number in range(count):
        meter = world.random.choice(world.meters)
        assert world.recharge(meter, world.random.randint(1, 500), f"{prefix}{number}") is RecordOutcome.RECORDED
        if world.random.random() < 0.3:
            world.order_relay(world.random.choice(world.meters), world.random.choice(["open", "closed"]))
        world.advance(world.random.randint(1, 600))


def lost_recharges(world: World, backup: SqliteStore) -> list[tuple[str, str, int]]:
    """(reference, meter, micros) of what was accepted and is not in the backup, in the provider's order: none."""
    with backup.view() as uow:
        lost = [(name, *what) for name, what in world.accepted.items() if uow.transfer(name) is None]
    world.random.shuffle(lost)
    return lost


def submit(world: World, lost: list[tuple[str, str, int]]) -> None:
    for reference, meter, micros in lost:
        assert world.recharge(meter, micros // RUPEE, reference) is RecordOutcome.RECORDED
        assert world.recharge(meter, micros // RUPEE, reference) is RecordOutcome.EXISTS
        world.advance(world.random.randint(0, 60))


def resolve_what_is_ahead(world: World) -> list[Outcome]:
    """`headend exceptions resolve-all` for each kind."""
    outcomes = []
    for kind in (ExceptionKind.CREDIT_AHEAD, ExceptionKind.CREDIT_TOTAL_DIFFERS, ExceptionKind.RELAY_AHEAD):
        with world.store.other_process() as uow:
            done, _ = resolve_page(kind, None, 0, "asha", "backup of the night", uow, world.clock.now_s())
        outcomes += [each.outcome for each in done]
    return outcomes


def assert_all_is_well(world: World) -> None:
    converge(world)
    world.advance(HOUR_S)  # for the next readings: what is over is closed by them
    assert world.violations(converged=True) == []
    assert world.exceptions() == []
    assert world.credited_at_meters() == world.owed_at_meters()
    contents: dict[tuple[str, int], set[int]] = {}
    for command in world.credits_sent:
        contents.setdefault((command.meter, command.seq), set()).add(command.credit_total_micros)
    assert {step: totals for step, totals in contents.items() if len(totals) > 1} == {}, "a number has one content"


@pytest.mark.parametrize("first", ["the meters", "the providers"])
def test_recharges_of_the_lost_store_count_once_whoever_comes_first(world: World, first: str) -> None:
    recharge_some(world, "OLD", 30)
    backup = world.back_up()
    recharge_some(world, "LOST", 40)
    world.advance(HOUR_S)
    before = world.credited_at_meters()
    if first == "the providers":
        world.cut_link()
    world.restore(backup)
    lost = lost_recharges(world, backup)
    assert len(lost) == 40
    if first == "the meters":
        world.advance(60)
        assert any("CREDIT_AHEAD" in line for line in world.exceptions())
        assert Outcome.METER_HAS_MORE in resolve_what_is_ahead(world), "not before the books have it all"
        assert world.credited_at_meters() == before
    submit(world, lost[:20])
    recharge_some(world, "NEW", 5)
    submit(world, lost[20:])
    if first == "the providers":
        world.heal_link()
        world.advance(60)
    resolve_what_is_ahead(world)
    assert_all_is_well(world)


def test_no_meter_is_credited_less_or_twice_while_the_books_are_behind(world: World) -> None:
    backup = world.back_up()
    meter, other = world.meters[:2]
    world.recharge(meter, 100, "A")
    world.recharge(meter, 50, "B")
    world.advance(60)
    world.restore(backup)
    world.advance(60)
    world.recharge(meter, 70, "C")
    world.recharge(other, 30, "D")
    world.advance(600)
    assert world.credited_at_meters() == {meter: 150 * RUPEE, other: 30 * RUPEE}, "nobody else is held up"
    with world.store.other_process() as uow:
        refused = resolve_exception(meter, "CREDIT_AHEAD", "asha", "too early", uow, world.clock.now_s())
    assert (refused.outcome, refused.missing_micros) == (Outcome.METER_HAS_MORE, 80 * RUPEE)
    submit(world, [("B", meter, 50 * RUPEE), ("A", meter, 100 * RUPEE)])
    assert resolve_what_is_ahead(world) == [Outcome.RESOLVED]
    assert_all_is_well(world)
    assert world.credited_at_meters()[meter] == 220 * RUPEE


def test_homes_that_the_lost_store_cut_or_reconnected_end_with_supply(world: World) -> None:
    cut, closed = world.meters[:2]
    world.order_relay(closed, "open")
    world.advance(60)
    backup = world.back_up()
    world.order_relay(cut, "open")
    for position in ("closed", "open", "closed"):
        world.order_relay(closed, position)
        world.advance(60)
    world.restore(backup)
    world.order_relay(closed, "closed")
    world.advance(DAY_S // 4)
    ahead = [line.split(":")[0] for line in world.exceptions() if "RELAY_AHEAD" in line]
    assert sorted(ahead) == sorted([f"{cut} RELAY_AHEAD", f"{closed} RELAY_AHEAD"])
    assert set(resolve_what_is_ahead(world)) == {Outcome.RESOLVED}
    world.advance(HOUR_S)
    assert_all_is_well(world)
    assert {meter: relay for meter, _, relay, _ in world.relays_at_meters()} == {cut: "closed", closed: "closed"}


def test_two_restores_and_a_wire_that_loses_and_repeats(tmp_path: Path, seed: int) -> None:
    with closing(World(tmp_path, seed, meters=6, meters_per_gateway=3)) as world:
        world.faults = Faults(loss=0.1, repeat=0.2, most_delay_s=20.0)
        backups = [world.back_up()]
        for turn in range(2):
            recharge_some(world, f"KEPT{turn}-", 8)
            backups.append(world.back_up())
            recharge_some(world, f"LOST{turn}-", 12)
            backup = world.random.choice(backups)
            backups = [backup]
            world.restore(world_copy(backup))
            lost = lost_recharges(world, backup)
            world.advance(world.random.randint(0, 600))
            submit(world, lost)
            world.advance(HOUR_S)
            resolve_what_is_ahead(world)
            world.advance(HOUR_S)
        converge(world)
        resolve_what_is_ahead(world)
        assert_all_is_well(world)


def world_copy(backup: SqliteStore) -> SqliteStore:
    """A backup can be put in place more than once."""
    copy = SqliteStore(":memory:")
    backup._connection.backup(copy._connection)
    return copy


def test_midnights_that_went_with_the_store_are_entered_by_a_person(world: World) -> None:
    """Readings with a receipt are never sent again: the days stay open, are listed, and are read on site."""
    world.advance(10 * HOUR_S)
    backup = world.back_up()
    world.advance(2 * DAY_S)
    lost = world.restore(backup)
    world.advance(SETTINGS.meter_silent_after_s + 2 * DAY_S)
    listed = {line.split()[0] for line in world.exceptions() if "DAY_NOT_SETTLED" in line}
    assert listed == set(world.meters)
    rows = lost._connection.execute("SELECT meter, day, register_wh FROM snapshot JOIN meter USING (meter_key)")
    today = day_of(world.clock.now_s(), ZONE)
    for meter, day, register_wh in rows.fetchall():
        with world.store.other_process() as uow:
            reading = ManualReading(meter, day, None, register_wh)
            entry = enter_reading(reading, today, "asha", "from its display", uow, world.clock.now_s())
        assert entry.outcome is EntryOutcome.ENTERED
    world.advance(HOUR_S)
    with world.store.view() as uow:
        assert {row.settled_day for row in uow.meter_rows("", 100)} == {today - 1}
    assert_all_is_well(world)
