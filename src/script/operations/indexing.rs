//! Indexing policies, in Cosmos DB's own form, so that one can be copied from the portal.

use serde_json::Value;

use super::fields::{Fields, Reading};
use super::json::{Kind, Node};

const MODES: [&str; 2] = ["consistent", "none"];
const ORDERS: [&str; 2] = ["ascending", "descending"];
const SPATIAL_TYPES: [&str; 4] = ["Point", "LineString", "Polygon", "MultiPolygon"];
const VECTOR_INDEXES: [&str; 3] = ["flat", "quantizedFlat", "diskANN"];

/// Reads a policy. Gives it as it was written.
pub(super) fn read(node: &Node<'_>, reading: &mut Reading) -> Option<Value> {
    let before = reading.faults.len();
    let mut fields = Fields::of(node, "indexingPolicy", reading)?;
    let mode = fields
        .optional("indexingMode")
        .and_then(|node| reading.one_of("indexingMode", &MODES, node));
    let automatic = fields
        .optional("automatic")
        .and_then(|node| reading.truth("automatic", node));
    let included = fields.optional("includedPaths");
    let excluded = fields.optional("excludedPaths");
    let mut paths = Vec::new();
    for (field, node) in [("includedPaths", included), ("excludedPaths", excluded)] {
        if let Some(node) = node {
            paths.extend(index_paths(field, node, reading));
        }
    }
    if let Some(node) = fields.optional("compositeIndexes") {
        composite_indexes(node, reading);
    }
    if let Some(node) = fields.optional("spatialIndexes") {
        each(node, "spatialIndexes", reading, |fields, reading| {
            required_path(fields, "path", reading);
            if let Some(types) = fields.required("types", reading)
                && let Some(types) = reading.list("types", types)
            {
                for node in types {
                    reading.one_of("types", &SPATIAL_TYPES, node);
                }
            }
        });
    }
    if let Some(node) = fields.optional("vectorIndexes") {
        each(node, "vectorIndexes", reading, |fields, reading| {
            required_path(fields, "path", reading);
            if let Some(kind) = fields.required("type", reading) {
                reading.one_of("type", &VECTOR_INDEXES, kind);
            }
        });
    }
    if let Some(node) = fields.optional("fullTextIndexes") {
        each(node, "fullTextIndexes", reading, |fields, reading| {
            required_path(fields, "path", reading);
        });
    }
    fields.finish(reading);
    if mode == Some("none") {
        if automatic == Some(true) || !paths.is_empty() {
            reading.fault(
                node.place,
                "indexingMode none goes with automatic false and without paths",
            );
        }
    } else if automatic == Some(false) {
        reading.fault(
            node.place,
            "automatic false goes with indexingMode none; leave it out, or set it to true",
        );
    } else if !paths.is_empty() && paths.iter().filter(|path| *path == "/*").count() != 1 {
        reading.fault(
            node.place,
            "one of includedPaths and excludedPaths must have the path /*, which says what becomes of all others",
        );
    }
    (reading.faults.len() == before).then(|| completed(node))
}

/// The policy with the two settings that Cosmos DB's clients take for off when they are missing.
fn completed(node: &Node<'_>) -> Value {
    let mut policy = node.value();
    let is_off = policy["indexingMode"] == "none";
    if let Some(fields) = policy.as_object_mut() {
        fields
            .entry("indexingMode")
            .or_insert_with(|| "consistent".into());
        fields
            .entry("automatic")
            .or_insert_with(|| (!is_off).into());
    }
    policy
}

fn each<'n, 'a>(
    node: &'n Node<'a>,
    field: &'static str,
    reading: &mut Reading,
    mut read: impl FnMut(&mut Fields<'n, 'a>, &mut Reading),
) {
    for entry in reading.list(field, node).unwrap_or_default() {
        if let Some(mut fields) = Fields::of(entry, field, reading) {
            read(&mut fields, reading);
            fields.finish(reading);
        }
    }
}

fn required_path(fields: &mut Fields<'_, '_>, name: &'static str, reading: &mut Reading) {
    if let Some(node) = fields.required(name, reading)
        && let Some(path) = reading.text(name, node)
        && !(path.starts_with('/') && path.len() > 1)
    {
        reading.fault(node.place, "path must begin with /, such as /location/*");
    }
}

/// `[{"path": "/*"}, …]`: each ends in `/*` or `/?`.
fn index_paths(field: &'static str, node: &Node<'_>, reading: &mut Reading) -> Vec<String> {
    let mut found = Vec::new();
    each(node, field, reading, |fields, reading| {
        let Some(node) = fields.required("path", reading) else {
            return;
        };
        let Some(path) = reading.text("path", node) else {
            return;
        };
        if path.starts_with('/') && (path.ends_with("/*") || path.ends_with("/?")) {
            found.push(path.to_owned());
        } else {
            reading.fault(
                node.place,
                "path must begin with / and end in /? (this property) or /* (all below it), such as /name/?",
            );
        }
    });
    found
}

/// `[[{"path": "/a", "order": "ascending"}, …], …]`: each has at least two paths.
fn composite_indexes(node: &Node<'_>, reading: &mut Reading) {
    for index in reading.list("compositeIndexes", node).unwrap_or_default() {
        match &index.kind {
            Kind::List(nodes) if nodes.len() > 1 => {
                each(index, "compositeIndexes", reading, |fields, reading| {
                    if let Some(path) = fields.required("path", reading) {
                        reading.property_path("path", path);
                    }
                    if let Some(order) = fields.required("order", reading) {
                        reading.one_of("order", &ORDERS, order);
                    }
                });
            }
            _ => reading.fault(
                index.place,
                "each of compositeIndexes must be a list of at least two objects with path and order",
            ),
        }
    }
}
