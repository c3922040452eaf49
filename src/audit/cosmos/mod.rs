//! The archive in Cosmos DB: one document an event, and snapshots and migrations in documents of at most 2 MB.

mod batches;
mod containers;
mod documents;
mod events;
mod faults;
mod migrations;
mod pieces;
mod snapshots;
mod streams;

use async_trait::async_trait;

use crate::database::Place;
use crate::database::cosmos::CosmosHandle;
use crate::script::DatabaseId;

use super::archive::{
    Added, Archive, ArchiveError, ArchivedMigration, ArchivedSnapshot, EventFilter, SnapshotHeader,
};
use super::chain::Link;
use super::event::Event;
use super::stream::{self, Partition, Stream, StreamRecord};

pub use containers::is_archive_container;

use containers::{Containers, EVENTS, MIGRATIONS, SNAPSHOTS};
use faults::while_reading;

/// The archive in a database of a Cosmos DB account. Cheap to clone; all clones are one.
///
/// It connects at its first use. With the account's key the database and its containers are made when something is written
/// and they are not there; without it they must have been made, and an error says which is missing and how it must be.
#[derive(Debug, Clone)]
pub struct CosmosArchive {
    containers: Containers,
}

impl CosmosArchive {
    /// The archive in this database. Connects to nothing yet.
    pub fn new(handle: CosmosHandle) -> Self {
        Self {
            containers: Containers::new(handle),
        }
    }
}

/// How a list was added that could not even be begun.
fn nothing(error: ArchiveError) -> Added {
    Added {
        count: 0,
        stopped: Some(error),
    }
}

#[async_trait]
impl Archive for CosmosArchive {
    fn source(&self) -> &'static str {
        "cosmos"
    }

    async fn ping(&self) -> Result<(), ArchiveError> {
        const PHASE: &str = "looking whether the archive answers";
        let Some(container) = self.containers.to_read(&EVENTS, PHASE).await? else {
            return Ok(());
        };
        // No document has this id. Reading one costs least of all that there is to ask.
        match documents::read(&container, "dbvc", "ping").await {
            Ok(_) => Ok(()),
            Err(fault) => {
                self.containers.look_again_after(&EVENTS, &fault).await;
                Err(while_reading(PHASE)(fault))
            }
        }
    }

    async fn streams(&self, database: &DatabaseId) -> Result<Vec<Stream>, ArchiveError> {
        const PHASE: &str = "reading whose histories it holds";
        let partition = Partition::of_records(database);
        let records = match self.containers.to_read(&MIGRATIONS, PHASE).await? {
            None => Vec::new(),
            Some(container) => {
                let found = streams::all(&container, &partition).await;
                self.read(&MIGRATIONS, PHASE, found).await?
            }
        };
        stream::with_unrecorded(self, database, records).await
    }

    async fn record_stream(&self, stream: &Stream, place: &Place) -> Result<bool, ArchiveError> {
        const PHASE: &str = "recording whose history it holds";
        let container = self.containers.to_write(&MIGRATIONS, PHASE).await?;
        let partition = Partition::of_records(stream.partition.database());
        let record = StreamRecord::of(stream, place);
        let put = streams::put(&container, &partition, record).await;
        self.wrote(&MIGRATIONS, PHASE, put).await
    }

    async fn add_events(&self, partition: &Partition, events: &[Event]) -> Added {
        const PHASE: &str = "adding events";
        if events.is_empty() {
            return Added::default();
        }
        match self.containers.to_write(&EVENTS, PHASE).await {
            Err(error) => nothing(error),
            Ok(container) => {
                let (count, fault) = events::add(&container, partition, events).await;
                self.added(&EVENTS, PHASE, count, fault).await
            }
        }
    }

    async fn events(
        &self,
        partition: &Partition,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, ArchiveError> {
        const PHASE: &str = "reading events";
        match self.containers.to_read(&EVENTS, PHASE).await? {
            None => Ok(Vec::new()),
            Some(container) => {
                let found = events::page(&container, partition, filter, limit).await;
                self.read(&EVENTS, PHASE, found).await
            }
        }
    }

    async fn chain(
        &self,
        partition: &Partition,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Link>, ArchiveError> {
        const PHASE: &str = "reading the chain of events";
        match self.containers.to_read(&EVENTS, PHASE).await? {
            None => Ok(Vec::new()),
            Some(container) => {
                let found = events::chain(&container, partition, after, limit).await;
                self.read(&EVENTS, PHASE, found).await
            }
        }
    }

    async fn add_snapshot(
        &self,
        partition: &Partition,
        snapshot: &ArchivedSnapshot,
    ) -> Result<(), ArchiveError> {
        const PHASE: &str = "adding a snapshot";
        let container = self.containers.to_write(&SNAPSHOTS, PHASE).await?;
        let added = snapshots::add(&container, partition, snapshot).await;
        self.wrote(&SNAPSHOTS, PHASE, added).await
    }

    async fn snapshot_headers(
        &self,
        partition: &Partition,
    ) -> Result<Vec<SnapshotHeader>, ArchiveError> {
        const PHASE: &str = "reading the headers of snapshots";
        match self.containers.to_read(&SNAPSHOTS, PHASE).await? {
            None => Ok(Vec::new()),
            Some(container) => {
                let found = snapshots::headers(&container, partition).await;
                self.read(&SNAPSHOTS, PHASE, found).await
            }
        }
    }

    async fn snapshot(
        &self,
        partition: &Partition,
        snapshot_id: &str,
    ) -> Result<Option<ArchivedSnapshot>, ArchiveError> {
        const PHASE: &str = "reading a snapshot";
        match self.containers.to_read(&SNAPSHOTS, PHASE).await? {
            None => Ok(None),
            Some(container) => {
                let found = snapshots::one(&container, partition, snapshot_id).await;
                self.read(&SNAPSHOTS, PHASE, found).await
            }
        }
    }

    async fn put_migrations(
        &self,
        partition: &Partition,
        migrations: &[ArchivedMigration],
    ) -> Added {
        const PHASE: &str = "copying migrations";
        if migrations.is_empty() {
            return Added::default();
        }
        match self.containers.to_write(&MIGRATIONS, PHASE).await {
            Err(error) => nothing(error),
            Ok(container) => {
                let (count, fault) = migrations::put(&container, partition, migrations).await;
                self.added(&MIGRATIONS, PHASE, count, fault).await
            }
        }
    }

    async fn migrations(
        &self,
        partition: &Partition,
    ) -> Result<Vec<ArchivedMigration>, ArchiveError> {
        const PHASE: &str = "reading the copies of migrations";
        match self.containers.to_read(&MIGRATIONS, PHASE).await? {
            None => Ok(Vec::new()),
            Some(container) => {
                let found = migrations::all(&container, partition).await;
                self.read(&MIGRATIONS, PHASE, found).await
            }
        }
    }
}
