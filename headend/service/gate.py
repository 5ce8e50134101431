"""The gate: every order to open a relay, one or 300,000, of the rules or of a person, passes here.

A wish is refused, put into quarantine because a cap is reached, or issued; each is kept with what it was based
on. Whoever asks and however often, no more leave than the caps allow.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.caps import CAP_PERIOD_S, Cap, Caps
from headend.domain.case import Case, Origin, Situation, situation_at
from headend.domain.evidence import Act, ActKind, basis_text
from headend.domain.protection import Refused, may_disconnect
from headend.domain.recovery import Phase
from headend.domain.rules import Rules
from headend.domain.spread import CutTime, cut_time
from headend.domain.tariff_book import NoPrice
from headend.domain.windows import next_permitted, window_at
from headend.service.accounts import changed_terms, shown_balance
from headend.service.ports import UnitOfWork
from headend.service.ports.billing import Terms
from headend.service.ports.protection import CaseRow, NewDisconnection
from headend.service.settle import terms_on
from headend.service.tariffs import prices_at_hand

CAP_REASON: Final = "CAP_{}"
"""Why a wish is in quarantine: the cap that is reached, as CAP_FLEET."""

_SLOT_S: Final = 3_600


class Withheld(StrEnum):
    """Why the gate refuses where nothing protects the home."""

    IN_QUARANTINE = "IN_QUARANTINE"
    """An earlier wish to cut the same home waits: for a second person, or released for room under the caps."""
    AT_THE_EDGE = "AT_THE_EDGE"
    """The permitted hours end, or have begun, too near for every meter's clock: some would refuse it."""


class Verdict(StrEnum):
    """What became of a wish: the states that it is kept with."""

    ISSUED = "ISSUED"
    REFUSED = "REFUSED"
    QUARANTINED = "QUARANTINED"


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants a relay opened, and why."""

    actor: str
    origin: Origin
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer on one meter. `until_s`: no cut before; None: not known, or not refused."""

    meter_key: int
    meter: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    until_s: int | None = None
    relay_version: int | None = None


