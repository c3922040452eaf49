//! Columns: how they are written, and whether another type holds all their values.

use super::catalog::{self, Entry};
use super::name::{bracket, data_type, is_of_user, literal, quoted};
use crate::schema::model::{Column, Part, Unknown};
use crate::schema::normalise::in_parentheses;

/// The column as CREATE TABLE and ADD have it.
pub(super) fn definition(column: &Column, unknown: &Unknown) -> String {
    let mut words = vec![bracket(&column.name)];
    if let Some(generated) = &column.generated {
        words.push(format!("AS {}", in_parentheses(&generated.expression)));
        if generated.stored {
            words.push("PERSISTED".to_owned());
            if !column.nullable {
                words.push("NOT NULL".to_owned());
            }
        }
        return words.join(" ");
    }
    words.push(data_type(&column.data_type));
    words.extend(
        column
            .collation
            .as_ref()
            .map(|name| format!("COLLATE {name}")),
    );
    if column.sparse && unknown.knows(Part::Storage) {
        words.push("SPARSE".to_owned());
    }
    if let Some(mask) = &column.mask {
        words.push(format!("MASKED WITH (FUNCTION = {})", literal(mask)));
    }
    if column.identity {
        let range = column.identity_range.as_deref().unwrap_or("1, 1");
        words.push(format!("IDENTITY({range})"));
    }
    if column.row_guid {
        words.push("ROWGUIDCOL".to_owned());
    }
    words.push(null_or_not(column).to_owned());
    words.extend(
        column
            .default
            .as_ref()
            .map(|text| format!("DEFAULT {}", in_parentheses(text))),
    );
    words.join(" ")
}

/// `ALTER TABLE … ALTER COLUMN …` to what the column is to be.
pub(super) fn alter(table: &str, column: &Column) -> String {
    let collation = column
        .collation
        .as_ref()
        .map(|name| format!(" COLLATE {name}"));
    format!(
        "ALTER TABLE {} ALTER COLUMN {} {}{} {};",
        quoted(table),
        bracket(&column.name),
        data_type(&column.data_type),
        collation.unwrap_or_default(),
        null_or_not(column)
    )
}

fn null_or_not(column: &Column) -> &'static str {
    if column.nullable { "NULL" } else { "NOT NULL" }
}

/// A type as written, taken apart.
struct Written<'a> {
    name: &'a str,
    /// In the parentheses; `max` is no number.
    sizes: Vec<Option<i64>>,
}

impl<'a> Written<'a> {
    fn of(text: &'a str) -> Self {
        let (name, sizes) = text.split_once('(').unwrap_or((text, ""));
        let sizes = sizes
            .trim_end_matches(')')
            .split(',')
            .filter(|size| !size.is_empty());
        Self {
            name: name.trim(),
            sizes: sizes.map(|size| size.trim().parse().ok()).collect(),
        }
    }

    /// The length in characters; none is `max`.
    fn length(&self) -> i64 {
        self.sizes.first().copied().flatten().unwrap_or(i64::MAX)
    }

    fn number(&self, place: usize) -> i64 {
        self.sizes.get(place).copied().flatten().unwrap_or(0)
    }
}

/// Whether every value of the one type is a value of the other, and means the same.
pub(super) fn widens(from: &str, to: &str) -> bool {
    const WHOLE: [&str; 4] = ["tinyint", "smallint", "int", "bigint"];
    let (old, new) = (Written::of(from), Written::of(to));
    let place = |name: &str| WHOLE.iter().position(|whole| *whole == name);
    if from == to {
        return true;
    }
    if let (Some(old), Some(new)) = (place(old.name), place(new.name)) {
        return old <= new;
    }
    match (old.name, new.name) {
        ("varchar" | "char", "varchar")
        | ("nvarchar" | "nchar", "nvarchar")
        | ("varbinary" | "binary", "varbinary") => old.length() <= new.length(),
        // Blanks or zeroes are added, which is how such a type shows a shorter value.
        ("char", "char") | ("nchar", "nchar") => old.length() <= new.length(),
        ("varchar" | "char", "nvarchar") => old.length() <= new.length(),
        ("decimal" | "numeric", "decimal" | "numeric") => {
            let whole = |written: &Written<'_>| written.number(0) - written.number(1);
            old.number(1) <= new.number(1) && whole(&old) <= whole(&new)
        }
        ("time", "time") | ("datetime2", "datetime2") | ("datetimeoffset", "datetimeoffset") => {
            old.number(0) <= new.number(0)
        }
        ("date" | "smalldatetime", "datetime2") | ("smallmoney", "money") | ("real", "float") => {
            true
        }
        _ => false,
    }
}

