//! What a trail tells of the executions, and of the state that they left: pure.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::audit::{Event, EventType};
use crate::registry::executions::{Direction, Execution, ExecutionStatus};
use crate::registry::migrations::AppliedStatus;
use crate::script::{Checksum, MigrationId};

use super::is_own;

/// What stands in the note of an execution that was read from the trail.
const NOTE: &str = "restored from the trail, which does not tell of its batches";

/// A state as the trail left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub status: AppliedStatus,
    /// That of the up script which was applied, or was tried last.
    pub checksum: Checksum,
    /// Place of the execution in [`Replay::executions`].
    pub execution: usize,
}

/// An execution, and what the registry keeps beside it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Restored {
    pub execution: Execution,
    pub principal: Option<String>,
    pub environment: String,
    /// It was on a database that is gone: the present one was made anew.
    pub is_gone: bool,
}

/// What a trail tells.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// In the order of their beginning.
    pub executions: Vec<Restored>,
    /// The state of every migration that has one.
    pub states: BTreeMap<MigrationId, State>,
    /// The newest row of the inventory that the trail names, by database; only the home database's trail has any.
    pub databases: BTreeMap<String, Value>,
    /// The number of the event that tells that the database was made anew; 0 when none does.
    pub made_anew_by: u64,
    /// Numbers of events that should name something and do not.
    pub unclear: Vec<u64>,
    places: HashMap<String, usize>,
}

/// What an event says of an execution and of its migration's state.
struct Told {
    status: ExecutionStatus,
    state: Option<AppliedStatus>,
}

