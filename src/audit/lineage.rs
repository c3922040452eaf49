//! Which stream of an archive holds the history of a registry, and whether the two still agree on it.

use crate::database::{Connection, Database, DatabaseError, Row, ask};
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
    /// Whether that is its first event. It is not when somebody removed that one.
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

/// The stream to which the history of a registry is delivered, and whether the archive has only just met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The chain in the registry.
    pub chain: ChainId,
    /// Where the archive holds it.
    pub partition: Partition,
    /// Whether the archive had nothing of this chain before.
    pub is_new: bool,
}

/// Finds the stream of a registry, or begins one, and records where the database stands. None when the registry has no event.
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
) -> Result<Option<Attachment>, LineageError> {
    let Some(origin) = origin else {
        return Ok(None);
    };
    let lineage = of(Some(&mut *connection), Some(origin), id, database, archive).await?;
    let found = match lineage {
        Lineage::Unknown => None,
        Lineage::Own(stream) => Some(stream),
        Lineage::Contradicting(_) => return Err(LineageError::Contradicting),
    };
    let partition = match (&found, origin.is_whole) {
        (_, true) => {
            let place = database.place().await?;
            let known = found.as_ref().map(|stream| &stream.partition);
            let claimed = stream::claim(archive, id, &origin.chain, &place, known).await?;
            claimed.partition
        }
        // What names the chain was removed, so there is nothing to record.
        (Some(found), false) => found.partition.clone(),
        (None, false) => Partition::of_chain(id, &origin.chain),
    };
    Ok(Some(Attachment {
        chain: origin.chain.clone(),
        partition,
        is_new: found.is_none(),
    }))
}

/// The number of the last event on which registry and archive agree, when the two tell different histories after it: each has
/// an event of the next number, and they are not the same one. That is so when one of two databases was restored from a copy
/// of the other. None when they agree. `waiting`: number and id of the events that are to be added, in order.
///
/// # Errors
///
/// When archive or registry cannot be read.
pub async fn parted_after(
    connection: &mut dyn Connection,
    id: &DatabaseId,
    archive: &dyn Archive,
    partition: &Partition,
    waiting: &[(u64, String)],
) -> Result<Option<u64>, LineageError> {
    let Some((first, _)) = waiting.first() else {
        return Ok(None);
    };
    let Some(newest) = stream::newest(archive, partition).await? else {
        return Ok(None);
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
        return Ok(None);
    }
    last_in_common(connection, id, archive, partition)
        .await
        .map(Some)
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
