//! The outbox: what was written to the registry is delivered to the archive afterwards, at least once.

use crate::database::{Connection, DatabaseError};
use crate::registry::{events, migrations, snapshots};
use crate::script::DatabaseId;
use crate::time::Timestamp;

use super::archive::{Archive, ArchiveError, ArchivedMigration, ArchivedSnapshot, SnapshotHeader};
use super::chain::Link;
use super::writer::from_row;

/// How many events travel at once: at 64 KiB each they stay well within memory.
const EVENTS_AT_ONCE: u32 = 200;
/// How many definitions travel at once; a script may have megabytes.
const MIGRATIONS_AT_ONCE: u32 = 50;
/// How many snapshots travel at once.
const SNAPSHOTS_AT_ONCE: u32 = 10;

/// What a delivery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Events delivered.
    pub events: usize,
    /// Snapshots delivered.
    pub snapshots: usize,
    /// Definitions delivered.
    pub migrations: usize,
}

impl Delivery {
    /// Whether there was nothing to deliver.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a delivery stopped. What was delivered before stays delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] DatabaseError),
}

/// Delivers everything of a database that the archive does not have.
///
/// Two instances may do this at once: the archive leaves alone what it has.
///
/// # Errors
///
/// When archive or registry cannot be used; the next delivery goes on where this one stopped.
pub async fn deliver(
    connection: &mut dyn Connection,
    database_id: &DatabaseId,
    archive: &dyn Archive,
) -> Result<Delivery, DeliveryError> {
    let mut delivery = Delivery::default();
    loop {
        let sent = deliver_events(connection, database_id, archive).await?;
        delivery.events += sent;
        if sent == 0 {
            break;
        }
    }
    loop {
        let sent = deliver_snapshots(connection, database_id, archive).await?;
        delivery.snapshots += sent;
        if sent == 0 {
            break;
        }
    }
    loop {
        let sent = deliver_migrations(connection, database_id, archive).await?;
        delivery.migrations += sent;
        if sent == 0 {
            break;
        }
    }
    Ok(delivery)
}

async fn rows(
    connection: &mut dyn Connection,
    statement: crate::database::Statement,
) -> Result<Vec<crate::database::Row>, DatabaseError> {
    Ok(crate::database::ask(connection, statement).await?.rows)
}

async fn deliver_events(
    connection: &mut dyn Connection,
    database_id: &DatabaseId,
    archive: &dyn Archive,
) -> Result<usize, DeliveryError> {
    let mut waiting = Vec::new();
    for row in rows(connection, events::undelivered(database_id, EVENTS_AT_ONCE)).await? {
        let row = events::parse(&row).map_err(DatabaseError::from)?;
        // A row that is no event any more cannot be delivered; verifying names it. Those behind it must not wait for it.
        waiting.push(Link {
            sequence: row.sequence,
            event: from_row(&row),
        });
    }
    let deliverable: Vec<_> = waiting
        .iter()
        .filter_map(|link| link.event.clone())
        .collect();
    if deliverable.is_empty() {
        return Ok(0);
    }
    let added = archive.add_events(&deliverable).await;
    let deliverable = &deliverable[..added.count];
    crate::crash_points::reached("events-archived").await;
    // Only what is in the list is marked, never a range over a row that could not be delivered.
    let now = Timestamp::now();
    let marks: Vec<_> = consecutive(deliverable)
        .into_iter()
        .map(|(first, last)| events::mark_delivered(database_id, first, last, now))
        .collect();
    if !marks.is_empty() {
        connection.exchange(&marks).await?;
    }
    match added.stopped {
        Some(error) => Err(error.into()),
        None => Ok(deliverable.len()),
    }
}

/// The ranges of consecutive numbers.
fn consecutive(events: &[super::event::Event]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for event in events {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == event.sequence => *last = event.sequence,
            _ => ranges.push((event.sequence, event.sequence)),
        }
    }
    ranges
}

async fn deliver_snapshots(
    connection: &mut dyn Connection,
    database_id: &DatabaseId,
    archive: &dyn Archive,
) -> Result<usize, DeliveryError> {
    let headers = rows(
        connection,
        snapshots::unarchived(database_id, SNAPSHOTS_AT_ONCE),
    )
    .await?;
    let delivered = headers.len();
    for row in headers {
        let header = snapshots::parse(&row).map_err(DatabaseError::from)?;
        let mut parts = Vec::new();
        for part in rows(connection, snapshots::staged_parts(&header.snapshot_id)).await? {
            parts.push(
                part.text("content")
                    .map_err(DatabaseError::from)?
                    .to_owned(),
            );
        }
        let object_counts = serde_json::from_str(&header.object_counts).unwrap_or_default();
        let snapshot = ArchivedSnapshot {
            header: SnapshotHeader {
                snapshot_id: header.snapshot_id.clone(),
                database_id: header.database_id,
                kind: header.kind,
                captured_at: header.captured_at,
                captured_by: header.captured_by,
                schema_hash: header.schema_hash,
                content_hash: header.content_hash,
                run_id: header.run_id,
                engine: header.engine,
                object_counts,
                size_bytes: header.size_bytes,
                parts: header.parts,
                covers: header.covers,
                expires_at: header.expires_at,
            },
            content: parts,
        };
        // Without its parts another instance has delivered it between the two reads.
        if !snapshot.content.is_empty() {
            archive.add_snapshot(&snapshot).await?;
        }
        connection
            .exchange(&snapshots::mark_archived(
                &header.snapshot_id,
                Timestamp::now(),
            ))
            .await?;
    }
    Ok(delivered)
}

async fn deliver_migrations(
    connection: &mut dyn Connection,
    database_id: &DatabaseId,
    archive: &dyn Archive,
) -> Result<usize, DeliveryError> {
    let mut copies = Vec::new();
    for row in rows(
        connection,
        migrations::unarchived(database_id, MIGRATIONS_AT_ONCE),
    )
    .await?
    {
        let definition = migrations::parse_definition(&row).map_err(DatabaseError::from)?;
        copies.push(copy_of(database_id, &definition));
    }
    if copies.is_empty() {
        return Ok(0);
    }
    let added = archive.put_migrations(&copies).await;
    copies.truncate(added.count);
    let marks: Vec<_> = copies
        .iter()
        .map(|copy| migrations::mark_archived(database_id, &copy.migration_id, copy.revision))
        .collect();
    if !marks.is_empty() {
        connection.exchange(&marks).await?;
    }
    match added.stopped {
        Some(error) => Err(error.into()),
        None => Ok(copies.len()),
    }
}

/// A definition as the archive keeps it.
pub fn copy_of(database_id: &DatabaseId, definition: &migrations::Definition) -> ArchivedMigration {
    ArchivedMigration {
        migration_id: definition.migration_id.to_string(),
        database_id: database_id.clone(),
        version: definition
            .version
            .as_ref()
            .map(|version| version.as_written().to_owned()),
        name: definition.name.clone(),
        description: definition.description.clone(),
        author: definition.author.clone(),
        file_name: definition.file_name.clone(),
        up_script: definition.up_script.clone(),
        up_checksum: definition.up_checksum.to_string(),
        down_script: definition.down_script.clone(),
        down_checksum: definition.down_checksum.as_ref().map(ToString::to_string),
        created_at: definition.created_at,
        withdrawn_at: definition.withdrawn_at,
        revision: definition.revision,
    }
}
