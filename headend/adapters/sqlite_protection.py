"""What the store holds of disconnections, the quarantine and moratoria. See `service.ports.protection`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields

from headend.adapters.sqlite_statements import SqliteStatements
from headend.domain.windows import Moratorium
from headend.service.ports.protection import (
    CaseRow,
    Decided,
    DisconnectionRow,
    MoratoriumRow,
    NewDisconnection,
    OpenOrder,
)
from headend.service.rows import MeterRow

_METER_COLUMNS = len(fields(MeterRow))


class SqliteProtectionRows(SqliteStatements):
    """`ProtectionRows` by the named statements of `sql/protection.sql`."""

    def cases(self, meter_keys: Sequence[int]) -> list[CaseRow]:
        return [
            CaseRow(key, MeterRow(*rest[:_METER_COLUMNS]), *rest[_METER_COLUMNS:])
            for key, *rest in self._all("cases", json.dumps(list(meter_keys)))
        ]

    def due_debtors(self, now_s: int, limit: int) -> list[int]:
        return [key for (key,) in self._all("due_debtors", now_s, limit)]

    def note_debtors(self, rows: Sequence[tuple[int, int, str | None]]) -> None:
        self._many("note_debtor", rows)

    def look_at_debtors_again(self) -> None:
        self._run("look_at_debtors_again")

    def promise(self, meter_key: int, no_cut_before_s: int) -> None:
        self._run("promise", meter_key, no_cut_before_s)

    def add_disconnections(self, rows: Sequence[NewDisconnection]) -> None:
        self._many("add_disconnection", rows)

    def cuts_since(self, since_s: int) -> list[tuple[str, str, int]]:
        return self._all("cuts_since", since_s)

    def waiting(self, state: str, after: int, limit: int) -> list[DisconnectionRow]:
        return [DisconnectionRow(*row) for row in self._all("waiting", state, after, limit)]

    def waiting_meters(self, meter_keys: Iterable[int]) -> set[int]:
        return {key for (key,) in self._all("waiting_meters", json.dumps(list(meter_keys)))}

    def waiting_wish(self, disconnection_id: int) -> DisconnectionRow | None:
        row = self._one("waiting_wish", disconnection_id)
        return None if row is None else DisconnectionRow(*row)

    def decide(self, wish: Decided) -> None:
        self._run("decide", *wish)

    def lasting_cuts(
        self, after_meter_key: int, limit: int, *, ordered: bool = False
    ) -> list[tuple[int, int, str]]:
        return self._all("lasting_cuts", after_meter_key, limit, ordered)

    def lasting_cut(self, meter_key: int, *, ordered: bool = False) -> tuple[int, str] | None:
        row = self._one("lasting_cut", meter_key, ordered)
        return None if row is None else tuple(row)

    def note_reconnected(self, meter_keys: Iterable[int], now_s: int) -> None:
        self._many("note_reconnected", [(key, now_s) for key in meter_keys])

    def open_orders(self, orders: Sequence[tuple[int, int]]) -> list[OpenOrder]:
        return [OpenOrder(*row) for row in self._all("open_orders", json.dumps(list(orders)))] if orders else []

    def disconnections(self, meter: str | None, limit: int) -> list[DisconnectionRow]:
        return [DisconnectionRow(*row) for row in self._all("disconnections", meter, limit)]

    def relays_moved(self, rows: Sequence[tuple[int, int, int]]) -> list[tuple[int, str, str, int]]:
        return self._all("relays_moved", json.dumps(list(rows))) if rows else []

    def reject_opens(self, rows: Sequence[tuple[int, int, str]]) -> None:
        self._many("reject_open", rows)

    def moratoria(self, now_s: int) -> list[Moratorium]:
        return [Moratorium(*row) for row in self._all("moratoria", now_s)]

    def moratorium_rows(self, limit: int) -> list[MoratoriumRow]:
        return [MoratoriumRow(*row) for row in self._all("moratorium_rows", limit)]

    def declare_moratorium(
        self, region: str | None, from_s: int, to_s: int, reason: str, actor: str, now_s: int
    ) -> int:
        return int(self._one("declare_moratorium", region, from_s, to_s, reason, actor, now_s)[0])

    def end_moratorium(self, moratorium_id: int, actor: str, now_s: int) -> bool:
        return self._run("end_moratorium", moratorium_id, now_s, actor) > 0
