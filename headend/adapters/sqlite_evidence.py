"""What the store holds of the audit log. See `service.ports.evidence`."""

from headend.adapters.sqlite_statements import SqliteStatements


class SqliteEvidenceRows(SqliteStatements):
    """`EvidenceRows` by the named statements of `sql/evidence.sql`."""
