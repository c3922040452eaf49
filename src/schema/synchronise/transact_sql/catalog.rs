//! Conditions on the catalog: whether an object is there, and whether it is as it should be.

use super::name::{bracket, literal, object_id};
use crate::schema::model::{
    Check, ForeignKey, Index, KeyColumn, KeyTerm, PrimaryKey, ReferentialAction, Unique,
};

/// The rows of a catalog view, called `k`, that are one object.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    view: &'static str,
    /// What finds it.
    key: Vec<String>,
    /// What it is like.
    definition: Vec<String>,
}

impl Entry {
    /// Whether it is there, whatever it is like.
    pub fn exists(&self) -> String {
        format!(
            "EXISTS (SELECT 1 FROM sys.{} k WHERE {})",
            self.view,
            self.key.join(" AND ")
        )
    }

    /// Whether it is there and as it should be.
    pub fn stands(&self) -> String {
        let all: Vec<&str> = self
            .key
            .iter()
            .chain(&self.definition)
            .map(String::as_str)
            .collect();
        format!(
            "EXISTS (SELECT 1 FROM sys.{} k WHERE {})",
            self.view,
            all.join(" AND ")
        )
    }

    /// Drops the constraint under whatever name the server gave it, unless it is already `as_it_should_be`.
    pub fn drop_by_lookup(&self, table: &str, as_it_should_be: Option<&Self>) -> String {
        let Self { view, key, .. } = self;
        let mut conditions = key.clone();
        if let Some(new) = as_it_should_be {
            conditions.push(format!("NOT {}", new.stands()));
        }
        let statement = literal(&format!("ALTER TABLE {table} DROP CONSTRAINT "));
        format!(
            "DECLARE @drop nvarchar(max);\nSELECT @drop = {statement} + QUOTENAME(k.name) FROM sys.{view} k WHERE {};\n\
             IF @drop IS NOT NULL EXEC (@drop);",
            conditions.join(" AND ")
        )
    }
}

/// Texts are compared to the byte: names and strings in them may differ in case alone.
fn exactly(column: &str, text: &str) -> String {
    format!("k.{column} COLLATE Latin1_General_BIN2 = {}", literal(text))
}

fn flag(column: &str, set: bool) -> String {
    format!("k.{column} = {}", u8::from(set))
}

fn name_is(name: &str) -> String {
    format!("k.name = {}", literal(name))
}

fn column_name(key: &KeyColumn) -> &str {
    match &key.term {
        KeyTerm::Column(name) | KeyTerm::Expression(name) => name,
    }
}

/// That the index has these columns, in this order, and no more.
fn has_columns(
    object: &str,
    index: &str,
    columns: &[KeyColumn],
    included: &[String],
) -> Vec<String> {
    let of_index = format!("c.object_id = k.{object} AND c.index_id = k.{index}");
    let mut all = Vec::new();
    if !columns.is_empty() {
        all.push(format!(
            "(SELECT COUNT(*) FROM sys.index_columns c WHERE {of_index} AND c.key_ordinal > 0) = {}",
            columns.len()
        ));
    }
    for (column, place) in columns.iter().zip(1..) {
        all.push(format!(
            "EXISTS (SELECT 1 FROM sys.index_columns c WHERE {of_index} AND c.key_ordinal = {place} \
             AND c.is_descending_key = {} AND COL_NAME(c.object_id, c.column_id) = {})",
            u8::from(column.descending),
            literal(column_name(column))
        ));
    }
    if !included.is_empty() {
        let names: Vec<String> = included.iter().map(|name| literal(name)).collect();
        all.push(format!(
            "(SELECT COUNT(*) FROM sys.index_columns c WHERE {of_index} AND c.is_included_column = 1 \
             AND COL_NAME(c.object_id, c.column_id) IN ({})) = {}",
            names.join(", "),
            included.len()
        ));
        all.push(format!(
            "(SELECT COUNT(*) FROM sys.index_columns c WHERE {of_index} AND c.is_included_column = 1) = {}",
            included.len()
        ));
    } else if !columns.is_empty() {
        all.push(format!(
            "NOT EXISTS (SELECT 1 FROM sys.index_columns c WHERE {of_index} AND c.is_included_column = 1)"
        ));
    }
    all
}

