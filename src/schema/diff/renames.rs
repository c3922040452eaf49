//! Which of the removed and added objects may be one that was renamed.
//!
//! Two are suggested as a pair when they are the same in all that is compared but the name, and no other one on either side is.
//! A name in a text (`CREATE VIEW old AS …`) is looked past, and what belongs to a table that may have been renamed is
//! compared as if it had been.

use std::collections::{BTreeMap, HashMap};

use crate::schema::facts::{Aspects, Key, Part};
use crate::schema::lexer::tokens;
use crate::schema::model::ObjectKind;

/// The objects that only one side has.
#[derive(Default)]
pub(super) struct Lone {
    went: Vec<One>,
    came: Vec<One>,
}

struct One {
    kind: ObjectKind,
    /// The table, of what belongs to one.
    owner: Option<String>,
    aspects: Aspects,
    name: String,
    /// Its own name within the table, if it has one.
    part: Option<String>,
    /// Where it stands among the changes.
    place: usize,
}

impl One {
    fn of(key: &Key, mut aspects: Aspects, name: &str, place: usize) -> Self {
        let (owner, part) = match &key.part {
            // The key of a table is no thing of its own.
            Part::Only if key.kind != ObjectKind::PrimaryKey => (None, None),
            Part::Only | Part::Unnamed(_) => (Some(key.owner.clone()), None),
            Part::Named(part) => (Some(key.owner.clone()), Some(part.clone())),
        };
        let own_name = part.as_deref().unwrap_or(&key.owner);
        if let Some(text) = aspects.own.get_mut("definition") {
            *text = without_name(text, own_name);
        }
        Self {
            kind: key.kind,
            owner,
            aspects,
            name: name.to_owned(),
            part,
            place,
        }
    }

    /// Whether it says enough about itself to be known by it.
    fn is_telling(&self) -> bool {
        let says_something = !self.aspects.own.is_empty() || !self.aspects.columns.is_empty();
        let all_look_alike = matches!(
            self.kind,
            ObjectKind::RoleMember | ObjectKind::Permission | ObjectKind::Schema
        );
        says_something && !all_look_alike
    }
}

impl Lone {
    pub fn went(&mut self, key: &Key, aspects: Aspects, name: &str, place: usize) {
        self.went.push(One::of(key, aspects, name, place));
    }

    pub fn came(&mut self, key: &Key, aspects: Aspects, name: &str, place: usize) {
        self.came.push(One::of(key, aspects, name, place));
    }

    /// The place of each that has a counterpart, and the counterpart's name.
    pub fn pairs(&self) -> Vec<(usize, String)> {
        let tables = matched(&self.went, &self.came, |one| {
            one.owner
                .is_none()
                .then_some((one.kind, None, &one.aspects, None))
        });
        let new_names: HashMap<&str, &str> = tables
            .iter()
            .filter(|(went, _)| went.kind == ObjectKind::Table)
            .map(|(went, came)| (went.name.as_str(), came.name.as_str()))
            .collect();
        // Of a renamed table everything keeps its own name; within a table it is the name that may be another one.
        let moved = matched(&self.went, &self.came, |one| {
            let owner = one.owner.as_deref()?;
            let owner = new_names.get(owner).copied().unwrap_or(owner);
            Some((one.kind, Some(owner), &one.aspects, one.part.as_deref()))
        });
        let renamed = matched(&self.went, &self.came, |one| {
            let owner = one.owner.as_deref()?;
            one.part.as_ref()?;
            Some((one.kind, Some(owner), &one.aspects, None))
        });
        let all = tables.into_iter().chain(moved).chain(renamed);
        all.flat_map(|(went, came)| {
            [
                (went.place, came.name.clone()),
                (came.place, went.name.clone()),
            ]
        })
        .collect()
    }
}

type Likeness<'a> = (ObjectKind, Option<&'a str>, &'a Aspects, Option<&'a str>);

/// The pairs that are alike while nothing else on either side is.
fn matched<'a>(
    went: &'a [One],
    came: &'a [One],
    likeness: impl Fn(&'a One) -> Option<Likeness<'a>>,
) -> Vec<(&'a One, &'a One)> {
    let mut alike: BTreeMap<Likeness<'a>, (Vec<&One>, Vec<&One>)> = BTreeMap::new();
    for one in went.iter().filter(|one| one.is_telling()) {
        if let Some(likeness) = likeness(one) {
            alike.entry(likeness).or_default().0.push(one);
        }
    }
    for one in came.iter().filter(|one| one.is_telling()) {
        if let Some(likeness) = likeness(one) {
            alike.entry(likeness).or_default().1.push(one);
        }
    }
    let pairs = alike.into_values().filter_map(|sides| match sides {
        (went, came) if went.len() == 1 && came.len() == 1 => Some((went[0], came[0])),
        _ => None,
    });
    pairs.collect()
}

/// A text without the places where it names the object itself, with or without its schema.
fn without_name(text: &str, name: &str) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let name = last(name);
    let words = tokens(text).into_iter().map(|token| {
        if token.name().to_lowercase() == name {
            "\u{0}".to_owned()
        } else {
            token.text.to_owned()
        }
    });
    words.collect()
}

