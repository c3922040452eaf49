//! Events: a document is an event as it is.

use std::collections::HashSet;

use azure_data_cosmos::ContainerClient;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::database::cosmos::{CosmosFault, FaultKind};

use super::super::archive::EventFilter;
use super::super::chain::Link;
use super::super::event::Event;
use super::super::stream::Partition;
use super::batches::{self, Outcome, Write, document_of};
use super::documents::{Document, as_written, asked, placed, query, taken_out, text};

/// Adds events of one database in their order. How many, and why not more.
pub(super) async fn add(
    container: &ContainerClient,
    partition: &Partition,
    events: &[Event],
) -> (usize, Option<CosmosFault>) {
    let writes: Vec<Write> = events
        .iter()
        .map(|event| Write {
            id: event.id.clone(),
            document: placed(document_of(event), partition),
            replaces: None,
        })
        .collect();
    let mut count = 0;
    while let Some(event) = events.get(count) {
        let rest = &writes[count..];
        let many = &rest[..batches::fitting(rest.iter().map(|write| &write.document))];
        let numbers = (event.sequence, events[count + many.len() - 1].sequence);
        let (added, fault) = add_many(container, partition, many, numbers).await;
        count += added;
        if fault.is_some() {
            return (count, fault);
        }
    }
    (count, None)
}

/// Adds what fits into a batch: at once if it can be, else without those that are there, else one by one.
async fn add_many(
    container: &ContainerClient,
    partition: &Partition,
    writes: &[Write],
    numbers: (u64, u64),
) -> (usize, Option<CosmosFault>) {
    let at_once = async {
        if batches::write(container, partition, writes).await? == Outcome::Written {
            return Ok(None);
        }
        let there = ids_between(container, partition, numbers).await?;
        Ok(Some(there))
    };
    let there: HashSet<String> = match at_once.await {
        Ok(None) => return (writes.len(), None),
        Ok(Some(there)) => there,
        Err(fault) => return (0, Some(fault)),
    };
    for (count, write) in writes.iter().enumerate() {
        if there.contains(&write.id) {
            continue;
        }
        match batches::one(container, partition, write).await {
            Ok(()) => {}
            // Another instance was faster.
            Err(fault) if fault.kind == FaultKind::Conflict => {}
            Err(fault) => return (count, Some(fault)),
        }
    }
    (writes.len(), None)
}

async fn ids_between(
    container: &ContainerClient,
    partition: &Partition,
    (first, last): (u64, u64),
) -> Result<HashSet<String>, CosmosFault> {
    let asked = asked(
        "SELECT c.id FROM c WHERE c.databaseId = @database AND c.sequence >= @first AND c.sequence <= @last",
        &[
            ("@database", json!(partition.key())),
            ("@first", json!(first)),
            ("@last", json!(last)),
        ],
    )?;
    let found = query(container, partition, asked, 0).await?;
    found
        .map_ok(|document| text(&document, "id").unwrap_or_default().to_owned())
        .try_collect()
        .await
}

/// The newest events, newest first. What is no event any more is left out: it is for verifying to name.
pub(super) async fn page(
    container: &ContainerClient,
    partition: &Partition,
    filter: &EventFilter,
    limit: u32,
) -> Result<Vec<Event>, CosmosFault> {
    let mut conditions = vec!["c.databaseId = @database"];
    let mut parameters = vec![("@database", json!(partition.key()))];
    let mut only = |condition: &'static str, name: &'static str, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(condition);
            parameters.push((name, value));
        }
    };
    let before = filter.before.map(|before| json!(before));
    only("c.sequence < @before", "@before", before);
    let migration = filter.migration_id.as_ref().map(|id| json!(id));
    only("c.migrationId = @migration", "@migration", migration);
    let kind = filter.kind.map(|kind| json!(kind.as_str()));
    only("c.type = @type", "@type", kind);
    let since = filter.since.map(|since| json!(since));
    only("c.at >= @since", "@since", since);
    let conditions = conditions.join(" AND ");
    let asked = asked(
        &format!("SELECT * FROM c WHERE {conditions} ORDER BY c.sequence DESC"),
        &parameters,
    )?;
    let found = query(container, partition, asked, limit).await?;
    found
        .try_filter_map(|document| async { Ok(event(document, partition)) })
        .take(limit as usize)
        .try_collect()
        .await
}

/// A piece of the chain, oldest first.
pub(super) async fn chain(
    container: &ContainerClient,
    partition: &Partition,
    after: u64,
    limit: u32,
) -> Result<Vec<Link>, CosmosFault> {
    let asked = asked(
        "SELECT * FROM c WHERE c.databaseId = @database AND c.sequence > @after ORDER BY c.sequence",
        &[
            ("@database", json!(partition.key())),
            ("@after", json!(after)),
        ],
    )?;
    let found = query(container, partition, asked, limit).await?;
    found
        .map_ok(|document| Link {
            sequence: number(&document, after),
            event: event(document, partition),
        })
        .take(limit as usize)
        .try_collect()
        .await
}

/// The number of a document. One that somebody has put a fraction into counts as the whole number below it.
fn number(document: &Document, after: u64) -> u64 {
    let number = document.get("sequence");
    number
        .and_then(Value::as_u64)
        .or_else(|| number.and_then(Value::as_f64).map(|number| number as u64))
        .unwrap_or_default()
        .max(after.saturating_add(1))
}

fn event(document: Document, partition: &Partition) -> Option<Event> {
    let document = taken_out(as_written(document), partition);
    Event::from_document(Value::Object(document))
}
