"""Weeks of some homes' use as the messages that their meters send, and what was billed for them in the end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from unit.service.bench import DAY, RUPEE, ZONE, Bench

from headend.domain.calendar import midnight_s
from headend.domain.rules import Rules
from headend.domain.tariff import Tariff
from headend.service.accounts import register_meters
from headend.service.rows import Registration
from headend.service.settle import day_hash
from headend.service.tariffs import TariffBook, import_tariff
from headend.service.terms import TermsOutcome, change_terms, move_out
from headend.service.traffic import GatewayId

ACTOR, REASON = "clerk", "test"


@dataclass(frozen=True)
class Home:
    """One meter. `uses_wh`: for each day the energy in its parts, between the times of day that `minutes` name."""

    meter: str
    uses_wh: Sequence[Sequence[int]]
    category: str | None = None
    load_w: int = 1_000
    minutes: Sequence[int] = ()


class Sent(NamedTuple):
    """One reading: of a band's beginning, or the snapshot that closes a day (counted from the first)."""

    meter: str
    seq: int
    day: int
    at_s: int
    register_wh: int
    snapshot: bool


@dataclass(frozen=True)
class Course:
    """Homes, and what people decide in these weeks; days are counted from the first one."""

    rules: Rules
    homes: Sequence[Home]
    tariffs: Sequence[Tariff] = ()
    new_terms: Sequence[tuple[str, int, str | None, int | None]] = ()
    """(meter, day, category, load_w)"""
    moved_out: Sequence[tuple[str, int]] = ()
    """(meter, the last day)"""
    recharges: dict[str, int] = field(default_factory=dict)
    """Rupees by meter, on the first day; of one whose consumer moves out, before and after."""

    @property
    def days(self) -> int:
        return len(self.homes[0].uses_wh)

    def bench(self) -> Bench:
        """A head-end in contact with the meters; all decisions are taken on the first day."""
        bench = Bench(rules=self.rules)
        with bench.store.transaction() as uow:
            register_meters(
                [
                    Registration(home.meter, GatewayId("R1", "G1"), 0, DAY, home.category, home.load_w)
                    for home in self.homes
                ],
                uow,
            )
        bench.connect()
        for meter, rupees in self.recharges.items():
            bench.recharge(meter, f"FIRST-{meter}", rupees)
        for tariff in self.tariffs:
            with bench.store.transaction() as uow:
                import_tariff(tariff, ACTOR, REASON, uow, bench.clock.now_s())
        for meter, day, category, load_w in self.new_terms:
            self._decide(bench, meter, day, category, load_w)
        for meter, day in self.moved_out:
            self._decide(bench, meter, day)
            bench.recharge(meter, f"SECOND-{meter}", self.recharges.get(meter, 1))
        bench.store.news = True
        bench.run()
        return bench

    @staticmethod
    def _decide(bench: Bench, meter: str, day: int, *terms: Any) -> None:
        row = bench.meter(meter)
        with bench.store.transaction() as uow:
            if terms:
                done = change_terms(row, DAY + day, *terms, ACTOR, REASON, uow, bench.clock.now_s())
            else:
                done = move_out(row, DAY + day, ACTOR, REASON, uow, bench.clock.now_s())
        assert done in (TermsOutcome.CHANGED, TermsOutcome.EXISTS)

    def messages(self) -> list[Sent]:
        """All readings in the order in which they are taken."""
        sent = []
        for home in self.homes:
            registers_wh = accumulate(part for day in home.uses_wh for part in day)
            seq = 0
            for day in range(self.days):
                for minute in (*home.minutes, None):
                    seq += 1
                    at_s = midnight_s(DAY + day + (minute is None), ZONE) + (minute or 0) * 60
                    sent.append(Sent(home.meter, seq, day, at_s, next(registers_wh), minute is None))
        return sorted(sent, key=lambda message: (message.at_s, message.meter))


@dataclass
class Billed:
    """What came of it. `hashes`: of every day; `balances`: micros by account; `bills`: of every meter."""

    hashes: list[str]
    balances: dict[str, int]
    bills: dict[str, list[tuple[Any, ...]]]


def send(bench: Bench, messages: Iterable[Sent]) -> None:
    """Send readings, each kind in one frame."""
    messages = list(messages)
    for snapshot in (False, True):
        rows = [(m.meter, m.seq, m.at_s, m.register_wh) for m in messages if m.snapshot is snapshot]
        if rows:
            bench.readings(*rows, snapshot=snapshot)


def run_and_check(bench: Bench) -> None:
    """Let the head-end work; after each of its commits `charges` stands at zero, and all accounts together."""
    for _ in range(200):
        worked = bench.headend.step(0.0)
        balances = account_balances(bench)
        assert balances["charges"] == 0
        assert sum(balances.values()) == 0
        if not worked:
            return
    raise AssertionError("busy")


def deliver_in_time(course: Course) -> Bench:
    """The run without an outage: each day's readings are worked off as they come."""
    bench = course.bench()
    messages = course.messages()
    for day in range(course.days):
        send(bench, [message for message in messages if message.day == day])
        bench.run()
    return bench


def account_balances(bench: Bench) -> dict[str, int]:
    return dict(bench._query("SELECT code, credits_micros - debits_micros FROM account"))


def billed(bench: Bench, course: Course) -> Billed:
    """What the store says now."""
    with bench.store.view() as uow:
        hashes = [day_hash(DAY + day, uow) for day in range(course.days)]
        bills = {
            home.meter: [
                (row.day, row.category, row.load_w, row.month_wh, row.energy_wh, *lines(row), row.total_micros)
                for row in uow.charges(home.meter, DAY, DAY + course.days)
                if not row.reversed
            ]
            for home in course.homes
        }
    return Billed(hashes, account_balances(bench), bills)


def lines(row: Any) -> tuple[int, ...]:
    return row.energy_micros, row.fixed_micros, row.duty_micros, row.rebate_micros, row.rounding_micros


def assert_sound(bench: Bench, course: Course) -> None:
    """The audit finds nothing, and what rounding left lies on its account to the micro."""
    assert bench.violations() == []
    rounding = sum(row[9] for bills in billed(bench, course).bills.values() for row in bills)
    assert account_balances(bench)["rounding"] == rounding


def prices_of(bench: Bench) -> TariffBook:
    with bench.store.view() as uow:
        return TariffBook(uow.tariffs())


AMPLE = 1_000_000
"""Rupees: nobody is ever in debt."""

assert AMPLE * RUPEE < 2**53
