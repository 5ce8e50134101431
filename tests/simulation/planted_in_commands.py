"""Bugs on the way of commands to the meters, in the head-end and in the meters: I9 to I14, I16, I22."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from planted_bug import Bug, change_statement, without_checks

from headend.adapters.sqlite_rows import SqliteUnitOfWork
from headend.domain.delivery import DeliveryKind
from headend.domain.ledger import Transfer
from headend.domain.reconcile import HeadendView, MeterView
from headend.service import answers
from headend.service.dispatch import Dispatch
from headend.service.ports import UnitOfWork
from headend.service.rows import MeterAccount, OpenDelivery
from headend.service.server import Headend
from headend.wire.messages import RelayCommand, RelayPosition
from meter_sim import orders
from meter_sim.core import FleetCore
from meter_sim.meter import Answer, Meter
from meter_sim.session import State
from meter_sim.traffic import Out

SILENT_S: Final = 3_600

# --- on the wire and in the store --------------------------------------------------------------------------


def sent_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Commands go out as they are chosen; the commit follows."""
    step = Dispatch.step

    def stepped(dispatch: Dispatch, uow: UnitOfWork, now_s: int, monotonic_s: float) -> list[Any]:
        link = dispatch.link  # type: ignore[attr-defined]
        link.send(step(dispatch, uow, now_s, monotonic_s), now_s)
        return []

    begin = Headend.__init__

    def begun(headend: Headend, *parts: Any) -> None:
        begin(headend, *parts)
        headend._dispatch.link = headend._link  # type: ignore[attr-defined]

    patch.setattr(Headend, "__init__", begun)
    patch.setattr(Dispatch, "step", stepped)


def sent_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """The store is told that a credit was sent when it is answered."""
    mark = SqliteUnitOfWork.mark_sent

    def marked(uow: SqliteUnitOfWork, deliveries: Sequence[OpenDelivery], now_s: int) -> None:
        mark(uow, [each for each in deliveries if each.kind is not DeliveryKind.CREDIT], now_s)

    patch.setattr(SqliteUnitOfWork, "mark_sent", marked)


# --- credit counters ---------------------------------------------------------------------------------------


def repeated_credit_counted(patch: pytest.MonkeyPatch) -> None:
    """A meter adds what comes, also what it has added before."""

    def apply(meter: Meter, seq: int, credit_total_micros: int) -> Answer:
        total_micros = max(meter.credit_total_micros + 1, credit_total_micros)
        return Answer(
            replace(meter, credit_seq=max(seq, meter.credit_seq), credit_total_micros=total_micros), changed=True
        )

    patch.setattr(orders, "apply_credit", apply)


def last_credit_dropped(patch: pytest.MonkeyPatch) -> None:
    """A hello names the last credit that a meter has; it is taken for the next one, which then is never sent."""
    compare = answers.reconcile

    def compared(theirs: MeterView, ours: HeadendView, *rest: Any) -> Any:
        return compare(replace(theirs, credit_seq=min(theirs.credit_seq + 1, ours.credit_seq)), ours, *rest)

    patch.setattr(answers, "reconcile", compared)


def number_skipped(patch: pytest.MonkeyPatch) -> None:
    """A meter's second credit gets number 3."""
    issue = SqliteUnitOfWork.issue_credit

    def issued(uow: SqliteUnitOfWork, account: MeterAccount, transfer: Transfer) -> int:
        gap = account.credit_seq == 1
        return issue(uow, replace(account, credit_seq=account.credit_seq + gap), transfer)

    patch.setattr(SqliteUnitOfWork, "issue_credit", issued)


