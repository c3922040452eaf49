//! `missing-if-exists`: objects that are dropped whether they are there or not.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::Action;
use crate::script::syntax::Syntax;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "missing-if-exists",
    severity: Severity::Note,
    scope: Scope::Script,
    title: "DROP without IF EXISTS",
    reason: "When the object is not there the statement fails, and with it a script that is run again after it ended half done.",
    remedy: "Write DROP … IF EXISTS; without it the script says that the object must be there.",
};

/// What an IF of the script asks about first is taken for that.
pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    let bare: Vec<_> = reading
        .about_others()
        .filter(|statement| !statement.is_conditional)
        .filter(|statement| drops_without_asking(&statement.action, reading.syntax))
        .collect();
    let Some(first) = bare.first() else {
        return Vec::new();
    };
    let more = match bare.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more in this script)"),
    };
    let message = format!(
        "this fails when the object is not there{more}: write IF EXISTS, unless the script must not run then"
    );
    vec![RULE.finding(message, first.place)]
}

fn drops_without_asking(action: &Action<'_>, syntax: Syntax) -> bool {
    match action {
        Action::Drop {
            kind, if_exists, ..
        } => {
            !if_exists
                && kind.len() > 1
                && CAN_ASK.iter().any(|known| kind.eq_ignore_ascii_case(known))
        }
        // SQLite has no IF EXISTS there.
        Action::DropFromTable { if_exists, .. } => !if_exists && syntax == Syntax::TransactSql,
        _ => false,
    }
}

/// What can be dropped with IF EXISTS, in one engine or both. Source: the DROP statements of
/// <https://learn.microsoft.com/sql/t-sql/statements/statements>.
const CAN_ASK: [&str; 18] = [
    "AGGREGATE",
    "ASSEMBLY",
    "DATABASE",
    "DEFAULT",
    "FUNCTION",
    "INDEX",
    "PROC",
    "PROCEDURE",
    "ROLE",
    "RULE",
    "SCHEMA",
    "SEQUENCE",
    "SYNONYM",
    "TABLE",
    "TRIGGER",
    "TYPE",
    "USER",
    "VIEW",
];

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;
    use crate::script::lint::ScriptKind;

    #[test]
    fn the_first_such_statement_of_a_script_is_noted() {
        let script = "DROP VIEW IF EXISTS a;\nDROP VIEW b;\nALTER TABLE t DROP CONSTRAINT c;";
        assert_eq!(found(&RULE, script, T_SQL), [(2, 1)]);
        assert_eq!(
            found(
                &RULE,
                "ALTER TABLE t DROP COLUMN IF EXISTS a, b; ALTER TABLE t DROP COLUMN a",
                T_SQL
            ),
            [(1, 43)]
        );
        for script in ["DROP INDEX i ON t", "DROP PROC p", "drop table t"] {
            assert_eq!(
                found_in(&RULE, script, T_SQL, ScriptKind::Down),
                [(1, 1)],
                "{script}"
            );
        }
        assert_eq!(found(&RULE, "DROP TRIGGER t", SQLITE), [(1, 1)]);
    }

    #[test]
    fn what_is_asked_about_first_or_cannot_be_asked_about_is_fine() {
        for script in [
            "IF OBJECT_ID('t') IS NOT NULL DROP TABLE t",
            "IF EXISTS (SELECT 1 FROM sys.views) BEGIN DROP VIEW v; DROP VIEW w; END",
            "CREATE TABLE t (a INT); DROP TABLE t",
            "DROP TABLE #t",
            "DROP CERTIFICATE c",
            "DROP FULLTEXT INDEX ON t",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        assert_eq!(found(&RULE, "ALTER TABLE t DROP COLUMN a", SQLITE), []);
    }
}
