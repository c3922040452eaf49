//! What is said to be impossible in a transaction is so on the engine itself.

use dbvc::script::{Syntax, needs_no_transaction};
use rusqlite::Connection;
use rusqlite::types::Value;

/// The first value that a pragma answers when it only reads.
fn pragma(connection: &Connection, name: &str) -> Value {
    connection
        .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
        .unwrap()
}

/// Whether a statement does its work inside a transaction, and outside of one.
fn works_inside_and_outside(statement: &str, name: Option<&str>) -> (bool, bool) {
    let works = |begin: &str| {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("x.sqlite")).unwrap();
        connection
            .execute_batch(&format!(
                "CREATE TABLE a (b); {begin}; INSERT INTO a VALUES (1);"
            ))
            .unwrap();
        let before = name.map(|name| pragma(&connection, name));
        let succeeded = connection.execute_batch(statement).is_ok();
        succeeded && name.is_none_or(|name| Some(pragma(&connection, name)) != before)
    };
    (works("BEGIN IMMEDIATE"), works("SELECT 1"))
}

#[test]
fn what_needs_no_transaction_on_sqlite_does_not_work_in_one() {
    for (statement, name) in [
        ("VACUUM", None),
        ("PRAGMA journal_mode = WAL", Some("journal_mode")),
        ("PRAGMA foreign_keys = OFF", Some("foreign_keys")),
        ("PRAGMA synchronous = OFF", Some("synchronous")),
        ("PRAGMA wal_checkpoint", None),
    ] {
        assert!(
            needs_no_transaction(statement, Syntax::Sqlite).is_some(),
            "{statement}"
        );
        assert_eq!(
            works_inside_and_outside(statement, name),
            (false, true),
            "{statement}"
        );
    }
}

#[test]
fn other_pragmas_work_in_a_transaction() {
    for (statement, name) in [
        ("PRAGMA user_version = 3", Some("user_version")),
        ("PRAGMA recursive_triggers = ON", Some("recursive_triggers")),
        ("PRAGMA temp_store = MEMORY", Some("temp_store")),
        ("PRAGMA defer_foreign_keys = ON", Some("defer_foreign_keys")),
    ] {
        assert_eq!(
            needs_no_transaction(statement, Syntax::Sqlite),
            None,
            "{statement}"
        );
        assert!(works_inside_and_outside(statement, name).0, "{statement}");
    }
}
