"""One client's connection through a proxy, to the broker and back. Owns what a toxic means for MQTT.

Loss, duplication, reordering and corruption act on PUBLISH only, so that both sides still speak valid MQTT:

- a lost message of QoS 1 is acknowledged by us, as by a peer that took it and then died. Without that it would
  stay in its sender's window for as long as the connection lives, and the window would fill up;
- copies of a message go out at QoS 0: they need no packet id, and nobody waits for their acknowledgement;
- messages of QoS 2 are delayed and nothing else: their handshake would have to be faked at both ends.

A black hole swallows every packet of its direction, and the end of the connection too: the other side learns
nothing until the hole is taken away or its own patience ends.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from meter_sim.lab.proxy.outlet import Outlet
from meter_sim.lab.proxy.packets import (
    DISCONNECT,
    PUBLISH,
    Packet,
    PacketBuffer,
    PacketError,
    Publish,
    copy_bytes,
    parse_publish,
    puback_bytes,
    publish_bytes,
)
from meter_sim.lab.toxics import Parcel, Passage, Pipe, fate_of

CHUNK_BYTES: Final = 64 * 1024
CLOSE_TIMEOUT_S: Final = 2.0
"""How long a peer may take to read what is left for it; then it is cut off."""

Sight = Callable[[str, str, str, bytes, str], None]
"""Told of every message: client, direction ('up' or 'down'), topic, payload as sent, fate."""

_log = logging.getLogger(__name__)
_NO_LINGER: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Way:
    """One direction: where it is read, what the link does, where it is written."""

    direction: str
    reader: asyncio.StreamReader
    pipe: Pipe
    outlet: Outlet
    back: "Way | None" = None
    buffer: PacketBuffer = field(default_factory=PacketBuffer)
    has_passed: bool = False
    """Whether the far end of this way has heard of the connection at all."""

    owes_room_behind: bool = False
    """Whether we have put acknowledgements of our own on the way back."""


class Connection:
    """Two sockets and the two ways between them."""

    def __init__(
        self,
        client: str,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        pipes: tuple[Pipe, Pipe],
        sight: Sight,
    ) -> None:
        """`near` is the client's side, `far` the broker's; `pipes` are upstream and downstream."""
        self.client = client
        self.pipes = pipes
        self._writers = near[1], far[1]
        self._sight = sight
        self._loop = asyncio.get_running_loop()
        self._up = Way("up", near[0], pipes[0], Outlet(far[1]))
        self._down = Way("down", far[0], pipes[1], Outlet(near[1]), self._up)
        self._up.back = self._down
        self._cut_timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._is_cut = False

    async def run(self, buffer: PacketBuffer, packets: list[Packet]) -> None:
        """Carry until one side ends; `buffer` and `packets` are what was read of the client already."""
        self._up.buffer = buffer
        for way in (self._up, self._down):
            way.pipe.reconnect(self._loop.time())
        self.toxics_changed()
        pumps = [
            asyncio.create_task(self._pump(self._up, packets)),
            asyncio.create_task(self._pump(self._down, [])),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in await asyncio.gather(*pumps, return_exceptions=True):
                if isinstance(end, Exception):
                    _log.error("%s: connection closed by a mistake of the proxy", self.client, exc_info=end)
            self._close()

    def toxics_changed(self) -> None:
        """The pipes were fitted with other toxics: look again at what is not asked packet by packet."""
        self._changed.set()
        for way in (self._up, self._down):
            if not way.pipe.is_delaying:
                way.outlet.release()
        if self._cut_timer is not None:
            self._cut_timer.cancel()
            self._cut_timer = None
        cuts_s = [way.pipe.cut_at_s for way in (self._up, self._down) if way.pipe.cut_at_s is not None]
        if cuts_s and not self._is_cut:
            self._cut_timer = self._loop.call_at(min(cuts_s), self.cut)

    def cut(self) -> None:
        """End both sides at once with a TCP RST; what is under way is lost."""
        self._is_cut = True
        self._changed.set()
        for way in (self._up, self._down):
            way.outlet.drop()
        for writer in self._writers:
            abort(writer)

    async def _pump(self, way: Way, packets: list[Packet]) -> None:
        try:
            self._carry_all(way, packets)
            while data := await way.reader.read(CHUNK_BYTES):
                self._carry_all(way, way.buffer.feed(data))
                await way.outlet.room()
                if way.owes_room_behind and way.back is not None:
                    way.owes_room_behind = False
                    await way.back.outlet.room()
        except PacketError as error:
            _log.warning("%s %s: %s; connection closed", self.client or "(no client id)", way.direction, error)
        except OSError:
            pass  # the peer is gone without a word: the other side hears of it as of any other end
        while way.pipe.swallows_all and way.has_passed and not self._is_cut:
            self._changed.clear()
            await self._changed.wait()
        await way.outlet.empty()

    def _carry_all(self, way: Way, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.kind == PUBLISH:
                self._carry_message(way, packet)
            else:
                self._carry(way, packet.data, comes_last=packet.kind == DISCONNECT)

    def _carry(self, way: Way, data: bytes, *, comes_last: bool = False) -> bool:
        now_s = self._loop.time()
        delay_s = way.pipe.carry(data, now_s)
        if delay_s is None:
            return False
        way.has_passed = True
        way.outlet.put(delay_s, now_s, data, comes_last=comes_last)
        return delay_s > 0

    def _carry_message(self, way: Way, packet: Packet) -> None:
        publish = parse_publish(packet)
        parcel = Parcel(publish.topic, publish.payload)
        now_s = self._loop.time()
        if publish.qos == 2:
            is_delayed = self._carry(way, packet.data)
            fate = "lost" if way.pipe.swallows_all else "delayed" if is_delayed else "passed"
        else:
            passages = way.pipe.pass_on(parcel, now_s)
            fate = fate_of(parcel, passages)
            for place, passage in enumerate(passages):
                way.outlet.put(passage.delay_s, now_s, _bytes_of(packet, publish, parcel, passage, place))
            if not passages and publish.qos and not way.pipe.swallows_all and way.back is not None:
                self._carry(way.back, puback_bytes(publish))
                way.owes_room_behind = True
        self._sight(self.client, way.direction, parcel.topic, parcel.payload, fate)

    def _close(self) -> None:
        if self._cut_timer is not None:
            self._cut_timer.cancel()
        for way in (self._up, self._down):
            way.outlet.drop()
        for writer in self._writers:
            close(writer)


def _bytes_of(packet: Packet, publish: Publish, parcel: Parcel, passage: Passage, place: int) -> bytes:
    if place > 0:
        return copy_bytes(publish, passage.parcel.payload)
    return packet.data if passage.parcel is parcel else publish_bytes(publish, passage.parcel.payload)


def abort(writer: asyncio.StreamWriter) -> None:
    """End a connection with a TCP RST."""
    connected = writer.get_extra_info("socket")
    if connected is not None:
        with suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


def close(writer: asyncio.StreamWriter) -> None:
    """End a connection once the peer has read what is left, or after CLOSE_TIMEOUT_S."""
    writer.close()
    asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, writer.transport.abort)
