//! Checks the text of one script.

use super::{EMPTY_SCRIPT, WHOLE_FILE};
use crate::script::batch::{Batch, Split, SplitError, SplitErrorKind, SplitNoteKind, split};
use crate::script::directive::{DirectiveErrorKind, Directives, misplaced_directive};
use crate::script::finding::Finding;
use crate::script::statement::{own_transaction_end, statements};
use crate::script::syntax::Syntax;
use crate::script::variables::references;

/// Checks the text of a script in T-SQL or SQLite, without its name. The findings are in the order of their places.
///
/// | code | severity | when |
/// |---|---|---|
/// | `unterminated-string`, `unterminated-identifier`, `unterminated-comment` | error | it is not closed |
/// | `bad-go` | error | a `GO` line holds something else, or a count that is zero or too big |
/// | `go-semicolon` | warning | a `GO` line ends in a semicolon |
/// | `empty-script` | error | nothing would be sent |
/// | `unknown-directive` | error | a directive is not understood |
/// | `misplaced-directive` | warning | a directive stands where nothing reads it |
/// | `no-transaction` | note, or a warning when the script says `transaction=on` | a statement cannot run in a transaction |
/// | `variables-off` | warning, or a note in a string | `$(name)` is there, and the script says nothing about variables |
/// | `transaction-control` | warning | a statement ends the transaction in which the script runs |
#[must_use]
pub fn check_script(text: &str, syntax: Syntax) -> Vec<Finding> {
    check_split(text, syntax, &split(text, syntax))
}

