"""What the store holds of disconnections, the quarantine and moratoria. See `service.ports.protection`."""

from headend.adapters.sqlite_statements import SqliteStatements


class SqliteProtectionRows(SqliteStatements):
    """`ProtectionRows` by the named statements of `sql/protection.sql`."""
