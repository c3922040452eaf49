//! What a script says about itself: `-- dbvc: key=value` in the comments before its first statement.

use super::cursor::{Cursor, Element, Mark};
use super::syntax::Syntax;

/// The word that makes a comment a directive.
const MARKER: &str = "dbvc";

/// The directives of a script.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// Whether the script runs in a transaction, by the word of its author: `transaction=on` or `transaction=off`.
    /// `None` leaves it to the statements of the script.
    pub transaction: Option<bool>,
    /// Whether `$(name)` stands for a value: `variables=on` or `variables=off`. `None` is off, since a script is sent as it
    /// was written.
    pub variables: Option<bool>,
}

/// Why a directive is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct DirectiveError {
    /// What is wrong.
    pub kind: DirectiveErrorKind,
    /// The line of the script, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// The kinds of [`DirectiveError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectiveErrorKind {
    /// There is no `=`.
    #[error("a directive must be written as key=value, such as '-- dbvc: transaction=off'")]
    Form,
    /// No directive has this key.
    #[error(
        "dbvc knows no directive '{0}': write transaction or variables, each with on or off, or allow with a code and a reason, or remove the line"
    )]
    UnknownKey(String),
    /// The key does not take this value.
    #[error("the directive '{key}' must be on or off, not '{value}'")]
    UnknownValue {
        /// The key.
        key: &'static str,
        /// The value, or its beginning.
        value: String,
    },
    /// The directive is there already.
    #[error("the directive '{0}' is given twice: remove one")]
    Repeated(&'static str),
}

impl Directives {
    /// Reads the directives of a script.
    ///
    /// # Errors
    ///
    /// Every directive that is unknown, wrong or repeated, in order: one that is not understood must not be passed
    /// over, since its author relies on it.
    pub fn of_script(text: &str, syntax: Syntax) -> Result<Self, Vec<DirectiveError>> {
        let mut directives = Self::default();
        let mut errors = Vec::new();
        let mut cursor = Cursor::new(text);
        while let Some(comment) = next_head_comment(&mut cursor, syntax) {
            let Some(directive) = directive_in(comment.text) else {
                continue;
            };
            if rest_of_allow(directive).is_some() {
                continue;
            }
            if let Err(kind) = directives.add(directive) {
                errors.push(DirectiveError {
                    kind,
                    line: comment.mark.line,
                    column: cursor.column(comment.mark),
                });
            }
        }
        if errors.is_empty() {
            Ok(directives)
        } else {
            Err(errors)
        }
    }

    fn add(&mut self, directive: &str) -> Result<(), DirectiveErrorKind> {
        let (key, value) = directive.split_once('=').ok_or(DirectiveErrorKind::Form)?;
        let (key, place) = match key.trim() {
            "transaction" => ("transaction", &mut self.transaction),
            "variables" => ("variables", &mut self.variables),
            unknown => return Err(DirectiveErrorKind::UnknownKey(shown(unknown))),
        };
        let value = on_or_off(key, value.trim())?;
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(DirectiveErrorKind::Repeated(key)),
        }
    }
}

/// A comment that allows a finding: `-- dbvc: allow=CODE reason`. It may stand anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AllowComment<'a> {
    /// What stands behind the word, which should be `=`, a code and a reason.
    pub(super) rest: &'a str,
    /// Line and column.
    pub(super) place: (u32, u32),
    /// Whether it stands before the first statement.
    pub(super) is_in_head: bool,
    /// Whether something else stands before it on its line.
    pub(super) is_behind_code: bool,
}

/// The comments of a script that allow something, in order. Directives that running a script depends on are none of them.
pub(super) fn allow_comments<'a>(text: &'a str, syntax: Syntax) -> Vec<AllowComment<'a>> {
    let mut comments = Vec::new();
    let mut cursor = Cursor::new(text);
    let mut add = |comment: &Comment<'a>, is_in_head| {
        let rest = directive_in(comment.text).and_then(rest_of_allow);
        comments.extend(rest.map(|rest| {
            let line = &text[comment.mark.line_start..comment.mark.offset];
            AllowComment {
                rest,
                place: (comment.mark.line, comment.mark.column_in(text)),
                is_in_head,
                is_behind_code: !line.trim().is_empty(),
            }
        }));
    };
    while let Some(comment) = next_head_comment(&mut cursor, syntax) {
        add(&comment, true);
    }
    while let Some(comment) = next_comment(&mut cursor, syntax) {
        add(&comment, false);
    }
    comments
}