def number_reused(patch: pytest.MonkeyPatch) -> None:
    """Numbers go on from what the meter has applied: what is on its way loses its number to the next one."""
    change_statement(
        patch, "add_credit_delivery", "VALUES (?, 'CREDIT', ?, ?, ?, ?, ?)",
        "VALUES (?, 'CREDIT', ?, ?, ?, ?, ?) ON CONFLICT (meter_key, kind, seq) DO UPDATE SET"
        " transfer_id = excluded.transfer_id, amount_micros = excluded.amount_micros,"
        " credit_total_micros = excluded.credit_total_micros, state = 'QUEUED'",
    )  # fmt: skip
    issue = SqliteUnitOfWork.issue_credit

    def issued(uow: SqliteUnitOfWork, account: MeterAccount, transfer: Transfer) -> int:
        query = "SELECT applied_credit_seq FROM meter WHERE meter_key = ?"
        (applied,) = uow._connection.execute(query, (account.meter_key,)).fetchone()
        return issue(uow, replace(account, credit_seq=applied), transfer)

    patch.setattr(SqliteUnitOfWork, "issue_credit", issued)


def applied_when_sent(patch: pytest.MonkeyPatch) -> None:
    """What is on the wire counts as applied."""
    change_statement(patch, "send", "state = 'SENT'", "state = 'APPLIED', applied_at_s = ?4")


def silence_is_an_answer(patch: pytest.MonkeyPatch) -> None:
    """A command that is not answered in time was probably carried out."""
    change_statement(patch, "requeue", "state = 'QUEUED'", "state = 'APPLIED', applied_at_s = sent_at_s")


def credits_expire(patch: pytest.MonkeyPatch) -> None:
    """A credit that waited for an hour is given up."""
    without_checks(patch)
    change_statement(
        patch, "expire_unsent_relays", "kind = 'RELAY' AND state = 'QUEUED' AND attempts = 0 AND expires_at_s < ?",
        "state = 'QUEUED' AND attempts = 0 AND (expires_at_s < ?1 OR kind = 'CREDIT' AND queued_at_s < ?1 - 3600)",
    )  # fmt: skip


def orders_never_expire(patch: pytest.MonkeyPatch) -> None:
    """An order to open that waited too long is sent all the same, and the meter does not look at its time."""
    change_statement(patch, "expire_unsent_relays", "attempts = 0", "attempts < 0")
    apply = orders.apply_relay

    def applied(meter: Meter, version: int, opens: bool, expires_at_s: int | None, *rest: int) -> Answer:
        return apply(meter, version, opens, None, *rest)

    patch.setattr(orders, "apply_relay", applied)


# --- sending -----------------------------------------------------------------------------------------------


def one_holds_up_all(patch: pytest.MonkeyPatch) -> None:
    """One queue for all: while its head cannot be reached, nothing behind it is sent."""
    look_at, online = Dispatch._look_at, Dispatch.gateway_online

    def looked_at(dispatch: Dispatch, gateway_key: int) -> None:
        blocked = [
            key
            for key, each in dispatch._gateways.items()
            if key not in dispatch._online and any(each.waiting.values())
        ]
        if blocked:
            dispatch._ready.clear()
        else:
            look_at(dispatch, gateway_key)

    def came_online(dispatch: Dispatch, gateway_key: int) -> None:
        online(dispatch, gateway_key)
        for key in list(dispatch._gateways):
            looked_at(dispatch, key)

    patch.setattr(Dispatch, "_look_at", looked_at)
    patch.setattr(Dispatch, "gateway_online", came_online)


def never_sent_again(patch: pytest.MonkeyPatch) -> None:
    """A time-out is noted, and nothing follows from it."""

    def timed_out(dispatch: Dispatch, uow: UnitOfWork, monotonic_s: float) -> None:
        while dispatch._deadlines and dispatch._deadlines[0][0] <= monotonic_s:
            dispatch._deadlines.popleft()

    patch.setattr(Dispatch, "_time_out", timed_out)


def sent_forgotten_at_restart(patch: pytest.MonkeyPatch) -> None:
    """A head-end that starts takes up what is queued, and leaves what was on its way."""
    change_statement(patch, "requeue_all", "state = 'SENT'", "state = 'NONE'")
    for name in ("open_lanes_after", "open_lanes_of_gateway", "newest_open"):
        change_statement(patch, name, "d.state IN ('QUEUED', 'SENT')", "d.state = 'QUEUED'")


