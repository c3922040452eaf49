//! The rows of the trail and of its head. What an event is, and how events are chained, is the business of `audit`.

use crate::database::{ColumnError, Row, Statement, Value};
use crate::script::DatabaseId;
use crate::time::Timestamp;

use super::statements as sql;

/// An event as a row: every field as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its id.
    pub id: String,
    /// Its number.
    pub sequence: u64,
    /// The database.
    pub database_id: String,
    /// The migration.
    pub migration_id: Option<String>,
    /// The run.
    pub run_id: Option<String>,
    /// The attempt.
    pub execution_id: Option<String>,
    /// The type.
    pub kind: String,
    /// When.
    pub at: String,
    /// The caller's claim.
    pub executor: String,
    /// What Azure says of the caller.
    pub principal: Option<String>,
    /// The environment.
    pub environment: String,
    /// JSON text of the data.
    pub data: String,
    /// Hash of the event before.
    pub previous_hash: Option<String>,
    /// Its hash.
    pub hash: String,
}

/// Which events of a database to read from the registry.
#[derive(Debug, Clone, Copy)]
pub struct EventPage<'a> {
    /// Only those before this number.
    pub before: u64,
    /// Only those of this migration.
    pub migration_id: Option<&'a str>,
    /// Only those of this type.
    pub kind: Option<&'a str>,
    /// Only those at or after this moment.
    pub since: Option<Timestamp>,
    /// At most so many.
    pub limit: u32,
}

fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// Makes the head of an empty chain when there is none.
pub fn add_head(database_id: &DatabaseId) -> Statement {
    sql::HEAD_ADD.bind([database_id.as_str().into()])
}

/// Reads the head: `sequence` and `hash`, which is empty for an empty chain.
pub fn read_head(database_id: &DatabaseId) -> Statement {
    sql::HEAD_READ.bind([database_id.as_str().into()])
}

/// The other databases that have a trail in this registry: `database_id`.
pub fn heads_of_others(database_id: &DatabaseId) -> Statement {
    sql::HEADS_OF_OTHERS.bind([database_id.as_str().into()])
}

/// Reads the head and keeps everybody else from moving it until the transaction ends.
pub fn hold_head(database_id: &DatabaseId) -> Statement {
    sql::HEAD_HOLD.bind([database_id.as_str().into()])
}

/// Moves the head on, if nobody else has: changes one row or none.
pub fn advance_head(database_id: &DatabaseId, from: (u64, &str), to: (u64, &str)) -> Statement {
    sql::HEAD_ADVANCE.bind([
        database_id.as_str().into(),
        number(from.0).into(),
        from.1.into(),
        number(to.0).into(),
        to.1.into(),
    ])
}

impl EventRow {
    /// Adds the event, provided that the head was moved to `head`.
    pub fn insert(&self, head: (u64, &str)) -> Statement {
        sql::EVENT_INSERT.bind([
            self.id.as_str().into(),
            self.database_id.as_str().into(),
            number(self.sequence).into(),
            self.migration_id.as_deref().into(),
            self.run_id.as_deref().into(),
            self.execution_id.as_deref().into(),
            self.kind.as_str().into(),
            // What is written was made by dbvc, so it is a moment; text that is none is the server's to refuse.
            self.at
                .parse::<Timestamp>()
                .map_or_else(|_| self.at.as_str().into(), Value::Time),
            self.executor.as_str().into(),
            self.principal.as_deref().into(),
            self.environment.as_str().into(),
            self.data.as_str().into(),
            self.previous_hash.as_deref().into(),
            self.hash.as_str().into(),
            number(head.0).into(),
            head.1.into(),
        ])
    }
}

/// A page of events, newest first.
pub fn page(database_id: &DatabaseId, page: EventPage<'_>) -> Statement {
    sql::EVENTS_PAGE.bind([
        database_id.as_str().into(),
        number(page.before).into(),
        page.migration_id.unwrap_or_default().into(),
        page.kind.unwrap_or_default().into(),
        page.since.unwrap_or(Timestamp::FIRST).into(),
        page.limit.into(),
    ])
}

