//! Whether a batch is one statement, which the server undoes as a whole when it refuses it.

use super::part::{Part, Parts, SEMICOLON};
use super::statements;
use super::transact_sql::defines_module;
use crate::script::syntax::Syntax;

/// Whether a batch certainly holds exactly one statement, and one that leaves nothing behind when it fails.
///
/// When in doubt it is not. T-SQL needs no semicolons: any further word that could begin a statement counts as one, save
/// where the statement is known to have it. Never single are control flow, DECLARE and SET; EXEC, since a procedure or a
/// text holds statements of its own; SELECT INTO, whose table stays when its rows are refused; DROP of several objects;
/// RESTORE, UPDATE STATISTICS and resumable index operations, which keep what they have done; on SQLite what says
/// `OR FAIL`.
///
/// With variables, the batch is judged as it is sent: a value may hold any statement.
#[must_use]
pub fn is_single_statement(batch: &str, syntax: Syntax) -> bool {
    match syntax {
        Syntax::TransactSql => is_single_in_transact_sql(batch),
        Syntax::Sqlite => {
            let keeps_a_part =
                |part: Part<'_>| part.is("FAIL") || matches!(part, Part::Unterminated);
            statements(batch, syntax).take(2).count() == 1
                && !Parts::of(batch, syntax).any(|(part, _)| keeps_a_part(part))
        }
    }
}

fn is_single_in_transact_sql(batch: &str) -> bool {
    if defines_module(batch) {
        return true;
    }
    let mut parts = Parts::of(batch, Syntax::TransactSql)
        .map(|(part, _)| part)
        .skip_while(|part| *part == SEMICOLON)
        .peekable();
    let Some(mut reading) = parts.next().and_then(Reading::begin) else {
        return false;
    };
    while let Some(part) = parts.next() {
        let next = parts.peek().copied().unwrap_or(SEMICOLON);
        if !reading.goes_on(part, next) {
            return false;
        }
    }
    reading.is_whole()
}

/// What a statement is by its first word, for those of which one can tell where they end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    /// The tables of a WITH, before the statement that reads them.
    With,
    Select,
    /// Before its VALUES or SELECT.
    Insert,
    /// INSERT that has its rows by VALUES.
    InsertValues,
    Update,
    /// UPDATE that has its SET.
    UpdateSet,
    Delete,
    Merge,
    Create,
    Alter,
    Drop,
    /// GRANT, DENY and REVOKE, in their list of permissions.
    Permissions,
    /// The same behind that list.
    PermissionsOn,
    /// Statements in which no other has a place.
    Plain,
}

/// A statement while it is read.
struct Reading<'a> {
    verb: Verb,
    /// What it is about: the part behind its first word.
    object: Option<Part<'a>>,
    before: Part<'a>,
    /// The part before that.
    before_last: Part<'a>,
    /// How many parts have been read outside parentheses.
    position: usize,
    /// How many parentheses are open.
    depth: usize,
    /// What stands before the outermost parenthesis, while nothing but parentheses has been read behind it.
    opened_behind: Option<Part<'a>>,
    /// How many CASE expressions are open: their ELSE and END begin and end no statement.
    cases: usize,
    /// Whether a semicolon has been read.
    ended: bool,
}

/// Words that begin a statement, most of them reserved (the statements of the grammar in microsoft/SqlScriptDOM). WITH is
/// not among them, since SELECT, INSERT, UPDATE, DELETE or MERGE must follow it.
pub(in crate::script) const BEGINNINGS: [&str; 55] = [
    "ALTER",
    "BACKUP",
    "BEGIN",
    "BREAK",
    "BULK",
    "CHECKPOINT",
    "CLOSE",
    "COMMIT",
    "CONTINUE",
    "CREATE",
    "DBCC",
    "DEALLOCATE",
    "DECLARE",
    "DELETE",
    "DENY",
    "DROP",
    "DUMP",
    "ELSE",
    "END",
    "EXEC",
    "EXECUTE",
    "FETCH",
    "GOTO",
    "GRANT",
    "IF",
    "INSERT",
    "KILL",
    "LINENO",
    "LOAD",
    "MERGE",
    "OPEN",
    "PRINT",
    "RAISERROR",
    "READTEXT",
    "RECEIVE",
    "RECONFIGURE",
    "RESTORE",
    "RETURN",
    "REVERT",
    "REVOKE",
    "ROLLBACK",
    "SAVE",
    "SELECT",
    "SEND",
    "SET",
    "SETUSER",
    "SHUTDOWN",
    "THROW",
    "TRUNCATE",
    "UPDATE",
    "UPDATETEXT",
    "USE",
    "WAITFOR",
    "WHILE",
    "WRITETEXT",
];

