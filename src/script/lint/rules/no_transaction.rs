//! `no-transaction`: statements that cannot run in a transaction.

use super::{Rule, Scope};
use crate::script::batch::Batch;
use crate::script::finding::{Finding, Severity};
use crate::script::statement::statements;
use crate::script::syntax::Syntax;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "no-transaction",
    severity: Severity::Warning,
    scope: Scope::Script,
    title: "A statement cannot run in a transaction",
    reason: "A script that runs without a transaction and fails is left half done.",
    remedy: "Keep such a statement alone in a script of its own, and say transaction=off.",
};

/// The first such statement as it is called, and its place.
pub(super) type First = (&'static str, (u32, u32));

pub(super) fn first(batches: &[Batch<'_>], syntax: Syntax) -> Option<First> {
    batches.iter().find_map(|batch| {
        let (name, mark) = statements(batch.text, syntax)
            .find_map(|statement| Some((statement.needs_no_transaction()?, statement.mark)))?;
        let line = batch.file_line(mark.line);
        Some((name, (line, mark.column_in(batch.text))))
    })
}

/// A note, or a warning when the script says that it runs in a transaction.
pub(super) fn finding((name, place): First, directive: Option<bool>) -> Finding {
    if directive == Some(true) {
        let message = format!(
            "{name} cannot run in a transaction, and the script says transaction=on: say transaction=off"
        );
        return RULE
            .finding(message, place)
            .with_suggestion("-- dbvc: transaction=off");
    }
    let message = format!(
        "{name} cannot run in a transaction, so the script runs without one and a failure leaves it half done: keep it alone \
         in a script of its own"
    );
    RULE.finding(message, place).with_severity(Severity::Note)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{T_SQL, severities};
    use super::*;

    #[test]
    fn the_first_statement_that_cannot_run_in_a_transaction_is_noted_at_its_line_of_the_file() {
        let script = "SELECT 1;\nGO\n\n DROP DATABASE x;\nCREATE DATABASE x;";
        assert_eq!(severities(&RULE, script, T_SQL), [(Severity::Note, 4, 2)]);
        let against = format!("-- dbvc: transaction=on\n{script}");
        assert_eq!(
            severities(&RULE, &against, T_SQL),
            [(Severity::Warning, 5, 2)]
        );
        let agreed = format!("-- dbvc: transaction=off\n{script}");
        assert_eq!(severities(&RULE, &agreed, T_SQL), []);
    }
}
