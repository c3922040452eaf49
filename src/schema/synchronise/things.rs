//! What differs between two schemas, as the objects themselves rather than words about them.

use std::collections::BTreeMap;

use crate::schema::facts::{Aspects, Facts, Key, modules, of_one, standing, tables};
use crate::schema::model::{
    Check, ExtendedProperty, ForeignKey, Index, Module, Namespace, ObjectKind, OtherObject,
    Part as Known, Permission, PrimaryKey, Role, Schema, Sequence, Synonym, Table, Trigger, Unique,
    Unknown, UserType,
};

/// An object of a schema that can come, go or change by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thing<'a> {
    Namespace(&'a Namespace),
    Type(&'a UserType),
    Sequence(&'a Sequence),
    /// With its columns and nothing else.
    Table(&'a Table),
    PrimaryKey(&'a Table, &'a PrimaryKey),
    Unique(&'a Table, &'a Unique),
    ForeignKey(&'a Table, &'a ForeignKey),
    Check(&'a Table, &'a Check),
    /// Of a table or a view, by its name.
    Index(&'a str, &'a Index),
    Module(ObjectKind, &'a Module),
    Trigger(&'a Trigger),
    Synonym(&'a Synonym),
    Role(&'a Role),
    Member(&'a Role, &'a str),
    Permission(&'a Permission),
    Note(&'a ExtendedProperty),
    Other(&'a OtherObject),
}

impl<'a> Thing<'a> {
    fn all(schema: &'a Schema) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        all.extend(schema.schemas.iter().map(Self::Namespace));
        all.extend(schema.types.iter().map(Self::Type));
        all.extend(schema.sequences.iter().map(Self::Sequence));
        for table in &schema.tables {
            all.push(Self::Table(table));
            let key = table.primary_key.iter();
            all.extend(key.map(|key| Self::PrimaryKey(table, key)));
            let unique = table.unique.iter();
            all.extend(unique.map(|unique| Self::Unique(table, unique)));
            let keys = table.foreign_keys.iter();
            all.extend(keys.map(|key| Self::ForeignKey(table, key)));
            let checks = table.checks.iter();
            all.extend(checks.map(|check| Self::Check(table, check)));
            let indexes = table.indexes.iter();
            all.extend(indexes.map(|index| Self::Index(&table.name, index)));
        }
        for (kind, modules) in [
            (ObjectKind::View, &schema.views),
            (ObjectKind::Procedure, &schema.procedures),
            (ObjectKind::Function, &schema.functions),
        ] {
            for module in modules {
                all.push(Self::Module(kind, module));
                let indexes = module.indexes.iter();
                all.extend(indexes.map(|index| Self::Index(&module.name, index)));
            }
        }
        all.extend(schema.triggers.iter().map(Self::Trigger));
        all.extend(schema.synonyms.iter().map(Self::Synonym));
        for role in &schema.roles {
            if !role.fixed {
                all.push(Self::Role(role));
            }
            let members = role.members.iter();
            all.extend(members.map(|member| Self::Member(role, member)));
        }
        all.extend(schema.permissions.iter().map(Self::Permission));
        all.extend(schema.extended_properties.iter().map(Self::Note));
        all.extend(schema.other_objects.iter().map(Self::Other));
        all
    }

    /// The part of a schema that may be unknown, and this with it.
    fn part(self) -> Option<Known> {
        match self {
            Self::Namespace(_) => Some(Known::Schemas),
            Self::Type(_) => Some(Known::Types),
            Self::Sequence(_) => Some(Known::Sequences),
            Self::Synonym(_) => Some(Known::Synonyms),
            Self::Role(_) | Self::Member(..) => Some(Known::Roles),
            Self::Permission(_) => Some(Known::Permissions),
            Self::Note(_) => Some(Known::ExtendedProperties),
            Self::Other(_) => Some(Known::OtherObjects),
            _ => None,
        }
    }

    fn facts(self, unknown: &Unknown) -> Option<(Key, Aspects)> {
        if self.part().is_some_and(|part| !unknown.knows(part)) {
            return None;
        }
        of_one(unknown, |facts| self.add(facts))
    }

    fn add(self, facts: &mut Facts<'_>) {
        match self {
            Self::Namespace(namespace) => standing::add_namespace(facts, namespace),
            Self::Type(user_type) => standing::add_type(facts, user_type),
            Self::Sequence(sequence) => standing::add_sequence(facts, sequence),
            Self::Table(table) => {
                let alone = Table {
                    name: table.name.clone(),
                    columns: table.columns.clone(),
                    options: table.options.clone(),
                    ..Table::default()
                };
                tables::add_table(facts, &alone);
            }
            Self::PrimaryKey(table, key) => tables::add_primary_key(facts, &table.name, key),
            Self::Unique(table, unique) => tables::add_unique(facts, &table.name, unique),
            Self::ForeignKey(table, key) => tables::add_foreign_key(facts, &table.name, key),
            Self::Check(table, check) => tables::add_check(facts, &table.name, check),
            Self::Index(owner, index) => tables::add_index(facts, owner, index),
            Self::Module(kind, module) => {
                let alone = Module {
                    indexes: Vec::new(),
                    ..module.clone()
                };
                modules::add_module(facts, kind, &alone);
            }
            Self::Trigger(trigger) => modules::add_trigger(facts, trigger),
            Self::Synonym(synonym) => standing::add_synonym(facts, synonym),
            Self::Role(role) => {
                let alone = Role {
                    members: Vec::new(),
                    ..role.clone()
                };
                standing::add_role(facts, &alone);
            }
            Self::Member(role, member) => {
                let alone = Role {
                    name: role.name.clone(),
                    fixed: true,
                    owner: None,
                    members: vec![member.to_owned()],
                };
                standing::add_role(facts, &alone);
            }
            Self::Permission(granted) => standing::add_permission(facts, granted),
            Self::Note(note) => standing::add_extended_property(facts, note),
            Self::Other(other) => standing::add_other(facts, other),
        }
    }

    /// The table or view that it is part of, and goes with.
    pub fn owner(self) -> Option<&'a str> {
        match self {
            Self::PrimaryKey(table, _)
            | Self::Unique(table, _)
            | Self::ForeignKey(table, _)
            | Self::Check(table, _) => Some(&table.name),
            Self::Index(owner, _) => Some(owner),
            Self::Trigger(trigger) => Some(&trigger.table)
                .filter(|table| !table.is_empty())
                .map(String::as_str),
            _ => None,
        }
    }
}

/// The way from one schema to another, object by object, in the order of kinds and names.
#[derive(Default)]
pub(super) struct Differences<'a> {
    pub went: Vec<Thing<'a>>,
    pub came: Vec<Thing<'a>>,
    /// As it was and as it is to be.
    pub changed: Vec<(Thing<'a>, Thing<'a>)>,
    /// What is the same in both, as it is to be.
    pub kept: Vec<Thing<'a>>,
    /// What is not known of one of the two.
    pub unknown: Unknown,
}

type Same<'a> = BTreeMap<Aspects, Thing<'a>>;

impl<'a> Differences<'a> {
    /// Paired off as [`diff`](crate::schema::diff()) does it, so that the two never disagree.
    pub fn between(before: &'a Schema, after: &'a Schema) -> Self {
        let unknown = before.unknown().or(after.unknown());
        let mut objects: BTreeMap<Key, (Same<'a>, Same<'a>)> = BTreeMap::new();
        for thing in Thing::all(before) {
            if let Some((key, aspects)) = thing.facts(&unknown) {
                objects
                    .entry(key)
                    .or_default()
                    .0
                    .entry(aspects)
                    .or_insert(thing);
            }
        }
        for thing in Thing::all(after) {
            if let Some((key, aspects)) = thing.facts(&unknown) {
                objects
                    .entry(key)
                    .or_default()
                    .1
                    .entry(aspects)
                    .or_insert(thing);
            }
        }
        let mut differences = Self {
            unknown,
            ..Self::default()
        };
        for (mut old, mut new) in objects.into_values() {
            old.retain(|aspects, _| match new.remove(aspects) {
                Some(thing) => {
                    differences.kept.push(thing);
                    false
                }
                None => true,
            });
            let (mut old, mut new) = (old.into_values(), new.into_values());
            loop {
                match (old.next(), new.next()) {
                    (Some(old), Some(new)) => differences.changed.push((old, new)),
                    (Some(old), None) => differences.went.push(old),
                    (None, Some(new)) => differences.came.push(new),
                    (None, None) => break,
                }
            }
        }
        differences
    }
}
