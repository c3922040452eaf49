//! Where the statements of a SQLite batch begin and end.

use super::Statement;
use super::part::{Part, Parts, SEMICOLON};
use crate::script::syntax::Syntax;

/// SQLite ends a statement at a semicolon, and that of a trigger at `; END ;`, as its own shell does.
pub(super) struct SqliteStatements<'a> {
    parts: Parts<'a>,
    /// The last two parts before the next one.
    before: [Part<'a>; 2],
}

impl<'a> SqliteStatements<'a> {
    pub(super) fn of(batch: &'a str) -> Self {
        Self {
            parts: Parts::of(batch, Syntax::Sqlite),
            before: [SEMICOLON; 2],
        }
    }
}

impl<'a> Iterator for SqliteStatements<'a> {
    type Item = Statement<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut current: Option<Statement<'a>> = None;
        for (part, mark) in self.parts.by_ref() {
            let [before_last, last] = self.before;
            self.before = [last, part];
            match &mut current {
                None if part == SEMICOLON => {}
                None => current = Some(Statement::begin(part, mark, Syntax::Sqlite)),
                Some(statement) if part != SEMICOLON => statement.push(part),
                Some(statement) => {
                    let ends_trigger = last.is("END") && before_last == SEMICOLON;
                    if !statement.creates_trigger() || ends_trigger {
                        return current;
                    }
                }
            }
        }
        current
    }
}
