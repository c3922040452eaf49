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
mod tests {
    use super::*;
    use crate::schema::container::{Container, ContainerThroughput};
    use crate::schema::model::*;
    use proptest::prelude::*;

    fn column(name: &str, data_type: &str) -> Column {
        Column {
            name: name.into(),
            data_type: data_type.into(),
            nullable: true,
            ..Column::default()
        }
    }

    fn table(name: &str, columns: Vec<Column>) -> Table {
        Table {
            name: name.into(),
            columns,
            ..Table::default()
        }
    }

    fn schema(tables: Vec<Table>) -> Schema {
        Schema {
            tables,
            ..Schema::default()
        }
    }

    fn detail(property: &str, from: Option<&str>, to: Option<&str>) -> Detail {
        Detail {
            property: property.into(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            possible_rename: None,
        }
    }

    fn names(changes: &[Change]) -> Vec<(ChangeKind, ObjectKind, &str)> {
        changes
            .iter()
            .map(|change| (change.change, change.kind, change.name.as_str()))
            .collect()
    }

    #[test]
    fn a_schema_differs_from_itself_in_nothing() {
        let one = schema(vec![table("t", vec![column("a", "TEXT")])]);
        assert_eq!(diff(&one, &one), vec![]);
    }

    #[test]
    fn columns_are_details_of_their_table() {
        let from = schema(vec![table(
            "t",
            vec![
                column("a", "TEXT"),
                column("b", "INT"),
                column("c d", "INT"),
            ],
        )]);
        let to = schema(vec![table(
            "t",
            vec![
                Column {
                    nullable: false,
                    ..column("a", "VARCHAR(10)")
                },
                column("c d", "TEXT"),
                Column {
                    default: Some("0".into()),
                    ..column("e", "INT")
                },
            ],
        )]);
        assert_eq!(
            diff(&from, &to),
            vec![Change {
                change: ChangeKind::Changed,
                kind: ObjectKind::Table,
                name: "t".into(),
                details: vec![
                    detail("column a nullable", Some("yes"), Some("no")),
                    detail("column a type", Some("TEXT"), Some("VARCHAR(10)")),
                    detail("column \"c d\" type", Some("INT"), Some("TEXT")),
                    detail("column e", None, Some("INT NULL DEFAULT 0")),
                    detail("column b", Some("INT NULL"), None),
                ],
                possible_rename: None,
            }]
        );
    }

    #[test]
    fn what_an_older_snapshot_could_not_know_is_no_difference() {
        let now = Schema {
            sequences: vec![Sequence {
                name: "dbo.numbers".into(),
                ..Sequence::default()
            }],
            permissions: vec![Permission {
                on: Securable::Object("t".into()),
                permission: "SELECT".into(),
                grantee: "reader".into(),
                state: PermissionState::Grant,
            }],
            ..schema(vec![Table {
                checks: vec![Check {
                    name: Some("c".into()),
                    untrusted: true,
                    ..Check::default()
                }],
                ..table(
                    "t",
                    vec![Column {
                        identity: true,
                        identity_range: Some("1, 1".into()),
                        mask: Some("default()".into()),
                        ..column("id", "int")
                    }],
                )
            }])
        };
        let then: Schema = serde_json::from_value(serde_json::json!({
            "formatVersion": 1,
            "tables": [{
                "name": "t",
                "columns": [{"name": "id", "type": "int", "nullable": true, "identity": true}],
                "checks": [{"name": "c", "expression": ""}]
            }]
        }))
        .unwrap();
        assert_eq!(diff(&then, &now), vec![]);
        assert_eq!(diff(&now, &then), vec![]);
        // What it did know is still compared.
        let mut other = then.clone();
        other.tables[0].columns[0].nullable = false;
        assert_eq!(diff(&other, &now).len(), 1);
        // And it is the format that makes the difference.
        assert_eq!(diff(&Schema::default(), &now).len(), 4);
    }

    #[test]
    fn the_order_of_columns_is_no_difference() {
        let from = schema(vec![table(
            "t",
            vec![column("a", "TEXT"), column("b", "INT")],
        )]);
        let to = schema(vec![table(
            "t",
            vec![column("b", "INT"), column("a", "TEXT")],
        )]);
        assert_eq!(diff(&from, &to), vec![]);
        assert_eq!(from.hash(), to.hash());
    }

    #[test]
    fn the_order_of_key_columns_is_a_difference() {
        let with_key = |columns: [&str; 2]| {
            let columns = columns.map(KeyColumn::ascending).to_vec();
            schema(vec![Table {
                primary_key: Some(PrimaryKey {
                    columns,
                    ..PrimaryKey::default()
                }),
                ..table("t", vec![column("a", ""), column("b", "")])
            }])
        };
        assert_eq!(
            diff(&with_key(["a", "b"]), &with_key(["b", "a"])),
            vec![Change {
                change: ChangeKind::Changed,
                kind: ObjectKind::PrimaryKey,
                name: "t(b, a)".into(),
                details: vec![detail("columns", Some("a, b"), Some("b, a"))],
                possible_rename: None,
            }]
        );
    }

    #[test]
    fn what_belongs_to_a_table_comes_and_goes_as_a_change_of_its_own() {
        let full = Schema {
            tables: vec![Table {
                primary_key: Some(PrimaryKey {
                    name: Some("t_pk".into()),
                    columns: vec![KeyColumn::ascending("a")],
                    ..PrimaryKey::default()
                }),
                unique: vec![Unique {
                    columns: vec![KeyColumn::ascending("a"), KeyColumn::ascending("b")],
                    ..Unique::default()
                }],
                foreign_keys: vec![ForeignKey {
                    columns: vec!["b".into()],
                    referenced_table: "u".into(),
                    referenced_columns: vec!["id".into()],
                    ..ForeignKey::default()
                }],
                checks: vec![Check {
                    expression: "a  >  0".into(),
                    ..Check::default()
                }],
                indexes: vec![Index {
                    name: "i".into(),
                    ..Index::default()
                }],
                ..table("t", vec![column("a", "INT")])
            }],
            triggers: vec![Trigger {
                name: "g".into(),
                table: "t".into(),
                text: "…".into(),
                ..Trigger::default()
            }],
            views: vec![Module {
                name: "v".into(),
                text: "…".into(),
                ..Module::default()
            }],
            procedures: vec![Module {
                name: "p".into(),
                text: "…".into(),
                ..Module::default()
            }],
            functions: vec![Module {
                name: "f".into(),
                text: "…".into(),
                ..Module::default()
            }],
            ..Schema::default()
        };
        let all = [
            (ObjectKind::Table, "t"),
            (ObjectKind::PrimaryKey, "t.t_pk"),
            (ObjectKind::Unique, "t(a, b)"),
            (ObjectKind::ForeignKey, "t(b)"),
            (ObjectKind::Check, "t(a  >  0)"),
            (ObjectKind::Index, "t.i"),
            (ObjectKind::View, "v"),
            (ObjectKind::Trigger, "t.g"),
            (ObjectKind::Procedure, "p"),
            (ObjectKind::Function, "f"),
        ];
        let expected = |change| {
            all.iter()
                .map(|(kind, name)| (change, *kind, *name))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&diff(&Schema::default(), &full)),
            expected(ChangeKind::Added)
        );
        assert_eq!(
            names(&diff(&full, &Schema::default())),
            expected(ChangeKind::Removed)
        );
    }

