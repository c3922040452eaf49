//! The scripts of Cosmos DB: a JSON text that lists operations, each of which is sent by itself.
//!
//! Read strictly: a field that nobody knows is a fault, so that a typing error cannot silently change what happens. Every
//! fault says where it stands and what would be right. `docs/cosmos-scripts.md` describes every field.

mod fields;
mod indexing;
mod json;
#[cfg(test)]
mod tests;

use serde_json::Value;
use sha2::{Digest, Sha256};

use fields::{Fields, Reading};
use json::{Kind, Node, Place};

/// A script.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationScript<'a> {
    /// Whether `$(name)` stands for a value; none when the script says nothing about it.
    pub variables: Option<bool>,
    /// What it does, in order.
    pub operations: Vec<PlacedOperation<'a>>,
}

/// An operation of a script, with its place in it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedOperation<'a> {
    /// Its number, from 1.
    pub index: u32,
    /// The line of the file on which it begins, from 1.
    pub line: u32,
    /// Its text, verbatim.
    pub text: &'a str,
    /// What it does.
    pub operation: Operation,
}

impl PlacedOperation<'_> {
    /// SHA-256 of its text, in hexadecimal digits; of its line ends only where they are counts.
    #[must_use]
    pub fn sha256(&self) -> String {
        let text = self.text.replace("\r\n", "\n");
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// One thing to do to a Cosmos DB database.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Makes a container.
    CreateContainer(NewContainer),
    /// Removes a container.
    DeleteContainer {
        /// Its name.
        container: String,
        /// Whether it may hold items.
        allow_data_loss: bool,
    },
    /// Puts another indexing policy in the place of a container's.
    ReplaceIndexingPolicy {
        /// The container.
        container: String,
        /// The policy, in Cosmos DB's own form.
        policy: Value,
    },
    /// Sets after how long items of a container expire that say nothing about it themselves.
    SetDefaultTtl {
        /// The container.
        container: String,
        /// After how long.
        ttl: DefaultTtl,
    },
    /// Sets the throughput of a container.
    SetThroughput {
        /// The container.
        container: String,
        /// How much.
        throughput: Throughput,
    },
    /// Writes an item, whether it is there or not.
    UpsertItem {
        /// The container.
        container: String,
        /// The item's id, which is in it as well.
        id: String,
        /// The item.
        item: Value,
    },
    /// Removes an item.
    DeleteItem {
        /// The container.
        container: String,
        /// The item's id.
        id: String,
        /// The values of its partition key, each a string, a number, true, false or null.
        partition_key: Vec<Value>,
    },
}

/// A container that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewContainer {
    /// Its name.
    pub container: String,
    /// The paths of its partition key, one to three.
    pub partition_key: Vec<String>,
    /// Sets of paths, each of which is unique within a partition.
    pub unique_keys: Vec<Vec<String>>,
    /// The indexing policy in Cosmos DB's own form; the service's default without one.
    pub indexing_policy: Option<Value>,
    /// After how long its items expire.
    pub default_ttl: DefaultTtl,
    /// Its throughput; without one that of its database, or none on a serverless account.
    pub throughput: Option<Throughput>,
}

/// After how long the items of a container expire that say nothing about it themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DefaultTtl {
    /// Never, and what items say about it does not count.
    #[default]
    Off,
    /// Never, unless an item says when.
    Never,
    /// After so many seconds.
    Seconds(u32),
}

/// How many request units a second a container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throughput {
    /// So many, always.
    Manual(u64),
    /// As needed, up to so many.
    Autoscale(u64),
}

/// What is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OperationFault {
    /// Whether it is no JSON at all.
    pub is_malformed: bool,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl OperationFault {
    fn at(place: Place, message: impl Into<String>) -> Self {
        Self {
            is_malformed: false,
            line: place.line,
            column: place.column,
            message: message.into(),
        }
    }
}

impl Operation {
    /// The container that it is about.
    #[must_use]
    pub fn container(&self) -> &str {
        match self {
            Self::CreateContainer(new) => &new.container,
            Self::DeleteContainer { container, .. }
            | Self::ReplaceIndexingPolicy { container, .. }
            | Self::SetDefaultTtl { container, .. }
            | Self::SetThroughput { container, .. }
            | Self::UpsertItem { container, .. }
            | Self::DeleteItem { container, .. } => container,
        }
    }

    /// Whether it changes containers rather than what is in them: Cosmos DB lets nobody do that without a key.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        !matches!(self, Self::UpsertItem { .. } | Self::DeleteItem { .. })
    }
}

/// The names of the operations.
const OPERATIONS: [&str; 7] = [
    "createContainer",
    "deleteContainer",
    "replaceIndexingPolicy",
    "setDefaultTtl",
    "setThroughput",
    "upsertItem",
    "deleteItem",
];

/// Reads a script.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the places; only the first thing when it is no JSON.
pub fn parse(text: &str) -> Result<OperationScript<'_>, Vec<OperationFault>> {
    let root = root(text)?;
    let mut reading = Reading::default();
    let script = read_script(text, &root, &mut reading);
    match script {
        Some(script) if reading.faults.is_empty() => Ok(script),
        _ => Err(reading.in_order()),
    }
}

/// Reads the text of one operation, as [`PlacedOperation::text`] holds it.
///
/// # Errors
///
/// As [`parse`]; lines are those of the text.
pub fn parse_operation(text: &str) -> Result<Operation, Vec<OperationFault>> {
    let root = root(text)?;
    let mut reading = Reading::default();
    let operation = read_operation(&root, &mut reading);
    match operation {
        Some(operation) if reading.faults.is_empty() => Ok(operation),
        _ => Err(reading.in_order()),
    }
}

