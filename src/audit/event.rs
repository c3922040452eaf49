//! An event of the trail, and the hash that ties it to the one before.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::script::{DatabaseId, MigrationId};
use crate::time::Timestamp;

/// The size of an event's canonical JSON in bytes that may not be exceeded.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Longest text that is kept within an event's data; the execution history has the rest. A batch of characters can take
/// six bytes each in JSON (`\u0001`), and an event holds at most a handful of such texts.
const MAX_TEXT_CHARS: usize = 1_500;

/// Most items of a list that is kept within an event's data.
const MAX_LIST_ITEMS: usize = 20;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventType {
    /// A migration was registered.
    Registered,
    /// The text of a registered migration was replaced.
    Reregistered,
    /// A migration was withdrawn.
    Withdrawn,
    /// An execution began.
    Started,
    /// An execution succeeded.
    Completed,
    /// An execution failed.
    Failed,
    /// A migration was rolled back.
    RolledBack,
    /// An execution ended without a result.
    Interrupted,
    /// A person said what is true of a half-applied script.
    Resolved,
    /// A migration was marked applied without running.
    Baselined,
    /// The lock of a dead run was taken over.
    LockTakenOver,
    /// A request was refused.
    Refused,
    /// A snapshot was taken.
    SnapshotCaptured,
    /// The schema differs from what the scripts made.
    DriftDetected,
    /// Verifying mended something.
    IntegrityFixed,
    /// The inventory was changed.
    DatabaseChanged,
}

impl EventType {
    /// Every type, in the order of the contract.
    pub const ALL: [Self; 16] = [
        Self::Registered,
        Self::Reregistered,
        Self::Withdrawn,
        Self::Started,
        Self::Completed,
        Self::Failed,
        Self::RolledBack,
        Self::Interrupted,
        Self::Resolved,
        Self::Baselined,
        Self::LockTakenOver,
        Self::Refused,
        Self::SnapshotCaptured,
        Self::DriftDetected,
        Self::IntegrityFixed,
        Self::DatabaseChanged,
    ];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Reregistered => "reregistered",
            Self::Withdrawn => "withdrawn",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
            Self::Interrupted => "interrupted",
            Self::Resolved => "resolved",
            Self::Baselined => "baselined",
            Self::LockTakenOver => "lock-taken-over",
            Self::Refused => "refused",
            Self::SnapshotCaptured => "snapshot-captured",
            Self::DriftDetected => "drift-detected",
            Self::IntegrityFixed => "integrity-fixed",
            Self::DatabaseChanged => "database-changed",
        }
    }
}

/// A text that is no event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be one of registered, reregistered, withdrawn, started, completed, failed, rolled-back, interrupted, resolved, baselined, lock-taken-over, refused, snapshot-captured, drift-detected, integrity-fixed, database-changed"
)]
pub struct EventTypeError;

impl std::str::FromStr for EventType {
    type Err = EventTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(EventTypeError)
    }
}

/// An event before it has its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDraft {
    /// What happened.
    pub kind: EventType,
    /// The migration that it concerns.
    pub migration_id: Option<MigrationId>,
    /// The run.
    pub run_id: Option<String>,
    /// The attempt.
    pub execution_id: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The caller's own claim.
    pub executor: String,
    /// What Azure says of the caller.
    pub principal: Option<String>,
    /// The environment.
    pub environment: String,
    /// What else there is to say; an object.
    pub data: serde_json::Value,
}

/// An event of the trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its number in the chain of its database, from 1.
    pub sequence: u64,
    /// The database whose chain it is in.
    pub database_id: DatabaseId,
    /// The migration that it concerns.
    pub migration_id: Option<MigrationId>,
    /// The run.
    pub run_id: Option<String>,
    /// The attempt.
    pub execution_id: Option<String>,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When, by the clock of the instance that wrote it; the order is that of `sequence`.
    pub at: Timestamp,
    /// The caller's own claim.
    pub executor: String,
    /// What Azure says of the caller.
    pub principal: Option<String>,
    /// The environment.
    pub environment: String,
    /// What else there is to say.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub data: serde_json::Value,
    /// Hash of the event before; null for the first.
    pub previous_hash: Option<String>,
    /// `sha256:` over the RFC 8785 JSON of this event without `hash`.
    pub hash: String,
}

impl Event {
    /// Gives a draft its place in the chain. Texts too long for an event are cut; the execution history has them whole.
    pub fn seal(
        draft: EventDraft,
        database_id: &DatabaseId,
        sequence: u64,
        previous_hash: Option<String>,
    ) -> Self {
        let mut event = Self {
            id: uuid::Uuid::now_v7().to_string(),
            sequence,
            database_id: database_id.clone(),
            migration_id: draft.migration_id,
            run_id: draft.run_id,
            execution_id: draft.execution_id,
            kind: draft.kind,
            at: draft.at,
            executor: draft.executor,
            principal: draft.principal,
            environment: draft.environment,
            data: draft.data,
            previous_hash,
            hash: String::new(),
        };
        if event.canonical().len() > MAX_EVENT_BYTES {
            shorten(&mut event.data);
            if event.canonical().len() > MAX_EVENT_BYTES {
                event.data = serde_json::json!({ "shortened": true });
            }
        }
        event.hash = event.computed_hash();
        event
    }

