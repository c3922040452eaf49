//! Performing operations, each of which can be sent again: it says what is to be, and finds out whether it is so already.

use std::collections::HashMap;
use std::time::Duration;

use azure_core::http::headers::{HeaderName, HeaderValue};
use azure_data_cosmos::models::{ContainerProperties, ThroughputProperties};
use azure_data_cosmos::options::{
    CreateContainerOptions, OperationOptionsBuilder, ReplaceContainerOptions,
};
use azure_data_cosmos::{ContainerClient, FeedScope, PartitionKey};
use azure_data_cosmos_driver::models::PartitionKeyValue;
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::client::CosmosHandle;
use super::containers::{description, throughput};
use super::fault::{CosmosFault, FaultKind};
use crate::schema::{Container, ContainerThroughput, IndexingPolicy, Schema, diff};
use crate::script::operations::{DefaultTtl, NewContainer, Operation, Throughput};

/// How often a container's settings are read anew because somebody else changed them at the same time.
const ATTEMPTS: u32 = 3;

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The HTTP status; 0 for what dbvc itself refuses.
    pub number: i64,
    /// The service's sub-status.
    pub state: i64,
    /// The service's words, or dbvc's.
    pub message: String,
    /// Whether it is known that nothing was changed.
    pub left_nothing: bool,
    /// What the service's answer comes to.
    pub kind: Option<FaultKind>,
}

impl Failure {
    /// Something that dbvc sees for itself, before anything is sent.
    pub fn own<T: ToString>(reasons: &[T]) -> Self {
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        Self {
            number: 0,
            state: 1,
            message: reasons.join("; "),
            left_nothing: true,
            kind: None,
        }
    }

    /// An operation that was given up.
    pub fn too_late(limit: Duration) -> Self {
        Self {
            number: 408,
            state: 1,
            message: format!(
                "the operation took longer than {} s, which DBVC_STATEMENT_TIMEOUT allows; the next run sends it again",
                limit.as_secs()
            ),
            left_nothing: false,
            kind: Some(FaultKind::Unavailable),
        }
    }
}

impl From<CosmosFault> for Failure {
    fn from(fault: CosmosFault) -> Self {
        let (number, state) = match fault.status.split_once('/') {
            Some((status, sub)) => (status.parse().unwrap_or(0), sub.parse().unwrap_or(1)),
            None => (fault.status.parse().unwrap_or(0), 1),
        };
        Self {
            number,
            state,
            // Who is throttled is told so before anything is done.
            left_nothing: fault.kind != FaultKind::Unavailable || number == 429,
            message: fault.message,
            kind: Some(fault.kind),
        }
    }
}

impl From<azure_data_cosmos::CosmosError> for Failure {
    fn from(error: azure_data_cosmos::CosmosError) -> Self {
        CosmosFault::from(error).into()
    }
}

/// How many items were changed, and what else there is to say.
pub(super) type Done = (u64, Option<String>);

fn as_it_is(words: &str) -> Result<Done, Failure> {
    Ok((0, Some(words.to_owned())))
}

/// A container as it is now.
struct Found {
    client: ContainerClient,
    /// Its description by the service.
    described: Value,
}

/// Performs operations on a database.
pub(super) struct Performer<'a> {
    handle: &'a CosmosHandle,
}

impl<'a> Performer<'a> {
    pub fn new(handle: &'a CosmosHandle) -> Self {
        Self { handle }
    }

    pub async fn perform(&self, operation: &Operation) -> Result<Done, Failure> {
        if operation.needs_key() && !self.handle.has_key() {
            // The engine has refused it before; this is for whoever comes here without it.
            return Err(Failure::own(&[
                "Cosmos DB lets nobody change containers without the key of the account",
            ]));
        }
        match operation {
            Operation::CreateContainer(new) => self.create(new).await,
            Operation::DeleteContainer {
                container,
                allow_data_loss,
            } => self.delete(container, *allow_data_loss).await,
            Operation::ReplaceIndexingPolicy { container, policy } => {
                self.change(container, "indexingPolicy", Some(policy.clone()))
                    .await
            }
            Operation::SetDefaultTtl { container, ttl } => {
                self.change(container, "defaultTtl", ttl_value(*ttl)).await
            }
            Operation::SetThroughput {
                container,
                throughput,
            } => self.set_throughput(container, *throughput).await,
            Operation::UpsertItem {
                container,
                id,
                item,
            } => self.upsert(container, id, item).await,
            Operation::DeleteItem {
                container,
                id,
                partition_key,
            } => self.delete_item(container, id, partition_key).await,
        }
    }

