"""What the audit of protection asks of the store. See `service.ports.audit`."""

import json
from typing import Any

from headend.adapters.sqlite_statements import SqliteStatements
from headend.domain.windows import Moratorium
from headend.service.ports.audit import IssuedCut


class SqliteAuditRows(SqliteStatements):
    """`AuditRows` by the named statements of `sql/audit_protection.sql`."""

    def all_moratoria(self) -> list[Moratorium]:
        return [Moratorium(*row) for row in self._all("all_moratoria")]

    def issued_cuts(self) -> list[IssuedCut]:
        return [
            IssuedCut(key, meter, region, feeder, origin, _basis(basis), issued_at_s, version, sent_at_s)
            for key, meter, region, feeder, origin, basis, issued_at_s, version, sent_at_s in self._all(
                "issued_cuts"
            )
        ]

    def undecided_opens(self) -> list[tuple[str, int]]:
        return self._all("undecided_opens")

    def recharges_on_their_way(self, meter_key: int, at_s: int) -> int:
        return int(self._one("recharges_on_their_way", meter_key, at_s)[0])

    def regions_of_meters(self) -> dict[str, str]:
        return dict(self._all("regions_of_meters"))


def _basis(text: str) -> dict[str, Any]:
    """What a decision was based on; nothing, if somebody made it unreadable."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
