//! The facts of a table, its columns, and what belongs to it.

use std::collections::BTreeMap;

use super::{Facts, Object, Part, Value};
use crate::schema::model::{
    Check, Column, ForeignKey, Index, ObjectKind, Part as Known, PrimaryKey, Table, Unique,
};
use crate::schema::normalise;

pub(in crate::schema) fn add_table(facts: &mut Facts<'_>, table: &Table) {
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
    if facts.knows(Known::Storage) {
        let text = |value: &Option<String>| value.as_deref().map(Value::plain);
        object = object
            .with_some("history table", text(&table.options.history_table))
            .with_some("memory optimized", text(&table.options.memory_optimized));
    }
    add_columns(&mut object, facts, &table.columns);
    object.add_to(facts);

    if let Some(key) = &table.primary_key {
        add_primary_key(facts, &table.name, key);
    }
    for unique in &table.unique {
        add_unique(facts, &table.name, unique);
    }
    for key in &table.foreign_keys {
        add_foreign_key(facts, &table.name, key);
    }
    for check in &table.checks {
        add_check(facts, &table.name, check);
    }
    for index in &table.indexes {
        add_index(facts, &table.name, index);
    }
}

pub(super) fn add_columns(object: &mut Object, facts: &Facts<'_>, columns: &[Column]) {
    for column in columns {
        let (compared, shown) = column_aspects(facts, column);
        let name = || column.name.clone();
        object.compared.columns.insert(name(), compared);
        object.shown.aspects.columns.insert(name(), shown);
        let definition = definition(facts, column);
        object.shown.columns.push((name(), definition));
    }
}

type ColumnAspects = BTreeMap<&'static str, String>;

/// What is compared of a column, and what is shown of it.
pub(super) fn column_aspects(facts: &Facts<'_>, column: &Column) -> (ColumnAspects, ColumnAspects) {
    let yes = |flag: bool| flag.then(|| Value::plain("yes"));
    let known = |part: Known, value: &Option<String>| {
        let value = value.as_deref().filter(|_| facts.knows(part));
        value.map(Value::plain)
    };
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
            "identity range",
            known(Known::Identities, &column.identity_range),
        ),
        ("mask", known(Known::Masks, &column.mask)),
        ("sparse", yes(column.sparse && facts.knows(Known::Storage))),
        (
            "row guid",
            yes(column.row_guid && facts.knows(Known::Storage)),
        ),
        (
            "generated always",
            known(Known::Storage, &column.generated_always),
        ),
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
fn definition(facts: &Facts<'_>, column: &Column) -> String {
    let mut words = Vec::new();
    if !column.data_type.is_empty() {
        words.push(column.data_type.clone());
    }
    if column.identity {
        let range = column.identity_range.as_ref();
        words.push(match range.filter(|_| facts.knows(Known::Identities)) {
            Some(range) => format!("IDENTITY({range})"),
            None => "IDENTITY".to_owned(),
        });
    }
    if let Some(mask) = column.mask.as_ref().filter(|_| facts.knows(Known::Masks)) {
        words.push(format!("MASKED WITH (FUNCTION = '{mask}')"));
    }
    if facts.knows(Known::Storage) {
        let flags = [(column.sparse, "SPARSE"), (column.row_guid, "ROWGUIDCOL")];
        let set = flags.into_iter().filter(|(set, _)| *set);
        words.extend(set.map(|(_, word)| word.to_owned()));
        words.extend(
            column
                .generated_always
                .as_ref()
                .map(|what| format!("GENERATED ALWAYS {}", what.replace('_', " "))),
        );
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

pub(in crate::schema) fn add_primary_key(facts: &mut Facts<'_>, table: &str, key: &PrimaryKey) {
    let columns = Value::key_columns(&key.columns);
    let name = normalise::given_name(key.name.as_deref());
    let mut object = Object::constraint(ObjectKind::PrimaryKey, table, name, &columns)
        .with("columns", columns)
        .with_some("kind", key.kind.as_deref().map(Value::plain))
        .with_flag("disabled", key.disabled)
        .with_some("name", name.map(Value::plain));
    // A table has at most one, so another name or other columns are a change of it and not another key.
    object.key.part = Part::Only;
    object.add_to(facts);
}

pub(in crate::schema) fn add_unique(facts: &mut Facts<'_>, table: &str, unique: &Unique) {
    let columns = Value::key_columns(&unique.columns);
    Object::constraint(ObjectKind::Unique, table, unique.name.as_deref(), &columns)
        .with("columns", columns)
        .with_some("kind", unique.kind.as_deref().map(Value::plain))
        .with_flag("disabled", unique.disabled)
        .add_to(facts);
}

pub(in crate::schema) fn add_foreign_key(facts: &mut Facts<'_>, table: &str, key: &ForeignKey) {
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
        .with_flag("untrusted", key.untrusted && facts.knows(Known::Trust))
        .add_to(facts);
}

pub(in crate::schema) fn add_check(facts: &mut Facts<'_>, table: &str, check: &Check) {
    let expression = Value::by(normalise::expression, &check.expression);
    Object::constraint(ObjectKind::Check, table, check.name.as_deref(), &expression)
        .with("expression", expression)
        .with_flag("disabled", check.disabled)
        .with_flag("untrusted", check.untrusted && facts.knows(Known::Trust))
        .add_to(facts);
}

pub(in crate::schema) fn add_index(facts: &mut Facts<'_>, table: &str, index: &Index) {
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
        .with_flag(
            "ignores duplicates",
            index.ignores_duplicates && facts.knows(Known::Storage),
        )
        .add_to(facts);
}
