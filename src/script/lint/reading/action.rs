//! What a statement does, as far as some rule asks.

use super::column::{Column, NotUnderstood, column};
use super::name::Name;
use super::reader::{Reader, items, outside};
use super::sentence::Sentence;
use super::token::Token;
use super::words::{KINDS, SQLITE_BEGINNINGS, TABLE_ACTIONS};
use crate::script::statement::part::Part;
use crate::script::statement::{BEGINNINGS, PAIRS};
use crate::script::syntax::Syntax;

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::script::lint) enum Action<'a> {
    CreateTable {
        table: Name<'a>,
        columns: Vec<Column<'a>>,
        /// `CREATE TEMP TABLE` of SQLite.
        is_temporary: bool,
    },
    CreateIndex {
        table: Name<'a>,
        /// Whether ONLINE can be said of such an index, and the statement says nothing about it.
        could_be_online: bool,
    },
    /// CREATE or ALTER of an object that belongs to a schema.
    Define {
        name: Name<'a>,
    },
    AddColumns {
        table: Name<'a>,
        columns: Vec<Column<'a>>,
    },
    AlterColumn {
        table: Name<'a>,
        column: Column<'a>,
    },
    DropFromTable {
        table: Name<'a>,
        columns: Vec<Name<'a>>,
        if_exists: bool,
    },
    /// Anything else that ALTER TABLE does.
    AlterTable {
        table: Name<'a>,
    },
    Drop {
        /// TABLE, VIEW, INDEX and so on.
        kind: &'a str,
        names: Vec<Name<'a>>,
        if_exists: bool,
    },
    Update {
        table: Name<'a>,
        columns: Vec<Name<'a>>,
        /// Whether a WHERE or a join chooses rows.
        is_restricted: bool,
    },
    Delete {
        table: Name<'a>,
        is_restricted: bool,
    },
    Truncate {
        table: Name<'a>,
    },
    Use,
    /// What no rule asks about.
    Other,
    NotUnderstood,
}

/// What a statement does. A procedure may be called without EXEC by the first statement of a batch.
pub(super) fn action<'a>(
    batch: &'a str,
    sentence: &Sentence<'a>,
    is_first: bool,
    syntax: Syntax,
) -> Action<'a> {
    let mut reader = Reader::of(&sentence.tokens);
    let first = reader.peek();
    reader.next();
    let read = if first.is("CREATE") {
        create(batch, reader, syntax)
    } else if first.is("ALTER") {
        alter(batch, reader, syntax)
    } else if first.is("DROP") {
        drop(reader)
    } else if first.is("UPDATE") {
        update(reader)
    } else if first.is("DELETE") {
        delete(reader)
    } else if first.is("TRUNCATE") && reader.eat("TABLE") {
        reader
            .name()
            .map(|table| Action::Truncate { table })
            .ok_or(NotUnderstood)
    } else if first.is("SELECT") {
        Ok(select(reader))
    } else if syntax == Syntax::TransactSql && first.is("USE") {
        Ok(Action::Use)
    } else if begins_statement(sentence, is_first, syntax) {
        Ok(Action::Other)
    } else {
        Err(NotUnderstood)
    };
    read.unwrap_or(Action::NotUnderstood)
}

fn begins_statement(sentence: &Sentence<'_>, is_first: bool, syntax: Syntax) -> bool {
    let (first, second) = (sentence.part(0), sentence.part(1));
    match syntax {
        Syntax::Sqlite => first.is_in(&SQLITE_BEGINNINGS),
        Syntax::TransactSql => {
            let of_two = || {
                PAIRS
                    .iter()
                    .any(|(word, words)| first.is(word) && second.is_any(words))
            };
            let is_label = || second == Part::Symbol(b':');
            let is_query = || first == Part::Symbol(b'(');
            let is_call = || {
                is_first
                    && first.name().is_some()
                    && match second {
                        Part::Word(word) => {
                            let begins_value = |first: char| first == '@' || first.is_ascii_digit();
                            word.starts_with(begins_value) || second.is("N")
                        }
                        _ => true,
                    }
            };
            first.is_in(&BEGINNINGS)
                || first.is("WITH")
                || of_two()
                || is_label()
                || is_query()
                || is_call()
        }
    }
}

type Read<'a> = Result<Action<'a>, NotUnderstood>;

