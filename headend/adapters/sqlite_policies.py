"""What the store holds of the policies that go down to meters. See `service.ports.policies`."""

from headend.adapters.sqlite_statements import SqliteStatements


class SqlitePolicyRows(SqliteStatements):
    """`PolicyRows` by the named statements of `sql/policies.sql`."""
