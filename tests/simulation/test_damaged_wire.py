"""A wire that flips bytes both ways: nothing that it makes of a message is believed, and nothing is lost by it."""

from contextlib import closing
from pathlib import Path

from world import World, converge

from headend.wire.topics import Channel, parse_topic
from meter_sim.lab.toxics import Parcel
from meter_sim.lab.toxics.corrupt import Corrupt

MINUTE_S, HOUR_S = 60, 3_600


class DamagingWire:
    """Changes a byte in a share of the messages, by the laboratory's own toxic. Counts by channel."""

    def __init__(self, world: World, share: float) -> None:
        self._world, self._put = world, world._put
        self._toxic = Corrupt(probability=share)
        self.damaged = dict.fromkeys(Channel, 0)
        world._put = self.put  # type: ignore[method-assign]

    def put(self, topic: str, payload: bytes) -> None:
        (passage,) = self._toxic.pass_on(Parcel(topic, payload), 0.0, self._world.random)
        assert passage.parcel is not None
        self.damaged[parse_topic(topic)[1]] += passage.parcel.payload != payload
        self._put(topic, passage.parcel.payload)

    def heal(self) -> None:
        self._world._put = self._put  # type: ignore[method-assign]


def test_no_reading_and_no_credit_is_lost_or_made_up_on_a_wire_that_flips_bytes(tmp_path: Path, seed: int) -> None:
    with closing(World(tmp_path, seed, meters=40)) as world:
        wire = DamagingWire(world, 0.3)
        for turn in range(50):
            world.recharge(world.random.choice(world.meters), 10 + turn, f"P{turn}")
            if turn % 20 == 10:
                world.cut_link()
                world.advance(20 * MINUTE_S)
                world.heal_link()
            world.advance(20 * MINUTE_S)
            assert world.violations(converged=False) == []
        seldom = {Channel.STATUS, Channel.REQUESTS}
        assert all(wire.damaged[channel] for channel in set(Channel) - seldom), wire.damaged
        wire.heal()
        converge(world)
        counts = world.fleet.counts
        assert counts.frames_refused == counts.rows_refused == 0
        assert counts.readings_receipted == counts.readings_taken
        assert world.violations(converged=True) == []
        assert world.exceptions() == []
        assert world.credited_at_meters() == world.owed_at_meters()


def test_what_was_damaged_is_kept_for_a_person_with_its_bytes(tmp_path: Path, seed: int) -> None:
    with closing(World(tmp_path, seed)) as world:
        wire = DamagingWire(world, 0.5)
        world.advance(4 * HOUR_S)
        with world.store.view() as uow:
            letters = uow.dead_letters(1_000)
        assert {letter.code for letter in letters} == {"BAD_JSON"}
        assert sum(letter.count for letter in letters) <= sum(wire.damaged.values())
