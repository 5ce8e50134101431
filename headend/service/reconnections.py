"""Supply given back: at once when credit suffices again, whatever else is going on."""

import json
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from headend.domain.calendar import day_of
from headend.domain.evidence import Act, ActKind
from headend.domain.reconnection import reconnect
from headend.domain.rules import Rules
from headend.domain.tariff_book import NoPrice
from headend.service.accounts import changed_terms, shown_balance
from headend.service.ports import UnitOfWork
from headend.service.tariffs import prices_at_hand

RECONNECT_LIMIT: Final = 500
"""Most homes without supply that one step looks at."""

REASON: Final = "credit suffices again"


def reconnect_after_recharge(meter_key: int, rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int) -> bool:
    """In the commit of a recharge: order the supply back if it suffices; whether it did.

    A home that an operator had cut is the operator's to reconnect, unless the rules allow cuts for debt only.
    """
    cut = uow.lasting_cut(meter_key, ordered=rules.protection.debt_only)
    return cut is not None and _reconnect([(meter_key, *cut)], rules, zone, uow, now_s) > 0


def reconnect_homes(rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int, after_meter_key: int) -> int | None:
    """Look at a page of homes cut for debt; the key to go on after, None: all were seen.

    For whatever else than a recharge makes credit suffice: a correction, a plan, other rules.
    """
    cuts = uow.lasting_cuts(after_meter_key, RECONNECT_LIMIT, ordered=rules.protection.debt_only)
    _reconnect(cuts, rules, zone, uow, now_s)
    return cuts[-1][0] if len(cuts) == RECONNECT_LIMIT else None


def _reconnect(
    cuts: Sequence[tuple[int, int, str]], rules: Rules, zone: ZoneInfo, uow: UnitOfWork, now_s: int
) -> int:
    if not cuts:
        return 0
    prices, today = prices_at_hand(rules.tariff, uow), day_of(now_s, zone)
    rows = {row.meter_key: row for row in uow.cases([key for key, _, _ in cuts])}
    closed, acts = [], []
    for meter_key, number, basis_text in cuts:
        row, basis = rows[meter_key], json.loads(basis_text)
        if not row.relay_ordered_open:
            # The order to open ended without effect, or somebody ordered the supply back by hand.
            uow.note_reconnected([meter_key], now_s)
            continue
        try:
            changed = changed_terms(row.meter, uow)
            balance_micros = shown_balance(row.meter, prices, today, zone, changed).shown_micros
        except NoPrice:
            # What is used and cannot be priced is no reason to keep a home without supply.
            balance_micros = row.meter.credits_micros - row.meter.debits_micros
        found = reconnect(
            rules.protection.reconnection,
            balance_micros=balance_micros,
            dues_micros=-basis["balance_micros"],
            paid_micros=row.meter.credits_micros - basis["credits_micros"],
            now_s=now_s,
        )
        if found is None:
            continue
        version = uow.issue_relay(row.meter.meter, "closed", REASON, None, now_s)
        closed.append(meter_key)
        if found.no_cut_before_s is not None:
            uow.promise(meter_key, found.no_cut_before_s)
        kept = {"balance_micros": balance_micros, "disconnection": number, "relay_version": version}
        kept |= {"no_cut_before_s": found.no_cut_before_s or 0}
        subject = f"meter/{row.meter.meter}"
        acts.append(Act(now_s, "headend", ActKind.RECONNECTED, subject, REASON, kept))
    uow.note_reconnected(closed, now_s)
    uow.record_acts(acts)
    return len(closed)