    /// The event that a document of the archive holds; none when a field is not what dbvc can have written, is missing, or is
    /// not dbvc's: a document that says more than the event does is not the event.
    pub fn from_document(document: serde_json::Value) -> Option<Self> {
        let event: Self = serde_json::from_value(document.clone()).ok()?;
        let written = serde_json::to_value(&event).ok()?;
        let (found, written) = (document.as_object()?, written.as_object()?);
        let is_same =
            found.len() == written.len() && written.keys().all(|key| found.contains_key(key));
        is_same.then_some(event)
    }

    /// The hash that this event must have.
    pub fn computed_hash(&self) -> String {
        let digest = Sha256::digest(self.canonical().as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }

    fn canonical(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.remove("hash");
        }
        // Plain JSON values always have a canonical form.
        serde_json_canonicalizer::to_string(&value).unwrap_or_default()
    }
}

fn shorten(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            if let Some((cut, _)) = text.char_indices().nth(MAX_TEXT_CHARS) {
                text.truncate(cut);
                text.push_str("… (shortened; the execution history has it whole)");
            }
        }
        serde_json::Value::Array(items) => {
            items.truncate(MAX_LIST_ITEMS);
            items.iter_mut().for_each(shorten);
        }
        serde_json::Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(data: serde_json::Value) -> EventDraft {
        EventDraft {
            kind: EventType::Failed,
            migration_id: None,
            run_id: None,
            execution_id: None,
            at: "2025-11-27T14:30:00.000Z".parse().unwrap(),
            executor: "developer@lpa.com".to_owned(),
            principal: None,
            environment: "dev".to_owned(),
            data,
        }
    }

    fn database() -> DatabaseId {
        DatabaseId::parse("lpa-bloom-sql-dev").unwrap()
    }

    #[test]
    fn the_hash_covers_every_field_but_itself() {
        let event = Event::seal(draft(serde_json::json!({"a": 1})), &database(), 1, None);
        assert_eq!(event.hash, event.computed_hash());
        let mut other = event.clone();
        other.executor.push('x');
        assert_ne!(other.computed_hash(), event.hash);
        let mut other = event.clone();
        other.data = serde_json::json!({"a": 2});
        assert_ne!(other.computed_hash(), event.hash);
        let mut other = event;
        other.previous_hash = Some("sha256:0".to_owned());
        assert_ne!(other.computed_hash(), other.hash);
    }

    #[test]
    fn the_hash_is_that_of_the_contracts_rule() {
        let mut event = Event::seal(
            draft(serde_json::json!({"b": 1, "a": "ä"})),
            &database(),
            1,
            None,
        );
        event.id = "00000000-0000-7000-8000-000000000000".to_owned();
        // Computed with another implementation of RFC 8785.
        let canonical = concat!(
            r#"{"at":"2025-11-27T14:30:00.000Z","data":{"a":"ä","b":1},"databaseId":"lpa-bloom-sql-dev","#,
            r#""environment":"dev","executionId":null,"executor":"developer@lpa.com","#,
            r#""id":"00000000-0000-7000-8000-000000000000","migrationId":null,"previousHash":null,"principal":null,"#,
            r#""runId":null,"sequence":1,"type":"failed"}"#
        );
        assert_eq!(event.canonical(), canonical);
    }

    #[test]
    fn a_document_that_says_less_or_more_than_an_event_is_none() {
        let event = Event::seal(draft(serde_json::json!({"a": 1})), &database(), 1, None);
        let document = serde_json::to_value(&event).unwrap();
        assert_eq!(Event::from_document(document.clone()), Some(event));
        for field in ["principal", "hash", "type"] {
            let mut less = document.clone();
            less.as_object_mut().unwrap().remove(field);
            assert_eq!(Event::from_document(less), None, "{field}");
        }
        let mut more = document.clone();
        more["approvedBy"] = "nobody".into();
        assert_eq!(Event::from_document(more), None);
        let mut other = document;
        other["sequence"] = "1".into();
        assert_eq!(Event::from_document(other), None);
    }

    #[test]
    fn an_event_never_exceeds_its_limit() {
        let long = "\u{1}".repeat(MAX_EVENT_BYTES);
        for data in [
            serde_json::json!({ "errors": vec![serde_json::json!({"message": long}); 30] }),
            serde_json::json!({ "text": long }),
        ] {
            let event = Event::seal(draft(data), &database(), 1, None);
            assert!(event.canonical().len() <= MAX_EVENT_BYTES);
            assert_eq!(event.hash, event.computed_hash());
        }
    }

    #[test]
    fn every_type_reads_as_it_is_written() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::json!(kind), serde_json::json!(kind.as_str()));
        }
    }
}