impl Replay {
    /// Follows a chain from its beginning.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut replay = Self::default();
        for event in events {
            if replay.follow(event).is_none() {
                replay.unclear.push(event.sequence);
            }
        }
        replay
    }

    /// None when the event does not have what its type takes.
    fn follow(&mut self, event: &Event) -> Option<()> {
        match event.kind {
            EventType::Started
            | EventType::Completed
            | EventType::Failed
            | EventType::RolledBack
            | EventType::Interrupted
            | EventType::Baselined => self.follow_execution(event),
            EventType::Resolved => self.follow_word(event),
            EventType::Reregistered => {
                if event.data["applied"] == Value::Bool(true) {
                    let checksum = checksum(event)?;
                    let state = self.states.get_mut(event.migration_id.as_ref()?)?;
                    state.checksum = checksum;
                }
                Some(())
            }
            EventType::Withdrawn => {
                self.states.remove(event.migration_id.as_ref()?);
                Some(())
            }
            EventType::DatabaseChanged => {
                let id = event.data["databaseId"].as_str()?;
                let row = event.data.get("after")?;
                self.databases.insert(id.to_owned(), row.clone());
                Some(())
            }
            EventType::Registered
            | EventType::LockTakenOver
            | EventType::Refused
            | EventType::SnapshotCaptured
            | EventType::DriftDetected => Some(()),
            EventType::IntegrityFixed => {
                if event.data["madeAnew"] == Value::Bool(true) {
                    self.begin_anew(event.sequence);
                }
                Some(())
            }
        }
    }

    /// From this event on the trail is that of a new and empty database: nothing that ran before is in it but dbvc's own tables.
    pub fn begin_anew(&mut self, number: u64) {
        self.made_anew_by = number;
        self.states.retain(|id, _| is_own(id));
        for restored in &mut self.executions {
            restored.is_gone |= !is_own(&restored.execution.migration_id);
        }
    }

    fn follow_execution(&mut self, event: &Event) -> Option<()> {
        let id = event.execution_id.as_deref()?;
        let place = match self.places.get(id) {
            Some(place) => *place,
            None => self.add(event, id)?,
        };
        let before = self.states.get(event.migration_id.as_ref()?).cloned();
        let execution = &mut self.executions[place].execution;
        let Some(told) = told(event, execution) else {
            return Some(());
        };
        execution.status = told.status;
        execution.transactional = execution.transactional
            && told.status != ExecutionStatus::HalfApplied
            && event.data["transactional"] != Value::Bool(false);
        execution.finished_at = Some(event.at);
        execution.duration_ms = event.data["durationMs"].as_u64().or(Some(0));
        if let Ok(errors) = serde_json::from_value(event.data["errors"].clone()) {
            execution.errors = errors;
        }
        if let Some(note) = event.data["note"].as_str() {
            execution.note = Some(format!("{note}; {NOTE}"));
        }
        if let Some(status) = told.state {
            // A down script's own checksum says nothing of what is applied.
            let checksum = match (execution.direction, before) {
                (Direction::Down, Some(before)) => before.checksum,
                _ => execution.checksum,
            };
            let state = State {
                status,
                checksum,
                execution: place,
            };
            self.states.insert(execution.migration_id.clone(), state);
        }
        Some(())
    }

    /// A person's word on a half-applied script.
    fn follow_word(&mut self, event: &Event) -> Option<()> {
        let place = *self.places.get(event.execution_id.as_deref()?)?;
        let word = event.data["as"].as_str()?;
        let status: AppliedStatus = event.data["status"].as_str()?.parse().ok()?;
        let execution = &mut self.executions[place].execution;
        execution.status = match (word, execution.direction) {
            ("applied", Direction::Down) => ExecutionStatus::RolledBack,
            ("applied", Direction::Up | Direction::Baseline) => ExecutionStatus::Applied,
            _ => ExecutionStatus::Failed,
        };
        execution.resolved_as = Some(word.to_owned());
        let state = self.states.get_mut(&execution.migration_id)?;
        state.status = status;
        state.execution = place;
        Some(())
    }

    fn add(&mut self, event: &Event, id: &str) -> Option<usize> {
        let direction = match (event.kind, event.data["direction"].as_str()) {
            (EventType::Baselined, _) => Direction::Baseline,
            (EventType::RolledBack, _) => Direction::Down,
            (_, Some(word)) => word.parse().ok()?,
            // Dbvc's own versions are only ever applied.
            (_, None) => Direction::Up,
        };
        let execution = Execution {
            execution_id: id.to_owned(),
            migration_id: event.migration_id.clone()?,
            run_id: event.run_id.clone(),
            // What the registry would have given it: an execution is written before its first event.
            ordinal: i64::try_from(event.sequence).ok()?,
            direction,
            status: ExecutionStatus::Running,
            transactional: true,
            checksum: checksum(event)?,
            executor: event.executor.clone(),
            started_at: event.at,
            finished_at: None,
            duration_ms: None,
            batches: Vec::new(),
            errors: Vec::new(),
            note: Some(NOTE.to_owned()),
            resolved_as: None,
        };
        let place = self.executions.len();
        self.executions.push(Restored {
            execution,
            principal: event.principal.clone(),
            environment: event.environment.clone(),
            is_gone: false,
        });
        self.places.insert(id.to_owned(), place);
        Some(place)
    }

    /// Executions that began and of whose end the trail does not tell: without a transaction, or the end was not delivered.
    /// Nobody knows what they left.
    pub fn write_up_unended(&mut self) {
        for (place, restored) in self.executions.iter_mut().enumerate() {
            let execution = &mut restored.execution;
            if execution.status != ExecutionStatus::Running || restored.is_gone {
                continue;
            }
            execution.status = ExecutionStatus::HalfApplied;
            execution.transactional = false;
            execution.finished_at = Some(execution.started_at);
            execution.duration_ms = Some(0);
            execution.note = Some(format!("the trail does not tell how it ended; {NOTE}"));
            let checksum = match (
                execution.direction,
                self.states.get(&execution.migration_id),
            ) {
                (Direction::Down, Some(before)) => before.checksum,
                _ => execution.checksum,
            };
            let state = State {
                status: AppliedStatus::HalfApplied,
                checksum,
                execution: place,
            };
            self.states.insert(execution.migration_id.clone(), state);
        }
    }
}

fn checksum(event: &Event) -> Option<Checksum> {
    event.data["checksum"].as_str()?.parse().ok()
}

