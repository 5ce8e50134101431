"""Delivery of notices to their sinks: at least once, each sink at its own pace, repeated until a named limit.

    store -> [ note answers, take up new notices, pick what is due: one commit ] -> sinks

A sink is handed a notice before the store knows what came of it: after a crash it is handed the same notice, with
the same id, once more.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from headend.service.notices import tell_of_outages, watch_headend
from headend.service.ports import Clock, Store, UnitOfWork
from headend.service.ports.notices import Delivered, DeliveryState, Notice, Sink

TAKE_UP_LIMIT: Final = 1_000
"""Most notices that a sink takes up in one step."""

ATTEMPTS_MAX: Final = 30
"""After so many attempts a notice has failed: with the pauses below after about a day."""

RETRY_FIRST_S: Final = 5
RETRY_MAX_S: Final = 3_600
"""The first pause and the longest; each is twice the one before."""

NEW_SINK_LOOKS_BACK_S: Final = 86_400
"""A sink that is new begins with the notices of the last day."""


def retry_pause_s(attempts: int) -> int:
    """The pause after so many attempts (>= 1)."""
    return min(RETRY_FIRST_S << min(attempts - 1, 20), RETRY_MAX_S)


class Notifier:
    """One `headend notify`. Drive it with `step` for ever, or until it says that nothing is due."""

    def __init__(self, store: Store, sinks: Sequence[Sink], clock: Clock, outage_after_s: int) -> None:
        """`outage_after_s`: how long an outage lasts before everybody is told of it."""
        self._store = store
        self._sinks = sinks
        self._clock = clock
        self._outage_after_s = outage_after_s
        self._in_flight: dict[str, dict[int, int]] = {sink.name: {} for sink in sinks}
        self._answers: dict[str, list[Delivered]] = {sink.name: [] for sink in sinks}
        self.counts: Counter[str] = Counter()
        """Since the start: notices by what came of them (`DeliveryState`)."""

    def step(self) -> bool:
        """Note what came of notices, and hand on what is due; whether anything is under way.

        Raises:
            StoreError: nothing was noted; step again later.
        """
        for sink in self._sinks:
            self._answers[sink.name] += sink.answers()
        now_s = self._clock.now_s()
        with self._store.transaction() as uow:
            watch_headend(uow, now_s, self._outage_after_s)
            tell_of_outages(uow, now_s, self._outage_after_s)
            noted = {sink.name: self._note_answers(sink.name, uow, now_s) for sink in self._sinks}
            due = {sink.name: self._pick(sink, uow, now_s) for sink in self._sinks}
        for sink in self._sinks:
            self._forget(sink.name, noted[sink.name])
            if due[sink.name]:
                self._in_flight[sink.name] |= {notice.notice_id: tries for notice, tries in due[sink.name]}
                sink.send([notice for notice, _ in due[sink.name]], now_s)
        return any(self._in_flight.values())

    def _note_answers(self, sink: str, uow: UnitOfWork, now_s: int) -> list[DeliveryState]:
        states, rows = [], []
        for answer in self._answers[sink]:
            attempts = self._in_flight[sink][answer.notice_id] + 1
            state, next_at_s = DeliveryState.DELIVERED, now_s
            if not answer.ok:
                again = answer.again and attempts < ATTEMPTS_MAX
                state = DeliveryState.WAITING if again else DeliveryState.FAILED
                next_at_s = now_s + retry_pause_s(attempts)
            states.append(state)
            rows.append((sink, answer.notice_id, state, next_at_s, answer.detail, now_s))
        uow.note_deliveries(rows)
        return states

    def _pick(self, sink: Sink, uow: UnitOfWork, now_s: int) -> list[tuple[Notice, int]]:
        """Up to as many notices as the sink has room for, with their attempts so far."""
        uow.begin_sink(sink.name, now_s - NEW_SINK_LOOKS_BACK_S)
        uow.take_up_notices(sink.name, TAKE_UP_LIMIT, now_s)
        answered = {answer.notice_id for answer in self._answers[sink.name]}
        in_flight = self._in_flight[sink.name].keys() - answered
        room = sink.room()
        return uow.waiting_notices(sink.name, now_s, in_flight, room) if room else []

    def _forget(self, sink: str, states: list[DeliveryState]) -> None:
        """After the commit: the answers are noted."""
        for answer in self._answers[sink]:
            del self._in_flight[sink][answer.notice_id]
        self._answers[sink] = []
        self.counts.update(states)