fn create<'a>(batch: &'a str, mut reader: Reader<'_, 'a>, syntax: Syntax) -> Read<'a> {
    reader.eat_all(&["OR", "ALTER"]);
    let is_temporary = reader.eat_any(&["TEMP", "TEMPORARY"]);
    if reader.eat("TABLE") {
        reader.eat_all(&["IF", "NOT", "EXISTS"]);
        let table = reader.name().ok_or(NotUnderstood)?;
        let is_list = reader.peek() == Part::Symbol(b'(');
        let columns = match reader.parenthesised() {
            Some(inside) => columns(batch, inside, syntax, false)?,
            None if is_list => return Err(NotUnderstood),
            None => Vec::new(),
        };
        return Ok(Action::CreateTable {
            table,
            columns,
            is_temporary,
        });
    }
    if reader.eat_any(&[
        "VIEW",
        "PROC",
        "PROCEDURE",
        "FUNCTION",
        "SEQUENCE",
        "SYNONYM",
        "TYPE",
    ]) {
        reader.eat_all(&["IF", "NOT", "EXISTS"]);
        let name = reader.name().ok_or(NotUnderstood)?;
        return Ok(Action::Define { name });
    }
    let kind = reader.peek();
    reader.eat("UNIQUE");
    reader.eat_any(&["CLUSTERED", "NONCLUSTERED"]);
    if reader.eat("INDEX") {
        reader.eat_all(&["IF", "NOT", "EXISTS"]);
        reader.name().ok_or(NotUnderstood)?;
        if !reader.eat("ON") {
            return Err(NotUnderstood);
        }
        let table = reader.name().ok_or(NotUnderstood)?;
        let says_online = reader.rest().iter().any(|token| token.part.is("ONLINE"));
        return Ok(Action::CreateIndex {
            table,
            could_be_online: syntax == Syntax::TransactSql && !says_online,
        });
    }
    known_kind(kind)
}

fn known_kind<'a>(kind: Part<'a>) -> Read<'a> {
    if kind.is_in(&KINDS) {
        Ok(Action::Other)
    } else {
        Err(NotUnderstood)
    }
}

fn columns<'a>(
    batch: &'a str,
    tokens: &[Token<'a>],
    syntax: Syntax,
    may_have_rows: bool,
) -> Result<Vec<Column<'a>>, NotUnderstood> {
    items(tokens)
        .into_iter()
        .filter_map(|item| column(batch, item, syntax, may_have_rows).transpose())
        .collect()
}

fn alter<'a>(batch: &'a str, mut reader: Reader<'_, 'a>, syntax: Syntax) -> Read<'a> {
    if reader.eat_any(&["VIEW", "PROC", "PROCEDURE", "FUNCTION", "SEQUENCE"]) {
        let name = reader.name().ok_or(NotUnderstood)?;
        return Ok(Action::Define { name });
    }
    if !reader.eat("TABLE") {
        return known_kind(reader.peek());
    }
    let table = reader.name().ok_or(NotUnderstood)?;
    if reader.eat("WITH") && !reader.eat_any(&["CHECK", "NOCHECK"]) {
        return Err(NotUnderstood);
    }
    if reader.eat("ADD") {
        reader.eat("COLUMN");
        let columns = columns(batch, reader.rest(), syntax, true)?;
        return Ok(Action::AddColumns { table, columns });
    }
    if reader.eat_all(&["ALTER", "COLUMN"]) {
        return Ok(match column(batch, reader.rest(), syntax, false)? {
            Some(column) => Action::AlterColumn { table, column },
            None => Action::AlterTable { table },
        });
    }
    if reader.eat("DROP") {
        return drop_from_table(table, reader, syntax);
    }
    if reader.peek().is_any(&TABLE_ACTIONS) {
        return Ok(Action::AlterTable { table });
    }
    Err(NotUnderstood)
}

/// `DROP CONSTRAINT a, COLUMN b`: what is not said is a constraint in T-SQL and a column in SQLite.
fn drop_from_table<'a>(table: Name<'a>, reader: Reader<'_, 'a>, syntax: Syntax) -> Read<'a> {
    let mut columns = Vec::new();
    let mut if_exists = true;
    let mut is_column = syntax == Syntax::Sqlite;
    for item in items(reader.rest()) {
        let mut item = Reader::of(item);
        if item.eat("COLUMN") {
            is_column = true;
        } else if item.eat_any(&["CONSTRAINT", "INDEX", "PERIOD"]) {
            is_column = false;
        }
        if_exists &= item.eat_all(&["IF", "EXISTS"]) || !columns.is_empty() && if_exists;
        let name = item.one_part().ok_or(NotUnderstood)?;
        if is_column {
            columns.push(name);
        }
    }
    Ok(Action::DropFromTable {
        table,
        columns,
        if_exists,
    })
}

