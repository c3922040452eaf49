//! What of an event is news to a team: drift, a failure, an interruption. Nothing that a server said is taken over: its words can hold
//! what is in the database, and a channel is read by more people than the history.

use serde_json::Value;

use crate::audit::{Event, EventType};
use crate::script::DatabaseId;
use crate::time::Timestamp;

/// How many names of objects an announcement lists.
const NAMES: usize = 10;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// The schema is not what the scripts made.
    Drift,
    /// A script failed.
    Failed,
    /// A script was applied in part, or nobody knows; a person decides.
    HalfApplied,
    /// A script was cut off.
    Interrupted,
}

impl FindingKind {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Failed => "failed",
            Self::HalfApplied => "half-applied",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An event that is to be announced.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What was found.
    pub kind: FindingKind,
    /// The event's id: the same whenever it is announced.
    pub event_id: String,
    /// Its number in the trail of the database.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// The environment.
    pub environment: String,
    /// The database.
    pub database_id: DatabaseId,
    /// Who, by the caller's own claim.
    pub executor: String,
    /// The run.
    pub run_id: Option<String>,
    /// The attempt.
    pub execution_id: Option<String>,
    /// The migration.
    pub migration_id: Option<String>,
    /// Whether a migration was being rolled back.
    pub is_rollback: bool,
    /// Number and line of the first error.
    pub error: Option<(i64, Option<i64>)>,
    /// How many objects were added, removed and changed.
    pub changes: Option<[u64; 3]>,
    /// The first of these objects.
    pub names: Vec<String>,
}

impl Finding {
    /// What is to be announced of an event; none for most.
    pub fn of(event: &Event) -> Option<Self> {
        let data = &event.data;
        let is_half_applied = data["halfApplied"] == Value::Bool(true);
        let kind = match event.kind {
            EventType::DriftDetected => FindingKind::Drift,
            EventType::Failed | EventType::Interrupted if is_half_applied => {
                FindingKind::HalfApplied
            }
            EventType::Failed => FindingKind::Failed,
            // Who asked for it knows.
            EventType::Interrupted if data["cancelled"] == Value::Bool(true) => return None,
            EventType::Interrupted => FindingKind::Interrupted,
            _ => return None,
        };
        let count = |field: &str| data[field].as_u64();
        let changes = match (count("added"), count("removed"), count("changed")) {
            (Some(added), Some(removed), Some(changed)) => Some([added, removed, changed]),
            _ => None,
        };
        let names = data["names"].as_array().into_iter().flatten();
        Some(Self {
            kind,
            event_id: event.id.clone(),
            sequence: event.sequence,
            at: event.at,
            environment: event.environment.clone(),
            database_id: event.database_id.clone(),
            executor: event.executor.clone(),
            run_id: event.run_id.clone(),
            execution_id: event.execution_id.clone(),
            migration_id: event.migration_id.as_ref().map(ToString::to_string),
            is_rollback: data["direction"] == "down",
            error: data["errors"].get(0).and_then(|first| {
                let number = first["number"].as_i64()?;
                Some((number, first["line"].as_i64()))
            }),
            changes,
            names: names
                .filter_map(Value::as_str)
                .take(NAMES)
                .map(str::to_owned)
                .collect(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub fn event(kind: EventType, data: Value) -> Event {
        Event {
            id: format!("id of {}", kind.as_str()),
            sequence: 7,
            database_id: DatabaseId::parse("shop").unwrap(),
            migration_id: "V101__add_user_preferences".parse().ok(),
            run_id: Some("r1".to_owned()),
            execution_id: Some("e1".to_owned()),
            kind,
            at: "2025-11-27T14:30:00Z".parse().unwrap(),
            executor: "developer@lpa.com".to_owned(),
            principal: None,
            environment: "prod".to_owned(),
            data,
            previous_hash: None,
            hash: String::new(),
        }
    }

    pub fn failed() -> Finding {
        let errors = json!([
            { "number": 2627, "line": 14, "message": "the duplicate key value is (ada@lpa.com)" },
            { "number": 3621, "line": 14, "message": "the statement has been terminated" },
        ]);
        let data = json!({ "direction": "up", "halfApplied": false, "errors": errors });
        Finding::of(&event(EventType::Failed, data)).unwrap()
    }

    pub fn drift(names: &[&str]) -> Finding {
        let data = json!({ "added": 0, "removed": 0, "changed": names.len(), "names": names });
        let mut event = event(EventType::DriftDetected, data);
        (event.migration_id, event.run_id, event.execution_id) = (None, None, None);
        Finding::of(&event).unwrap()
    }

    #[test]
    fn what_went_well_is_no_news_and_neither_is_what_was_asked_for() {
        let told = |kind| Finding::of(&event(kind, json!({})));
        let news: Vec<&str> = EventType::ALL
            .into_iter()
            .filter(|kind| told(*kind).is_some())
            .map(EventType::as_str)
            .collect();
        assert_eq!(news, ["failed", "interrupted", "drift-detected"]);
        let cancelled = event(EventType::Interrupted, json!({ "cancelled": true }));
        assert_eq!(Finding::of(&cancelled), None);
    }

    #[test]
    fn half_applied_is_more_than_failed_or_interrupted() {
        for kind in [EventType::Failed, EventType::Interrupted] {
            let finding = Finding::of(&event(kind, json!({ "halfApplied": true }))).unwrap();
            assert_eq!(finding.kind, FindingKind::HalfApplied);
        }
    }

    #[test]
    fn of_an_error_number_and_line_are_told_and_no_word() {
        let failed = failed();
        assert_eq!(failed.error, Some((2627, Some(14))));
        assert!(!format!("{failed:?}").contains("ada@lpa.com"));
    }
}