/// Of columns that only one side has, the counterpart of each that has just one of the same definition.
pub(super) fn of_columns<'a>(
    before: &'a BTreeMap<String, BTreeMap<&'static str, String>>,
    after: &'a BTreeMap<String, BTreeMap<&'static str, String>>,
) -> HashMap<&'a str, &'a str> {
    let mut alike: BTreeMap<_, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for (name, aspects) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        alike.entry(aspects).or_default().0.push(name);
    }
    for (name, aspects) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        alike.entry(aspects).or_default().1.push(name);
    }
    let mut counterparts = HashMap::new();
    for (went, came) in alike.into_values() {
        if let ([went], [came]) = (went.as_slice(), came.as_slice()) {
            counterparts.insert(*went, *came);
            counterparts.insert(*came, *went);
        }
    }
    counterparts
}

#[cfg(test)]
mod tests {
    use crate::schema::diff::diff;
    use crate::schema::model::*;

    fn column(name: &str, data_type: &str) -> Column {
        Column {
            name: name.into(),
            data_type: data_type.into(),
            ..Column::default()
        }
    }

    fn table(name: &str, columns: &[&str]) -> Table {
        Table {
            name: name.into(),
            columns: columns.iter().map(|name| column(name, "int")).collect(),
            primary_key: Some(PrimaryKey {
                columns: vec![KeyColumn::ascending(columns[0])],
                ..PrimaryKey::default()
            }),
            indexes: vec![Index {
                name: "by_first".into(),
                columns: vec![KeyColumn::ascending(columns[0])],
                ..Index::default()
            }],
            ..Table::default()
        }
    }

    fn schema(tables: Vec<Table>) -> Schema {
        Schema {
            tables,
            ..Schema::default()
        }
    }

    fn suggested(from: &Schema, to: &Schema) -> Vec<(String, String)> {
        let changes = diff(from, to).into_iter();
        changes
            .filter_map(|change| Some((change.name, change.possible_rename?)))
            .collect()
    }

    #[test]
    fn a_renamed_table_is_suggested_with_all_that_belongs_to_it_and_still_removed_and_added() {
        let from = schema(vec![table("dbo.old", &["a", "b"])]);
        let to = schema(vec![table("dbo.new", &["a", "b"])]);
        assert_eq!(diff(&from, &to).len(), 6);
        let pairs = [
            ("dbo.new", "dbo.old"),
            ("dbo.old", "dbo.new"),
            ("dbo.new(a)", "dbo.old(a)"),
            ("dbo.old(a)", "dbo.new(a)"),
            ("dbo.new.by_first", "dbo.old.by_first"),
            ("dbo.old.by_first", "dbo.new.by_first"),
        ];
        let pairs = pairs.map(|(one, other)| (one.to_owned(), other.to_owned()));
        assert_eq!(suggested(&from, &to), pairs);
    }

    #[test]
    fn where_two_could_be_meant_none_is_suggested() {
        let from = schema(vec![table("dbo.old", &["a", "b"])]);
        let to = schema(vec![
            table("dbo.new", &["a", "b"]),
            table("dbo.newer", &["a", "b"]),
        ]);
        assert_eq!(suggested(&from, &to), []);
    }

    #[test]
    fn another_column_is_another_table() {
        let from = schema(vec![table("dbo.old", &["a", "b"])]);
        let to = schema(vec![table("dbo.new", &["a", "c"])]);
        assert_eq!(suggested(&from, &to), []);
    }

    #[test]
    fn a_renamed_index_and_view_are_suggested() {
        let mut from = schema(vec![table("t", &["a"])]);
        let mut to = from.clone();
        to.tables[0].indexes[0].name = "by_a".into();
        let view = |name: &str, condition: &str| Module {
            name: format!("dbo.{name}"),
            text: format!("CREATE VIEW dbo.[{name}] AS SELECT a FROM t WHERE {condition}"),
            ..Module::default()
        };
        from.views = vec![view("first", "a > 1")];
        to.views = vec![view("second", "a > 1")];
        let pairs = [
            ("t.by_a", "t.by_first"),
            ("t.by_first", "t.by_a"),
            ("dbo.first", "dbo.second"),
            ("dbo.second", "dbo.first"),
        ];
        let pairs = pairs.map(|(one, other)| (one.to_owned(), other.to_owned()));
        assert_eq!(suggested(&from, &to), pairs);
        to.views = vec![view("second", "a > 2")];
        assert_eq!(suggested(&from, &to).len(), 2);
    }

    #[test]
    fn a_renamed_column_is_suggested_and_still_removed_and_added() {
        let with = |columns: Vec<Column>| {
            schema(vec![Table {
                name: "t".into(),
                columns,
                ..Table::default()
            }])
        };
        let from = with(vec![column("id", "int"), column("name", "text")]);
        let to = with(vec![column("id", "int"), column("title", "text")]);
        let details = |to: &Schema| {
            let changes = diff(&from, to)
                .into_iter()
                .flat_map(|change| change.details);
            changes
                .map(|detail| (detail.property, detail.possible_rename))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            details(&to),
            [
                ("column title".to_owned(), Some("name".to_owned())),
                ("column name".to_owned(), Some("title".to_owned())),
            ]
        );
        let two = with(vec![
            column("id", "int"),
            column("title", "text"),
            column("label", "text"),
        ]);
        assert!(details(&two).iter().all(|(_, rename)| rename.is_none()));
    }
}
