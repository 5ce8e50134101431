"""Notices reach every sink at least once, each sink at its own pace, and failures end at a limit."""

from collections.abc import Iterator, Sequence

import pytest
from unit.service.fleet_of_rows import NOON_S, RUPEE, key_of, recharge, store_with

from headend.adapters.memory import ManualClock
from headend.adapters.sqlite import SqliteStore
from headend.domain.notice import NoticeKind
from headend.service.journal import HEADEND_SUBJECT, LINK_SUBJECT, OutageKind
from headend.service.notices import (
    announce_cuts,
    notice_of_recharge,
    notices_of_cuts,
    notices_of_restored,
    tell_of_outages,
)
from headend.service.notify import ATTEMPTS_MAX, RETRY_FIRST_S, RETRY_MAX_S, Notifier, retry_pause_s
from headend.service.ports import UnitOfWork
from headend.service.ports.notices import Delivered, DeliveryState, Notice

AFTER_S = 900


class FakeSink:
    """Keeps what it is sent; answers when it is told to."""

    def __init__(self, name: str = "fake", *, instant: bool = True, size: int = 100) -> None:
        self.name = name
        self.instant = instant
        self.size = size
        self.sent: list[int] = []
        self.pending: list[int] = []
        self.outcome = (True, False, "")
        self._answers: list[Delivered] = []

    def room(self) -> int:
        return self.size - len(self.pending)

    def send(self, notices: Sequence[Notice], now_s: int) -> None:
        self.sent += [notice.notice_id for notice in notices]
        self.pending += [notice.notice_id for notice in notices]
        if self.instant:
            self.answer()

    def answer(self) -> None:
        ok, again, detail = self.outcome
        self._answers += [Delivered(notice_id, ok, again, detail) for notice_id in self.pending]
        self.pending = []

    def answers(self) -> list[Delivered]:
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None: ...


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    made = store_with("M1", "M2")
    yield made
    made.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON_S)


def add(store: SqliteStore, *meters: str, at_s: int = NOON_S) -> None:
    with store.transaction() as uow:
        notices_of_restored([(key_of(uow, meter), at_s) for meter in meters], uow, at_s)


def notifier(store: SqliteStore, clock: ManualClock, *sinks: FakeSink) -> Notifier:
    return Notifier(store, sinks, clock, AFTER_S)


def run(made: Notifier, steps: int = 50) -> None:
    for _ in range(steps):
        if not made.step():
            return
    raise AssertionError("does not come to an end")


def states(store: SqliteStore) -> list[list[tuple[str, str, int]]]:
    with store.view() as uow:
        return [[sink[:3] for sink in row.sinks] for row in uow.notices(None, None, 0, 100)]


def kinds(uow: UnitOfWork) -> list[str]:
    return [row.notice.kind for row in uow.notices(None, None, 0, 100)]


# --- delivery -----------------------------------------------------------------------------------------------


def test_each_sink_gets_each_notice_once_in_order(store: SqliteStore, clock: ManualClock) -> None:
    a, b = FakeSink("a"), FakeSink("b", size=1)
    add(store, "M1", "M2", "M1")
    made = notifier(store, clock, a, b)
    run(made)
    add(store, "M2")
    run(made)
    assert a.sent == b.sent == [1, 2, 3, 4]
    assert states(store) == [[("a", "DELIVERED", 1), ("b", "DELIVERED", 1)]] * 4


def test_what_is_not_noted_is_sent_again_after_a_crash(store: SqliteStore, clock: ManualClock) -> None:
    add(store, "M1")
    sink = FakeSink()
    notifier(store, clock, sink).step()
    after_crash = FakeSink()
    run(notifier(store, clock, after_crash))
    assert sink.sent == after_crash.sent == [1]
    run(notifier(store, clock, after_crash))
    assert after_crash.sent == [1], "what was noted is not sent again"