    /// A container; none when there is no such container. The service is asked each time: another process may have removed
    /// one that this process has met, and the driver would not know.
    async fn find(&self, container: &str) -> Result<Option<Found>, Failure> {
        let looked = async {
            let client = self.handle.container(container).await?;
            let described = description(&client).await?;
            Ok::<_, CosmosFault>(Found { client, described })
        };
        match looked.await {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.kind == FaultKind::NotFound => {
                self.handle.forget_container(container).await;
                self.database_is_there().await?;
                Ok(None)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Where there is no database, every container is answered to be missing.
    async fn database_is_there(&self) -> Result<(), Failure> {
        let read = self.handle.database().await?.read(None).await;
        read.map(|_| ()).map_err(|error| {
            let mut failure = Failure::from(error);
            if failure.kind == Some(FaultKind::NotFound) {
                failure.message = format!(
                    "the account has no database {}; make it, or correct the inventory",
                    self.handle.name()
                );
            }
            failure
        })
    }

    async fn existing(&self, container: &str) -> Result<Found, Failure> {
        self.find(container).await?.ok_or_else(|| Failure {
            number: 404,
            state: 1,
            message: format!("there is no container {container}"),
            left_nothing: true,
            kind: Some(FaultKind::NotFound),
        })
    }

    async fn create(&self, new: &NewContainer) -> Result<Done, Failure> {
        let wanted = properties(new);
        let mut options = CreateContainerOptions::default();
        if let Some(throughput) = new.throughput {
            options = options.with_throughput(offer(throughput));
        }
        let database = self.handle.database().await?;
        let created = database
            .create_container(typed(&wanted)?, Some(options))
            .await
            .map_err(CosmosFault::from);
        // Should there have been another of the name.
        self.handle.forget_container(&new.container).await;
        match created {
            Ok(_) => Ok((0, None)),
            Err(fault) if fault.kind == FaultKind::Conflict => self.compare(new, &wanted).await,
            Err(fault) => Err(fault.into()),
        }
    }

    /// Whether a container that is there is the one that is wanted.
    async fn compare(&self, new: &NewContainer, wanted: &Value) -> Result<Done, Failure> {
        let Found { client, described } = self.existing(&new.container).await?;
        let mut found = Container::from_properties(&described);
        let mut wanted = Container::from_properties(wanted);
        // Who says nothing about throughput gets what the service gives.
        if let Some(asked) = new.throughput {
            wanted.throughput = Some(told(asked));
            found.throughput = throughput(&client).await?;
        }
        let holding = |container: Container| Schema {
            containers: vec![container],
            ..Schema::default()
        };
        let changes = diff(&holding(wanted), &holding(found));
        let differences: Vec<String> = changes
            .iter()
            .flat_map(|change| &change.details)
            .map(|detail| {
                let side =
                    |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
                format!(
                    "{} is {} and not {}",
                    detail.property,
                    side(&detail.to),
                    side(&detail.from)
                )
            })
            .collect();
        if differences.is_empty() {
            return as_it_is("the container was there already, with these settings");
        }
        Err(Failure {
            number: 409,
            state: 1,
            message: format!(
                "the container {} is there already with other settings: {}",
                new.container,
                differences.join("; ")
            ),
            left_nothing: true,
            kind: Some(FaultKind::Conflict),
        })
    }

    async fn delete(&self, container: &str, allow_data_loss: bool) -> Result<Done, Failure> {
        const GONE: &str = "there was no such container";
        let Some(Found { client, .. }) = self.find(container).await? else {
            return as_it_is(GONE);
        };
        if !allow_data_loss && holds_items(&client).await? {
            return Err(Failure::own(&[format!(
                "the container {container} holds items; add \"allowDataLoss\": true to remove it with them"
            )]));
        }
        let deleted = client.delete(None).await.map_err(CosmosFault::from);
        self.handle.forget_container(container).await;
        match deleted {
            Ok(_) => Ok((0, None)),
            Err(fault) if fault.kind == FaultKind::NotFound => as_it_is(GONE),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Gives one setting of a container another value, and keeps all others.
    async fn change(
        &self,
        container: &str,
        setting: &str,
        value: Option<Value>,
    ) -> Result<Done, Failure> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let Found {
                client,
                mut described,
            } = self.existing(container).await?;
            if is_so(&described, setting, value.as_ref()) {
                return as_it_is("it was so already");
            }
            let etag = described["_etag"].as_str().map(str::to_owned);
            if let Some(fields) = described.as_object_mut() {
                match &value {
                    Some(value) => fields.insert(setting.to_owned(), value.clone()),
                    None => fields.remove(setting),
                };
            }
            let sent = typed(&described)?;
            let lost = lost(&described, &serde_json::to_value(&sent).unwrap_or_default());
            if !lost.is_empty() {
                return Err(Failure::own(&[format!(
                    "the container {container} has settings that this version of dbvc would not keep ({}); change it by hand, \
                     then run again",
                    lost.join(", ")
                )]));
            }
            let replaced = client.replace(sent, Some(if_unchanged(etag))).await;
            match replaced.map_err(CosmosFault::from) {
                Ok(_) => return Ok((0, None)),
                // Somebody else changed it in between.
                Err(fault) if fault.kind == FaultKind::Changed && attempts < ATTEMPTS => {}
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    async fn set_throughput(&self, container: &str, asked: Throughput) -> Result<Done, Failure> {
        let Found { client, .. } = self.existing(container).await?;
        let now = throughput(&client).await?;
        match (now, asked) {
            (Some(now), asked) if now == told(asked) => as_it_is("it was so already"),
            (Some(ContainerThroughput::Manual(_)), Throughput::Manual(_))
            | (Some(ContainerThroughput::AutoscaleMax(_)), Throughput::Autoscale(_)) => {
                client
                    .begin_replace_throughput(offer(asked), None)
                    .await?
                    .await?;
                Ok((0, None))
            }
            (Some(now), _) => Err(Failure::own(&[format!(
                "the throughput of {container} is {now}, and only the portal or the Azure command line change between manual and \
                 autoscale; do so there, then run again"
            )])),
            (None, _) => Err(Failure::own(&[format!(
                "the container {container} has no throughput of its own: its account is serverless, or it shares that of its \
                 database"
            )])),
        }
    }

    async fn upsert(&self, container: &str, id: &str, item: &Value) -> Result<Done, Failure> {
        let Found { client, described } = self.existing(container).await?;
        let paths = Container::from_properties(&described).partition_key;
        let values = paths.iter().map(|path| key_value(at(item, path)));
        let key = partition_key(values.collect::<Result<_, _>>()?)?;
        client.upsert_item(key, id, item, None).await?;
        Ok((1, None))
    }

    async fn delete_item(
        &self,
        container: &str,
        id: &str,
        values: &[Value],
    ) -> Result<Done, Failure> {
        let Found { client, described } = self.existing(container).await?;
        let paths = Container::from_properties(&described).partition_key;
        if paths.len() != values.len() {
            return Err(Failure::own(&[format!(
                "the partition key of {container} is {}, so that partitionKey must have {} values",
                paths.join(", "),
                paths.len()
            )]));
        }
        let values = values.iter().map(|value| key_value(Some(value)));
        let key = partition_key(values.collect::<Result<_, _>>()?)?;
        match client
            .delete_item(key, id, None)
            .await
            .map_err(CosmosFault::from)
        {
            Ok(_) => Ok((1, None)),
            Err(fault) if fault.kind == FaultKind::NotFound => as_it_is("there was no such item"),
            Err(fault) => Err(fault.into()),
        }
    }
}

fn properties(new: &NewContainer) -> Value {
    let kind = if new.partition_key.len() > 1 {
        "MultiHash"
    } else {
        "Hash"
    };
    let mut properties = json!({
        "id": new.container,
        "partitionKey": {"paths": new.partition_key, "kind": kind, "version": 2},
    });
    if let Some(policy) = &new.indexing_policy {
        properties["indexingPolicy"] = policy.clone();
    }
    if !new.unique_keys.is_empty() {
        let keys: Vec<Value> = new
            .unique_keys
            .iter()
            .map(|paths| json!({ "paths": paths }))
            .collect();
        properties["uniqueKeyPolicy"] = json!({ "uniqueKeys": keys });
    }
    if let Some(ttl) = ttl_value(new.default_ttl) {
        properties["defaultTtl"] = ttl;
    }
    properties
}

fn typed(properties: &Value) -> Result<ContainerProperties, Failure> {
    serde_json::from_value(properties.clone()).map_err(|error| {
        Failure::own(&[format!(
            "the settings of the container cannot be written by this version of dbvc: {error}"
        )])
    })
}

fn ttl_value(ttl: DefaultTtl) -> Option<Value> {
    match ttl {
        DefaultTtl::Off => None,
        DefaultTtl::Never => Some((-1).into()),
        DefaultTtl::Seconds(seconds) => Some(seconds.into()),
    }
}

fn offer(throughput: Throughput) -> ThroughputProperties {
    match throughput {
        Throughput::Manual(units) => ThroughputProperties::manual(units),
        Throughput::Autoscale(units) => ThroughputProperties::autoscale(units, None),
    }
}

fn told(throughput: Throughput) -> ContainerThroughput {
    match throughput {
        Throughput::Manual(units) => ContainerThroughput::Manual(units),
        Throughput::Autoscale(units) => ContainerThroughput::AutoscaleMax(units),
    }
}

/// Whether a setting has the value, in whatever spelling.
fn is_so(described: &Value, setting: &str, value: Option<&Value>) -> bool {
    let now = described.get(setting).filter(|now| !now.is_null());
    match (setting, value) {
        ("indexingPolicy", Some(policy)) => {
            IndexingPolicy::from_properties(policy)
                == IndexingPolicy::from_properties(&described[setting])
        }
        (_, value) => now == value,
    }
}

/// Replacing is refused when somebody else has changed the container since it was read.
fn if_unchanged(etag: Option<String>) -> ReplaceContainerOptions {
    let Some(etag) = etag else {
        return ReplaceContainerOptions::default();
    };
    let headers = HashMap::from([(HeaderName::from_static("if-match"), HeaderValue::from(etag))]);
    let operation = OperationOptionsBuilder::new()
        .with_custom_headers(headers)
        .build();
    ReplaceContainerOptions::default().with_operation_options(operation)
}

/// What of a description would not be sent back. The service's own fields begin with an underscore and are not its settings.
fn lost(described: &Value, sent: &Value) -> Vec<String> {
    let mut lost = Vec::new();
    for (name, value) in described.as_object().into_iter().flatten() {
        if !name.starts_with('_') {
            compare_sent(name, value, sent.get(name), &mut lost);
        }
    }
    lost
}

fn compare_sent(path: &str, described: &Value, sent: Option<&Value>, lost: &mut Vec<String>) {
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(entries) => entries.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match (described, sent) {
        (described, None) if says_nothing(described) => {}
        (Value::Object(fields), Some(Value::Object(others))) => {
            for (name, value) in fields {
                compare_sent(&format!("{path}.{name}"), value, others.get(name), lost);
            }
        }
        (Value::Array(entries), Some(Value::Array(others))) if entries.len() == others.len() => {
            for (entry, other) in entries.iter().zip(others) {
                compare_sent(path, entry, Some(other), lost);
            }
        }
        (described, Some(sent)) if described == sent => {}
        _ => {
            if !lost.iter().any(|known| known == path) {
                lost.push(path.to_owned());
            }
        }
    }
}

async fn holds_items(client: &ContainerClient) -> Result<bool, Failure> {
    let mut first = client
        .query_items::<Value>(
            "SELECT TOP 1 c.id FROM c",
            FeedScope::full_container(),
            None,
        )
        .await?;
    Ok(first.try_next().await?.is_some())
}

/// The value at a path of an item: `/a/"b c"`.
fn at<'v>(item: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('/').skip(1).try_fold(item, |value, segment| {
        let name = segment
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(segment);
        value.get(name)
    })
}

fn key_value(value: Option<&Value>) -> Result<PartitionKeyValue, Failure> {
    match value {
        None => Ok(PartitionKeyValue::UNDEFINED),
        Some(Value::Null) => Ok(PartitionKeyValue::NULL),
        Some(Value::Bool(truth)) => Ok((*truth).into()),
        Some(Value::String(text)) => Ok(text.into()),
        Some(Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            PartitionKeyValue::try_from(number).map_err(Failure::from)
        }
        Some(Value::Array(_) | Value::Object(_)) => Err(Failure::own(&[
            "the value at the path of the partition key must be a string, a number, true, false or null",
        ])),
    }
}

fn partition_key(values: Vec<PartitionKeyValue>) -> Result<PartitionKey, Failure> {
    PartitionKey::try_from(values).map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_sent_back_is_named() {
        let described = json!({"id": "c", "_rid": "x", "partitionKey": {"paths": ["/id"], "kind": "Hash"},
            "indexingPolicy": {"automatic": true, "includedPaths": [{"path": "/*", "indexes": [{"kind": "Range"}]},
                {"path": "/a/?", "indexes": []}], "excludedPaths": []},
            "computedProperties": [{"name": "n", "query": "SELECT 1"}], "defaultTtl": null});
        let sent = serde_json::to_value(typed(&described).unwrap()).unwrap();
        assert_eq!(
            lost(&described, &sent),
            ["indexingPolicy.includedPaths.indexes"]
        );
    }

    #[test]
    fn settings_that_the_driver_does_not_know_are_sent_back() {
        let described = json!({"id": "c", "partitionKey": {"paths": ["/id"], "kind": "Hash", "version": 2},
            "geospatialConfig": {"type": "Geometry"}, "dataMaskingPolicy": {"a": [1, {"b": 2}]}, "analyticalStorageTtl": -1,
            "indexingPolicy": {"automatic": true, "indexingMode": "consistent", "unheardOf": {"x": 1}},
            "uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/a"]}]}, "defaultTtl": 60,
            "conflictResolutionPolicy": {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts", "conflictResolutionProcedure": ""}});
        let sent = serde_json::to_value(typed(&described).unwrap()).unwrap();
        assert_eq!(lost(&described, &sent), Vec::<String>::new());
    }

    #[test]
    fn a_setting_is_compared_in_whatever_spelling() {
        let described = json!({"indexingPolicy": {"indexingMode": "consistent", "automatic": true,
            "includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": "/\"_etag\"/?"}]}, "defaultTtl": null});
        let same = json!({"indexingMode": "consistent", "includedPaths": [{"path": "/*"}]});
        assert!(is_so(&described, "indexingPolicy", Some(&same)));
        let other = json!({"indexingMode": "none"});
        assert!(!is_so(&described, "indexingPolicy", Some(&other)));
        assert!(is_so(&described, "defaultTtl", None));
        assert!(!is_so(&described, "defaultTtl", Some(&json!(60))));
    }

