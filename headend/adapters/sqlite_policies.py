"""What the store holds of the policies that go down to meters. See `service.ports.policies`."""

import json
from collections.abc import Sequence

from headend.adapters.sqlite_statements import SqliteStatements
from headend.domain.policy import Policy


class SqlitePolicyRows(SqliteStatements):
    """`PolicyRows` by the named statements of `sql/policies.sql`."""

    def newest_policy(self, region: str) -> Policy | None:
        row = self._one("newest_policy", region)
        return None if row is None else _policy(*row)

    def policy(self, region: str, version: int) -> Policy:
        return _policy(*self._one("policy", region, version))

    def add_policy(self, region: str, policy: Policy) -> None:
        document = json.dumps(
            [policy.issued_at_s, policy.valid_until_s, policy.clock_tolerance_s, policy.protected]
        )
        self._run("add_policy", region, policy.version, document, policy.valid_until_s, policy.issued_at_s)

    def issue_policies(
        self, region: str, version: int, after_meter_key: int, now_s: int, limit: int
    ) -> int | None:
        keys = [key for (key,) in self._all("meters_behind", region, after_meter_key, version, limit)]
        self._many("supersede_unapplied_policies", [(key, version) for key in keys])
        self._many("add_policy_delivery", [(key, version, now_s) for key in keys])
        self._many("want_policy", [(key, version) for key in keys])
        return keys[-1] if keys else None

    def apply_policies(self, rows: Sequence[tuple[int, int, int]]) -> None:
        self._many("apply_policy", rows)
        versions = [row[:2] for row in rows]
        self._many("supersede_unapplied_policies", versions)
        self._many("acknowledge_policy", versions)

    def forget_policies(self, rows: Sequence[tuple[int, int]]) -> None:
        self._many("forget_policy", [(meter_key,) for meter_key, _ in rows])
        self._many("note_policy_held", rows)

    def reject_policies(self, rows: Sequence[tuple[int, int, str]]) -> None:
        self._many("reject_policy", rows)


def _policy(version: int, document: str) -> Policy:
    issued_at_s, valid_until_s, clock_tolerance_s, protected = json.loads(document)
    return Policy(version, issued_at_s, valid_until_s, clock_tolerance_s, tuple(map(tuple, protected)))