fn index_of_key(kind: Option<&str>, disabled: bool) -> String {
    format!(
        "EXISTS (SELECT 1 FROM sys.indexes i WHERE i.object_id = k.parent_object_id AND i.index_id = k.unique_index_id \
         AND i.type_desc = {} AND i.is_disabled = {})",
        literal(kind.unwrap_or("NONCLUSTERED")),
        u8::from(disabled)
    )
}

fn of_table(table: &str) -> String {
    format!("k.parent_object_id = {}", object_id(table))
}

pub(super) fn primary_key(table: &str, key: &PrimaryKey) -> Entry {
    let mut found_by = vec![of_table(table), "k.type = 'PK'".to_owned()];
    found_by.extend(key.name.as_deref().map(name_is));
    let mut definition = has_columns("parent_object_id", "unique_index_id", &key.columns, &[]);
    definition.push(index_of_key(key.kind.as_deref(), key.disabled));
    Entry {
        view: "key_constraints",
        key: found_by,
        definition,
    }
}

pub(super) fn unique(table: &str, unique: &Unique) -> Entry {
    let mut key = vec![of_table(table), "k.type = 'UQ'".to_owned()];
    let mut definition = has_columns("parent_object_id", "unique_index_id", &unique.columns, &[]);
    match &unique.name {
        Some(name) => key.push(name_is(name)),
        None => key.append(&mut definition),
    }
    definition.push(index_of_key(unique.kind.as_deref(), unique.disabled));
    Entry {
        view: "key_constraints",
        key,
        definition,
    }
}

pub(super) fn foreign_key(table: &str, foreign: &ForeignKey) -> Entry {
    const OF_KEY: &str = "c.constraint_object_id = k.object_id";
    let mut key = vec![of_table(table)];
    let mut columns = vec![format!(
        "(SELECT COUNT(*) FROM sys.foreign_key_columns c WHERE {OF_KEY}) = {}",
        foreign.columns.len()
    )];
    for (column, place) in foreign.columns.iter().zip(1..) {
        columns.push(format!(
            "EXISTS (SELECT 1 FROM sys.foreign_key_columns c WHERE {OF_KEY} AND c.constraint_column_id = {place} \
             AND COL_NAME(c.parent_object_id, c.parent_column_id) = {})",
            literal(column)
        ));
    }
    let mut definition = vec![format!(
        "k.referenced_object_id = {}",
        object_id(&foreign.referenced_table)
    )];
    for (column, place) in foreign.referenced_columns.iter().zip(1..) {
        definition.push(format!(
            "EXISTS (SELECT 1 FROM sys.foreign_key_columns c WHERE {OF_KEY} AND c.constraint_column_id = {place} \
             AND COL_NAME(c.referenced_object_id, c.referenced_column_id) = {})",
            literal(column)
        ));
    }
    let action = |column: &str, action: ReferentialAction| {
        format!(
            "k.{column} = {}",
            literal(&action.as_sql().replace(' ', "_"))
        )
    };
    definition.push(action("update_referential_action_desc", foreign.on_update));
    definition.push(action("delete_referential_action_desc", foreign.on_delete));
    definition.push(flag("is_disabled", foreign.disabled));
    if !foreign.disabled {
        definition.push(flag("is_not_trusted", foreign.untrusted));
    }
    match &foreign.name {
        Some(name) => {
            key.push(name_is(name));
            definition.append(&mut columns);
        }
        None => key.append(&mut columns),
    }
    Entry {
        view: "foreign_keys",
        key,
        definition,
    }
}

