"""The head-end's audit of itself: the four equalities and the invariants that its store can show.

E1 to E4 hold once everything has converged (design, section 2); the invariants hold at every moment. Given the
meters' own logs, what we hold is compared with what they wrote down.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from headend.domain.delivery import DeliveryKind
from headend.domain.ledger import GENESIS_HASH, chain_hash
from headend.service.audit_protection import ProtectionAudit
from headend.service.evidence import check_acts
from headend.service.ports import FleetLog, UnitOfWork

Violation = tuple[str, str]

NEEDS_FLEET_LOG: Final = "needs the meters' own logs (--fleet-log)"


@dataclass(frozen=True, slots=True)
class Check:
    """One check's result. `violations`: (subject, what is wrong). `skipped`: why it could not be made."""

    check_id: str
    title: str
    violations: list[Violation]
    skipped: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong as far as it was looked at."""
        return not self.violations


STORE_CHECKS: Final = (
    ("E1", "credits in the ledger = the meter's credit counter", "credits_reach_meter", True),
    ("E3", "desired relay version = applied version", "relay_version_applied", True),
    ("E4", "no delivery open", "no_delivery_open", True),
    ("I1", "every transfer debits and credits the same; the sum is 0", "transfers_balance", False),
    ("I2", "stored balances = fold of the transfers", "balances_fold", False),
    ("I3", "every recharge is one delivery, and the reverse", "recharge_has_delivery", False),
    ("I6", "each day is settled once, in order, by its snapshot", "energy_charged_once", False),
    ("I6", "each bill is one transfer, and the reverse", "charge_has_transfer", False),
    ("I5", "corrections take back what they name", "reversals_name_their_transfer", False),
    ("I7", "each arrears plan is what its transfers come to", "plans_hold", False),
    ("I9", "what was answered was sent, what was sent was committed", "sent_was_committed", False),
    ("I19", "no instalment is above its plan's terms", "instalments_within_terms", False),
    ("I11", "credit sequences have no gap", "sequences_have_no_gap", False),
    ("I16", "no relay reported open without an order", "relay_open_by_order", False),
    ("I12", "APPLIED only on the meter's own answer", "applied_by_the_meter", False),
)
"""(id, title, named check of the store, holds only after convergence)."""


def audit(
    uow: UnitOfWork,
    fleet_log: FleetLog | None,
    protection: ProtectionAudit | None = None,
    now_s: int = 0,
    *,
    converged: bool,
) -> list[Check]:
    """Run every check. With `converged` false those that hold only after convergence are left out.

    `protection` with the rules in force adds the checks that nobody was cut wrongly.
    """
    checks = [
        Check(check_id, title, uow.violations(name))
        for check_id, title, name, after_convergence in STORE_CHECKS
        if converged or not after_convergence
    ]
    checks.append(Check("E2", "the head-end's register = its newest reading", list(_registers_fold(uow))))
    checks.append(
        Check("I25", "the audit log's chain is whole; each act has an actor and a reason", check_acts(uow))
    )
    if protection is not None:
        checks += _check_protection(uow, fleet_log, protection, now_s, converged)
    checks.append(Check("I5", "the ledger's hash chain is whole", list(_broken_links(uow))))
    for check_id, title, look, after_convergence in LOG_CHECKS:
        if after_convergence and not converged:
            continue
        if fleet_log is None:
            checks.append(Check(check_id, title, [], NEEDS_FLEET_LOG))
        else:
            checks.append(Check(check_id, title, list(look(uow, fleet_log))))
    return sorted(checks, key=lambda check: (check.check_id[0], int(check.check_id[1:]), check.title))


def _check_protection(
    uow: UnitOfWork, fleet_log: FleetLog | None, protection: ProtectionAudit, now_s: int, converged: bool
) -> list[Check]:
    title = "no relay opened inside a protected window, by the meters' own logs"
    found = [] if fleet_log is None else list(protection.opened_inside_windows(uow, fleet_log))
    checks = [
        Check("I15", "no order to open inside a protected window", list(protection.inside_windows(uow))),
        Check("I15", title, found, NEEDS_FLEET_LOG if fleet_log is None else None),
        Check("I17", "each cut passed the gate, on debt and a fresh reading", list(protection.decided(uow))),
        Check("I18", "cuts in any 24 hours within the caps", list(protection.within_caps(uow))),
        Check("I19", "no cut before grace ends", list(protection.after_grace(uow))),
    ]
    if converged:
        given_back = list(protection.reconnected(uow, now_s))
        checks.append(Check("I20", "credit that suffices has its supply ordered back", given_back))
    return checks


def _broken_links(uow: UnitOfWork) -> Iterable[Violation]:
    """Transfers whose hash does not follow from their fields and the hash before them."""
    head = GENESIS_HASH
    for number, transfer in enumerate(uow.transfers(), start=1):
        expected = chain_hash(
            head,
            transfer.transfer_id,
            transfer.reference,
            transfer.kind,
            transfer.debit_account,
            transfer.credit_account,
            transfer.amount_micros,
            transfer.accepted_at_s,
            transfer.posted_at_s,
            transfer.corrects,
        )
        if transfer.transfer_id != number:
            yield f"transfer {transfer.transfer_id}", f"stands where transfer {number} should"
            return
        if transfer.chain_hash != expected:
            yield f"transfer {transfer.transfer_id}", f"{transfer.reference} was changed after it was posted"
        # From the stored hash, so that one changed row is one violation and not all that follow.
        head = transfer.chain_hash


def _registers_fold(uow: UnitOfWork) -> Iterable[Violation]:
    """Meters whose register is not what their readings, taken in order, lead to."""
    names: dict[int, tuple[str, int, int]] = {}
    folded: dict[int, tuple[int, int]] = {}
    exchanged_after: dict[int, int] = {}
    for meter_key, meter, seq, register_wh, _, from_wh, after_segment in uow.meter_registers():
        names[meter_key] = meter, seq, register_wh
        folded[meter_key] = 0, from_wh
        if after_segment:
            exchanged_after[meter_key] = after_segment
    for number, keys, seqs, _, registers_wh in uow.segments():
        for meter_key, seq, register_wh in zip(keys, seqs, registers_wh, strict=True):
            held_seq, held_wh = folded[meter_key]
            of_former = exchanged_after and number <= exchanged_after.get(meter_key, 0)
            if seq > held_seq and register_wh >= held_wh and not of_former:
                folded[meter_key] = seq, register_wh
    for meter_key, (meter, seq, register_wh) in names.items():
        if (seq, register_wh) != folded[meter_key]:
            folded_seq, folded_wh = folded[meter_key]
            yield (
                meter,
                f"register {register_wh} Wh at reading {seq}; its readings lead to {folded_wh} Wh at {folded_seq}",
            )


def _registers_equal(uow: UnitOfWork, log: FleetLog) -> Iterable[Violation]:
    ours = {meter: (seq, wh - offset_wh) for _, meter, seq, wh, offset_wh, *_ in uow.meter_registers()}
    exchanged = uow.devices_now()
    for meter, seq, register_wh in log.newest_readings():
        if meter in exchanged:
            continue
        held_seq, held_wh = ours.get(meter, (0, 0))
        if (held_seq, held_wh) != (seq, register_wh):
            yield (
                meter,
                f"register {register_wh} Wh at reading {seq} at the meter, {held_wh} Wh at {held_seq} here",
            )


def _counters_equal(uow: UnitOfWork, log: FleetLog) -> Iterable[Violation]:
    ours: dict[str, int] = {}
    for meter, _, total_micros, _ in uow.all_credit_totals():
        ours[meter] = max(ours.get(meter, 0), total_micros)
    exchanged = uow.devices_now()
    theirs = {meter: total_micros for meter, _, total_micros in log.credits() if meter not in exchanged}
    for meter in ours.keys() | theirs.keys():
        if ours.get(meter, 0) != theirs.get(meter, 0):
            yield (
                meter,
                f"{ours.get(meter, 0)} micros credited here, {theirs.get(meter, 0)} at the meter",
            )


def _credits_applied_once(uow: UnitOfWork, log: FleetLog) -> Iterable[Violation]:
    """Each step of a meter's counter goes up to a number of ours, with our total at that number.

    Of numbers that a lost store gave out only the meter's last one is known. A number that this store never sent
    by itself was the lost store's too, if the meter had it before: of such only the sum of all is compared.
    """
    ours, unsent = {}, set()
    for meter, seq, total_micros, attempts in uow.all_credit_totals():
        ours[meter, seq] = total_micros
        if not attempts:
            unsent.add((meter, seq))
    now, lost = uow.devices_now(), _Lost(uow)
    last: dict[str, int] = {}
    for meter, seq, total_micros in log.credits():
        step = now.get(meter, meter), seq
        our_micros = lost.total_micros(*step) if lost.has(DeliveryKind.CREDIT, *step) else ours.get(step)
        unknown = step in unsent or (our_micros is None and lost.has(DeliveryKind.CREDIT, *step))
        if seq <= last.get(meter, 0):
            yield meter, f"applied credit {seq} after credit {last[meter]}"
        elif our_micros != total_micros and not unknown:
            yield meter, f"applied credit {seq} up to {total_micros} micros; our total there is {our_micros}"
        last[meter] = max(seq, last.get(meter, 0))


class _Lost:
    """Numbers and versions that a store gave out which was lost: what they stood for cannot be compared."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._ranges: defaultdict[tuple[DeliveryKind, str], list[tuple[int, int]]] = defaultdict(list)
        self._totals: dict[tuple[str, int], int] = {}
        for meter, kind, first, last, said, total_micros in uow.all_lost_numbers():
            self._ranges[kind, meter].append((first, last))
            if total_micros is not None:
                self._totals[meter, said] = total_micros

    def has(self, kind: DeliveryKind, meter: str, number: int) -> bool:
        """Whether a meter's number is a lost one."""
        return any(first <= number <= last for first, last in self._ranges.get((kind, meter), ()))

    def total_micros(self, meter: str, number: int) -> int | None:
        """The credit total at a lost number; None: not known."""
        return self._totals.get((meter, number))


