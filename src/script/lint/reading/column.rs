//! The columns that CREATE TABLE and ALTER TABLE define.
//!
//! sqlparser reads a definition. What it does not know of T-SQL (`ROWGUIDCOL`, `MASKED WITH …`, `GENERATED ALWAYS AS ROW START`)
//! is judged by its words; the type is then not known.

use sqlparser::ast::{ColumnDef, ColumnOption};

use super::name::Name;
use super::parsed;
use super::reader::{Reader, outside};
use super::token::Token;
use crate::script::syntax::Syntax;

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::script::lint) struct Column<'a> {
    pub(in crate::script::lint) name: Name<'a>,
    /// Name, type and what else is said of it, as written.
    pub(super) definition: &'a str,
    /// Whether rows that are there already would need a value that nothing gives them.
    pub(in crate::script::lint) needs_value: bool,
}

/// What begins a constraint, an index or a period in a list of columns.
const NO_COLUMN: [&str; 10] = [
    "CHECK",
    "CONSTRAINT",
    "DEFAULT",
    "EXCLUDE",
    "FOREIGN",
    "INDEX",
    "LIKE",
    "PERIOD",
    "PRIMARY",
    "UNIQUE",
];

/// Reads one item of a list of columns, which are added to a table that may have rows or not. `Ok(None)` when it is no column.
///
/// # Errors
///
/// When it is neither a column nor anything else that may stand there.
pub(super) fn column<'a>(
    batch: &'a str,
    item: &[Token<'a>],
    syntax: Syntax,
    may_have_rows: bool,
) -> Result<Option<Column<'a>>, NotUnderstood> {
    let mut reader = Reader::of(item);
    if reader.peek().is_any(&NO_COLUMN) {
        return Ok(None);
    }
    let name = reader.one_part().ok_or(NotUnderstood)?;
    if reader.rest().is_empty()
        && syntax == Syntax::TransactSql
        && !name.last().eq_ignore_ascii_case("timestamp")
    {
        return Err(NotUnderstood);
    }
    let ends = item.first().zip(item.last());
    let definition = ends.and_then(|(first, last)| batch.get(first.offset..last.end()));
    let definition = definition.ok_or(NotUnderstood)?;
    // Few columns are parsed: that costs more than all else that is done with them.
    let needs_value = may_have_rows
        && is_not_null(reader)
        && parsed::column(definition, syntax)
            .map_or_else(|| !is_given_by_words(reader), |parsed| !is_given(&parsed));
    Ok(Some(Column {
        name,
        definition,
        needs_value,
    }))
}

/// A statement that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUnderstood;

fn is_not_null(reader: Reader<'_, '_>) -> bool {
    let words: Vec<_> = outside(reader.rest()).map(|token| token.part).collect();
    words
        .windows(2)
        .any(|two| two[0].is("NOT") && two[1].is("NULL"))
}

/// Whether rows that are there already get a value.
fn is_given(definition: &ColumnDef) -> bool {
    // The server gives rows these values by itself.
    let data_type = definition.data_type.to_string();
    let is_row_version = ["ROWVERSION", "TIMESTAMP"]
        .iter()
        .any(|own| data_type.eq_ignore_ascii_case(own));
    let mut options = definition.options.iter().map(|option| &option.option);
    is_row_version
        || options.any(|option| {
            matches!(
                option,
                ColumnOption::Default(_)
                    | ColumnOption::Identity(_)
                    | ColumnOption::Generated { .. }
            )
        })
}

/// As [`is_given`], by the words behind the name.
fn is_given_by_words(reader: Reader<'_, '_>) -> bool {
    let gives = [
        "AS",
        "DEFAULT",
        "IDENTITY",
        "GENERATED",
        "ROWVERSION",
        "TIMESTAMP",
    ];
    reader.has(&gives)
}
