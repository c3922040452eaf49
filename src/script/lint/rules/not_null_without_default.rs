//! `not-null-without-default`: columns that must have a value which no row has.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "not-null-without-default",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "A NOT NULL column is added without a default",
    reason: "The statement fails as soon as the table has a row, because no row has a value for the column.",
    remedy: "Add a DEFAULT, or add the column as NULL, fill it and make it NOT NULL.",
};

pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    reading
        .about_others()
        .flat_map(|statement| {
            let (table, columns) = match &statement.action {
                Action::AddColumns { table, columns } => (table.shown(), columns.as_slice()),
                _ => (String::new(), &[][..]),
            };
            let needing = columns.iter().filter(|column| column.needs_value);
            needing.map(move |column| {
                let message = format!(
                    "{} is NOT NULL and has no default, so that this fails if {table} has a row: add a DEFAULT, or add it as \
                     NULL and fill it first",
                    column.name.last()
                );
                RULE.finding(message, column.name.place)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;
    use crate::script::lint::ScriptKind;

    #[test]
    fn each_such_column_is_told_where_it_stands() {
        let script = "ALTER TABLE dbo.t ADD\n  a NVARCHAR(10) NOT NULL,\n  b INT NULL,\n  [c] INT NOT NULL CHECK (c > 0)";
        assert_eq!(found(&RULE, script, T_SQL), [(2, 3), (4, 3)]);
        assert_eq!(
            found(&RULE, "ALTER TABLE t ADD COLUMN a TEXT NOT NULL", SQLITE),
            [(1, 26)]
        );
        for script in [
            "ALTER TABLE t ADD a UNIQUEIDENTIFIER ROWGUIDCOL NOT NULL",
            "ALTER TABLE t WITH CHECK ADD a INT NOT NULL REFERENCES u (a) ON DELETE CASCADE",
            "ALTER TABLE t ADD a dbo.Flag NOT NULL",
        ] {
            assert_eq!(found(&RULE, script, T_SQL).len(), 1, "{script}");
        }
    }

    #[test]
    fn a_column_with_a_value_and_a_table_without_rows_are_fine() {
        for script in [
            "ALTER TABLE t ADD a INT NOT NULL DEFAULT 0",
            "ALTER TABLE t ADD a INT NOT NULL CONSTRAINT d DEFAULT (GETDATE()) WITH VALUES",
            "ALTER TABLE t ADD a INT IDENTITY (1, 1) NOT NULL",
            "ALTER TABLE t ADD a ROWVERSION NOT NULL",
            "ALTER TABLE t ADD a AS (b * 2) PERSISTED NOT NULL",
            "ALTER TABLE t ADD a DATETIME2 GENERATED ALWAYS AS ROW START HIDDEN NOT NULL DEFAULT SYSUTCDATETIME()",
            "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL)",
            "ALTER TABLE t ADD a INT NULL",
            "CREATE TABLE t (b INT); ALTER TABLE t ADD a INT NOT NULL",
            "ALTER TABLE #t ADD a INT NOT NULL",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        let other = "ALTER TABLE t ADD a INT NOT NULL";
        assert_eq!(found_in(&RULE, other, T_SQL, ScriptKind::Down).len(), 1);
    }
}
