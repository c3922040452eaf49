//! A schema taken apart into objects and their normalised facts: all that a hash or a diff ever looks at.
//!
//! Each object has a key (how it is found again in another schema) and aspects twice over: as compared and as shown.
//! The aspects are keyed by name, so the order of columns plays no part: engines append columns that tools insert, and
//! no two ways of building a table agree on it. An absent aspect leaves no trace, so that the hash of a schema stays
//! what it was when a newer dbvc learns of more aspects.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::container::Container;
use super::model::{
    Check, Column, ForeignKey, Index, KeyColumn, KeyTerm, Module, ModuleSettings, ObjectKind,
    PrimaryKey, Schema, Table, Trigger, Unique,
};
use super::normalise;

/// What finds an object again in another schema. Not always unique: SQLite lets two constraints share a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Key {
    pub(super) kind: ObjectKind,
    /// The object itself, or the table to which it belongs.
    owner: String,
    part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    /// The owner itself, or the one thing of this kind that it can have.
    Only,
    Named(String),
    /// Nobody named it: known by its columns or expression.
    Unnamed(String),
}

/// The facts of one object, under the name of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Aspects {
    pub(super) own: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) columns: BTreeMap<String, BTreeMap<&'static str, String>>,
}

/// How an object is shown to people.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) aspects: Aspects,
    /// The columns in the order of the table, each with its whole definition.
    pub(super) columns: Vec<(String, String)>,
}

/// The objects by key and, within a key, by what is compared of them: of two that are equal in that, one is enough.
pub(super) type Objects = BTreeMap<Key, BTreeMap<Aspects, Shown>>;

