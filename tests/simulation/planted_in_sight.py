"""Bugs that are seen from outside: balances shown, load, repeatability, acts without a name: I21 to I25."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from planted_bug import Bug

from headend.adapters import memory, sqlite_evidence
from headend.adapters.sqlite_evidence import SqliteEvidenceRows
from headend.adapters.sqlite_rows import SqliteUnitOfWork
from headend.domain.account import Balance
from headend.domain.evidence import Act, ActKind
from headend.service import accounts
from headend.service.dispatch import Dispatch
from headend.service.ports import UnitOfWork
from headend.service.server import Headend
from meter_sim.lab.simulation import plant as simulated

FOR_EVER_S: Final = 10_000_000
PAUSE_S: Final = 3_600.0
KEPT_BYTES: Final = 96 * 1024


def never_stale(patch: pytest.MonkeyPatch) -> None:
    """A balance is shown as if it were fresh, however old it is."""
    settings_of = simulated.settings_of
    patch.setattr(simulated, "settings_of", lambda *parts: replace(settings_of(*parts), silent_after_s=FOR_EVER_S))


def older_reading_shown(patch: pytest.MonkeyPatch) -> None:
    """The reading that came last is the newest."""
    update = (
        "UPDATE register SET reading_seq = ?2, read_at_s = ?3, register_wh = ?4, relay_open = ?5"
        " WHERE meter_key = ?1"
    )

    def advanced(uow: Any, rows: Sequence[Any], *rest: Any, **details: Any) -> bool:
        uow._connection.executemany(update, rows)
        return True

    patch.setattr(SqliteUnitOfWork, "advance_registers", advanced)


def use_of_today_not_shown(patch: pytest.MonkeyPatch) -> None:
    """What is shown is what is posted."""
    derive = accounts.derive_balance

    def derived(*parts: Any, **details: Any) -> Balance:
        return replace(derive(*parts, **details), unsettled_micros=0)

    patch.setattr(accounts, "derive_balance", derived)


def slow_for_ever(patch: pytest.MonkeyPatch) -> None:
    """After the first time-out commands go out once an hour, and that is never taken back."""
    time_out, step, has_work = Dispatch._time_out, Dispatch.step, Dispatch.has_work
    next_deadline_s = Dispatch.next_deadline_s
    slow: dict[int, float] = {}

    def timed_out(dispatch: Dispatch, uow: UnitOfWork, monotonic_s: float) -> None:
        before = sum(len(each.late) for each in dispatch._gateways.values())
        time_out(dispatch, uow, monotonic_s)
        if sum(len(each.late) for each in dispatch._gateways.values()) > before:
            slow.setdefault(0, monotonic_s + PAUSE_S)

    def stepped(dispatch: Dispatch, uow: UnitOfWork, now_s: int, monotonic_s: float) -> list[Any]:
        if monotonic_s < slow.get(0, 0.0):
            return []
        if slow:
            slow[0] = monotonic_s + PAUSE_S
        return step(dispatch, uow, now_s, monotonic_s)

    def has(dispatch: Dispatch, monotonic_s: float) -> bool:
        return monotonic_s >= slow.get(0, 0.0) and has_work(dispatch, monotonic_s)

    def next_s(dispatch: Dispatch) -> float | None:
        deadline_s = next_deadline_s(dispatch)
        return slow.get(0) if deadline_s is None else max(deadline_s, slow.get(0, 0.0))

    patch.setattr(Dispatch, "next_deadline_s", next_s)
    patch.setattr(Dispatch, "_time_out", timed_out)
    patch.setattr(Dispatch, "step", stepped)
    patch.setattr(Dispatch, "has_work", has)


def everything_kept(patch: pytest.MonkeyPatch) -> None:
    """Every message is kept for whoever might want to look at it one day."""
    take = Headend._take_messages

    def taken(headend: Headend, messages: Any, uow: Any, now_s: int) -> list[Any]:
        connection = uow._connection
        connection.execute("CREATE TABLE IF NOT EXISTS kept (message BLOB)")
        connection.executemany("INSERT INTO kept VALUES (zeroblob(?))", [(KEPT_BYTES,)] * len(messages))
        return take(headend, messages, uow, now_s)

    patch.setattr(Headend, "_take_messages", taken)


def commands_in_any_order(patch: pytest.MonkeyPatch) -> None:
    """Commands go out as they come out of a set, in an order that differs from run to run."""
    step = Dispatch.step

    def stepped(dispatch: Dispatch, uow: UnitOfWork, now_s: int, monotonic_s: float) -> list[Any]:
        salt = os.urandom(8)
        return sorted(step(dispatch, uow, now_s, monotonic_s), key=lambda command: hash((salt, command.meter)))

    patch.setattr(Dispatch, "step", stepped)


def own_clock_on_the_wire(patch: pytest.MonkeyPatch) -> None:
    """Messages are stamped with the time of the machine, not with that of the run."""
    publications = memory.publications

    def stamped(outgoing: Any, now_s: int, ring: Any) -> Any:
        return publications(outgoing, now_s + time.perf_counter_ns() % 1_000, ring)

    patch.setattr(memory, "publications", stamped)


def _changed_acts(patch: pytest.MonkeyPatch, change: Any) -> None:
    record = SqliteEvidenceRows.record_acts

    def recorded(rows: SqliteEvidenceRows, acts: Sequence[Act]) -> None:
        record(rows, [each for each in map(change, acts) if each is not None])

    patch.setattr(SqliteEvidenceRows, "record_acts", recorded)


def act_without_actor(patch: pytest.MonkeyPatch) -> None:
    """Acts of the software are nobody's."""
    _changed_acts(patch, lambda act: replace(act, actor=" ") if act.actor == "headend" else act)


def cut_without_act(patch: pytest.MonkeyPatch) -> None:
    """Cuts are no longer written into the audit log, to save space."""
    _changed_acts(patch, lambda act: None if act.kind is ActKind.CUT else act)


def acts_not_chained(patch: pytest.MonkeyPatch) -> None:
    """The hash of an act is that of its own fields."""
    link = sqlite_evidence.act_hash
    patch.setattr(sqlite_evidence, "act_hash", lambda previous, *fields: link(bytes(32), *fields))


SIGHT: Final = (
    Bug("never stale", "I21", "ordinary", never_stale, "not marked stale"),
    Bug("older reading shown", "I21", "ordinary", older_reading_shown, "was shown"),
    Bug("use of today not shown", "I21", "away", use_of_today_not_shown, "micros shown as of"),
    Bug("slow for ever", "I23", "ordinary", slow_for_ever, "after healing"),
    Bug("everything kept", "I23", "away", everything_kept, "the store grew to"),
    Bug("commands in any order", "I24", "twice", commands_in_any_order, " and "),
    Bug("own clock on the wire", "I24", "twice", own_clock_on_the_wire, " and "),
    Bug("act without an actor", "I25", "cuts", act_without_actor, "by ' '"),
    Bug("cut without an act", "I25", "cuts", cut_without_act, "no act says who and why"),
    Bug("acts not chained", "I25", "cuts", acts_not_chained, "does not fit"),
)
