"""One direction of one client's link, with all the toxics in force on it. Pure but for its own memory.

What is under way when the connection is cut (`cut_at_s`) is lost; that is the caller's to see to, because until
then the toxic may be taken away.

It chains the toxics and keeps the order of what is not held back, as TCP does. It outlives the connections of
its client: the chance goes on where it was, so that a client that reconnects does not meet the same throw of the
dice for ever.
"""

import math
from collections.abc import Iterable

from meter_sim.lab.toxics.applied import AppliedToxic, Stream
from meter_sim.lab.toxics.toxic import Parcel, Passage, Phase, ToxicStream


class Pipe:
    """What the link does to each packet of one direction of one client."""

    def __init__(self, client: str, stream: Stream) -> None:
        self.client = client
        self.stream = stream
        self.cut_at_s: float | None = None
        """When the connection is cut, both directions of it; None: no toxic does so."""
        self.swallows_all = False
        """Whether nothing passes now, the end of the connection included."""
        self._streams: dict[AppliedToxic, ToxicStream] = {}
        self._cuts: dict[AppliedToxic, float] = {}
        self._last_arrival_s = -math.inf

    @property
    def is_clean(self) -> bool:
        """Whether no toxic is in force on it, so that there is nothing to remember."""
        return not self._streams

    @property
    def is_delaying(self) -> bool:
        """Whether messages may be late. If not (any more), what is under way need not wait either."""
        return any(applied.toxic.phase is not Phase.CONTENT for applied in self._streams)

    def refit(self, toxics: Iterable[AppliedToxic], now_s: float) -> None:
        """From now on these toxics are in force. One that was in force before goes on as it was.

        A message that is on its way keeps the delay that it was given, unless nothing delays here any more.
        """
        mine = [toxic for toxic in toxics if toxic.stream == self.stream and toxic.affects(self.client)]
        mine.sort(key=lambda applied: (applied.toxic.phase, applied.name))
        known = self._streams
        self._streams = {
            applied: known.get(applied) or applied.toxic.stream(applied.chance(self.client)) for applied in mine
        }
        self.swallows_all = any(applied.toxic.swallows_all for applied in mine)
        self._set_cuts(self._cuts, now_s)
        if not self.is_delaying:
            self._last_arrival_s = -math.inf

    def reconnect(self, now_s: float) -> None:
        """A new connection begins: nothing of the old one is under way, and a reset counts from now."""
        self._last_arrival_s = -math.inf
        for stream in self._streams.values():
            stream.reconnect()
        self._set_cuts({}, now_s)

    def pass_on(self, parcel: Parcel, now_s: float) -> list[Passage]:
        """What becomes of a message, in order of sending; later calls must not go back in time."""
        passages = [Passage(0.0, parcel)]
        for stream in self._streams.values():
            passages = [_after(before, then) for before in passages for then in _through(stream, before, now_s)]
        return [passage if passage.is_held else self._in_order(passage, now_s) for passage in passages]

    def carry(self, packet: bytes, now_s: float) -> float | None:
        """The delay of any other packet, which is not a message, in seconds; None: it is swallowed."""
        passage = Passage(0.0, Parcel("", packet))
        for applied, stream in self._streams.items():
            if not applied.toxic.acts_on_messages_only:
                onward = _through(stream, passage, now_s)
                if not onward:
                    return None
                passage = _after(passage, onward[0])
        return self._in_order(passage, now_s).delay_s

    def _in_order(self, passage: Passage, now_s: float) -> Passage:
        if now_s + passage.delay_s < self._last_arrival_s:
            delay_s = self._last_arrival_s - now_s
            while now_s + delay_s < self._last_arrival_s:  # the difference may have been rounded down
                delay_s = math.nextafter(delay_s, math.inf)
            passage = Passage(delay_s, passage.parcel)
        self._last_arrival_s = now_s + passage.delay_s
        return passage

    def _set_cuts(self, known_s: dict[AppliedToxic, float], now_s: float) -> None:
        self._cuts = {}
        for applied in self._streams:
            after_s = applied.toxic.cut_after_s()
            if after_s is not None:
                self._cuts[applied] = known_s.get(applied, now_s + after_s)
        self.cut_at_s = min(self._cuts.values(), default=None)


def _through(stream: ToxicStream, passage: Passage, now_s: float) -> list[Passage]:
    return stream.pass_on(passage.parcel, now_s + passage.delay_s)


def _after(before: Passage, then: Passage) -> Passage:
    return Passage(before.delay_s + then.delay_s, then.parcel, before.is_held or then.is_held)


def fate_of(parcel: Parcel, passages: list[Passage]) -> str:
    """What happened to a message, in one word: the gravest that applies."""
    if not passages:
        return "lost"
    if any(passage.parcel.payload != parcel.payload for passage in passages):
        return "corrupted"
    if len(passages) > 1:
        return "duplicated"
    return "delayed" if passages[0].delay_s > 0 else "passed"
