//! Cuts SQL into tokens, just far enough to tell code from text, names and comments.
//!
//! It knows what SQLite and T-SQL share and never fails: whatever it cannot make out is a token of its own.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Space,
    Comment,
    /// A keyword or a bare name.
    Word,
    /// A name in `"…"`, `[…]` or backticks.
    QuotedName,
    /// A string or blob literal with its prefix: `'…'`, `N'…'`, `x'…'`.
    Literal,
    Number,
    /// One character of anything else.
    Symbol,
    /// A quote or block comment that never ends: everything up to the end of the text.
    Unclosed,
}

/// A piece of the text; the pieces of a text, put together, are the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    /// The offset in bytes at which it begins.
    pub start: usize,
}

impl Token<'_> {
    /// The offset in bytes just behind it.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this keyword, in whatever case.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this character.
    pub fn is_symbol(&self, symbol: char) -> bool {
        self.kind == TokenKind::Symbol && self.text.starts_with(symbol)
    }

    /// Whether an engine would skip it.
    pub fn is_blank(&self) -> bool {
        matches!(self.kind, TokenKind::Space | TokenKind::Comment)
    }

    /// The name that it stands for: without its quotes when it is quoted, else as it is.
    pub fn name(&self) -> String {
        let mut inner = self.text.chars();
        let close = match inner.next() {
            Some('[') => ']',
            Some(quote @ ('"' | '`' | '\'')) => quote,
            _ => return self.text.to_owned(),
        };
        if inner.next_back() != Some(close) {
            return self.text.to_owned();
        }
        inner
            .as_str()
            .replace(&format!("{close}{close}"), &close.to_string())
    }
}

/// All tokens of the text, in order.
pub fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(rest) = sql.get(start..).filter(|rest| !rest.is_empty()) {
        let (kind, length) = next(rest);
        tokens.push(Token {
            kind,
            text: &rest[..length],
            start,
        });
        start += length;
    }
    tokens
}

/// The tokens that an engine sees: without white space and comments.
pub fn code(sql: &str) -> Vec<Token<'_>> {
    tokens(sql)
        .into_iter()
        .filter(|token| !token.is_blank())
        .collect()
}

/// Kind and length in bytes of the token with which a text that is not empty begins.
fn next(rest: &str) -> (TokenKind, usize) {
    let mut chars = rest.chars();
    let (first, second) = (chars.next().unwrap_or_default(), chars.next());
    match (first, second) {
        ('-', Some('-')) => (TokenKind::Comment, rest.find('\n').unwrap_or(rest.len())),
        ('/', Some('*')) => match rest[2..].find("*/") {
            Some(end) => (TokenKind::Comment, 2 + end + 2),
            None => (TokenKind::Unclosed, rest.len()),
        },
        ('\'', _) => quoted(rest, 0, '\'', TokenKind::Literal),
        ('"' | '`', _) => quoted(rest, 0, first, TokenKind::QuotedName),
        ('[', _) => quoted(rest, 0, ']', TokenKind::QuotedName),
        ('n' | 'N' | 'x' | 'X', Some('\'')) => quoted(rest, 1, '\'', TokenKind::Literal),
        _ if first.is_ascii_whitespace() => (
            TokenKind::Space,
            length_while(rest, |character| character.is_ascii_whitespace()),
        ),
        _ if first.is_ascii_digit() => (TokenKind::Number, number(rest)),
        _ if begins_name(first) => (TokenKind::Word, length_while(rest, continues_name)),
        _ => (TokenKind::Symbol, first.len_utf8()),
    }
}

/// Whether a bare name can begin so. As in SQLite, every character beyond ASCII can, a no-break space too.
pub(super) fn begins_name(character: char) -> bool {
    character.is_ascii_alphabetic() || matches!(character, '_' | '@' | '#') || !character.is_ascii()
}

/// Whether a bare name can go on so.
pub(super) fn continues_name(character: char) -> bool {
    begins_name(character) || character.is_ascii_digit() || character == '$'
}

