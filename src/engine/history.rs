//! The trail as callers read it: from the archive, with what is not delivered yet from the registry.

use std::collections::BTreeMap;

use crate::audit::{Event, EventFilter, from_row};
use crate::database::{Access, DatabaseError, ask};
use crate::registry::events::{self, EventPage};

use super::Engine;
use super::access::Managed;
use super::error::{EngineError, FieldError};
use super::request::HistoryQuery;
use super::view::History;

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
        let (archived, registered) = tokio::join!(
            self.archive().events(managed.id(), &filter, limit),
            self.registered_events(&managed, &filter, limit),
        );
        let registered = registered?;
        let (archived, source) = match archived {
            Ok(archived) => (archived, self.archive().source()),
            Err(error) => {
                tracing::warn!(database = %managed.id(), %error, "the registry answers for the archive");
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
}