/// None for the beginning of an execution.
fn told(event: &Event, execution: &Execution) -> Option<Told> {
    let half_applied = event.data["halfApplied"] == Value::Bool(true);
    let (status, state) = match (event.kind, execution.direction) {
        (EventType::Completed | EventType::Baselined, _) => {
            (ExecutionStatus::Applied, Some(AppliedStatus::Applied))
        }
        (EventType::RolledBack, _) => {
            (ExecutionStatus::RolledBack, Some(AppliedStatus::RolledBack))
        }
        (EventType::Failed | EventType::Interrupted, _) if half_applied => (
            ExecutionStatus::HalfApplied,
            Some(AppliedStatus::HalfApplied),
        ),
        // A rollback that failed has undone nothing.
        (EventType::Failed, Direction::Down) => (ExecutionStatus::Failed, None),
        (EventType::Failed, Direction::Up | Direction::Baseline) => {
            (ExecutionStatus::Failed, Some(AppliedStatus::Failed))
        }
        // Cut off between two batches without a transaction: how far it came was in the registry only.
        (EventType::Interrupted, _) if event.data["transactional"] == Value::Bool(false) => (
            ExecutionStatus::HalfApplied,
            Some(AppliedStatus::HalfApplied),
        ),
        (EventType::Interrupted, _) => (ExecutionStatus::Interrupted, None),
        _ => return None,
    };
    Some(Told { status, state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::EventDraft;
    use crate::script::DatabaseId;
    use serde_json::json;

    fn sum(text: &str) -> String {
        Checksum::of_text(text).to_string()
    }

    struct Trail(Vec<Event>);

    impl Trail {
        fn new() -> Self {
            Self(Vec::new())
        }

        fn tell(mut self, kind: EventType, migration: &str, execution: &str, data: Value) -> Self {
            let draft = EventDraft {
                kind,
                migration_id: (!migration.is_empty()).then(|| migration.parse().unwrap()),
                run_id: None,
                execution_id: (!execution.is_empty()).then(|| execution.to_owned()),
                at: "2026-01-02T03:04:05Z".parse().unwrap(),
                executor: "ada".to_owned(),
                principal: None,
                environment: "dev".to_owned(),
                data,
            };
            let number = self.0.len() as u64 + 1;
            let database = DatabaseId::parse("shop").unwrap();
            self.0.push(Event::seal(draft, &database, number, None));
            self
        }

        fn run(self, migration: &str, execution: &str, end: EventType, direction: &str) -> Self {
            let data = json!({"direction": direction, "checksum": sum(direction)});
            self.tell(EventType::Started, migration, execution, data.clone())
                .tell(end, migration, execution, data)
        }

        fn replay(&self) -> Replay {
            Replay::of(&self.0)
        }
    }

    fn state(replay: &Replay, migration: &str) -> Option<(AppliedStatus, String)> {
        let id: MigrationId = migration.parse().unwrap();
        let state = replay.states.get(&id)?;
        Some((state.status, state.checksum.to_string()))
    }

    #[test]
    fn what_was_applied_rolled_back_and_failed_is_so_again() {
        let replay = Trail::new()
            .run("V1__a", "e1", EventType::Completed, "up")
            .run("V2__b", "e2", EventType::Completed, "up")
            .run("V2__b", "e3", EventType::RolledBack, "down")
            .run("V3__c", "e4", EventType::Failed, "up")
            .replay();
        assert_eq!(
            state(&replay, "V1__a"),
            Some((AppliedStatus::Applied, sum("up")))
        );
        // The checksum is that of the up script, whatever ran last.
        assert_eq!(
            state(&replay, "V2__b"),
            Some((AppliedStatus::RolledBack, sum("up")))
        );
        assert_eq!(
            state(&replay, "V3__c"),
            Some((AppliedStatus::Failed, sum("up")))
        );
        let ordinals: Vec<i64> = replay
            .executions
            .iter()
            .map(|restored| restored.execution.ordinal)
            .collect();
        assert_eq!(ordinals, [1, 3, 5, 7]);
        assert!(replay.unclear.is_empty());
    }

    #[test]
    fn a_rollback_that_failed_leaves_its_migration_applied() {
        let replay = Trail::new()
            .run("V1__a", "e1", EventType::Completed, "up")
            .run("V1__a", "e2", EventType::Failed, "down")
            .replay();
        assert_eq!(
            state(&replay, "V1__a"),
            Some((AppliedStatus::Applied, sum("up")))
        );
        assert_eq!(
            replay.executions[1].execution.status,
            ExecutionStatus::Failed
        );
    }

    #[test]
    fn an_interruption_within_a_transaction_leaves_nothing_and_one_without_is_for_a_person() {
        let replay = Trail::new()
            .run("V1__a", "e1", EventType::Interrupted, "up")
            .replay();
        assert_eq!(state(&replay, "V1__a"), None);
        let data = json!({"direction": "up", "checksum": sum("up"), "transactional": false});
        let replay = Trail::new()
            .tell(EventType::Started, "V1__a", "e1", data.clone())
            .tell(EventType::Interrupted, "V1__a", "e1", data)
            .replay();
        assert_eq!(
            state(&replay, "V1__a"),
            Some((AppliedStatus::HalfApplied, sum("up")))
        );
    }

    #[test]
    fn an_execution_without_an_end_is_for_a_person_too() {
        let data = json!({"direction": "up", "checksum": sum("up")});
        let mut replay = Trail::new()
            .tell(EventType::Started, "V1__a", "e1", data)
            .replay();
        replay.write_up_unended();
        assert_eq!(
            state(&replay, "V1__a"),
            Some((AppliedStatus::HalfApplied, sum("up")))
        );
        assert_eq!(
            replay.executions[0].execution.status,
            ExecutionStatus::HalfApplied
        );
    }

    #[test]
    fn a_persons_word_holds() {
        let half = json!({"direction": "up", "checksum": sum("up"), "halfApplied": true});
        let replay = Trail::new()
            .tell(EventType::Started, "V1__a", "e1", half.clone())
            .tell(EventType::Failed, "V1__a", "e1", half)
            .tell(
                EventType::Resolved,
                "V1__a",
                "e1",
                json!({"as": "applied", "direction": "up", "status": "applied"}),
            )
            .replay();
        assert_eq!(
            state(&replay, "V1__a"),
            Some((AppliedStatus::Applied, sum("up")))
        );
        let execution = &replay.executions[0].execution;
        assert_eq!(execution.resolved_as.as_deref(), Some("applied"));
    }

    #[test]
    fn withdrawing_forgets_and_reregistering_replaces_the_checksum() {
        let replay = Trail::new()
            .run("V1__a", "e1", EventType::Completed, "up")
            .tell(
                EventType::Reregistered,
                "V1__a",
                "",
                json!({"checksum": sum("new"), "applied": true}),
            )
            .run("V2__b", "e2", EventType::RolledBack, "down")
            .tell(EventType::Withdrawn, "V2__b", "", json!({}))
            .replay();
        assert_eq!(
            state(&replay, "V1__a"),
            Some((AppliedStatus::Applied, sum("new")))
        );
        assert_eq!(state(&replay, "V2__b"), None);
    }

    #[test]
    fn a_baseline_applies_and_the_newest_row_of_a_database_counts() {
        let row = |folder: &str| json!({"databaseId": "orders", "after": {"folder": folder}});
        let replay = Trail::new()
            .tell(
                EventType::Baselined,
                "V1__a",
                "e1",
                json!({"checksum": sum("up")}),
            )
            .tell(EventType::DatabaseChanged, "", "", row("a"))
            .tell(EventType::DatabaseChanged, "", "", row("b"))
            .replay();
        assert_eq!(
            state(&replay, "V1__a"),
            Some((AppliedStatus::Applied, sum("up")))
        );
        assert_eq!(
            replay.executions[0].execution.direction,
            Direction::Baseline
        );
        assert_eq!(replay.databases["orders"], json!({"folder": "b"}));
    }

    #[test]
    fn what_ran_before_the_database_was_made_anew_is_gone_for_good() {
        let replay = Trail::new()
            .run("V1__a", "e1", EventType::Completed, "up")
            .run(
                "V100__version_control_schema",
                "e2",
                EventType::Completed,
                "up",
            )
            .tell(EventType::IntegrityFixed, "", "", json!({"madeAnew": true}))
            .run("V2__b", "e3", EventType::Completed, "up")
            .tell(EventType::IntegrityFixed, "", "", json!({"mended": []}))
            .replay();
        let known: Vec<&str> = replay.states.keys().map(MigrationId::as_str).collect();
        assert_eq!(known, ["V100__version_control_schema", "V2__b"]);
        let gone: Vec<bool> = replay
            .executions
            .iter()
            .map(|restored| restored.is_gone)
            .collect();
        assert_eq!(gone, [true, false, false]);
        assert_eq!(replay.made_anew_by, 5);
    }

    #[test]
    fn an_event_that_lacks_what_it_should_name_is_named() {
        let replay = Trail::new()
            .tell(EventType::Started, "V1__a", "e1", json!({}))
            .tell(
                EventType::Completed,
                "",
                "e2",
                json!({"checksum": sum("up")}),
            )
            .replay();
        assert_eq!(replay.unclear, [1, 2]);
        assert!(replay.executions.is_empty());
    }
}
