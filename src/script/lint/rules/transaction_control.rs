//! `transaction-control`: statements that end the transaction in which the script runs.

use super::{Rule, Scope};
use crate::script::batch::Batch;
use crate::script::finding::{Finding, Severity};
use crate::script::statement::own_transaction_end;
use crate::script::syntax::Syntax;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "transaction-control",
    severity: Severity::Warning,
    scope: Scope::Script,
    title: "The script ends the transaction around it",
    reason: "A script and the record that it ran commit together; a script that commits or rolls back by itself breaks that.",
    remedy: "Remove the statement, or say transaction=off.",
};

pub(super) fn check(batches: &[Batch<'_>], syntax: Syntax) -> Option<Finding> {
    let end = own_transaction_end(batches, syntax)?;
    let message = format!(
        "{} breaks the transaction in which the script and its record commit together: remove it, or say transaction=off",
        end.statement
    );
    Some(RULE.finding(message, (end.line, end.column)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found};
    use super::*;

    #[test]
    fn a_sqlite_script_with_a_transaction_of_its_own_is_a_warning() {
        let script = "SELECT 1;\nBEGIN; SELECT 2; COMMIT;";
        assert_eq!(found(&RULE, script, SQLITE), [(2, 1)]);
        let agreed = format!("-- dbvc: transaction=off\n{script}");
        assert_eq!(found(&RULE, &agreed, SQLITE), []);
    }

    #[test]
    fn a_t_sql_script_that_ends_the_transaction_around_it_is_a_warning() {
        let script = "BEGIN TRAN;\nGO\nCOMMIT; INSERT t VALUES (1)\n  COMMIT";
        assert_eq!(found(&RULE, script, T_SQL), [(4, 3)]);
        let agreed = format!("-- dbvc: transaction=off\n{script}");
        assert_eq!(found(&RULE, &agreed, T_SQL), []);
    }

    #[test]
    fn a_script_that_runs_without_a_transaction_has_none_to_end() {
        let script = "DROP DATABASE x;\nBEGIN TRAN;\nROLLBACK;";
        assert_eq!(found(&RULE, script, T_SQL), []);
        let insisting = format!("-- dbvc: transaction=on\n{script}");
        assert_eq!(found(&RULE, &insisting, T_SQL), [(4, 1)]);
    }
}
