//! Where the statements of a T-SQL batch begin.

use super::Statement;
use super::part::{Part, Parts, SEMICOLON};
use crate::script::syntax::Syntax;

/// Words that begin a statement. They are reserved, so that outside quotes each of them does, save where it is part of
/// another statement: `CREATE OR ALTER`, an alias, an option behind WITH, or a permission in a list of them.
const BEGINNINGS: [&str; 14] = [
    "ALTER", "BACKUP", "BEGIN", "COMMIT", "CREATE", "DENY", "DROP", "EXEC", "EXECUTE", "GRANT",
    "RESTORE", "REVOKE", "ROLLBACK", "SAVE",
];

/// The statements of a T-SQL batch, which needs no semicolons between them, as far as they begin with one of
/// [`BEGINNINGS`] or stand where a statement must begin. What else a batch holds counts to the statement before it.
pub(super) struct TransactSqlStatements<'a> {
    parts: Parts<'a>,
    /// The statement that was begun last.
    current: Option<Statement<'a>>,
    /// The part before the next one, and its line.
    previous: (Part<'a>, u32),
    in_permissions: bool,
    /// How many parentheses are open: no statement begins inside them.
    depth: usize,
    /// Whether the batch may be the definition of a module, which must be its first statement.
    is_first: bool,
}

impl<'a> TransactSqlStatements<'a> {
    pub(super) fn of(batch: &'a str) -> Self {
        Self {
            parts: Parts::of(batch, Syntax::TransactSql),
            current: None,
            previous: (SEMICOLON, 0),
            in_permissions: false,
            depth: 0,
            is_first: true,
        }
    }

    /// Whether a statement begins with this part.
    fn begins(
        &mut self,
        part: Part<'_>,
        line: u32,
        (before, line_before): (Part<'_>, u32),
    ) -> bool {
        match part {
            SEMICOLON => {
                self.in_permissions = false;
                self.depth = 0;
                return false;
            }
            Part::Symbol(b'(') => self.depth += 1,
            Part::Symbol(b')') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > 0 {
            return false;
        }
        if self.in_permissions {
            self.in_permissions = !part.is_any(&["ON", "TO", "FROM"]);
            return false;
        }
        let by_place = before == SEMICOLON
            || before.is("ELSE")
            || before.is("BEGIN") && !part.is_any(&["TRAN", "TRANSACTION", "DISTRIBUTED"]);
        let by_word = || part.is_in(&BEGINNINGS) || part.is("RECONFIGURE") && line > line_before;
        let inside_another =
            || matches!(before, Part::Symbol(b'.' | b',')) || before.is_any(&["AS", "OR", "WITH"]);
        let begins = by_place || by_word() && !inside_another();
        if begins {
            self.in_permissions = part.is_any(&["GRANT", "DENY", "REVOKE"]);
        }
        begins
    }

    /// Hands out a whole statement. The rest of the batch is the body of a module that it defines.
    fn hand_out(&mut self, statement: Statement<'a>) -> Statement<'a> {
        if self.is_first && statement.defines_module() {
            self.current = None;
            self.parts.skip_to_end();
        }
        self.is_first = false;
        statement
    }
}

impl<'a> Iterator for TransactSqlStatements<'a> {
    type Item = Statement<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((part, mark)) = self.parts.next() {
            let previous = std::mem::replace(&mut self.previous, (part, mark.line));
            if self.begins(part, mark.line, previous) {
                let begun = Statement::begin(part, mark, Syntax::TransactSql);
                if let Some(statement) = self.current.replace(begun) {
                    return Some(self.hand_out(statement));
                }
            } else if let Some(statement) = &mut self.current {
                statement.push(part);
            }
        }
        self.current.take()
    }
}

/// Whether a batch is the definition of a module, as far as its first words say.
pub(in crate::script) fn defines_module(batch: &str) -> bool {
    let mut parts =
        Parts::of(batch, Syntax::TransactSql).skip_while(|(part, _)| *part == SEMICOLON);
    let Some((first, mark)) = parts.next() else {
        return false;
    };
    let mut statement = Statement::begin(first, mark, Syntax::TransactSql);
    for (part, _) in parts.take(MODULE_WORDS - 1) {
        statement.push(part);
    }
    statement.defines_module()
}

/// How many words say that a statement defines a module: `CREATE OR ALTER VIEW`.
const MODULE_WORDS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginnings_are_in_alphabetical_order() {
        assert!(BEGINNINGS.is_sorted());
    }
}
