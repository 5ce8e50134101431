"""A wire that is not ours: whoever holds it has no key, moves nothing, and holds nothing up.

A checksum keeps nobody from it who means harm, so here all that was changed is sealed anew.
"""

import re
from contextlib import closing
from pathlib import Path

from protected_world import HOUR_S, MINUTE_S, RING, TUESDAY, order_open, refused_opens, until, world_of
from world import World, converge

from headend.rules import load_rules
from headend.wire.checksum import seal, unseal
from headend.wire.topics import Channel

DOWN = f"/{Channel.COMMANDS}"


class HostileWire:
    """Keeps all commands, and brings them again: as they were, with a byte changed, to another meter."""

    def __init__(self, world: World) -> None:
        self._world, self._put = world, world._put
        self._kept: list[tuple[str, bytes]] = []
        world._put = self.put  # type: ignore[method-assign]

    def put(self, topic: str, payload: bytes) -> None:
        if topic.endswith(DOWN):
            self._kept.append((topic, payload))
            if self._world.random.random() < 0.5:
                self._put(topic, self._changed(payload))
            self.replay(3)
        self._put(topic, payload)

    def replay(self, count: int) -> None:
        for topic, payload in self._world.random.choices(self._kept, k=count):
            self._put(topic, payload)
            self._put(topic, self._for_another(payload))

    def _changed(self, payload: bytes) -> bytes:
        document = unseal(payload)
        signed = re.search(rb"(?<=\"commands\":\[)\{.*\}(?=\])", document)
        assert signed is not None
        place = self._world.random.randrange(signed.start(), signed.end())
        flipped = document[place] ^ 1 << self._world.random.randrange(8)
        return seal(document[:place] + bytes([flipped]) + document[place + 1 :])

    def _for_another(self, payload: bytes) -> bytes:
        meter = self._world.random.choice(self._world.meters)
        return seal(re.sub(rb'(?<="meter":")[^"]*', meter.encode(), unseal(payload)))


def test_commands_replayed_changed_or_sent_to_other_meters_move_nothing(tmp_path: Path, seed: int) -> None:
    """And hold nothing up: all is applied in the end as on a good wire."""
    with closing(World(tmp_path, seed, ring=RING)) as world:
        wire = HostileWire(world)
        for turn in range(12):
            for number, meter in enumerate(world.meters[: turn + 1]):
                world.recharge(meter, 10 + turn, f"P{turn}-{number}")
                if number % 2 == 0:
                    world.order_relay(meter, ("open", "closed")[turn % 2])
            world.advance(20 * MINUTE_S)
            wire.replay(20)
        world.advance(2 * HOUR_S)
        wire.replay(200)
        converge(world)
        assert {"BAD_SIGNATURE", "OLDER_VERSION"} <= {code for _, code in refused_opens(world)}
        assert world.credited_at_meters() == world.owed_at_meters()
        moves = [(meter, version, position) for meter, version, position, _ in world.relays_at_meters()]
        ordered = {(order.meter, order.version, str(order.relay)) for _, order in world.relays_sent}
        assert set(moves) <= ordered
        assert len(set(moves)) == len(moves)
        assert world.violations(converged=True) == []
        assert set({meter: position for meter, _, position in moves}.values()) == {"closed"}


def test_home_cut_by_an_order_of_which_a_damaged_copy_came_first_is_reconnected_when_it_pays(
    tmp_path: Path, seed: int
) -> None:
    """The meter refuses the copy, and then carries out the order itself."""
    with world_of(tmp_path, seed, load_rules("bihar"), TUESDAY) as world:
        until(world, 3, 11)
        world.advance(20 * MINUTE_S)
        put, held = world._put, []

        def damaged_copy_first(topic: str, payload: bytes) -> None:
            if topic.endswith(DOWN):
                held.append((topic, payload))
                payload = seal(re.sub(rb'(?<="signature":")........', b"00000000", unseal(payload)))
            put(topic, payload)

        world._put = damaged_copy_first  # type: ignore[method-assign]
        assert order_open(world, world.meters)["ISSUED"]
        world.advance(5)
        world._put = put  # type: ignore[method-assign]
        assert {code for _, code in refused_opens(world)} == {"BAD_SIGNATURE"}
        for topic, payload in held:
            put(topic, payload)
        world.advance(5)
        cut = {meter for meter, *_ in world.relays_at_meters()}
        assert cut == {order.meter for _, order in world.relays_sent}
        for meter in cut:
            world.recharge(meter, 20_000, f"P-{meter}")
        world.advance(HOUR_S)
        now = {meter: position for meter, _, position, _ in world.relays_at_meters()}
        assert {now[meter] for meter in cut} == {"closed"}