fn drop<'a>(mut reader: Reader<'_, 'a>) -> Read<'a> {
    // The end of `ALTER ROLE … DROP MEMBER …` or `ALTER FULLTEXT INDEX … DROP (…)`.
    if reader.peek().is("MEMBER") || reader.peek() == Part::Symbol(b'(') {
        return Ok(Action::Other);
    }
    let Part::Word(kind) = reader.peek() else {
        return Err(NotUnderstood);
    };
    known_kind(reader.peek())?;
    reader.next();
    let if_exists = reader.eat_all(&["IF", "EXISTS"]);
    let mut names = Vec::new();
    while let Some(name) = reader.name() {
        names.push(name);
        if !reader.eat_symbol(b',') {
            break;
        }
    }
    Ok(Action::Drop {
        kind,
        names,
        if_exists,
    })
}

fn update<'a>(mut reader: Reader<'_, 'a>) -> Read<'a> {
    if reader.eat("STATISTICS") {
        return Ok(Action::Other);
    }
    if reader.eat("OR") {
        reader.next();
    }
    skip_top(&mut reader);
    let table = reader.name().ok_or(NotUnderstood)?;
    if !reader.has(&["SET"]) {
        return Err(NotUnderstood);
    }
    Ok(Action::Update {
        table: meant(table, reader),
        columns: assignments(reader),
        is_restricted: is_restricted(reader),
    })
}

/// The columns that an UPDATE assigns.
fn assignments<'a>(reader: Reader<'_, 'a>) -> Vec<Name<'a>> {
    let set_at = outside(reader.rest()).position(|token| token.part.is("SET"));
    let behind: Vec<_> = outside(reader.rest())
        .skip(set_at.map_or(0, |at| at + 1))
        .take_while(|token| {
            !token
                .part
                .is_any(&["FROM", "WHERE", "OUTPUT", "OPTION", "RETURNING"])
        })
        .copied()
        .collect();
    let columns = items(&behind).into_iter().filter_map(|item| {
        let mut name = Reader::of(item).name()?;
        name.parts = vec![name.last()];
        Some(name)
    });
    columns.collect()
}

fn delete<'a>(mut reader: Reader<'_, 'a>) -> Read<'a> {
    skip_top(&mut reader);
    reader.eat("FROM");
    let table = reader.name().ok_or(NotUnderstood)?;
    Ok(Action::Delete {
        table: meant(table, reader),
        is_restricted: is_restricted(reader),
    })
}

/// The table that is meant by an alias: `UPDATE a SET … FROM users AS a`.
fn meant<'a>(written: Name<'a>, reader: Reader<'_, 'a>) -> Name<'a> {
    let from: Vec<_> = outside(reader.rest())
        .skip_while(|token| !token.part.is("FROM"))
        .skip(1)
        .copied()
        .collect();
    let mut from = Reader::of(&from);
    let table = from.name();
    from.eat("AS");
    match (table, from.one_part()) {
        (Some(table), Some(alias)) if alias.last().eq_ignore_ascii_case(written.last()) => table,
        _ => written,
    }
}

fn skip_top(reader: &mut Reader<'_, '_>) {
    if reader.eat("TOP") {
        if reader.parenthesised().is_none() {
            reader.next();
        }
        reader.eat("PERCENT");
    }
}

/// Whether an UPDATE or DELETE chooses its rows. An inner join does; whether an outer one does is not looked into.
fn is_restricted(reader: Reader<'_, '_>) -> bool {
    reader.has(&["WHERE", "JOIN", "APPLY", "LIMIT"])
}

/// `SELECT … INTO t` makes a table.
fn select<'a>(reader: Reader<'_, 'a>) -> Action<'a> {
    let into = outside(reader.rest())
        .skip_while(|token| !token.part.is("INTO"))
        .skip(1)
        .copied()
        .collect::<Vec<_>>();
    match Reader::of(&into).name() {
        Some(table) => Action::CreateTable {
            table,
            columns: Vec::new(),
            is_temporary: false,
        },
        None => Action::Other,
    }
}