fn length_while(text: &str, accepted: impl Fn(char) -> bool) -> usize {
    text.find(|character| !accepted(character))
        .unwrap_or(text.len())
}

/// The token that opens with the one-byte character at `open` and ends at `close`, a doubled `close` being part of it.
fn quoted(rest: &str, open: usize, close: char, kind: TokenKind) -> (TokenKind, usize) {
    let mut position = open + 1;
    while let Some(found) = rest[position..].find(close) {
        position += found + 1;
        if !rest[position..].starts_with(close) {
            return (kind, position);
        }
        position += 1;
    }
    (TokenKind::Unclosed, rest.len())
}

/// The length of a number, which may be a decimal with an exponent or hexadecimal.
fn number(rest: &str) -> usize {
    let length = length_while(rest, |character| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '_')
    });
    let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
    let digits = &rest[..length];
    if hexadecimal || !digits.ends_with(['e', 'E']) || !rest[length..].starts_with(['+', '-']) {
        return length;
    }
    length + 1 + length_while(&rest[length + 1..], |character| character.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(sql: &str) -> Vec<(TokenKind, &str)> {
        code(sql)
            .into_iter()
            .map(|token| (token.kind, token.text))
            .collect()
    }

    #[test]
    fn tells_names_literals_numbers_and_symbols_apart() {
        use TokenKind::*;
        assert_eq!(
            cut("a.\"b\"\"c\" = N'it''s'+[d]]e]`f` 1.5e-3,0xFE-1"),
            vec![
                (Word, "a"),
                (Symbol, "."),
                (QuotedName, "\"b\"\"c\""),
                (Symbol, "="),
                (Literal, "N'it''s'"),
                (Symbol, "+"),
                (QuotedName, "[d]]e]"),
                (QuotedName, "`f`"),
                (Number, "1.5e-3"),
                (Symbol, ","),
                (Number, "0xFE"),
                (Symbol, "-"),
                (Number, "1"),
            ]
        );
    }

    #[test]
    fn comments_are_skipped_but_not_inside_quotes() {
        assert_eq!(
            cut("a -- it's\n/* \" */ '-- no' \"/* no */\""),
            vec![
                (TokenKind::Word, "a"),
                (TokenKind::Literal, "'-- no'"),
                (TokenKind::QuotedName, "\"/* no */\"")
            ]
        );
    }

    #[test]
    fn a_quote_or_comment_that_never_ends_takes_the_rest() {
        for sql in ["'a''", "\"a", "[a]]", "/* a *", "x'"] {
            assert_eq!(cut(sql), vec![(TokenKind::Unclosed, sql)]);
        }
    }

    #[test]
    fn a_name_loses_its_quotes_and_their_doubling() {
        let names: Vec<String> = code(r#""a""b" [c]]d] `e` f 'g'"#)
            .iter()
            .map(Token::name)
            .collect();
        assert_eq!(names, ["a\"b", "c]d", "e", "f", "g"]);
    }

    #[test]
    fn a_space_beyond_ascii_is_part_of_a_name_as_in_sqlite() {
        assert_eq!(cut("a\u{a0}b"), vec![(TokenKind::Word, "a\u{a0}b")]);
    }

    #[test]
    fn a_lone_quote_is_its_own_name() {
        assert_eq!(code("\"")[0].name(), "\"");
    }

    proptest! {
        #[test]
        fn the_tokens_of_any_text_put_together_are_the_text(
            sql in proptest::string::string_regex("([-a-zé0-9'\"`\\[\\]/*. \n]|\\PC){0,40}").unwrap()
        ) {
            let all = tokens(&sql);
            prop_assert_eq!(all.iter().map(|token| token.text).collect::<String>(), sql.clone());
            for token in all {
                prop_assert_eq!(&sql[token.start..token.end()], token.text);
            }
        }
    }
}
