//! `use-database`: scripts that go to another database.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "use-database",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "The script says USE",
    reason: "A script runs in the database that it is registered for; USE sends what follows to another one, and Azure SQL Database refuses it.",
    remedy: "Remove the line, and register the script for the database that it is meant for.",
};

pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    let statements = reading.statements.iter();
    let using = statements.filter(|statement| statement.action == Action::Use);
    using
        .map(|statement| {
            let message = "USE goes to another database than the one that the script is registered for: remove it";
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
    fn use_is_told_wherever_a_statement_can_begin() {
        assert_eq!(
            found(&RULE, "USE [master]\nGO\nSELECT 1\n use x", T_SQL),
            [(1, 1), (4, 2)]
        );
        assert_eq!(found_in(&RULE, "USE x", T_SQL, ScriptKind::Up), [(1, 1)]);
    }

    #[test]
    fn the_word_elsewhere_is_not() {
        for script in [
            "SELECT 1 OPTION (USE HINT ('x'))",
            "SELECT [use] FROM t -- USE x",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        assert_eq!(found(&RULE, "SELECT use FROM t", SQLITE), []);
    }
}
