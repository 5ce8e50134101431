"""What the store holds of standings and notices. See `service.ports.notices`."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from headend.adapters.sqlite_statements import SqliteStatements
from headend.domain.notice import NoticeKind
from headend.domain.standing import Debt
from headend.domain.tariff_bound import ChargeBound
from headend.service.ports.notices import DeliveryState, LookedAt, NewNotice, Notice, NoticeRow, StandingRow
from headend.service.rows import OutageRow


class SqliteNoticeRows(SqliteStatements):
    """`NoticeRows` by the named statements of `sql/notices.sql`."""

    # standings ---------------------------------------------------------------------------------------------

    def pass_over(
        self,
        after_meter_key: int,
        to_meter_key: int,
        today: int,
        marks_micros: Sequence[int],
        share_bp: int,
        bounds: Mapping[str | None, ChargeBound],
    ) -> int:
        marks = json.dumps(list(marks_micros))
        rows = json.dumps([(category or "", *bound) for category, bound in bounds.items()])
        return self._run("pass_over", after_meter_key, to_meter_key, today, marks, share_bp, rows)

    def standings_to_look_at(self, after_meter_key: int, to_meter_key: int) -> list[StandingRow]:
        return list(map(StandingRow._make, self._all("standings_to_look_at", after_meter_key, to_meter_key)))

    def last_meter_key(self) -> int:
        return int(self._one("last_meter_key")[0])

    def put_standings(self, rows: Sequence[LookedAt]) -> None:
        self._many("put_standing", rows)

    def put_debts(self, rows: Sequence[tuple[int, Debt]]) -> None:
        self._many("put_debt", [(meter_key, *debt) for meter_key, debt in rows])
        self._many("enter_debtor", [(meter_key,) for meter_key, debt in rows if debt.zero_since_s is not None])
        self._many("leave_debtor", [(meter_key,) for meter_key, debt in rows if debt.zero_since_s is None])

    def look_at_all_again(self) -> None:
        self._run("look_at_all_again")

    def note_cut_announced(self, rows: Sequence[tuple[int, int]]) -> None:
        self._many("note_cut_announced", rows)

    # notices -----------------------------------------------------------------------------------------------

    def add_notices(self, notices: Iterable[NewNotice]) -> None:
        self._many(
            "add_notice",
            [(n.kind.value, n.meter_key, n.region, n.at_s, json.dumps(n.content)) for n in notices],
        )

    def notices(self, meter: str | None, state: DeliveryState | None, after: int, limit: int) -> list[NoticeRow]:
        wanted = None if state is None else state.value
        return [
            NoticeRow(_notice(row), tuple((sink, *rest) for sink, *rest in json.loads(sinks)))
            for *row, sinks in self._all("notices", meter, wanted, after, limit)
        ]

    def outages_to_tell(self, ended_since_s: int, now_s: int, after_s: int) -> list[tuple[OutageRow, bool]]:
        rows = self._all("outages_to_tell", ended_since_s, now_s, after_s)
        return [(OutageRow(*outage), bool(told)) for *outage, told in rows]

    # deliveries to sinks -----------------------------------------------------------------------------------

    def begin_sink(self, sink: str, from_s: int) -> None:
        self._run("begin_sink", sink, from_s)

    def take_up_notices(self, sink: str, limit: int, now_s: int) -> int:
        taken_up_to, last = self._one("next_to_take_up", sink, limit)
        if last is None:
            return 0
        taken = self._run("take_up_notices", sink, taken_up_to, last, now_s)
        self._run("note_taken_up", sink, last)
        return taken

    def waiting_notices(
        self, sink: str, now_s: int, without: Collection[int], limit: int
    ) -> list[tuple[Notice, int]]:
        rows = self._all("waiting_notices", sink, now_s, json.dumps(list(without)), limit)
        return [(_notice(row), attempts) for *row, attempts in rows]

    def note_deliveries(self, rows: Iterable[tuple[str, int, DeliveryState, int, str, int]]) -> None:
        self._many("note_delivery", [(sink, key, state.value, *rest) for sink, key, state, *rest in rows])

    def retry_failed(self, sink: str | None, now_s: int) -> int:
        return self._run("retry_failed", sink, now_s)


def _notice(row: Sequence[Any]) -> Notice:
    notice_id, kind, meter, region, at_s, content = row
    return Notice(notice_id, NoticeKind(kind), meter, region, at_s, json.loads(content))