/// A piece of the chain: at most `limit` events after the number `after`, oldest first.
pub fn chain(database_id: &DatabaseId, after: u64, limit: u32) -> Statement {
    sql::EVENTS_CHAIN.bind([
        database_id.as_str().into(),
        number(after).into(),
        limit.into(),
    ])
}

/// The oldest event that is left: `event_id`, `sequence`.
pub fn oldest(database_id: &DatabaseId) -> Statement {
    sql::EVENT_OLDEST.bind([database_id.as_str().into(), 1_u32.into()])
}

/// The event of a number: `event_id`.
pub fn at(database_id: &DatabaseId, sequence: u64) -> Statement {
    sql::EVENT_AT.bind([database_id.as_str().into(), number(sequence).into()])
}

/// The event of an id: `sequence`.
pub fn by_id(database_id: &DatabaseId, event_id: &str) -> Statement {
    sql::EVENT_BY_ID.bind([database_id.as_str().into(), event_id.into()])
}

/// How much of a database is on record as delivered: `events`, `migrations`.
pub fn count_delivered(database_id: &DatabaseId) -> Statement {
    sql::DELIVERED_COUNT.bind([database_id.as_str().into()])
}

/// The oldest events that the archive does not have, at most `limit`; without those that it has refused at or after a moment.
pub fn undelivered(database_id: &DatabaseId, limit: u32, refused_before: Timestamp) -> Statement {
    sql::EVENTS_UNDELIVERED.bind([
        database_id.as_str().into(),
        limit.into(),
        refused_before.into(),
    ])
}

/// Notes that the archive does not accept an event.
pub fn mark_refused(
    database_id: &DatabaseId,
    sequence: u64,
    at: Timestamp,
    refusal: &str,
) -> Statement {
    sql::EVENT_REFUSED.bind([
        database_id.as_str().into(),
        number(sequence).into(),
        at.into(),
        refusal.into(),
    ])
}

/// The events that the archive did not accept: `sequence`, `refusal`.
pub fn refused(database_id: &DatabaseId, limit: u32) -> Statement {
    sql::EVENTS_REFUSED.bind([database_id.as_str().into(), limit.into()])
}

/// The numbers of all events that the archive does not have, in order: `sequence`.
pub fn undelivered_numbers(database_id: &DatabaseId) -> Statement {
    sql::EVENTS_UNDELIVERED_NUMBERS.bind([database_id.as_str().into()])
}

/// How many events of all databases in this registry the archive does not have: `events`.
pub fn count_undelivered() -> Statement {
    sql::EVENTS_UNDELIVERED_COUNT.bind([])
}

/// Notes that the archive has the events from `first` to `last`.
pub fn mark_delivered(database_id: &DatabaseId, first: u64, last: u64, at: Timestamp) -> Statement {
    sql::EVENTS_DELIVERED.bind([
        database_id.as_str().into(),
        number(first).into(),
        number(last).into(),
        at.into(),
    ])
}

/// Has all events delivered anew.
pub fn deliver_again(database_id: &DatabaseId) -> Statement {
    sql::EVENTS_TO_DELIVER_AGAIN.bind([database_id.as_str().into()])
}

/// The newest event of a type.
pub fn last_of_type(database_id: &DatabaseId, kind: &str) -> Statement {
    sql::EVENT_LAST_OF_TYPE.bind([database_id.as_str().into(), kind.into(), 1_u32.into()])
}

/// A row with an event.
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse(row: &Row) -> Result<EventRow, ColumnError> {
    let optional = |column: &str| {
        row.optional_text(column)
            .map(|text| text.map(str::to_owned))
    };
    Ok(EventRow {
        id: row.text("event_id")?.to_owned(),
        sequence: row.count("sequence")?,
        database_id: row.text("database_id")?.to_owned(),
        migration_id: optional("migration_id")?,
        run_id: optional("run_id")?,
        execution_id: optional("execution_id")?,
        kind: row.text("type")?.to_owned(),
        at: row.text("at")?.to_owned(),
        executor: row.text("executor")?.to_owned(),
        principal: optional("principal")?,
        environment: row.text("environment")?.to_owned(),
        data: row.text("data")?.to_owned(),
        previous_hash: optional("previous_hash")?,
        hash: row.text("hash")?.to_owned(),
    })
}
