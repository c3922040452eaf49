//! `narrowed-type`: columns whose new type holds less than the old one.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::ScriptKind;
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "narrowed-type",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "A column gets a type that holds less",
    reason: "The statement fails, or cuts values off, when a row holds more than the new type can.",
    remedy: "Check the longest or largest value first, and correct the rows that do not fit in the same migration.",
};

/// Only what scripts have said of the old type is compared. A down script takes back a type by nature.
pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    if reading.kind == ScriptKind::Down {
        return Vec::new();
    }
    reading
        .about_others()
        .filter_map(|statement| {
            let (old, new) = statement.narrowed.as_ref()?;
            let Action::AlterColumn { table, column } = &statement.action else {
                return None;
            };
            let message = format!(
                "{} of {} was {old} and becomes {new}, which holds less: make sure that every row fits, or the migration fails \
                 on the first that does not",
                column.name.last(),
                table.shown()
            );
            Some(RULE.finding(message, column.name.place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;

    const EARLIER: &str = "CREATE TABLE dbo.t (a NVARCHAR(100) NOT NULL, b INT, CONSTRAINT p PRIMARY KEY (b))\nGO\nALTER TABLE t ADD c DATETIME2;";

    fn found_behind(earlier: &[&str], script: &str) -> Vec<(u32, u32)> {
        super::super::testing::found_behind(&RULE, earlier, script)
    }

    #[test]
    fn a_type_is_compared_with_the_one_that_an_earlier_script_said() {
        for script in [
            "ALTER TABLE dbo.t ALTER COLUMN a NVARCHAR(50) NOT NULL",
            "ALTER TABLE [t] ALTER COLUMN [B] SMALLINT",
            "ALTER TABLE t ALTER COLUMN c DATE",
        ] {
            assert_eq!(found_behind(&[EARLIER], script).len(), 1, "{script}");
        }
        let wider = "ALTER TABLE t ALTER COLUMN a NVARCHAR(200)";
        assert_eq!(found_behind(&[EARLIER], wider), []);
        assert_eq!(
            found_behind(
                &[EARLIER, wider],
                "ALTER TABLE t ALTER COLUMN a NVARCHAR(100)"
            ),
            [(1, 28)]
        );
    }

    #[test]
    fn a_type_that_no_script_said_is_not_compared() {
        let script = "ALTER TABLE t ALTER COLUMN a NVARCHAR(1)";
        assert_eq!(found(&RULE, script, T_SQL), []);
        assert_eq!(found_behind(&[EARLIER, "DROP TABLE t"], script), []);
        assert_eq!(
            found_behind(&[EARLIER, "ALTER TABLE t DROP COLUMN a"], script),
            []
        );
        assert_eq!(
            found_behind(&["CREATE TABLE a.t (a NVARCHAR(9))"], script),
            []
        );
        assert_eq!(
            found_behind(&[EARLIER], "ALTER TABLE t ALTER COLUMN a dbo.Mine"),
            []
        );
    }

    #[test]
    fn a_table_of_the_script_itself_has_no_rows_to_lose_and_a_down_script_goes_back() {
        let own = "CREATE TABLE t (a NVARCHAR(9)); ALTER TABLE t ALTER COLUMN a NVARCHAR(1)";
        assert_eq!(found(&RULE, own, T_SQL), []);
        let two =
            "ALTER TABLE t ALTER COLUMN a NVARCHAR(9);\nALTER TABLE t ALTER COLUMN a NVARCHAR(1)";
        assert_eq!(found(&RULE, two, T_SQL), [(2, 28)]);
        assert_eq!(found_in(&RULE, two, T_SQL, ScriptKind::Down), []);
        assert_eq!(found(&RULE, two, SQLITE), []);
    }
}
