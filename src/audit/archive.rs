//! The archive: where trail, snapshots and a copy of the registry outlive the databases that they describe.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::chain::Link;
use super::event::{Event, EventType};
use super::stream::{Partition, Stream};
use crate::database::Place;
use crate::script::{DatabaseId, EngineKind};
use crate::time::Timestamp;

/// Whether the same would be accepted later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveErrorKind {
    /// The archive cannot be reached, is throttled, full, or not set up: what waits for it goes on waiting.
    Unavailable,
    /// The archive answers, and does not accept this very document: others need not wait for it.
    Refused,
}

/// The archive did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the archive cannot be used while {phase}: {message}")]
pub struct ArchiveError {
    /// Whether the same would be accepted later.
    pub kind: ArchiveErrorKind,
    /// What dbvc was doing.
    pub phase: &'static str,
    /// The driver's words; for the log, not for callers.
    pub message: String,
}

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only those of this migration.
    pub migration_id: Option<String>,
    /// Only those of this type.
    pub kind: Option<EventType>,
    /// Only those at or after this moment.
    pub since: Option<Timestamp>,
    /// Only those before this number.
    pub before: Option<u64>,
}

/// How far a list of documents was added, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    /// How many, from the first on.
    pub count: usize,
    /// Why the next one was not.
    pub stopped: Option<ArchiveError>,
}

/// What the archive knows of a snapshot besides its content: all that its row in the registry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotHeader {
    /// Its id.
    pub snapshot_id: String,
    /// The database.
    pub database_id: DatabaseId,
    /// Why it was taken.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub captured_at: Timestamp,
    /// By whom.
    pub captured_by: String,
    /// Hash of the normalised schema.
    pub schema_hash: String,
    /// Hash of the content as stored.
    pub content_hash: String,
    /// The run after which it was taken.
    pub run_id: Option<String>,
    /// The engine of the database.
    pub engine: EngineKind,
    /// How many objects of each kind it has; an object.
    pub object_counts: serde_json::Value,
    /// Size of the schema's JSON text in bytes.
    pub size_bytes: u64,
    /// In how many parts its content was cut.
    pub part_count: u64,
    /// The number of the trail's newest event when it was taken: executions with a higher ordinal are not in it.
    pub covers: i64,
    /// When the archive may drop it; none is never.
    pub expires_at: Option<Timestamp>,
}

/// A snapshot as the archive keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedSnapshot {
    /// What is known of it.
    #[serde(flatten)]
    pub header: SnapshotHeader,
    /// The schema's JSON text, cut into parts.
    pub parts: Vec<String>,
}

/// A migration as the archive keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedMigration {
    /// Its id.
    pub migration_id: String,
    /// The database.
    pub database_id: DatabaseId,
    /// Its version as written.
    pub version: Option<String>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who wrote it.
    pub author: String,
    /// The file that it came from.
    pub file_name: Option<String>,
    /// The up script.
    pub up_script: String,
    /// Its checksum.
    pub up_checksum: String,
    /// The down script.
    pub down_script: Option<String>,
    /// Its checksum.
    pub down_checksum: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was withdrawn.
    pub withdrawn_at: Option<Timestamp>,
    /// Grows with every change of the definition.
    pub revision: u64,
}

/// Where events, snapshots and the registry's copy are kept. Every write may be repeated: what is there already stays.
#[async_trait]
pub trait Archive: std::fmt::Debug + Send + Sync {
    /// The word for it in `GET history`: `embedded` or `cosmos`.
    fn source(&self) -> &'static str;

    /// Whether it answers.
    async fn ping(&self) -> Result<(), ArchiveError>;

    /// The streams of all databases with this id.
    async fn streams(&self, database: &DatabaseId) -> Result<Vec<Stream>, ArchiveError>;

    /// Records a stream, and that its database stands at `place`. Says whether that was done: not when another chain has the
    /// partition.
    async fn record_stream(&self, stream: &Stream, place: &Place) -> Result<bool, ArchiveError>;

    /// Whether a stream is that of the database at this place. A file beside an archive that is itself a file is known by its
    /// name, wherever the two are moved.
    fn is_stream_of(&self, stream: &Stream, place: &Place) -> bool {
        match &stream.place {
            Some(known) => known.is(place),
            None => stream.engine.is_none_or(|engine| engine == place.engine),
        }
    }

    /// Adds events of one database in their order, until one is not accepted; one that is there already, by its id, is left
    /// as it is and counts as added.
    async fn add_events(&self, partition: &Partition, events: &[Event]) -> Added;

    /// The newest events of a stream, newest first, at most `limit`.
    async fn events(
        &self,
        partition: &Partition,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, ArchiveError>;

    /// A piece of a stream's chain: at most `limit` events after the number `after`, oldest first.
    async fn chain(
        &self,
        partition: &Partition,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Link>, ArchiveError>;

    /// Adds a snapshot, its header last: one without its content is never seen.
    async fn add_snapshot(
        &self,
        partition: &Partition,
        snapshot: &ArchivedSnapshot,
    ) -> Result<(), ArchiveError>;

    /// The headers of all snapshots of a stream that have not expired, oldest first.
    async fn snapshot_headers(
        &self,
        partition: &Partition,
    ) -> Result<Vec<SnapshotHeader>, ArchiveError>;

    /// A snapshot with its content; none when the archive does not have it, or no longer.
    async fn snapshot(
        &self,
        partition: &Partition,
        snapshot_id: &str,
    ) -> Result<Option<ArchivedSnapshot>, ArchiveError>;

    /// Puts copies of migrations in place of those of the same or an older revision, in their order, until one is not
    /// accepted.
    async fn put_migrations(
        &self,
        partition: &Partition,
        migrations: &[ArchivedMigration],
    ) -> Added;

    /// The copies of a stream's migrations, by id.
    async fn migrations(
        &self,
        partition: &Partition,
    ) -> Result<Vec<ArchivedMigration>, ArchiveError>;
}
