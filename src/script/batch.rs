//! Splits a script into the batches that are sent to the engine, by the rules of SQL Server Management Studio.
//!
//! 1. `GO` separates batches only at the start of a line, after blanks or tabs, in any case. Lines end in CRLF, LF or CR.
//! 2. Behind it comes the end of the text, a blank, a tab, a line end or one of ``$ / - ' " ( [ !``; else it is text.
//! 3. The rest of the line is blanks, at most one repeat count and a `--` comment; anything else is an error.
//! 4. Inside strings, quoted identifiers and block comments a `GO` line is text.
//! 5. A line on which a string or block comment ends is not the start of a line.
//! 6. A string, quoted identifier or block comment without an end is an error.
//! 7. Empty batches are not sent; batches of comments only are.
//! 8. Variables are left alone: batches are slices of the script as it was written.
//! 9. dbvc's own choices: `GO;` separates, with a warning (the server would refuse it as text), and `GO 0` is an error.
//!
//! SQLite scripts are split in the same way, by the comments and quotes of [`Syntax::Sqlite`].

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::checksum::hex;
use super::cursor::{Cursor, Element, Mark, Unterminated};
use super::syntax::Syntax;

/// The largest repeat count, as in SQL Server Management Studio.
const MAX_COUNT: u32 = 2_147_483_647;

/// A script, split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split<'a> {
    /// What is sent, in order.
    pub batches: Vec<Batch<'a>>,
    /// The `GO` lines, in order. Between and around them lie the batches, and the empty ones that are not sent.
    pub separators: Vec<Separator>,
    /// What is allowed but should be changed.
    pub notes: Vec<SplitNote>,
}

/// What is sent to the engine at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The number of the batch among those that are sent, from 1.
    pub index: u32,
    /// The line of the script on which the text begins, from 1: the one behind the `GO` line before it, leading blank
    /// lines included.
    pub line: u32,
    /// How often it is sent, from 1: the repeat count of the `GO` line behind it.
    pub count: u32,
    /// The text, exactly as it was written.
    pub text: &'a str,
    /// The bytes of the script that are the text.
    pub range: Range<usize>,
}

/// A `GO` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Separator {
    /// The bytes of the script that are the line, its line end included.
    pub range: Range<usize>,
    /// The line of the script, from 1.
    pub line: u32,
    /// The repeat count, 1 when none is written.
    pub count: u32,
}

/// Something in a script that is allowed but should be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitNote {
    /// What it is.
    pub kind: SplitNoteKind,
    /// The line of the script, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// The kinds of [`SplitNote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitNoteKind {
    /// A `GO` line ends in a semicolon.
    GoSemicolon,
}

/// Why a script cannot be split, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct SplitError {
    /// What is wrong.
    pub kind: SplitErrorKind,
    /// The line of the script, from 1. For what has no end, the line on which it begins.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// The kinds of [`SplitError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitErrorKind {
    /// A string is not closed.
    #[error("the string that begins here is not closed: add the missing '")]
    UnterminatedString,
    /// A quoted identifier is not closed.
    #[error(
        "the quoted identifier that begins here is not closed: add the missing quote or bracket"
    )]
    UnterminatedIdentifier,
    /// A block comment is not closed.
    #[error("the block comment that begins here is not closed: add the missing */")]
    UnterminatedComment,
    /// A `GO` line holds something else.
    #[error(
        "a GO line may only hold GO, one repeat count and a -- comment: move the rest to a line of its own"
    )]
    BadGo,
    /// A repeat count is zero.
    #[error("GO 0 would leave out the batch before it: remove the batch, or the count")]
    ZeroCount,
    /// A repeat count is too big.
    #[error("the repeat count of GO must be at most {MAX_COUNT}")]
    CountTooBig,
}

impl Batch<'_> {
    /// SHA-256 of the text without the white space around it, as 64 lower case hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(self.text.trim().as_bytes()))
    }

    /// The line of the script that is a line of the text, both from 1: what an engine calls line 3 of a batch that
    /// begins on line 10 is line 12.
    #[must_use]
    pub fn file_line(&self, line: u32) -> u32 {
        self.line.saturating_add(line.saturating_sub(1))
    }
}

