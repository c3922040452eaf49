//! Checks the text of one script.

use super::allow::{AboutFile, Checked, Neighbours, settle};
use super::reading::{KnownColumns, Reading};
use super::rules;
use super::{EMPTY_SCRIPT, Rule, Scope};
use crate::script::batch::{Split, SplitError, SplitErrorKind, split};
use crate::script::directive::{
    DirectiveError, DirectiveErrorKind, Directives, misplaced_directive,
};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::ScriptKind;
use crate::script::syntax::Syntax;

/// See `docs/rules.md`.
pub(super) const UNTERMINATED_STRING: Rule = Rule {
    code: "unterminated-string",
    severity: Severity::Error,
    scope: Scope::Place,
    title: "A string is not closed",
    reason: "Where the string ends is not known, so that the script cannot be split into batches.",
    remedy: "Add the missing quote; a quote inside a string is written twice.",
};

/// See `docs/rules.md`.
pub(super) const UNTERMINATED_IDENTIFIER: Rule = Rule {
    code: "unterminated-identifier",
    severity: Severity::Error,
    scope: Scope::Place,
    title: "A quoted identifier is not closed",
    reason: "Where the name ends is not known, so that the script cannot be split into batches.",
    remedy: "Add the missing quote or bracket.",
};

/// See `docs/rules.md`.
pub(super) const UNTERMINATED_COMMENT: Rule = Rule {
    code: "unterminated-comment",
    severity: Severity::Error,
    scope: Scope::Place,
    title: "A block comment is not closed",
    reason: "Where the comment ends is not known, so that the script cannot be split into batches.",
    remedy: "Add the missing */; in T-SQL a comment inside a comment needs one of its own.",
};

/// See `docs/rules.md`.
pub(super) const BAD_GO: Rule = Rule {
    code: "bad-go",
    severity: Severity::Error,
    scope: Scope::Place,
    title: "A GO line holds something else",
    reason: "SQL Server Management Studio and sqlcmd refuse such a line, and what it should mean cannot be told.",
    remedy: "Leave GO alone on its line, with at most one repeat count from 1 and a -- comment.",
};

/// See `docs/rules.md`.
pub(super) const EMPTY: Rule = Rule {
    code: "empty-script",
    severity: Severity::Error,
    scope: Scope::File,
    title: "A script holds nothing to send",
    reason: "A migration that does nothing is most likely a file that was not saved.",
    remedy: "Write the statements, or a comment that says why there are none.",
};

/// See `docs/rules.md`.
pub(super) const UNKNOWN_DIRECTIVE: Rule = Rule {
    code: "unknown-directive",
    severity: Severity::Error,
    scope: Scope::Place,
    title: "A directive is not understood",
    reason: "The author relies on what the directive says, so that none is passed over.",
    remedy: "Write transaction or variables, each once and with on or off, or remove the line.",
};

/// See `docs/rules.md`.
pub(super) const MISPLACED_DIRECTIVE: Rule = Rule {
    code: "misplaced-directive",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "A directive stands behind the first statement",
    reason: "Nothing reads it there.",
    remedy: "Move it to the comments before the first statement.",
};

/// Checks the text of a script in T-SQL or SQLite, which is for applying or for rolling back, by itself. What was found
/// about the whole file comes along, since a comment in the file may allow it. The findings are in the order of their places,
/// without those that are allowed.
#[must_use]
pub fn check_script(
    text: &str,
    syntax: Syntax,
    kind: ScriptKind,
    findings: Vec<Finding>,
) -> Vec<Finding> {
    let about_file = AboutFile {
        findings,
        neighbours: Neighbours::Unknown,
    };
    let split = split(text, syntax);
    let mut known = KnownColumns::default();
    check_split(text, syntax, kind, about_file, &split, &mut known).findings
}