pub(super) fn check(table: &str, check: &Check) -> Entry {
    let mut key = vec![of_table(table)];
    let mut definition = vec![flag("is_disabled", check.disabled)];
    if !check.disabled {
        definition.push(flag("is_not_trusted", check.untrusted));
    }
    let text = exactly("definition", &check.expression);
    match &check.name {
        Some(name) => {
            key.push(name_is(name));
            definition.push(text);
        }
        None => key.push(text),
    }
    Entry {
        view: "check_constraints",
        key,
        definition,
    }
}

pub(super) fn index(owner: &str, index: &Index) -> Entry {
    let mut definition = vec![
        flag("is_unique", index.unique),
        format!(
            "k.type_desc = {}",
            literal(index.kind.as_deref().unwrap_or("NONCLUSTERED"))
        ),
        flag("is_disabled", index.disabled),
        flag("ignore_dup_key", index.ignores_duplicates),
    ];
    definition.push(match &index.filter {
        Some(filter) => exactly("filter_definition", filter),
        None => "k.filter_definition IS NULL".to_owned(),
    });
    definition.extend(has_columns(
        "object_id",
        "index_id",
        &index.columns,
        &index.included,
    ));
    Entry {
        view: "indexes",
        key: vec![
            format!("k.object_id = {}", object_id(owner)),
            name_is(&index.name),
        ],
        definition,
    }
}

/// The default of a column; `None` is whatever it has.
pub(super) fn default(table: &str, column: &str, expression: Option<&str>) -> Entry {
    Entry {
        view: "default_constraints",
        key: vec![
            of_table(table),
            format!(
                "COL_NAME(k.parent_object_id, k.parent_column_id) = {}",
                literal(column)
            ),
        ],
        definition: expression
            .map(|text| exactly("definition", text))
            .into_iter()
            .collect(),
    }
}

/// A computed column.
pub(super) fn computed(table: &str, column: &str, expression: &str, stored: bool) -> Entry {
    Entry {
        view: "computed_columns",
        key: vec![
            format!("k.object_id = {}", object_id(table)),
            name_is(column),
        ],
        definition: vec![
            exactly("definition", expression),
            flag("is_persisted", stored),
        ],
    }
}

/// A column of the table with this id, as far as `definition` says.
pub(super) fn column(object: &str, name: &str, definition: Vec<String>) -> Entry {
    Entry {
        view: "columns",
        key: vec![format!("k.object_id = {object}"), name_is(name)],
        definition,
    }
}

pub(super) fn masked(table: &str, column: &str, function: Option<&str>) -> Entry {
    Entry {
        view: "masked_columns",
        key: vec![
            format!("k.object_id = {}", object_id(table)),
            name_is(column),
            "k.is_masked = 1".to_owned(),
        ],
        definition: function
            .map(|text| exactly("masking_function", text))
            .into_iter()
            .collect(),
    }
}

pub(super) fn synonym(name: &str, target: &str) -> Entry {
    Entry {
        view: "synonyms",
        key: vec![format!("k.object_id = {}", object_id(name))],
        definition: vec![exactly("base_object_name", target)],
    }
}

/// A trigger of a table, or of the database where there is none.
pub(super) fn trigger(table: &str, name: &str) -> Entry {
    let of = if table.is_empty() {
        "k.parent_class = 0".to_owned()
    } else {
        format!("k.parent_id = {}", object_id(table))
    };
    Entry {
        view: "triggers",
        key: vec![of, name_is(name)],
        definition: Vec::new(),
    }
}

pub(super) fn sequence(name: &str) -> Entry {
    Entry {
        view: "sequences",
        key: vec![format!("k.object_id = {}", object_id(name))],
        definition: Vec::new(),
    }
}

/// The columns of a key or an index with their directions.
pub(super) fn key_columns(columns: &[KeyColumn]) -> String {
    let one = |column: &KeyColumn| {
        let direction = if column.descending { " DESC" } else { "" };
        format!("{}{direction}", bracket(column_name(column)))
    };
    columns.iter().map(one).collect::<Vec<_>>().join(", ")
}
