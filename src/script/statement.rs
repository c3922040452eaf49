//! The statements of a batch by their leading words, as far as running them in a transaction depends on it.
//!
//! This is no parser. A statement is judged by the words it begins with, never by a word somewhere inside it, so that a
//! column named like a statement does not count.

use super::cursor::{Cursor, Mark};
use super::syntax::Syntax;

/// How many leading parts of a statement are kept: the longest that is looked at is `PRAGMA main.journal_mode =`.
const HEAD_LENGTH: usize = 6;

/// A statement of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    head: Vec<Part<'a>>,
    syntax: Syntax,
    /// Where it begins in the batch.
    pub(super) mark: Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Word(&'a str),
    Symbol(u8),
    /// A string or a quoted identifier: never a keyword.
    Quoted,
}

const SEMICOLON: Part<'static> = Part::Symbol(b';');

impl Part<'_> {
    fn is(self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn is_any(self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }
}

/// The first statement of a batch that cannot run in a transaction, such as `CREATE DATABASE`; `None` when there is none.
///
/// T-SQL: CREATE, ALTER and DROP of a database, full-text catalog or index, or event session; BACKUP, RESTORE,
/// RECONFIGURE. SQLite: VACUUM, and pragmas that fail or are passed over inside a transaction. What a procedure, a dynamic
/// SQL text or an option of an index would do is not seen; there the author's directive decides.
#[must_use]
pub fn needs_no_transaction(batch: &str, syntax: Syntax) -> Option<&'static str> {
    statements(batch, syntax).find_map(|statement| statement.needs_no_transaction())
}

/// The first statement of a batch that begins or ends a transaction of its own: BEGIN, COMMIT, END or ROLLBACK.
///
/// Only SQLite is judged; `None` for T-SQL. Savepoints, and ROLLBACK TO one, stay inside the transaction around them.
#[must_use]
pub fn ends_transaction(batch: &str, syntax: Syntax) -> Option<&'static str> {
    statements(batch, syntax).find_map(|statement| statement.ends_transaction())
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
            syntax,
            mark,
        }
    }

    fn push(&mut self, part: Part<'a>) {
        if self.head.len() < HEAD_LENGTH {
            self.head.push(part);
        }
    }

    fn part(&self, index: usize) -> Part<'a> {
        self.head.get(index).copied().unwrap_or(SEMICOLON)
    }

    /// The statement as a name, when it cannot run in a transaction.
    pub(super) fn needs_no_transaction(&self) -> Option<&'static str> {
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

    /// The statement as a name, when it begins or ends a transaction.
    pub(super) fn ends_transaction(&self) -> Option<&'static str> {
        if self.syntax == Syntax::TransactSql {
            return None;
        }
        let to_at = if self.part(1).is("TRANSACTION") { 2 } else { 1 };
        if self.part(0).is("ROLLBACK") && self.part(to_at).is("TO") {
            return None;
        }
        ["BEGIN", "COMMIT", "END", "ROLLBACK"]
            .into_iter()
            .find(|keyword| self.part(0).is(keyword))
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

/// T-SQL needs no semicolons. But the words below are reserved, so that outside quotes each of them begins a statement,
/// save where it is part of another one: `CREATE OR ALTER`, an alias, or a permission in a list of them.
struct TransactSqlStatements<'a> {
    cursor: Cursor<'a>,
    /// The statement that was begun last.
    current: Option<Statement<'a>>,
    /// The part before the cursor, and its line.
    previous: (Part<'a>, u32),
    in_permissions: bool,
    /// Whether the batch may be the definition of a module, which must be its first statement.
    is_first: bool,
}

impl<'a> TransactSqlStatements<'a> {
    const BEGINNINGS: [&'static str; 8] = [
        "CREATE", "ALTER", "DROP", "BACKUP", "RESTORE", "GRANT", "DENY", "REVOKE",
    ];

    fn of(batch: &'a str) -> Self {
        Self {
            cursor: Cursor::new(batch),
            current: None,
            previous: (SEMICOLON, 0),
            in_permissions: false,
            is_first: true,
        }
    }

    /// Whether a statement begins with this part.
    fn begins(
        &mut self,
        part: Part<'_>,
        line: u32,
        (before, line_before): (Part<'_>, u32),
    ) -> bool {
        if part == SEMICOLON {
            self.in_permissions = false;
            return false;
        }
        if self.in_permissions {
            self.in_permissions = !part.is_any(&["ON", "TO", "FROM"]);
            return false;
        }
        let inside_another =
            matches!(before, Part::Symbol(b'.' | b',' | b'(')) || before.is_any(&["AS", "OR"]);
        let by_word =
            part.is_any(&Self::BEGINNINGS) || (part.is("RECONFIGURE") && line > line_before);
        let by_place = before == SEMICOLON || before.is_any(&["BEGIN", "ELSE"]);
        let begins = by_place || (by_word && !inside_another);
        if begins {
            self.in_permissions = part.is_any(&["GRANT", "DENY", "REVOKE"]);
        }
        begins
    }

    /// Hands out a whole statement. The rest of the batch is the body of a module that it defines.
    fn hand_out(&mut self, statement: Statement<'a>) -> Statement<'a> {
        if self.is_first && statement.defines_module() {
            self.current = None;
            self.cursor.skip_to_end();
        }
        self.is_first = false;
        statement
    }
}

impl<'a> Iterator for TransactSqlStatements<'a> {
    type Item = Statement<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((part, mark)) = next_part(&mut self.cursor, Syntax::TransactSql) {
            let previous = std::mem::replace(&mut self.previous, (part, mark.line));
            if self.begins(part, mark.line, previous) {
                let begun = Statement::begin(part, mark, Syntax::TransactSql);
                if let Some(statement) = self.current.replace(begun) {
                    return Some(self.hand_out(statement));
                }
            } else if let Some(statement) = &mut self.current {
                statement.push(part);
            }
        }
        self.current.take()
    }
}

/// SQLite ends a statement at a semicolon, and that of a trigger at `; END ;`, as its own shell does.
struct SqliteStatements<'a> {
    cursor: Cursor<'a>,
    /// The last two parts before the cursor.
    before: [Part<'a>; 2],
}

impl<'a> SqliteStatements<'a> {
    fn of(batch: &'a str) -> Self {
        Self {
            cursor: Cursor::new(batch),
            before: [SEMICOLON; 2],
        }
    }
}

impl<'a> Iterator for SqliteStatements<'a> {
    type Item = Statement<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut current: Option<Statement<'a>> = None;
        while let Some((part, mark)) = next_part(&mut self.cursor, Syntax::Sqlite) {
            let [before_last, last] = self.before;
            self.before = [last, part];
            match &mut current {
                None if part == SEMICOLON => {}
                None => current = Some(Statement::begin(part, mark, Syntax::Sqlite)),
                Some(statement) if part != SEMICOLON => statement.push(part),
                Some(statement) => {
                    let ends_trigger = last.is("END") && before_last == SEMICOLON;
                    if !statement.creates_trigger() || ends_trigger {
                        return current;
                    }
                }
            }
        }
        current
    }
}

