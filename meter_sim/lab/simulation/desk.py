"""The commands of people in a simulation: recharges, enquiries, orders, exceptions; the head-end's own use cases.

Each is one transaction of its own beside the process that serves, as a command line's is.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.case import Origin
from headend.service.accounts import Recharge, changed_terms, record_recharge, shown_balance
from headend.service.gate import Verdict, Wish, summary
from headend.service.orders import order_relays
from headend.service.ports import StoreError, UnitOfWork
from headend.service.tariffs import prices_at_hand
from meter_sim.lab.plant import Payment
from meter_sim.lab.scenario import ZONE
from meter_sim.lab.simulation.machine import Machine

CHUNK: Final = 1_000
"""Meters decided about in one commit."""

Answer = Mapping[str, Any]


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
        recorded = record_recharge(request, uow, self._machine.clock.now_s())
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

    def _command(self, run: Callable[[UnitOfWork], Answer]) -> Answer | None:
        """What a command answers; None: it could not."""
        if not self.is_open:
            return None
        try:
            with self._machine.command() as uow:
                return run(uow)
        except StoreError:
            return None

    def attend(self) -> list[str]:
        """See `Plant`."""
        return []