def policies_never_sent(patch: pytest.MonkeyPatch) -> None:
    """Policies wait in the queue for ever."""
    change_statement(patch, "newest_open", "d.state IN ('QUEUED', 'SENT')",
                     "d.state IN ('QUEUED', 'SENT') AND d.kind <> 'POLICY'")  # fmt: skip


# --- relays ------------------------------------------------------------------------------------------------


def replaced_order_sent(patch: pytest.MonkeyPatch) -> None:
    """Orders for a relay go out one after the other, oldest first, also those that a newer one replaced."""
    change_statement(patch, "supersede_unsent_relays", "attempts = 0", "attempts < 0")
    oldest = (
        "(d.kind <> 'RELAY' OR d.seq = (SELECT min(o.seq) FROM delivery AS o WHERE o.meter_key = d.meter_key"
        " AND o.kind = 'RELAY' AND o.state IN ('QUEUED', 'SENT')))"
    )
    change_statement(patch, "newest_open", "WHERE NOT EXISTS", f"WHERE {oldest} AND NOT EXISTS")


def opens_when_alone(patch: pytest.MonkeyPatch) -> None:
    """A meter that has heard nothing for an hour opens its relay, to be on the safe side."""
    step = FleetCore.step
    lost_at_s: dict[int, float] = {}

    def stepped(core: FleetCore, now_s: int, monotonic_s: float, events: Any = ()) -> list[Out]:
        outs = step(core, now_s, monotonic_s, events)
        for gateway, session in enumerate(core.sessions):
            if session.state is State.REPORTING:
                lost_at_s.pop(gateway, None)
            elif monotonic_s - lost_at_s.setdefault(gateway, monotonic_s) > SILENT_S:
                core._log.append([], [], list(_opened(core, gateway, now_s)))
        return outs

    patch.setattr(FleetCore, "step", stepped)


def _opened(core: FleetCore, gateway: int, now_s: int) -> Sequence[Any]:
    found = []
    for row in core.plan.rows(gateway):
        meter = core.columns.meter(row)
        if not meter.relay_open:
            command = RelayCommand(
                meter=core._meter_ids[row],
                version=meter.relay_version + 1,
                relay=RelayPosition.OPEN,
                issued_at_s=now_s,
                expires_at_s=now_s + SILENT_S,
            )
            number = core.plan.first_number + row
            found.append(orders.carry_out(command, None, {}, core.columns, row, number, now_s)[1])
    return [each for each in found if each is not None]


COMMANDS: Final = (
    Bug("sent before the commit", "I9", "cuts", sent_before_commit, "on the wire"),
    Bug("sent without a word", "I9", "ordinary", sent_without_a_word, "committed as sent at"),
    Bug("repeated credit counted", "I10", "ordinary", repeated_credit_counted, "counted after"),
    Bug("last credit dropped", "I10", "away", last_credit_dropped, "the meter stands at credit"),
    Bug("number skipped", "I11", "away", number_skipped, "comes next"),
    Bug("number reused", "I11", "ordinary", number_reused, "credit"),
    Bug("applied when sent", "I12", "ordinary", applied_when_sent, "the meter"),
    Bug("silence is an answer", "I12", "ordinary", silence_is_an_answer, "the meter"),
    Bug("credits expire", "I13", "ordinary", credits_expire, "dropped (EXPIRED)"),
    Bug("orders never expire", "I13", "ordinary", orders_never_expire, "by an order that had expired"),
    Bug("one holds up all", "I14", "away", one_holds_up_all, "accepted at"),
    Bug("opens when alone", "I16", "away", opens_when_alone, "no such order"),
    Bug("replaced order sent", "I16", "orders", replaced_order_sent, "replaced at"),
    Bug("never sent again", "I22", "ordinary", never_sent_again, "still SENT"),
    Bug("sent forgotten at restart", "I22", "ordinary", sent_forgotten_at_restart, "still SENT"),
    Bug("policies never sent", "I22", "cuts", policies_never_sent, "policy 1 still QUEUED"),
)
