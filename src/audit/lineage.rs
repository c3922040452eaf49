//! Which stream of an archive holds the history of a registry, and whether the two still agree on it.

use crate::database::{Connection, Database, DatabaseError, Place, Row, ask};
use crate::registry::events;
use crate::script::DatabaseId;

use super::archive::{Archive, ArchiveError};
use super::chain::Link;
use super::stream::{self, ChainId, Partition, Stream};

/// How many events are compared at once.
const AT_ONCE: u32 = 500;

/// How the chain in a registry begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The chain, named by the oldest event that is left of it.
    pub chain: ChainId,
    /// Whether that is its first event. It is not when that one was removed.
    pub is_whole: bool,
}

/// Why the stream of a registry is not known.
#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The registry, or the database itself, cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The archive has another chain of this very database.
    #[error("the archive has another history of this database from the first event on")]
    Contradicting,
}

/// How the chain of a database begins in its registry; none when nothing has happened yet, and without a registry.
///
/// # Errors
///
/// When the registry cannot be read.
pub async fn origin(
    connection: &mut dyn Connection,
    database: &DatabaseId,
) -> Result<Option<Origin>, DatabaseError> {
    let oldest = match ask(connection, events::oldest(database)).await {
        Err(DatabaseError::NoRegistry { .. }) => return Ok(None),
        oldest => oldest?,
    };
    let Some(row) = oldest.rows.first() else {
        return Ok(None);
    };
    Ok(Some(Origin {
        chain: ChainId::of_first_event(row.text("event_id")?),
        is_whole: row.count("sequence")? == 1,
    }))
}

/// What an archive has of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lineage {
    /// Nothing.
    Unknown,
    /// The stream of its chain; where the registry is gone or lacks its beginning, the stream of the place at which it stands.
    Own(Stream),
    /// The stream of the place at which it stands, which holds another chain: the database was replaced by another one, or its
    /// trail was rewritten from the first event on.
    Contradicting(Stream),
}

/// What an archive has of a database. `origin`: how the chain in its registry begins; none without a registry.
///
/// # Errors
///
/// When archive or registry cannot be read.
pub async fn of(
    connection: Option<&mut dyn Connection>,
    origin: Option<&Origin>,
    id: &DatabaseId,
    database: &dyn Database,
    archive: &dyn Archive,
) -> Result<Lineage, LineageError> {
    let mut streams = archive.streams(id).await?;
    if streams.is_empty() {
        return Ok(Lineage::Unknown);
    }
    if let Some(origin) = origin {
        if let Some(found) = streams.iter().find(|stream| stream.chain == origin.chain) {
            return Ok(Lineage::Own(found.clone()));
        }
        let unrecorded = streams.iter().find(|stream| stream.place.is_none());
        if let (Some(unrecorded), Some(connection)) = (unrecorded, connection) {
            let known = events::by_id(id, unrecorded.chain.as_str());
            if !ask(connection, known).await?.rows.is_empty() {
                return Ok(Lineage::Own(unrecorded.clone()));
            }
        }
    }
    let place = database.place().await?;
    // The ids of events, and so those of chains, grow with time: the newest one counts.
    streams.sort_by(|a, b| a.chain.as_str().cmp(b.chain.as_str()));
    let here = streams
        .into_iter()
        .rfind(|stream| archive.is_stream_of(stream, &place));
    let has_another_beginning = origin.is_some_and(|origin| origin.is_whole);
    Ok(match here {
        None => Lineage::Unknown,
        Some(stream) if has_another_beginning => Lineage::Contradicting(stream),
        Some(stream) => Lineage::Own(stream),
    })
}

/// Where the history of a registry is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The chain in the registry.
    pub chain: ChainId,
    /// Where the archive holds it.
    pub partition: Partition,
    /// Where the database stands, when the archive has another place on record. It is recorded with the next event: the
    /// database that continues a stream owns it, and a copy that only looks on does not.
    pub new_place: Option<Place>,
}

/// What to do before a registry can be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// Nothing has happened yet.
    NothingToDeliver,
    /// The archive has a stream of this chain.
    Known(Attachment),
    /// The archive has nothing of this chain: hand over everything, then record the stream by [`begin`].
    New(ChainId),
}

