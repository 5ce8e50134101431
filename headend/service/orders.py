"""Orders for relays by people: to open they pass the gate, to close they are never refused."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from headend.domain.evidence import Act, ActKind
from headend.domain.rules import Rules
from headend.service.accounts import order_closed
from headend.service.gate import Decision, Gate, Verdict, Wish
from headend.service.ports import UnitOfWork


def order_relays(
    meters: Sequence[str], wish: Wish, rules: Rules | None, zone: ZoneInfo, uow: UnitOfWork, now_s: int
) -> list[Decision]:
    """Open registered meters by these rules, or (None) close them: a decision each, in order."""
    keys = {meter: key for meter, key, _ in uow.meter_keys(meters)}
    if rules is not None:
        gate = Gate(rules, zone, uow, now_s)
        return gate.decide(uow.cases([keys[meter] for meter in meters]), wish)
    decisions, acts = [], []
    for meter in meters:
        version = order_closed(meter, wish.reason, uow, now_s)
        decisions.append(Decision(keys[meter], meter, Verdict.ISSUED, relay_version=version))
        basis = {"relay_version": version}
        acts.append(Act(now_s, wish.actor, ActKind.RECONNECTED, f"meter/{meter}", wish.reason, basis))
    uow.note_reconnected(keys.values(), now_s)
    uow.record_acts(acts)
    return decisions
