//! Writing to the trail: events enter their chain in the transaction of the change that they tell of.

use crate::database::{Connection, DatabaseError, Reply, Statement, ask};
use crate::registry::events::{self, EventRow};
use crate::registry::lock::Lease;
use crate::script::DatabaseId;

use super::event::{Event, EventDraft};

/// How often the head is read again because another writer was faster. Each time somebody else got on, so that this is
/// reached only when many write at once without end.
const ATTEMPTS: u32 = 50;

/// The newest event of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Its number; 0 for an empty chain.
    pub sequence: u64,
    /// Its hash; empty for an empty chain.
    pub hash: String,
}

/// Why nothing was written; the transaction must be rolled back.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else has taken the lock.
    #[error("the lock of {database_id} was taken over by another run")]
    Fenced {
        /// The database.
        database_id: DatabaseId,
    },
    /// The database's own reasons.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A change with its events, to be written within an open transaction.
#[derive(Debug)]
pub struct Change<'a> {
    /// The database that it concerns.
    pub database_id: &'a DatabaseId,
    /// Statements that change the registry; each must change exactly one row.
    pub records: Vec<Statement>,
    /// Pairs of statements of which exactly one changes a row.
    pub either: Vec<[Statement; 2]>,
    /// Statements that may change any number of rows.
    pub loose: Vec<Statement>,
    /// What it tells the trail, in order.
    pub events: Vec<EventDraft>,
    /// The lock under which it is made.
    pub lease: Option<&'a Lease>,
}

impl<'a> Change<'a> {
    /// A change that does nothing yet.
    pub fn of(database_id: &'a DatabaseId) -> Self {
        Self {
            database_id,
            records: Vec::new(),
            either: Vec::new(),
            loose: Vec::new(),
            events: Vec::new(),
            lease: None,
        }
    }
}

/// Writes a change and its events, the fence last, within the transaction that is open on `connection`.
///
/// With the head that the caller believes to be the newest this takes one round trip; when another writer was faster the
/// head is read again. Gives the new head.
///
/// # Errors
///
/// [`AppendError::Fenced`] when the lock was lost. After any error the transaction must be rolled back.
pub async fn append(
    connection: &mut dyn Connection,
    change: Change<'_>,
    believed: Option<&Head>,
) -> Result<Head, AppendError> {
    let mut head = match believed {
        Some(head) => head.clone(),
        None => read_head(connection, events::read_head(change.database_id)).await?,
    };
    let exactly_one = change.records.len();
    let pairs = change.either.len();
    let loose = change.loose.len();
    let mut before: Vec<Statement> = change.records;
    before.extend(change.either.into_iter().flatten());
    before.extend(change.loose);
    for _ in 0..ATTEMPTS {
        let (rows, next) = seal(change.database_id, &head, &change.events);
        let mut statements = std::mem::take(&mut before);
        let recorded = statements.len();
        if !rows.is_empty() {
            statements.push(events::advance_head(
                change.database_id,
                (head.sequence, &head.hash),
                (next.sequence, &next.hash),
            ));
            statements.extend(
                rows.iter()
                    .map(|row| row.insert((next.sequence, &next.hash))),
            );
        }
        statements.extend(change.lease.map(Lease::renew));
        let replies = match connection.exchange(&statements).await {
            // Under a lock nobody else adds what this change adds: whoever took the lock over has written it up.
            Err(DatabaseError::Duplicate { .. }) if change.lease.is_some() => {
                return Err(AppendError::Fenced {
                    database_id: change.database_id.clone(),
                });
            }
            replies => replies?,
        };
        if recorded > 0 {
            check_records(&replies, exactly_one, pairs)?;
            debug_assert_eq!(recorded, exactly_one + 2 * pairs + loose);
        }
        if change.lease.is_some() && replies.last().map(|reply| reply.affected) != Some(1) {
            return Err(AppendError::Fenced {
                database_id: change.database_id.clone(),
            });
        }
        if rows.is_empty() || replies.get(recorded).map(|reply| reply.affected) == Some(1) {
            return Ok(next);
        }
        // Held from now on, so that the next try is the last; after the records, so that every writer takes its locks in one
        // order.
        head = read_head(connection, events::hold_head(change.database_id)).await?;
    }
    Err(DatabaseError::Busy {
        phase: "appending to the trail",
    }
    .into())
}

fn check_records(replies: &[Reply], exactly_one: usize, pairs: usize) -> Result<(), DatabaseError> {
    let words =
        |changed: u64| format!("a record changed {changed} rows where exactly one was meant");
    let refuse = |changed: u64| DatabaseError::Refused {
        phase: "writing records",
        number: None,
        message: words(changed),
    };
    for reply in &replies[..exactly_one] {
        match reply.affected {
            1 => {}
            // Records are added where they are not there yet.
            0 => return Err(DatabaseError::Duplicate { message: words(0) }),
            changed => return Err(refuse(changed)),
        }
    }
    for pair in replies[exactly_one..exactly_one + 2 * pairs].chunks(2) {
        let changed = pair.iter().map(|reply| reply.affected).sum();
        if changed != 1 {
            return Err(refuse(changed));
        }
    }
    Ok(())
}

fn seal(database_id: &DatabaseId, head: &Head, drafts: &[EventDraft]) -> (Vec<EventRow>, Head) {
    let mut next = head.clone();
    let mut rows = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let previous = (!next.hash.is_empty()).then(|| next.hash.clone());
        let event = Event::seal(draft.clone(), database_id, next.sequence + 1, previous);
        next = Head {
            sequence: event.sequence,
            hash: event.hash.clone(),
        };
        rows.push(to_row(&event));
    }
    (rows, next)
}

async fn read_head(
    connection: &mut dyn Connection,
    read: Statement,
) -> Result<Head, DatabaseError> {
    let reply = ask(connection, read).await?;
    let Some(row) = reply.rows.first() else {
        return Err(DatabaseError::Refused {
            phase: "reading the head of the trail",
            number: None,
            message: "the database has no head".to_owned(),
        });
    };
    Ok(Head {
        sequence: row.count("sequence")?,
        hash: row.text("hash")?.to_owned(),
    })
}

/// The row that holds an event.
pub fn to_row(event: &Event) -> EventRow {
    EventRow {
        id: event.id.clone(),
        sequence: event.sequence,
        database_id: event.database_id.to_string(),
        migration_id: event.migration_id.as_ref().map(ToString::to_string),
        run_id: event.run_id.clone(),
        execution_id: event.execution_id.clone(),
        kind: event.kind.as_str().to_owned(),
        at: event.at.to_string(),
        executor: event.executor.clone(),
        principal: event.principal.clone(),
        environment: event.environment.clone(),
        data: event.data.to_string(),
        previous_hash: event.previous_hash.clone(),
        hash: event.hash.clone(),
    }
}

/// The event that a row holds; none when a field is no longer what dbvc can have written.
pub fn from_row(row: &EventRow) -> Option<Event> {
    Some(Event {
        id: row.id.clone(),
        sequence: row.sequence,
        database_id: DatabaseId::parse(&row.database_id).ok()?,
        migration_id: match &row.migration_id {
            None => None,
            Some(id) => Some(id.parse().ok()?),
        },
        run_id: row.run_id.clone(),
        execution_id: row.execution_id.clone(),
        kind: row.kind.parse().ok()?,
        at: row.at.parse().ok()?,
        executor: row.executor.clone(),
        principal: row.principal.clone(),
        environment: row.environment.clone(),
        data: serde_json::from_str(&row.data).ok()?,
        previous_hash: row.previous_hash.clone(),
        hash: row.hash.clone(),
    })
}
