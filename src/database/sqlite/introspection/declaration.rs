//! What only the text of a CREATE statement says of a SQLite table or index, and no pragma tells.
//!
//! The text comes from `sqlite_schema`, so SQLite has accepted it. It is not parsed in full: the clauses that matter
//! begin with words that SQLite reserves, so outside of parentheses these words can be nothing else. Of a text that is
//! odd all the same, what is not recognised is left out; the pragmas still tell the rest.

use std::collections::HashMap;

use crate::schema::Check;
use crate::schema::lexer::{Token, code};

/// What a CREATE TABLE says. Names of columns are folded by [`fold`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TableDeclaration {
    pub(super) columns: HashMap<String, ColumnDeclaration>,
    pub(super) primary_key_name: Option<String>,
    pub(super) unique: Vec<DeclaredUnique>,
    pub(super) foreign_keys: Vec<DeclaredForeignKey>,
    pub(super) checks: Vec<Check>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnDeclaration {
    pub(super) collation: Option<String>,
    /// The expression of a generated column.
    pub(super) generated: Option<String>,
    pub(super) autoincrement: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeclaredUnique {
    pub(super) name: Option<String>,
    pub(super) columns: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeclaredForeignKey {
    pub(super) name: Option<String>,
    pub(super) columns: Vec<String>,
    /// Folded like the columns.
    pub(super) referenced_table: String,
    pub(super) deferred: bool,
}

/// What a CREATE INDEX says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct IndexDeclaration {
    /// One for each member, in order.
    pub(super) members: Vec<Member>,
    pub(super) filter: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) expression: String,
    pub(super) collation: Option<String>,
}

/// A name as SQLite compares names: without regard to the case of ASCII letters.
pub(super) fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Reads a CREATE TABLE.
pub(super) fn table(sql: &str) -> TableDeclaration {
    let tokens = code(sql);
    let mut declaration = TableDeclaration::default();
    if let Some(open) = tokens.iter().position(|token| token.is_symbol('(')) {
        for definition in parts(group(&tokens, open)) {
            Definition::new(sql, definition).read_into(&mut declaration);
        }
    }
    declaration
}

/// Reads a CREATE INDEX.
pub(super) fn index(sql: &str) -> IndexDeclaration {
    let tokens = code(sql);
    let Some(open) = tokens.iter().position(|token| token.is_symbol('(')) else {
        return IndexDeclaration::default();
    };
    let members = group(&tokens, open);
    let rest = tokens.get(open + members.len() + 2..).unwrap_or_default();
    let filter = match rest {
        [first, condition @ ..] if first.is_word("WHERE") => Some(source(sql, condition)),
        _ => None,
    };
    IndexDeclaration {
        members: parts(members).map(|part| member(sql, part)).collect(),
        filter,
    }
}

/// The module of a CREATE VIRTUAL TABLE with its arguments.
pub(super) fn virtual_module(sql: &str) -> Option<String> {
    let tokens = code(sql);
    let using = tokens.iter().position(|token| token.is_word("USING"))?;
    Some(source(sql, &tokens[using + 1..]))
}

fn member<'a>(sql: &str, mut part: &[Token<'a>]) -> Member {
    if let [before @ .., last] = part
        && (last.is_word("ASC") || last.is_word("DESC"))
    {
        part = before;
    }
    match part {
        [before @ .., collate, name] if collate.is_word("COLLATE") => Member {
            expression: source(sql, before),
            collation: Some(name.name()),
        },
        _ => Member {
            expression: source(sql, part),
            collation: None,
        },
    }
}

/// One of the definitions between the parentheses of a CREATE TABLE: a column with its constraints, or constraints of
/// the table (SQLite demands no comma between those).
struct Definition<'a> {
    sql: &'a str,
    /// The column that is defined, folded.
    column: Option<String>,
    /// What follows the name of the column.
    clauses: &'a [Token<'a>],
}