/// Statements that begin with two words of which neither is reserved for it.
pub(in crate::script) const PAIRS: [(&str, &[&str]); 7] = [
    ("ADD", &["COUNTER", "SENSITIVITY", "SIGNATURE"]),
    ("COPY", &["INTO"]),
    ("DISABLE", &["TRIGGER"]),
    ("ENABLE", &["TRIGGER"]),
    ("GET", &["CONVERSATION"]),
    ("MOVE", &["CONVERSATION"]),
    ("RENAME", &["DATABASE", "OBJECT"]),
];

/// Words behind which a query in parentheses is a part of the statement that reads or changes rows. They end none.
const BEFORE_QUERY: [&str; 32] = [
    "ALL",
    "AND",
    "ANY",
    "APPLY",
    "AS",
    "BETWEEN",
    "BY",
    "COALESCE",
    "DISTINCT",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "FROM",
    "HAVING",
    "IN",
    "INTERSECT",
    "ISNULL",
    "JOIN",
    "LIKE",
    "NOT",
    "NULLIF",
    "ON",
    "OR",
    "SELECT",
    "SOME",
    "THEN",
    "TOP",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
];

impl<'a> Reading<'a> {
    fn begin(part: Part<'a>) -> Option<Self> {
        let verb = match () {
            () if part.is("WITH") => Verb::With,
            () if part.is("CREATE") => Verb::Create,
            () if part.is("ALTER") => Verb::Alter,
            () if part.is("DROP") => Verb::Drop,
            () if part.is_any(&["GRANT", "DENY", "REVOKE"]) => Verb::Permissions,
            () if part.is_any(&["BACKUP", "TRUNCATE", "RECONFIGURE"]) => Verb::Plain,
            () => Verb::of_data(part)?,
        };
        Some(Self {
            verb,
            object: None,
            before: part,
            before_last: SEMICOLON,
            position: 1,
            depth: 0,
            opened_behind: None,
            cases: 0,
            ended: false,
        })
    }

    fn is_whole(&self) -> bool {
        self.verb != Verb::With && self.depth == 0 && self.cases == 0
    }

    /// Whether the statement, so far the only one, still is with this part.
    fn goes_on(&mut self, part: Part<'a>, next: Part<'_>) -> bool {
        let goes_on = match part {
            SEMICOLON => {
                self.ended = true;
                self.depth == 0
            }
            _ if self.ended => false,
            Part::Symbol(b'(') => {
                if self.depth == 0 {
                    // `FOR SYSTEM_TIME ALL` may end a statement, every other ALL goes on.
                    let ends = self.before.is("ALL") && self.before_last.is("SYSTEM_TIME");
                    self.opened_behind = Some(if ends { self.before_last } else { self.before });
                }
                self.depth += 1;
                // IF EXISTS before a query is a condition, before a name an option of DROP.
                !(self.before.is("EXISTS") && matches!(self.verb, Verb::Alter | Verb::Drop))
            }
            Part::Symbol(b')') => match self.depth.checked_sub(1) {
                Some(depth) => {
                    self.depth = depth;
                    true
                }
                None => false,
            },
            // A label, which other statements may follow. `::` belongs to a name.
            Part::Symbol(b':') => [self.before, next].contains(&Part::Symbol(b':')),
            // A call by an ODBC escape, or what is not known.
            Part::Symbol(b'{' | b'}') | Part::Unterminated => false,
            // A build that stops is kept and goes on later.
            _ if part.is("RESUMABLE") => next != Part::Symbol(b'='),
            _ if self.depth == 0 => self.holds(part, next),
            _ if part.is_any(&["SELECT", "WITH"]) => self
                .opened_behind
                .is_none_or(|behind| self.holds_query(behind)),
            _ => true,
        };
        if part != Part::Symbol(b'(') {
            self.opened_behind = None;
        }
        if self.depth == 0 {
            self.position += 1;
            self.object = self.object.or(Some(part));
        }
        self.before_last = std::mem::replace(&mut self.before, part);
        goes_on
    }

