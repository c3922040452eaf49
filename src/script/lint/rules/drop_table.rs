//! `drop-table`: tables that are dropped.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::ScriptKind;
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "drop-table",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "A table is dropped",
    reason: "The rows of a dropped table are gone, and a rollback of the migration does not bring them back.",
    remedy: "Copy what is still needed first, or drop the table in a later migration than the one that stops using it.",
};

/// A down script drops by nature.
pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    if reading.kind == ScriptKind::Down {
        return Vec::new();
    }
    reading
        .about_others()
        .filter_map(|statement| {
            let Action::Drop { kind, names, .. } = &statement.action else {
                return None;
            };
            if !kind.eq_ignore_ascii_case("TABLE") {
                return None;
            }
            let names: Vec<_> = names.iter().map(|name| name.shown()).collect();
            let message = format!(
                "{} is dropped with all its rows: copy what is still needed first, since a rollback does not bring them back",
                names.join(", ")
            );
            Some(RULE.finding(message, statement.place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;

    #[test]
    fn a_table_that_is_dropped_is_told_at_its_statement() {
        for syntax in [T_SQL, SQLITE] {
            assert_eq!(
                found(&RULE, "SELECT 1;\n  DROP TABLE IF EXISTS a", syntax),
                [(2, 3)]
            );
        }
        assert_eq!(
            found(&RULE, "IF OBJECT_ID('a') IS NOT NULL DROP TABLE a", T_SQL),
            [(1, 31)]
        );
    }

    #[test]
    fn what_the_script_made_itself_may_be_dropped() {
        for script in [
            "CREATE TABLE a (b INT); DROP TABLE dbo.A",
            "SELECT * INTO a FROM b; DROP TABLE a",
            "DROP TABLE #a",
            "DROP VIEW a",
            "CREATE PROC p AS DROP TABLE a",
            "EXEC('DROP TABLE a') -- DROP TABLE a",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        assert_eq!(
            found(&RULE, "DROP TABLE a; CREATE TABLE a (b INT)", T_SQL),
            [(1, 1)]
        );
    }

    #[test]
    fn a_down_script_drops_by_nature() {
        assert_eq!(found_in(&RULE, "DROP TABLE a", T_SQL, ScriptKind::Down), []);
    }
}
