//! The facts of what belongs to no table: schemas, sequences, types, synonyms, roles, permissions, notes.

use super::tables::add_columns;
use super::{Facts, Object, Value};
use crate::schema::model::{
    ExtendedProperty, Index, KeyColumn, Namespace, ObjectKind, OtherObject, Permission, Role,
    Sequence, SequenceCache, Synonym, Table, UserType,
};
use crate::schema::normalise;

pub(in crate::schema) fn add_namespace(facts: &mut Facts<'_>, namespace: &Namespace) {
    Object::standing_alone(ObjectKind::Schema, &namespace.name)
        .with_some("owner", namespace.owner.as_deref().map(Value::plain))
        .add_to(facts);
}

pub(in crate::schema) fn add_type(facts: &mut Facts<'_>, user_type: &UserType) {
    let mut object = Object::standing_alone(ObjectKind::Type, &user_type.name);
    if let Some(base) = &user_type.base {
        let nullable = if user_type.nullable { "yes" } else { "no" };
        object = object
            .with("base", Value::by(normalise::type_name, base))
            .with("nullable", Value::plain(nullable));
    }
    if let Some(table) = &user_type.table {
        object = with_constraints(object, table);
        add_columns(&mut object, facts, &table.columns);
    }
    object.add_to(facts);
}

fn key(columns: &[KeyColumn], kind: Option<&str>) -> Value {
    let columns = Value::key_columns(columns);
    match kind {
        Some(kind) => columns.followed_by(&format!(" {kind}")),
        None => columns,
    }
}

/// Constraints of a table type have no names, and no life of their own: nothing of the type can be altered.
fn with_constraints(object: Object, table: &Table) -> Object {
    let primary_key = table.primary_key.as_ref();
    let index = |index: &Index| {
        let unique = if index.unique { " UNIQUE" } else { "" };
        key(&index.columns, index.kind.as_deref()).followed_by(unique)
    };
    object
        .with_some(
            "primary key",
            primary_key.map(|primary| key(&primary.columns, primary.kind.as_deref())),
        )
        .with_some(
            "unique",
            Value::set(
                table
                    .unique
                    .iter()
                    .map(|unique| key(&unique.columns, unique.kind.as_deref())),
            ),
        )
        .with_some(
            "checks",
            Value::set(
                table
                    .checks
                    .iter()
                    .map(|check| Value::by(normalise::expression, &check.expression)),
            ),
        )
        .with_some("indexes", Value::set(table.indexes.iter().map(index)))
}

pub(in crate::schema) fn add_sequence(facts: &mut Facts<'_>, sequence: &Sequence) {
    let cache = match sequence.cache {
        SequenceCache::ServersChoice => None,
        SequenceCache::None => Some(Value::plain("none")),
        SequenceCache::Numbers(count) => Some(Value::plain(count.to_string())),
    };
    Object::standing_alone(ObjectKind::Sequence, &sequence.name)
        .with("type", Value::by(normalise::type_name, &sequence.data_type))
        .with("start", Value::plain(&sequence.start))
        .with("increment", Value::plain(&sequence.increment))
        .with("minimum", Value::plain(&sequence.minimum))
        .with("maximum", Value::plain(&sequence.maximum))
        .with_flag("cycles", sequence.cycles)
        .with_some("cache", cache)
        .add_to(facts);
}

pub(in crate::schema) fn add_synonym(facts: &mut Facts<'_>, synonym: &Synonym) {
    Object::standing_alone(ObjectKind::Synonym, &synonym.name)
        .with("target", Value::by(normalise::module_text, &synonym.target))
        .add_to(facts);
}

pub(in crate::schema) fn add_role(facts: &mut Facts<'_>, role: &Role) {
    if !role.fixed {
        Object::standing_alone(ObjectKind::Role, &role.name)
            .with_some("owner", role.owner.as_deref().map(Value::plain))
            .add_to(facts);
    }
    for member in &role.members {
        Object::named(ObjectKind::RoleMember, &role.name, member).add_to(facts);
    }
}

pub(in crate::schema) fn add_permission(facts: &mut Facts<'_>, granted: &Permission) {
    let on = granted.on.words();
    let what = format!("{} to {}", granted.permission, granted.grantee);
    Object::noted(ObjectKind::Permission, &on, &what, "on")
        .with("state", Value::plain(granted.state.words()))
        .add_to(facts);
}

pub(in crate::schema) fn add_extended_property(facts: &mut Facts<'_>, note: &ExtendedProperty) {
    let on = note.on.words();
    Object::noted(ObjectKind::ExtendedProperty, &on, &note.name, "of")
        .with("value", Value::plain(&note.value))
        .add_to(facts);
}

pub(in crate::schema) fn add_other(facts: &mut Facts<'_>, other: &OtherObject) {
    Object::standing_alone(ObjectKind::Other, &other.name)
        .with("type", Value::plain(&other.type_description))
        .add_to(facts);
}
