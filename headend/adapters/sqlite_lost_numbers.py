"""What the store holds of numbers that a lost store gave out. See `service.ports.lost_numbers`."""

import json
from collections.abc import Iterable, Iterator, Sequence

from headend.adapters.sqlite_statements import SQL, SqliteStatements
from headend.domain.delivery import DeliveryKind
from headend.domain.exception_kind import ExceptionKind
from headend.service.ports.lost_numbers import LostNumbers, Word
from headend.service.rows import ExceptionRow


class SqliteLostNumberRows(SqliteStatements):
    """`LostNumberRows` by the named statements of `sql/lost_numbers.sql`."""

    def exceptions_of_kind(
        self, kind: ExceptionKind, region: str | None, after: int, limit: int
    ) -> list[tuple[int, ExceptionRow]]:
        rows = self._all("exceptions_of_kind", kind, region, after, limit)
        return [(number, ExceptionRow(*row)) for number, *row in rows]

    def credit_words(self, meter_keys: Iterable[int]) -> list[tuple[int, str, Word]]:
        rows = self._all("words", json.dumps(list(meter_keys)))
        return [(meter_key, kind, Word(*word)) for meter_key, kind, *word in rows]

    def never_sent(
        self, deliveries: Sequence[tuple[int, DeliveryKind, int]]
    ) -> set[tuple[int, DeliveryKind, int]]:
        rows = self._all("never_sent", json.dumps(deliveries)) if deliveries else []
        return {(meter_key, DeliveryKind(kind), number) for meter_key, kind, number in rows}

    def first_open(self, meter_key: int, kind: DeliveryKind) -> int | None:
        (number,) = self._one("first_open", meter_key, kind)
        return None if number is None else int(number)

    def take_over_credit(self, lost: LostNumbers) -> None:
        self._run("renumber_credits", lost.meter_key, lost.to_number)
        self._run("take_over_credit", lost.meter_key, lost.to_number, *lost.word)
        self._note(lost)

    def take_over_relay(self, lost: LostNumbers) -> None:
        self._run("raise_relay_version", lost.meter_key, lost.to_number)
        self._note(lost)

    def take_over_policy(self, lost: LostNumbers) -> None:
        self._note(lost)

    def last_lost_policy(self, region: str) -> int:
        return int(self._one("last_lost_policy", region)[0])

    def close_policies_ahead(self, region: str, version: int, now_s: int) -> int:
        return self._run("close_policies_ahead", region, version, now_s)

    def all_lost_numbers(self) -> Iterator[tuple[str, DeliveryKind, int, int, int, int | None]]:
        for meter, kind, *rest in self._connection.execute(SQL["all_lost_numbers"]):
            yield meter, DeliveryKind(kind), *rest

    def _note(self, lost: LostNumbers) -> None:
        # Ranges never overlap, so that what is missing in a sequence can be counted.
        self._run("forget_lost_numbers", lost.meter_key, lost.kind, lost.from_number)
        number, total_micros, at_s = lost.word
        self._run(
            "note_lost_numbers",
            lost.meter_key,
            lost.kind,
            lost.from_number,
            lost.to_number,
            number,
            total_micros,
            at_s,
        )
