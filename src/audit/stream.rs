//! Whose history an archive holds: a stream is the history of one database, and no two databases share one.
//!
//! A registry names its stream itself: by the id of the first event of its chain. Where the registry is gone, the place at
//! which the database stands tells its stream from those of other databases with the same id.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::database::Place;
use crate::registry::definition;
use crate::script::{DatabaseId, EngineKind};

use super::archive::{Archive, ArchiveError, ArchiveErrorKind, EventFilter};
use super::event::Event;

/// How often a stream is recorded again because another database began one at the same moment.
const ATTEMPTS: u32 = 5;

/// How many events are looked at for one that can be read.
const OLDEST: u32 = 10;

/// Names a chain of events: the id of its first event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(String);

impl ChainId {
    /// The chain that this event begins.
    pub fn of_first_event(event_id: impl Into<String>) -> Self {
        Self(event_id.into())
    }

    /// The event's id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of an archive that holds one stream. The first stream of a database id has the partition of that name; those of
/// other databases with the same id have partitions of their own, named after the database id and the chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partition {
    database: DatabaseId,
    key: String,
}

impl Partition {
    /// The partition named like the database.
    pub fn main(database: &DatabaseId) -> Self {
        Self {
            database: database.clone(),
            key: database.to_string(),
        }
    }

    /// The partition of a further database with this id.
    pub fn of_chain(database: &DatabaseId, chain: &ChainId) -> Self {
        Self {
            database: database.clone(),
            // A database id has no `@`.
            key: format!("{database}@{chain}"),
        }
    }

    /// The partition that records the streams of all databases with this id.
    pub(super) fn of_records(database: &DatabaseId) -> Self {
        Self {
            database: database.clone(),
            key: format!("@{database}"),
        }
    }

    /// The database whose history it holds.
    pub fn database(&self) -> &DatabaseId {
        &self.database
    }

    /// Its name in the archive.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is the partition named like the database.
    pub fn is_main(&self) -> bool {
        self.key == self.database.as_str()
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// A stream of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The chain whose history it is.
    pub chain: ChainId,
    /// Where the archive holds it.
    pub partition: Partition,
    /// Where its database stood when it was last delivered; none for a stream that a dbvc began which did not record that.
    pub place: Option<Place>,
    /// What the first events say of the engine of a database whose place is not recorded.
    pub engine: Option<EngineKind>,
}

/// A stream as an archive stores it beside the copies of migrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamRecord {
    /// The chain.
    pub chain: ChainId,
    /// Whether it has the partition named like the database.
    pub main: bool,
    /// Where the database stands.
    pub place: Place,
}

impl StreamRecord {
    pub fn of(stream: &Stream, place: &Place) -> Self {
        Self {
            chain: stream.chain.clone(),
            main: stream.partition.is_main(),
            place: place.clone(),
        }
    }

    pub fn stream(self, database: &DatabaseId) -> Stream {
        Stream {
            partition: if self.main {
                Partition::main(database)
            } else {
                Partition::of_chain(database, &self.chain)
            },
            chain: self.chain,
            engine: Some(self.place.engine),
            place: Some(self.place),
        }
    }

    /// Two records with the same id exclude each other: only one stream has the partition named like the database.
    pub fn id(&self) -> String {
        if self.main {
            "stream".to_owned()
        } else {
            format!("stream-{}", self.chain)
        }
    }
}

/// Records that the database of this chain stands at `place`, and gives its stream. `known`: where the archive holds it already;
/// a chain that it has not met gets a partition of its own.
///
/// # Errors
///
/// When the archive cannot be used.
pub async fn claim(
    archive: &dyn Archive,
    database: &DatabaseId,
    chain: &ChainId,
    place: &Place,
    known: Option<&Partition>,
) -> Result<Stream, ArchiveError> {
    for _ in 0..ATTEMPTS {
        let streams = archive.streams(database).await?;
        let recorded = streams.iter().find(|stream| stream.chain == *chain);
        if let Some(recorded) = recorded
            && recorded.place.as_ref() == Some(place)
        {
            return Ok(recorded.clone());
        }
        let is_main_taken = streams.iter().any(|stream| stream.partition.is_main());
        let partition = match (known, recorded) {
            (Some(known), _) => known.clone(),
            (None, Some(recorded)) => recorded.partition.clone(),
            (None, None) if is_main_taken => Partition::of_chain(database, chain),
            (None, None) => Partition::main(database),
        };
        let stream = Stream {
            chain: chain.clone(),
            partition,
            place: Some(place.clone()),
            engine: Some(place.engine),
        };
        if archive.record_stream(&stream, place).await? {
            return Ok(stream);
        }
    }
    Err(ArchiveError {
        kind: ArchiveErrorKind::Unavailable,
        phase: "recording whose history it holds",
        message: format!("other databases with the id {database} kept taking its partition"),
    })
}

/// The streams that an archive has recorded, and the one that a dbvc began which recorded none. The oldest event that is left
/// of that one names it.
pub(super) async fn with_unrecorded(
    archive: &dyn Archive,
    database: &DatabaseId,
    records: Vec<StreamRecord>,
) -> Result<Vec<Stream>, ArchiveError> {
    let mut streams: Vec<Stream> = records
        .into_iter()
        .map(|record| record.stream(database))
        .collect();
    if streams.iter().any(|stream| stream.partition.is_main()) {
        return Ok(streams);
    }
    let partition = Partition::main(database);
    let oldest = archive.chain(&partition, 0, OLDEST).await?;
    let oldest: Vec<Event> = oldest.into_iter().filter_map(|link| link.event).collect();
    // The first thing that a registry tells is how its own tables were made.
    let engine = oldest
        .iter()
        .find_map(|event| definition::engine_of(event.data["checksum"].as_str()?));
    streams.extend(oldest.into_iter().next().map(|event| Stream {
        chain: ChainId::of_first_event(event.id),
        partition,
        place: None,
        engine,
    }));
    Ok(streams)
}

/// The newest event of a partition.
///
/// # Errors
///
/// When the archive cannot be read.
pub async fn newest(
    archive: &dyn Archive,
    partition: &Partition,
) -> Result<Option<Event>, ArchiveError> {
    let newest = archive
        .events(partition, &EventFilter::default(), 1)
        .await?;
    Ok(newest.into_iter().next())
}
