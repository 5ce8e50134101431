"""The head-end at work: receive, commit, acknowledge, send; one bounded step after another, in one thread.

    receive -> [ ingest, dispatch, settlement, journal: one commit ] -> acknowledge -> receipts and commands

Nothing is said to anybody before the commit that it speaks of. A step whose commit fails says nothing at all:
what it would have acknowledged is sent again by the gateways.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.rules import Rules
from headend.service.arrears import take_instalments
from headend.service.directory import Directory
from headend.service.dispatch import Dispatch
from headend.service.ingest import ingest
from headend.service.journal import Journal
from headend.service.ports import Clock, GatewayLink, Store, StoreError, UnitOfWork
from headend.service.settle import Settlement
from headend.service.tariffs import TariffBook, ensure_tariff
from headend.service.traffic import Arrival, HelloWanted, LinkChanged, Outgoing, StatusChanged
from headend.service.upkeep import Upkeep
from headend.service.withdrawals import withdraw_opens

RECEIVE_LIMIT: Final = 500
"""Most messages of one step: one commit."""

HELLO_FOLLOWS_S: Final = 1.0
"""Wall seconds within which a gateway that came online says hello by itself."""

HELLO_REQUESTS: Final = 100
HELLO_REQUEST_PAUSE_S: Final = 0.1
"""So many requests for a hello at a time, with so long a pause (wall seconds): not everyone answers at once."""


METERS_AHEAD: Final = "words of meters ahead of the store"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the head-end's loop is told. Times in wall seconds, but for the times of silence."""

    zone: ZoneInfo
    rules: Rules
    max_day_wh: int
    window: int
    answer_timeout_s: float
    heartbeat_s: float
    poll_s: float
    silent_after_s: int
    outage_notice_after_s: int = 900
    meter_silent_after_s: int = 93_600
    rollover_wh: int | None = None
    stalled_after_s: float = 60.0


