//! What cannot run in a transaction.

use super::part::Part;
use super::{Clause, Statement, statements};
use crate::script::syntax::Syntax;

/// The first statement of a batch that cannot run in a transaction, such as `CREATE DATABASE`; `None` when there is none.
///
/// T-SQL: CREATE, ALTER and DROP of a database, full-text catalog or index, or event session; BACKUP, RESTORE,
/// RECONFIGURE; indexes and constraints with RESUMABLE = ON; CREATE of a memory-optimised table or a natively compiled
/// module; calls of the full-text procedures. SQLite: VACUUM, and pragmas that fail or are passed over inside a
/// transaction.
///
/// What another procedure or a dynamic SQL text would do is not seen, nor that a table which is altered or dropped is
/// memory-optimised: there the author's directive decides.
#[must_use]
pub fn needs_no_transaction(batch: &str, syntax: Syntax) -> Option<&'static str> {
    statements(batch, syntax).find_map(|statement| statement.needs_no_transaction())
}

/// The procedures that sent full-text DDL before there were statements for it. They refuse to run in a transaction.
const FULL_TEXT_PROCEDURES: [&str; 5] = [
    "sp_fulltext_catalog",
    "sp_fulltext_column",
    "sp_fulltext_database",
    "sp_fulltext_service",
    "sp_fulltext_table",
];

impl<'a> Statement<'a> {
    /// The statement as a name, when it cannot run in a transaction.
    pub(in crate::script) fn needs_no_transaction(&self) -> Option<&'static str> {
        match self.syntax {
            Syntax::TransactSql => self
                .transact_sql_without_transaction()
                .or_else(|| self.clause_without_transaction())
                .or_else(|| self.full_text_procedure()),
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

    /// Documented: resumable operations with CREATE INDEX and ALTER INDEX, the rest with the constructs that In-Memory
    /// OLTP does not support ("DDL inside transactions").
    fn clause_without_transaction(&self) -> Option<&'static str> {
        let (verb, object) = (self.part(0), self.part(1));
        match self.clause? {
            Clause::NativelyCompiled => self
                .defines_module()
                .then_some("a module with NATIVE_COMPILATION"),
            _ if self.defines_module() => None,
            Clause::MemoryOptimized => (verb.is("CREATE") && object.is("TABLE"))
                .then_some("CREATE TABLE with MEMORY_OPTIMIZED = ON"),
            Clause::Resumable if verb.is("CREATE") => self
                .head
                .iter()
                .any(|part| part.is("INDEX"))
                .then_some("CREATE INDEX with RESUMABLE = ON"),
            Clause::Resumable if verb.is("ALTER") && object.is("INDEX") => {
                Some("ALTER INDEX with RESUMABLE = ON")
            }
            Clause::Resumable => (verb.is("ALTER") && object.is("TABLE"))
                .then_some("ALTER TABLE with RESUMABLE = ON"),
        }
    }

