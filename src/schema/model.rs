//! The model of a schema: what a reader fills, what a snapshot stores, what a diff compares.
//!
//! It keeps every text as the engine gave it; what may be written differently without meaning anything else is the
//! business of [`normalise`](super::normalise). A fact that is absent is left out of the JSON, and a reader takes a
//! missing field as absent: so fields can be added for other engines without a new format.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::container::Container;

mod access;
mod coverage;
mod standing;

pub use access::{ExtendedProperty, Permission, PermissionState, Role, Securable};
pub use coverage::{FormatVersion, NotRead, Part, Unknown};
pub use standing::{Namespace, OtherObject, Sequence, SequenceCache, Synonym, UserType};

/// The schema of one database at one moment.
///
/// Names are single strings: `orders` on SQLite, `dbo.orders` on SQL Server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// First in the JSON, so that a newer format is recognised before anything of it is misread.
    pub format_version: FormatVersion,
    /// What the server did not tell, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_read: Vec<NotRead>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<Namespace>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<UserType>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<Sequence>,
    #[serde(default)]
    pub tables: Vec<Table>,
    #[serde(default)]
    pub views: Vec<Module>,
    #[serde(default)]
    pub procedures: Vec<Module>,
    #[serde(default)]
    pub functions: Vec<Module>,
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synonyms: Vec<Synonym>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended_properties: Vec<ExtendedProperty>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_objects: Vec<OtherObject>,
    /// On Cosmos DB, which has nothing of the above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
}

/// A table with everything that belongs to it except triggers, which can also stand on views.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    pub name: String,
    /// In the order of the table. The order is kept for readers; it is not compared.
    #[serde(default)]
    pub columns: Vec<Column>,
    #[serde(default, skip_serializing_if = "TableOptions::is_default")]
    pub options: TableOptions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_key: Option<PrimaryKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<Unique>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_keys: Vec<ForeignKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Index>,
}

/// How a table is kept, where that differs from the engine's default.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct TableOptions {
    #[serde(default, skip_serializing_if = "is_false")]
    pub without_rowid: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict: bool,
    /// Of a virtual table: its module with the arguments, `fts5(title, body)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_module: Option<String>,
    /// Every change is kept: the table that holds the former rows, or empty when it has no name that may be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_table: Option<String>,
    /// In memory: `SCHEMA_AND_DATA`, or `SCHEMA_ONLY` when its rows do not outlive the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_optimized: Option<String>,
}

impl TableOptions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A column of a table.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    pub name: String,
    /// The type as declared; empty where SQLite has none.
    #[serde(rename = "type", default)]
    pub data_type: String,
    #[serde(default)]
    pub nullable: bool,
    /// The expression of the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Absent when it is the default of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// `AUTOINCREMENT` on SQLite, `IDENTITY` on SQL Server.
    #[serde(default, skip_serializing_if = "is_false")]
    pub identity: bool,
    /// `1, 1`: where it begins and how far it goes on each time. On SQL Server only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_range: Option<String>,
    /// The function that hides its values from those who may not see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// Takes no room where it is NULL.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sparse: bool,
    /// `ROWGUIDCOL`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub row_guid: bool,
    /// `AS_ROW_START`, `AS_ROW_END` and the like: the system writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_always: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<Generated>,
    /// Left out of `SELECT *`: of a virtual table the columns that only its module uses.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hidden: bool,
}

/// How a generated (computed) column comes by its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generated {
    pub expression: String,
    /// Kept in the row (`STORED`, `PERSISTED`) rather than worked out on reading.
    #[serde(default)]
    pub stored: bool,
}

/// One member of a key or an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyColumn {
    #[serde(flatten)]
    pub term: KeyTerm,
    #[serde(default, skip_serializing_if = "is_false")]
    pub descending: bool,
    /// Absent when it is that of the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
}

impl KeyColumn {
    /// A column in ascending order with the collation of its own.
    pub fn ascending(column: impl Into<String>) -> Self {
        Self {
            term: KeyTerm::Column(column.into()),
            descending: false,
            collation: None,
        }
    }
}

/// What is indexed: a column by its name, or the value of an expression. Keys have only columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeyTerm {
    Column(String),
    Expression(String),
}

/// The primary key of a table; there is at most one.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct PrimaryKey {
    /// Absent when nobody gave it one; a name that the server made up is no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub columns: Vec<KeyColumn>,
    /// As [`Index::kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its index is switched off, and with it the constraint.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
}

/// A unique constraint (not a unique index, which is an [`Index`]).
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Unique {
    /// Absent when nobody gave it one; a name that the server made up is no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub columns: Vec<KeyColumn>,
    /// As [`Index::kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its index is switched off, and with it the constraint.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
}

