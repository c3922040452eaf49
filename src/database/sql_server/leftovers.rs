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
    /// Something that comes between nobody and dbvc's records, but that the next script should not find.
    lasting: bool,
}

/// Words of what lasts as long as a session: temporary tables and procedures, cursors, what is kept for the session, open keys.
const LASTING: [&str; 4] = ["#", "CURSOR", "SESSION_CONTEXT", "SYMMETRIC"];

impl Leftovers {
    /// Told from the texts of the batches that were sent.
    pub fn of(batches: &[BatchText]) -> Self {
        let mut all = Self::default();
        for batch in batches {
            let one = session_changes(&batch.text);
            let changes = &mut all.changes;
            changes.options |= one.options;
            changes.noexec |= one.noexec;
            changes.parseonly |= one.parseonly;
            changes.fmtonly |= one.fmtonly;
            changes.showplan |= one.showplan;
            changes.database |= one.database;
            changes.principal |= one.principal;
            let text = batch.text.to_ascii_uppercase();
            all.lasting |= LASTING.iter().any(|word| text.contains(word));
        }
        all
    }

    /// Whether there is nothing that would come between dbvc and its records.
    pub fn is_empty(&self) -> bool {
        self.changes == SessionChanges::default()
    }

    /// Whether the session is not fit for another script, which should find it as if it were the first.
    pub fn soil_session(&self) -> bool {
        !self.is_empty() || self.lasting
    }
}

/// The batches that undo it, as far as statements can. `database`: where the session belongs.
pub(super) fn restoring(leftovers: &Leftovers, database: &str) -> Vec<String> {
    let changes = &leftovers.changes;
    let mut batches = Vec::new();
    if changes.showplan {
        // Each is the only statement of its batch, or it is explained and not executed.
        let options = ["SHOWPLAN_ALL", "SHOWPLAN_TEXT", "SHOWPLAN_XML"];
        batches.extend(options.map(|option| format!("SET {option} OFF;")));
    }
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
    if !text.is_empty() {
        batches.push(text);
    }
    batches
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
        assert!(restoring(&plain, "db").is_empty());
    }

    #[test]
    fn what_keeps_statements_from_running_is_undone_first() {
        let text = &restoring(&left_by("SET NOEXEC ON;"), "db")[0];
        assert!(
            text.starts_with("SET NOEXEC OFF; SET XACT_ABORT ON;"),
            "{text}"
        );
    }

    #[test]
    fn the_name_of_the_database_is_quoted() {
        let text = &restoring(&left_by("USE master"), "odd]name")[0];
        assert!(text.contains("USE [odd]]name];"), "{text}");
    }

    #[test]
    fn a_temporary_table_is_not_for_the_next_script() {
        let left = left_by("SELECT 1 AS a INTO #t");
        assert!(left.is_empty());
        assert!(left.soil_session());
    }
}
