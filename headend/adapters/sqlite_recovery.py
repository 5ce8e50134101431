"""What the store holds of regions in recovery and of arrears plans. See `service.ports.recovery`."""

from headend.adapters.sqlite_statements import SqliteStatements


class SqliteRecoveryRows(SqliteStatements):
    """`RecoveryRows` by the named statements of `sql/recovery.sql`."""
