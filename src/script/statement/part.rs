//! The words, symbols and quoted texts of a batch, in order.

use crate::script::cursor::{Cursor, Mark};
use crate::script::syntax::Syntax;

/// A piece of a batch that is neither blank nor comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::script) enum Part<'a> {
    /// A keyword, a name, a variable or a number.
    Word(&'a str),
    /// One ASCII character that is part of no word.
    Symbol(u8),
    /// A string or a quoted identifier, with its quotes: never a keyword.
    Quoted(&'a str),
    /// A string, quoted identifier or comment without an end: what follows it is not known.
    Unterminated,
}

/// What ends a statement for certain, and what stands before the first one.
pub(in crate::script) const SEMICOLON: Part<'static> = Part::Symbol(b';');

impl<'a> Part<'a> {
    pub(in crate::script) fn is(self, keyword: &str) -> bool {
        // Most words differ in length, so that this is asked often and seldom in full.
        matches!(self, Self::Word(word) if word.len() == keyword.len() && word.eq_ignore_ascii_case(keyword))
    }

    pub(in crate::script) fn is_any(self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    /// As [`Self::is_any`], for many keywords in alphabetical order.
    pub(in crate::script) fn is_in(self, keywords: &[&str]) -> bool {
        let Self::Word(word) = self else {
            return false;
        };
        let upper = || word.bytes().map(|byte| byte.to_ascii_uppercase());
        keywords
            .binary_search_by(|keyword| keyword.bytes().cmp(upper()))
            .is_ok()
    }

    /// The part as a name, without its quotes.
    pub(in crate::script) fn name(self) -> Option<&'a str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Quoted(quoted) => quoted.get(1..quoted.len() - 1),
            Self::Symbol(_) | Self::Unterminated => None,
        }
    }
}

/// Goes through the parts of a batch. A place of the script comes with each.
pub(in crate::script) struct Parts<'a> {
    cursor: Cursor<'a>,
    syntax: Syntax,
}

impl<'a> Parts<'a> {
    pub(in crate::script) fn of(batch: &'a str, syntax: Syntax) -> Self {
        Self {
            cursor: Cursor::within(batch),
            syntax,
        }
    }

    /// Passes over all that is left.
    pub(in crate::script) fn skip_to_end(&mut self) {
        self.cursor.skip_to_end();
    }

    fn skip_blank(&mut self) -> bool {
        if self.cursor.skip_line_end() {
            return true;
        }
        let length = match self.cursor.peek(0) {
            Some(byte) if byte.is_ascii() => usize::from(byte <= b' '),
            Some(_) => self.wide_blank().map_or(0, char::len_utf8),
            None => 0,
        };
        self.cursor.advance(length);
        length > 0
    }

    /// The blank beyond ASCII at the cursor. SQLite has but one: there other such characters are parts of names.
    fn wide_blank(&self) -> Option<char> {
        let character = self.cursor.rest().chars().next()?;
        let is_blank = character == BYTE_ORDER_MARK
            || self.syntax == Syntax::TransactSql && is_wide_blank(character);
        is_blank.then_some(character)
    }

    fn skip_word(&mut self) {
        if self
            .cursor
            .peek(0)
            .is_some_and(|byte| byte.is_ascii_digit())
        {
            return self.skip_number();
        }
        loop {
            self.cursor.skip_while(is_word_byte);
            let wide = self.cursor.rest().chars().next();
            let Some(wide) = wide.filter(|character| !character.is_ascii()) else {
                return;
            };
            if self.wide_blank().is_some() {
                return;
            }
            self.cursor.advance(wide.len_utf8());
        }
    }

    /// A number ends where its digits do, whatever follows: `IF @a = 1COMMIT` holds a COMMIT.
    fn skip_number(&mut self) {
        let is_hexadecimal =
            self.cursor.peek(0) == Some(b'0') && matches!(self.cursor.peek(1), Some(b'x' | b'X'));
        self.cursor.advance(if is_hexadecimal { 2 } else { 0 });
        while self
            .cursor
            .peek(0)
            .is_some_and(|byte| byte.is_ascii_digit() || is_hexadecimal && byte.is_ascii_hexdigit())
        {
            self.cursor.advance(1);
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (Part<'a>, Mark);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.skip_blank() {
                continue;
            }
            let mark = self.cursor.mark();
            let byte = self.cursor.peek(0)?;
            match self.cursor.skip_element(self.syntax) {
                Ok(Some(element)) if element.is_comment() => continue,
                Ok(Some(_)) => return Some((Part::Quoted(self.cursor.text_since(mark)), mark)),
                Ok(None) => {}
                Err(_) => return Some((Part::Unterminated, mark)),
            }
            self.skip_word();
            let word = self.cursor.text_since(mark);
            if word.is_empty() {
                self.cursor.advance(1);
                return Some((Part::Symbol(byte), mark));
            }
            return Some((Part::Word(word), mark));
        }
    }
}

/// Files that were put together have it where the second one began.
const BYTE_ORDER_MARK: char = '\u{feff}';

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'#' | b'$')
}

/// The blanks of T-SQL beyond ASCII, as in the grammar of Microsoft's own parser (`WS_CHAR_WO_NEWLINE` in
/// microsoft/SqlScriptDOM): a COMMIT between two of them is a COMMIT.
fn is_wide_blank(character: char) -> bool {
    matches!(
        character,
        '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(batch: &str, syntax: Syntax) -> Vec<Part<'_>> {
        Parts::of(batch, syntax).map(|(part, _)| part).collect()
    }

    #[test]
    fn comments_and_blanks_lie_between_parts() {
        assert_eq!(
            parts("a/* b */[c]\u{1}=\t'd''e'--f\r\n.@g", Syntax::TransactSql),
            [
                Part::Word("a"),
                Part::Quoted("[c]"),
                Part::Symbol(b'='),
                Part::Quoted("'d''e'"),
                Part::Symbol(b'.'),
                Part::Word("@g"),
            ]
        );
    }

    #[test]
    fn a_word_may_follow_the_digits_of_a_number() {
        assert_eq!(
            parts("1COMMIT 0xFFgo 1.5", Syntax::TransactSql),
            [
                Part::Word("1"),
                Part::Word("COMMIT"),
                Part::Word("0xFF"),
                Part::Word("go"),
                Part::Word("1"),
                Part::Symbol(b'.'),
                Part::Word("5"),
            ]
        );
    }

    #[test]
    fn blanks_beyond_ascii_part_words_in_t_sql_only() {
        let batch = "é\u{a0}COMMIT\u{3000}";
        assert_eq!(
            parts(batch, Syntax::TransactSql),
            [Part::Word("é"), Part::Word("COMMIT")]
        );
        assert_eq!(parts(batch, Syntax::Sqlite), [Part::Word(batch)]);
        for syntax in [Syntax::TransactSql, Syntax::Sqlite] {
            let parts = parts("\u{feff}a\u{feff}b", syntax);
            assert_eq!(parts, [Part::Word("a"), Part::Word("b")]);
        }
    }

    #[test]
    fn what_has_no_end_is_the_last_part() {
        for open in ["'b", "[b", "\"b", "/* b"] {
            assert_eq!(
                parts(&format!("a {open}"), Syntax::TransactSql),
                [Part::Word("a"), Part::Unterminated],
                "{open}"
            );
        }
    }

    #[test]
    fn a_name_is_known_without_its_quotes() {
        let names: Vec<_> = Parts::of("a [b] \"c\" ;", Syntax::TransactSql)
            .map(|(part, _)| part.name())
            .collect();
        assert_eq!(names, [Some("a"), Some("b"), Some("c"), None]);
    }
}
