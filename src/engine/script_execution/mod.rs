//! Executing one script: in one transaction with its record, or batch by batch with its progress on record.

mod concealing;
mod in_transaction;
mod resume;
mod text;
mod without_transaction;

use std::sync::Arc;

use crate::audit::{self, AppendError, Change, EventDraft, EventType, Head};
use crate::database::{BatchReport, BatchText, Connection, DatabaseError, ServerError, Statement};
use crate::registry::executions::{BatchProgress, Direction, Execution, ExecutionStatus};
use crate::registry::lock::Lease;
use crate::registry::migrations::{AppliedStatus, StatusChange};
use crate::registry::runs::{self, PlannedStep};
use crate::time::Timestamp;

pub(super) use concealing::run_batches;
pub(super) use in_transaction::at_its_end;
pub(super) use resume::{Resume, resume_point};
pub(super) use text::{Unsendable, batches, hashes, is_transactional, needs_key};

use super::Engine;
use super::access::Managed;
use super::error::EngineError;
use super::live::LiveRun;
use super::request::Caller;
use super::view::StepStatus;

/// One step of a plan with everything that executing it needs.
pub(super) struct Step {
    /// What the plan says of it.
    pub planned: PlannedStep,
    /// Its batches, or why it cannot be sent.
    pub batches: Result<Arc<[BatchText]>, Unsendable>,
    /// Hashes of the batches, for scripts without a transaction.
    pub hashes: Vec<String>,
    /// Checksum of the up script: what the state of the migration records.
    pub up_checksum: crate::script::Checksum,
    /// Where to go on after an earlier attempt.
    pub resume: Option<Resume>,
    /// Its place in the run object.
    pub place: (usize, usize),
}

impl Step {
    /// The progress of the batch with which an attempt goes on, when some of its rounds are done.
    fn rounds_done(&self, resume: &Resume) -> Option<BatchProgress> {
        let position = usize::try_from(resume.batch).ok()?.checked_sub(1)?;
        let batch = self.batches.as_ref().ok()?.get(position)?;
        (resume.rounds_done > 0).then(|| BatchProgress {
            index: resume.batch,
            sha256: self.hashes.get(position).cloned().unwrap_or_default(),
            rounds: batch.count,
            begun: resume.rounds_done,
            ended: resume.rounds_done,
            failed: false,
            left_nothing: false,
        })
    }
}

/// In what a script is executed.
pub(super) struct Setting<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The database.
    pub managed: &'a Managed,
    /// The lock under which it happens.
    pub lease: &'a Lease,
    /// The run.
    pub live: &'a Arc<LiveRun>,
    /// Its id.
    pub run_id: &'a str,
    /// Who asked for it.
    pub caller: &'a Caller,
    /// Why, when the caller said so.
    pub reason: Option<&'a str>,
    /// Whether the run's own row is in this database and is kept alive with every commit.
    pub keeps_run_alive: bool,
}

/// How executing a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Well.
    Done,
    /// Not well; the run stops.
    Failed,
    /// Somebody asked the run to end.
    Cancelled,
}