/// As [`check_script`], for a caller that has split the script already.
#[must_use]
pub fn check_split(
    text: &str,
    syntax: Syntax,
    split: &Result<Split<'_>, SplitError>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let directives = Directives::of_script(text, syntax);
    match split {
        Err(error) => findings.push(split_error(error)),
        Ok(split) => {
            findings.extend(split_notes(split));
            if split.batches.is_empty() {
                findings.push(Finding::error("empty-script", EMPTY_SCRIPT, WHOLE_FILE));
            }
            let transaction = directives
                .as_ref()
                .ok()
                .and_then(|directives| directives.transaction);
            if transaction != Some(false) {
                findings.extend(transactions(&split.batches, syntax, transaction));
            }
            if directives
                .as_ref()
                .is_ok_and(|directives| directives.variables.is_none())
            {
                findings.extend(variables_off(text, syntax));
            }
        }
    }
    for error in directives.err().into_iter().flatten() {
        let finding = Finding::error("unknown-directive", &error.kind, (error.line, error.column));
        findings.push(match error.kind {
            DirectiveErrorKind::UnknownValue { key, value }
                if value.eq_ignore_ascii_case("on") || value.eq_ignore_ascii_case("off") =>
            {
                finding.with_suggestion(format!("-- dbvc: {key}={}", value.to_ascii_lowercase()))
            }
            _ => finding,
        });
    }
    if let Some(place) = misplaced_directive(text, syntax) {
        let message = "nothing reads a directive behind the first statement: move it to the first lines of the script";
        findings.push(Finding::warning("misplaced-directive", message, place));
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

fn split_error(error: &SplitError) -> Finding {
    let code = match error.kind {
        SplitErrorKind::UnterminatedString => "unterminated-string",
        SplitErrorKind::UnterminatedIdentifier => "unterminated-identifier",
        SplitErrorKind::UnterminatedComment => "unterminated-comment",
        SplitErrorKind::BadGo | SplitErrorKind::ZeroCount | SplitErrorKind::CountTooBig => "bad-go",
    };
    Finding::error(code, error.kind, (error.line, error.column))
}

fn split_notes(split: &Split<'_>) -> impl Iterator<Item = Finding> {
    split.notes.iter().map(|note| match note.kind {
        SplitNoteKind::GoSemicolon => {
            let message = "GO is no statement and takes no semicolon: remove it, since other tools send the line to the \
                           server, which refuses it";
            Finding::warning("go-semicolon", message, (note.line, note.column)).with_suggestion("GO")
        }
    })
}

/// The first statement that cannot run in a transaction, and the first that ends the one in which the script runs.
fn transactions(batches: &[Batch<'_>], syntax: Syntax, directive: Option<bool>) -> Vec<Finding> {
    let no_transaction = batches.iter().find_map(|batch| {
        let (name, mark) = statements(batch.text, syntax)
            .find_map(|statement| Some((statement.needs_no_transaction()?, statement.mark)))?;
        let line = batch.file_line(mark.line);
        Some((name, (line, mark.column_in(batch.text))))
    });
    let runs_in_one = directive.unwrap_or(no_transaction.is_none());
    let no_transaction = no_transaction.map(|(name, place)| {
        if directive == Some(true) {
            let message = format!("{name} cannot run in a transaction, and the script says transaction=on: say transaction=off");
            Finding::warning("no-transaction", message, place).with_suggestion("-- dbvc: transaction=off")
        } else {
            let message = format!(
                "{name} cannot run in a transaction, so the script runs without one and a failure leaves it half done: \
                 keep it alone in a script of its own"
            );
            Finding::note("no-transaction", message, place)
        }
    });
    let end = runs_in_one
        .then(|| own_transaction_end(batches, syntax))
        .flatten();
    let end = end.map(|end| {
        let message = format!(
            "{} breaks the transaction in which the script and its record commit together: remove it, or say \
             transaction=off",
            end.statement
        );
        Finding::warning("transaction-control", message, (end.line, end.column))
    });
    no_transaction.into_iter().chain(end).collect()
}

/// The first reference to a variable, when none has a value. In a string it may well be meant as it stands; elsewhere no
/// engine takes it.
fn variables_off(text: &str, syntax: Syntax) -> Option<Finding> {
    let mut first = None;
    for reference in references(text, syntax) {
        if !reference.is_quoted {
            first = Some(reference);
            break;
        }
        first = first.or(Some(reference));
    }
    let reference = first?;
    let message = format!(
        "$({}) is sent as it stands, since variables are off: say variables=on if it stands for a value, or variables=off",
        reference.name
    );
    let place = (reference.line(), reference.mark.column_in(text));
    let finding = if reference.is_quoted {
        Finding::note("variables-off", message, place)
    } else {
        Finding::warning("variables-off", message, place)
    };
    Some(finding.with_suggestion("-- dbvc: variables=on"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::script::finding::Severity;

    const T_SQL: Syntax = Syntax::TransactSql;
    const SQLITE: Syntax = Syntax::Sqlite;

    fn codes(script: &str, syntax: Syntax) -> Vec<(&'static str, Severity, u32, u32)> {
        check_script(script, syntax)
            .into_iter()
            .map(|finding| (finding.code, finding.severity, finding.line, finding.column))
            .collect()
    }

    #[test]
    fn a_good_script_has_no_findings() {
        assert_eq!(
            codes(
                "-- dbvc: transaction=on\nCREATE TABLE a (b INT);\nGO 2\nSELECT 1;",
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
    fn a_semicolon_behind_go_is_a_warning() {
        assert_eq!(
            codes("a\nGO;\nb", T_SQL),
            [("go-semicolon", Severity::Warning, 2, 3)]
        );
        assert_eq!(
            check_script("a\nGO;", T_SQL)[0].suggestion.as_deref(),
            Some("GO")
        );
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
        let finding = &check_script("-- dbvc: transaction=OFF\nSELECT 1", T_SQL)[0];
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
    fn the_first_statement_that_cannot_run_in_a_transaction_is_noted_at_its_line_of_the_file() {
        let script = "SELECT 1;\nGO\n\n DROP DATABASE x;\nCREATE DATABASE x;";
        assert_eq!(
            codes(script, T_SQL),
            [("no-transaction", Severity::Note, 4, 2)]
        );
        let against = format!("-- dbvc: transaction=on\n{script}");
        assert_eq!(
            codes(&against, T_SQL),
            [("no-transaction", Severity::Warning, 5, 2)]
        );
        let agreed = format!("-- dbvc: transaction=off\n{script}");
        assert_eq!(codes(&agreed, T_SQL), []);
    }

    #[test]
    fn a_sqlite_script_with_a_transaction_of_its_own_is_a_warning() {
        let script = "SELECT 1;\nBEGIN; SELECT 2; COMMIT;";
        assert_eq!(
            codes(script, SQLITE),
            [("transaction-control", Severity::Warning, 2, 1)]
        );
        let agreed = format!("-- dbvc: transaction=off\n{script}");
        assert_eq!(codes(&agreed, SQLITE), []);
    }

    #[test]
    fn a_t_sql_script_that_ends_the_transaction_around_it_is_a_warning() {
        let script = "BEGIN TRAN;\nGO\nCOMMIT; INSERT t VALUES (1)\n  COMMIT";
        assert_eq!(
            codes(script, T_SQL),
            [("transaction-control", Severity::Warning, 4, 3)]
        );
        let agreed = format!("-- dbvc: transaction=off\n{script}");
        assert_eq!(codes(&agreed, T_SQL), []);
    }

    #[test]
    fn a_script_that_runs_without_a_transaction_has_none_to_end() {
        let script = "DROP DATABASE x;\nBEGIN TRAN;\nROLLBACK;";
        assert_eq!(
            codes(script, T_SQL),
            [("no-transaction", Severity::Note, 1, 1)]
        );
        let insisting = format!("-- dbvc: transaction=on\n{script}");
        assert_eq!(
            codes(&insisting, T_SQL),
            [
                ("no-transaction", Severity::Warning, 2, 1),
                ("transaction-control", Severity::Warning, 4, 1)
            ]
        );
    }

    #[test]
    fn a_variable_is_told_of_when_the_script_says_nothing_about_variables() {
        let script = "-- $(a)\nSELECT 'é $(b)';\n  USE $(c)";
        assert_eq!(
            codes(script, T_SQL),
            [("variables-off", Severity::Warning, 3, 7)]
        );
        assert_eq!(
            codes("SELECT 'é $(b)', '$(c)'", T_SQL),
            [("variables-off", Severity::Note, 1, 11)]
        );
        for told in ["-- dbvc: variables=on\n", "-- dbvc: variables=off\n"] {
            assert_eq!(codes(&format!("{told}{script}"), T_SQL), []);
        }
        assert_eq!(codes("SELECT '$(1)', '$()', 'a$ (b)' -- $(c)", T_SQL), []);
    }

    #[test]
    fn a_script_of_one_long_line_is_checked_in_linear_time() {
        let script = "PRAGMA x; ".repeat(200_000) + "BEGIN;";
        let started = std::time::Instant::now();
        let findings = codes(&script, SQLITE);
        assert_eq!(findings.len(), 1);
        assert!(
            started.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_checking_panic(text in "(\\PC|\n|\r|GO|;|'|-- dbvc:|VACUUM|/\\*){0,30}") {
            for syntax in [T_SQL, SQLITE] {
                let _ = check_script(&text, syntax);
            }
        }
    }
}