/// The next word, symbol or quoted text of a batch, and where it begins. `None` at the end, and at what has no end.
fn next_part<'a>(cursor: &mut Cursor<'a>, syntax: Syntax) -> Option<(Part<'a>, Mark)> {
    loop {
        if cursor.skip_line_end() {
            continue;
        }
        let mark = cursor.mark();
        let byte = cursor.peek(0)?;
        if byte.is_ascii_whitespace() || byte == b'\x0b' {
            cursor.advance(1);
            continue;
        }
        if let Some(element) = cursor.skip_element(syntax).ok()? {
            if element.is_comment() {
                continue;
            }
            return Some((Part::Quoted, mark));
        }
        while cursor.peek(0).is_some_and(is_word_byte) {
            cursor.advance(1);
        }
        let word = cursor.text_since(mark);
        if word.is_empty() {
            cursor.advance(1);
            return Some((Part::Symbol(byte), mark));
        }
        return Some((Part::Word(word), mark));
    }
}

/// Letters beyond ASCII count as parts of words, and so, without harm, do blanks beyond ASCII.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'#' | b'$') || !byte.is_ascii()
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

    #[test]
    fn a_sqlite_script_that_begins_or_ends_a_transaction_is_known() {
        for (batch, name) in [
            ("BEGIN; SELECT 1; COMMIT;", "BEGIN"),
            ("SELECT 1; commit", "COMMIT"),
            (";;\n-- c\nEND TRANSACTION", "END"),
            ("ROLLBACK", "ROLLBACK"),
            ("ROLLBACK TRANSACTION;", "ROLLBACK"),
        ] {
            assert_eq!(ends_transaction(batch, SQLITE), Some(name), "{batch:?}");
        }
        for batch in [
            "SAVEPOINT a; ROLLBACK TO a; ROLLBACK TRANSACTION TO a; RELEASE a",
            "SELECT CASE WHEN 1 THEN 2 END",
            "INSERT OR ROLLBACK INTO t VALUES (1)",
            "\"BEGIN\"; 'COMMIT'; [END]; `ROLLBACK`",
        ] {
            assert_eq!(ends_transaction(batch, SQLITE), None, "{batch:?}");
        }
        assert_eq!(
            ends_transaction("BEGIN TRAN; COMMIT", T_SQL),
            None,
            "not judged yet"
        );
    }

    #[test]
    fn the_body_of_a_sqlite_trigger_is_part_of_it() {
        let trigger = "CREATE TEMP TRIGGER IF NOT EXISTS t AFTER UPDATE ON a WHEN new.x > 1 BEGIN\n\
                       UPDATE b SET x = CASE WHEN 1 THEN 2 END;\n\
                       DELETE FROM c; -- END;\n\
                       END";
        for after in ["", ";", " ;\nSELECT 1;"] {
            let batch = format!("{trigger}{after}");
            assert_eq!(ends_transaction(&batch, SQLITE), None, "{batch}");
        }
        let explained = format!("EXPLAIN QUERY PLAN {trigger};");
        assert_eq!(ends_transaction(&explained, SQLITE), None);
        let followed = format!("{trigger};\nEND;");
        assert_eq!(ends_transaction(&followed, SQLITE), Some("END"));
        assert_eq!(statements(&followed, SQLITE).count(), 2);
    }

    #[test]
    fn a_statement_knows_where_it_begins() {
        let batch = "-- c\r\nSELECT 1;\r\n  é; VACUUM";
        let places: Vec<_> = statements(batch, SQLITE)
            .map(|statement| (statement.mark.line, statement.mark.column_in(batch)))
            .collect();
        assert_eq!(places, [(2, 1), (3, 3), (3, 6)]);
    }

    proptest! {
        #[test]
        fn no_text_makes_judging_panic(text in "(\\PC|\n|CREATE |TRIGGER |BEGIN|END|;|'|\\[|PRAGMA x|--|/\\*){0,30}") {
            for syntax in [T_SQL, SQLITE] {
                let _ = (needs_no_transaction(&text, syntax), ends_transaction(&text, syntax));
            }
        }
    }
}
