"""Bugs by which homes are cut wrongly, or left without supply: I15 to I20."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from planted_bug import Bug
from planted_stages import other_rules

from headend.domain import protection
from headend.domain.caps import Caps
from headend.domain.case import Case, Origin
from headend.domain.protected_hours import ProtectedHours
from headend.domain.protection import OVER, Reason
from headend.service import protect, quarantine, reconnections
from headend.service.gate import Gate, Verdict, Wish
from headend.service.ports import UnitOfWork
from headend.service.ports.protection import CaseRow
from headend.service.upkeep import Upkeep

SILENT_S: Final = 4 * 3_600


def _forget(patch: pytest.MonkeyPatch, *reasons: Reason) -> None:
    """Reasons against a cut that are not asked for."""
    for reason in reasons:
        patch.setitem(protection._CHECKS, reason, lambda case, rules, at: OVER)


def cut_at_any_hour(patch: pytest.MonkeyPatch) -> None:
    """Rules without nights, Sundays and holidays; the meters get a policy to match."""
    other_rules(patch, lambda rules: replace(rules, protection=replace(rules.protection, hours=ProtectedHours())))


def no_grace_after_outage(patch: pytest.MonkeyPatch) -> None:
    """An outage is over when it is over: cuts go on at once."""

    def change(rules: Any) -> Any:
        arrears, recovery = replace(rules.arrears, auto_after_outage=False), replace(rules.recovery, grace_s=0)
        return replace(rules, arrears=arrears, recovery=recovery)

    other_rules(patch, change)


def cut_when_silent(patch: pytest.MonkeyPatch) -> None:
    """A home that nobody has heard of for hours is cut, until it reports again."""
    begin = Upkeep.begin_round
    query = (
        "SELECT m.meter FROM meter AS m JOIN register AS r USING (meter_key)"
        " WHERE r.read_at_s < ? AND m.relay_version = 0"
    )

    def begun(upkeep: Upkeep, uow: Any, now_s: int) -> None:
        begin(upkeep, uow, now_s)
        for (meter,) in uow._connection.execute(query, (now_s - SILENT_S,)).fetchall():
            uow.issue_relay(meter, "open", "no contact", now_s + SILENT_S, now_s)

    patch.setattr(Upkeep, "begin_round", begun)


def cut_by_old_reading(patch: pytest.MonkeyPatch) -> None:
    """The newest reading counts, however old it is."""
    _forget(patch, Reason.STALE_READING, Reason.PROVISIONAL_BALANCE, Reason.EXCEPTION_OPEN)


def cut_in_credit(patch: pytest.MonkeyPatch) -> None:
    """Who is on an operator's list is cut; nobody looks at the balance."""
    _forget(patch, Reason.IN_CREDIT)


def recharge_on_its_way_ignored(patch: pytest.MonkeyPatch) -> None:
    """A recharge counts when the meter has it."""
    look = Gate.case

    def case(gate: Gate, row: CaseRow, origin: Origin) -> Case:
        found, meter = look(gate, row, origin), row.meter
        waiting_micros = meter.credit_total_micros - meter.applied_credit_total_micros
        return replace(found, unsettled_recharges=0, balance_micros=found.balance_micros - waiting_micros)

    patch.setattr(Gate, "case", case)
    patch.setattr(reconnections, "reconnect_after_recharge", lambda *parts: False)
    _forget(patch, Reason.GRACE)


def caps_not_counted(patch: pytest.MonkeyPatch) -> None:
    """Every cut is the first one."""
    patch.setattr(Caps, "take", lambda caps, region, feeder: None)


def released_by_who_asked(patch: pytest.MonkeyPatch) -> None:
    """What went into quarantine is released at once, by whoever put it there."""
    keep = Gate._keep
    patch.setattr(quarantine, "is_own", lambda wish, actor: False)

    def kept(gate: Gate, decided: Sequence[Any], wish: Wish) -> None:
        keep(gate, decided, wish)
        if any(decision.verdict is Verdict.QUARANTINED for decision, _ in decided):
            _release_all(gate._uow, wish.actor, gate._now_s)

    patch.setattr(Gate, "_keep", kept)


def _release_all(uow: UnitOfWork, actor: str, now_s: int) -> None:
    numbers = [wish.disconnection_id for wish in uow.waiting("QUARANTINED", 0, 1_000)]
    quarantine.release(numbers, actor, "urgent", uow, now_s)


def cut_without_grace(patch: pytest.MonkeyPatch) -> None:
    """A home is cut on the first day on which it may be, not after the grace."""
    other_rules(patch, lambda rules: replace(rules, protection=replace(rules.protection, grace_s=0)))


def nobody_told(patch: pytest.MonkeyPatch) -> None:
    """A cut is announced to the head-end itself, and to nobody else."""

    def announced(cuts: Any, uow: UnitOfWork, now_s: int) -> None:
        uow.note_cut_announced(list(cuts))

    patch.setattr(protect, "announce_cuts", announced)


def supply_not_given_back(patch: pytest.MonkeyPatch) -> None:
    """A recharge after a cut is money, and nothing else."""
    patch.setattr(reconnections, "reconnect", lambda *parts, **details: None)


PROTECTION: Final = (
    Bug("cut at any hour", "I15", "cuts", cut_at_any_hour, "in protected time"),
    Bug("no grace after an outage", "I19", "cuts", no_grace_after_outage, "in the grace after an outage"),
    Bug("cut when silent", "I17", "cuts", cut_when_silent, "nothing says why"),
    Bug("cut by an old reading", "I17", "cuts", cut_by_old_reading, "by a reading of"),
    Bug("cut in credit", "I17", "cuts", cut_in_credit, "micros left"),
    Bug(
        "recharge on its way ignored",
        "I17",
        "cuts",
        recharge_on_its_way_ignored,
        "by the meter and the receipts it was",
    ),
    Bug("caps not counted", "I18", "caps", caps_not_counted, "the cap is 2"),
    Bug("released by who asked", "I18", "caps", released_by_who_asked, "who had asked for it"),
    Bug("cut without grace", "I19", "cuts", cut_without_grace, "hours after its credit ended"),
    Bug("nobody told", "I19", "cuts", nobody_told, "not told in time"),
    Bug("supply not given back", "I20", "cuts", supply_not_given_back, "never"),
)