def _relays_moved_by_order(uow: UnitOfWork, log: FleetLog) -> Iterable[Violation]:
    """No relay moved but on an order of ours, and none opened after the order had expired."""
    orders = {(meter, version): (relay, expires) for meter, version, relay, expires in uow.all_relay_orders()}
    now, lost = uow.devices_now(), _Lost(uow)
    for meter, version, relay, at_s in log.relays():
        if lost.has(DeliveryKind.RELAY, now.get(meter, meter), version):
            continue
        ordered, expires_at_s = orders.get((now.get(meter, meter), version), (None, None))
        if ordered != relay:
            yield meter, f"relay went {relay} by version {version}; ordered was {ordered or 'nothing'}"
        elif expires_at_s is not None and at_s > expires_at_s:
            yield meter, f"relay went {relay} by version {version} at {at_s}, which expired at {expires_at_s}"


LOG_CHECKS: Final = (
    ("E1", "the meter's own credit counter = ours", _counters_equal, True),
    ("E2", "the meter's own register = ours", _registers_equal, True),
    ("I10", "each credit applied once, in order, with our total", _credits_applied_once, False),
    ("I16", "no relay moved without an order in force", _relays_moved_by_order, False),
)
"""(id, title, comparison with the meters' logs, holds only after convergence)."""
