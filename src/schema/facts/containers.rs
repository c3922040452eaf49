//! The facts of a container of Cosmos DB.

use std::collections::BTreeMap;

use super::{Facts, Object, Value};
use crate::schema::container::Container;
use crate::schema::model::ObjectKind;

/// A container was read in one spelling and order, so that what is shown is what is compared.
pub(super) fn add_container(facts: &mut Facts<'_>, container: &Container) {
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
        .add_to(facts);
}
