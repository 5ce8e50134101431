"""The audit of protection: was anybody cut wrongly? From the store, and from what the meters wrote down.

As far as it can, it asks the rules, the journal of outages and the meters' logs, and not the decision itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.caps import CAP_PERIOD_S
from headend.domain.case import Origin
from headend.domain.rules import Rules
from headend.domain.tariff_book import NoPrice
from headend.domain.windows import Moratorium, window_at
from headend.service.accounts import changed_terms, shown_balance
from headend.service.journal import OutageKind
from headend.service.ports import FleetLog, UnitOfWork
from headend.service.tariffs import prices_at_hand

Violation = tuple[str, str]

_NEEDED: Final = ("balance_micros", "read_at_s", "unsettled_recharges")
"""What a cut's basis has to say."""

TELLING_REFUSALS: Final = frozenset({"PROTECTED", "POLICY_EXPIRED"})
"""A meter that refuses an order to open with one of these was sent what never should have left."""


@dataclass(frozen=True, slots=True)
class ProtectionAudit:
    """The checks, with the rules that they are made by."""

    rules: Rules
    zone: ZoneInfo

    def inside_windows(self, uow: UnitOfWork) -> Iterator[Violation]:
        """I15: no order to open was issued while its region was protected."""
        moratoria = uow.all_moratoria()
        for cut in uow.issued_cuts():
            name = self._window(cut.region, cut.issued_at_s, moratoria, cut.exhausted_since_s)
            if name is not None:
                yield cut.meter, f"an order to open was issued at {cut.issued_at_s}, protected by {name}"

    def opened_inside_windows(self, uow: UnitOfWork, log: FleetLog) -> Iterator[Violation]:
        """I15: by the meters' logs and true time no relay opened inside a window, and none was asked to."""
        moratoria = uow.all_moratoria()
        cuts = {(cut.meter, cut.relay_version): cut for cut in uow.issued_cuts()}
        regions, now = uow.regions_of_meters(), uow.devices_now()
        for meter, version, position, at_s in log.relays():
            if position == "open":
                cut = cuts.get((now.get(meter, meter), version))
                exhausted_s = None if cut is None else cut.exhausted_since_s
                name = self._window(regions.get(now.get(meter, meter), ""), at_s, moratoria, exhausted_s)
                if name is not None:
                    yield meter, f"its relay opened by version {version} at {at_s}, protected by {name}"
        for meter, version, code, at_s in log.refused_opens():
            if code in TELLING_REFUSALS:
                yield meter, f"refused order {version} to open at {at_s}: {code}; whoever signed it has turned bad"

    def decided(self, uow: UnitOfWork) -> Iterator[Violation]:
        """I17: each order to open is a decision of the gate: debt, a fresh reading, no recharge on its way."""
        rules = self.rules.protection
        for meter, version in uow.undecided_opens():
            yield meter, f"order {version} to open passed no gate"
        for cut in uow.issued_cuts():
            if cut.origin == Origin.ORDER and not rules.debt_only:
                continue
            balance_micros, read_at_s, recharges = (cut.basis.get(name) for name in _NEEDED)
            if not isinstance(balance_micros, int) or not isinstance(read_at_s, int) or recharges is None:
                yield cut.meter, f"cut at {cut.issued_at_s} on a basis that does not say {', '.join(_NEEDED)}"
                continue
            if balance_micros >= rules.cut_below_micros:
                yield cut.meter, f"cut at {cut.issued_at_s} with a balance of {balance_micros} micros"
            if cut.issued_at_s - read_at_s > rules.stale_after_s:
                yield cut.meter, f"cut at {cut.issued_at_s} on a reading of {read_at_s}"
            if recharges or uow.recharges_on_their_way(cut.meter_key, cut.issued_at_s):
                yield cut.meter, f"cut at {cut.issued_at_s} with a recharge on its way"

    def within_caps(self, uow: UnitOfWork) -> Iterator[Violation]:
        """I18: in any 24 hours no more orders to open than the caps allow."""
        limits = self.rules.protection.caps
        times: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for cut in uow.issued_cuts():
            times["the fleet", ""].append(cut.issued_at_s)
            times["region", cut.region].append(cut.issued_at_s)
            if cut.feeder:
                times["feeder", cut.feeder].append(cut.issued_at_s)
        of_kind = {"the fleet": limits.fleet, "region": limits.region, "feeder": limits.feeder}
        for (kind, name), issued in times.items():
            limit = of_kind[kind]
            if limit is not None:
                worst = _most_within(sorted(issued), CAP_PERIOD_S)
                if worst > limit:
                    yield f"{kind} {name}".strip(), f"{worst} orders to open within 24 hours, the cap is {limit}"

    def after_grace(self, uow: UnitOfWork) -> Iterator[Violation]:
        """I19: nobody was cut before the grace after zero, nor before the grace after an outage.

        An order that was given in an outage and taken back before it left has cut nobody; one that left before the
        silence was long enough for an outage was right.
        """
        protection, recovery = self.rules.protection, self.rules.recovery
        outages = [
            row
            for row in uow.outages(ended=True, limit=-1)
            if row.kind in (OutageKind.HEADEND, OutageKind.BROKER_LINK)
            and (row.ended_at_s or 2**62) - row.began_at_s >= recovery.min_outage_s
        ]
        for cut in uow.issued_cuts():
            zero_s = cut.basis.get("zero_since_s")
            by_debt = cut.origin == Origin.DEBT or protection.debt_only
            if (
                by_debt
                and protection.grace_s
                and (not isinstance(zero_s, int) or cut.issued_at_s - zero_s < protection.grace_s)
            ):
                yield cut.meter, f"cut at {cut.issued_at_s}, its credit ended at {zero_s}"
            for outage in outages:
                over_s = 2**62 if outage.ended_at_s is None else outage.ended_at_s + recovery.grace_s
                known_s = outage.began_at_s + recovery.min_outage_s
                if cut.sent_at_s is not None and known_s <= cut.sent_at_s < over_s:
                    yield (
                        cut.meter,
                        f"cut at {cut.sent_at_s}, in or after outage {outage.outage_id} and its grace",
                    )

    def reconnected(self, uow: UnitOfWork, now_s: int) -> Iterator[Violation]:
        """I20: a home cut for debt whose credit suffices again has its supply ordered back."""
        limit_micros = self.rules.protection.reconnection.from_micros
        prices = prices_at_hand(self.rules.tariff, uow)
        keys = [meter_key for meter_key, _, _ in uow.lasting_cuts(0, -1)]
        for row in uow.cases(keys):
            changed = changed_terms(row.meter, uow)
            try:
                balance = shown_balance(row.meter, prices, day_of(now_s, self.zone), self.zone, changed)
            except NoPrice:
                continue
            if row.relay_ordered_open and balance.shown_micros >= limit_micros:
                yield row.meter.meter, f"without supply, with a balance of {balance.shown_micros} micros"

    def _window(
        self, region: str, at_s: int, moratoria: Iterable[Moratorium], exhausted_since_s: int | None
    ) -> str | None:
        """What protected a home at an instant; None: nothing."""
        hours = self.rules.protection.hours
        window = window_at(hours, (), self.zone, at_s)
        if window is not None:
            late = hours.only_if_in_credit_at_opening and exhausted_since_s is not None
            if not (late and exhausted_since_s is not None and exhausted_since_s < window.opened_s):
                return window.name
        here = (each for each in moratoria if each.covers(region) and each.from_s <= at_s < each.until_s)
        return next((f"moratorium: {each.reason}" for each in here), None)


def _most_within(times: list[int], period_s: int) -> int:
    most = first = 0
    for last, at_s in enumerate(times):
        while times[first] <= at_s - period_s:
            first += 1
        most = max(most, last - first + 1)
    return most