/// Finds the stream of a registry.
///
/// # Errors
///
/// [`LineageError::Contradicting`] when the archive has another chain of this very database. When archive, registry or database
/// cannot be used.
pub async fn attach(
    connection: &mut dyn Connection,
    origin: Option<&Origin>,
    id: &DatabaseId,
    database: &dyn Database,
    archive: &dyn Archive,
) -> Result<Attach, LineageError> {
    let Some(origin) = origin else {
        return Ok(Attach::NothingToDeliver);
    };
    match of(Some(&mut *connection), Some(origin), id, database, archive).await? {
        Lineage::Unknown => Ok(Attach::New(origin.chain.clone())),
        Lineage::Contradicting(_) => Err(LineageError::Contradicting),
        Lineage::Own(stream) => {
            // A reference that leads nowhere keeps no event from its archive.
            let place = database.place().await.ok();
            Ok(Attach::Known(Attachment {
                chain: origin.chain.clone(),
                // What names the chain was removed: there is nothing to record under.
                new_place: place
                    .filter(|place| origin.is_whole && stream.place.as_ref() != Some(place)),
                partition: stream.partition,
            }))
        }
    }
}

/// Begins the stream of a chain of which the archive has nothing.
///
/// # Errors
///
/// When the archive cannot be used, or the database does not say where it stands.
pub async fn begin(
    id: &DatabaseId,
    database: &dyn Database,
    archive: &dyn Archive,
    chain: &ChainId,
) -> Result<Attachment, LineageError> {
    let place = database.place().await?;
    let stream = stream::claim(archive, id, chain, &place, None).await?;
    Ok(Attachment {
        chain: chain.clone(),
        partition: stream.partition,
        new_place: None,
    })
}

/// How the archive's stream stands to the events that are to be added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// They continue it.
    Continues,
    /// It has no event at all.
    Empty,
    /// It has other events of their numbers, or before them. The number is that of the last event that both have. That is so
    /// when one of two databases was restored from a copy of the other.
    Parted(u64),
}

/// Compares the archive's stream with a registry. `waiting`: number and id of the events that are to be added, in order.
///
/// # Errors
///
/// When archive or registry cannot be read.
pub async fn continuation(
    connection: &mut dyn Connection,
    id: &DatabaseId,
    archive: &dyn Archive,
    partition: &Partition,
    waiting: &[(u64, String)],
) -> Result<Continuation, LineageError> {
    let Some((first, _)) = waiting.first() else {
        return Ok(Continuation::Continues);
    };
    let Some(newest) = stream::newest(archive, partition).await? else {
        return Ok(Continuation::Empty);
    };
    let mut agrees = true;
    let same = ask(connection, events::at(id, newest.sequence)).await?;
    if let Some(row) = same.rows.first() {
        agrees &= row.text("event_id").map_err(DatabaseError::from)? == newest.id;
    }
    if agrees && newest.sequence >= *first {
        let links = archive
            .chain(partition, first.saturating_sub(1), AT_ONCE)
            .await?;
        agrees = waiting
            .iter()
            .all(|(sequence, id)| is_same_or_absent(&links, *sequence, id));
    }
    if agrees {
        return Ok(Continuation::Continues);
    }
    last_in_common(connection, id, archive, partition)
        .await
        .map(Continuation::Parted)
}

/// Whether none of the links is another event of this number. One that cannot be read is for verifying to name.
fn is_same_or_absent(links: &[Link], sequence: u64, id: &str) -> bool {
    let mut others = links
        .iter()
        .filter(|link| link.sequence == sequence)
        .filter_map(|link| link.event.as_ref());
    let first = others.next();
    first.is_none_or(|event| event.id == id) || others.any(|event| event.id == id)
}

async fn last_in_common(
    connection: &mut dyn Connection,
    id: &DatabaseId,
    archive: &dyn Archive,
    partition: &Partition,
) -> Result<u64, LineageError> {
    let mut common = 0;
    loop {
        let links = archive.chain(partition, common, AT_ONCE).await?;
        let rows = ask(connection, events::chain(id, common, AT_ONCE))
            .await?
            .rows;
        let before = common;
        for row in &rows {
            let (sequence, event_id) = numbered(row)?;
            let found = links.iter().any(|link| link.sequence == sequence);
            if !found || !is_same_or_absent(&links, sequence, &event_id) {
                return Ok(common);
            }
            common = sequence;
        }
        if common == before {
            return Ok(common);
        }
    }
}

fn numbered(row: &Row) -> Result<(u64, String), DatabaseError> {
    Ok((row.count("sequence")?, row.text("event_id")?.to_owned()))
}