impl Schema {
    /// `sha256:…` over the canonical JSON (RFC 8785) of the normalised facts.
    ///
    /// Two schemas have the same hash exactly when [`diff`](super::diff::diff) finds nothing between them. A hash kept
    /// from another version of dbvc can differ where a rule was added since; to compare over versions, compare schemas.
    pub fn hash(&self) -> String {
        let objects = objects(self);
        let compared: Vec<(&Key, &Aspects)> = objects
            .iter()
            .flat_map(|(key, same)| same.keys().map(move |aspects| (key, aspects)))
            .collect();
        let json = serde_json_canonicalizer::to_vec(&compared)
            .expect("lists and maps of strings always have a canonical JSON");
        let digest = Sha256::digest(&json);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

/// Everything in the schema that can come, go or change.
pub(super) fn objects(schema: &Schema) -> Objects {
    let mut objects = Objects::new();
    for table in &schema.tables {
        add_table(&mut objects, table);
    }
    let modules = [
        (ObjectKind::View, &schema.views),
        (ObjectKind::Procedure, &schema.procedures),
        (ObjectKind::Function, &schema.functions),
    ];
    for (kind, modules) in modules {
        for module in modules {
            add_module(&mut objects, kind, module);
        }
    }
    for trigger in &schema.triggers {
        add_trigger(&mut objects, trigger);
    }
    for container in &schema.containers {
        add_container(&mut objects, container);
    }
    objects
}

/// An object on the way into the map.
struct Object {
    key: Key,
    compared: Aspects,
    shown: Shown,
}

impl Object {
    fn standing_alone(kind: ObjectKind, name: &str) -> Self {
        let key = Key {
            kind,
            owner: name.to_owned(),
            part: Part::Only,
        };
        Self {
            key,
            compared: Aspects::default(),
            shown: Shown {
                name: name.to_owned(),
                ..Shown::default()
            },
        }
    }

    fn named(kind: ObjectKind, table: &str, name: &str) -> Self {
        Self {
            key: Key {
                kind,
                owner: table.to_owned(),
                part: Part::Named(name.to_owned()),
            },
            compared: Aspects::default(),
            shown: Shown {
                name: format!("{table}.{name}"),
                ..Shown::default()
            },
        }
    }

    /// A constraint that is known by its name or, without one, by what it is `over`.
    fn constraint(kind: ObjectKind, table: &str, name: Option<&str>, over: &Value) -> Self {
        match normalise::given_name(name) {
            Some(name) => Self::named(kind, table, name),
            None => Self {
                key: Key {
                    kind,
                    owner: table.to_owned(),
                    part: Part::Unnamed(over.compared.clone()),
                },
                compared: Aspects::default(),
                shown: Shown {
                    name: format!("{table}({})", over.shown),
                    ..Shown::default()
                },
            },
        }
    }

    fn with(mut self, property: &'static str, value: Value) -> Self {
        self.compared.own.insert(property, value.compared);
        self.shown.aspects.own.insert(property, value.shown);
        self
    }

    fn with_some(self, property: &'static str, value: Option<Value>) -> Self {
        match value {
            Some(value) => self.with(property, value),
            None => self,
        }
    }

    fn with_flag(self, property: &'static str, flag: bool) -> Self {
        self.with_some(property, flag.then(|| Value::plain("yes")))
    }

    fn with_settings(self, settings: &ModuleSettings) -> Self {
        self.with_flag("ansi nulls off", settings.ansi_nulls_off)
            .with_flag("quoted identifier off", settings.quoted_identifier_off)
    }

    fn add_to(self, objects: &mut Objects) {
        objects
            .entry(self.key)
            .or_default()
            .entry(self.compared)
            .or_insert(self.shown);
    }
}

/// A fact as it is compared and as it is shown.
struct Value {
    compared: String,
    shown: String,
}

impl Value {
    fn plain(value: impl Into<String>) -> Self {
        let shown = value.into();
        Self {
            compared: shown.clone(),
            shown,
        }
    }

    fn by(rule: fn(&str) -> String, text: &str) -> Self {
        Self {
            compared: rule(text),
            shown: text.to_owned(),
        }
    }

    fn names(names: &[String]) -> Self {
        Self::plain(list(names))
    }

    fn unordered_names(names: &[String]) -> Self {
        let mut sorted = names.to_vec();
        sorted.sort();
        Self {
            compared: list(&sorted),
            shown: list(names),
        }
    }

    fn key_columns(columns: &[KeyColumn]) -> Self {
        let parts: Vec<Value> = columns.iter().map(Self::key_column).collect();
        let join = |text: fn(&Value) -> &str| parts.iter().map(text).collect::<Vec<_>>().join(", ");
        Self {
            compared: join(|part| &part.compared),
            shown: join(|part| &part.shown),
        }
    }

    fn key_column(column: &KeyColumn) -> Self {
        let mut value = match &column.term {
            KeyTerm::Column(name) => Self::plain(normalise::identifier(name)),
            KeyTerm::Expression(text) => Self::by(normalise::expression, text),
        };
        if let Some(collation) = &column.collation {
            value.compared += &format!(" COLLATE {}", normalise::collation(collation));
            value.shown += &format!(" COLLATE {collation}");
        }
        if column.descending {
            value.compared += " DESC";
            value.shown += " DESC";
        }
        value
    }
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| normalise::identifier(name))
        .collect();
    names.join(", ")
}

/// A container was read in one spelling and order, so that what is shown is what is compared.
fn add_container(objects: &mut Objects, container: &Container) {
    let paths = |paths: &[String]| (!paths.is_empty()).then(|| Value::plain(paths.join(", ")));
    let sets = |sets: &[Vec<String>]| {
        let sets: Vec<String> = sets
            .iter()
            .map(|set| format!("({})", set.join(", ")))
            .collect();
        paths(&sets)
    };
    let settings = |settings: &BTreeMap<String, String>| {
        let settings: Vec<String> = settings
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        (!settings.is_empty()).then(|| Value::plain(settings.join("\n")))
    };
    let ttl = container.default_ttl.map(|seconds| match seconds {
        -1 => Value::plain("on, without a default"),
        seconds => Value::plain(format!("{seconds} seconds")),
    });
    let indexing = &container.indexing;
    Object::standing_alone(ObjectKind::Container, &container.name)
        .with_some("partition key", paths(&container.partition_key))
        .with_some("unique keys", sets(&container.unique_keys))
        .with("indexing mode", Value::plain(indexing.mode.as_str()))
        .with_some("included paths", paths(&indexing.included_paths))
        .with_some("excluded paths", paths(&indexing.excluded_paths))
        .with_some("composite indexes", sets(&indexing.composite_indexes))
        .with_some("other indexes", settings(&indexing.other))
        .with_some("default ttl", ttl)
        .with_some(
            "throughput",
            container
                .throughput
                .map(|throughput| Value::plain(throughput.to_string())),
        )
        .with_some("other settings", settings(&container.other))
        .add_to(objects);
}

fn add_table(objects: &mut Objects, table: &Table) {
    let mut object = Object::standing_alone(ObjectKind::Table, &table.name)
        .with_flag("without rowid", table.options.without_rowid)
        .with_flag("strict", table.options.strict)
        .with_some(
            "module",
            table
                .options
                .virtual_module
                .as_deref()
                .map(|module| Value::by(normalise::module_text, module)),
        );
    for column in &table.columns {
        let (compared, shown) = column_aspects(column);
        object
            .compared
            .columns
            .insert(column.name.clone(), compared);
        object
            .shown
            .aspects
            .columns
            .insert(column.name.clone(), shown);
        object
            .shown
            .columns
            .push((column.name.clone(), definition(column)));
    }
    object.add_to(objects);

    if let Some(key) = &table.primary_key {
        add_primary_key(objects, &table.name, key);
    }
    for unique in &table.unique {
        add_unique(objects, &table.name, unique);
    }
    for key in &table.foreign_keys {
        add_foreign_key(objects, &table.name, key);
    }
    for check in &table.checks {
        add_check(objects, &table.name, check);
    }
    for index in &table.indexes {
        add_index(objects, &table.name, index);
    }
}

type ColumnAspects = BTreeMap<&'static str, String>;

/// What is compared of a column, and what is shown of it.
fn column_aspects(column: &Column) -> (ColumnAspects, ColumnAspects) {
    let yes = |flag: bool| flag.then(|| Value::plain("yes"));
    let aspects = [
        (
            "type",
            Some(Value::by(normalise::type_name, &column.data_type))
                .filter(|value| !value.compared.is_empty()),
        ),
        (
            "nullable",
            Some(Value::plain(if column.nullable { "yes" } else { "no" })),
        ),
        (
            "default",
            column
                .default
                .as_deref()
                .map(|text| Value::by(normalise::expression, text)),
        ),
        (
            "collation",
            column
                .collation
                .as_deref()
                .map(|name| Value::by(normalise::collation, name)),
        ),
        ("identity", yes(column.identity)),
        (
            "generated",
            column
                .generated
                .as_ref()
                .map(|generated| Value::by(normalise::expression, &generated.expression)),
        ),
        (
            "stored",
            yes(column
                .generated
                .as_ref()
                .is_some_and(|generated| generated.stored)),
        ),
        ("hidden", yes(column.hidden)),
    ];
    let present = aspects
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)));
    present
        .map(|(name, value)| ((name, value.compared), (name, value.shown)))
        .unzip()
}