/// What stands behind `allow` in a directive.
fn rest_of_allow(directive: &str) -> Option<&str> {
    let rest = directive.strip_prefix("allow")?;
    let is_word = rest.starts_with(|next: char| next == '=' || next.is_whitespace());
    (is_word || rest.is_empty()).then_some(rest)
}

/// Line and column of the first comment behind the first statement that looks like a directive. Nothing reads it there.
pub(super) fn misplaced_directive(text: &str, syntax: Syntax) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(text);
    while next_head_comment(&mut cursor, syntax).is_some() {}
    loop {
        let comment = next_comment(&mut cursor, syntax)?;
        let directive = directive_in(comment.text);
        if directive.is_some_and(|directive| rest_of_allow(directive).is_none()) {
            return Some((comment.mark.line, comment.mark.column_in(text)));
        }
    }
}

/// The next `--` comment, wherever it stands; `None` at the end of the script, or of what can be read of it.
fn next_comment<'a>(cursor: &mut Cursor<'a>, syntax: Syntax) -> Option<Comment<'a>> {
    loop {
        cursor.skip_plain();
        let mark = cursor.mark();
        match cursor.skip_element(syntax) {
            Ok(Some(Element::LineComment)) => {
                let text = cursor.text_since(mark).trim_start_matches('-');
                return Some(Comment { text, mark });
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                if !cursor.skip_line_end() {
                    cursor.peek(0)?;
                    cursor.advance(1);
                }
            }
            Err(_) => return None,
        }
    }
}

/// A `--` comment, without its dashes.
struct Comment<'a> {
    text: &'a str,
    mark: Mark,
}

/// The next `--` comment before the first statement; block comments are passed over. When there is none left, the cursor
/// stands at the first statement.
fn next_head_comment<'a>(cursor: &mut Cursor<'a>, syntax: Syntax) -> Option<Comment<'a>> {
    loop {
        cursor.skip_blanks();
        if cursor.skip_line_end() {
            continue;
        }
        if !matches!(
            (cursor.peek(0), cursor.peek(1)),
            (Some(b'-'), Some(b'-')) | (Some(b'/'), Some(b'*'))
        ) {
            return None;
        }
        let mark = cursor.mark();
        if cursor.skip_element(syntax).ok()? == Some(Element::LineComment) {
            let text = cursor.text_since(mark).trim_start_matches('-');
            return Some(Comment { text, mark });
        }
    }
}

/// What stands behind `dbvc:` in a comment. The marker may be in any case, so that none is passed over in silence.
fn directive_in(comment: &str) -> Option<&str> {
    let comment = comment.trim();
    let (marker, rest) = comment.split_at_checked(MARKER.len())?;
    if !marker.eq_ignore_ascii_case(MARKER) {
        return None;
    }
    rest.trim_start().strip_prefix(':').map(str::trim)
}

fn on_or_off(key: &'static str, value: &str) -> Result<bool, DirectiveErrorKind> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        unknown => Err(DirectiveErrorKind::UnknownValue {
            key,
            value: shown(unknown),
        }),
    }
}

