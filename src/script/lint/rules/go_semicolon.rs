//! `go-semicolon`: `GO;`.

use super::{Rule, Scope};
use crate::script::batch::{Split, SplitNoteKind};
use crate::script::finding::{Finding, Severity};

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "go-semicolon",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "A GO line ends in a semicolon",
    reason: "GO is no statement; other tools take the line for text and send it to the server, which refuses it.",
    remedy: "Write GO alone.",
};

pub(super) fn check(split: &Split<'_>) -> impl Iterator<Item = Finding> {
    split.notes.iter().map(|note| match note.kind {
        SplitNoteKind::GoSemicolon => {
            let message = "GO is no statement and takes no semicolon: remove it, since other tools send the line to the \
                           server, which refuses it";
            RULE.finding(message, (note.line, note.column))
                .with_suggestion("GO")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{T_SQL, found};
    use super::*;
    use crate::script::batch::split;

    #[test]
    fn a_semicolon_behind_go_is_a_warning() {
        assert_eq!(found(&RULE, "a\nGO;\nb", T_SQL), [(2, 3)]);
        let split = split("a\nGO;", T_SQL).unwrap();
        let finding = check(&split).next().unwrap();
        assert_eq!(finding.suggestion.as_deref(), Some("GO"));
        assert_eq!(finding.severity, Severity::Warning);
    }
}