impl<'a> Definition<'a> {
    fn new(sql: &'a str, tokens: &'a [Token<'a>]) -> Self {
        match tokens {
            [first, clauses @ ..]
                if !["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"]
                    .iter()
                    .any(|word| first.is_word(word)) =>
            {
                Self {
                    sql,
                    column: Some(fold(&first.name())),
                    clauses,
                }
            }
            clauses => Self {
                sql,
                column: None,
                clauses,
            },
        }
    }

    fn read_into(&self, declaration: &mut TableDeclaration) {
        let mut column = ColumnDeclaration::default();
        let mut name = None;
        let mut foreign_columns = None;
        let mut position = 0;
        while let Some(token) = self.clauses.get(position) {
            let next = self.clauses.get(position + 1);
            let opens = next.is_some_and(|next| next.is_symbol('('));
            if token.is_symbol('(') {
                position += group(self.clauses, position).len() + 1;
            } else if token.is_word("CONSTRAINT") {
                name = next.map(Token::name);
                position += 1;
            } else if token.is_word("NULL") {
                // The end of NOT NULL, the one constraint whose name nothing keeps.
                name = None;
            } else if token.is_word("CHECK") && opens {
                let expression = source(self.sql, group(self.clauses, position + 1));
                declaration.checks.push(Check {
                    name: name.take(),
                    expression,
                    ..Check::default()
                });
            } else if token.is_word("PRIMARY") {
                declaration.primary_key_name = name.take();
                self.read_autoincrement_of_the_table(position + 2, declaration);
            } else if token.is_word("AUTOINCREMENT") {
                column.autoincrement = true;
            } else if token.is_word("UNIQUE") {
                let columns = self.columns_at(position + 1);
                declaration.unique.push(DeclaredUnique {
                    name: name.take(),
                    columns,
                });
            } else if token.is_word("FOREIGN") {
                foreign_columns = Some(self.columns_at(position + 2));
            } else if token.is_word("REFERENCES") {
                declaration.foreign_keys.push(DeclaredForeignKey {
                    name: name.take(),
                    columns: foreign_columns
                        .take()
                        .unwrap_or_else(|| self.column.iter().cloned().collect()),
                    referenced_table: next.map(|table| fold(&table.name())).unwrap_or_default(),
                    deferred: false,
                });
                position += 1;
            } else if token.is_word("DEFERRABLE") && self.is_deferred(position) {
                if let Some(key) = declaration.foreign_keys.last_mut() {
                    key.deferred = true;
                }
            } else if token.is_word("COLLATE") {
                column.collation = next.map(Token::name);
                position += 1;
            } else if token.is_word("AS") && opens {
                column.generated = Some(source(self.sql, group(self.clauses, position + 1)));
            }
            position += 1;
        }
        if let Some(name) = &self.column {
            declaration.columns.insert(name.clone(), column);
        }
    }

    /// `PRIMARY KEY (id AUTOINCREMENT)`, which SQLite accepts too.
    fn read_autoincrement_of_the_table(&self, open: usize, declaration: &mut TableDeclaration) {
        if self.column.is_some() {
            return;
        }
        let members = group(self.clauses, open);
        if let Some(first) = members
            .first()
            .filter(|_| members.iter().any(|token| token.is_word("AUTOINCREMENT")))
        {
            declaration
                .columns
                .entry(fold(&first.name()))
                .or_default()
                .autoincrement = true;
        }
    }

    /// The columns named in the parentheses at `open`, or else the one that is being defined.
    fn columns_at(&self, open: usize) -> Vec<String> {
        match &self.column {
            Some(column) => vec![column.clone()],
            None => parts(group(self.clauses, open))
                .filter_map(|part| part.first())
                .map(|name| fold(&name.name()))
                .collect(),
        }
    }

    /// Only `DEFERRABLE INITIALLY DEFERRED` without a NOT defers.
    fn is_deferred(&self, position: usize) -> bool {
        let negated = position
            .checked_sub(1)
            .is_some_and(|before| self.clauses[before].is_word("NOT"));
        let word_at = |offset: usize, word: &str| {
            self.clauses
                .get(position + offset)
                .is_some_and(|token| token.is_word(word))
        };
        !negated && word_at(1, "INITIALLY") && word_at(2, "DEFERRED")
    }
}

/// The tokens between the parenthesis at `open` and the one that closes it; to the end if none does, and none if there
/// is no parenthesis at `open`.
fn group<'a, 'b>(tokens: &'b [Token<'a>], open: usize) -> &'b [Token<'a>] {
    let Some((first, inner)) = tokens.get(open..).and_then(<[_]>::split_first) else {
        return &[];
    };
    if !first.is_symbol('(') {
        return &[];
    }
    let mut depth = 1usize;
    for (position, token) in inner.iter().enumerate() {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth -= 1;
            if depth == 0 {
                return &inner[..position];
            }
        }
    }
    inner
}

/// The tokens between the commas that stand outside of parentheses.
fn parts<'a, 'b>(tokens: &'b [Token<'a>]) -> impl Iterator<Item = &'b [Token<'a>]> {
    let mut depth = 0usize;
    tokens.split(move |token| {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && token.is_symbol(',')
    })
}

