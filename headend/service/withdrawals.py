"""Orders to open that are taken back: decided about once more at the moment at which they would be sent.

An order may have waited while a moratorium was declared, an outage began or money came in. What would not be
ordered any more is not sent any more.
"""

from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.case import Origin
from headend.domain.delivery import Ended
from headend.domain.evidence import Act, ActKind
from headend.domain.protection import Reason
from headend.domain.rules import Rules
from headend.service.gate import Gate
from headend.service.ports import UnitOfWork

REASON: Final = "taken back as it was about to be sent"

NOT_BY_RULE: Final = "NOT_BY_RULE"
"""The rules cut nobody by themselves any more: a head-end that was started again with other rules."""


def withdraw_opens(
    rules: Rules, zone: ZoneInfo, orders: Sequence[tuple[int, int]], uow: UnitOfWork, now_s: int
) -> set[int]:
    """Of these (meter_key, version) that are about to be sent, end those that something protects from now.

    Returns the meters' keys: nothing is to be sent for them. An order that was sent before, and may have arrived,
    cannot be ended by our word: one to close follows it, and the newest version wins whichever arrives first.
    """
    gate = Gate(rules, zone, uow, now_s)
    found = {order.meter_key: order for order in uow.open_orders(orders)}
    unsent, withdrawn, acts = [], set(), []
    for row in uow.cases(list(found)):
        order = found[row.meter_key]
        refused = gate.look(row, Origin(order.origin))
        # It is ordered open by this very order.
        reasons = [str(each) for each in refused.reasons if each is not Reason.ALREADY_OPEN] if refused else []
        if order.origin == Origin.DEBT and not rules.protection.disconnect_automatically:
            reasons.append(NOT_BY_RULE)
        if not reasons:
            continue
        withdrawn.add(row.meter_key)
        if order.attempts == 0:
            unsent.append((row.meter_key, order.version, Ended.WITHDRAWN.value))
        else:
            uow.issue_relay(row.meter.meter, "closed", REASON, None, now_s)
        basis = gate.basis(row, Origin(order.origin))
        basis |= {"refused_for": reasons, "relay_version": order.version, "attempts": order.attempts}
        acts.append(Act(now_s, "headend", ActKind.CUT_REFUSED, f"meter/{row.meter.meter}", REASON, basis))
    uow.reject_opens(unsent)
    uow.note_reconnected(withdrawn, now_s)
    uow.record_acts(acts)
    return withdrawn