/// As [`check_script`], for a caller that has split the script already and knows the columns of earlier ones. What the
/// script does to them is added.
#[must_use]
pub fn check_split(
    text: &str,
    syntax: Syntax,
    kind: ScriptKind,
    about_file: AboutFile,
    split: &Result<Split<'_>, SplitError>,
    known: &mut KnownColumns,
) -> Checked {
    let mut findings = about_file.findings;
    let directives = Directives::of_script(text, syntax);
    let mut statements = Vec::new();
    match split {
        Err(error) => findings.push(split_error(error)),
        Ok(split) => {
            if split.batches.is_empty() {
                findings.push(EMPTY.of_file(EMPTY_SCRIPT));
            }
            let reading = Reading::of(split, syntax, kind, known);
            let directives = directives.as_ref().ok();
            findings.extend(rules::check(text, syntax, split, directives, &reading));
            statements = reading.extents;
        }
    }
    findings.extend(
        directives
            .err()
            .into_iter()
            .flatten()
            .map(unknown_directive),
    );
    if let Some(place) = misplaced_directive(text, syntax) {
        let message = "nothing reads a directive behind the first statement: move it to the first lines of the script";
        findings.push(MISPLACED_DIRECTIVE.finding(message, place));
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    let statements = split.is_ok().then_some(&statements);
    settle(text, syntax, findings, about_file.neighbours, statements)
}

fn split_error(error: &SplitError) -> Finding {
    let rule = match error.kind {
        SplitErrorKind::UnterminatedString => UNTERMINATED_STRING,
        SplitErrorKind::UnterminatedIdentifier => UNTERMINATED_IDENTIFIER,
        SplitErrorKind::UnterminatedComment => UNTERMINATED_COMMENT,
        SplitErrorKind::BadGo | SplitErrorKind::ZeroCount | SplitErrorKind::CountTooBig => BAD_GO,
    };
    rule.finding(error.kind, (error.line, error.column))
}

fn unknown_directive(error: DirectiveError) -> Finding {
    let finding = UNKNOWN_DIRECTIVE.finding(&error.kind, (error.line, error.column));
    match error.kind {
        DirectiveErrorKind::UnknownValue { key, value }
            if value.eq_ignore_ascii_case("on") || value.eq_ignore_ascii_case("off") =>
        {
            finding.with_suggestion(format!("-- dbvc: {key}={}", value.to_ascii_lowercase()))
        }
        _ => finding,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T_SQL: Syntax = Syntax::TransactSql;
    const SQLITE: Syntax = Syntax::Sqlite;

    fn codes(script: &str, syntax: Syntax) -> Vec<(&'static str, Severity, u32, u32)> {
        check_script(script, syntax, ScriptKind::Up, Vec::new())
            .into_iter()
            .map(|finding| (finding.code, finding.severity, finding.line, finding.column))
            .collect()
    }

    #[test]
    fn a_good_script_has_no_findings() {
        assert_eq!(
            codes(
                "-- dbvc: transaction=on\nCREATE TABLE dbo.a (b INT);\nGO 2\nSELECT 1;",
                T_SQL
            ),
            []
        );
        assert_eq!(codes("CREATE TABLE a (b INT);", SQLITE), []);
        assert_eq!(codes("-- nothing to do on this engine", SQLITE), []);
    }

    #[test]
    fn what_is_not_closed_has_a_code_of_its_own() {
        for (script, code) in [
            ("\n 'a", "unterminated-string"),
            ("\n [a", "unterminated-identifier"),
            ("\n /*a", "unterminated-comment"),
        ] {
            assert_eq!(
                codes(script, T_SQL),
                [(code, Severity::Error, 2, 2)],
                "{script:?}"
            );
        }
    }

    #[test]
    fn a_wrong_go_line_is_an_error() {
        for script in ["a\nGO x", "a\nGO 0", "a\nGO 9999999999"] {
            assert_eq!(
                codes(script, T_SQL),
                [("bad-go", Severity::Error, 2, 4)],
                "{script:?}"
            );
        }
    }

    #[test]
    fn a_script_that_sends_nothing_is_an_error() {
        for script in ["", " \r\n", "GO\nGO"] {
            assert_eq!(
                codes(script, T_SQL),
                [("empty-script", Severity::Error, 1, 1)],
                "{script:?}"
            );
        }
    }

    #[test]
    fn a_directive_that_is_not_understood_is_an_error_even_when_the_script_cannot_be_split() {
        assert_eq!(
            codes("-- dbvc: x=y\n-- dbvc: transaction=OFF\n'a", T_SQL),
            [
                ("unknown-directive", Severity::Error, 1, 1),
                ("unknown-directive", Severity::Error, 2, 1),
                ("unterminated-string", Severity::Error, 3, 1),
            ]
        );
        let finding = &check_script(
            "-- dbvc: transaction=OFF\nSELECT 1",
            T_SQL,
            ScriptKind::Up,
            Vec::new(),
        )[0];
        assert_eq!(
            finding.suggestion.as_deref(),
            Some("-- dbvc: transaction=off")
        );
    }

    #[test]
    fn a_directive_behind_the_first_statement_is_a_warning() {
        let script = "SELECT 1;\n  -- dbvc: transaction=off";
        assert_eq!(
            codes(script, T_SQL),
            [("misplaced-directive", Severity::Warning, 2, 3)]
        );
    }

    #[test]
    fn a_script_of_one_long_line_is_checked_in_linear_time() {
        let script = "PRAGMA x; ".repeat(200_000) + "BEGIN;";
        let started = std::time::Instant::now();
        let findings = codes(&script, SQLITE);
        assert_eq!(findings.len(), 1);
        // So wide that only time in the square of the length reaches it, whatever else the machine does.
        assert!(
            started.elapsed() < std::time::Duration::from_secs(120),
            "{:?}",
            started.elapsed()
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_checking_panic(text in "(\\PC|\n|\r|GO|;|'|-- dbvc:|VACUUM|/\\*|CREATE |ALTER |TABLE |DROP |ADD |COLUMN |UPDATE |DELETE |SET |FROM |INTO |IF |BEGIN |END |CASE |WITH |a |\\.|,|\\(|\\)|-- dbvc: allow=drop-table b\n){0,30}") {
            for syntax in [T_SQL, SQLITE] {
                let _ = check_script(&text, syntax, ScriptKind::Up, Vec::new());
            }
        }
    }
}
