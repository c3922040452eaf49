//! Words by which statements are told.

/// What stands behind CREATE, ALTER or DROP in T-SQL and SQLite, or behind DROP in ALTER TABLE, in alphabetical order. Sources:
/// <https://learn.microsoft.com/sql/t-sql/statements/statements> and <https://www.sqlite.org/lang.html>.
pub(super) const KINDS: [&str; 65] = [
    "AGGREGATE",
    "APPLICATION",
    "ASSEMBLY",
    "ASYMMETRIC",
    "AUTHORIZATION",
    "AVAILABILITY",
    "BROKER",
    "CERTIFICATE",
    "CLUSTERED",
    "COLUMN",
    "COLUMNSTORE",
    "CONSTRAINT",
    "CONTRACT",
    "CREDENTIAL",
    "CRYPTOGRAPHIC",
    "DATABASE",
    "DEFAULT",
    "ENDPOINT",
    "EVENT",
    "EXTERNAL",
    "FULLTEXT",
    "FUNCTION",
    "INDEX",
    "JSON",
    "LOGIN",
    "MASTER",
    "MATERIALIZED",
    "MESSAGE",
    "NONCLUSTERED",
    "PARTITION",
    "PERIOD",
    "PRIMARY",
    "PROC",
    "PROCEDURE",
    "QUEUE",
    "REMOTE",
    "RESOURCE",
    "ROLE",
    "ROUTE",
    "RULE",
    "SCHEMA",
    "SEARCH",
    "SECURITY",
    "SELECTIVE",
    "SENSITIVITY",
    "SEQUENCE",
    "SERVER",
    "SERVICE",
    "SIGNATURE",
    "SPATIAL",
    "STATISTICS",
    "SYMMETRIC",
    "SYNONYM",
    "TABLE",
    "TEMP",
    "TEMPORARY",
    "TRIGGER",
    "TYPE",
    "UNIQUE",
    "USER",
    "VECTOR",
    "VIEW",
    "VIRTUAL",
    "WORKLOAD",
    "XML",
];

/// What ALTER TABLE does beside ADD, ALTER COLUMN and DROP.
pub(super) const TABLE_ACTIONS: [&str; 9] = [
    "ALTER", "CHECK", "DISABLE", "ENABLE", "NOCHECK", "REBUILD", "RENAME", "SET", "SWITCH",
];

/// The first words of SQLite's statements, in alphabetical order. Source: <https://www.sqlite.org/lang.html>.
pub(super) const SQLITE_BEGINNINGS: [&str; 23] = [
    "ALTER",
    "ANALYZE",
    "ATTACH",
    "BEGIN",
    "COMMIT",
    "CREATE",
    "DELETE",
    "DETACH",
    "DROP",
    "END",
    "EXPLAIN",
    "INSERT",
    "PRAGMA",
    "REINDEX",
    "RELEASE",
    "REPLACE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "UPDATE",
    "VACUUM",
    "VALUES",
    "WITH",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_is_in_alphabetical_order() {
        assert!(KINDS.is_sorted() && SQLITE_BEGINNINGS.is_sorted());
    }
}
