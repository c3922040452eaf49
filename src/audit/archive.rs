//! The archive: where trail, snapshots and a copy of the registry outlive the databases that they describe.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::chain::Link;
use super::event::{Event, EventType};
use crate::script::DatabaseId;
use crate::time::Timestamp;

/// The archive cannot be used at the moment.
#[derive(Debug, thiserror::Error)]
#[error("the archive cannot be used while {phase}: {message}")]
pub struct ArchiveError {
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

/// A snapshot as the archive keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedSnapshot {
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

    /// Adds events; one that is there already, by its id, is left as it is.
    async fn add_events(&self, events: &[Event]) -> Result<(), ArchiveError>;

    /// The newest events of a database, newest first, at most `limit`.
    async fn events(
        &self,
        database: &DatabaseId,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, ArchiveError>;

    /// A piece of a database's chain: at most `limit` events after the number `after`, oldest first.
    async fn chain(
        &self,
        database: &DatabaseId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Link>, ArchiveError>;

    /// Adds a snapshot.
    async fn add_snapshot(&self, snapshot: &ArchivedSnapshot) -> Result<(), ArchiveError>;

    /// A snapshot's content; none when the archive does not have it.
    async fn snapshot(
        &self,
        database: &DatabaseId,
        snapshot_id: &str,
    ) -> Result<Option<ArchivedSnapshot>, ArchiveError>;

    /// Puts copies of migrations in place of older ones.
    async fn put_migrations(&self, migrations: &[ArchivedMigration]) -> Result<(), ArchiveError>;

    /// The copies of a database's migrations, by id.
    async fn migrations(
        &self,
        database: &DatabaseId,
    ) -> Result<Vec<ArchivedMigration>, ArchiveError>;
}