impl Setting<'_> {
    /// Executes one step, and writes down how it went.
    ///
    /// # Errors
    ///
    /// When database or lock were lost: how it went is then for whoever recovers the run to find out.
    pub async fn execute(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        believed: &mut Option<Head>,
    ) -> Result<Outcome, EngineError> {
        self.live.migration(step.place, |migration| {
            migration.status = StepStatus::Running
        });
        match &step.batches {
            Err(reason) => {
                let attempt = self.attempt(step);
                let error = reason.as_error();
                let failed = self.ended(attempt, Vec::new(), vec![error], ExecutionStatus::Failed);
                self.record_failure(connection, step, failed, believed)
                    .await
            }
            Ok(batches) if step.planned.transactional => {
                self.in_transaction(connection, step, Arc::clone(batches), believed)
                    .await
            }
            Ok(batches) => {
                self.without_transaction(connection, step, batches, believed)
                    .await
            }
        }
    }

    pub(super) fn attempt(&self, step: &Step) -> Execution {
        Execution {
            execution_id: step.planned.execution_id.clone(),
            migration_id: step.planned.migration_id.clone(),
            run_id: Some(self.run_id.to_owned()),
            ordinal: 0,
            direction: step.planned.direction,
            status: ExecutionStatus::Running,
            transactional: step.planned.transactional,
            checksum: step.planned.checksum,
            executor: self.caller.executor.clone(),
            started_at: Timestamp::now(),
            finished_at: None,
            duration_ms: None,
            batches: Vec::new(),
            errors: Vec::new(),
            note: None,
            resolved_as: None,
        }
    }

    pub(super) fn ended(
        &self,
        mut attempt: Execution,
        batches: Vec<BatchReport>,
        errors: Vec<ServerError>,
        status: ExecutionStatus,
    ) -> Execution {
        let now = Timestamp::now();
        attempt.duration_ms = Some(now.millis_since(attempt.started_at));
        attempt.finished_at = Some(now);
        attempt.batches = batches;
        attempt.errors = errors;
        attempt.status = status;
        attempt
    }

    /// Shows in the run how an attempt ended.
    fn show(&self, step: &Step, attempt: &Execution) {
        self.live.migration(step.place, |migration| {
            migration.status = attempt.status.into();
            migration.duration_ms = attempt.duration_ms;
            migration.batches.clone_from(&attempt.batches);
            migration.errors.clone_from(&attempt.errors);
            migration.note.clone_from(&attempt.note);
        });
    }

    /// An event about an attempt.
    fn event(&self, kind: EventType, attempt: &Execution, at: Timestamp) -> EventDraft {
        let mut data = serde_json::json!({
            "direction": attempt.direction.as_str(),
            "checksum": attempt.checksum,
        });
        if let Some(reason) = self.reason {
            data["reason"] = reason.into();
        }
        if kind != EventType::Started {
            data["durationMs"] = attempt.duration_ms.into();
            data["batches"] = attempt.batches.len().into();
        }
        if kind == EventType::Interrupted && self.live.is_cancelled() {
            data["cancelled"] = true.into();
        }
        if kind == EventType::Failed {
            data["halfApplied"] = (attempt.status == ExecutionStatus::HalfApplied).into();
            data["errors"] = serde_json::json!(attempt.errors);
        }
        if !attempt.transactional {
            data["transactional"] = false.into();
        }
        if let Some(note) = &attempt.note {
            data["note"] = note.as_str().into();
        }
        let mut draft = self.engine.draft(kind, self.caller, data);
        draft.at = at;
        draft.migration_id = Some(attempt.migration_id.clone());
        draft.run_id.clone_from(&attempt.run_id);
        draft.execution_id = Some(attempt.execution_id.clone());
        draft
    }

    /// The events that tell of an attempt from beginning to end.
    fn whole_story(&self, attempt: &Execution) -> Vec<EventDraft> {
        let last = match attempt.status {
            ExecutionStatus::Applied => EventType::Completed,
            ExecutionStatus::RolledBack => EventType::RolledBack,
            ExecutionStatus::Interrupted => EventType::Interrupted,
            ExecutionStatus::Running | ExecutionStatus::Failed | ExecutionStatus::HalfApplied => {
                EventType::Failed
            }
        };
        vec![
            self.event(EventType::Started, attempt, attempt.started_at),
            self.event(
                last,
                attempt,
                attempt.finished_at.unwrap_or(attempt.started_at),
            ),
        ]
    }

    fn insert(&self, attempt: &Execution) -> Statement {
        attempt.insert(
            self.managed.id(),
            self.caller.principal.as_deref(),
            &self.engine.options().environment,
        )
    }

    /// Sets the migration's state to what the attempt made of it.
    fn state(&self, step: &Step, attempt: &Execution, status: AppliedStatus) -> [Statement; 2] {
        StatusChange {
            migration_id: &attempt.migration_id,
            status,
            checksum: step.up_checksum,
            execution_id: &attempt.execution_id,
            executor: &self.caller.executor,
            at: attempt.finished_at.unwrap_or(attempt.started_at),
            duration_ms: attempt.duration_ms.unwrap_or(0),
        }
        .statements(self.managed.id())
    }

    fn keep_run_alive(&self) -> Vec<Statement> {
        if self.keeps_run_alive {
            vec![runs::renew(
                self.run_id,
                &self.lease.owner,
                self.lease.seconds,
            )]
        } else {
            Vec::new()
        }
    }

    async fn append(
        &self,
        connection: &mut dyn Connection,
        mut change: Change<'_>,
        believed: &mut Option<Head>,
    ) -> Result<(), AppendError> {
        change.loose.extend(self.keep_run_alive());
        let head = audit::append(connection, change, believed.as_ref()).await;
        // What is believed after a rollback must be read again.
        *believed = None;
        *believed = Some(head?);
        Ok(())
    }

    fn problem(&self, error: DatabaseError) -> EngineError {
        self.managed.problem(error)
    }

    /// Writes down, in a transaction of its own, an attempt whose transaction is over.
    pub(super) async fn record_failure(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        failed: Execution,
        believed: &mut Option<Head>,
    ) -> Result<Outcome, EngineError> {
        let mut change = Change::of(self.managed.id());
        change.records = vec![self.insert(&failed)];
        // A script that was cut short leaves its migration as it was: pending, or applied when it was to be rolled back.
        let state = match (failed.status, failed.direction) {
            (ExecutionStatus::Failed, Direction::Up) => Some(AppliedStatus::Failed),
            (ExecutionStatus::HalfApplied, _) => Some(AppliedStatus::HalfApplied),
            _ => None,
        };
        change.either = state
            .map(|state| self.state(step, &failed, state))
            .into_iter()
            .collect();
        change.events = self.whole_story(&failed);
        change.lease = Some(self.lease);
        self.commit_change(connection, change, believed).await?;
        self.show(step, &failed);
        Ok(if failed.status == ExecutionStatus::Interrupted {
            Outcome::Cancelled
        } else {
            Outcome::Failed
        })
    }

    /// Begins, appends and commits.
    async fn commit_change(
        &self,
        connection: &mut dyn Connection,
        change: Change<'_>,
        believed: &mut Option<Head>,
    ) -> Result<(), EngineError> {
        // What ran cannot be run again to be told again: it waits for others as long as a script does.
        connection
            .begin(self.engine.script_wait())
            .await
            .map_err(|error| self.problem(error))?;
        let appended = self
            .append(connection, change, believed)
            .await
            .map_err(|error| self.managed.append_problem(error));
        let concluded = self
            .engine
            .conclude(connection, self.managed, appended)
            .await;
        if concluded.is_err() {
            *believed = None;
        }
        concluded
    }
}
