//! Whose histories the archive holds: a document for each stream, in a partition beside that of the database.

use azure_data_cosmos::ContainerClient;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::database::cosmos::{CosmosFault, FaultKind};

use super::super::stream::{Partition, StreamRecord};
use super::batches::document_of;
use super::documents::{self, Document, as_written, asked, placed, query, text};
use super::migrations::Kind;

/// A stream as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StreamDocument {
    id: String,
    kind: Kind,
    #[serde(flatten)]
    record: StreamRecord,
}

/// The streams that are recorded. A document that is no record any more is left out.
pub(super) async fn all(
    container: &ContainerClient,
    partition: &Partition,
) -> Result<Vec<StreamRecord>, CosmosFault> {
    let asked = asked(
        "SELECT * FROM c WHERE c.databaseId = @database AND c.kind = 'stream'",
        &[("@database", json!(partition.key()))],
    )?;
    let found: Vec<Document> = query(container, partition, asked, 0)
        .await?
        .try_collect()
        .await?;
    Ok(found.into_iter().filter_map(record_of).collect())
}

fn record_of(document: Document) -> Option<StreamRecord> {
    let stored: StreamDocument =
        serde_json::from_value(Value::Object(as_written(document))).ok()?;
    Some(stored.record)
}

/// Adds a record, or puts it in place of an older one of the same chain. Says whether that was done: not when another chain has
/// the record of this id, or another instance changed it at the same moment.
pub(super) async fn put(
    container: &ContainerClient,
    partition: &Partition,
    record: StreamRecord,
) -> Result<bool, CosmosFault> {
    let chain = record.chain.clone();
    let id = record.id();
    let document = placed(
        document_of(&StreamDocument {
            id: id.clone(),
            kind: Kind::Stream,
            record,
        }),
        partition,
    );
    let written = match documents::read(container, partition.key(), &id).await? {
        None => documents::create(container, partition, &id, &document).await,
        Some(read) if text(&read, "chain") == Some(chain.as_str()) => {
            documents::replace(container, partition, &id, &document, &read).await
        }
        Some(_) => return Ok(false),
    };
    match written {
        Ok(()) => Ok(true),
        Err(fault)
            if matches!(
                fault.kind,
                FaultKind::Conflict | FaultKind::Changed | FaultKind::NotFound
            ) =>
        {
            Ok(false)
        }
        Err(fault) => Err(fault),
    }
}