/// The text from the first of the tokens to the last, as it was written.
fn source(sql: &str, tokens: &[Token]) -> String {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => sql[first.start..last.end()].to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(name: Option<&str>, expression: &str) -> Check {
        Check {
            name: name.map(str::to_owned),
            expression: expression.into(),
            ..Check::default()
        }
    }

    #[test]
    fn checks_are_found_at_columns_and_at_the_table_with_and_without_commas() {
        let read = table(
            "CREATE TABLE t(a INT CHECK (a > 0) CONSTRAINT even CHECK((a % 2) = 0), b DECIMAL(10, 2) DEFAULT (1 + (2)), \
             CHECK (a <> ')' /* , */) CONSTRAINT \"less, than\" CHECK (a < b), c TEXT NOT NULL CHECK (c IN ('x', 'y')))",
        );
        assert_eq!(
            read.checks,
            vec![
                check(None, "a > 0"),
                check(Some("even"), "(a % 2) = 0"),
                check(None, "a <> ')'"),
                check(Some("less, than"), "a < b"),
                check(None, "c IN ('x', 'y')"),
            ]
        );
    }

    #[test]
    fn names_belong_to_the_constraint_that_follows_them() {
        let read = table(
            "CREATE TABLE t(a INT CONSTRAINT nn NOT NULL CONSTRAINT pk PRIMARY KEY CONSTRAINT u UNIQUE,
             b CONSTRAINT nn NOT NULL UNIQUE CONSTRAINT f REFERENCES p, CONSTRAINT u2 UNIQUE (a, [B] COLLATE NOCASE))",
        );
        assert_eq!(read.primary_key_name.as_deref(), Some("pk"));
        let unique = |name: Option<&str>, columns: &[&str]| DeclaredUnique {
            name: name.map(str::to_owned),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
        };
        assert_eq!(
            read.unique,
            vec![
                unique(Some("u"), &["a"]),
                unique(None, &["b"]),
                unique(Some("u2"), &["a", "b"])
            ]
        );
        assert_eq!(read.foreign_keys[0].name.as_deref(), Some("f"));
    }

    #[test]
    fn only_one_spelling_of_deferrable_defers() {
        for (clause, deferred) in [
            ("DEFERRABLE INITIALLY DEFERRED", true),
            ("ON DELETE SET DEFAULT DEFERRABLE INITIALLY DEFERRED", true),
            ("NOT DEFERRABLE INITIALLY DEFERRED", false),
            ("DEFERRABLE INITIALLY IMMEDIATE", false),
            ("DEFERRABLE", false),
            ("ON DELETE CASCADE", false),
        ] {
            let read = table(&format!(
                "CREATE TABLE t(a REFERENCES p(x) {clause}, FOREIGN KEY (A, b) REFERENCES q {clause})"
            ));
            assert_eq!(
                read.foreign_keys
                    .iter()
                    .map(|key| key.deferred)
                    .collect::<Vec<_>>(),
                [deferred; 2],
                "{clause}"
            );
            assert_eq!(read.foreign_keys[0].columns, ["a"]);
            assert_eq!(read.foreign_keys[1].columns, ["a", "b"]);
            assert_eq!(read.foreign_keys[1].referenced_table, "q");
        }
    }

    #[test]
    fn a_column_tells_its_collation_generation_and_autoincrement() {
        let read = table(
            "CREATE TABLE t(\"the id\" INTEGER PRIMARY KEY AUTOINCREMENT, n TEXT COLLATE NOCASE, \
             g INT GENERATED ALWAYS AS (n || 'x') STORED, 'h' AS (1))",
        );
        assert!(read.columns["the id"].autoincrement);
        assert_eq!(read.columns["n"].collation.as_deref(), Some("NOCASE"));
        assert_eq!(read.columns["g"].generated.as_deref(), Some("n || 'x'"));
        assert_eq!(read.columns["h"].generated.as_deref(), Some("1"));
        assert!(!read.columns["n"].autoincrement);
    }

    #[test]
    fn autoincrement_is_found_in_the_key_of_the_table() {
        let read = table("CREATE TABLE t(a INTEGER, PRIMARY KEY (a AUTOINCREMENT))");
        assert!(read.columns["a"].autoincrement);
    }

    #[test]
    fn an_index_tells_its_expressions_and_its_condition() {
        assert_eq!(
            index(
                "CREATE INDEX \"i (1)\" ON t(lower( a ) COLLATE nocase DESC, b ASC, max(a, b)) WHERE a > 0 -- some"
            ),
            IndexDeclaration {
                members: vec![
                    Member {
                        expression: "lower( a )".into(),
                        collation: Some("nocase".into())
                    },
                    Member {
                        expression: "b".into(),
                        collation: None
                    },
                    Member {
                        expression: "max(a, b)".into(),
                        collation: None
                    },
                ],
                filter: Some("a > 0".into()),
            }
        );
    }

    #[test]
    fn a_virtual_table_tells_its_module_with_the_arguments() {
        assert_eq!(
            virtual_module("CREATE VIRTUAL TABLE t USING fts5(a, b, tokenize = 'porter')")
                .as_deref(),
            Some("fts5(a, b, tokenize = 'porter')")
        );
        assert_eq!(virtual_module("CREATE TABLE t(a)"), None);
    }

    proptest! {
        #[test]
        fn no_text_however_odd_stops_it(words in prop::collection::vec(prop::sample::select(vec![
            "CREATE", "TABLE", "t", "(", ")", ",", "a", "'", "\"", "[", "]", "CONSTRAINT", "CHECK", "PRIMARY", "KEY",
            "UNIQUE", "FOREIGN", "REFERENCES", "NOT", "DEFERRABLE", "INITIALLY", "DEFERRED", "COLLATE", "AS", "WHERE",
            "USING", "AUTOINCREMENT", "/*", "*/", "--", "\n", "é", "\u{0}",
        ]), 0..30)) {
            let sql = words.join(" ");
            table(&sql);
            index(&sql);
            virtual_module(&sql);
        }
    }
}
