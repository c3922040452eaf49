//! The outbox: what was written to the registry is delivered to the archive afterwards, at least once.

use crate::database::{Connection, DatabaseError, Row, Statement, ask};
use crate::registry::snapshots::SnapshotRow;
use crate::registry::{events, migrations, snapshots};
use crate::script::DatabaseId;
use crate::time::Timestamp;

use super::archive::{
    Added, Archive, ArchiveError, ArchiveErrorKind, ArchivedMigration, ArchivedSnapshot,
    SnapshotHeader,
};
use super::event::Event;
use super::lineage::{self, Attachment, Continuation, LineageError};
use super::stream::{self, Partition};
use super::writer::from_row;

/// How many events travel at once: at 64 KiB each they stay well within memory.
const EVENTS_AT_ONCE: u32 = 200;
/// How many definitions travel at once; a script may have megabytes.
const MIGRATIONS_AT_ONCE: u32 = 20;
/// How many snapshots travel at once.
const SNAPSHOTS_AT_ONCE: u32 = 10;

/// After how many seconds it is tried again to deliver what the archive has refused.
const PAUSE_AFTER_REFUSAL: i64 = 3600;

/// Longest words of a refusal that are kept, in characters.
const MAX_REFUSAL_CHARS: usize = 1000;

/// When to try again to deliver what the archive has refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// An hour after the refusal: what is refused for what it is, is refused again.
    AfterAPause,
    /// Now: somebody asks for it.
    Now,
}

/// What a delivery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Events delivered.
    pub events: usize,
    /// Snapshots delivered.
    pub snapshots: usize,
    /// Definitions delivered.
    pub migrations: usize,
    /// Events, snapshots and definitions that the archive does not accept; they wait, and the others do not wait for them.
    pub refused: usize,
}

impl Delivery {
    /// Whether nothing was delivered.
    pub fn is_empty(&self) -> bool {
        self.events + self.snapshots + self.migrations == 0
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
    /// The archive holds another history of this chain. Nothing was delivered into it.
    #[error("the archive's history of this database is another one after event {after}")]
    Parted {
        /// The number of the last event that both have.
        after: u64,
    },
    /// The archive has no event of a chain of which it had some. Nothing was delivered into it.
    #[error("the archive has lost its history of this database")]
    Emptied,
}

/// What is known of the stream into which is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Its record was just read: that it is empty is known.
    Now,
    /// Its record was read some time ago.
    Before,
}

impl From<LineageError> for DeliveryError {
    fn from(error: LineageError) -> Self {
        match error {
            LineageError::Archive(error) => Self::Archive(error),
            LineageError::Database(error) => Self::Registry(error),
            LineageError::Contradicting => Self::Parted { after: 0 },
        }
    }
}

/// Delivers everything of a database that the archive does not have into its stream, events in their order. What the archive
/// refuses is noted, and what comes after it is delivered. Before the first event is added the archive is asked whether it has
/// the history that this event continues.
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
    attachment: &Attachment,
    looked: Looked,
    refused: Refused,
) -> Result<Delivery, DeliveryError> {
    let now = Timestamp::now();
    let mut courier = Courier {
        connection,
        database_id,
        archive,
        partition: &attachment.partition,
        attachment,
        looked,
        is_compared: false,
        refused_before: match refused {
            Refused::AfterAPause => {
                Timestamp::from_millis(now.as_millis() - PAUSE_AFTER_REFUSAL * 1000)
            }
            Refused::Now => now,
        },
        delivery: Delivery::default(),
    };
    // Each turn takes something out of the outbox or notes that it is refused, so that they end.
    while courier.deliver_events().await? {}
    while courier.deliver_snapshots().await? {}
    while courier.deliver_migrations().await? {}
    Ok(courier.delivery)
}

/// A delivery on its way.
struct Courier<'a> {
    connection: &'a mut dyn Connection,
    database_id: &'a DatabaseId,
    archive: &'a dyn Archive,
    partition: &'a Partition,
    attachment: &'a Attachment,
    looked: Looked,
    /// Whether registry and archive were found to agree.
    is_compared: bool,
    /// What was refused before this moment is tried again.
    refused_before: Timestamp,
    delivery: Delivery,
}

