//! Reading documents of one partition, and what Cosmos DB adds to them.

use std::num::NonZeroU32;

use azure_data_cosmos::options::{ItemWriteOptions, MaxItemCountHint, Precondition, QueryOptions};
use azure_data_cosmos::{ContainerClient, FeedScope, Query};
use futures_util::{Stream, StreamExt as _};
use serde_json::{Map, Value};

use crate::database::cosmos::{CosmosFault, FaultKind};

use super::super::stream::Partition;

/// The field that tells which version of a document was read.
const ETAG: &str = "_etag";

/// What Cosmos DB adds to every document.
/// <https://learn.microsoft.com/azure/cosmos-db/resource-model#properties-of-an-item>
const SYSTEM_FIELDS: [&str; 6] = ["_rid", "_self", ETAG, "_attachments", "_ts", "_lsn"];

/// The status when not the item is missing but its container.
const NO_CONTAINER: &str = "404/1003";

/// A document as it is stored.
pub(super) type Document = Map<String, Value>;

/// A document as it was written: without what Cosmos DB has added, and with whole numbers as such. The service knows one kind
/// of numbers only, and may give 1 as 1.0.
pub(super) fn as_written(mut document: Document) -> Document {
    for field in SYSTEM_FIELDS {
        document.remove(field);
    }
    document.values_mut().for_each(with_whole_numbers);
    document
}

/// Up to this number every whole number has a binary form of its own.
const LAST_EXACT: f64 = 9_007_199_254_740_992.0;

fn with_whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|_| number.is_f64())
                && float.fract() == 0.0
                && float.abs() <= LAST_EXACT
            {
                *value = (float as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(with_whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(with_whole_numbers),
        _ => {}
    }
}

/// The field that names a document's partition. Within the document it is the only trace of which stream it belongs to.
const PARTITION: &str = "databaseId";

/// A document about a database as it is stored in a partition.
pub(super) fn placed(mut document: Document, partition: &Partition) -> Document {
    document.insert(PARTITION.to_owned(), partition.key().into());
    document
}

/// The document as it was before it was placed in this partition. One that names another partition stays as it is.
pub(super) fn taken_out(mut document: Document, partition: &Partition) -> Document {
    if text(&document, PARTITION) == Some(partition.key()) {
        document.insert(PARTITION.to_owned(), partition.database().as_str().into());
    }
    document
}

/// A text field.
pub(super) fn text<'a>(document: &'a Document, field: &str) -> Option<&'a str> {
    document.get(field).and_then(Value::as_str)
}

/// Which version of a document was read.
pub(super) fn version(document: &Document) -> String {
    text(document, ETAG).unwrap_or_default().to_owned()
}

/// A document, if it is there.
pub(super) async fn read(
    container: &ContainerClient,
    database: &str,
    id: &str,
) -> Result<Option<Document>, CosmosFault> {
    let read = async {
        container
            .read_item(database.to_owned(), id, None)
            .await?
            .into_model()
    };
    match read.await.map_err(CosmosFault::from) {
        Ok(document) => Ok(Some(document)),
        Err(fault) if fault.kind == FaultKind::NotFound && fault.status != NO_CONTAINER => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The documents of a query over one partition, in its order, whatever the size of the service's pages. The query names the
/// partition as well: there are emulators that do not look at the request's own word for it.
pub(super) async fn query(
    container: &ContainerClient,
    partition: &Partition,
    query: Query,
    at_most: u32,
) -> Result<impl Stream<Item = Result<Document, CosmosFault>> + use<>, CosmosFault> {
    let page = NonZeroU32::new(at_most).map_or(MaxItemCountHint::ServerDecides, |count| {
        MaxItemCountHint::Limit(count)
    });
    let options = QueryOptions::default().with_max_item_count(page);
    let scope = FeedScope::partition(partition.key().to_owned());
    let found = container
        .query_items::<Document>(query, scope, Some(options))
        .await?;
    Ok(found.map(|document| document.map_err(CosmosFault::from)))
}

/// A query with its parameters.
pub(super) fn asked(text: &str, parameters: &[(&str, Value)]) -> Result<Query, CosmosFault> {
    let mut query = Query::from(text);
    for (name, value) in parameters {
        query = query.with_parameter(*name, value)?;
    }
    Ok(query)
}

/// Adds a document that is not there yet.
pub(super) async fn create(
    container: &ContainerClient,
    partition: &Partition,
    id: &str,
    document: &Document,
) -> Result<(), CosmosFault> {
    container
        .create_item(partition.key().to_owned(), id, document, None)
        .await?;
    Ok(())
}

/// Puts a document in place of the version that was read.
pub(super) async fn replace(
    container: &ContainerClient,
    partition: &Partition,
    id: &str,
    document: &Document,
    read: &Document,
) -> Result<(), CosmosFault> {
    let options =
        ItemWriteOptions::default().with_precondition(Precondition::IfMatch(version(read).into()));
    container
        .replace_item(partition.key().to_owned(), id, document, Some(options))
        .await?;
    Ok(())
}

/// Removes a document, if it is there.
pub(super) async fn remove(
    container: &ContainerClient,
    partition: &Partition,
    id: &str,
) -> Result<(), CosmosFault> {
    let removed = container
        .delete_item(partition.key().to_owned(), id, None)
        .await;
    match removed.map_err(CosmosFault::from) {
        Err(fault) if fault.kind != FaultKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_added_is_taken_off_and_whole_numbers_are_whole() {
        let stored = serde_json::json!({
            "id": "a", "n": 1.0, "deep": [{"n": -2.0, "half": 0.5, "huge": 1e300}],
            "_rid": "r", "_self": "s", "_etag": "e", "_attachments": "a", "_ts": 1.0, "_lsn": 1,
        });
        let Value::Object(stored) = stored else {
            unreachable!()
        };
        let expected =
            serde_json::json!({"id": "a", "n": 1, "deep": [{"n": -2, "half": 0.5, "huge": 1e300}]});
        assert_eq!(Value::Object(as_written(stored)), expected);
    }
}
