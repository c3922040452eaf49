//! Objects of SQL Server that belong to no table: schemas, sequences, types, synonyms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Table, is_false};

/// A schema: the name space in which objects stand. Those that every database has are left out.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Namespace {
    pub name: String,
    /// Absent when it is `dbo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A generator of numbers. Where it stands now is data and not schema.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Sequence {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    /// Decimal numbers as text, since they may be longer than any machine's number.
    pub start: String,
    pub increment: String,
    pub minimum: String,
    pub maximum: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub cycles: bool,
    pub cache: SequenceCache,
}

/// How many numbers of a sequence are kept at hand, and lost when the server stops.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SequenceCache {
    /// As many as the server likes.
    #[default]
    ServersChoice,
    None,
    Numbers(i64),
}

/// A type that somebody made.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct UserType {
    pub name: String,
    /// Of another name for a built-in type: that type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Whether columns of it take NULL unless they say otherwise.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nullable: bool,
    /// Of a table type: its columns and constraints. The table has the name of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Box<Table>>,
}

/// Another name for an object.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Synonym {
    pub name: String,
    /// As it was written; it need not exist.
    pub target: String,
}

/// An object of a kind that dbvc knows by name only, such as a security policy or a queue.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct OtherObject {
    pub name: String,
    /// In the words of the server: `SECURITY_POLICY`.
    #[serde(rename = "type")]
    pub type_description: String,
}