/// The whole column on one line, as one would write it.
fn definition(column: &Column) -> String {
    let mut words = Vec::new();
    if !column.data_type.is_empty() {
        words.push(column.data_type.clone());
    }
    if column.identity {
        words.push("IDENTITY".to_owned());
    }
    if let Some(generated) = &column.generated {
        let kept = if generated.stored {
            "STORED"
        } else {
            "VIRTUAL"
        };
        words.push(format!("AS ({}) {kept}", generated.expression));
    }
    if let Some(collation) = &column.collation {
        words.push(format!("COLLATE {collation}"));
    }
    words.push(if column.nullable { "NULL" } else { "NOT NULL" }.to_owned());
    if let Some(default) = &column.default {
        words.push(format!("DEFAULT {default}"));
    }
    if column.hidden {
        words.push("HIDDEN".to_owned());
    }
    words.join(" ")
}

fn add_primary_key(objects: &mut Objects, table: &str, key: &PrimaryKey) {
    let columns = Value::key_columns(&key.columns);
    let name = normalise::given_name(key.name.as_deref());
    let mut object = Object::constraint(ObjectKind::PrimaryKey, table, name, &columns)
        .with("columns", columns)
        .with_some("kind", key.kind.as_deref().map(Value::plain))
        .with_flag("disabled", key.disabled)
        .with_some("name", name.map(Value::plain));
    // A table has at most one, so another name or other columns are a change of it and not another key.
    object.key.part = Part::Only;
    object.add_to(objects);
}

