//! The difference between two schemas, as a list of changed objects.
//!
//! Every object is a change of its own, also the keys and indexes of a table that was added or removed: so a list can
//! be filtered by kind, and an object is always reported in the same way, whatever became of its table.
//! A renamed object is one removed and one added, and `renames` says which may belong together. Two things are not compared: the order of columns, which no tool can
//! keep equal (see [`normalise`]), and what was merely written in another way.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::{self, Aspects, Key, Shown};
use super::model::{ObjectKind, Schema};
use super::normalise;

mod renames;

/// One object that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub change: ChangeKind,
    pub kind: ObjectKind,
    /// `orders`, `orders.orders_by_day`; a constraint without a name is `orders(customer_id)`.
    pub name: String,
    /// What differs in it; of an added or removed object, all there is to say of it.
    pub details: Vec<Detail>,
    /// Of an added object the removed one that it may have been before, of a removed one what it may have become: the only
    /// other one that is the same but for the name. A suggestion; nothing is ever taken for a rename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub possible_rename: Option<String>,
}

/// What became of an object between the two schemas.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Added,
    Removed,
    Changed,
}

/// One property of an object, before and after; null where the object or the property does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// `definition`, `columns`; `column email` for a whole column, `column email type` for something of it.
    pub property: String,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Of a column that came or went, the name of the only other one that is the same but for the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub possible_rename: Option<String>,
}

/// What became of each object on the way from one schema to the other, as far as both know of it; empty when their hashes
/// are equal.
///
/// Sorted by kind (tables first, then what belongs to them, then modules) and name.
pub fn diff(from: &Schema, to: &Schema) -> Vec<Change> {
    let unknown = from.unknown().or(to.unknown());
    let mut objects: BTreeMap<Key, (Same, Same)> = BTreeMap::new();
    for (key, same) in facts::objects(from, &unknown) {
        objects.entry(key).or_default().0 = same;
    }
    for (key, same) in facts::objects(to, &unknown) {
        objects.entry(key).or_default().1 = same;
    }
    let mut changes = Vec::new();
    let mut lone = renames::Lone::default();
    for (key, (from, to)) in objects {
        changes_of(&key, from, to, &mut changes, &mut lone);
    }
    for (one, name) in lone.pairs() {
        changes[one].possible_rename = Some(name);
    }
    changes
}

/// The objects that share a key.
type Same = BTreeMap<Aspects, Shown>;

/// Of the objects that share a key (rarely more than one on either side), those that have no equal on the other side:
/// paired off in order as changed, what is left over as removed or added.
fn changes_of(
    key: &Key,
    mut from: Same,
    mut to: Same,
    changes: &mut Vec<Change>,
    lone: &mut renames::Lone,
) {
    from.retain(|aspects, _| to.remove(aspects).is_none());
    let (mut from, mut to) = (from.into_iter(), to.into_iter());
    loop {
        let change = match (from.next(), to.next()) {
            (Some(before), Some(after)) => changed(key.kind, &before, &after),
            (Some((aspects, gone)), None) => {
                lone.went(key, aspects, &gone.name, changes.len());
                removed(key.kind, &gone)
            }
            (None, Some((aspects, new))) => {
                lone.came(key, aspects, &new.name, changes.len());
                added(key.kind, &new)
            }
            (None, None) => return,
        };
        changes.push(change);
    }
}

fn added(kind: ObjectKind, new: &Shown) -> Change {
    let details = everything(new).map(|(property, text)| Detail {
        property,
        from: None,
        to: Some(text),
        possible_rename: None,
    });
    Change {
        change: ChangeKind::Added,
        kind,
        name: new.name.clone(),
        details: details.collect(),
        possible_rename: None,
    }
}

fn removed(kind: ObjectKind, gone: &Shown) -> Change {
    let details = everything(gone).map(|(property, text)| Detail {
        property,
        from: Some(text),
        to: None,
        possible_rename: None,
    });
    Change {
        change: ChangeKind::Removed,
        kind,
        name: gone.name.clone(),
        details: details.collect(),
        possible_rename: None,
    }
}

/// All that can be said of an object, each column on one line.
fn everything(object: &Shown) -> impl Iterator<Item = (String, String)> {
    let own = object
        .aspects
        .own
        .iter()
        .map(|(property, text)| ((*property).to_owned(), text.clone()));
    let columns = object
        .columns
        .iter()
        .map(|(name, definition)| (column_property(name), definition.clone()));
    own.chain(columns)
}

fn changed(kind: ObjectKind, before: &(Aspects, Shown), after: &(Aspects, Shown)) -> Change {
    let (before, after) = (Side::of(before), Side::of(after));
    let mut details = differing(before.own(), after.own(), str::to_owned);
    let definitions_before: BTreeMap<&str, &str> = before.definitions().collect();
    let renamed = renames::of_columns(&before.compared.columns, &after.compared.columns);
    let possible_rename = |name: &str| renamed.get(name).map(|other| (*other).to_owned());
    for (name, definition) in after.definitions() {
        match (before.column(name), after.column(name)) {
            (Some(old), Some(new)) => {
                details.extend(differing(old, new, |aspect| {
                    format!("{} {aspect}", column_property(name))
                }));
            }
            _ => details.push(Detail {
                property: column_property(name),
                from: None,
                to: Some(definition.to_owned()),
                possible_rename: possible_rename(name),
            }),
        }
    }
    for (name, definition) in definitions_before {
        if after.column(name).is_none() {
            details.push(Detail {
                property: column_property(name),
                from: Some(definition.to_owned()),
                to: None,
                possible_rename: possible_rename(name),
            });
        }
    }
    Change {
        change: ChangeKind::Changed,
        kind,
        name: after.shown.name.clone(),
        details,
        possible_rename: None,
    }
}

/// One of two objects that are being compared.
struct Side<'a> {
    compared: &'a Aspects,
    shown: &'a Shown,
}

/// The aspects of an object or column: as compared and as shown.
type Both<'a> = (
    &'a BTreeMap<&'static str, String>,
    &'a BTreeMap<&'static str, String>,
);

impl<'a> Side<'a> {
    fn of((compared, shown): &'a (Aspects, Shown)) -> Self {
        Self { compared, shown }
    }

    fn own(&self) -> Both<'a> {
        (&self.compared.own, &self.shown.aspects.own)
    }

    fn column(&self, name: &str) -> Option<Both<'a>> {
        Some((
            self.compared.columns.get(name)?,
            self.shown.aspects.columns.get(name)?,
        ))
    }

    fn definitions(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.shown
            .columns
            .iter()
            .map(|(name, definition)| (name.as_str(), definition.as_str()))
    }
}

/// The aspects whose compared values differ, as they are shown.
fn differing(before: Both, after: Both, property: impl Fn(&str) -> String) -> Vec<Detail> {
    let aspects: BTreeSet<&str> = before.0.keys().chain(after.0.keys()).copied().collect();
    let detail = |aspect| Detail {
        property: property(aspect),
        from: before.1.get(aspect).cloned(),
        to: after.1.get(aspect).cloned(),
        possible_rename: None,
    };
    aspects
        .into_iter()
        .filter(|aspect| before.0.get(aspect) != after.0.get(aspect))
        .map(detail)
        .collect()
}

/// `column email`; quoted where the name is more than a word, so that `column a type` is never ambiguous.
fn column_property(name: &str) -> String {
    format!("column {}", normalise::identifier(name))
}

#[cfg(test)]
mod tests;