fn root(text: &str) -> Result<Node<'_>, Vec<OperationFault>> {
    json::read(text).map_err(|malformed| {
        vec![OperationFault {
            is_malformed: true,
            ..OperationFault::at(
                malformed.place,
                format!("the script is not JSON: {}", malformed.message),
            )
        }]
    })
}

fn read_script<'a>(
    text: &'a str,
    root: &Node<'a>,
    reading: &mut Reading,
) -> Option<OperationScript<'a>> {
    const FORM: &str =
        r#"a script is an object: {"operations": [{"operation": "createContainer", …}, …]}"#;
    let Kind::Object(_) = &root.kind else {
        reading.fault(root.place, format!("{FORM}, not {}", root.word()));
        return None;
    };
    let mut fields = Fields::of(root, "the script", reading)?;
    fields.comment(reading);
    let variables = fields
        .optional("variables")
        .and_then(|node| reading.truth("variables", node));
    let listed = fields.required("operations", reading)?;
    fields.finish(reading);
    let Kind::List(nodes) = &listed.kind else {
        reading.fault(listed.place, "operations must be a list of objects");
        return None;
    };
    if nodes.is_empty() {
        reading.fault(listed.place, "operations must hold at least one operation");
    }
    let mut operations = Vec::with_capacity(nodes.len());
    for (index, node) in (1..).zip(nodes) {
        if let Some(operation) = read_operation(node, reading) {
            operations.push(PlacedOperation {
                index,
                line: node.place.line,
                text: &text[node.range.clone()],
                operation,
            });
        }
    }
    Some(OperationScript {
        variables,
        operations,
    })
}

fn read_operation(node: &Node<'_>, reading: &mut Reading) -> Option<Operation> {
    let mut fields = Fields::of(node, "an operation", reading)?;
    let named = fields.required("operation", reading)?;
    let name = reading.text("operation", named)?;
    if !OPERATIONS.contains(&name) {
        reading.fault(
            named.place,
            format!(
                "there is no operation {name}; there are {}",
                OPERATIONS.join(", ")
            ),
        );
        return None;
    }
    fields.comment(reading);
    let container = fields
        .required("container", reading)
        .and_then(|node| reading.container_name(node));
    let operation = match name {
        "createContainer" => create_container(&mut fields, container, reading),
        "deleteContainer" => {
            let allow_data_loss = match fields.optional("allowDataLoss") {
                None => Some(false),
                Some(node) => reading.truth("allowDataLoss", node),
            };
            both(container, allow_data_loss).map(|(container, allow_data_loss)| {
                Operation::DeleteContainer {
                    container,
                    allow_data_loss,
                }
            })
        }
        "replaceIndexingPolicy" => {
            let policy = fields
                .required("indexingPolicy", reading)
                .and_then(|node| indexing::read(node, reading));
            both(container, policy)
                .map(|(container, policy)| Operation::ReplaceIndexingPolicy { container, policy })
        }
        "setDefaultTtl" => {
            let ttl = fields
                .required("defaultTtl", reading)
                .and_then(|node| reading.default_ttl(node));
            both(container, ttl).map(|(container, ttl)| Operation::SetDefaultTtl { container, ttl })
        }
        "setThroughput" => {
            let throughput = fields
                .required("throughput", reading)
                .and_then(|node| reading.throughput(node));
            both(container, throughput).map(|(container, throughput)| Operation::SetThroughput {
                container,
                throughput,
            })
        }
        "upsertItem" => {
            let item = fields
                .required("item", reading)
                .and_then(|node| reading.item(node));
            both(container, item).map(|(container, (id, item))| Operation::UpsertItem {
                container,
                id,
                item,
            })
        }
        _ => {
            let id = fields
                .required("id", reading)
                .and_then(|node| reading.item_id("id", node));
            let key = fields
                .required("partitionKey", reading)
                .and_then(|node| reading.key_values(node));
            both(container, both(id, key)).map(|(container, (id, partition_key))| {
                Operation::DeleteItem {
                    container,
                    id,
                    partition_key,
                }
            })
        }
    };
    fields.finish(reading);
    operation
}

fn create_container(
    fields: &mut Fields<'_, '_>,
    container: Option<String>,
    reading: &mut Reading,
) -> Option<Operation> {
    let partition_key = fields
        .required("partitionKey", reading)
        .and_then(|node| reading.partition_key(node));
    let unique_keys = match fields.optional("uniqueKeys") {
        None => Some(Vec::new()),
        Some(node) => reading.unique_keys(node),
    };
    let indexing_policy = match fields.optional("indexingPolicy") {
        None => Some(None),
        Some(node) => indexing::read(node, reading).map(Some),
    };
    let default_ttl = match fields.optional("defaultTtl") {
        None => Some(DefaultTtl::Off),
        Some(node) => reading.default_ttl(node),
    };
    let throughput = match fields.optional("throughput") {
        None => Some(None),
        Some(node) => reading.throughput(node).map(Some),
    };
    Some(Operation::CreateContainer(NewContainer {
        container: container?,
        partition_key: partition_key?,
        unique_keys: unique_keys?,
        indexing_policy: indexing_policy?,
        default_ttl: default_ttl?,
        throughput: throughput?,
    }))
}

fn both<A, B>(one: Option<A>, other: Option<B>) -> Option<(A, B)> {
    one.zip(other)
}