/// Splits a script into its batches, in linear time. A leading byte order mark belongs to no batch.
///
/// # Errors
///
/// When a string, quoted identifier or block comment is not closed, or a `GO` line holds something else.
pub fn split(text: &str, syntax: Syntax) -> Result<Split<'_>, SplitError> {
    let mut cursor = Cursor::new(text);
    let mut split = Split {
        batches: Vec::new(),
        separators: Vec::new(),
        notes: Vec::new(),
    };
    let mut batch_start = cursor.mark();
    loop {
        let line_start = cursor.mark();
        if let Some(go) = skip_go_line(&mut cursor)? {
            split.push_batch(text, batch_start, line_start.offset, go.count);
            if let Some(mark) = go.semicolon {
                split.notes.push(SplitNote {
                    kind: SplitNoteKind::GoSemicolon,
                    line: mark.line,
                    column: cursor.column(mark),
                });
            }
            batch_start = cursor.mark();
            split.separators.push(Separator {
                range: line_start.offset..batch_start.offset,
                line: line_start.line,
                count: go.count,
            });
            if go.is_last_line {
                break;
            }
        } else if !skip_to_next_line(&mut cursor, syntax)? {
            break;
        }
    }
    split.push_batch(text, batch_start, text.len(), 1);
    Ok(split)
}

impl<'a> Split<'a> {
    fn push_batch(&mut self, script: &'a str, start: Mark, end: usize, count: u32) {
        let range = start.offset..end;
        let text = &script[range.clone()];
        if text.trim().is_empty() {
            return;
        }
        self.batches.push(Batch {
            index: u32::try_from(self.batches.len())
                .map_or(u32::MAX, |sent| sent.saturating_add(1)),
            line: start.line,
            count,
            text,
            range,
        });
    }
}

/// Moves behind the end of a line that is no `GO` line, and behind those that a string or comment on it reaches over.
/// False at the end of the script.
fn skip_to_next_line(cursor: &mut Cursor<'_>, syntax: Syntax) -> Result<bool, SplitError> {
    loop {
        cursor.skip_plain();
        if cursor.skip_line_end() {
            return Ok(true);
        }
        if cursor.peek(0).is_none() {
            return Ok(false);
        }
        match cursor.skip_element(syntax) {
            Ok(Some(_)) => {}
            Ok(None) => cursor.advance(1),
            Err(Unterminated { element, mark }) => {
                let kind = match element {
                    Element::String => SplitErrorKind::UnterminatedString,
                    Element::Identifier => SplitErrorKind::UnterminatedIdentifier,
                    Element::LineComment | Element::BlockComment => {
                        SplitErrorKind::UnterminatedComment
                    }
                };
                return Err(error(kind, cursor, mark));
            }
        }
    }
}

/// What a `GO` line says.
struct Go {
    count: u32,
    semicolon: Option<Mark>,
    is_last_line: bool,
}

/// Moves behind the `GO` line at the cursor, its line end included. `None`, and the cursor somewhere in the blanks that
/// begin the line, when the line is text.
fn skip_go_line(cursor: &mut Cursor<'_>) -> Result<Option<Go>, SplitError> {
    cursor.skip_blanks();
    if !is_go(cursor) {
        return Ok(None);
    }
    cursor.advance(2);
    let mut semicolon = None;
    if cursor.peek(0) == Some(b';') {
        semicolon = Some(cursor.mark());
        cursor.advance(1);
    }
    cursor.skip_blanks();
    let mut count = 1;
    if semicolon.is_none() && cursor.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
        count = skip_count(cursor)?;
        cursor.skip_blanks();
    }
    if (cursor.peek(0), cursor.peek(1)) == (Some(b'-'), Some(b'-')) {
        cursor.skip_to_line_end();
    }
    let is_last_line = cursor.peek(0).is_none();
    if !is_last_line && !cursor.skip_line_end() {
        return Err(error(SplitErrorKind::BadGo, cursor, cursor.mark()));
    }
    Ok(Some(Go {
        count,
        semicolon,
        is_last_line,
    }))
}

/// Whether `GO` stands at the cursor, with a character behind it that ends the word (rules 2 and 9).
fn is_go(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.peek(0), Some(b'G' | b'g'))
        && matches!(cursor.peek(1), Some(b'O' | b'o'))
        && matches!(
            cursor.peek(2),
            None | Some(
                b' ' | b'\t'
                    | b'\r'
                    | b'\n'
                    | b'$'
                    | b'/'
                    | b'-'
                    | b'\''
                    | b'"'
                    | b'('
                    | b'['
                    | b'!'
                    | b';'
            )
        )
}