class Headend:
    """One `headend serve`. Drive it with `start`, then `step` for ever, then `stop`."""

    def __init__(self, store: Store, link: GatewayLink, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._link = link
        self._clock = clock
        self._settings = settings
        self._directory = Directory()
        withdraw = partial(withdraw_opens, settings.rules, settings.zone)
        self._dispatch = Dispatch(self._directory, settings.window, settings.answer_timeout_s, withdraw)
        self._journal = Journal(settings.silent_after_s)
        self._started = False
        self._doubtful = True
        self._settlement = Settlement(settings.max_day_wh)
        self._upkeep = Upkeep(
            settings.rules, settings.zone, settings.outage_notice_after_s, settings.meter_silent_after_s
        )
        self._band_minutes: set[int] = set()
        self._rules_mark = (0, 0)
        self._news = True
        self._unwritten: list[Arrival] = []
        self._next_beat_s = 0.0
        self._beaten_s: float | None = None
        self._hellos_wanted: dict[int, None] = {}
        self._hellos_asked: list[int] = []
        self._next_hello_s = 0.0
        self._hello_asked_s: dict[int, float] = {}
        self.counts: Counter[str] = Counter()
        """Since the start: readings, commands, days settled and so on, for progress and metrics."""

    def step(self, timeout_s: float) -> bool:
        """Do what there is to do, waiting at most `timeout_s` for a message; whether anything was done.

        Raises:
            StoreError: nothing was done or said; step again later.
        """
        busy = self._has_work()
        # With messages in hand that could not be written, only the link is kept alive.
        received = self._link.receive(0 if self._unwritten else RECEIVE_LIMIT, 0.0 if busy else timeout_s)
        arrivals = self._unwritten or received
        if not arrivals and not busy:
            return False
        try:
            with self._store.transaction() as uow:
                # Looked at with the lock in hand: what others committed while we waited for it came before.
                now_s, monotonic_s = self._clock.now_s(), self._clock.monotonic_s()
                outgoing = self._work(arrivals, uow, now_s, monotonic_s)
        except StoreError:
            # What is in memory may be ahead of the store now; it is read anew with the next commit.
            self._doubtful = True
            self._unwritten = arrivals
            self._beaten_s = None
            raise
        if self._beaten_s is not None:
            # A sign of life that was not written was none.
            self._next_beat_s, self._beaten_s = self._beaten_s + self._settings.heartbeat_s, None
        self._unwritten = []
        self._started = True
        self._doubtful = False
        self._hellos_asked = []
        self._link.settle(arrivals)
        self._link.send(outgoing, now_s)
        return True

    def next_due_s(self) -> float:
        """The monotonic time at which something is due even if no message comes: for virtual time."""
        deadline_s = self._dispatch.next_deadline_s()
        return self._next_beat_s if deadline_s is None else min(self._next_beat_s, deadline_s)

    def stop(self) -> None:
        """Note that we stop in good order. The link and the store are closed by their owner."""
        if not self._started:
            return
        with self._store.transaction() as uow:
            self._journal.beat(uow, self._clock.now_s(), stopped=True)

    def _has_work(self) -> bool:
        monotonic_s = self._clock.monotonic_s()
        return (
            self._doubtful
            or self._settlement.has_work()
            or self._upkeep.has_work()
            or (bool(self._hellos_wanted) and monotonic_s >= self._next_hello_s)
            or monotonic_s >= self._next_beat_s
            or self._dispatch.has_work(monotonic_s)
            or self._store_changed()
        )

    def _store_changed(self) -> bool:
        self._news = self._news or self._store.changed()
        return self._news

    def _work(self, arrivals: list[Arrival], uow: UnitOfWork, now_s: int, monotonic_s: float) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        # Asked with the lock in hand: what others committed may be about the very messages that we hold.
        self._store_changed()
        if not self._started:
            self._journal.start(uow, now_s)
        elif monotonic_s - self._next_beat_s > self._settings.stalled_after_s:
            self._journal.stalled(uow, now_s)
        if self._doubtful:
            self._resume(uow, now_s)
        elif self._news:
            self._dispatch.notice_new(uow)
        if self._doubtful or (self._news and _rules_mark(uow) != self._rules_mark):
            self._directory.forget_meters()
            self._dispatch.notice_exchanged(uow)
            self._band_minutes = TariffBook(uow.tariffs()).band_minutes()
            self._settlement.look_again()
            self._upkeep.look_again()
        self._news = False
        # In order: a last will behind a gateway's messages is the last word on it.
        messages: list[Arrival] = []
        for arrival in arrivals:
            if isinstance(arrival.message, LinkChanged | StatusChanged):
                outgoing += self._take_messages(messages, uow, now_s)
                messages = []
                self._take_event(arrival.message, uow, now_s)
            else:
                messages.append(arrival)
        outgoing += self._take_messages(messages, uow, now_s)
        outgoing += self._want_hellos(uow, monotonic_s)
        today = day_of(now_s, self._settings.zone)
        settled = self._settlement.step(uow, today, now_s)
        take_instalments(settled, self._settings.zone, uow, now_s)
        self.counts["days settled"] += len(settled)
        if monotonic_s >= self._next_beat_s:
            self._journal.beat(uow, now_s)
            uow.expire_unsent_relays(now_s)
            self._upkeep.begin_round(uow, now_s)
            self._beaten_s = monotonic_s
        if self._upkeep.has_work():
            self._upkeep.step(uow, now_s)
            self._dispatch.notice_new(uow)
        self._rules_mark = _rules_mark(uow)
        outgoing += self._dispatch.step(uow, now_s, monotonic_s)
        return outgoing

    def _take_messages(self, messages: list[Arrival], uow: UnitOfWork, now_s: int) -> list[Outgoing]:
        """Ingest messages and tell the other services of it; the receipts, for after the commit."""
        if not messages:
            return []
        settings = self._settings
        intake = ingest(
            messages,
            self._directory,
            settings.zone,
            uow,
            now_s,
            self._band_minutes,
            settings.rollover_wh,
            settings.max_day_wh,
        )
        self._journal.gateways_heard(intake.heard, uow, now_s)
        for gateway_key in intake.greeted:
            self._dispatch.gateway_greeted(gateway_key, uow)
        for gateway_key in intake.heard - intake.greeted:
            self._dispatch.gateway_online(gateway_key)
            if not self._dispatch.is_online(gateway_key):
                # It speaks, but not of its counters: our request, or its answer, was lost, or is on its way.
                self._hellos_wanted.setdefault(gateway_key)
        self._dispatch.answered(intake.answered, uow)
        if intake.snapshots or intake.bands:
            self._settlement.look_again()
        self.counts["readings"] += intake.rows
        self.counts["dead letters"] += intake.dead_letters
        self.counts["answers"] += len(intake.answered)
        self.counts["messages"] += len(messages)
        self.counts[METERS_AHEAD] += intake.ahead
        return list(intake.receipts)

    def _resume(self, uow: UnitOfWork, now_s: int) -> None:
        """Bring memory in line with the store: at the start, and after a transaction that failed."""
        ensure_tariff(self._settings.rules.tariff, uow, now_s)
        self._directory.load_gateways(uow)
        self._dispatch.start(uow)
        self._journal.resume(uow)
        self._hellos_wanted = dict.fromkeys(self._hellos_asked) | self._hellos_wanted
        self._hello_asked_s.clear()
        if not self._started:
            self._hellos_wanted = dict.fromkeys(self._directory.gateway_ids)

    def _take_event(self, event: LinkChanged | StatusChanged, uow: UnitOfWork, now_s: int) -> None:
        """The link's and the gateways' comings and goings."""
        match event:
            case LinkChanged(up, detail):
                self._journal.link_changed(up, detail, uow, now_s)
                if up:
                    # Gateways cannot see that we were away: ask all for their counters.
                    self._directory.load_gateways(uow)
                    self._hellos_wanted = dict.fromkeys(self._directory.gateway_ids)
                    self._hello_asked_s.clear()
                else:
                    self._dispatch.all_offline(uow)
            case StatusChanged(gateway, online):
                gateway_key = self._directory.gateway_key(gateway, uow)
                if gateway_key is None:
                    return
                if online:
                    # Its hello follows, unless a late will of its session before came between the two.
                    self._hellos_wanted[gateway_key] = None
                    self._hello_asked_s.pop(gateway_key, None)
                    self._next_hello_s = self._clock.monotonic_s() + HELLO_FOLLOWS_S
                else:
                    self._dispatch.gateway_offline(gateway_key, uow)
                    self._journal.gateway_left(gateway_key, uow, now_s)

    def _want_hellos(self, uow: UnitOfWork, monotonic_s: float) -> list[HelloWanted]:
        """The next requests for a hello: to gateways that have given no sign of life yet."""
        if not self._hellos_wanted or monotonic_s < self._next_hello_s:
            return []
        asked: list[int] = []
        while self._hellos_wanted and len(asked) < HELLO_REQUESTS:
            gateway_key = next(iter(self._hellos_wanted))
            del self._hellos_wanted[gateway_key]
            asked_s = self._hello_asked_s.get(gateway_key)
            is_due = asked_s is None or monotonic_s >= asked_s + self._settings.answer_timeout_s
            if is_due and not self._dispatch.is_online(gateway_key):
                asked.append(gateway_key)
                self._hello_asked_s[gateway_key] = monotonic_s
        self._hellos_asked = asked
        self._next_hello_s = monotonic_s + HELLO_REQUEST_PAUSE_S
        return [HelloWanted(self._directory.gateway_id(key, uow)) for key in asked]


def _rules_mark(uow: UnitOfWork) -> tuple[int, int]:
    """Changes when another process registers a meter or does what the audit log keeps, and not for a recharge."""
    return uow.last_act_id(), uow.last_meter_key()