/// A foreign key.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ForeignKey {
    /// Absent when nobody gave it one; a name that the server made up is no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub columns: Vec<String>,
    pub referenced_table: String,
    /// In the order of `columns`. Empty only when the referenced table does not exist and none were named.
    pub referenced_columns: Vec<String>,
    #[serde(default)]
    pub on_update: ReferentialAction,
    #[serde(default)]
    pub on_delete: ReferentialAction,
    /// Checked at commit (`DEFERRABLE INITIALLY DEFERRED`); every other spelling is checked at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deferred: bool,
    /// Switched off: rows are not held against it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
    /// Switched on, but rows that were there before were not looked at.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untrusted: bool,
}

/// What a foreign key does to its rows when the referenced row changes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReferentialAction {
    #[default]
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl ReferentialAction {
    /// The action in SQL, as catalogs and pragmas spell it (`_` may stand for the space).
    pub fn from_sql(text: &str) -> Option<Self> {
        match text.trim().to_ascii_uppercase().replace('_', " ").as_str() {
            "NO ACTION" => Some(Self::NoAction),
            "RESTRICT" => Some(Self::Restrict),
            "CASCADE" => Some(Self::Cascade),
            "SET NULL" => Some(Self::SetNull),
            "SET DEFAULT" => Some(Self::SetDefault),
            _ => None,
        }
    }

    /// The action in SQL.
    pub fn as_sql(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
        }
    }
}

/// A check constraint, of a column or of the table.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Absent when nobody gave it one; a name that the server made up is no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub expression: String,
    /// Switched off: rows are not held against it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
    /// Switched on, but rows that were there before were not looked at.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untrusted: bool,
}

/// An index that is not the means of a key or a unique constraint.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub name: String,
    #[serde(default)]
    pub unique: bool,
    pub columns: Vec<KeyColumn>,
    /// Columns that it carries without being ordered by them (`INCLUDE`). Their order means nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<String>,
    /// How it is kept, in the words of SQL Server (`CLUSTERED`, `NONCLUSTERED COLUMNSTORE`, `XML`). Absent when it is a
    /// search tree beside the table, as all are on SQLite and `NONCLUSTERED` ones on SQL Server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The condition of a partial (filtered) index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Switched off: it has no entries until it is built again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
    /// A row that is already there is dropped with a warning (`IGNORE_DUP_KEY`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignores_duplicates: bool,
}

/// A view, procedure or function: a name and the text that made it, which is empty when it cannot be read.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Module {
    pub name: String,
    pub text: String,
    /// The settings with which SQL Server runs it.
    #[serde(flatten)]
    pub settings: ModuleSettings,
    /// Of an indexed view its indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Index>,
}

/// A trigger on a table or a view.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Without the schema, which is that of the table.
    pub name: String,
    /// The table or view on which it stands; empty when that is the database.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub table: String,
    pub text: String,
    /// The settings with which SQL Server runs it.
    #[serde(flatten)]
    pub settings: ModuleSettings,
    /// Switched off: it does not fire.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
}

/// The settings of the session that made a module, which SQL Server keeps with it and runs it under whoever calls.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ModuleSettings {
    /// `= NULL` is true of NULL.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ansi_nulls_off: bool,
    /// What stands in double quotes is a string.
    #[serde(default, skip_serializing_if = "is_false")]
    pub quoted_identifier_off: bool,
}

/// The kinds of object that come and go on their own; columns belong to their table.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    Schema,
    Type,
    Sequence,
    Table,
    PrimaryKey,
    Unique,
    ForeignKey,
    Check,
    Index,
    View,
    Trigger,
    Procedure,
    Function,
    Synonym,
    Role,
    /// That somebody is in a role.
    RoleMember,
    Permission,
    ExtendedProperty,
    /// Of which dbvc knows no more than its name.
    Other,
    Container,
}

impl ObjectKind {
    /// The kind as the JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Type => "type",
            Self::Sequence => "sequence",
            Self::Table => "table",
            Self::PrimaryKey => "primary-key",
            Self::Unique => "unique",
            Self::ForeignKey => "foreign-key",
            Self::Check => "check",
            Self::Index => "index",
            Self::View => "view",
            Self::Trigger => "trigger",
            Self::Procedure => "procedure",
            Self::Function => "function",
            Self::Synonym => "synonym",
            Self::Role => "role",
            Self::RoleMember => "role-member",
            Self::Permission => "permission",
            Self::ExtendedProperty => "extended-property",
            Self::Other => "other",
            Self::Container => "container",
        }
    }
}

/// How many objects of each kind a schema has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectCounts {
    pub tables: usize,
    pub views: usize,
    /// Without those that only serve a key or a unique constraint.
    pub indexes: usize,
    pub procedures: usize,
    pub functions: usize,
    pub triggers: usize,
    /// Primary keys, unique constraints, foreign keys and checks. NOT NULL and defaults belong to their column.
    pub constraints: usize,
    /// Of a Cosmos DB database only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<usize>,
    /// The following only where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequences: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synonyms: Option<usize>,
    /// Of kinds of which dbvc knows no more than the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<usize>,
}

impl ObjectCounts {
    /// Whether there is no object at all. What belongs to a table or view counts with it.
    pub fn is_empty(&self) -> bool {
        self.in_words().is_empty()
    }

