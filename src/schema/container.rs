//! Containers of Cosmos DB, and which ways of writing their settings mean the same.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The path that the service adds to every indexing policy.
const SYSTEM_PATH: &str = "/_etag/?";

/// A container of a Cosmos DB database.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// The paths of its partition key, whose order counts.
    #[serde(default)]
    pub partition_key: Vec<String>,
    /// Sets of paths that are unique within a partition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique_keys: Vec<Vec<String>>,
    /// How its items are indexed.
    #[serde(default)]
    pub indexing: IndexingPolicy,
    /// Seconds after which items expire that say nothing about it; -1 when only those do that say so. Absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl: Option<i64>,
    /// Absent when it has none of its own, or it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<ContainerThroughput>,
    /// Its other settings by name, each a canonical JSON text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, String>,
}

/// How the items of a container are indexed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexingPolicy {
    /// `consistent` or `none`.
    pub mode: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included_paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_paths: Vec<String>,
    /// Each is a list of paths, followed by ` DESC` where the order is descending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub composite_indexes: Vec<Vec<String>>,
    /// Its other kinds of index by name, each a canonical JSON text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, String>,
}

/// How many request units a second a container may use.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ContainerThroughput {
    Manual(u64),
    /// At most so many.
    AutoscaleMax(u64),
}

impl std::fmt::Display for ContainerThroughput {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Manual(units) => write!(formatter, "{units} RU/s"),
            Self::AutoscaleMax(units) => write!(formatter, "autoscale up to {units} RU/s"),
        }
    }
}

impl Default for IndexingPolicy {
    /// What the service gives a container of which nobody says how it is indexed.
    fn default() -> Self {
        Self {
            mode: "consistent".to_owned(),
            included_paths: vec!["/*".to_owned()],
            excluded_paths: Vec::new(),
            composite_indexes: Vec::new(),
            other: BTreeMap::new(),
        }
    }
}

impl Container {
    /// Reads the service's own description of a container, in one spelling and order, without what is the same for all.
    /// Its throughput is told elsewhere.
    pub fn from_properties(properties: &Value) -> Self {
        let mut container = Self {
            name: text(&properties["id"]),
            partition_key: texts(&properties["partitionKey"]["paths"])
                .map(|path| path_without_quotes(&path))
                .collect(),
            unique_keys: list(&properties["uniqueKeyPolicy"]["uniqueKeys"])
                .map(|key| sorted(texts(&key["paths"]).map(|path| path_without_quotes(&path))))
                .collect(),
            indexing: IndexingPolicy::from_properties(&properties["indexingPolicy"]),
            default_ttl: properties["defaultTtl"].as_i64(),
            throughput: None,
            other: BTreeMap::new(),
        };
        container.unique_keys.sort();
        for (name, value) in properties.as_object().into_iter().flatten() {
            let is_known = matches!(
                name.as_str(),
                "id" | "partitionKey"
                    | "uniqueKeyPolicy"
                    | "indexingPolicy"
                    | "defaultTtl"
                    // Names of the service's own.
                    | "statistics"
                    | "partitionKeyRangeStatistics"
            );
            if !is_known && !name.starts_with('_') && !is_usual(name, value) {
                container.other.insert(name.clone(), canonical(value));
            }
        }
        container
    }
}

