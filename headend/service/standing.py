"""The sweep over standings: whose balance has come down to an alert level, and since when it is at zero.

Only meters whose register has reached their trip are looked at; for all others nothing can have been crossed. What
changes a balance otherwise sets the trip to 0: a recharge or a settlement for its meter, a new day, new prices or
other rules for all (`look_at_all_again`). Of those to look at, most are far above all levels even at the highest
price: the store finds them by itself (`pass_over`). Only the others are priced, one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.account import Balance, derive_balance
from headend.domain.calendar import day_of
from headend.domain.notice import NoticeKind
from headend.domain.pricing import Pricer
from headend.domain.standing import AlertRules, Crossing, Debt, Standing, look_at, room_micros
from headend.domain.tariff import Tariff
from headend.domain.tariff_book import NoPrice, PriceBook
from headend.domain.tariff_bound import charge_bounds, dearest
from headend.service.ports import UnitOfWork
from headend.service.ports.billing import Terms
from headend.service.ports.notices import LookedAt, NewNotice, StandingRow
from headend.service.settle import terms_on

SWEEP_SPAN: Final = 10_000
"""Meters that one step of the sweep goes over: below a quarter of a second even if all must be priced."""

NEVER_WH: Final = 2**62
"""A register that no meter reaches."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a step of the sweep did. `resume_after`: the meter key to go on after; None: all meters were seen."""

    looked_at: int
    notices: int
    resume_after: int | None


def look_at_standings(
    rules: AlertRules,
    tariffs: list[Tariff],
    zone: ZoneInfo,
    uow: UnitOfWork,
    now_s: int,
    after_meter_key: int = 0,
    span: int = SWEEP_SPAN,
) -> Swept:
    """Look at the next `span` meters after a key: keep their standings, and add a notice for each new crossing."""
    to_meter_key = after_meter_key + span
    look = _Look(rules, tariffs, zone, uow, now_s)
    passed = look.pass_over(after_meter_key, to_meter_key)
    for row in uow.standings_to_look_at(after_meter_key, to_meter_key):
        look.at(row)
    uow.put_standings(look.looked_at)
    uow.put_debts(look.debts)
    uow.add_notices(look.notices)
    more = to_meter_key < uow.last_meter_key()
    return Swept(passed + len(look.looked_at), len(look.notices), to_meter_key if more else None)


class _Look:
    """One step's looks. What is the same for many meters is worked out once."""

    def __init__(
        self, rules: AlertRules, tariffs: list[Tariff], zone: ZoneInfo, uow: UnitOfWork, now_s: int
    ) -> None:
        self._rules = rules
        self._prices = PriceBook(tariffs)
        self._zone = zone
        self._uow = uow
        self._now_s = now_s
        self._today = day_of(now_s, zone)
        self._pricers: dict[tuple[int, str | None, int], Pricer] = {}
        self._days: dict[int, int] = {}
        self._levels: dict[int, list[int]] = {}
        self._bounds = charge_bounds(tariffs)
        self._dearest = dearest(self._bounds.values())
        self.looked_at: list[LookedAt] = []
        self.debts: list[tuple[int, Debt]] = []
        self.notices: list[NewNotice] = []

    def pass_over(self, after_meter_key: int, to_meter_key: int) -> int:
        """Of the meters in a range those that need not be priced; how many."""
        marks = self._rules.marks_micros(), max(self._rules.low_share_bp, default=0)
        return self._uow.pass_over(after_meter_key, to_meter_key, self._today, *marks, self._bounds)

    def at(self, row: StandingRow) -> None:
        """One meter. One whose day cannot be priced is left as it is: settlement lists it for a person."""
        try:
            shown = self._balance(row)
        except NoPrice:
            return
        balance_micros, levels = shown.shown_micros, self._levels_of(row.last_recharge_micros)
        debt = Debt(row.zero_since_s, row.exhausted_since_s, row.cut_announced_s)
        standing, crossings = look_at(
            Standing(row.credits_looked_at_micros, row.levels, debt),
            self._rules,
            levels,
            balance_micros=balance_micros,
            credits_micros=row.credits_micros,
            as_of_s=row.read_at_s,
        )
        trip_wh = self._trip_wh(row, room_micros(self._rules, levels, balance_micros))
        self.looked_at.append(
            LookedAt(row.meter_key, trip_wh, balance_micros, row.read_at_s, row.credits_micros, standing.levels)
        )
        if standing.debt != debt:
            self.debts.append((row.meter_key, standing.debt))
        for crossing in crossings:
            self.notices.append(self._notice(row, shown, crossing))

    def _balance(self, row: StandingRow) -> Balance:
        return derive_balance(
            self._pricer_of_day(row),
            credits_micros=row.credits_micros,
            debits_micros=row.debits_micros,
            register_wh=row.register_wh,
            settled_register_wh=row.settled_register_wh,
            settled_day=row.settled_day,
            month_wh=row.month_wh,
            today=self._today,
            reading_day=self._day_of(row.read_at_s),
            as_of_s=row.read_at_s,
        )

    def _pricer_of_day(self, row: StandingRow) -> Callable[[int], Pricer]:
        if not row.has_terms:
            return lambda day: self._pricer(day, row.category, row.load_w)
        changed, own = self._uow.terms(row.meter_key), Terms(0, 0, row.category, row.load_w)

        def pricer(day: int) -> Pricer:
            terms = terms_on(day, changed, own)
            return self._pricer(day, terms.category, terms.load_w)

        return pricer

    def _pricer(self, day: int, category: str | None, load_w: int) -> Pricer:
        known = self._pricers.get((day, category, load_w))
        if known is None:
            known = self._pricers[day, category, load_w] = self._prices.pricer(day, category, load_w)
        return known

    def _day_of(self, read_at_s: int) -> int:
        """The day of the energy that a reading shows: a midnight's is the day that ends with it."""
        if read_at_s not in self._days:
            self._days[read_at_s] = day_of(read_at_s - 1, self._zone)
        return self._days[read_at_s]

    def _levels_of(self, last_recharge_micros: int) -> list[int]:
        if last_recharge_micros not in self._levels:
            self._levels[last_recharge_micros] = self._rules.levels_micros(last_recharge_micros)
        return self._levels[last_recharge_micros]

    def _trip_wh(self, row: StandingRow, room_micros: int | None) -> int:
        if room_micros is None:
            return NEVER_WH
        # Terms of its own may change the category: then the dearest of all counts.
        bound = self._dearest if row.has_terms else self._bounds[row.category]
        return row.register_wh + bound.energy_within_wh(room_micros)

    def _notice(self, row: StandingRow, shown: Balance, crossing: Crossing) -> NewNotice:
        balance_micros = shown.shown_micros
        content: dict[str, object] = {
            "balance_micros": balance_micros,
            "as_of_s": row.read_at_s,
            "provisional": shown.provisional_since_day is not None,
        }
        if crossing.kind is NoticeKind.LOW_BALANCE:
            content["level_micros"] = crossing.level_micros
        if crossing.kind is NoticeKind.EMERGENCY_CREDIT:
            content["emergency_left_micros"] = max(0, balance_micros - self._rules.exhausted_at_micros)
        return NewNotice(crossing.kind, row.meter_key, None, self._now_s, content)
