//! `delete-without-where`: DELETE statements that take every row.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "delete-without-where",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "DELETE without WHERE",
    reason: "DELETE without WHERE removes every row of the table, which is seldom meant and cannot be told from a forgotten line.",
    remedy: "Add the WHERE; if every row is meant, allow it with the reason.",
};

pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    reading
        .about_others()
        .filter_map(|statement| {
            let Action::Delete {
                table,
                is_restricted: false,
                ..
            } = &statement.action
            else {
                return None;
            };
            let message = format!(
                "DELETE without WHERE removes every row of {}: add the WHERE, or allow it with the reason",
                table.shown()
            );
            Some(RULE.finding(message, statement.place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;
    use crate::script::lint::ScriptKind;

    #[test]
    fn a_statement_that_takes_every_row_is_told() {
        for script in [
            "DELETE dbo.t",
            "DELETE FROM t",
            "DELETE TOP (10) PERCENT FROM [t]",
            "DELETE FROM t\nINSERT t SELECT a FROM u WHERE a = 1",
            "DELETE x FROM t x",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [(1, 1)], "{script}");
        }
        assert_eq!(
            found(&RULE, "DELETE FROM t; SELECT 1 WHERE 1 = 1", SQLITE),
            [(1, 1)]
        );
        assert_eq!(
            found_in(&RULE, "DELETE FROM t", T_SQL, ScriptKind::Down),
            [(1, 1)]
        );
    }

    #[test]
    fn a_statement_that_chooses_rows_or_is_about_what_the_script_made_is_fine() {
        for script in [
            "DELETE t WHERE a = 1",
            "DELETE x FROM t x JOIN u ON x.a = u.a",
            "WITH x AS (SELECT TOP 1 a FROM t) DELETE FROM x",
            "SELECT * INTO t FROM u; DELETE FROM t",
            "DELETE FROM #t",
            "DELETE x FROM @t x",
            "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (a) ON DELETE CASCADE",
            "MERGE t USING u ON t.a = u.a WHEN NOT MATCHED BY SOURCE THEN DELETE;",
            "REVOKE DELETE ON t FROM bob",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
    }
}
