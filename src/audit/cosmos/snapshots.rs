//! Snapshots: a header, and parts that are named by their content, so that the same content is stored once.
//!
//! A part must outlive every header that names it. It therefore carries how long it is kept, which is only ever extended, and
//! only from the version that was read: when two instances extend it at once, the second reads again and sees the first's.

use std::collections::HashMap;

use azure_data_cosmos::ContainerClient;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::database::cosmos::{CosmosFault, FaultKind};
use crate::time::Timestamp;

use super::super::archive::{ArchivedSnapshot, SnapshotHeader};
use super::super::stream::Partition;
use super::batches::document_of;
use super::documents::{self, Document, as_written, asked, placed, query, taken_out, text};
use super::pieces;

/// How much longer than asked for a part is kept, in seconds: a week. A schema that nobody changes is captured every few
/// hours, and its parts are rewritten once a week for it.
const SLACK: u32 = 7 * 24 * 3600;

/// By how much the clocks of two instances may differ, in seconds.
const SKEW: u32 = 3600;

/// Most seconds of an item's life.
/// <https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live>
const MOST_SECONDS: u64 = 2_147_483_647;

/// How often a part is read again because another instance changed it.
const ATTEMPTS: u32 = 10;

/// How many parts are read at once.
const AT_ONCE: usize = 4;

/// A header as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeaderDocument {
    id: String,
    kind: Kind,
    #[serde(flatten)]
    header: SnapshotHeader,
    /// The ids of its parts, in order.
    parts: Vec<String>,
    /// Seconds until the service drops it; none is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

/// A part as it is stored.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartDocument<'a> {
    id: &'a str,
    kind: Kind,
    database_id: &'a str,
    /// None is forever.
    kept_until: Option<Timestamp>,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Snapshot,
    Part,
}

/// Adds a snapshot, its header last. One that has expired on the way is not added any more.
pub(super) async fn add(
    container: &ContainerClient,
    partition: &Partition,
    snapshot: &ArchivedSnapshot,
) -> Result<(), CosmosFault> {
    let header = &snapshot.header;
    let now = Timestamp::now();
    if header.expires_at.is_some_and(|end| end <= now) {
        return Ok(());
    }
    let parts: Vec<(String, &str)> = snapshot
        .parts
        .iter()
        .flat_map(|part| pieces::cut(part))
        .map(|piece| (format!("part-{}", pieces::name(piece)), piece))
        .collect();
    let mut known = versions(container, partition, &parts).await?;
    for (id, content) in &parts {
        keep(
            container,
            partition,
            (id, content),
            header.expires_at,
            known.remove(id),
        )
        .await?;
    }
    let document = HeaderDocument {
        id: header.snapshot_id.clone(),
        kind: Kind::Snapshot,
        header: header.clone(),
        parts: parts.into_iter().map(|(id, _)| id).collect(),
        ttl: header.expires_at.map(|end| seconds_until(end, now)),
    };
    match documents::create(
        container,
        partition,
        &header.snapshot_id,
        &placed(document_of(&document), partition),
    )
    .await
    {
        Err(fault) if fault.kind != FaultKind::Conflict => Err(fault),
        _ => Ok(()),
    }
}

fn seconds_until(end: Timestamp, now: Timestamp) -> u64 {
    (end.millis_since(now) / 1000).clamp(1, MOST_SECONDS)
}

/// What is known of parts without their content: when they go, and in which version.
async fn versions(
    container: &ContainerClient,
    partition: &Partition,
    parts: &[(String, &str)],
) -> Result<HashMap<String, Document>, CosmosFault> {
    let ids: Vec<&str> = parts.iter().map(|(id, _)| id.as_str()).collect();
    let asked = asked(
        "SELECT c.id, c.keptUntil, c._etag FROM c WHERE c.databaseId = @database AND ARRAY_CONTAINS(@ids, c.id)",
        &[("@database", json!(partition.key())), ("@ids", json!(ids))],
    )?;
    let found = query(container, partition, asked, 0).await?;
    found
        .map_ok(|document| {
            let id = text(&document, "id").unwrap_or_default().to_owned();
            (id, document)
        })
        .try_collect()
        .await
}

/// How long a part is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Forever,
    Until(Timestamp),
}

fn kept(part: &Document) -> Kept {
    match part.get("keptUntil") {
        Some(Value::Null) => Kept::Forever,
        // What cannot be read may be about to go.
        other => Kept::Until(
            other
                .and_then(Value::as_str)
                .and_then(|text| text.parse().ok())
                .unwrap_or(Timestamp::FIRST),
        ),
    }
}

/// Until when a part is to be kept from now on, if it is not kept long enough.
fn extension(kept: Option<Kept>, needed_until: Option<Timestamp>) -> Option<Kept> {
    match (kept, needed_until) {
        (Some(Kept::Forever), _) => None,
        (_, None) => Some(Kept::Forever),
        (Some(Kept::Until(end)), Some(needed)) if end >= needed.plus_seconds(SKEW) => None,
        (_, Some(needed)) => Some(Kept::Until(needed.plus_seconds(SLACK))),
    }
}