    /// Whether a query in parentheses belongs to the statement, by what stands before it. It may also be a statement of its
    /// own: `DROP TABLE a (SELECT 1)`.
    fn holds_query(&self, behind: Part<'_>) -> bool {
        let reads = matches!(
            self.verb,
            Verb::With
                | Verb::Select
                | Verb::InsertValues
                | Verb::Update
                | Verb::UpdateSet
                | Verb::Delete
                | Verb::Merge
        );
        // A statement may end in `*`: `OUTPUT deleted.*`.
        let behind_operator =
            matches!(behind, Part::Symbol(symbol) if !matches!(symbol, b')' | b'*'));
        reads && (behind_operator || behind.is_in(&BEFORE_QUERY))
    }

    /// Whether a part outside parentheses belongs to the statement.
    fn holds(&mut self, part: Part<'a>, next: Part<'_>) -> bool {
        if part.is("CASE") {
            self.cases += 1;
            return true;
        }
        if self.cases > 0 && part.is_any(&["ELSE", "END"]) {
            self.cases -= usize::from(part.is("END"));
            return true;
        }
        if self.verb == Verb::Permissions {
            if part.is_any(&["ON", "TO", "FROM"]) {
                self.verb = Verb::PermissionsOn;
            }
            return true;
        }
        if part.is_in(&BEGINNINGS) {
            return self.holds_beginning(part, next);
        }
        let begins_by_two = PAIRS
            .iter()
            .any(|(first, second)| part.is(first) && next.is_any(second));
        // A column of the table that is altered, or ALTER or DROP of a column encryption key or column master key.
        let of_column = self.before.is("COLUMN") && part.is_any(&["ENCRYPTION", "MASTER"]);
        if begins_by_two || of_column || self.keeps_what_it_did(part) {
            return false;
        }
        if self.verb == Verb::Insert && part.is("VALUES") {
            self.verb = if self.before.is("DEFAULT") {
                Verb::Plain
            } else {
                Verb::InsertValues
            };
        }
        true
    }

    /// Whether the statement, by this part, is one that does not go back as a whole when it fails.
    fn keeps_what_it_did(&self, part: Part<'_>) -> bool {
        match self.verb {
            Verb::Select => part.is("INTO"),
            Verb::Update => part.is("STATISTICS"),
            Verb::Alter => part.is("RESUME"),
            Verb::Drop => part == Part::Symbol(b','),
            _ => false,
        }
    }

    /// Whether a word that could begin a statement belongs to the one before it.
    fn holds_beginning(&mut self, part: Part<'_>, next: Part<'_>) -> bool {
        let before = self.before;
        match self.verb {
            Verb::With => match Verb::of_data(part) {
                Some(verb) => {
                    self.verb = verb;
                    true
                }
                None => false,
            },
            Verb::Insert if part.is("SELECT") => {
                self.verb = Verb::Select;
                true
            }
            Verb::Select => {
                let goes_on = before.is_any(&["UNION", "EXCEPT", "INTERSECT"])
                    || before.is("ALL") && self.before_last.is("UNION");
                part.is("SELECT") && goes_on
            }
            Verb::Update if part.is("SET") => {
                self.verb = Verb::UpdateSet;
                true
            }
            Verb::Merge => {
                let then = before.is("THEN") && self.cases == 0;
                then && part.is_any(&["UPDATE", "INSERT", "DELETE"])
                    || before.is("UPDATE") && part.is("SET")
            }
            Verb::Alter => self.alter_holds(part, next),
            Verb::Drop => part.is("IF") && next.is("EXISTS"),
            Verb::PermissionsOn => part.is("GRANT") && before.is("WITH"),
            Verb::Insert
            | Verb::InsertValues
            | Verb::Update
            | Verb::UpdateSet
            | Verb::Delete
            | Verb::Create
            | Verb::Permissions
            | Verb::Plain => false,
        }
    }

    fn alter_holds(&self, part: Part<'_>, next: Part<'_>) -> bool {
        const DROPPED: [&str; 6] = ["COLUMN", "CONSTRAINT", "FILE", "MEMBER", "PERIOD", "TARGET"];
        let (before, position) = (self.before, self.position);
        let of = |object: &str| self.object.is_some_and(|part| part.is(object));
        let opens = next == Part::Symbol(b'(');
        match () {
            () if part.is("SET") && of("DATABASE") => {
                // ALTER DATABASE a SET, and ALTER DATABASE SCOPED CONFIGURATION [FOR SECONDARY] SET.
                position == 3
                    || position == 4 && before.is("CONFIGURATION")
                    || position == 6 && before.is("SECONDARY")
            }
            () if part.is("SET") => {
                opens || before.is_any(&["DELETE", "UPDATE"]) && next.is_any(&["NULL", "DEFAULT"])
            }
            () if part.is_any(&["DELETE", "UPDATE"]) => {
                of("TABLE") && before.is("ON") && next.is_any(&["CASCADE", "NO", "SET"])
            }
            () if part.is("DROP") => opens || next.is_any(&DROPPED),
            () if part.is("ALTER") => next.is("COLUMN"),
            () if part.is("MERGE") => of("PARTITION") && next.is("RANGE"),
            () if part.is("ROLLBACK") => before.is("WITH"),
            () => part.is("IF") && next.is("EXISTS"),
        }
    }
}