impl IndexingPolicy {
    /// Reads the service's own description of a policy, in one spelling and order.
    pub fn from_properties(policy: &Value) -> Self {
        let Some(fields) = policy.as_object() else {
            return Self::default();
        };
        let paths = |name: &str| {
            sorted(
                list(&policy[name])
                    .map(|entry| path_without_quotes(&text(&entry["path"])))
                    .filter(|path| path != SYSTEM_PATH),
            )
        };
        let mode = match policy["indexingMode"].as_str() {
            Some(mode) => mode.to_ascii_lowercase(),
            None => "consistent".to_owned(),
        };
        let mut read = Self {
            included_paths: paths("includedPaths"),
            excluded_paths: paths("excludedPaths"),
            composite_indexes: list(&policy["compositeIndexes"])
                .map(|index| list(index).map(composite_member).collect())
                .collect(),
            mode,
            other: BTreeMap::new(),
        };
        read.composite_indexes.sort();
        if read.mode == "consistent" && read.excluded_paths.iter().all(|path| path != "/*") {
            // Who names no path at all leaves it to the service, which indexes everything.
            if read.included_paths.is_empty() {
                read.included_paths.push("/*".to_owned());
            }
        }
        for (name, value) in fields {
            let is_known = matches!(
                name.as_str(),
                "indexingMode"
                    | "automatic"
                    | "includedPaths"
                    | "excludedPaths"
                    | "compositeIndexes"
            );
            let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            if !is_known && !is_empty {
                read.other
                    .insert(name.clone(), canonical(&unordered(value)));
            }
        }
        read
    }
}

/// A setting with the value that the service gives to every container of which nobody says otherwise.
fn is_usual(name: &str, value: &Value) -> bool {
    match name {
        "conflictResolutionPolicy" => {
            let procedure = value["conflictResolutionProcedure"].as_str();
            value["mode"] == "LastWriterWins"
                && matches!(
                    value["conflictResolutionPath"].as_str(),
                    None | Some("/_ts")
                )
                && matches!(procedure, None | Some(""))
        }
        "geospatialConfig" => value["type"] == "Geography",
        "changeFeedPolicy" => {
            matches!(value["retentionDuration"].as_i64(), None | Some(0))
        }
        _ => value.is_null() || value.as_array().is_some_and(Vec::is_empty),
    }
}

/// `/"name"/?` where the quotes are not needed is `/name/?`.
fn path_without_quotes(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let inner = segment
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .filter(|inner| !inner.is_empty());
        let is_plain = |inner: &&str| {
            inner
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        inner.filter(is_plain).unwrap_or(segment)
    });
    segments.collect::<Vec<_>>().join("/")
}

fn composite_member(member: &Value) -> String {
    let path = path_without_quotes(&text(&member["path"]));
    match member["order"].as_str() {
        Some(order) if order.eq_ignore_ascii_case("descending") => format!("{path} DESC"),
        _ => path,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> impl Iterator<Item = String> {
    list(value).map(text)
}

fn sorted(paths: impl Iterator<Item = String>) -> Vec<String> {
    let mut sorted: Vec<String> = paths.collect();
    sorted.sort();
    sorted.dedup();
    sorted
}

/// The same with the entries of its lists in one order: of indexes and their types the order means nothing.
fn unordered(value: &Value) -> Value {
    match value {
        Value::Array(entries) => {
            let mut entries: Vec<Value> = entries.iter().map(unordered).collect();
            entries.sort_by_cached_key(canonical);
            Value::Array(entries)
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), unordered(value)))
            .collect(),
        other => other.clone(),
    }
}

fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_is_read_without_what_is_the_same_for_all() {
        let plain = json!({"id": "users", "partitionKey": {"paths": ["/id"], "kind": "Hash", "version": 2}});
        let told = json!({
            "id": "users", "_rid": "x", "_ts": 1, "_self": "y", "_etag": "z", "_docs": "docs/", "_conflicts": "conflicts/",
            "partitionKey": {"paths": ["/\"id\""], "kind": "Hash", "version": 2},
            "indexingPolicy": {"indexingMode": "Consistent", "automatic": true, "includedPaths": [{"path": "/*"}],
                "excludedPaths": [{"path": "/\"_etag\"/?"}], "compositeIndexes": []},
            "uniqueKeyPolicy": {"uniqueKeys": []}, "defaultTtl": null,
            "conflictResolutionPolicy": {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts", "conflictResolutionProcedure": ""},
            "geospatialConfig": {"type": "Geography"}, "computedProperties": [], "changeFeedPolicy": {"retentionDuration": 0}
        });
        let read = Container::from_properties(&plain);
        assert_eq!(read, Container::from_properties(&told));
        assert_eq!(
            read,
            Container {
                name: "users".to_owned(),
                partition_key: vec!["/id".to_owned()],
                ..Container::default()
            }
        );
    }

    #[test]
    fn the_order_of_paths_and_indexes_means_nothing() {
        let one = json!({"id": "c", "partitionKey": {"paths": ["/a", "/b"]},
            "uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/a", "/b"]}, {"paths": ["/c"]}]},
            "indexingPolicy": {"includedPaths": [{"path": "/a/?"}, {"path": "/b/?"}], "excludedPaths": [{"path": "/*"}],
                "compositeIndexes": [[{"path": "/a", "order": "ascending"}, {"path": "/b", "order": "descending"}],
                                     [{"path": "/c"}, {"path": "/d"}]],
                "spatialIndexes": [{"path": "/p/*", "types": ["Point", "Polygon"]}]}});
        let other = json!({"id": "c", "partitionKey": {"paths": ["/a", "/b"]},
            "uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/c"]}, {"paths": ["/b", "/a"]}]},
            "indexingPolicy": {"includedPaths": [{"path": "/b/?"}, {"path": "/\"a\"/?"}], "excludedPaths": [{"path": "/*"}],
                "compositeIndexes": [[{"path": "/c", "order": "ascending"}, {"path": "/d"}],
                                     [{"path": "/a"}, {"path": "/b", "order": "descending"}]],
                "spatialIndexes": [{"types": ["Polygon", "Point"], "path": "/p/*"}]}});
        let read = Container::from_properties(&one);
        assert_eq!(read, Container::from_properties(&other));
        assert_eq!(read.indexing.composite_indexes[0], ["/a", "/b DESC"]);
        let mut turned = one.clone();
        turned["partitionKey"]["paths"] = json!(["/b", "/a"]);
        assert_ne!(read, Container::from_properties(&turned));
        let mut turned = one;
        turned["indexingPolicy"]["compositeIndexes"][1] = json!([{"path": "/d"}, {"path": "/c"}]);
        assert_ne!(read, Container::from_properties(&turned));
    }

    #[test]
    fn what_dbvc_does_not_know_is_kept_as_it_is() {
        let told = json!({"id": "c", "analyticalStorageTtl": -1, "conflictResolutionPolicy": {"mode": "Custom"},
            "indexingPolicy": {"vectorIndexes": [{"type": "flat", "path": "/v"}]}});
        let read = Container::from_properties(&told);
        assert_eq!(read.other["analyticalStorageTtl"], "-1");
        assert_eq!(
            read.other["conflictResolutionPolicy"],
            r#"{"mode":"Custom"}"#
        );
        assert_eq!(
            read.indexing.other["vectorIndexes"],
            r#"[{"path":"/v","type":"flat"}]"#
        );
    }

    #[test]
    fn quotes_stay_where_they_are_needed() {
        for (written, read) in [
            ("/\"_etag\"/?", "/_etag/?"),
            ("/\"a b\"/?", "/\"a b\"/?"),
            ("/\"\"/?", "/\"\"/?"),
            ("/a/[]/\"b\"/*", "/a/[]/b/*"),
        ] {
            assert_eq!(path_without_quotes(written), read);
        }
    }

    proptest! {
        #[test]
        fn no_description_makes_reading_panic(id in any::<i64>(), ttl in any::<f64>(), path in "\\PC{0,6}") {
            let told = json!({"id": id, "defaultTtl": ttl, "partitionKey": [path], "indexingPolicy": {"includedPaths": path,
                "excludedPaths": [path], "compositeIndexes": [[path], path], "x": [{"a": ttl}]}, "uniqueKeyPolicy": path});
            let _ = Container::from_properties(&told);
            let _ = path_without_quotes(&path);
        }
    }
}
