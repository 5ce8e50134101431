"""What the store holds of the audit log. See `service.ports.evidence`."""

import json
from collections.abc import Iterator, Sequence

from headend.adapters.sqlite_statements import SQL, SqliteStatements
from headend.domain.evidence import GENESIS_ACT_HASH, Act, act_hash, basis_text
from headend.service.ports.evidence import ActRow, StoryRow
from headend.service.rows import OutageRow
from headend.service.traffic import GatewayId


class SqliteEvidenceRows(SqliteStatements):
    """`EvidenceRows` by the named statements of `sql/evidence.sql`."""

    def record_act(self, act: Act) -> None:
        self.record_acts([act])

    def record_acts(self, acts: Sequence[Act]) -> None:
        last = self._one("last_act")
        act_id, head = (0, GENESIS_ACT_HASH) if last is None else last
        rows = []
        for act_id, act in enumerate(acts, start=act_id + 1):  # noqa: B020
            # The kind as plain text: SQLite binds an enum's member slowly.
            fields = (act_id, act.at_s, act.actor, act.kind.value, act.subject, act.reason, basis_text(act.basis))
            head = act_hash(head, *fields)
            rows.append((*fields, head))
        self._many("add_act", rows)

    def last_act_id(self) -> int:
        last = self._one("last_act")
        return 0 if last is None else int(last[0])

    def acts(self) -> Iterator[ActRow]:
        return map(ActRow._make, self._connection.execute(SQL["acts"]))

    def privileges_without_act(self) -> list[tuple[str, str]]:
        return self._all("privileges_without_act")

    def story_of_meter(self, meter: str, from_s: int, to_s: int) -> list[StoryRow]:
        return self._story("story_of_meter", meter, from_s, to_s)

    def outage(self, outage_id: int) -> OutageRow | None:
        row = self._one("outage", outage_id)
        return None if row is None else OutageRow(*row)

    def story_of_outage(self, outage_id: int, region: str | None, from_s: int, to_s: int) -> list[StoryRow]:
        return self._story("story_of_outage", outage_id, region, from_s, to_s)

    def grace_until_s(self, region: str | None, ended_s: int) -> int | None:
        until_s: int | None = self._one("grace_until_s", region, ended_s)[0]
        return until_s

    def outage_totals(
        self, gateway: GatewayId | None, period_s: tuple[int, int, int], days: tuple[int, int]
    ) -> dict[str, int | None]:
        found = self._connection.execute(SQL["outage_totals"], (*(gateway or (None, None)), *period_s, *days))
        names = [column[0] for column in found.description]
        return dict(zip(names, found.fetchone(), strict=True))

    def _story(self, name: str, *values: object) -> list[StoryRow]:
        return [StoryRow(at_s, what, json.loads(facts)) for at_s, what, facts in self._all(name, *values)]

    # sweeps for exceptions ---------------------------------------------------------------------------------

    def listening_since_s(self) -> int | None:
        since_s: int | None = self._one("listening_since")[0]
        return since_s

    def list_silent_meters(self, since_s: int, day: int, now_s: int, limit: int) -> int:
        return self._run("list_silent_meters", since_s, day, now_s, limit)

    def list_days_not_settled(self, day: int, now_s: int, limit: int) -> int:
        return self._run("list_days_not_settled", day, now_s, limit)

    def close_days_not_settled(self, now_s: int) -> None:
        self._run("close_days_not_settled", now_s)

    def close_silent_meters(self, since_s: int, now_s: int) -> None:
        self._run("close_silent_meters", since_s, now_s)

    def list_open_without_order(self, now_s: int, limit: int) -> int:
        return self._run("list_open_without_order", now_s, limit)

    def close_open_without_order(self, now_s: int) -> None:
        self._run("close_open_without_order", now_s)
