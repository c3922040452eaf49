//! `not-understood`: statements of which dbvc knows nothing.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "not-understood",
    severity: Severity::Note,
    scope: Scope::Place,
    title: "A statement is not understood",
    reason: "No rule has looked at the statement, and if it is a typing error the migration fails there.",
    remedy: "Read it once more; if it is right, nothing needs to be done.",
};

pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    let statements = reading.statements.iter();
    let unknown = statements.filter(|statement| statement.action == Action::NotUnderstood);
    unknown
        .map(|statement| {
            let message = "dbvc does not understand this statement, so that no rule has looked at it: read it once more";
            RULE.finding(message, statement.place)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;
    use crate::script::lint::ScriptKind;

    #[test]
    fn what_is_no_statement_is_noted_and_is_no_error() {
        for script in [
            "THIS IS NOT SQL",
            "CREATE TABEL t (a INT)",
            "CREATE TABLE t (a INT",
            "CREATE TABLE (a INT)",
            "ALTER TABLE t",
            "ALTER TABLE t AD a INT",
            "UPDATE t a = 1",
            "DELETE FROM WHERE a = 1",
        ] {
            for syntax in [T_SQL, SQLITE] {
                assert_eq!(found(&RULE, script, syntax), [(1, 1)], "{script}");
            }
        }
        assert_eq!(
            found_in(&RULE, "SELEC 1", SQLITE, ScriptKind::Down),
            [(1, 1)]
        );
    }

    #[test]
    fn statements_that_no_rule_reads_are_not() {
        for script in [
            "sp_rename 'a', 'b'",
            "dbo.p",
            "p 1",
            "p @a = 1",
            "EXEC p",
            "again: SELECT 1",
            "(SELECT 1)",
            "ENABLE TRIGGER x ON t",
            "ALTER INDEX i ON t REBUILD",
            "ALTER ROLE r ADD MEMBER m",
            "ALTER ROLE r DROP MEMBER m",
            "CREATE USER u FROM EXTERNAL PROVIDER",
            "ALTER TABLE t SWITCH PARTITION 1 TO u",
            "ALTER TABLE t NOCHECK CONSTRAINT ALL",
            "ALTER TABLE t SET (SYSTEM_VERSIONING = OFF)",
            "ALTER TABLE t DROP PERIOD FOR SYSTEM_TIME",
            "ALTER TABLE t ALTER COLUMN a ADD MASKED WITH (FUNCTION = 'default()')",
            "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        for script in [
            "PRAGMA x",
            "REPLACE INTO t VALUES (1)",
            "ALTER TABLE t RENAME TO u",
            "CREATE VIRTUAL TABLE t USING fts5(a)",
            "CREATE TABLE t AS SELECT 1",
        ] {
            assert_eq!(found(&RULE, script, SQLITE), [], "{script}");
        }
    }
}
