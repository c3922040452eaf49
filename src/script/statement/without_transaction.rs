//! What cannot run in a transaction.

use super::part::Part;
use super::{Statement, statements};
use crate::script::syntax::Syntax;

/// The first statement of a batch that cannot run in a transaction, such as `CREATE DATABASE`; `None` when there is none.
///
/// T-SQL: CREATE, ALTER and DROP of a database, full-text catalog or index, or event session; BACKUP, RESTORE,
/// RECONFIGURE. SQLite: VACUUM, and pragmas that fail or are passed over inside a transaction. What a procedure, a dynamic
/// SQL text or an option of an index would do is not seen; there the author's directive decides.
#[must_use]
pub fn needs_no_transaction(batch: &str, syntax: Syntax) -> Option<&'static str> {
    statements(batch, syntax).find_map(|statement| statement.needs_no_transaction())
}

impl Statement<'_> {
    /// The statement as a name, when it cannot run in a transaction.
    pub(in crate::script) fn needs_no_transaction(&self) -> Option<&'static str> {
        match self.syntax {
            Syntax::TransactSql => self.transact_sql_without_transaction(),
            Syntax::Sqlite => self.sqlite_without_transaction(),
        }
    }

    fn transact_sql_without_transaction(&self) -> Option<&'static str> {
        const KEYS: [&str; 4] = ["CERTIFICATE", "MASTER", "SERVICE", "SYMMETRIC"];
        const HEADERS: [&str; 5] = [
            "FILELISTONLY",
            "HEADERONLY",
            "LABELONLY",
            "REWINDONLY",
            "VERIFYONLY",
        ];
        let (verb, object, third) = (self.part(0), self.part(1), self.part(2));
        let data = object.is_any(&["DATABASE", "LOG"]);
        if verb.is("RECONFIGURE") {
            return Some("RECONFIGURE");
        }
        if verb.is("BACKUP") && (data || object.is_any(&KEYS)) {
            return Some("BACKUP");
        }
        if verb.is("RESTORE") && (data || object.is_any(&KEYS) || object.is_any(&HEADERS)) {
            return Some("RESTORE");
        }
        // DATABASE SCOPED CONFIGURATION, DATABASE AUDIT SPECIFICATION and the like are other objects than a database.
        let database = object.is("DATABASE") && !third.is_any(&["SCOPED", "AUDIT", "ENCRYPTION"]);
        let full_text = object.is("FULLTEXT") && third.is_any(&["CATALOG", "INDEX"]);
        let event_session = object.is("EVENT") && third.is("SESSION");
        let names = if database {
            ["CREATE DATABASE", "ALTER DATABASE", "DROP DATABASE"]
        } else if full_text && third.is("CATALOG") {
            [
                "CREATE FULLTEXT CATALOG",
                "ALTER FULLTEXT CATALOG",
                "DROP FULLTEXT CATALOG",
            ]
        } else if full_text {
            [
                "CREATE FULLTEXT INDEX",
                "ALTER FULLTEXT INDEX",
                "DROP FULLTEXT INDEX",
            ]
        } else if event_session {
            [
                "CREATE EVENT SESSION",
                "ALTER EVENT SESSION",
                "DROP EVENT SESSION",
            ]
        } else {
            return None;
        };
        names
            .into_iter()
            .zip(["CREATE", "ALTER", "DROP"])
            .find_map(|(name, keyword)| verb.is(keyword).then_some(name))
    }

    fn sqlite_without_transaction(&self) -> Option<&'static str> {
        if self.part(0).is("VACUUM") {
            return Some("VACUUM");
        }
        if !self.part(0).is("PRAGMA") {
            return None;
        }
        let name_at = if self.part(2) == Part::Symbol(b'.') {
            3
        } else {
            1
        };
        let name = self.part(name_at);
        // Without a value a pragma only reads, which does no harm anywhere.
        let sets = matches!(self.part(name_at + 1), Part::Symbol(b'=' | b'('));
        if name.is("wal_checkpoint") {
            return Some("PRAGMA wal_checkpoint");
        }
        [
            ("journal_mode", "PRAGMA journal_mode"),
            ("foreign_keys", "PRAGMA foreign_keys"),
            ("synchronous", "PRAGMA synchronous"),
        ]
        .into_iter()
        .find_map(|(pragma, shown)| (sets && name.is(pragma)).then_some(shown))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T_SQL: Syntax = Syntax::TransactSql;
    const SQLITE: Syntax = Syntax::Sqlite;

    #[test]
    fn t_sql_statements_that_cannot_run_in_a_transaction_are_known_by_their_leading_words() {
        for (batch, name) in [
            ("CREATE DATABASE x", "CREATE DATABASE"),
            ("alter\n database /* c */ [x] SET ONLINE", "ALTER DATABASE"),
            ("DROP DATABASE IF EXISTS x;", "DROP DATABASE"),
            ("CREATE FULLTEXT CATALOG c", "CREATE FULLTEXT CATALOG"),
            ("ALTER FULLTEXT INDEX ON t ENABLE", "ALTER FULLTEXT INDEX"),
            ("DROP EVENT SESSION s ON SERVER", "DROP EVENT SESSION"),
            ("BACKUP DATABASE x TO DISK = 'y'", "BACKUP"),
            ("BACKUP LOG x TO DISK = 'y'", "BACKUP"),
            ("RESTORE FILELISTONLY FROM DISK = 'y'", "RESTORE"),
            ("RECONFIGURE", "RECONFIGURE"),
            (
                "EXEC sp_configure 'x', 1; RECONFIGURE WITH OVERRIDE;",
                "RECONFIGURE",
            ),
            ("EXEC sp_configure 'x', 1\nRECONFIGURE", "RECONFIGURE"),
            ("USE master\nDROP DATABASE x", "DROP DATABASE"),
            ("IF DB_ID('x') IS NULL CREATE DATABASE x", "CREATE DATABASE"),
            (
                "IF 1 = 1\nBEGIN\n\tALTER DATABASE [x] SET ONLINE;\nEND",
                "ALTER DATABASE",
            ),
            ("GRANT SELECT TO a\nDROP DATABASE x", "DROP DATABASE"),
        ] {
            assert_eq!(needs_no_transaction(batch, T_SQL), Some(name), "{batch:?}");
        }
    }

    #[test]
    fn words_inside_a_t_sql_statement_do_not_count() {
        for batch in [
            "",
            "SELECT 1 AS BACKUP",
            "SELECT x BACKUP FROM t",
            "SELECT a,\n RECONFIGURE FROM t",
            "SELECT 1 AS\nRECONFIGURE",
            "SELECT [CREATE DATABASE], 'DROP DATABASE x'",
            "-- DROP DATABASE x\nSELECT 1 /* DROP DATABASE x */",
            "GRANT CREATE DATABASE, BACKUP DATABASE TO bob",
            "DENY BACKUP DATABASE TO bob; REVOKE CREATE DATABASE FROM bob",
            "CREATE TABLE database_list (database_id INT)",
            "CREATE TRIGGER t ON DATABASE FOR DROP_TABLE AS ROLLBACK",
            "DROP TRIGGER t ON DATABASE",
            "ALTER AUTHORIZATION ON DATABASE::x TO sa",
            "CREATE PROCEDURE p AS BACKUP DATABASE x TO DISK = 'y'",
            "CREATE OR ALTER PROC p AS BEGIN DROP DATABASE x; RECONFIGURE; END",
            "ALTER DATABASE SCOPED CONFIGURATION SET MAXDOP = 4",
            "CREATE DATABASE SCOPED CREDENTIAL c WITH IDENTITY = 'x'",
            "CREATE FULLTEXT STOPLIST s",
            "EXEC('DROP DATABASE x')",
            "CREATE EVENT NOTIFICATION n ON SERVER FOR X",
        ] {
            assert_eq!(needs_no_transaction(batch, T_SQL), None, "{batch:?}");
        }
    }

    #[test]
    fn sqlite_statements_that_cannot_run_in_a_transaction_are_known() {
        for (batch, name) in [
            ("VACUUM", "VACUUM"),
            ("SELECT 1; vacuum INTO 'x';", "VACUUM"),
            ("PRAGMA journal_mode = WAL;", "PRAGMA journal_mode"),
            ("PRAGMA main.Journal_Mode=wal", "PRAGMA journal_mode"),
            ("PRAGMA foreign_keys(0)", "PRAGMA foreign_keys"),
            ("PRAGMA wal_checkpoint;", "PRAGMA wal_checkpoint"),
        ] {
            assert_eq!(needs_no_transaction(batch, SQLITE), Some(name), "{batch:?}");
        }
        for batch in [
            "SELECT 1 AS vacuum",
            "PRAGMA foreign_keys;",
            "PRAGMA user_version = 3",
            "PRAGMA temp_store = MEMORY",
            "PRAGMA table_info(journal_mode)",
            "SELECT ';'; -- VACUUM",
            "ATTACH 'x' AS y",
            "CREATE DATABASE x",
        ] {
            assert_eq!(needs_no_transaction(batch, SQLITE), None, "{batch:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_judging_panic(text in "(\\PC|\n|CREATE |TRIGGER |BEGIN|END|;|'|\\[|PRAGMA x|--|/\\*){0,30}") {
            for syntax in [T_SQL, SQLITE] {
                let _ = needs_no_transaction(&text, syntax);
            }
        }
    }
}
