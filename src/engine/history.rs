//! The trail as callers read it: from the archive, with what is not delivered yet from the registry.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audit::{Event, EventFilter, from_row};
use crate::database::{Access, DatabaseError, ask};
use crate::registry::events::{self, EventPage};

use super::Engine;
use super::access::Managed;
use super::error::{EngineError, FieldError};
use super::request::HistoryQuery;
use super::view::History;

/// How long the archive may take. The first call of a process connects, and a page may have a thousand events.
const PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// A page of a database's events, newest first.
    ///
    /// When the archive is down the registry alone answers: it keeps every event. When the registry cannot be reached there
    /// is no answer, since nobody could tell what is missing; when it does not exist any more, the archive alone answers.
    ///
    /// # Errors
    ///
    /// Also when neither has an answer.
    pub async fn history(&self, query: &HistoryQuery) -> Result<History, EngineError> {
        let before = query
            .continuation
            .as_deref()
            .map(parse_continuation)
            .transpose()?;
        let managed = self.managed(&query.database_id).await?;
        let filter = EventFilter {
            migration_id: query.migration_id.clone(),
            kind: query.kind,
            since: query.since,
            before,
        };
        // One more than asked for tells whether there is another page.
        let limit = query.limit.saturating_add(1);
        let archived = self.archived_events(&managed, &filter, limit);
        let (archived, registered) = tokio::join!(
            tokio::time::timeout(PATIENCE, archived),
            self.registered_events(&managed, &filter, limit),
        );
        let registered = registered?;
        let (archived, source) = match archived {
            Ok(Ok(Some(archived))) => archived,
            Ok(Ok(None)) => (Vec::new(), "registry"),
            Ok(Err(error)) => {
                tracing::warn!(database = %managed.id(), %error, "the registry answers for the archive");
                (Vec::new(), "registry")
            }
            Err(_) => {
                tracing::warn!(
                    database = %managed.id(),
                    "the registry answers for the archive, which does not answer in time"
                );
                (Vec::new(), "registry")
            }
        };
        let (events, continuation) = page(archived, registered, query.limit as usize);
        Ok(History {
            events,
            continuation,
            source,
        })
    }

    /// A page of the events that the archive has, and the word for the archive; none without one.
    async fn archived_events(
        &self,
        managed: &Managed,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Option<(Vec<Event>, &'static str)>, EngineError> {
        let Some(archive) = self.archive_of(managed) else {
            return Ok(None);
        };
        let mut connection = match managed.database.open(Access::Read).await {
            Ok(connection) => Some(connection),
            Err(DatabaseError::Absent) => None,
            Err(error) => return Err(managed.problem(error)),
        };
        let connection = connection
            .as_mut()
            .map(|connection| connection.as_mut() as _);
        let events = match self.archived(connection, managed).await? {
            Some((archive, partition)) => archive.events(&partition, filter, limit).await?,
            None => Vec::new(),
        };
        Ok(Some((events, archive.source())))
    }

    /// A page of the events that the registry has. It keeps those that are delivered, so whatever the archive lacks is here.
    async fn registered_events(
        &self,
        managed: &Managed,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, EngineError> {
        let page = EventPage {
            before: filter.before.unwrap_or(u64::MAX),
            migration_id: filter.migration_id.as_deref(),
            kind: filter.kind.map(|kind| kind.as_str()),
            since: filter.since,
            limit,
        };
        let statement = events::page(managed.id(), page);
        let read = async {
            let mut connection = managed.database.open(Access::Read).await?;
            let reply = ask(connection.as_mut(), statement).await?;
            let rows = reply.rows.iter().map(events::parse);
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        };
        match read.await {
            // A row that is no event any more is for verifying to name.
            Ok(rows) => Ok(rows.iter().filter_map(from_row).collect()),
            Err(DatabaseError::Absent | DatabaseError::NoRegistry { .. }) => Ok(Vec::new()),
            Err(error) => Err(managed.problem(error)),
        }
    }
}

/// The newest events of both, each once, and where the next page begins. What both have is the archive's.
fn page(
    archived: Vec<Event>,
    registered: Vec<Event>,
    limit: usize,
) -> (Vec<Event>, Option<String>) {
    let mut events: BTreeMap<u64, Event> = BTreeMap::new();
    for event in archived.into_iter().chain(registered) {
        events.entry(event.sequence).or_insert(event);
    }
    let more = events.len() > limit;
    let events: Vec<Event> = events.into_values().rev().take(limit).collect();
    let continuation = events
        .last()
        .filter(|_| more)
        .map(|last| last.sequence.to_string());
    (events, continuation)
}

fn parse_continuation(text: &str) -> Result<u64, EngineError> {
    // The registry counts with 63 bits.
    text.parse::<i64>()
        .ok()
        .and_then(|sequence| u64::try_from(sequence).ok())
        .ok_or_else(|| {
            EngineError::Invalid(vec![FieldError::new(
                "continuation",
                "must be what the page before gave as continuation",
            )])
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{EventDraft, EventType};
    use crate::engine::testing::Shop;
    use crate::script::DatabaseId;

    fn event(sequence: u64, executor: &str) -> Event {
        let draft = EventDraft {
            kind: EventType::Registered,
            migration_id: None,
            run_id: None,
            execution_id: None,
            at: "2025-11-27T14:30:00Z".parse().unwrap(),
            executor: executor.to_owned(),
            principal: None,
            environment: "dev".to_owned(),
            data: serde_json::json!({}),
        };
        Event::seal(draft, &DatabaseId::parse("shop").unwrap(), sequence, None)
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.sequence).collect()
    }

    #[test]
    fn what_is_not_delivered_yet_comes_first() {
        let archived = vec![event(2, "archive"), event(1, "archive")];
        let registered = vec![event(3, "registry"), event(2, "registry")];
        let (events, continuation) = page(archived, registered, 10);
        assert_eq!(numbers(&events), [3, 2, 1]);
        assert_eq!(events[1].executor, "archive");
        assert_eq!(continuation, None);
    }

    #[test]
    fn a_full_page_says_where_the_next_begins() {
        let archived = (1..=4).rev().map(|n| event(n, "archive")).collect();
        let (events, continuation) = page(archived, Vec::new(), 3);
        assert_eq!(numbers(&events), [4, 3, 2]);
        assert_eq!(parse_continuation(&continuation.unwrap()).unwrap(), 2);
        assert!(parse_continuation("-1").is_err());
        assert!(parse_continuation("next").is_err());
    }

    fn query(limit: u32, continuation: Option<String>) -> HistoryQuery {
        HistoryQuery {
            database_id: Shop::id(),
            migration_id: None,
            kind: None,
            since: None,
            limit,
            continuation,
        }
    }

    #[tokio::test]
    async fn an_event_shows_from_its_commit_on() {
        let shop = Shop::at_work().await;
        let whole = shop.engine.history(&query(1000, None)).await.unwrap();
        assert_eq!(whole.source, "embedded");
        // As if the newest were not delivered yet.
        shop.by_hand_in_archive("DELETE FROM \"change-events\" WHERE sequence > 5");
        assert_eq!(
            shop.engine.history(&query(1000, None)).await.unwrap(),
            whole
        );
        // The archive remembers what the registry lost.
        shop.by_hand("DELETE FROM audit_events WHERE sequence < 4");
        assert_eq!(
            shop.engine.history(&query(1000, None)).await.unwrap(),
            whole
        );
    }

    #[tokio::test]
    async fn pages_and_filters_leave_nothing_out() {
        let shop = Shop::at_work().await;
        let whole = shop
            .engine
            .history(&query(1000, None))
            .await
            .unwrap()
            .events;
        let mut seen = Vec::new();
        let mut continuation = None;
        loop {
            let page = shop.engine.history(&query(4, continuation)).await.unwrap();
            seen.extend(page.events);
            continuation = page.continuation;
            if continuation.is_none() {
                break;
            }
        }
        assert_eq!(seen, whole);
        let mut of_one = query(1000, None);
        of_one.migration_id = Some("V101__orders".to_owned());
        of_one.kind = Some(EventType::Completed);
        let found = shop.engine.history(&of_one).await.unwrap().events;
        assert_eq!(found.len(), 1);
        let mut later = query(1000, None);
        later.since = Some(whole[0].at.plus_seconds(60));
        assert_eq!(shop.engine.history(&later).await.unwrap().events, []);
    }

    #[tokio::test]
    async fn the_registry_answers_when_the_archive_is_down_and_the_archive_when_the_database_is_gone()
     {
        let shop = Shop::at_work().await;
        let whole = shop.engine.history(&query(1000, None)).await.unwrap();
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(shop.file(&format!("shop.sqlite{end}")));
        }
        assert_eq!(
            shop.engine.history(&query(1000, None)).await.unwrap(),
            whole
        );

        let shop = Shop::at_work().await;
        let whole = shop.engine.history(&query(1000, None)).await.unwrap();
        std::fs::write(
            shop.file("_version-control.sqlite"),
            "no database, but long enough for one",
        )
        .unwrap();
        let found = shop.engine.history(&query(1000, None)).await.unwrap();
        assert_eq!(found.source, "registry");
        assert_eq!(found.events, whole.events);
    }
}
