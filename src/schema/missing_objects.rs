//! Which objects of a schema a database lacks, whatever the others look like.

use std::collections::BTreeSet;

use super::model::Schema;

/// The objects of one schema that another one lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingObjects {
    /// How many objects there should be: tables, views, procedures, functions, triggers, sequences, synonyms, types and
    /// containers.
    pub expected: usize,
    /// Kind and name of those that are not there.
    pub names: Vec<String>,
}

impl MissingObjects {
    /// Looks for the objects of `expected` in `live`.
    pub fn of(expected: &Schema, live: &Schema) -> Self {
        let present = names(live);
        let expected = names(expected);
        Self {
            expected: expected.len(),
            names: expected
                .difference(&present)
                .map(|(kind, name)| format!("{kind} {name}"))
                .collect(),
        }
    }

    /// Whether there should be objects, and all of them are missing.
    pub fn is_all(&self) -> bool {
        self.expected > 0 && self.names.len() == self.expected
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
        let missing = MissingObjects::of(&expected, &schema(&["b", "v", "c"], &[]));
        assert_eq!(missing.expected, 3);
        assert_eq!(missing.names, ["table a", "view v"]);
        assert!(!missing.is_all());
    }

    #[test]
    fn an_empty_schema_is_always_there() {
        let missing = MissingObjects::of(&Schema::default(), &schema(&["a"], &[]));
        assert_eq!(missing, MissingObjects::default());
        assert!(!missing.is_all());
        let missing = MissingObjects::of(&schema(&["a"], &[]), &Schema::default());
        assert!(missing.is_all());
    }
}
