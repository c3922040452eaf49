//! Who may do what in a database, and what is noted about its objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;

/// A role of the database with its members. Of the roles that every database has, only those that have members.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    pub name: String,
    /// It comes with every database.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fixed: bool,
    /// Absent when it is `dbo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

/// What somebody was granted or denied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    pub on: Securable,
    /// In the words of the server: `SELECT`, `VIEW DEFINITION`.
    pub permission: String,
    pub grantee: String,
    pub state: PermissionState,
}

/// How a permission stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PermissionState {
    Grant,
    GrantWithGrantOption,
    Deny,
    /// What a column takes back of a permission on its table.
    Revoke,
}

impl PermissionState {
    /// By the catalog's word for it.
    pub fn from_sql(text: &str) -> Option<Self> {
        match text {
            "GRANT" => Some(Self::Grant),
            "GRANT_WITH_GRANT_OPTION" => Some(Self::GrantWithGrantOption),
            "DENY" => Some(Self::Deny),
            "REVOKE" => Some(Self::Revoke),
            _ => None,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Grant => "granted",
            Self::GrantWithGrantOption => "granted with grant option",
            Self::Deny => "denied",
            Self::Revoke => "revoked",
        }
    }
}

/// What a permission or a note is about.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case", tag = "class", content = "name")]
pub enum Securable {
    #[default]
    Database,
    Schema(String),
    Type(String),
    /// A table, view, procedure, constraint and so on.
    Object(String),
    /// The object and its column.
    Column(String, String),
    /// The object and its parameter.
    Parameter(String, String),
    /// The table and its index.
    Index(String, String),
}

impl Securable {
    /// The object that it is, or is part of.
    pub fn object(&self) -> Option<&str> {
        match self {
            Self::Database | Self::Schema(_) | Self::Type(_) => None,
            Self::Object(name)
            | Self::Column(name, _)
            | Self::Parameter(name, _)
            | Self::Index(name, _) => Some(name),
        }
    }

    /// `dbo.orders`, `dbo.orders.net`, `schema sales`, `database`.
    pub fn words(&self) -> String {
        match self {
            Self::Database => "database".to_owned(),
            Self::Schema(name) => format!("schema {name}"),
            Self::Type(name) => format!("type {name}"),
            Self::Object(name) => name.clone(),
            Self::Column(owner, name) => format!("{owner}.{name}"),
            Self::Parameter(owner, name) => format!("{owner} {name}"),
            Self::Index(owner, name) => format!("index {owner}.{name}"),
        }
    }
}

/// A note that somebody put on an object (`sp_addextendedproperty`).
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ExtendedProperty {
    pub on: Securable,
    pub name: String,
    /// As text, whatever type it was written in.
    pub value: String,
}