impl Courier<'_> {
    async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        Ok(ask(self.connection, statement).await?.rows)
    }

    /// Writes what became of things; nothing when there is nothing to write.
    async fn note(&mut self, marks: &[Statement]) -> Result<(), DatabaseError> {
        if !marks.is_empty() {
            self.connection.exchange(marks).await?;
        }
        Ok(())
    }

    /// Whether there was something to deliver.
    async fn deliver_events(&mut self) -> Result<bool, DeliveryError> {
        let waiting = events::undelivered(self.database_id, EVENTS_AT_ONCE, self.refused_before);
        let rows = self.rows(waiting).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let mut deliverable = Vec::new();
        let mut marks = Vec::new();
        for row in &rows {
            match events::parse(row).ok().as_ref().and_then(from_row) {
                Some(event) => deliverable.push(event),
                // Those behind it must not wait for it.
                None => {
                    let sequence = row.count("sequence").map_err(DatabaseError::from)?;
                    marks.push(self.refuse_event(sequence, "the row is no event any more"));
                }
            }
        }
        self.compare(&deliverable).await?;
        let Added { count, stopped } = self.archive.add_events(self.partition, &deliverable).await;
        crate::crash_points::reached("events-archived").await;
        self.delivery.events += count;
        // Only what is in the list is marked, never a range over a row that could not be delivered.
        let now = Timestamp::now();
        marks.extend(
            consecutive(&deliverable[..count])
                .into_iter()
                .map(|(first, last)| events::mark_delivered(self.database_id, first, last, now)),
        );
        let stopped = match (stopped, deliverable.get(count)) {
            (Some(error), Some(event)) if error.kind == ArchiveErrorKind::Refused => {
                marks.push(self.refuse_event(event.sequence, &error.message));
                None
            }
            (stopped, _) => stopped,
        };
        self.note(&marks).await?;
        stopped.map_or(Ok(true), |error| Err(error.into()))
    }

    /// Sees to it that these events continue the archive's stream, and records where their database stands.
    ///
    /// # Errors
    ///
    /// [`DeliveryError::Parted`] and [`DeliveryError::Emptied`].
    async fn compare(&mut self, events: &[Event]) -> Result<(), DeliveryError> {
        if self.is_compared || events.is_empty() {
            return Ok(());
        }
        let waiting: Vec<(u64, String)> = events
            .iter()
            .map(|event| (event.sequence, event.id.clone()))
            .collect();
        let continuation = lineage::continuation(
            self.connection,
            self.database_id,
            self.archive,
            self.partition,
            &waiting,
        );
        match continuation.await? {
            Continuation::Parted(after) => return Err(DeliveryError::Parted { after }),
            Continuation::Empty if self.looked == Looked::Before && waiting[0].0 > 1 => {
                return Err(DeliveryError::Emptied);
            }
            Continuation::Empty | Continuation::Continues => {}
        }
        let Attachment {
            chain,
            partition,
            new_place,
        } = self.attachment;
        if let Some(place) = new_place {
            stream::claim(
                self.archive,
                self.database_id,
                chain,
                place,
                Some(partition),
            )
            .await?;
        }
        self.is_compared = true;
        Ok(())
    }

    fn refuse_event(&mut self, sequence: u64, why: &str) -> Statement {
        self.delivery.refused += 1;
        tracing::warn!(database = %self.database_id, sequence, why, "the archive does not accept an event");
        events::mark_refused(self.database_id, sequence, Timestamp::now(), short(why))
    }

    /// Whether there was something to deliver.
    async fn deliver_snapshots(&mut self) -> Result<bool, DeliveryError> {
        let waiting =
            snapshots::unarchived(self.database_id, SNAPSHOTS_AT_ONCE, self.refused_before);
        let rows = self.rows(waiting).await?;
        for row in &rows {
            let id = row.text("snapshot_id").map_err(DatabaseError::from)?;
            let added = match snapshots::parse(row) {
                Ok(header) => self.deliver_snapshot(header).await?,
                Err(error) => Err(error.to_string()),
            };
            let marks = match added {
                Ok(()) => {
                    self.delivery.snapshots += 1;
                    snapshots::mark_archived(id, Timestamp::now()).to_vec()
                }
                Err(why) => {
                    self.delivery.refused += 1;
                    tracing::warn!(database = %self.database_id, snapshot = id, why, "the archive does not accept a snapshot");
                    vec![snapshots::mark_refused(id, Timestamp::now(), short(&why))]
                }
            };
            self.note(&marks).await?;
        }
        Ok(!rows.is_empty())
    }

    /// Or why it is refused.
    async fn deliver_snapshot(
        &mut self,
        row: SnapshotRow,
    ) -> Result<Result<(), String>, DeliveryError> {
        let mut parts = Vec::new();
        for part in self.rows(snapshots::staged_parts(&row.snapshot_id)).await? {
            parts.push(
                part.text("content")
                    .map_err(DatabaseError::from)?
                    .to_owned(),
            );
        }
        // Without its parts another instance has delivered it between the two reads.
        if parts.is_empty() {
            return Ok(Ok(()));
        }
        let object_counts = serde_json::from_str(&row.object_counts).unwrap_or_default();
        let snapshot = ArchivedSnapshot {
            header: SnapshotHeader {
                snapshot_id: row.snapshot_id,
                database_id: row.database_id,
                kind: row.kind,
                captured_at: row.captured_at,
                captured_by: row.captured_by,
                schema_hash: row.schema_hash,
                content_hash: row.content_hash,
                run_id: row.run_id,
                engine: row.engine,
                object_counts,
                size_bytes: row.size_bytes,
                part_count: row.parts,
                covers: row.covers,
                expires_at: row.expires_at,
            },
            parts,
        };
        match self.archive.add_snapshot(self.partition, &snapshot).await {
            Ok(()) => Ok(Ok(())),
            Err(error) if error.kind == ArchiveErrorKind::Refused => Ok(Err(error.message)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there was something to deliver.
    async fn deliver_migrations(&mut self) -> Result<bool, DeliveryError> {
        let waiting =
            migrations::unarchived(self.database_id, MIGRATIONS_AT_ONCE, self.refused_before);
        let rows = self.rows(waiting).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let mut copies = Vec::new();
        let mut marks = Vec::new();
        for row in &rows {
            match migrations::parse_definition(row) {
                Ok(definition) => copies.push(copy_of(self.database_id, &definition)),
                Err(error) => {
                    let id = row.text("migration_id").map_err(DatabaseError::from)?;
                    let revision = row.count("revision").map_err(DatabaseError::from)?;
                    marks.push(self.refuse_migration(id, revision, &error.to_string()));
                }
            }
        }
        let Added { count, stopped } = self.archive.put_migrations(self.partition, &copies).await;
        self.delivery.migrations += count;
        marks.extend(copies[..count].iter().map(|copy| {
            migrations::mark_archived(self.database_id, &copy.migration_id, copy.revision)
        }));
        let stopped = match (stopped, copies.get(count)) {
            (Some(error), Some(copy)) if error.kind == ArchiveErrorKind::Refused => {
                marks.push(self.refuse_migration(
                    &copy.migration_id,
                    copy.revision,
                    &error.message,
                ));
                None
            }
            (stopped, _) => stopped,
        };
        self.note(&marks).await?;
        stopped.map_or(Ok(true), |error| Err(error.into()))
    }

    fn refuse_migration(&mut self, migration_id: &str, revision: u64, why: &str) -> Statement {
        self.delivery.refused += 1;
        tracing::warn!(database = %self.database_id, migration = migration_id, why, "the archive does not accept a definition");
        migrations::mark_refused(
            self.database_id,
            migration_id,
            revision,
            Timestamp::now(),
            short(why),
        )
    }
}

fn short(words: &str) -> &str {
    words
        .char_indices()
        .nth(MAX_REFUSAL_CHARS)
        .map_or(words, |(end, _)| &words[..end])
}

/// The ranges of consecutive numbers.
fn consecutive(events: &[Event]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for event in events {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == event.sequence => *last = event.sequence,
            _ => ranges.push((event.sequence, event.sequence)),
        }
    }
    ranges
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
