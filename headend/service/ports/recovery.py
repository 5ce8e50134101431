"""What the store holds of regions in recovery and of arrears plans."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from headend.domain.arrears import Course, PlanState, PlanTerms
from headend.domain.outage import Silence
from headend.domain.recovery import Phase, RegionState


@dataclass(frozen=True, slots=True)
class RegionRow:
    """A region's recovery. `first_left`: what was left to do as the phase began.

    `looked_until_s`: outages that had ended by then have had their effect. `arrears_key`: the last meter that was
    looked at for a plan after the outage; None: all were.
    """

    region: str
    state: RegionState
    first_left: int
    looked_until_s: int
    arrears_key: int | None


class Debtor(NamedTuple):
    """A meter whose account may be in debt. `active_plan` is a plan's id; None: it has none that is active."""

    meter_key: int
    meter: str
    account_key: int
    balance_micros: int
    active_plan: int | None


class NewPlan(NamedTuple):
    """A plan before it has its number."""

    debtor: Debtor
    debt_micros: int
    terms: PlanTerms
    from_day: int
    made_by: str


@dataclass(frozen=True, slots=True)
class PlanRow:
    """An arrears plan. `debtor_key` is the consumer's account, `account_key` the plan's own.

    `settled_day` and `balance_micros` are the meter's and the consumer's account's, as they stand.
    """

    plan_id: int
    state: PlanState
    meter_key: int
    meter: str
    region: str
    debtor_key: int
    account_key: int
    debt_micros: int
    instalment_micros: int | None
    share_bp: int | None
    recovered_micros: int
    from_day: int
    next_day: int
    missed: int
    missed_allowed: int
    made_by: str
    made_at_s: int
    ended_at_s: int | None
    settled_day: int
    balance_micros: int

    @property
    def terms(self) -> PlanTerms:
        """How the debt comes back."""
        return PlanTerms(self.instalment_micros, self.share_bp, self.missed_allowed)

    @property
    def course(self) -> Course:
        """How far the plan has come."""
        return Course(self.left_micros, self.missed, self.next_day, self.state)

    @property
    def left_micros(self) -> int:
        """What has not come back."""
        return self.debt_micros - self.recovered_micros

    @property
    def next_micros(self) -> int | None:
        """The instalment of `next_day`; None: there is none."""
        if self.instalment_micros is None or self.state is not PlanState.ACTIVE:
            return None
        return min(self.instalment_micros, self.left_micros)


class RecoveryRows(Protocol):
    """What the store holds of regions in recovery and of arrears plans."""

    def recoveries(self) -> list[RegionRow]:
        """Where each region stands, in order of their names."""

    def put_region(self, row: RegionRow) -> None:
        """Keep where a region's recovery stands."""

    def silences(self, since_s: int) -> list[tuple[str | None, Silence]]:
        """The journal's outages that last, or ended after a time; with the region, None: all regions."""

    def gateway_counts(self) -> dict[str, int]:
        """How many gateways each region has."""

    def left_count(self, region: str, phase: Phase, ended_s: int, ended_day: int, limit: int = -1) -> int:
        """What is left to do in a phase after an outage that ended at a time, on a billing day.

        Counted up to `limit` (-1: all): whether anything is left is cheaper to know than how much.

        Meters that an open exception lists for a person do not count, unless it is one about money.
        """

    def debtor(self, meter: str) -> Debtor | None:
        """One meter with the balance of its account; None: unknown meter."""

    def debtors(self, region: str, after_meter_key: int, limit: int) -> list[Debtor]:
        """A page of a region's meters whose account is below zero, in order of their keys."""

    def add_plans(self, plans: Sequence[NewPlan], now_s: int) -> list[PlanRow]:
        """Keep plans and open their accounts; nothing is posted yet."""

    def put_courses(self, rows: Iterable[tuple[PlanRow, Course]], now_s: int) -> None:
        """Keep how far plans have come. One that is not active any more ended now."""

    def active_plans(self, meter_keys: Iterable[int]) -> list[PlanRow]:
        """The active plans of these meters."""

    def plans(self, meter: str | None, state: PlanState | None, after: int, limit: int) -> list[PlanRow]:
        """A page of plans after a plan id, in order."""

    def charges_of_days(self, days: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """What days (meter_key, day) were charged, in micros; those that came to nothing are left out."""

    def recharges_since(self, rows: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Of (plan_id, since_s): (plan_id, posted_at_s, micros) of recharges, less what the plan kept of them."""
