"""What the store holds of regions in recovery and of arrears plans. See `service.ports.recovery`."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from headend.adapters.sqlite_statements import SqliteStatements
from headend.domain.arrears import Course, PlanState, arrears_account
from headend.domain.outage import Silence
from headend.domain.recovery import Phase, RegionState
from headend.service.ports.recovery import Debtor, NewPlan, PlanRow, RegionRow


class SqliteRecoveryRows(SqliteStatements):
    """`RecoveryRows` by the named statements of `sql/recovery.sql`."""

    def recoveries(self) -> list[RegionRow]:
        return [
            RegionRow(region, RegionState(Phase(phase), since_s, began_s, ended_s, grace_until_s), *rest)
            for region, phase, since_s, began_s, ended_s, grace_until_s, *rest in self._all("recoveries")
        ]

    def put_region(self, row: RegionRow) -> None:
        state = row.state
        self._run(
            "put_region",
            row.region,
            state.phase.value,
            state.since_s,
            state.outage_began_s,
            state.outage_ended_s,
            state.grace_until_s,
            row.first_left,
            row.looked_until_s,
            row.arrears_key,
        )

    def silences(self, since_s: int) -> list[tuple[str | None, Silence]]:
        return [
            (region, Silence(began_s, ended_s, bool(whole)))
            for region, began_s, ended_s, whole in self._all("silences", since_s)
        ]

    def gateway_counts(self) -> dict[str, int]:
        return dict(self._all("gateway_counts"))

    def left_count(self, region: str, phase: Phase, ended_s: int, ended_day: int, limit: int = -1) -> int:
        return int(self._one(f"left_{phase.lower()}", region, ended_s, ended_day, limit)[0])

    def debtor(self, meter: str) -> Debtor | None:
        row = self._one("debtor", meter)
        return None if row is None else Debtor(*row)

    def debtors(self, region: str, after_meter_key: int, limit: int) -> list[Debtor]:
        return [Debtor(*row) for row in self._all("debtors", region, after_meter_key, limit)]

    def add_plans(self, plans: Sequence[NewPlan], now_s: int) -> list[PlanRow]:
        newest = int(self._one("newest_plan")[0])
        numbered = list(enumerate(plans, start=newest + 1))
        codes = [arrears_account(plan.debtor.meter, plan_id) for plan_id, plan in numbered]
        self._many("add_account", [(code,) for code in codes])
        self._many(
            "add_plan",
            [
                (
                    plan_id,
                    plan.debtor.meter_key,
                    plan.debtor.account_key,
                    code,
                    plan.debt_micros,
                    plan.terms.instalment_micros,
                    plan.terms.share_bp,
                    plan.from_day,
                    plan.terms.missed_allowed,
                    plan.made_by,
                    now_s,
                )
                for (plan_id, plan), code in zip(numbered, codes, strict=True)
            ],
        )
        self._look_again(plan.debtor.meter_key for plan in plans)
        return [_plan(row) for row in self._all("plans", None, None, newest, len(plans))]

    def put_courses(self, rows: Iterable[tuple[PlanRow, Course]], now_s: int) -> None:
        courses = list(rows)
        self._many(
            "put_course",
            [
                (
                    plan.plan_id,
                    course.left_micros,
                    course.missed,
                    course.next_day,
                    course.state.value,
                    None if course.state is PlanState.ACTIVE else now_s,
                )
                for plan, course in courses
            ],
        )
        self._look_again(plan.meter_key for plan, _ in courses)

    def active_plans(self, meter_keys: Iterable[int]) -> list[PlanRow]:
        return [_plan(row) for row in self._all("active_plans", json.dumps(list(meter_keys)))]

    def plans(self, meter: str | None, state: PlanState | None, after: int, limit: int) -> list[PlanRow]:
        return [
            _plan(row) for row in self._all("plans", meter, None if state is None else state.value, after, limit)
        ]

    def charges_of_days(self, days: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        rows = self._all("charges_of_days", json.dumps(days))
        return {(meter_key, day): total_micros for meter_key, day, total_micros in rows}

    def recharges_since(self, rows: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
        return self._all("recharges_since", json.dumps(rows))

    def _look_again(self, meter_keys: Iterable[int]) -> None:
        """Their balances changed otherwise than by their registers."""
        self._many("look_again", [(meter_key,) for meter_key in meter_keys])


def _plan(row: Sequence[Any]) -> PlanRow:
    plan_id, state, *rest = row
    return PlanRow(plan_id, PlanState(state), *rest)
