//! A place in a script that moves forward over lines, comments, strings and quoted identifiers.

use super::syntax::Syntax;

/// A cursor over a script. It only ever moves forward, so everything built on it takes linear time.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    mark: Mark,
}

/// A remembered place. The column is worked out only when somebody asks, since counting it costs a walk over the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Byte offset in the script.
    pub(super) offset: usize,
    /// Line of the script, from 1.
    pub(super) line: u32,
    /// Byte offset at which that line begins.
    pub(super) line_start: usize,
}

/// What is skipped as a whole, because nothing inside it is code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    LineComment,
    BlockComment,
    String,
    Identifier,
}

impl Mark {
    /// The column of the place in characters, from 1. It costs a walk over the line: ask once a line at most.
    pub(super) fn column_in(self, text: &str) -> u32 {
        let before = text.get(self.line_start..self.offset).unwrap_or_default();
        u32::try_from(before.chars().count()).map_or(u32::MAX, |count| count.saturating_add(1))
    }
}

impl Element {
    pub(super) fn is_comment(self) -> bool {
        matches!(self, Self::LineComment | Self::BlockComment)
    }
}

/// An element that runs to the end of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unterminated {
    pub(super) element: Element,
    /// Where it begins.
    pub(super) mark: Mark,
}

impl<'a> Cursor<'a> {
    /// A cursor at the beginning of the script, behind a byte order mark: that is no part of the first line.
    pub(super) fn new(text: &'a str) -> Self {
        let start = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
        Self::at(text, start)
    }

    /// A cursor at the beginning of a part of a script, where a byte order mark is a character like others.
    pub(super) fn within(text: &'a str) -> Self {
        Self::at(text, 0)
    }

    fn at(text: &'a str, start: usize) -> Self {
        let mark = Mark {
            offset: start,
            line: 1,
            line_start: start,
        };
        Self { text, mark }
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// The text between an earlier place and the cursor.
    pub(super) fn text_since(&self, mark: Mark) -> &'a str {
        self.text
            .get(mark.offset..self.mark.offset)
            .unwrap_or_default()
    }

    /// The text behind the cursor; empty when the cursor stands inside a character.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.mark.offset..).unwrap_or_default()
    }

    /// The byte at the cursor, or some bytes behind it; `None` past the end.
    pub(super) fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.mark.offset + ahead).copied()
    }

    /// Moves over bytes of one line that are no line ends.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.mark.offset = (self.mark.offset + bytes).min(self.text.len());
    }

    /// Moves over the bytes of one line that are such; a line end must not be.
    pub(super) fn skip_while(&mut self, is_such: impl Fn(u8) -> bool) {
        let rest = self.text.as_bytes().get(self.mark.offset..);
        let rest = rest.unwrap_or_default();
        let length = rest.iter().position(|&byte| !is_such(byte));
        self.mark.offset += length.unwrap_or(rest.len());
    }

    /// Moves over bytes that neither end a line nor begin what [`Self::skip_element`] skips.
    pub(super) fn skip_plain(&mut self) {
        self.skip_while(is_plain);
    }

    /// The column of a place in characters, from 1.
    pub(super) fn column(&self, mark: Mark) -> u32 {
        mark.column_in(self.text)
    }

    /// Moves over blanks and tabs.
    pub(super) fn skip_blanks(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// Moves over a line end at the cursor: CRLF, LF or a lone CR.
    pub(super) fn skip_line_end(&mut self) -> bool {
        match (self.peek(0), self.peek(1)) {
            (Some(b'\r'), Some(b'\n')) => self.advance(2),
            (Some(b'\r' | b'\n'), _) => self.advance(1),
            _ => return false,
        }
        self.mark.line = self.mark.line.saturating_add(1);
        self.mark.line_start = self.mark.offset;
        true
    }

    /// Moves to the end of the line, not over it.
    pub(super) fn skip_to_line_end(&mut self) {
        self.skip_while(|byte| !matches!(byte, b'\r' | b'\n'));
    }

    /// Moves to the end of the script, when the rest of it does not matter. The line is then no longer known.
    pub(super) fn skip_to_end(&mut self) {
        self.mark.offset = self.text.len();
    }

    /// Moves over a comment, string or quoted identifier that begins at the cursor, and says which it was.
    pub(super) fn skip_element(&mut self, syntax: Syntax) -> Result<Option<Element>, Unterminated> {
        let mark = self.mark;
        let (element, terminated) = match (self.peek(0), self.peek(1)) {
            (Some(b'-'), Some(b'-')) => {
                self.skip_to_line_end();
                (Element::LineComment, true)
            }
            (Some(b'/'), Some(b'*')) => {
                let nested = syntax == Syntax::TransactSql;
                (Element::BlockComment, self.skip_block_comment(nested))
            }
            (Some(b'\''), _) => (Element::String, self.skip_quoted(b'\'', true)),
            (Some(b'"'), _) => (Element::Identifier, self.skip_quoted(b'"', true)),
            (Some(b'['), _) => {
                let doubled = syntax == Syntax::TransactSql;
                (Element::Identifier, self.skip_quoted(b']', doubled))
            }
            (Some(b'`'), _) if syntax == Syntax::Sqlite => {
                (Element::Identifier, self.skip_quoted(b'`', true))
            }
            _ => return Ok(None),
        };
        if terminated {
            Ok(Some(element))
        } else {
            Err(Unterminated { element, mark })
        }
    }

    /// Moves over a quoted text up to `close`; with `doubled`, two of them stand for one inside the text.
    fn skip_quoted(&mut self, close: u8, doubled: bool) -> bool {
        self.advance(1);
        loop {
            self.skip_while(|byte| byte != close && !matches!(byte, b'\r' | b'\n'));
            if self.skip_line_end() {
                continue;
            }
            if self.peek(0).is_none() {
                return false;
            }
            self.advance(1);
            if !doubled || self.peek(0) != Some(close) {
                return true;
            }
            self.advance(1);
        }
    }

    fn skip_block_comment(&mut self, nested: bool) -> bool {
        self.advance(2);
        let mut depth: usize = 1;
        loop {
            self.skip_while(|byte| !matches!(byte, b'*' | b'/' | b'\r' | b'\n'));
            match (self.peek(0), self.peek(1)) {
                (None, _) => return false,
                (Some(b'*'), Some(b'/')) => {
                    self.advance(2);
                    depth -= 1;
                    if depth == 0 {
                        return true;
                    }
                }
                (Some(b'/'), Some(b'*')) if nested => {
                    self.advance(2);
                    depth += 1;
                }
                _ => {
                    if !self.skip_line_end() {
                        self.advance(1);
                    }
                }
            }
        }
    }
}

/// Whether a byte neither ends a line nor begins a comment or quotes.
pub(super) fn is_plain(byte: u8) -> bool {
    !matches!(
        byte,
        b'\r' | b'\n' | b'-' | b'/' | b'\'' | b'"' | b'[' | b'`'
    )
}

/// Line and column (both from 1, in characters) of the place behind a text.
pub(super) fn place_behind(text: &str) -> (u32, u32) {
    let mut cursor = Cursor::within(text);
    loop {
        cursor.skip_to_line_end();
        if !cursor.skip_line_end() {
            return (cursor.mark.line, cursor.column(cursor.mark));
        }
    }
}
