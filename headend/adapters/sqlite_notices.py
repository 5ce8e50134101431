"""What the store holds of standings and notices. See `service.ports.notices`."""

from headend.adapters.sqlite_statements import SqliteStatements


class SqliteNoticeRows(SqliteStatements):
    """`NoticeRows` by the named statements of `sql/notices.sql`."""