    /// What there is, by kind: `12 tables`, `1 view`. Indexes and constraints are left out, because they belong to a table.
    pub fn in_words(&self) -> Vec<String> {
        [
            (self.tables, "table", "tables"),
            (self.views, "view", "views"),
            (self.procedures, "procedure", "procedures"),
            (self.functions, "function", "functions"),
            (self.triggers, "trigger", "triggers"),
            (self.types.unwrap_or(0), "type", "types"),
            (self.sequences.unwrap_or(0), "sequence", "sequences"),
            (self.synonyms.unwrap_or(0), "synonym", "synonyms"),
            (self.containers.unwrap_or(0), "container", "containers"),
            (self.others.unwrap_or(0), "other object", "other objects"),
        ]
        .into_iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, more)| format!("{count} {}", if count == 1 { one } else { more }))
        .collect()
    }
}

impl Schema {
    /// How many objects of each kind there are.
    pub fn object_counts(&self) -> ObjectCounts {
        let constraints_of = |table: &Table| {
            usize::from(table.primary_key.is_some())
                + table.unique.len()
                + table.foreign_keys.len()
                + table.checks.len()
        };
        let of_tables = self.tables.iter().map(|table| table.indexes.len());
        let indexes = of_tables.chain(self.views.iter().map(|view| view.indexes.len()));
        let if_any = |count: usize| (count > 0).then_some(count);
        ObjectCounts {
            tables: self.tables.len(),
            views: self.views.len(),
            indexes: indexes.sum(),
            procedures: self.procedures.len(),
            functions: self.functions.len(),
            triggers: self.triggers.len(),
            constraints: self.tables.iter().map(constraints_of).sum(),
            containers: if_any(self.containers.len()),
            types: if_any(self.types.len()),
            sequences: if_any(self.sequences.len()),
            synonyms: if_any(self.synonyms.len()),
            others: if_any(self.other_objects.len()),
        }
    }

    /// What a comparison has to leave aside, because it is not known of this schema.
    pub fn unknown(&self) -> Unknown {
        Unknown::of(self.format_version, &self.not_read)
    }

    /// The schema without these tables and what belongs to them: keys, constraints, indexes, triggers, permissions, notes.
    ///
    /// Names of tables are compared exactly, since the caller made them itself. `namespace` is the schema that they are in,
    /// none where an engine has no schemas; it is left out with them when nothing else is in it, and compared without case,
    /// because it may have been there before.
    pub fn without(&self, own: &[&str], namespace: Option<&str>) -> Schema {
        let within = |name: &str| match (namespace, name.split_once('.')) {
            (Some(namespace), Some((found, _))) => found.eq_ignore_ascii_case(namespace),
            _ => false,
        };
        let is_own = |name: &str| match (namespace, name.split_once('.')) {
            (None, _) => own.contains(&name),
            (Some(_), Some((_, table))) => within(name) && own.contains(&table),
            (Some(_), None) => false,
        };
        let mut rest = self.clone();
        rest.tables.retain(|table| !is_own(&table.name));
        rest.triggers.retain(|trigger| !is_own(&trigger.table));
        let is_of_own = |on: &Securable| on.object().is_some_and(is_own);
        rest.permissions.retain(|granted| !is_of_own(&granted.on));
        rest.extended_properties.retain(|note| !is_of_own(&note.on));
        if !rest.object_names().any(within) {
            rest.schemas.retain(|found| {
                namespace.is_none_or(|namespace| !found.name.eq_ignore_ascii_case(namespace))
            });
        }
        rest
    }

    /// The names of all objects that are in a schema of SQL Server.
    fn object_names(&self) -> impl Iterator<Item = &str> {
        let modules = [&self.views, &self.procedures, &self.functions];
        let modules = modules.into_iter().flatten();
        let other = self.other_objects.iter();
        self.tables
            .iter()
            .map(|table| table.name.as_str())
            .chain(modules.map(|module| module.name.as_str()))
            .chain(self.types.iter().map(|user_type| user_type.name.as_str()))
            .chain(self.sequences.iter().map(|found| found.name.as_str()))
            .chain(self.synonyms.iter().map(|found| found.name.as_str()))
            .chain(other.map(|found| found.name.as_str()))
    }

    /// The same schema with its objects in canonical order, so that the order of their creation leaves no trace.
    ///
    /// Columns, and the members of keys and indexes, keep their order.
    pub fn sorted(mut self) -> Schema {
        for table in &mut self.tables {
            table.unique.sort();
            table.foreign_keys.sort();
            table.checks.sort();
            table.indexes.sort();
        }
        for view in &mut self.views {
            view.indexes.sort();
        }
        for role in &mut self.roles {
            role.members.sort();
        }
        self.not_read.sort();
        self.schemas.sort();
        self.types.sort();
        self.sequences.sort();
        self.synonyms.sort();
        self.roles.sort();
        self.permissions.sort();
        self.extended_properties.sort();
        self.other_objects.sort();
        self.tables.sort();
        self.views.sort();
        self.procedures.sort();
        self.functions.sort();
        self.triggers.sort();
        self.containers.sort();
        self
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
