//! What a script may leave behind in its session, told from its words, and the statements that undo it.
//!
//! SET options, USE and EXECUTE AS inside of EXEC, a procedure or a trigger end with it, so that only what stands in the batch
//! itself counts (documentation of SET Statements and of EXECUTE AS). A word too many costs a round trip; one too few shows in
//! the look at the session that follows every script.

use super::super::BatchText;
use crate::script::{SessionChanges, session_changes};

/// What some batches may have left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Leftovers {
    changes: SessionChanges,
}

impl Leftovers {
    /// Told from the texts of the batches that were sent.
    pub fn of(batches: &[BatchText]) -> Self {
        let mut changes = SessionChanges::default();
        for batch in batches {
            changes = changes.and(session_changes(&batch.text));
        }
        Self { changes }
    }

    /// Whether there is nothing that would come between dbvc and its records.
    pub fn is_empty(&self) -> bool {
        !self.changes.options && !self.changes.database && !self.changes.principal
    }

    /// Whether the session is not fit for another script, which should find it as if it were the first.
    pub fn soil_session(&self) -> bool {
        !self.is_empty() || self.changes.lasting
    }
}

/// The statements that undo it, as far as statements can. `database`: where the session belongs.
pub(super) fn restoring(leftovers: &Leftovers, database: &str) -> String {
    let changes = &leftovers.changes;
    let mut text = String::new();
    // These three first: while one of them is on, nothing else is executed.
    for (mentioned, option) in [
        (changes.parseonly, "PARSEONLY"),
        (changes.noexec, "NOEXEC"),
        (changes.fmtonly, "FMTONLY"),
    ] {
        if mentioned {
            text.push_str(&format!("SET {option} OFF; "));
        }
    }
    if changes.options {
        text.push_str(super::session::OPTIONS);
        text.push(' ');
    }
    if changes.principal {
        // One for each EXECUTE AS that may be open; without one it does nothing.
        text.push_str("REVERT; REVERT; REVERT; REVERT; ");
    }
    if changes.database {
        text.push_str(&format!("USE [{}]; ", database.replace(']', "]]")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_by(text: &str) -> Leftovers {
        Leftovers::of(&[BatchText {
            index: 1,
            line: 1,
            count: 1,
            text: text.to_owned(),
        }])
    }

    #[test]
    fn what_a_script_does_not_mention_costs_nothing() {
        let plain = left_by("CREATE TABLE t (id INT); UPDATE t SET id = 1;");
        assert!(plain.is_empty());
        assert!(!plain.soil_session());
        assert_eq!(restoring(&plain, "db"), "");
    }

    #[test]
    fn what_keeps_statements_from_running_is_undone_first() {
        let text = restoring(&left_by("SET NOEXEC ON;"), "db");
        assert!(
            text.starts_with("SET NOEXEC OFF; SET XACT_ABORT ON;"),
            "{text}"
        );
    }

    #[test]
    fn the_name_of_the_database_is_quoted() {
        let text = restoring(&left_by("USE master"), "odd]name");
        assert!(text.contains("USE [odd]]name];"), "{text}");
    }

    #[test]
    fn a_temporary_table_is_not_for_the_next_script() {
        let left = left_by("SELECT 1 AS a INTO #t");
        assert!(left.is_empty());
        assert!(left.soil_session());
    }
}
