//! A schema taken apart into objects and their normalised facts: all that a hash or a diff ever looks at.
//!
//! Each object has a key (how it is found again in another schema) and aspects twice over: as compared and as shown.
//! The aspects are keyed by name, so the order of columns plays no part: engines append columns that tools insert, and
//! no two ways of building a table agree on it. An absent aspect leaves no trace, so that the hash of a schema stays
//! what it was when a newer dbvc learns of more aspects.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::model::{
    Column, KeyColumn, KeyTerm, ModuleSettings, ObjectKind, Part as Known, Schema, Unknown,
};
use super::normalise;

mod containers;
pub(super) mod modules;
pub(super) mod standing;
pub(super) mod tables;

/// What finds an object again in another schema. Not always unique: SQLite lets two constraints share a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Key {
    pub(super) kind: ObjectKind,
    /// The object itself, or the table to which it belongs.
    pub(super) owner: String,
    pub(super) part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
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
    /// Two schemas of which the same is known have the same hash exactly when [`diff`](super::diff::diff) finds nothing
    /// between them. Where one knows more, or another version of dbvc made the hash, hashes can differ for that alone; so
    /// only equal hashes prove something, and what differs is for the diff to say.
    pub fn hash(&self) -> String {
        let objects = objects(self, &self.unknown());
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

/// Everything in the schema that can come, go or change, without what is `unknown`.
pub(super) fn objects(schema: &Schema, unknown: &Unknown) -> Objects {
    let mut facts = Facts {
        objects: Objects::new(),
        unknown,
    };
    facts.add_all(Known::Schemas, &schema.schemas, standing::add_namespace);
    facts.add_all(Known::Types, &schema.types, standing::add_type);
    facts.add_all(Known::Sequences, &schema.sequences, standing::add_sequence);
    for table in &schema.tables {
        tables::add_table(&mut facts, table);
    }
    let modules = [
        (ObjectKind::View, &schema.views),
        (ObjectKind::Procedure, &schema.procedures),
        (ObjectKind::Function, &schema.functions),
    ];
    for (kind, modules) in modules {
        for module in modules {
            modules::add_module(&mut facts, kind, module);
        }
    }
    for trigger in &schema.triggers {
        modules::add_trigger(&mut facts, trigger);
    }
    facts.add_all(Known::Synonyms, &schema.synonyms, standing::add_synonym);
    facts.add_all(Known::Roles, &schema.roles, standing::add_role);
    facts.add_all(
        Known::Permissions,
        &schema.permissions,
        standing::add_permission,
    );
    facts.add_all(
        Known::ExtendedProperties,
        &schema.extended_properties,
        standing::add_extended_property,
    );
    facts.add_all(
        Known::OtherObjects,
        &schema.other_objects,
        standing::add_other,
    );
    for container in &schema.containers {
        containers::add_container(&mut facts, container);
    }
    facts.objects
}

/// Key and facts of the one object that `add` adds; `None` when it is not known.
pub(super) fn of_one(
    unknown: &Unknown,
    add: impl FnOnce(&mut Facts<'_>),
) -> Option<(Key, Aspects)> {
    let mut facts = Facts {
        objects: Objects::new(),
        unknown,
    };
    add(&mut facts);
    let (key, same) = facts.objects.into_iter().next()?;
    let (aspects, _) = same.into_iter().next()?;
    Some((key, aspects))
}

/// What is compared of a column.
pub(super) fn of_column(unknown: &Unknown, column: &Column) -> BTreeMap<&'static str, String> {
    let facts = Facts {
        objects: Objects::new(),
        unknown,
    };
    tables::column_aspects(&facts, column).0
}

/// The facts as far as they have been taken.
pub(super) struct Facts<'a> {
    objects: Objects,
    unknown: &'a Unknown,
}

impl Facts<'_> {
    fn knows(&self, part: Known) -> bool {
        self.unknown.knows(part)
    }

    fn add_all<T>(&mut self, part: Known, all: &[T], add: fn(&mut Self, &T)) {
        if self.knows(part) {
            for one in all {
                add(self, one);
            }
        }
    }
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

    /// Something that is said of an object rather than part of it: `SELECT to reader on dbo.orders`.
    fn noted(kind: ObjectKind, owner: &str, what: &str, preposition: &str) -> Self {
        let mut object = Self::named(kind, owner, what);
        object.shown.name = format!("{what} {preposition} {owner}");
        object
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

    fn add_to(self, facts: &mut Facts<'_>) {
        facts
            .objects
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

    /// Several values whose order means nothing; none is no value.
    fn set(values: impl Iterator<Item = Self>) -> Option<Self> {
        let (mut compared, shown): (Vec<String>, Vec<String>) =
            values.map(|value| (value.compared, value.shown)).unzip();
        compared.sort();
        (!compared.is_empty()).then(|| Self {
            compared: compared.join("\n"),
            shown: shown.join("\n"),
        })
    }

    fn followed_by(mut self, words: &str) -> Self {
        self.compared += words;
        self.shown += words;
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::model::{Column, Module, PrimaryKey, Table};

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
        let schema = Schema {
            views: vec![Module {
                name: "v".into(),
                text: "CREATE VIEW  v AS SELECT 1;".into(),
                ..Module::default()
            }],
            ..Schema::default()
        };
        let objects = objects(&schema, &schema.unknown());
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