/// The beginning of a refused text: it may be of any length.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T_SQL: Syntax = Syntax::TransactSql;

    fn transaction(script: &str) -> Option<bool> {
        Directives::of_script(script, T_SQL)
            .unwrap_or_else(|errors| panic!("{script:?}: {errors:?}"))
            .transaction
    }

    fn errors(script: &str) -> Vec<(u32, u32, DirectiveErrorKind)> {
        let errors = Directives::of_script(script, T_SQL).expect_err(script);
        errors
            .into_iter()
            .map(|error| (error.line, error.column, error.kind))
            .collect()
    }

    fn unknown_value(key: &'static str, value: &str) -> DirectiveErrorKind {
        let value = value.to_owned();
        DirectiveErrorKind::UnknownValue { key, value }
    }

    #[test]
    fn the_author_says_whether_the_script_runs_in_a_transaction() {
        assert_eq!(
            transaction("-- dbvc: transaction=off\nSELECT 1;"),
            Some(false)
        );
        assert_eq!(transaction("-- dbvc: transaction=on"), Some(true));
        assert_eq!(transaction("SELECT 1;"), None);
        assert_eq!(transaction(""), None);
    }

    #[test]
    fn the_author_says_whether_the_script_has_variables() {
        let variables = |script| Directives::of_script(script, T_SQL).unwrap().variables;
        assert_eq!(
            variables("-- dbvc: variables=on\n-- dbvc: transaction=off"),
            Some(true)
        );
        assert_eq!(variables("-- dbvc: variables=off"), Some(false));
        assert_eq!(variables("SELECT '$(a)'"), None);
    }

    #[test]
    fn blanks_and_the_case_of_the_marker_make_no_difference() {
        for line in [
            "--dbvc:transaction=off",
            "  --\tDBVC :  transaction = off  ",
            "-- Dbvc:transaction=off\r",
        ] {
            assert_eq!(transaction(line), Some(false), "{line:?}");
        }
    }

    #[test]
    fn the_head_of_a_script_is_all_its_comments_and_blank_lines_before_the_first_statement() {
        let head = "\u{feff}/* made by\r\n /* a */ tool */\r\n\r\n-- add users\r\n  -- dbvc: transaction=off\r\nSELECT 1;";
        assert_eq!(transaction(head), Some(false));
        assert_eq!(transaction("/* c */ -- dbvc: transaction=off"), Some(false));
    }

    #[test]
    fn a_comment_that_is_no_directive_says_nothing() {
        for script in [
            "-- dbvc",
            "-- dbvcx: transaction=off",
            "-- see dbvc: transaction=off",
            "/* dbvc: transaction=off */",
            "/*\n-- dbvc: transaction=off\n*/",
            "'\n-- dbvc: transaction=off\n'",
            "SELECT 1;\n-- dbvc: transaction=off",
            "GO\n-- dbvc: transaction=off",
        ] {
            assert_eq!(transaction(script), None, "{script:?}");
        }
    }

    #[test]
    fn block_comments_end_as_the_syntax_says() {
        let script = "/* /* */\n-- dbvc: transaction=off\n";
        assert_eq!(
            Directives::of_script(script, Syntax::Sqlite)
                .unwrap()
                .transaction,
            Some(false)
        );
        assert_eq!(transaction(script), None);
    }

    #[test]
    fn every_directive_that_is_not_understood_is_named_with_its_line() {
        let script = "-- dbvc: transactions=off\n\n -- dbvc: transaction=maybe\n-- dbvc: transaction\n-- dbvc:\nSELECT 1;";
        assert_eq!(
            errors(script),
            [
                (
                    1,
                    1,
                    DirectiveErrorKind::UnknownKey("transactions".to_owned())
                ),
                (3, 2, unknown_value("transaction", "maybe")),
                (4, 1, DirectiveErrorKind::Form),
                (5, 1, DirectiveErrorKind::Form),
            ]
        );
        assert_eq!(
            errors("-- dbvc: variables=OFF"),
            [(1, 1, unknown_value("variables", "OFF"))]
        );
    }

    #[test]
    fn a_directive_is_given_once() {
        let twice = "-- dbvc: transaction=on\n-- dbvc: transaction=off";
        assert_eq!(
            errors(twice),
            [(2, 1, DirectiveErrorKind::Repeated("transaction"))]
        );
    }

    #[test]
    fn a_directive_behind_the_first_statement_is_found() {
        let script =
            "-- c\nSELECT '-- dbvc: a';\n/* -- dbvc: b */ SELECT 1; -- dbvc: transaction=off";
        assert_eq!(misplaced_directive(script, T_SQL), Some((3, 28)));
        assert_eq!(
            misplaced_directive("-- dbvc: transaction=off\nSELECT 1; -- dbvc", T_SQL),
            None
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_directives_panic(text in "(-- ?dbvc: ?)?(\\PC|\n|\r|--|/\\*|\\*/|'){0,30}") {
            let _ = Directives::of_script(&text, T_SQL);
            let _ = misplaced_directive(&text, Syntax::Sqlite);
        }
    }
}
