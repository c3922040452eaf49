//! The statements of a batch by their leading words, as far as running them in a transaction depends on it.
//!
//! This is no parser. A statement is judged by the words it begins with, never by a word somewhere inside it, so that a
//! column named like a statement does not count.

pub(super) mod part;
mod session;
mod single;
mod sqlite;
mod transact_sql;
mod transactions;
mod without_transaction;

use part::{Part, SEMICOLON};
use sqlite::SqliteStatements;
use transact_sql::TransactSqlStatements;

pub(super) use single::{BEGINNINGS, PAIRS};
pub(super) use transact_sql::defines_module;

pub use session::{SessionChanges, session_changes};
pub use single::is_single_statement;
pub use transactions::{TransactionEnd, own_transaction_end};
pub use without_transaction::needs_no_transaction;

use super::cursor::Mark;
use super::syntax::Syntax;

/// How many leading parts of a statement are kept: the longest that is looked at is `EXEC @r = db.sys.sp_fulltext_table`.
const HEAD_LENGTH: usize = 8;

/// A statement of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    head: Vec<Part<'a>>,
    /// The last two parts so far.
    tail: [Part<'a>; 2],
    clause: Option<Clause>,
    syntax: Syntax,
    /// Where it begins in the batch.
    pub(super) mark: Mark,
}

/// What may stand anywhere in a statement and decides whether it can run in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clause {
    Resumable,
    MemoryOptimized,
    NativelyCompiled,
}

/// The statements of a batch, in order. In T-SQL the body of a procedure, function, trigger or view belongs to the
/// statement that creates it; in SQLite that of a trigger does.
pub(super) fn statements(
    batch: &str,
    syntax: Syntax,
) -> Box<dyn Iterator<Item = Statement<'_>> + '_> {
    match syntax {
        Syntax::TransactSql => Box::new(TransactSqlStatements::of(batch)),
        Syntax::Sqlite => Box::new(SqliteStatements::of(batch)),
    }
}

impl<'a> Statement<'a> {
    fn begin(part: Part<'a>, mark: Mark, syntax: Syntax) -> Self {
        Self {
            head: vec![part],
            tail: [SEMICOLON, part],
            clause: None,
            syntax,
            mark,
        }
    }

    fn push(&mut self, part: Part<'a>) {
        if self.head.len() < HEAD_LENGTH {
            self.head.push(part);
        }
        let [before_last, last] = self.tail;
        if last == Part::Symbol(b'=') && part.is("ON") {
            if before_last.is("RESUMABLE") {
                self.clause = Some(Clause::Resumable);
            } else if before_last.is("MEMORY_OPTIMIZED") {
                self.clause = Some(Clause::MemoryOptimized);
            }
        } else if last.is("WITH") && part.is("NATIVE_COMPILATION") {
            self.clause = Some(Clause::NativelyCompiled);
        }
        self.tail = [last, part];
    }

    /// A part of the statement, counted from 0. Behind its end there are semicolons.
    fn part(&self, index: usize) -> Part<'a> {
        self.head.get(index).copied().unwrap_or(SEMICOLON)
    }

    /// Whether the statement is the definition of a module, which takes the rest of its batch.
    fn defines_module(&self) -> bool {
        let or_alter = self.part(1).is("OR") && self.part(2).is("ALTER");
        let object = self.part(if or_alter { 3 } else { 1 });
        self.part(0).is_any(&["CREATE", "ALTER"])
            && object.is_any(&["PROC", "PROCEDURE", "FUNCTION", "TRIGGER", "VIEW"])
    }

    /// Whether the statement creates a SQLite trigger, in whose body statements end in semicolons of their own.
    fn creates_trigger(&self) -> bool {
        let create_at = self.head.iter().position(|part| part.is("CREATE"));
        let explained = match create_at {
            Some(0) => true,
            Some(_) => self.part(0).is("EXPLAIN"),
            None => false,
        };
        let object_at = create_at.unwrap_or_default() + 1;
        let temporary = self.part(object_at).is_any(&["TEMP", "TEMPORARY"]);
        explained && self.part(object_at + usize::from(temporary)).is("TRIGGER")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_knows_where_it_begins() {
        let batch = "-- c\r\nSELECT 1;\r\n  é; VACUUM";
        let places: Vec<_> = statements(batch, Syntax::Sqlite)
            .map(|statement| (statement.mark.line, statement.mark.column_in(batch)))
            .collect();
        assert_eq!(places, [(2, 1), (3, 3), (3, 6)]);
    }

    #[test]
    fn the_body_of_a_sqlite_trigger_is_part_of_it() {
        let trigger = "CREATE TEMP TRIGGER IF NOT EXISTS t AFTER UPDATE ON a WHEN new.x > 1 BEGIN\n\
                       UPDATE b SET x = CASE WHEN 1 THEN 2 END;\n\
                       DELETE FROM c; -- END;\n\
                       END";
        for (after, count) in [("", 1), (";", 1), (" ;\nSELECT 1;", 2), (";\nEND;", 2)] {
            for before in ["", "EXPLAIN QUERY PLAN "] {
                let batch = format!("{before}{trigger}{after}");
                assert_eq!(statements(&batch, Syntax::Sqlite).count(), count, "{batch}");
            }
        }
    }

    #[test]
    fn the_body_of_a_t_sql_module_is_part_of_it() {
        for batch in [
            "CREATE PROC p AS DROP TABLE a; DROP TABLE b",
            ";;ALTER VIEW v AS SELECT 1 AS a DROP TABLE b",
            "CREATE OR ALTER TRIGGER t ON a FOR INSERT AS ROLLBACK; EXEC p",
        ] {
            assert_eq!(statements(batch, Syntax::TransactSql).count(), 1, "{batch}");
        }
        let late = "SELECT 1; CREATE PROC p AS SELECT 1; DROP TABLE a";
        assert_eq!(statements(late, Syntax::TransactSql).count(), 3);
    }
}
