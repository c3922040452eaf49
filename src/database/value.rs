//! Values and rows as the registry's statements exchange them with an engine.

use std::fmt;
use std::sync::Arc;

use crate::time::Timestamp;

/// A parameter or a column value. The registry needs no other kinds: flags travel as 0 and 1. A moment is a kind of its own
/// as a parameter only, because T-SQL wants to know its type; every engine answers with its RFC 3339 text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A whole number; a BIT column reads as 0 or 1.
    Integer(i64),
    /// Text of any length.
    Text(String),
    /// A moment; only ever a parameter.
    Time(Timestamp),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Time(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row that did not have the shape its reader expects: the table was made by something else than dbvc.
#[derive(Debug, thiserror::Error)]
#[error("column {column} of an answer holds {found}, not {expected}")]
pub struct ColumnError {
    column: String,
    expected: &'static str,
    found: String,
}

/// One row of an answer, read by column name.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    /// A row of an engine's answer; `columns` is shared by all rows of one answer.
    pub fn new(columns: Arc<[String]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    fn get(&self, column: &str) -> Option<&Value> {
        let index = self
            .columns
            .iter()
            .position(|name| name.eq_ignore_ascii_case(column))?;
        self.values.get(index)
    }

    fn mismatch(&self, column: &str, expected: &'static str) -> ColumnError {
        let found = match self.get(column) {
            None => "nothing of that name".to_owned(),
            Some(Value::Null) => "NULL".to_owned(),
            Some(Value::Integer(number)) => format!("the number {number}"),
            Some(Value::Text(_)) => "another text".to_owned(),
            Some(Value::Time(_)) => "a moment that is no text".to_owned(),
        };
        ColumnError {
            column: column.to_owned(),
            expected,
            found,
        }
    }

    /// A text that may not be NULL.
    pub fn text(&self, column: &str) -> Result<&str, ColumnError> {
        match self.get(column) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(self.mismatch(column, "a text")),
        }
    }

    /// A text that may be NULL.
    pub fn optional_text(&self, column: &str) -> Result<Option<&str>, ColumnError> {
        match self.get(column) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.mismatch(column, "a text or NULL")),
        }
    }

    /// A whole number that may not be NULL.
    pub fn integer(&self, column: &str) -> Result<i64, ColumnError> {
        match self.get(column) {
            Some(Value::Integer(number)) => Ok(*number),
            _ => Err(self.mismatch(column, "a number")),
        }
    }

    /// A whole number that may be NULL.
    pub fn optional_integer(&self, column: &str) -> Result<Option<i64>, ColumnError> {
        match self.get(column) {
            Some(Value::Integer(number)) => Ok(Some(*number)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.mismatch(column, "a number or NULL")),
        }
    }

    /// A number that counts something and so is never negative.
    pub fn count(&self, column: &str) -> Result<u64, ColumnError> {
        u64::try_from(self.integer(column)?).map_err(|_| self.mismatch(column, "a count"))
    }

    /// A flag: 0 or 1.
    pub fn flag(&self, column: &str) -> Result<bool, ColumnError> {
        Ok(self.integer(column)? != 0)
    }

    /// A text of dbvc's own form: an id, a checksum, a state, a time.
    pub fn parsed<T: std::str::FromStr>(
        &self,
        column: &str,
        expected: &'static str,
    ) -> Result<T, ColumnError> {
        self.text(column)?
            .parse()
            .map_err(|_| self.mismatch(column, expected))
    }

    /// A text of dbvc's own form that may be NULL.
    pub fn optional_parsed<T: std::str::FromStr>(
        &self,
        column: &str,
        expected: &'static str,
    ) -> Result<Option<T>, ColumnError> {
        self.optional_text(column)?
            .map(|text| text.parse().map_err(|_| self.mismatch(column, expected)))
            .transpose()
    }

    /// A JSON document in a text column.
    pub fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: &str,
        expected: &'static str,
    ) -> Result<T, ColumnError> {
        serde_json::from_str(self.text(column)?).map_err(|_| self.mismatch(column, expected))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Time(moment) => moment.fmt(f),
        }
    }
}