    #[test]
    fn the_partition_key_is_found_in_the_item() {
        let item = json!({"id": "x", "a": {"b c": [1], "d": null, "e": "v"}});
        assert_eq!(at(&item, "/a/e"), Some(&json!("v")));
        assert_eq!(at(&item, "/a/\"b c\""), Some(&json!([1])));
        assert_eq!(at(&item, "/a/d"), Some(&Value::Null));
        assert_eq!(at(&item, "/a/x"), None);
        assert!(key_value(at(&item, "/a/\"b c\"")).is_err());
        assert_eq!(key_value(None).unwrap(), PartitionKeyValue::UNDEFINED);
    }

    #[test]
    fn only_a_clear_answer_says_that_nothing_was_changed() {
        let of = |kind, status: &str| {
            let failure = Failure::from(CosmosFault {
                kind,
                status: status.to_owned(),
                message: "words".to_owned(),
            });
            (failure.number, failure.state, failure.left_nothing)
        };
        assert_eq!(of(FaultKind::NotFound, "404/1003"), (404, 1003, true));
        assert_eq!(of(FaultKind::Refused, "400"), (400, 1, true));
        assert_eq!(of(FaultKind::Unavailable, "429/3200"), (429, 3200, true));
        assert_eq!(of(FaultKind::Unavailable, "503"), (503, 1, false));
        assert!(!Failure::too_late(Duration::from_secs(1)).left_nothing);
    }
}