def test_slow_sink_delays_no_other(store: SqliteStore, clock: ManualClock) -> None:
    slow, quick = FakeSink("slow", instant=False, size=1), FakeSink("quick")
    made = notifier(store, clock, slow, quick)
    for _ in range(5):
        add(store, "M1")
        made.step()
    assert slow.sent == [1]
    assert quick.sent == [1, 2, 3, 4, 5]


def test_notice_in_flight_is_not_sent_twice(store: SqliteStore, clock: ManualClock) -> None:
    slow = FakeSink(instant=False)
    add(store, "M1")
    made = notifier(store, clock, slow)
    assert [made.step() for _ in range(3)] == [True, True, True]
    slow.answer()
    assert made.step() is False
    assert slow.sent == [1]


def test_failure_is_repeated_with_growing_pauses_up_to_the_limit(store: SqliteStore, clock: ManualClock) -> None:
    sink = FakeSink()
    sink.outcome = (False, True, "HTTP status 503")
    add(store, "M1")
    made = notifier(store, clock, sink)
    for attempts in range(1, ATTEMPTS_MAX):
        run(made)
        assert len(sink.sent) == attempts
        clock.advance(retry_pause_s(attempts) - 1)
        run(made)
        assert len(sink.sent) == attempts, "not before its time"
        clock.advance(1)
    run(made)
    assert states(store) == [[("fake", "FAILED", ATTEMPTS_MAX)]]
    clock.advance(10 * RETRY_MAX_S)
    run(made)
    assert len(sink.sent) == ATTEMPTS_MAX


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [retry_pause_s(attempts) for attempts in range(1, ATTEMPTS_MAX)]
    assert pauses[:3] == [RETRY_FIRST_S, 2 * RETRY_FIRST_S, 4 * RETRY_FIRST_S]
    assert pauses == sorted(pauses)
    assert pauses[-1] == RETRY_MAX_S
    assert 12 * 3_600 < sum(pauses) < 48 * 3_600


def test_refused_notice_fails_at_once_and_waits_again_on_request(store: SqliteStore, clock: ManualClock) -> None:
    sink = FakeSink()
    sink.outcome = (False, False, "HTTP status 404")
    add(store, "M1", "M2")
    made = notifier(store, clock, sink)
    run(made)
    assert states(store) == [[("fake", "FAILED", 1)]] * 2
    with store.transaction() as uow:
        assert [row.notice.notice_id for row in uow.notices(None, DeliveryState.FAILED, 0, 10)] == [1, 2]
        assert uow.retry_failed("another", NOON_S) == 0
        assert uow.retry_failed(None, NOON_S) == 2
    sink.outcome = (True, False, "")
    run(made)
    assert states(store) == [[("fake", "DELIVERED", 1)]] * 2


def test_new_sink_begins_with_the_last_day(store: SqliteStore, clock: ManualClock) -> None:
    add(store, "M1", at_s=NOON_S - 86_401)
    add(store, "M2", at_s=NOON_S - 100)
    sink = FakeSink()
    run(notifier(store, clock, sink))
    assert sink.sent == [2]


def test_notice_that_no_sink_has_taken_up_counts_as_waiting(store: SqliteStore) -> None:
    add(store, "M1")
    with store.view() as uow:
        assert len(uow.notices(None, DeliveryState.WAITING, 0, 10)) == 1
        assert uow.notices(None, DeliveryState.FAILED, 0, 10) == []


# --- what is told -------------------------------------------------------------------------------------------