class Gate:
    """Decides about many meters in one transaction; made anew for each, because it counts against the caps."""

    def __init__(self, rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> None:
        self._rules = rules.protection
        self._zone = zone
        self._uow = uow
        self._now_s = now_s
        self._today = day_of(now_s, zone)
        self._prices = prices_at_hand(rules.tariff, uow)
        self.moratoria = uow.moratoria(now_s)
        self._phases = {row.region: row.state for row in uow.recoveries()}
        self._situations: dict[str, Situation] = {}
        self._situation_bases: dict[str, dict[str, object]] = {}
        self._stretches: dict[tuple[str, int], tuple[int, int] | None] = {}
        self._agreed_stretches: dict[tuple[str, int, int], tuple[int, int]] = {}
        self._edges: dict[tuple[str, int], bool] = {}

    def decide(self, rows: Sequence[CaseRow], wish: Wish) -> list[Decision]:
        """Decide about wishes, carry out what is allowed, and keep all of it as evidence."""
        held = self._uow.waiting_meters(row.meter_key for row in rows)
        decided = [(row, *self._decide(row, wish, row.meter_key in held)) for row in rows]
        self._keep([(decision, basis) for _, decision, basis in decided], wish)
        return [decision for _, decision, _ in decided]

    def look(self, row: CaseRow, origin: Origin) -> Refused | None:
        """What protects a home now; None: nothing. Changes nothing."""
        found = may_disconnect(self.case(row, origin), self._rules, self.situation(row.meter.region))
        return found if isinstance(found, Refused) else None

    def issue(self, row: CaseRow, reason: str) -> int | Cap | None:
        """Order a relay open that nothing protects: the version, a cap that is reached, or None: AT_THE_EDGE."""
        expires_at_s = self._expires_at_s(row.meter.region)
        if expires_at_s is None:
            return None
        reached = self._caps.take(row.meter.region, row.meter.feeder or None)
        if reached is not None:
            return reached
        version = self._uow.issue_relay(row.meter.meter, "open", reason, expires_at_s, self._now_s)
        assert version is not None, "a case is of a registered meter"
        return version

    def is_at_the_edge(self, region: str) -> bool:
        """Whether the edge of the permitted hours is too near for any order to open to leave now."""
        return self._expires_at_s(region) is None

    def is_shut(self) -> bool:
        """Whether something protects every home of every region now, so that one need not look at any."""
        return all(self._is_shut(self.situation(region)) for region in self._phases)

    def _is_shut(self, situation: Situation) -> bool:
        hours = situation.hours is not None and not self._rules.hours.only_if_in_credit_at_opening
        grace = (situation.recovery_grace_until_s or 0) > situation.now_s
        return hours or situation.moratorium is not None or situation.recovering or grace

    def case(self, row: CaseRow, origin: Origin) -> Case:
        """The facts of a meter as the decision takes them."""
        meter = row.meter
        changed = changed_terms(meter, self._uow)
        terms = terms_on(self._today, changed, Terms(0, meter.account_key, meter.category, meter.load_w))
        try:
            balance_micros = shown_balance(meter, self._prices, self._today, self._zone, changed).shown_micros
        except NoPrice:
            balance_micros = meter.credits_micros - meter.debits_micros
        return Case(
            meter=meter.meter,
            origin=origin,
            balance_micros=balance_micros,
            read_at_s=meter.read_at_s,
            register_wh=meter.register_wh,
            settled_day=meter.settled_day,
            unsettled_wh=max(0, meter.register_wh - meter.settled_register_wh),
            zero_since_s=row.zero_since_s,
            exhausted_since_s=row.exhausted_since_s,
            no_cut_before_s=row.no_cut_before_s,
            load_w=terms.load_w,
            unsettled_recharges=row.unsettled_recharges,
            plan_kept=bool(row.plan_kept),
            open_exceptions=tuple((row.open_exceptions or "").split(",")) if row.open_exceptions else (),
            relay_ordered_open=bool(row.relay_ordered_open),
        )

    def situation(self, region: str) -> Situation:
        """What holds for a region now."""
        if region not in self._situations:
            state = self._phases[region]
            self._situations[region] = situation_at(
                self._now_s,
                region,
                self._rules.hours,
                self.moratoria,
                self._zone,
                recovering=state.phase is not Phase.NORMAL,
                recovery_grace_until_s=state.grace_until_s,
            )
        return self._situations[region]

    def basis(self, row: CaseRow, origin: Origin) -> dict[str, object]:
        """What a decision about a meter is based on now, as it is kept with it."""
        return self._basis_of(self.case(row, origin), row)

    def _basis_of(self, case: Case, row: CaseRow) -> dict[str, object]:
        region = row.meter.region
        if region not in self._situation_bases:
            self._situation_bases[region] = self.situation(region).basis()
        kept = {"credits_micros": row.meter.credits_micros, "at": self._situation_bases[region]}
        return case.basis() | kept

    def cut_time(self, row: CaseRow, from_s: int) -> CutTime | None:
        """When a cut may go that is due from a time on: its own moment in the next permitted stretch."""
        region = row.meter.region
        stretch = self._permitted(region, from_s)
        if stretch is None:
            return None
        day = day_of(stretch[0], self._zone)
        return cut_time(self._rules.spread, row.meter.meter, stretch, day=day, now_s=from_s, salt=region)

    def _permitted(self, region: str, from_s: int) -> tuple[int, int] | None:
        """The permitted stretch that a time lies in, or the next one after it, as far as every meter agrees.

        A meter whose clock is slow by the tolerance, and which counts its windows as longer by it, sees a window
        end by twice as much later. The end of the stretch is cut by once as much here, and once by the
        users of it.
        """
        # Looked for from the beginning of the hour on, so that many times of one hour need one search.
        at_s = from_s - from_s % _SLOT_S
        while True:
            if (region, at_s) not in self._stretches:
                here = [moratorium for moratorium in self.moratoria if moratorium.covers(region)]
                self._stretches[region, at_s] = next_permitted(self._rules.hours, here, self._zone, at_s)
            stretch = self._stretches[region, at_s]
            if stretch is None or from_s < stretch[1]:
                return None if stretch is None else self._agreed(region, *stretch)
            at_s = stretch[1]

    def _agreed(self, region: str, from_s: int, to_s: int) -> tuple[int, int]:
        if (region, from_s, to_s) not in self._agreed_stretches:
            self._agreed_stretches[region, from_s, to_s] = self._cut_short(region, from_s, to_s)
        return self._agreed_stretches[region, from_s, to_s]

    def _cut_short(self, region: str, from_s: int, to_s: int) -> tuple[int, int]:
        tolerance_s = self._rules.spread.clock_tolerance_s
        if (region, from_s) not in self._edges:
            here = [moratorium for moratorium in self.moratoria if moratorium.covers(region)]
            # A stretch may begin with its day only because one looks at days: then no window ends there.
            self._edges[region, from_s] = window_at(self._rules.hours, here, self._zone, from_s - 1) is not None
        return from_s + (2 * tolerance_s if self._edges[region, from_s] else 0), to_s - tolerance_s

    def _expires_at_s(self, region: str) -> int | None:
        """Until when an order to open has effect that goes now; None: some meter's clock may not permit it now."""
        stretch, spread = self._permitted(region, self._now_s), self._rules.spread
        if stretch is None:
            return None
        from_s, last_s = stretch[0], stretch[1] - spread.clock_tolerance_s
        return min(self._now_s + spread.expires_after_s, last_s) if from_s <= self._now_s < last_s else None

    def _decide(self, row: CaseRow, wish: Wish, waits: bool) -> tuple[Decision, dict[str, object]]:
        case = self.case(row, wish.origin)
        basis = self._basis_of(case, row)
        key, meter = row.meter_key, row.meter.meter
        if waits:
            return Decision(key, meter, Verdict.REFUSED, (Withheld.IN_QUARANTINE.value,)), basis
        found = may_disconnect(case, self._rules, self.situation(row.meter.region))
        if isinstance(found, Refused):
            return Decision(key, meter, Verdict.REFUSED, tuple(map(str, found.reasons)), found.until_s), basis
        version = self.issue(row, wish.reason)
        if version is None:
            return Decision(key, meter, Verdict.REFUSED, (Withheld.AT_THE_EDGE.value,)), basis
        if isinstance(version, Cap):
            return Decision(key, meter, Verdict.QUARANTINED, (CAP_REASON.format(version),)), basis
        return Decision(key, meter, Verdict.ISSUED, relay_version=version), basis

    def _keep(self, decided: Sequence[tuple[Decision, dict[str, object]]], wish: Wish) -> None:
        now_s = self._now_s
        rows, acts = [], []
        for decision, basis in decided:
            refused_for = ",".join(decision.reasons) or None
            rows.append(
                NewDisconnection(
                    decision.meter_key, now_s, wish.actor, wish.origin.value, wish.reason, decision.verdict.value,
                    refused_for, basis_text(basis), now_s, wish.actor, decision.relay_version,
                )
            )  # fmt: skip
            kept = basis | {"refused_for": list(decision.reasons), "relay_version": decision.relay_version or 0}
            subject = f"meter/{decision.meter}"
            acts.append(Act(now_s, wish.actor, _ACTS[decision.verdict], subject, wish.reason, kept))
        self._uow.add_disconnections(rows)
        self._uow.record_acts(acts)

    @cached_property
    def _caps(self) -> Caps:
        """The cuts of the last 24 hours; counted when the first order is to be issued."""
        by_region: Counter[str] = Counter()
        by_feeder: Counter[str] = Counter()
        for region, feeder, count in self._uow.cuts_since(self._now_s - CAP_PERIOD_S):
            by_region[region] += count
            by_feeder[feeder] += count
        limits = self._rules.caps
        return Caps(limits, fleet=by_region.total(), by_region=by_region, by_feeder=by_feeder)


_ACTS: Final = {
    Verdict.ISSUED: ActKind.CUT,
    Verdict.REFUSED: ActKind.CUT_REFUSED,
    Verdict.QUARANTINED: ActKind.QUARANTINED,
}


def summary(decisions: Iterable[Decision]) -> Counter[str]:
    """How many wishes came to what, refusals by each of their reasons."""
    counts: Counter[str] = Counter()
    for decision in decisions:
        counts[decision.verdict] += 1
        counts.update(decision.reasons)
    return counts