/// Moves over the digits of a repeat count. What follows them must end the number.
fn skip_count(cursor: &mut Cursor<'_>) -> Result<u32, SplitError> {
    let mark = cursor.mark();
    let mut count = Some(0_u32);
    while let Some(digit @ b'0'..=b'9') = cursor.peek(0) {
        count = count
            .and_then(|count| count.checked_mul(10)?.checked_add(u32::from(digit - b'0')))
            .filter(|&count| count <= MAX_COUNT);
        cursor.advance(1);
    }
    match count {
        None => Err(error(SplitErrorKind::CountTooBig, cursor, mark)),
        Some(0) => Err(error(SplitErrorKind::ZeroCount, cursor, mark)),
        Some(count) => Ok(count),
    }
}

fn error(kind: SplitErrorKind, cursor: &Cursor<'_>, mark: Mark) -> SplitError {
    SplitError {
        kind,
        line: mark.line,
        column: cursor.column(mark),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T_SQL: Syntax = Syntax::TransactSql;
    const SQLITE: Syntax = Syntax::Sqlite;

    fn texts(script: &str, syntax: Syntax) -> Vec<&str> {
        let split = split(script, syntax).unwrap_or_else(|error| panic!("{script:?}: {error}"));
        split.batches.iter().map(|batch| batch.text).collect()
    }

    fn failure(script: &str, syntax: Syntax) -> (SplitErrorKind, u32, u32) {
        let error = split(script, syntax).expect_err(script);
        (error.kind, error.line, error.column)
    }

    #[test]
    fn rule_1_go_separates_at_the_start_of_a_line_in_any_case() {
        for script in [
            "a\nGO\nb",
            "a\ngo\nb",
            "a\nGo\nb",
            "a\n gO\nb",
            "a\n \t GO\nb",
            "a\nGO \t\nb",
        ] {
            assert_eq!(texts(script, T_SQL), ["a\n", "b"], "{script:?}");
        }
        for script in [
            "a GO\nb",
            "a; GO\nb",
            "a\n;GO\nb",
            "a\n\u{a0}GO\nb",
            "a\n\u{b}GO\nb",
        ] {
            assert_eq!(texts(script, T_SQL), [script], "{script:?}");
        }
        assert_eq!(texts("GO\na", T_SQL), ["a"]);
        assert_eq!(texts("a\nGO", T_SQL), ["a\n"]);
    }

    #[test]
    fn rule_1_lines_end_in_crlf_lf_or_a_lone_cr() {
        assert_eq!(texts("a\r\nGO\r\nb\r\n", T_SQL), ["a\r\n", "b\r\n"]);
        assert_eq!(texts("a\rGO\rb\r", T_SQL), ["a\r", "b\r"]);
        assert_eq!(texts("a\nGO\r\nb\rGO\nc", T_SQL), ["a\n", "b\r", "c"]);
        for no_line_end in ["\u{b}", "\u{c}", "\u{85}", "\u{2028}"] {
            let script = format!("a{no_line_end}GO{no_line_end}b");
            assert_eq!(texts(&script, T_SQL), [&script]);
        }
    }

    #[test]
    fn rule_2_a_longer_word_is_text() {
        for line in [
            "GOTO x", "GO_x", "GO2", "GOx", "GO.x", "GO=1", "GO)", "GO,x", "GO*1", "GO#x", "GO@x",
            "GOé", "GO\u{a0}", "GO\u{c}", "GO]", "GO:x", "GO\\",
        ] {
            let script = format!("a\n{line}\nb");
            assert_eq!(texts(&script, T_SQL), [&script]);
        }
    }

    #[test]
    fn rule_2_the_other_word_ends_make_it_a_go_line() {
        for line in [
            "GO$x",
            "GO/x",
            "GO/* c */",
            "GO-x",
            "GO'x'",
            "GO\"x\"",
            "GO(x)",
            "GO[x]",
            "GO!x",
        ] {
            let script = format!("a\n{line}\nb");
            assert_eq!(
                failure(&script, T_SQL),
                (SplitErrorKind::BadGo, 2, 3),
                "{line}"
            );
        }
        assert_eq!(texts("a\nGO--c\nb", T_SQL), ["a\n", "b"]);
    }

    #[test]
    fn rule_3_one_repeat_count_and_a_comment_may_follow() {
        for (line, count) in [
            ("GO 5", 5),
            ("GO\t5\t", 5),
            ("GO 005", 5),
            ("GO 5 -- five", 5),
            ("GO 5--five", 5),
            ("GO -- 5", 1),
            ("GO -- it's", 1),
            ("GO -- /* not open", 1),
            ("GO 2147483647", 2_147_483_647),
        ] {
            let script = format!("a\n{line}\nb");
            let split = split(&script, T_SQL).unwrap();
            let counts: Vec<_> = split
                .batches
                .iter()
                .map(|batch| (batch.text, batch.count))
                .collect();
            assert_eq!(counts, [("a\n", count), ("b", 1)], "{line}");
        }
    }

    #[test]
    fn rule_3_anything_else_on_a_go_line_is_an_error() {
        for (line, column) in [
            ("GO abc", 4),
            ("GO -1", 4),
            ("GO 1 2", 6),
            ("GO /* c */", 4),
            ("GO 5x", 5),
            ("GO 1.5", 5),
            ("GO +1", 4),
            ("GO GO", 4),
            ("GO ;", 4),
            ("GO 5;", 5),
            ("GO \u{a0}", 4),
            ("\tGO é", 5),
        ] {
            let script = format!("a\n{line}\nb");
            assert_eq!(
                failure(&script, T_SQL),
                (SplitErrorKind::BadGo, 2, column),
                "{line}"
            );
        }
    }

    #[test]
    fn rule_3_a_repeat_count_has_a_limit() {
        for digits in ["2147483648", "4294967296", "99999999999999999999999"] {
            let script = format!("a\n\nGO {digits}");
            assert_eq!(
                failure(&script, T_SQL),
                (SplitErrorKind::CountTooBig, 3, 4),
                "{digits}"
            );
        }
    }

    #[test]
    fn rule_4_a_go_line_inside_quotes_or_comments_is_text() {
        for script in [
            "'\nGO\n'",
            "'it''s\nGO\n'",
            "N'\nGO\n'",
            "\"\nGO\n\"",
            "\"a\"\"\nGO\n\"",
            "[\nGO\n]",
            "/*\nGO\n*/",
            "-- '\n'\nGO\n'",
            "'--'\n'\nGO\n'",
            "/* ' */ '\nGO\n'",
            "'/*' /*\nGO\n*/",
            "'\rGO\r'",
        ] {
            assert_eq!(texts(script, T_SQL), [script], "{script:?}");
            assert_eq!(texts(script, SQLITE), [script], "{script:?}");
        }
    }

    #[test]
    fn rule_4_a_line_comment_ends_at_the_line_end() {
        for comment in ["-- it's", "-- [", "-- \"", "-- /*", "a --", "---", "--"] {
            for line_end in ["\n", "\r\n", "\r"] {
                let script = format!("{comment}{line_end}GO{line_end}b");
                assert_eq!(texts(&script, T_SQL).len(), 2, "{script:?}");
            }
        }
    }

    #[test]
    fn rule_4_block_comments_nest_in_t_sql_only() {
        let nested = "/* /* */\nGO\n*/\nGO\nb";
        assert_eq!(texts(nested, T_SQL), ["/* /* */\nGO\n*/\n", "b"]);
        assert_eq!(texts(nested, SQLITE), ["/* /* */\n", "*/\n", "b"]);
        assert_eq!(texts("/*/ */\nGO\nb", T_SQL), ["/*/ */\n", "b"]);
        assert_eq!(texts("/***/\nGO\nb", T_SQL), ["/***/\n", "b"]);
    }

    #[test]
    fn rule_4_a_doubled_bracket_stays_inside_in_t_sql_only() {
        let doubled = "[a]]\nGO\nb]\nGO\nc";
        assert_eq!(texts(doubled, T_SQL), ["[a]]\nGO\nb]\n", "c"]);
        assert_eq!(texts(doubled, SQLITE), ["[a]]\n", "b]\n", "c"]);
    }

    #[test]
    fn rule_4_backticks_quote_in_sqlite_only() {
        let backticks = "`a``\nGO\n`\nGO\nb";
        assert_eq!(texts(backticks, SQLITE), ["`a``\nGO\n`\n", "b"]);
        assert_eq!(texts(backticks, T_SQL), ["`a``\n", "`\n", "b"]);
    }

    #[test]
    fn rule_5_a_line_on_which_a_comment_or_string_ends_is_no_line_start() {
        for script in [
            "/*\n*/ GO\nb",
            "/* c */ GO\nb",
            "'\n' GO\nb",
            "[\n]GO\nb",
            "/*\n*/GO",
        ] {
            assert_eq!(texts(script, T_SQL), [script], "{script:?}");
        }
        assert_eq!(texts("/*\n*/\nGO\nb", T_SQL), ["/*\n*/\n", "b"]);
    }

    #[test]
    fn rule_6_what_is_not_closed_is_an_error_at_its_beginning() {
        use SplitErrorKind::{UnterminatedComment, UnterminatedIdentifier, UnterminatedString};
        for (script, expected) in [
            ("a\n  'b\nGO\n", (UnterminatedString, 2, 3)),
            ("'a''b", (UnterminatedString, 1, 1)),
            ("'a'\r\n'b''", (UnterminatedString, 2, 1)),
            ("é '", (UnterminatedString, 1, 3)),
            ("a\r[b", (UnterminatedIdentifier, 2, 1)),
            ("[a]]", (UnterminatedIdentifier, 1, 1)),
            ("\"a", (UnterminatedIdentifier, 1, 1)),
            ("a\n\n /* b", (UnterminatedComment, 3, 2)),
            ("/* /* */", (UnterminatedComment, 1, 1)),
            ("/*/", (UnterminatedComment, 1, 1)),
            ("a\nGO\n'b", (UnterminatedString, 3, 1)),
        ] {
            assert_eq!(failure(script, T_SQL), expected, "{script:?}");
        }
        assert_eq!(failure("`a", SQLITE), (UnterminatedIdentifier, 1, 1));
    }

    #[test]
    fn rule_7_empty_batches_are_neither_sent_nor_numbered() {
        let split = split(
            "GO\n\n \t\r\nGO 3\n-- only a comment\nGO\n\nGO\nb\nGO\n",
            T_SQL,
        )
        .unwrap();
        let sent: Vec<_> = split
            .batches
            .iter()
            .map(|batch| (batch.index, batch.line, batch.count, batch.text))
            .collect();
        assert_eq!(sent, [(1, 5, 1, "-- only a comment\n"), (2, 9, 1, "b\n")]);
        for script in ["", " ", "\n", "GO", "GO\nGO\n", "\u{feff}", "\u{feff}GO"] {
            assert!(texts(script, T_SQL).is_empty(), "{script:?}");
        }
    }

    #[test]
    fn rule_8_variables_are_left_alone() {
        assert_eq!(
            texts("USE $(db)\nGO\n$(go)", T_SQL),
            ["USE $(db)\n", "$(go)"]
        );
    }

    #[test]
    fn rule_9_go_with_a_semicolon_separates_with_a_warning() {
        for line in ["GO;", "\tGO; ", "GO;-- c", "go; -- c"] {
            let script = format!("a\n{line}\nb");
            let split = split(&script, T_SQL).unwrap();
            assert_eq!(split.batches.len(), 2, "{line}");
            let column = u32::try_from(line.find(';').unwrap()).unwrap() + 1;
            let note = SplitNote {
                kind: SplitNoteKind::GoSemicolon,
                line: 2,
                column,
            };
            assert_eq!(split.notes, [note], "{line}");
        }
        for line in ["GO;;", "GO; SELECT 1", "GO;5", "GO; 5"] {
            let script = format!("a\n{line}\nb");
            assert_eq!(failure(&script, T_SQL).0, SplitErrorKind::BadGo, "{line}");
        }
    }

    #[test]
    fn rule_9_a_repeat_count_of_zero_is_an_error() {
        assert_eq!(failure("a\nGO 0", T_SQL), (SplitErrorKind::ZeroCount, 2, 4));
        assert_eq!(
            failure("a\nGO 000", T_SQL),
            (SplitErrorKind::ZeroCount, 2, 4)
        );
    }

    #[test]
    fn the_text_of_a_batch_is_verbatim_with_its_blank_lines() {
        let split = split("\n\na\n\n  GO\n\r\n  b  \n", T_SQL).unwrap();
        assert_eq!(
            (split.batches[0].line, split.batches[0].text),
            (1, "\n\na\n\n")
        );
        assert_eq!(
            (split.batches[1].line, split.batches[1].text),
            (6, "\r\n  b  \n")
        );
        assert_eq!(split.batches[1].file_line(1), 6);
        assert_eq!(split.batches[1].file_line(2), 7);
    }

    #[test]
    fn a_byte_order_mark_does_not_hide_a_go_on_the_first_line() {
        assert_eq!(texts("\u{feff}GO\na", T_SQL), ["a"]);
        assert_eq!(texts("\u{feff}a\nGO", T_SQL), ["a\n"]);
    }

    #[test]
    fn the_hash_of_a_batch_ignores_the_white_space_around_it() {
        let split = split("\r\n SELECT 1; \r\nGO\nSELECT 1;", T_SQL).unwrap();
        let hash = "17db4fd369edb9244b9f91d9aeed145c3d04ad8ba6e95d06247f07a63527d11a";
        assert_eq!(split.batches[0].sha256(), hash);
        assert_eq!(split.batches[1].sha256(), hash);
    }

    #[test]
    fn an_error_says_where_and_what_to_do() {
        let error = split("SELECT 1\nGO 'x'", T_SQL).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2, column 4: a GO line may only hold GO, one repeat count and a -- comment: move the rest to a line \
             of its own"
        );
    }

    /// Scripts made of what the splitter looks at, so that the rules meet each other.
    fn script() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "GO", "go", "\n", "\r\n", "\r", " ", "\t", "'", "''", "\"", "[", "]", "]]", "`", "/*",
            "*/", "--", ";", "5", "0", "a", "é", "\u{feff}", "\u{a0}", "\nGO\n", "\nGO 2\n", "-",
            "/", "*",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    /// The lines of a text, found in another way than the splitter does.
    fn lines(text: &str) -> Vec<String> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        text.split('\n').map(str::to_owned).collect()
    }

    /// The line of a byte offset, counted in another way than the splitter does.
    fn line_of(script: &str, offset: usize) -> u32 {
        let before = script[..offset].replace("\r\n", "\n").replace('\r', "\n");
        u32::try_from(before.matches('\n').count()).unwrap() + 1
    }

    fn syntax() -> impl Strategy<Value = Syntax> {
        prop::sample::select(vec![T_SQL, SQLITE])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_text_makes_the_splitter_panic(text in any::<String>(), syntax in syntax()) {
            let _ = split(&text, syntax);
        }

        #[test]
        fn batches_separators_and_what_is_empty_make_up_the_whole_script(script in script(), syntax in syntax()) {
            let Ok(split) = split(&script, syntax) else { return Ok(()) };
            let mut pieces: Vec<_> = split.batches.iter().map(|batch| batch.range.clone()).collect();
            pieces.extend(split.separators.iter().map(|separator| separator.range.clone()));
            pieces.sort_by_key(|range| range.start);
            let mut joined = String::new();
            for range in pieces {
                let gap = &script[joined.len()..range.start];
                prop_assert!(gap.trim_start_matches('\u{feff}').trim().is_empty(), "lost {:?}", gap);
                joined.push_str(gap);
                joined.push_str(&script[range]);
            }
            let rest = &script[joined.len()..];
            prop_assert!(rest.trim_start_matches('\u{feff}').trim().is_empty(), "lost {:?}", rest);
        }

        #[test]
        fn batches_are_numbered_and_begin_on_the_line_they_say(script in script(), syntax in syntax()) {
            let Ok(split) = split(&script, syntax) else { return Ok(()) };
            for (batch, index) in split.batches.iter().zip(1..) {
                prop_assert_eq!(batch.index, index);
                prop_assert_eq!(batch.text, &script[batch.range.clone()]);
                prop_assert_eq!(batch.line, line_of(&script, batch.range.start));
            }
            for separator in &split.separators {
                prop_assert_eq!(separator.line, line_of(&script, separator.range.start));
                let line = script[separator.range.clone()].trim_start_matches([' ', '\t']);
                prop_assert!(line[..2].eq_ignore_ascii_case("go"));
            }
        }

        #[test]
        fn every_line_of_a_batch_is_the_line_of_the_file_that_it_says(script in script(), syntax in syntax()) {
            let Ok(split) = split(&script, syntax) else { return Ok(()) };
            let of_file = lines(script.strip_prefix('\u{feff}').unwrap_or(&script));
            for batch in &split.batches {
                let mut of_batch = lines(batch.text);
                if of_batch.last().is_some_and(String::is_empty) {
                    // Behind the last line end there is no line of the batch.
                    of_batch.pop();
                }
                for (in_batch, line) in (1..).zip(of_batch) {
                    let in_file = batch.file_line(in_batch) as usize;
                    prop_assert_eq!(Some(&line), of_file.get(in_file - 1), "line {} of {:?}", in_batch, batch);
                }
            }
        }

        #[test]
        fn an_error_points_into_the_script(script in script(), syntax in syntax()) {
            let Err(error) = split(&script, syntax) else { return Ok(()) };
            let text = script.strip_prefix('\u{feff}').unwrap_or(&script);
            let lines = lines(text);
            let line = lines.get(error.line as usize - 1).unwrap();
            prop_assert!(error.column as usize <= line.chars().count(), "{:?}", error);
        }
    }
}