def test_events_add_their_notices_with_region_and_facts(store: SqliteStore) -> None:
    with store.transaction() as uow:
        meter_key = key_of(uow, "M1")
        notice_of_recharge(meter_key, recharge(uow, "M1", "PAY-1", 100), uow)
        announce_cuts([(meter_key, NOON_S + 500)], uow, NOON_S + 1)
        notices_of_cuts([(meter_key, "no credit", NOON_S + 600)], uow, NOON_S + 601)
        notices_of_restored([(meter_key, NOON_S + 700)], uow, NOON_S + 701)
        notices = [row.notice for row in uow.notices("M1", None, 0, 10)]
        assert uow.notices("M2", None, 0, 10) == []
    assert [(notice.kind, notice.meter, notice.region) for notice in notices] == [
        (NoticeKind.RECHARGE_RECEIVED, "M1", "R1"),
        (NoticeKind.CUT_ANNOUNCED, "M1", "R1"),
        (NoticeKind.CUT, "M1", "R1"),
        (NoticeKind.RESTORED, "M1", "R1"),
    ]
    assert notices[0].content == {"amount_micros": 100 * RUPEE, "reference": "PAY-1", "transfer_id": 1}
    query = "SELECT cut_announced_s FROM standing JOIN meter USING (meter_key) WHERE meter = 'M1'"
    assert store._connection.execute(query).fetchone() == (NOON_S + 500,)


def test_outage_and_its_end_are_told_once_to_everybody(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.begin_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, "refused", NOON_S)
        assert tell_of_outages(uow, NOON_S + AFTER_S, AFTER_S) == 0
        assert tell_of_outages(uow, NOON_S + AFTER_S + 1, AFTER_S) == 1
        assert tell_of_outages(uow, NOON_S + AFTER_S + 2, AFTER_S) == 0
        uow.end_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, NOON_S + 9_000)
        assert tell_of_outages(uow, NOON_S + 9_001, AFTER_S) == 1
        assert tell_of_outages(uow, NOON_S + 9_002, AFTER_S) == 0
        assert kinds(uow) == ["OUTAGE", "OUTAGE_ENDED"]
        assert [row.notice.kind for row in uow.notices("M2", None, 0, 10)] == ["OUTAGE", "OUTAGE_ENDED"]


def test_short_outage_and_a_gateways_are_not_told(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.begin_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, "refused", NOON_S)
        uow.end_outage(OutageKind.BROKER_LINK, LINK_SUBJECT, NOON_S + 60)
        uow.begin_outage(OutageKind.GATEWAY, "R1/G1", "nothing came", NOON_S)
        assert tell_of_outages(uow, NOON_S + 80_000, AFTER_S) == 0


def test_outage_known_only_afterwards_is_told_with_its_end_if_it_is_fresh(store: SqliteStore) -> None:
    with store.transaction() as uow:
        uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, "ended without a word", NOON_S)
        uow.end_outage(OutageKind.HEADEND, HEADEND_SUBJECT, NOON_S + 9_000)
        assert tell_of_outages(uow, NOON_S + 9_000 + 86_401, AFTER_S) == 0
        assert tell_of_outages(uow, NOON_S + 9_000 + 86_400, AFTER_S) == 2
        assert kinds(uow) == ["OUTAGE", "OUTAGE_ENDED"]


def test_notifier_tells_of_a_head_end_that_gives_no_sign_of_life(store: SqliteStore, clock: ManualClock) -> None:
    with store.transaction() as uow:
        uow.beat(NOON_S, stopped=False)
    sink = FakeSink()
    made = notifier(store, clock, sink)
    clock.advance(AFTER_S)
    run(made)
    assert sink.sent == []
    clock.advance(2)
    run(made)
    with store.transaction() as uow:
        assert kinds(uow) == ["OUTAGE"]
        (outage,) = uow.outages(ended=False, limit=10)
        assert (outage.kind, outage.began_at_s) == (OutageKind.HEADEND, NOON_S)
        # What its next start does.
        uow.begin_outage(OutageKind.HEADEND, HEADEND_SUBJECT, "ended without a word", NOON_S)
        uow.end_outage(OutageKind.HEADEND, HEADEND_SUBJECT, NOON_S + 5_000)
        uow.beat(NOON_S + 5_000, stopped=False)
    clock.advance(5_000 - AFTER_S)
    run(made)
    with store.view() as uow:
        assert kinds(uow) == ["OUTAGE", "OUTAGE_ENDED"]
        assert len(uow.outages(ended=True, limit=10)) == 1
    assert sink.sent == [1, 2]