    fn full_text_procedure(&self) -> Option<&'static str> {
        let called = self.called_procedure()?;
        FULL_TEXT_PROCEDURES
            .into_iter()
            .find(|name| called.eq_ignore_ascii_case(name))
    }

    /// The last part of the name of the procedure that the statement calls, if it calls one. The first statement of a
    /// batch needs no EXEC for that.
    fn called_procedure(&self) -> Option<&'a str> {
        let is_dot = |at: usize| self.part(at) == Part::Symbol(b'.');
        let mut at = usize::from(self.part(0).is_any(&["EXEC", "EXECUTE"]));
        let returns = at == 1 && self.part(2) == Part::Symbol(b'=');
        at += if returns { 2 } else { 0 };
        while is_dot(at + 1) {
            // A database may be followed by two dots.
            at += if is_dot(at + 2) { 3 } else { 2 };
        }
        self.part(at).name()
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
    fn options_that_t_sql_refuses_in_a_transaction_are_known() {
        for (batch, name) in [
            (
                "CREATE INDEX i ON t (a) WITH (ONLINE = ON, RESUMABLE = ON)",
                "CREATE INDEX with RESUMABLE = ON",
            ),
            (
                "create unique nonclustered index i on t (a) with (resumable=on)",
                "CREATE INDEX with RESUMABLE = ON",
            ),
            (
                "SELECT 1; ALTER INDEX ALL ON t REBUILD WITH (RESUMABLE /* c */ = ON, MAX_DURATION = 60)",
                "ALTER INDEX with RESUMABLE = ON",
            ),
            (
                "ALTER TABLE t ADD CONSTRAINT p PRIMARY KEY (a) WITH (ONLINE = ON, RESUMABLE = ON)",
                "ALTER TABLE with RESUMABLE = ON",
            ),
            (
                "CREATE TABLE t (a AS CASE WHEN b = 1 THEN 2 ELSE 3 END) WITH (DURABILITY = SCHEMA_ONLY, MEMORY_OPTIMIZED = ON)",
                "CREATE TABLE with MEMORY_OPTIMIZED = ON",
            ),
            (
                "CREATE OR ALTER PROC p WITH NATIVE_COMPILATION, SCHEMABINDING AS BEGIN ATOMIC WITH (LANGUAGE = 'x') SELECT 1 END",
                "a module with NATIVE_COMPILATION",
            ),
        ] {
            assert_eq!(needs_no_transaction(batch, T_SQL), Some(name), "{batch:?}");
        }
        for batch in [
            "CREATE INDEX i ON t (a) WITH (ONLINE = ON, RESUMABLE = OFF)",
            "CREATE INDEX resumable ON t (a)",
            "SELECT 1 AS RESUMABLE; UPDATE t SET memory_optimized = 1",
            "CREATE TABLE t (a INT) WITH (MEMORY_OPTIMIZED = OFF)",
            "CREATE PROC p AS ALTER INDEX i ON t REBUILD WITH (RESUMABLE = ON)",
            "CREATE PROC p AS CREATE TABLE t (a INT) WITH (MEMORY_OPTIMIZED = ON)",
            "ALTER DATABASE SCOPED CONFIGURATION SET ELEVATE_RESUMABLE = WHEN_SUPPORTED",
        ] {
            assert_eq!(needs_no_transaction(batch, T_SQL), None, "{batch:?}");
        }
    }

    #[test]
    fn calls_of_full_text_procedures_are_known() {
        for batch in [
            "EXEC sp_fulltext_catalog 'c', 'create'",
            "sp_fulltext_catalog 'c', 'create'",
            "dbo.sp_fulltext_catalog 'c', 'drop'",
            "SELECT 1\nEXECUTE sys.SP_FULLTEXT_CATALOG 'c', 'drop'",
            "DECLARE @r INT EXEC @r = x.sys.[sp_fulltext_catalog] 'c'",
            "exec master..\"sp_fulltext_catalog\" 'c'",
            "IF 1 = 1 EXEC sp_fulltext_catalog 'c', 'drop'",
        ] {
            assert_eq!(
                needs_no_transaction(batch, T_SQL),
                Some("sp_fulltext_catalog"),
                "{batch:?}"
            );
        }
        for procedure in FULL_TEXT_PROCEDURES {
            assert_eq!(needs_no_transaction(procedure, T_SQL), Some(procedure));
        }
        for batch in [
            "EXEC sp_help sp_fulltext_catalog",
            "SELECT sp_fulltext_catalog FROM t",
            "EXEC('sp_fulltext_catalog')",
            "EXEC sp_fulltext_catalog.x",
            "CREATE PROC p AS EXEC sp_fulltext_catalog 'c'",
            "GRANT EXECUTE ON sp_fulltext_catalog TO bob",
        ] {
            assert_eq!(needs_no_transaction(batch, T_SQL), None, "{batch:?}");
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
