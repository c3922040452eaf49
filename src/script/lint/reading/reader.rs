//! Goes through the parts of one statement.

use super::name::Name;
use super::token::Token;
use crate::script::statement::part::{Part, SEMICOLON};

/// Words that stand where a name was forgotten.
const NO_NAMES: [&str; 5] = ["AS", "FROM", "ON", "SET", "WHERE"];

/// A place in the parts of a statement that moves forward.
#[derive(Clone, Copy)]
pub(super) struct Reader<'s, 'a> {
    tokens: &'s [Token<'a>],
}

impl<'s, 'a> Reader<'s, 'a> {
    pub(super) fn of(tokens: &'s [Token<'a>]) -> Self {
        Self { tokens }
    }

    /// The parts from here on.
    pub(super) fn rest(&self) -> &'s [Token<'a>] {
        self.tokens
    }

    /// The part here; at the end a semicolon.
    pub(super) fn peek(&self) -> Part<'a> {
        self.tokens.first().map_or(SEMICOLON, |token| token.part)
    }

    pub(super) fn next(&mut self) -> Option<&'s Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Moves over a keyword, if it stands here.
    pub(super) fn eat(&mut self, keyword: &str) -> bool {
        self.eat_any(&[keyword])
    }

    /// Moves over one of some keywords, if one stands here.
    pub(super) fn eat_any(&mut self, keywords: &[&str]) -> bool {
        self.eat_if(|part| part.is_any(keywords))
    }

    /// Moves over keywords that stand here one behind the other.
    pub(super) fn eat_all(&mut self, keywords: &[&str]) -> bool {
        let mut ahead = *self;
        let all = keywords.iter().all(|keyword| ahead.eat(keyword));
        if all {
            *self = ahead;
        }
        all
    }

    pub(super) fn eat_symbol(&mut self, symbol: u8) -> bool {
        self.eat_if(|part| part == Part::Symbol(symbol))
    }

    fn eat_if(&mut self, is_such: impl Fn(Part<'a>) -> bool) -> bool {
        let eats = is_such(self.peek());
        if eats {
            self.next();
        }
        eats
    }

    /// Moves over a name of one part, if one stands here.
    pub(super) fn one_part(&mut self) -> Option<Name<'a>> {
        let token = self.tokens.first()?;
        if token.part.is_any(&NO_NAMES) {
            return None;
        }
        let part = token.part.name()?;
        self.next();
        Some(Name {
            parts: vec![part],
            place: token.place,
        })
    }

    /// Moves over a name of one or more parts, if one stands here.
    pub(super) fn name(&mut self) -> Option<Name<'a>> {
        let mut name = self.one_part()?;
        while self.eat_symbol(b'.') {
            let part = self.peek().name();
            if part.is_some() {
                self.next();
            } else if self.peek() != Part::Symbol(b'.') {
                return None;
            }
            name.parts.push(part.unwrap_or_default());
        }
        Some(name)
    }

    /// Moves over what stands in parentheses here, and gives what is inside.
    pub(super) fn parenthesised(&mut self) -> Option<&'s [Token<'a>]> {
        if !self.eat_symbol(b'(') {
            return None;
        }
        let inside = self.tokens;
        let mut depth = 1_usize;
        while let Some(token) = self.next() {
            match token.part {
                Part::Symbol(b'(') => depth += 1,
                Part::Symbol(b')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let length = inside.len() - self.tokens.len() - 1;
                return inside.get(..length);
            }
        }
        None
    }

    /// Whether a word stands anywhere from here on, outside parentheses.
    pub(super) fn has(&self, keywords: &[&str]) -> bool {
        outside(self.tokens).any(|token| token.part.is_any(keywords))
    }
}

/// The parts that stand outside parentheses, these included.
pub(super) fn outside<'s, 'a>(tokens: &'s [Token<'a>]) -> impl Iterator<Item = &'s Token<'a>> {
    let mut depth = 0_usize;
    tokens.iter().filter(move |token| {
        match token.part {
            Part::Symbol(b'(') => depth += 1,
            Part::Symbol(b')') => {
                depth = depth.saturating_sub(1);
                return depth == 0;
            }
            _ => return depth == 0,
        }
        depth == 1
    })
}

/// Parts between commas that stand outside parentheses.
pub(super) fn items<'s, 'a>(tokens: &'s [Token<'a>]) -> Vec<&'s [Token<'a>]> {
    let mut depth = 0_usize;
    let items = tokens.split(|token| {
        match token.part {
            Part::Symbol(b'(') => depth += 1,
            Part::Symbol(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.part == Part::Symbol(b',')
    });
    items.filter(|item| !item.is_empty()).collect()
}
