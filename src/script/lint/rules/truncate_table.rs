//! `truncate-table`: tables that are emptied.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "truncate-table",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "A table is emptied by TRUNCATE",
    reason: "TRUNCATE TABLE removes every row, fires no trigger, and sets identity values back.",
    remedy: "If every row is meant, allow it with the reason.",
};

pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    reading
        .about_others()
        .filter_map(|statement| {
            let Action::Truncate { table } = &statement.action else {
                return None;
            };
            let message = format!(
                "TRUNCATE TABLE removes every row of {}: if that is meant, allow it with the reason",
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
    fn a_table_that_is_emptied_is_told() {
        assert_eq!(
            found(&RULE, "SELECT 1 TRUNCATE TABLE dbo.t", T_SQL),
            [(1, 10)]
        );
        assert_eq!(
            found_in(&RULE, "TRUNCATE TABLE t", T_SQL, ScriptKind::Down),
            [(1, 1)]
        );
    }

    #[test]
    fn a_table_of_the_script_may_be_emptied() {
        for script in [
            "TRUNCATE TABLE #t",
            "CREATE TABLE t (a INT); TRUNCATE TABLE t",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        assert_eq!(found(&RULE, "SELECT 1 AS truncate", SQLITE), []);
    }
}