    #[test]
    fn the_key_of_a_table_that_gets_a_name_is_changed_and_not_replaced() {
        let with_key = |name: Option<&str>| {
            let key = PrimaryKey {
                name: name.map(str::to_owned),
                columns: vec![KeyColumn::ascending("a")],
                ..PrimaryKey::default()
            };
            schema(vec![Table {
                primary_key: Some(key),
                ..table("t", vec![])
            }])
        };
        let changes = diff(&with_key(None), &with_key(Some("pk")));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].details, vec![detail("name", None, Some("pk"))]);
        assert_eq!(
            diff(&with_key(None), &with_key(Some("sqlite_autoindex_t_1"))),
            vec![]
        );
    }

    #[test]
    fn the_order_of_included_columns_is_no_difference() {
        let including = |columns: &[&str]| {
            schema(vec![Table {
                indexes: vec![Index {
                    name: "i".into(),
                    columns: vec![KeyColumn::ascending("a")],
                    included: columns.iter().map(|&name| name.to_owned()).collect(),
                    ..Index::default()
                }],
                ..table("t", vec![])
            }])
        };
        let both = including(&["b", "c"]);
        assert_eq!(diff(&both, &including(&["c", "b"])), vec![]);
        let changes = diff(&both, &including(&["c"]));
        assert_eq!(
            changes[0].details,
            vec![detail("included", Some("b, c"), Some("c"))]
        );
        let changes = diff(&both, &including(&[]));
        assert_eq!(
            changes[0].details,
            vec![detail("included", Some("b, c"), None)]
        );
    }

    #[test]
    fn another_kind_of_index_is_a_change_of_what_it_serves() {
        let kept = |kind: Option<&str>| {
            let kind = kind.map(str::to_owned);
            schema(vec![Table {
                primary_key: Some(PrimaryKey {
                    kind: kind.clone(),
                    ..PrimaryKey::default()
                }),
                unique: vec![Unique {
                    kind: kind.clone(),
                    ..Unique::default()
                }],
                indexes: vec![Index {
                    kind,
                    ..Index::default()
                }],
                ..table("t", vec![])
            }])
        };
        let changes = diff(&kept(None), &kept(Some("CLUSTERED")));
        let kinds: Vec<ObjectKind> = changes.iter().map(|change| change.kind).collect();
        assert_eq!(
            kinds,
            [
                ObjectKind::PrimaryKey,
                ObjectKind::Unique,
                ObjectKind::Index
            ]
        );
        for change in changes {
            assert_eq!(change.details, [detail("kind", None, Some("CLUSTERED"))]);
        }
    }

    #[test]
    fn what_was_switched_off_is_changed() {
        let switched = |disabled| Schema {
            tables: vec![Table {
                primary_key: Some(PrimaryKey {
                    disabled,
                    ..PrimaryKey::default()
                }),
                unique: vec![Unique {
                    disabled,
                    ..Unique::default()
                }],
                foreign_keys: vec![ForeignKey {
                    disabled,
                    ..ForeignKey::default()
                }],
                checks: vec![Check {
                    disabled,
                    ..Check::default()
                }],
                indexes: vec![Index {
                    disabled,
                    ..Index::default()
                }],
                ..table("t", vec![])
            }],
            triggers: vec![Trigger {
                table: "t".into(),
                disabled,
                ..Trigger::default()
            }],
            ..Schema::default()
        };
        let changes = diff(&switched(false), &switched(true));
        assert_eq!(changes.len(), 6);
        for change in changes {
            assert_eq!(change.change, ChangeKind::Changed);
            assert_eq!(change.details, [detail("disabled", None, Some("yes"))]);
        }
    }

    #[test]
    fn the_settings_kept_with_a_module_are_compared() {
        let under = |ansi_nulls_off, quoted_identifier_off| {
            let settings = ModuleSettings {
                ansi_nulls_off,
                quoted_identifier_off,
            };
            Schema {
                procedures: vec![Module {
                    name: "p".into(),
                    settings: settings.clone(),
                    ..Module::default()
                }],
                triggers: vec![Trigger {
                    name: "g".into(),
                    settings,
                    ..Trigger::default()
                }],
                ..Schema::default()
            }
        };
        let changes = diff(&under(false, true), &under(true, false));
        assert_eq!(changes.len(), 2);
        for change in changes {
            assert_eq!(
                change.details,
                [
                    detail("ansi nulls off", None, Some("yes")),
                    detail("quoted identifier off", Some("yes"), None)
                ]
            );
        }
    }

    #[test]
    fn a_container_is_compared_by_its_settings() {
        let one = Container {
            name: "users".into(),
            partition_key: vec!["/id".into()],
            ..Container::default()
        };
        let mut other = one.clone();
        other.unique_keys = vec![vec!["/a".into(), "/b".into()], vec!["/c".into()]];
        other.indexing.excluded_paths = vec!["/big/*".into()];
        other.indexing.composite_indexes = vec![vec!["/a".into(), "/b DESC".into()]];
        other
            .indexing
            .other
            .insert("spatialIndexes".into(), "[]".into());
        other.default_ttl = Some(60);
        other.throughput = Some(ContainerThroughput::Manual(400));
        other
            .other
            .insert("analyticalStorageTtl".into(), "-1".into());
        let holding = |containers: Vec<Container>| Schema {
            containers,
            ..Schema::default()
        };
        let from = holding(vec![one]);
        let changes = diff(&from, &holding(vec![other.clone()]));
        assert_eq!(
            names(&changes),
            [(ChangeKind::Changed, ObjectKind::Container, "users")]
        );
        assert_eq!(
            changes[0].details,
            [
                detail("composite indexes", None, Some("(/a, /b DESC)")),
                detail("default ttl", None, Some("60 seconds")),
                detail("excluded paths", None, Some("/big/*")),
                detail("other indexes", None, Some("spatialIndexes: []")),
                detail("other settings", None, Some("analyticalStorageTtl: -1")),
                detail("throughput", None, Some("400 RU/s")),
                detail("unique keys", None, Some("(/a, /b), (/c)")),
            ]
        );
        other.default_ttl = Some(-1);
        other.throughput = Some(ContainerThroughput::AutoscaleMax(4000));
        let to = holding(vec![other]);
        let changes = diff(&from, &to);
        assert!(changes[0].details.contains(&detail(
            "default ttl",
            None,
            Some("on, without a default")
        )));
        assert!(changes[0].details.contains(&detail(
            "throughput",
            None,
            Some("autoscale up to 4000 RU/s")
        )));
        assert_ne!(from.hash(), to.hash());
        let gone = diff(&to, &Schema::default());
        assert_eq!(
            names(&gone),
            [(ChangeKind::Removed, ObjectKind::Container, "users")]
        );
    }

    #[test]
    fn an_index_of_a_view_is_a_change_of_its_own() {
        let with_indexes = |indexes: Vec<Index>| Schema {
            views: vec![Module {
                name: "v".into(),
                indexes,
                ..Module::default()
            }],
            ..Schema::default()
        };
        let index = Index {
            name: "i".into(),
            ..Index::default()
        };
        let changes = diff(&with_indexes(vec![]), &with_indexes(vec![index]));
        assert_eq!(
            names(&changes),
            [(ChangeKind::Added, ObjectKind::Index, "v.i")]
        );
    }

    #[test]
    fn two_constraints_of_one_name_are_told_apart() {
        let with_checks = |expressions: &[&str]| {
            let check = |text: &&str| Check {
                name: Some("c".into()),
                expression: (*text).into(),
                ..Check::default()
            };
            schema(vec![Table {
                checks: expressions.iter().map(check).collect(),
                ..table("t", vec![])
            }])
        };
        let changes = diff(
            &with_checks(&["a > 0", "b > 0"]),
            &with_checks(&["b > 0", "a > 1"]),
        );
        assert_eq!(
            names(&changes),
            vec![(ChangeKind::Changed, ObjectKind::Check, "t.c")]
        );
        assert_eq!(
            changes[0].details,
            vec![detail("expression", Some("a > 0"), Some("a > 1"))]
        );
        let changes = diff(&with_checks(&["a > 0", "b > 0"]), &with_checks(&["a > 0"]));
        assert_eq!(
            names(&changes),
            vec![(ChangeKind::Removed, ObjectKind::Check, "t.c")]
        );
    }

    #[test]
    fn a_change_shows_the_text_as_it_was_written() {
        let with_view = |text: &str| Schema {
            views: vec![Module {
                name: "v".into(),
                text: text.into(),
                ..Module::default()
            }],
            ..Schema::default()
        };
        let changes = diff(
            &with_view("CREATE VIEW v AS\nSELECT 1"),
            &with_view("CREATE VIEW v AS\nSELECT 2 -- two"),
        );
        let from_and_to = (
            Some("CREATE VIEW v AS\nSELECT 1"),
            Some("CREATE VIEW v AS\nSELECT 2 -- two"),
        );
        assert_eq!(
            changes[0].details,
            vec![detail("definition", from_and_to.0, from_and_to.1)]
        );
        assert_eq!(
            diff(
                &with_view("CREATE VIEW v AS\nSELECT 1"),
                &with_view("CREATE  VIEW v AS SELECT 1;")
            ),
            vec![]
        );
    }

    #[test]
    fn a_change_is_written_as_the_contract_says() {
        let change = Change {
            change: ChangeKind::Added,
            kind: ObjectKind::ForeignKey,
            name: "t(b)".into(),
            details: vec![detail("columns", None, Some("b"))],
            possible_rename: None,
        };
        assert_eq!(
            serde_json::to_value(&change).unwrap(),
            serde_json::json!({"change": "added", "kind": "foreign-key", "name": "t(b)",
                "details": [{"property": "columns", "from": null, "to": "b"}]})
        );
        for kind in [
            ObjectKind::Table,
            ObjectKind::PrimaryKey,
            ObjectKind::Function,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn ten_thousand_objects_are_compared() {
        let many = |data_type: &str| {
            let one = |number: usize| Table {
                primary_key: Some(PrimaryKey {
                    columns: vec![KeyColumn::ascending("id")],
                    ..PrimaryKey::default()
                }),
                indexes: vec![Index {
                    name: format!("i{number}"),
                    columns: vec![KeyColumn::ascending("a")],
                    ..Index::default()
                }],
                ..table(
                    &format!("t{number}"),
                    vec![column("id", "INTEGER"), column("a", data_type)],
                )
            };
            schema((0..10_000).map(one).collect())
        };
        let (from, to) = (many("TEXT"), many("VARCHAR(10)"));
        let changes = diff(&from, &to);
        assert_eq!(changes.len(), 10_000);
    }

    #[test]
    fn a_table_with_very_many_columns_is_compared() {
        let wide = |data_type: &str| {
            schema(vec![table(
                "t",
                (0..20_000)
                    .map(|number| column(&format!("c{number}"), data_type))
                    .collect(),
            )])
        };
        let (from, to) = (wide("TEXT"), wide("INT"));
        assert_eq!(diff(&from, &to)[0].details.len(), 20_000);
    }

    /// Few different names and texts, so that equal, nearly equal and differently written schemas all come up often.
    fn some_schema() -> impl Strategy<Value = Schema> {
        let name = || {
            prop::sample::select(vec!["a", "b", "a b", "sqlite_autoindex_a_1"])
                .prop_map(str::to_owned)
        };
        let text = || {
            let texts = vec![
                "a > 0", "(a  > 0)", "\"a\">0", "A > 0", "'a' -- x", "'a'", "a /*", "",
            ];
            prop::sample::select(texts).prop_map(str::to_owned)
        };
        let maybe = |strategy: BoxedStrategy<String>| prop::option::of(strategy);
        let some_column = (name(), text(), any::<bool>(), maybe(text().boxed())).prop_map(
            |(name, kind, null, default)| Column {
                name,
                data_type: kind,
                nullable: null,
                default,
                ..Column::default()
            },
        );
        let check = (maybe(name().boxed()), text()).prop_map(|(name, expression)| Check {
            name,
            expression,
            ..Check::default()
        });
        let unique = (maybe(name().boxed()), name()).prop_map(|(name, column)| Unique {
            name,
            columns: vec![KeyColumn::ascending(column)],
            ..Unique::default()
        });
        let some_table = (
            name(),
            prop::collection::vec(some_column, 0..3),
            prop::collection::vec(check, 0..3),
            prop::collection::vec(unique, 0..2),
        )
            .prop_map(|(name, mut columns, checks, unique)| {
                // No engine has two columns of one name.
                columns.sort_by(|one: &Column, other| one.name.cmp(&other.name));
                columns.dedup_by(|one, other| one.name == other.name);
                Table {
                    name,
                    columns,
                    checks,
                    unique,
                    ..Table::default()
                }
            });
        let view = (name(), text()).prop_map(|(name, text)| Module {
            name,
            text,
            ..Module::default()
        });
        (
            prop::collection::vec(some_table, 0..2),
            prop::collection::vec(view, 0..2),
        )
            .prop_map(|(tables, views)| Schema {
                tables,
                views,
                ..Schema::default()
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_hashes_are_equal_exactly_when_the_diff_is_empty(from in some_schema(), to in some_schema()) {
            prop_assert_eq!(from.hash() == to.hash(), diff(&from, &to).is_empty());
            for change in diff(&from, &to) {
                // A change must say what it is.
                prop_assert!(change.change != ChangeKind::Changed || !change.details.is_empty());
            }
        }

        #[test]
        fn the_order_of_objects_leaves_no_trace(one in some_schema()) {
            let mut other = one.clone();
            other.tables.reverse();
            other.views.reverse();
            for table in &mut other.tables {
                table.columns.reverse();
                table.checks.reverse();
                table.unique.reverse();
            }
            prop_assert_eq!(one.clone().sorted().hash(), other.sorted().hash());
        }

        #[test]
        fn the_way_back_undoes_the_way_there(from in some_schema(), to in some_schema()) {
            prop_assert_eq!(diff(&from, &to).len(), diff(&to, &from).len());
        }
    }
}