impl Verb {
    fn of_data(part: Part<'_>) -> Option<Self> {
        match () {
            () if part.is("SELECT") => Some(Self::Select),
            () if part.is("INSERT") => Some(Self::Insert),
            () if part.is("UPDATE") => Some(Self::Update),
            () if part.is("DELETE") => Some(Self::Delete),
            () if part.is("MERGE") => Some(Self::Merge),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_single(batch: &str) -> bool {
        is_single_statement(batch, Syntax::TransactSql)
    }

    /// Statements that are known to be one, without a semicolon.
    const SINGLE: [&str; 74] = [
        "SELECT 1",
        "SELECT a, [select], 'b; SELECT' FROM t WITH (NOLOCK) WHERE b IN (SELECT c FROM u) OPTION (RECOMPILE)",
        "SELECT a FROM t UNION ALL SELECT b FROM u EXCEPT (SELECT 1)",
        "SELECT CASE WHEN a = 1 THEN CASE b WHEN 2 THEN 3 END ELSE 4 END AS c FROM t",
        "SELECT geometry::Parse('x'), (SELECT 1), -(SELECT 2) FROM t JOIN (SELECT 1 AS a) AS u ON u.a = t.a",
        "UPDATE t SET a = ISNULL((SELECT 1), ((SELECT 2))) WHERE EXISTS ((SELECT 3))",
        "SELECT ROW_NUMBER() OVER (ORDER BY (SELECT NULL)) FROM t GROUP BY a WITH ROLLUP",
        "SELECT a FROM t FOR SYSTEM_TIME ALL",
        "INSERT INTO t (a, b) VALUES (1, (SELECT 2)), (3, 4)",
        "INSERT t DEFAULT VALUES",
        "INSERT t SELECT a FROM u UNION SELECT b FROM v",
        "INSERT INTO t WITH (TABLOCK) (a) OUTPUT inserted.a INTO @x SELECT TOP (5) a FROM u",
        "UPDATE t SET a = 1, b = (SELECT 2) FROM t JOIN u ON t.c = u.c WHERE t.d = 3",
        "UPDATE TOP (10) t SET a += 1 OUTPUT deleted.*",
        "DELETE FROM t WHERE a NOT IN (SELECT b FROM u)",
        "DELETE t OUTPUT deleted.a INTO u FROM t WHERE EXISTS (SELECT 1 FROM v)",
        "MERGE t USING (SELECT 1 AS a) AS s ON t.a = s.a WHEN MATCHED AND CASE WHEN t.b = 1 THEN 2 END = 2 THEN UPDATE SET b = 3 \
         WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a) WHEN NOT MATCHED BY SOURCE THEN DELETE OUTPUT $action",
        "WITH c (a) AS (SELECT 1), d AS (SELECT 2 AS b) SELECT * FROM c, d",
        "WITH c AS (SELECT 1 AS a) INSERT t SELECT a FROM c",
        "WITH c AS (SELECT 1 AS a) UPDATE t SET a = 1",
        "WITH c AS (SELECT 1 AS a) DELETE FROM c",
        "TRUNCATE TABLE t WITH (PARTITIONS (1, 2))",
        "CREATE TABLE t (a INT REFERENCES u ON DELETE SET NULL, b AS CASE WHEN a = 1 THEN 2 ELSE 3 END, c INT DEFAULT ((0))) ON fg",
        "CREATE UNIQUE INDEX i ON t (a) INCLUDE (b) WHERE a > 1 WITH (ONLINE = ON) ON fg",
        "CREATE DATABASE x ON PRIMARY (NAME = a, FILENAME = 'b') COLLATE c",
        "CREATE DATABASE y AS COPY OF x",
        "CREATE USER u FOR LOGIN l WITH DEFAULT_SCHEMA = s",
        "CREATE USER u FROM EXTERNAL PROVIDER",
        "CREATE SEQUENCE s AS INT START WITH 1 INCREMENT BY 1",
        "CREATE TYPE x AS TABLE (a INT)",
        "CREATE SYNONYM s FOR t",
        "CREATE STATISTICS s ON t (a) WITH FULLSCAN",
        "CREATE FULLTEXT CATALOG c AS DEFAULT",
        "CREATE FULLTEXT INDEX ON t (a LANGUAGE 1033) KEY INDEX k ON c WITH CHANGE_TRACKING AUTO",
        "CREATE EVENT SESSION s ON SERVER ADD EVENT a.b (ACTION (c.d) WHERE e = 1), ADD TARGET f.g",
        "CREATE SCHEMA s AUTHORIZATION dbo",
        "ALTER TABLE t ADD a INT NULL, b INT DEFAULT 1 WITH VALUES",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (a) ON DELETE CASCADE ON UPDATE SET NULL",
        "ALTER TABLE [a].[b] WITH CHECK ADD CONSTRAINT c CHECK (d IN (1, 2))",
        "ALTER TABLE t ALTER COLUMN a INT NOT NULL",
        "ALTER TABLE t DROP COLUMN IF EXISTS a, b",
        "ALTER TABLE t DROP CONSTRAINT c",
        "ALTER TABLE t SET (SYSTEM_VERSIONING = OFF)",
        "ALTER TABLE t SWITCH PARTITION 1 TO u",
        "ALTER TABLE t NOCHECK CONSTRAINT ALL",
        "ALTER DATABASE x SET SINGLE_USER WITH ROLLBACK IMMEDIATE",
        "ALTER DATABASE CURRENT SET RECOVERY SIMPLE",
        "ALTER DATABASE [x] MODIFY NAME = y",
        "ALTER DATABASE SCOPED CONFIGURATION SET MAXDOP = 4",
        "ALTER DATABASE SCOPED CONFIGURATION FOR SECONDARY SET MAXDOP = PRIMARY",
        "ALTER INDEX i ON t REBUILD PARTITION = ALL WITH (ONLINE = ON)",
        "ALTER INDEX i ON t DISABLE",
        "ALTER INDEX i ON t SET (IGNORE_DUP_KEY = ON)",
        "ALTER ROLE r ADD MEMBER m",
        "ALTER ROLE r DROP MEMBER m",
        "ALTER PARTITION FUNCTION f() MERGE RANGE (1)",
        "ALTER AUTHORIZATION ON SCHEMA::s TO dbo",
        "ALTER FULLTEXT INDEX ON t ENABLE",
        "DROP TABLE IF EXISTS t",
        "DROP INDEX i ON t WITH (ONLINE = ON)",
        "DROP DATABASE x",
        "GRANT SELECT, INSERT, EXECUTE, CREATE TABLE TO bob WITH GRANT OPTION",
        "GRANT SELECT (a, b) ON OBJECT::t TO bob AS dbo",
        "DENY ALTER ON SCHEMA::s TO bob CASCADE",
        "REVOKE GRANT OPTION FOR SELECT ON t FROM bob",
        "BACKUP DATABASE x TO DISK = 'y' WITH INIT, FORMAT, COMPRESSION",
        "BACKUP LOG x TO URL = 'y'",
        "RECONFIGURE WITH OVERRIDE",
        "/* a; b */ SELECT /* ; */ 1 /* ; SELECT 2 */",
        "\r\n\tSELECT\r\n1\r\n",
        "UPDATE t SET a = CASE WHEN b = 1 THEN 2 ELSE 3 END",
        "DROP LOGIN [DROP]",
        "DELETE cascade",
        "MERGE range USING u ON 1 = 0 WHEN MATCHED THEN DELETE",
    ];

    /// Statements that are not known to be one, and what may follow another one.
    const OTHER: [&str; 33] = [
        "EXEC p",
        "EXECUTE AS USER = 'x'",
        "SET NOCOUNT ON",
        "SET @a = 1",
        "DECLARE @a INT",
        "PRINT 1",
        "THROW",
        "USE x",
        "IF EXISTS (SELECT 1) SELECT 2",
        "IF NOT EXISTS (SELECT 1) SELECT 2",
        "WHILE 1 = 1 BREAK",
        "BEGIN SELECT 1 END",
        "BEGIN TRAN",
        "COMMIT",
        "label: SELECT 1",
        "label:",
        "(SELECT 1)",
        "((SELECT 1))",
        "BULK INSERT t FROM 'x'",
        "INSERT t EXEC p",
        "INSERT t (a) (SELECT 1)",
        "SELECT a INTO t FROM u",
        "UPDATE STATISTICS t",
        "RESTORE DATABASE x FROM DISK = 'y'",
        "DROP TABLE a, b",
        "DROP COLUMN MASTER KEY k",
        "ALTER COLUMN ENCRYPTION KEY k ADD VALUE (COLUMN_MASTER_KEY = m)",
        "ALTER TABLE t ENABLE TRIGGER ALL",
        "ENABLE TRIGGER x ON t",
        "ADD SIGNATURE TO p BY CERTIFICATE c",
        "CREATE INDEX i ON t (a) WITH (RESUMABLE = ON)",
        "ALTER INDEX i ON t RESUME",
        "{call p}",
    ];

    #[test]
    fn the_words_are_in_alphabetical_order() {
        assert!(BEGINNINGS.is_sorted() && BEFORE_QUERY.is_sorted());
    }

    #[test]
    fn one_statement_is_single_whatever_semicolons_stand_around_it() {
        for statement in SINGLE {
            for batch in [
                statement.to_owned(),
                format!(";{statement}\n;;\n-- c"),
                statement.to_lowercase(),
            ] {
                assert!(is_single(&batch), "{batch}");
            }
        }
    }

    #[test]
    fn the_definition_of_a_module_is_single_whatever_its_body_holds() {
        for batch in [
            "CREATE PROC p AS SELECT 1; DROP TABLE t COMMIT",
            ";CREATE OR ALTER VIEW v AS SELECT 1 AS a",
            "-- c\nALTER FUNCTION f() RETURNS INT AS BEGIN DECLARE @a INT; RETURN 1 END",
            "CREATE TRIGGER t ON DATABASE FOR DROP_TABLE AS ROLLBACK",
        ] {
            assert!(is_single(batch), "{batch}");
        }
        assert!(!is_single("SET ANSI_NULLS ON CREATE PROC p AS SELECT 1"));
    }

    #[test]
    fn what_may_be_several_or_keep_a_part_is_not_single() {
        for batch in OTHER {
            assert!(!is_single(batch), "{batch}");
        }
        for batch in [
            "",
            ";",
            "-- c",
            "WITH c AS (SELECT 1)",
            "SELECT (1",
            "SELECT 1)",
            "SELECT 'a",
            "INSERT t VALUES (1) SELECT 1",
            "INSERT t ((SELECT 1)) SELECT 2",
            "DELETE t OUTPUT deleted.* (SELECT 1)",
            "ALTER DATABASE x SET ANSI_NULLS ON DELETE t",
            "ALTER DATABASE x MODIFY NAME = CONFIGURATION SET NOCOUNT ON",
            "ALTER TABLE t ADD a INT DROP TABLE u",
            "DROP TABLE t IF EXISTS (SELECT 1) DROP TABLE u",
        ] {
            assert!(!is_single(batch), "{batch}");
        }
    }

    #[test]
    fn no_two_statements_are_single() {
        for first in SINGLE {
            for second in SINGLE.iter().chain(&OTHER) {
                for between in ["\n", ";"] {
                    let batch = format!("{first}{between}{second}");
                    assert!(!is_single(&batch), "{batch}");
                }
            }
        }
    }

    #[test]
    fn a_sqlite_batch_is_single_when_it_ends_one_statement() {
        let is_single = |batch| is_single_statement(batch, Syntax::Sqlite);
        for batch in [
            "SELECT 1",
            ";; VACUUM;\n-- c",
            "CREATE TRIGGER t AFTER UPDATE ON a BEGIN SELECT 1; SELECT 2; END;",
        ] {
            assert!(is_single(batch), "{batch}");
        }
        for batch in [
            "",
            "-- c",
            "SELECT 1; SELECT 2",
            "SELECT 'a",
            "INSERT OR FAIL INTO t VALUES (1), (2)",
        ] {
            assert!(!is_single(batch), "{batch}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_judging_panic(text in "(\\PC|\n|SELECT |INSERT |CASE |END|ALTER |DATABASE |SET |\\(|\\)|;|'|\\[|--|/\\*){0,30}") {
            for syntax in [Syntax::TransactSql, Syntax::Sqlite] {
                let _ = is_single_statement(&text, syntax);
            }
        }
    }
}
