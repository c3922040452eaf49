//! `update-without-where`: UPDATE statements that take every row.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "update-without-where",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "UPDATE without WHERE",
    reason: "UPDATE without WHERE changes every row of the table, which is seldom meant and cannot be told from a forgotten line.",
    remedy: "Add the WHERE; if every row is meant, allow it with the reason.",
};

pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    reading
        .about_others()
        .filter_map(|statement| {
            let Action::Update {
                table,
                is_restricted: false,
                ..
            } = &statement.action
            else {
                return None;
            };
            let message = format!(
                "UPDATE without WHERE changes every row of {}: add the WHERE, or allow it with the reason",
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
            "UPDATE dbo.t SET a = 1",
            "UPDATE TOP (10) t SET a = CASE WHEN b = 1 THEN 2 END, c = (SELECT d FROM u WHERE e = 1)",
            "UPDATE t SET a = 1\nSELECT a FROM t WHERE a = 1",
            "UPDATE x SET a = 1 FROM t AS x",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [(1, 1)], "{script}");
        }
        assert_eq!(
            found(&RULE, "UPDATE t SET a = 1; SELECT 1 WHERE 1 = 1", SQLITE),
            [(1, 1)]
        );
        assert_eq!(
            found_in(&RULE, "UPDATE t SET a = 1", T_SQL, ScriptKind::Down),
            [(1, 1)]
        );
    }

    #[test]
    fn a_statement_that_chooses_rows_or_is_about_what_the_script_made_is_fine() {
        for script in [
            "UPDATE t SET a = 1 WHERE b = 1",
            "UPDATE t SET a = 1 WHERE CURRENT OF c",
            "UPDATE x SET a = 1 FROM t AS x JOIN u ON x.b = u.b",
            "WITH x AS (SELECT TOP 1 a FROM t) UPDATE x SET a = 1",
            "CREATE TABLE t (a INT); UPDATE t SET a = 1",
            "ALTER TABLE t ADD a INT NULL, b INT\nGO\nUPDATE t SET a = 1, t.b = c",
            "UPDATE #t SET a = 1",
            "DECLARE @t TABLE (a INT) UPDATE @t SET a = 1",
            "UPDATE x SET a = 1 FROM #t x",
            "UPDATE STATISTICS t",
            "MERGE t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = 1;",
            "CREATE TRIGGER x ON t AFTER UPDATE AS UPDATE t SET a = 1",
            "GRANT UPDATE ON t TO bob",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
    }
}
