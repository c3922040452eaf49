//! The columns that CREATE TABLE and ALTER TABLE define.
//!
//! sqlparser reads a definition. What it does not know of T-SQL (`ROWGUIDCOL`, `MASKED WITH …`, `GENERATED ALWAYS AS ROW START`)
//! is judged by its words; the type is then not known.

use sqlparser::ast::{ColumnDef, ColumnOption};

use super::column_type::ColumnType;
use super::name::Name;
use super::parsed;
use super::reader::{Reader, outside};
use super::token::Token;
use crate::script::syntax::Syntax;

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::script::lint) struct Column<'a> {
    pub(in crate::script::lint) name: Name<'a>,
    /// `None` when it is not known.
    pub(super) data_type: Option<ColumnType>,
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

/// Reads one item of a list of columns. `Ok(None)` when it is no column.
///
/// # Errors
///
/// When it is neither a column nor anything else that may stand there.
pub(super) fn column<'a>(
    batch: &'a str,
    item: &[Token<'a>],
    syntax: Syntax,
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
    Ok(Some(match parsed::column(batch, item, syntax) {
        Some(parsed) => Column {
            name,
            data_type: ColumnType::of(&parsed.data_type, syntax),
            needs_value: needs_value(&parsed),
        },
        None => Column {
            name,
            data_type: None,
            needs_value: needs_value_by_words(reader),
        },
    }))
}

/// A statement that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUnderstood;

fn needs_value(definition: &ColumnDef) -> bool {
    let has = |is_such: fn(&ColumnOption) -> bool| {
        definition
            .options
            .iter()
            .any(|option| is_such(&option.option))
    };
    // The server gives rows these values by itself.
    let is_row_version = {
        let name = definition.data_type.to_string();
        ["ROWVERSION", "TIMESTAMP"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
    };
    let is_given = has(|option| {
        matches!(
            option,
            ColumnOption::Default(_) | ColumnOption::Identity(_) | ColumnOption::Generated { .. }
        )
    });
    has(|option| *option == ColumnOption::NotNull) && !is_given && !is_row_version
}

/// As [`needs_value`], by the words behind the name.
fn needs_value_by_words(reader: Reader<'_, '_>) -> bool {
    let words: Vec<_> = outside(reader.rest()).map(|token| token.part).collect();
    let not_null = words
        .windows(2)
        .any(|two| two[0].is("NOT") && two[1].is("NULL"));
    let gives = [
        "AS",
        "DEFAULT",
        "IDENTITY",
        "GENERATED",
        "ROWVERSION",
        "TIMESTAMP",
    ];
    not_null && !words.iter().any(|part| part.is_any(&gives))
}