/// Sees to it that a part is there until then; none is forever. `known`: what was read of it.
async fn keep(
    container: &ContainerClient,
    partition: &Partition,
    (id, content): (&str, &str),
    needed_until: Option<Timestamp>,
    known: Option<Document>,
) -> Result<(), CosmosFault> {
    let mut known = known;
    for _ in 0..ATTEMPTS {
        let Some(kept) = extension(known.as_ref().map(kept), needed_until) else {
            return Ok(());
        };
        let (kept_until, ttl) = match kept {
            Kept::Forever => (None, None),
            Kept::Until(end) => (Some(end), Some(seconds_until(end, Timestamp::now()))),
        };
        let document = document_of(&PartDocument {
            id,
            kind: Kind::Part,
            database_id: partition.key(),
            kept_until,
            content,
            ttl,
        });
        let written = match &known {
            None => documents::create(container, partition, id, &document).await,
            Some(read) => documents::replace(container, partition, id, &document, read).await,
        };
        match written {
            Ok(()) => return Ok(()),
            // Another instance was faster, or the part has just gone.
            Err(fault)
                if matches!(
                    fault.kind,
                    FaultKind::Conflict | FaultKind::Changed | FaultKind::NotFound
                ) =>
            {
                known = documents::read(container, partition.key(), id).await?;
            }
            Err(fault) => return Err(fault),
        }
    }
    Err(CosmosFault {
        kind: FaultKind::Unavailable,
        status: "412".to_owned(),
        message: format!("the part {id} is being changed all the time"),
    })
}

fn header_of(document: Document, partition: &Partition) -> Result<HeaderDocument, CosmosFault> {
    let id = text(&document, "id").unwrap_or_default().to_owned();
    serde_json::from_value(Value::Object(taken_out(as_written(document), partition))).map_err(
        |error| CosmosFault {
            kind: FaultKind::Refused,
            status: "200".to_owned(),
            message: format!("the document {id} is no header of a snapshot: {error}"),
        },
    )
}

fn has_expired(header: &SnapshotHeader) -> bool {
    header.expires_at.is_some_and(|end| end <= Timestamp::now())
}

/// The headers of all snapshots that have not expired, oldest first.
pub(super) async fn headers(
    container: &ContainerClient,
    partition: &Partition,
) -> Result<Vec<SnapshotHeader>, CosmosFault> {
    let asked = asked(
        "SELECT * FROM c WHERE c.databaseId = @database AND c.kind = 'snapshot'",
        &[("@database", json!(partition.key()))],
    )?;
    let found = query(container, partition, asked, 0).await?;
    let mut headers: Vec<SnapshotHeader> = found
        .and_then(|document| async { Ok(header_of(document, partition)?.header) })
        .try_collect()
        .await?;
    headers.retain(|header| !has_expired(header));
    headers.sort_by_key(|header| (header.captured_at, header.snapshot_id.clone()));
    Ok(headers)
}

/// A snapshot with its content; none when one of its documents is not there.
pub(super) async fn one(
    container: &ContainerClient,
    partition: &Partition,
    snapshot_id: &str,
) -> Result<Option<ArchivedSnapshot>, CosmosFault> {
    let Some(document) = documents::read(container, partition.key(), snapshot_id).await? else {
        return Ok(None);
    };
    let HeaderDocument {
        header,
        parts: names,
        ..
    } = header_of(document, partition)?;
    if has_expired(&header) {
        return Ok(None);
    }
    let parts: Vec<Option<String>> = stream::iter(names)
        .map(|id| async move {
            let part = documents::read(container, partition.key(), &id).await?;
            Ok::<_, CosmosFault>(part.and_then(|part| text(&part, "content").map(str::to_owned)))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let parts: Option<Vec<String>> = parts.into_iter().collect();
    Ok(parts.map(|parts| ArchivedSnapshot { header, parts }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u32) -> Timestamp {
        Timestamp::FIRST.plus_seconds(seconds)
    }

    #[test]
    fn a_part_is_kept_longer_and_never_shorter() {
        let week = SLACK;
        let until = |seconds| Some(Kept::Until(moment(seconds)));
        // Added for so long, and a week more.
        assert_eq!(extension(None, Some(moment(10))), until(10 + week));
        assert_eq!(extension(None, None), Some(Kept::Forever));
        // Kept long enough.
        assert_eq!(extension(Some(Kept::Forever), Some(moment(10))), None);
        assert_eq!(extension(Some(Kept::Forever), None), None);
        assert_eq!(extension(until(10 + week), Some(moment(week / 2))), None);
        // Not long enough, also for a clock that runs behind.
        assert_eq!(extension(until(20), Some(moment(30))), until(30 + week));
        assert_eq!(
            extension(until(20 + SKEW - 1), Some(moment(20))),
            until(20 + week)
        );
        assert_eq!(extension(until(week), None), Some(Kept::Forever));
    }

    #[test]
    fn what_cannot_be_read_counts_as_about_to_go() {
        let part = |json: Value| json.as_object().cloned().unwrap();
        assert_eq!(kept(&part(json!({"keptUntil": null}))), Kept::Forever);
        for unreadable in [
            json!({}),
            json!({"keptUntil": 7}),
            json!({"keptUntil": "x"}),
        ] {
            assert_eq!(kept(&part(unreadable)), Kept::Until(Timestamp::FIRST));
        }
    }
}
