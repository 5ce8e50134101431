"""What the store holds of tariffs, terms and charges. See `service.ports.billing`."""

from headend.adapters.sqlite_statements import SqliteStatements


class SqliteBillingRows(SqliteStatements):
    """`BillingRows` by the named statements of `sql/billing.sql`."""
