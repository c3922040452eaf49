//! Adding documents many at a time: a batch of Cosmos DB is written whole or not at all.

use azure_data_cosmos::options::{BatchReplaceOptions, Precondition};
use azure_data_cosmos::{ContainerClient, TransactionalBatch};
use serde_json::Value;

use crate::database::cosmos::{CosmosFault, FaultKind};

use super::super::stream::Partition;
use super::documents::{self, Document};

/// Most writes of a batch.
/// <https://learn.microsoft.com/azure/cosmos-db/nosql/transactional-batch#limitations>
const MOST_WRITES: usize = 100;

/// Most bytes of a batch's documents. The service takes 2 MB of everything that is sent.
const MOST_BYTES: usize = 1_000_000;

/// The status of a write that was not tried because another failed.
const NOT_TRIED: u16 = 424;

/// A write of a batch.
#[derive(Debug)]
pub(super) struct Write {
    /// The document's id.
    pub id: String,
    /// The document.
    pub document: Document,
    /// The version that it takes the place of; none adds it.
    pub replaces: Option<Document>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All is written.
    Written,
    /// Nothing is written, because of one of the documents: alone, the others would be.
    Apart,
}

/// How many of these documents, from the first on, fit into one batch; at least one.
pub(super) fn fitting<'a>(documents: impl IntoIterator<Item = &'a Document>) -> usize {
    let mut bytes = 0;
    let fitting = documents
        .into_iter()
        .take(MOST_WRITES)
        .take_while(|document| {
            // Plain data always serialises.
            bytes += serde_json::to_vec(document).map_or(0, |text| text.len());
            bytes <= MOST_BYTES
        });
    fitting.count().max(1)
}

/// Writes all of them or none.
///
/// # Errors
///
/// What is not about one of the documents: the same may succeed later.
pub(super) async fn write(
    container: &ContainerClient,
    partition: &Partition,
    writes: &[Write],
) -> Result<Outcome, CosmosFault> {
    if let [write] = writes {
        return match one(container, partition, write).await {
            Ok(()) => Ok(Outcome::Written),
            Err(fault) if is_about_document(&fault) => Ok(Outcome::Apart),
            Err(fault) => Err(fault),
        };
    }
    let mut batch = TransactionalBatch::new(partition.key().to_owned());
    for write in writes {
        batch = match &write.replaces {
            None => batch.create_item(&write.document)?,
            Some(replaced) => {
                let version = documents::version(replaced);
                let options = BatchReplaceOptions::default()
                    .with_precondition(Precondition::IfMatch(version.into()));
                batch.replace_item(write.id.clone(), &write.document, Some(options))?
            }
        };
    }
    let response = match container.execute_transactional_batch(batch, None).await {
        Ok(response) => response.into_model()?,
        Err(error) => {
            let fault = CosmosFault::from(error);
            return if is_about_document(&fault) {
                Ok(Outcome::Apart)
            } else {
                Err(fault)
            };
        }
    };
    let failed = response
        .results()
        .iter()
        .find(|result| !result.is_success() && result.status_code() != NOT_TRIED);
    match failed.map(|result| result.status_code()) {
        None => Ok(Outcome::Written),
        Some(400 | 404 | 409 | 412 | 413) => Ok(Outcome::Apart),
        Some(code) => Err(CosmosFault {
            kind: if matches!(code, 401 | 403) {
                FaultKind::Forbidden
            } else {
                FaultKind::Unavailable
            },
            status: code.to_string(),
            message: format!("{code}: a write of a batch was not accepted"),
        }),
    }
}

/// Writes one.
pub(super) async fn one(
    container: &ContainerClient,
    partition: &Partition,
    write: &Write,
) -> Result<(), CosmosFault> {
    match &write.replaces {
        None => documents::create(container, partition, &write.id, &write.document).await,
        Some(replaced) => {
            documents::replace(container, partition, &write.id, &write.document, replaced).await
        }
    }
}

fn is_about_document(fault: &CosmosFault) -> bool {
    matches!(
        fault.kind,
        FaultKind::Refused | FaultKind::Conflict | FaultKind::Changed
    )
}

/// The fields of plain data.
pub(super) fn document_of<T: serde::Serialize>(data: &T) -> Document {
    // Plain data always serialises, and what is stored here is always an object.
    match serde_json::to_value(data) {
        Ok(Value::Object(document)) => document,
        _ => Document::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(count: usize, bytes: usize) -> Vec<Document> {
        vec![document_of(&serde_json::json!({"text": "x".repeat(bytes)})); count]
    }

    #[test]
    fn a_batch_stays_within_the_limits_and_is_never_empty() {
        assert_eq!(fitting(&documents(250, 10)), MOST_WRITES);
        assert_eq!(fitting(&documents(100, 64 * 1024)), 15);
        assert_eq!(fitting(&documents(2, 3_000_000)), 1);
    }
}