fn add_unique(objects: &mut Objects, table: &str, unique: &Unique) {
    let columns = Value::key_columns(&unique.columns);
    Object::constraint(ObjectKind::Unique, table, unique.name.as_deref(), &columns)
        .with("columns", columns)
        .with_some("kind", unique.kind.as_deref().map(Value::plain))
        .with_flag("disabled", unique.disabled)
        .add_to(objects);
}

fn add_foreign_key(objects: &mut Objects, table: &str, key: &ForeignKey) {
    let columns = Value::names(&key.columns);
    let target = if key.referenced_columns.is_empty() {
        key.referenced_table.clone()
    } else {
        format!(
            "{}({})",
            key.referenced_table,
            Value::names(&key.referenced_columns).shown
        )
    };
    Object::constraint(ObjectKind::ForeignKey, table, key.name.as_deref(), &columns)
        .with("columns", columns)
        .with("references", Value::plain(target))
        .with("on update", Value::plain(key.on_update.as_sql()))
        .with("on delete", Value::plain(key.on_delete.as_sql()))
        .with_flag("deferred", key.deferred)
        .with_flag("disabled", key.disabled)
        .add_to(objects);
}

fn add_check(objects: &mut Objects, table: &str, check: &Check) {
    let expression = Value::by(normalise::expression, &check.expression);
    Object::constraint(ObjectKind::Check, table, check.name.as_deref(), &expression)
        .with("expression", expression)
        .with_flag("disabled", check.disabled)
        .add_to(objects);
}

fn add_index(objects: &mut Objects, table: &str, index: &Index) {
    Object::named(ObjectKind::Index, table, &index.name)
        .with("columns", Value::key_columns(&index.columns))
        .with_some(
            "included",
            Some(Value::unordered_names(&index.included)).filter(|_| !index.included.is_empty()),
        )
        .with_some("kind", index.kind.as_deref().map(Value::plain))
        .with_flag("unique", index.unique)
        .with_some(
            "filter",
            index
                .filter
                .as_deref()
                .map(|text| Value::by(normalise::expression, text)),
        )
        .with_flag("disabled", index.disabled)
        .add_to(objects);
}

fn add_module(objects: &mut Objects, kind: ObjectKind, module: &Module) {
    Object::standing_alone(kind, &module.name)
        .with(
            "definition",
            Value::by(normalise::module_text, &module.text),
        )
        .with_settings(&module.settings)
        .add_to(objects);
    for index in &module.indexes {
        add_index(objects, &module.name, index);
    }
}

fn add_trigger(objects: &mut Objects, trigger: &Trigger) {
    Object::named(ObjectKind::Trigger, &trigger.table, &trigger.name)
        .with(
            "definition",
            Value::by(normalise::module_text, &trigger.text),
        )
        .with_settings(&trigger.settings)
        .with_flag("disabled", trigger.disabled)
        .add_to(objects);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored snapshots carry their hash, so a rule that changes it for an ordinary schema must be meant.
    #[test]
    fn the_hash_of_a_known_schema_stays_what_it_is() {
        let schema = Schema {
            tables: vec![Table {
                name: "t".into(),
                columns: vec![Column {
                    name: "a".into(),
                    data_type: "int".into(),
                    ..Column::default()
                }],
                primary_key: Some(PrimaryKey {
                    columns: vec![KeyColumn::ascending("a")],
                    ..PrimaryKey::default()
                }),
                ..Table::default()
            }],
            ..Schema::default()
        };
        assert_eq!(
            schema.hash(),
            "sha256:d0824e89efc2f39d1094101b20b816103714703a5923f0141c4f842990bf0716"
        );
    }

    #[test]
    fn the_hash_is_over_the_canonical_json_of_the_facts() {
        let objects = objects(&Schema {
            views: vec![Module {
                name: "v".into(),
                text: "CREATE VIEW  v AS SELECT 1;".into(),
                ..Module::default()
            }],
            ..Schema::default()
        });
        let compared: Vec<_> = objects
            .iter()
            .flat_map(|(key, same)| same.keys().map(move |aspects| (key, aspects)))
            .collect();
        assert_eq!(
            serde_json_canonicalizer::to_string(&compared).unwrap(),
            r#"[[{"kind":"view","owner":"v","part":"only"},{"own":{"definition":"CREATE VIEW v AS SELECT 1"}}]]"#
        );
    }
}
