//! `drop-column`: columns that are dropped.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::ScriptKind;
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "drop-column",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "A column is dropped",
    reason: "The values of a dropped column are gone, and programs that still name it fail.",
    remedy: "Copy what is still needed first, or drop the column in a later migration than the one that stops using it.",
};

/// A down script drops by nature.
pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    if reading.kind == ScriptKind::Down {
        return Vec::new();
    }
    reading
        .about_others()
        .filter_map(|statement| {
            let Action::DropFromTable { table, columns, .. } = &statement.action else {
                return None;
            };
            let column = columns.first()?;
            let more = match columns.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = format!(
                "the column {} of {}{more} is dropped with all its values: copy what is still needed first, since a \
                 rollback does not bring them back",
                column.last(),
                table.shown()
            );
            Some(RULE.finding(message, column.place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;

    #[test]
    fn a_column_that_is_dropped_is_told_where_it_stands() {
        assert_eq!(
            found(&RULE, "ALTER TABLE dbo.t DROP COLUMN a, b", T_SQL),
            [(1, 31)]
        );
        assert_eq!(
            found(
                &RULE,
                "ALTER TABLE t DROP CONSTRAINT IF EXISTS c,\n COLUMN IF EXISTS [a]",
                T_SQL
            ),
            [(2, 19)]
        );
        for script in ["ALTER TABLE t DROP a", "ALTER TABLE t DROP COLUMN a"] {
            assert_eq!(found(&RULE, script, SQLITE).len(), 1, "{script}");
        }
    }

    #[test]
    fn what_is_no_column_or_was_made_by_the_script_may_be_dropped() {
        for script in [
            "ALTER TABLE t DROP CONSTRAINT c",
            "ALTER TABLE t DROP c",
            "CREATE TABLE t (a INT, b INT); ALTER TABLE t DROP COLUMN b",
            "ALTER TABLE t ADD a INT; ALTER TABLE t DROP COLUMN a",
            "ALTER TABLE #t DROP COLUMN a",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        assert_eq!(
            found_in(
                &RULE,
                "ALTER TABLE t DROP COLUMN a",
                T_SQL,
                ScriptKind::Down
            ),
            []
        );
    }
}
