//! Which objects of a schema another one has at all, whatever they look like there.

use std::collections::BTreeSet;

use super::model::Schema;

/// Whether the objects of one schema are in another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// How many objects there should be: tables, views, procedures, functions, triggers, sequences, synonyms, types and
    /// containers.
    pub expected: usize,
    /// Those that are not there: kind and name.
    pub missing: Vec<String>,
}

impl Presence {
    /// Looks for the objects of `expected` in `live`.
    pub fn of(expected: &Schema, live: &Schema) -> Self {
        let present = names(live);
        let expected = names(expected);
        Self {
            expected: expected.len(),
            missing: expected
                .difference(&present)
                .map(|(kind, name)| format!("{kind} {name}"))
                .collect(),
        }
    }

    /// Whether there should be objects, and none is there.
    pub fn is_none_there(&self) -> bool {
        self.expected > 0 && self.missing.len() == self.expected
    }
}

fn names(schema: &Schema) -> BTreeSet<(&'static str, &str)> {
    let mut names = BTreeSet::new();
    names.extend(schema.tables.iter().map(|it| ("table", it.name.as_str())));
    names.extend(schema.views.iter().map(|it| ("view", it.name.as_str())));
    names.extend(
        schema
            .procedures
            .iter()
            .map(|it| ("procedure", it.name.as_str())),
    );
    names.extend(
        schema
            .functions
            .iter()
            .map(|it| ("function", it.name.as_str())),
    );
    names.extend(
        schema
            .triggers
            .iter()
            .map(|it| ("trigger", it.name.as_str())),
    );
    names.extend(
        schema
            .sequences
            .iter()
            .map(|it| ("sequence", it.name.as_str())),
    );
    names.extend(
        schema
            .synonyms
            .iter()
            .map(|it| ("synonym", it.name.as_str())),
    );
    names.extend(schema.types.iter().map(|it| ("type", it.name.as_str())));
    names.extend(
        schema
            .containers
            .iter()
            .map(|it| ("container", it.name.as_str())),
    );
    names
}

#[cfg(test)]
mod tests {
    use super::super::model::{Module, Table};
    use super::*;

    fn table(name: &str) -> Table {
        Table {
            name: name.to_owned(),
            ..Table::default()
        }
    }

    fn schema(tables: &[&str], views: &[&str]) -> Schema {
        Schema {
            tables: tables.iter().map(|name| table(name)).collect(),
            views: views
                .iter()
                .map(|name| Module {
                    name: (*name).to_owned(),
                    ..Module::default()
                })
                .collect(),
            ..Schema::default()
        }
    }

    #[test]
    fn names_what_is_missing_by_kind_and_leaves_aside_what_is_more() {
        let expected = schema(&["a", "b"], &["v"]);
        let presence = Presence::of(&expected, &schema(&["b", "v", "c"], &[]));
        assert_eq!(presence.expected, 3);
        assert_eq!(presence.missing, ["table a", "view v"]);
        assert!(!presence.is_none_there());
    }

    #[test]
    fn an_empty_schema_is_always_there() {
        let presence = Presence::of(&Schema::default(), &schema(&["a"], &[]));
        assert_eq!(presence, Presence::default());
        assert!(!presence.is_none_there());
        let presence = Presence::of(&schema(&["a"], &[]), &Schema::default());
        assert!(presence.is_none_there());
    }
}
