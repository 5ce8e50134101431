"""Whether anybody was cut off wrongly: every opening of a relay held to `promises`, by the meters' own logs.

Knows nothing of how the head-end decides. What counts is when the relay opened by true time, and what the home
had, was promised and was told then.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from meter_sim.lab.accounts import Account, Debt
from meter_sim.lab.evidence import Evidence, Move
from meter_sim.lab.promises import Promises

Spans = Sequence[tuple[int, int]]
"""[from, to) in virtual seconds."""

NOON: Final = 12
FOR_EVER_S: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Cuts:
    """What the judge found. `wrong`: each wrong cut in words. The others: how many, or which homes."""

    wrong: list[str]
    before_outage: int
    after_grace: int
    back_after_outage: list[int]
    """For homes cut before it: how long after the outage's end, in seconds, their supply came back."""
    left_dark: list[str]
    """Homes in credit at the end, and without supply."""
    at_zero_in_outage: int
    """Homes without credit at some time of an outage."""
    spared: int
    """Homes that any ordinary day would have cut: in debt, out of grace, at noon of a holiday."""


def judge_cuts(evidence: Evidence, promises: Promises, accounts: dict[str, Account], outages: Spans) -> Cuts:
    """Look at every opening that the driver did not order, and at the homes that were spared."""
    debts = {meter: account.debts() for meter, account in accounts.items() if account.may_owe()}
    moves: dict[str, list[Move]] = defaultdict(list)
    for move in evidence.moves:
        moves[move.meter].append(move)
    ordered = {(order.meter, order.version) for order in evidence.orders}
    wrong, rightful_s = [], []
    for move in evidence.moves:
        if move.relay != "open" or (move.meter, move.version) in ordered:
            continue
        account, since = accounts.get(move.meter), debts.get(move.meter, [])
        reasons = ["no such meter"] if account is None else list(_wrongs(move, account, since, evidence, outages))
        if reasons:
            wrong.append(f"{move.meter} at {move.at_s}: {', '.join(reasons)}")
        else:
            rightful_s.append(move.at_s)
    first_s = min((began_s for began_s, _ in outages), default=0)
    return Cuts(
        wrong=wrong,
        before_outage=sum(at_s < first_s for at_s in rightful_s),
        after_grace=sum(at_s >= first_s for at_s in rightful_s),
        back_after_outage=list(_back_after(moves.values(), outages)),
        left_dark=list(_left_dark(moves, accounts)),
        at_zero_in_outage=sum(_is_at_zero(each, outages) for each in debts.values()),
        spared=sum(_is_spared(each, moves[meter], promises, accounts[meter]) for meter, each in debts.items()),
    )


def _wrongs(
    move: Move, account: Account, debts: Iterable[Debt], evidence: Evidence, outages: Spans
) -> Iterator[str]:
    """Everything that was wrong with a cut."""
    promises, at_s = account.promises, move.at_s
    grace_s = promises.grace_s
    if grace_s is None:
        yield "nobody was to be cut for debt at all"
        return
    if promises.protects(at_s, account.zone):
        yield f"in protected time ({local(at_s, account.zone)})"
    if any(began_s <= at_s < ended_s + grace_s for began_s, ended_s in outages):
        yield "in an outage or the grace after it"
    balance_micros = account.balance_micros(at_s, move.register_wh)
    if balance_micros >= 0:
        yield f"in credit by {balance_micros} micros"
    since_s = next((debt.since_s for debt in debts if debt.since_s <= at_s < (debt.until_s or FOR_EVER_S)), at_s)
    if at_s - since_s < grace_s:
        yield f"{(at_s - since_s) // 3600} hours after its credit ended"
    counted = [micros for counted_s, micros in evidence.counted.get(move.meter, []) if counted_s <= at_s]
    if account.credited_micros(at_s) != (counted[-1] if counted else 0):
        yield "with a recharge on its way"
    told_s = evidence.told_s.get(move.meter)
    if told_s is None or told_s > at_s - promises.told_before_s:
        yield "not told in time"
    for plan in evidence.plans:
        if plan.meter == move.meter and plan.made_at_s <= at_s < (plan.ended_at_s or FOR_EVER_S):
            yield "in an arrears plan"


def _back_after(moves: Iterable[list[Move]], outages: Spans) -> Iterator[int]:
    """Homes dark as the first outage began, and back: how long after the end of the outage before that."""
    for of_meter in moves:
        before = [move.relay for move in of_meter if outages and move.at_s < outages[0][0]]
        for move in of_meter:
            ended_s = max((ended_s for _, ended_s in outages if ended_s <= move.at_s), default=None)
            if move.relay == "closed" and ended_s is not None and before and before[-1] == "open":
                yield move.at_s - ended_s
                break


def _left_dark(moves: dict[str, list[Move]], accounts: dict[str, Account]) -> Iterator[str]:
    for meter, of_meter in moves.items():
        account = accounts.get(meter)
        if of_meter and of_meter[-1].relay == "open" and account is not None and account.readings:
            balance_micros = account.balance_micros(*account.readings[-1])
            if balance_micros >= 0:
                yield f"{meter}: without supply, in credit by {balance_micros} micros"


def _is_at_zero(debts: Iterable[Debt], outages: Spans) -> bool:
    return any(
        debt.since_s < ended_s and began_s < (debt.until_s or FOR_EVER_S)
        for debt in debts
        for began_s, ended_s in outages
    )


def _is_spared(debts: Iterable[Debt], moves: list[Move], promises: Promises, account: Account) -> bool:
    """Whether a home had supply at noon of a holiday, in debt for longer than the grace."""
    for debt in debts:
        for day in promises.holidays:
            noon_s = int(datetime(day.year, day.month, day.day, NOON, tzinfo=account.zone).timestamp())
            if debt.since_s + (promises.grace_s or 0) <= noon_s < (debt.until_s or account.readings[-1][0]):
                before = [move.relay for move in moves if move.at_s < noon_s]
                if not before or before[-1] == "closed":
                    return True
    return False


def local(at_s: int, zone: ZoneInfo) -> str:
    """A time for people."""
    return datetime.fromtimestamp(at_s, zone).strftime("%a %d %b %H:%M:%S")