/// Why the change may lose data or fail on rows; `None` when it cannot.
pub(super) fn risk(old: &Column, new: &Column) -> Option<String> {
    let name = &new.name;
    if !widens(&old.data_type, &new.data_type) {
        return Some(format!(
            "values of column {name} are turned from {} into {}; what does not fit is cut off, rounded or refused.",
            old.data_type, new.data_type
        ));
    }
    let is_unicode = new.data_type.starts_with('n');
    if old.collation != new.collation && !is_unicode {
        return Some(format!(
            "column {name} gets another collation, and with it perhaps another code page, in which characters may be missing."
        ));
    }
    if old.nullable && !new.nullable {
        return Some(format!(
            "column {name} takes NULL no more; rows that hold it stand in the way. Give them a value first."
        ));
    }
    None
}

/// The column with type, collation and nullability as they are to be.
pub(super) fn stands(object: &str, column: &Column) -> Entry {
    let mut definition = Vec::new();
    if is_of_user(&column.data_type) {
        definition.push(format!(
            "k.user_type_id = TYPE_ID({})",
            literal(&quoted(&column.data_type))
        ));
    } else {
        let written = Written::of(&column.data_type);
        definition.push(format!(
            "TYPE_NAME(k.user_type_id) = {}",
            literal(written.name)
        ));
        match written.name {
            "char" | "varchar" | "binary" | "varbinary" | "nchar" | "nvarchar" => {
                // In the catalog it is in bytes.
                let bytes = if written.name.starts_with('n') { 2 } else { 1 };
                let length = written.sizes.first().copied().flatten();
                let length = length.map_or(-1, |length| length * bytes);
                definition.push(format!("k.max_length = {length}"));
            }
            "decimal" | "numeric" => {
                definition.push(format!("k.precision = {}", written.number(0)));
                definition.push(format!("k.scale = {}", written.number(1)));
            }
            "time" | "datetime2" | "datetimeoffset" => {
                definition.push(format!("k.scale = {}", written.number(0)));
            }
            _ => {}
        }
        let is_text = matches!(
            written.name,
            "char" | "varchar" | "nchar" | "nvarchar" | "text" | "ntext"
        );
        match &column.collation {
            Some(name) => definition.push(format!("k.collation_name = {}", literal(name))),
            None if is_text => definition.push(
                "k.collation_name = CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128))".to_owned(),
            ),
            None => {}
        }
    }
    definition.push(format!("k.is_nullable = {}", u8::from(column.nullable)));
    catalog::column(object, &column.name, definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_type_holds_all_values_and_a_narrower_one_does_not() {
        for (from, to) in [
            ("int", "bigint"),
            ("varchar(10)", "varchar(20)"),
            ("nvarchar(10)", "nvarchar(max)"),
            ("varchar(10)", "nvarchar(10)"),
            ("decimal(10,2)", "decimal(12,3)"),
            ("datetime2(3)", "datetime2(7)"),
        ] {
            assert!(widens(from, to), "{from} {to}");
            assert!(!widens(to, from), "{to} {from}");
        }
        for (from, to) in [
            ("decimal(10,2)", "decimal(11,4)"),
            ("int", "nvarchar(20)"),
            ("bigint", "float"),
            ("nvarchar(10)", "varchar(10)"),
            ("varchar(10)", "char(20)"),
            ("datetime", "datetime2(3)"),
            ("sales.code", "nvarchar(20)"),
        ] {
            assert!(!widens(from, to), "{from} {to}");
        }
    }
}
