"""The commands of people in a simulation: recharges, enquiries, orders, exceptions; the head-end's own use cases.

Each is one transaction of its own beside the process that serves, as a command line's is.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.case import Origin
from headend.domain.exception_kind import ExceptionKind
from headend.service.accounts import Recharge, changed_terms, shown_balance
from headend.service.gate import Verdict, Wish, summary
from headend.service.manual_readings import EntryOutcome, ManualReading, enter_reading
from headend.service.orders import order_relays
from headend.service.ports import StoreError, UnitOfWork
from headend.service.recharges import take_recharge
from headend.service.resolutions import Outcome, Resolution, resolve_page
from headend.service.tariffs import prices_at_hand
from meter_sim.lab.clerk import AHEAD, midnights
from meter_sim.lab.plant import Payment
from meter_sim.lab.scenario import ZONE
from meter_sim.lab.simulation.machine import Machine

CHUNK: Final = 1_000
"""Meters decided about in one commit."""

CLERK: Final = "clerk"

Answer = Mapping[str, Any]
_T = TypeVar("_T")


class Desk:
    """Where people ask. An answer is None where the command died: nobody knows whether it was done."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._rules = machine.settings.rules
        self._zone = ZoneInfo(ZONE)
        self.is_open = True
        self.recharges_accepted = 0

    def recharge(self, payment: Payment) -> Answer | None:
        """See `Plant`."""
        return self._command(lambda uow: self.record(payment, uow))

    def record(self, payment: Payment, uow: UnitOfWork) -> Answer:
        """Record a recharge in a transaction that is open."""
        request = Recharge(payment.meter, payment.amount_micros, payment.reference)
        recorded = take_recharge(request, self._rules, self._zone, uow, self._machine.clock.now_s())
        self.recharges_accepted += recorded.outcome == "RECORDED"
        content = {"outcome": str(recorded.outcome), "meter": payment.meter, "reference": payment.reference}
        if recorded.transfer is not None:
            transfer = recorded.transfer
            return content | {"transfer_id": transfer.transfer_id, "accepted_at_s": transfer.accepted_at_s}
        return content

    def enquire(self, meter: str) -> Answer | None:
        """See `Plant`."""
        return self._command(lambda uow: self._balance(meter, uow))

    def _balance(self, meter: str, uow: UnitOfWork) -> Answer:
        row, now_s = uow.meter_row(meter), self._machine.clock.now_s()
        assert row is not None, meter
        prices = prices_at_hand(self._rules.tariff, uow)
        shown = shown_balance(row, prices, day_of(now_s, self._zone), self._zone, changed_terms(row, uow))
        stale = shown.as_of_s is None or now_s - shown.as_of_s > self._machine.settings.silent_after_s
        return {
            "outcome": "SHOWN",
            "meter": meter,
            "balance_micros": shown.shown_micros,
            "as_of_s": shown.as_of_s,
            "stale": stale,
        }

    def order_relay(self, meter: str, position: str, reason: str) -> Answer | None:
        """See `Plant`."""
        rules = self._rules if position == "open" else None

        def order(uow: UnitOfWork) -> Answer:
            wish = Wish("operator", Origin.ORDER, reason)
            (decision,) = order_relays([meter], wish, rules, self._zone, uow, self._machine.clock.now_s())
            issued = decision.verdict is Verdict.ISSUED
            return {"outcome": "ORDERED" if issued else "REFUSED", "version": decision.relay_version}

        return self._command(order)

    def order_cut(self, meters: Sequence[str], actor: str, reason: str) -> Answer | None:
        """See `Plant`."""
        counts: Counter[str] = Counter()
        for first in range(0, len(meters), CHUNK):

            def order(uow: UnitOfWork, some: Sequence[str] = meters[first : first + CHUNK]) -> Answer:
                wish, now_s = Wish(actor, Origin.ORDER, reason), self._machine.clock.now_s()
                return summary(order_relays(some, wish, self._rules, self._zone, uow, now_s))

            counts.update(self._command(order) or {})
        verdicts = {str(verdict): counts.pop(verdict, 0) for verdict in Verdict}
        return {"outcome": "ANSWERED", "counts": verdicts, "reasons": dict(counts)}

    def _command(self, run: Callable[[UnitOfWork], _T]) -> _T | None:
        """What a command answers; None: it could not."""
        if not self.is_open:
            return None
        try:
            with self._machine.command() as uow:
                return run(uow)
        except StoreError:
            return None

    def attend(self, fleet_log: Path) -> list[str]:
        """What a person does who follows the list of exceptions, and can read meters; what was done."""
        return self._command(lambda uow: self._attend(uow, fleet_log)) or []

    def _attend(self, uow: UnitOfWork, fleet_log: Path) -> list[str]:
        now_s, did = self._machine.clock.now_s(), []
        rows = uow.exceptions(None, CHUNK)
        kinds = {row.kind for row in rows}
        for kind in [kind for kind in AHEAD if kind in kinds]:
            done = _resolve_all(ExceptionKind(kind), uow, now_s)
            did += [f"{kind} of {each.meter} resolved" for each in done if each.outcome is Outcome.RESOLVED]
        today = day_of(now_s, self._zone)
        for meter in [row.meter for row in rows if row.kind == ExceptionKind.DAY_NOT_SETTLED]:
            found = uow.meter_row(meter)
            assert found is not None, "an exception is of a registered meter"
            first = date.fromordinal(found.settled_day + 1)
            for day, register_wh in midnights(fleet_log, meter, first, self._zone):
                reading = ManualReading(meter, day.toordinal(), None, register_wh)
                entry = enter_reading(reading, today, CLERK, "read from the meter's memory", uow, now_s)
                did += [f"{day} of {meter} entered"] if entry.outcome is EntryOutcome.ENTERED else []
        return did


def _resolve_all(kind: ExceptionKind, uow: UnitOfWork, now_s: int) -> list[Resolution]:
    """What `headend exceptions resolve-all` does; in one commit, which is short enough here."""
    done: list[Resolution] = []
    after: int | None = 0
    while after is not None:
        page, after = resolve_page(kind, None, after, CLERK, "an old backup is the store", uow, now_s)
        done += page
    return done
