//! Executing one script: in one transaction with its record, or batch by batch with its progress on record.

use std::sync::Arc;

use crate::audit::{self, Change, EventDraft, EventType, Head};
use crate::database::sqlite::SHORT_WAIT;
use crate::database::{
    BatchReport, BatchText, Connection, DatabaseError, ScriptEnd, ScriptMode, ServerError,
    Statement,
};
use crate::registry::executions::{self, BatchProgress, Direction, Execution, ExecutionStatus};
use crate::registry::lock::Lease;
use crate::registry::migrations::{AppliedStatus, StatusChange};
use crate::registry::runs::{self, PlannedStep};
use crate::script::{Directives, EngineKind, Split, Syntax, needs_no_transaction, split};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, to_batch_texts};
use super::error::EngineError;
use super::live::{LiveRun, StepObserver};
use super::request::Caller;
use super::view::StepStatus;

/// The batches of a script as they are sent.
///
/// # Errors
///
/// Why the script cannot be split, with the line.
pub(super) fn batches(script: &str, engine: EngineKind) -> Result<Vec<BatchText>, String> {
    Ok(to_batch_texts(&split_for(script, engine)?))
}

fn split_for(script: &str, engine: EngineKind) -> Result<Split<'_>, String> {
    let syntax = Syntax::of_engine(engine)
        .ok_or_else(|| format!("dbvc cannot run scripts for {engine} yet"))?;
    split(script, syntax).map_err(|error| error.to_string())
}

/// Whether a script runs in a transaction: by its author's word, else by whether one of its statements cannot.
pub(super) fn is_transactional(script: &str, engine: EngineKind) -> bool {
    let Some(syntax) = Syntax::of_engine(engine) else {
        return false;
    };
    let word = Directives::of_script(script, syntax)
        .ok()
        .and_then(|directives| directives.transaction);
    word.unwrap_or_else(|| {
        split(script, syntax).map_or(true, |split| {
            split
                .batches
                .iter()
                .all(|batch| needs_no_transaction(batch.text, syntax).is_none())
        })
    })
}

/// Where a script without a transaction goes on after an earlier attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resume {
    /// The attempt whose progress is taken over.
    pub from_execution: String,
    /// Number of the batch to go on with.
    pub batch: u32,
    /// How many of its rounds are done.
    pub rounds_done: u32,
}

/// Decides where a script without a transaction goes on. `None`: from its beginning. An error: a person must decide.
/// `said_failed`: a person has said that the batch of which nobody knows was not applied; what is known stays.
pub(super) fn resume_point(
    from_execution: &str,
    progress: &[BatchProgress],
    batches: &[(u32, String, u32)],
    transactional_now: bool,
    said_failed: bool,
) -> Result<Option<Resume>, &'static str> {
    let any_done = progress.iter().any(|batch| batch.ended > 0);
    if transactional_now {
        return if any_done {
            Err(
                "earlier batches were applied one by one, and the script now asks for a transaction",
            )
        } else {
            Ok(None)
        };
    }
    for done in progress {
        let is_unknown = done.begun > done.ended && !(done.failed && done.left_nothing);
        if is_unknown && !said_failed {
            return Err("it is not known whether a batch was applied");
        }
        let complete = done.ended == done.rounds;
        let same = batches.iter().any(|(index, sha256, rounds)| {
            *index == done.index && *sha256 == done.sha256 && *rounds == done.rounds
        });
        // A batch of which no round is done may have been mended.
        if !same && done.ended > 0 {
            return Err("a batch that was applied has another text now");
        }
        if !complete {
            return Ok(any_done.then(|| Resume {
                from_execution: from_execution.to_owned(),
                batch: done.index,
                rounds_done: done.ended,
            }));
        }
    }
    let Some(last) = progress.last() else {
        return Ok(None);
    };
    Ok(Some(Resume {
        from_execution: from_execution.to_owned(),
        batch: last.index + 1,
        rounds_done: 0,
    }))
}

/// One step of a plan with everything that executing it needs.
pub(super) struct Step {
    /// What the plan says of it.
    pub planned: PlannedStep,
    /// Its batches, or why it has none.
    pub batches: Result<Arc<[BatchText]>, String>,
    /// Hashes of the batches, for scripts without a transaction.
    pub hashes: Vec<String>,
    /// Checksum of the up script: what the state of the migration records.
    pub up_checksum: crate::script::Checksum,
    /// Where to go on after an earlier attempt.
    pub resume: Option<Resume>,
    /// Its place in the run object.
    pub place: (usize, usize),
}

/// Hashes of a script's batches.
pub(super) fn hashes(script: &str, engine: EngineKind) -> Vec<String> {
    split_for(script, engine).map_or_else(
        |_| Vec::new(),
        |split| split.batches.iter().map(|batch| batch.sha256()).collect(),
    )
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
            Err(message) => {
                let attempt = self.attempt(step);
                let error = ServerError {
                    number: 0,
                    severity: Some(16),
                    state: Some(1),
                    line: None,
                    batch: None,
                    procedure: None,
                    message: message.clone(),
                };
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

    fn attempt(&self, step: &Step) -> Execution {
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

    fn ended(
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
        if kind == EventType::Failed {
            data["halfApplied"] = (attempt.status == ExecutionStatus::HalfApplied).into();
            data["errors"] = serde_json::json!(attempt.errors);
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
    ) -> Result<(), EngineError> {
        change.loose.extend(self.keep_run_alive());
        let head = audit::append(connection, change, believed.as_ref()).await;
        // What is believed after a rollback must be read again.
        *believed = None;
        match head {
            Ok(head) => {
                *believed = Some(head);
                Ok(())
            }
            Err(error) => Err(self.managed.append_problem(error)),
        }
    }

    fn problem(&self, error: DatabaseError) -> EngineError {
        self.managed.problem(error)
    }

    async fn in_transaction(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        batches: Arc<[BatchText]>,
        believed: &mut Option<Head>,
    ) -> Result<Outcome, EngineError> {
        let attempt = self.attempt(step);
        connection
            .begin(self.engine.script_wait())
            .await
            .map_err(|error| self.problem(error))?;
        let observer = Arc::new(StepObserver {
            live: Arc::clone(self.live),
            place: step.place,
        });
        let report = connection
            .run_batches(batches, ScriptMode::InTransaction, observer)
            .await;
        let (errors, status) = match report.end {
            ScriptEnd::Completed => {
                crate::crash_points::reached("script-done").await;
                let status = match step.planned.direction {
                    Direction::Down => ExecutionStatus::RolledBack,
                    Direction::Up | Direction::Baseline => ExecutionStatus::Applied,
                };
                let done = self.ended(attempt.clone(), report.batches.clone(), Vec::new(), status);
                match self.commit_done(connection, step, &done, believed).await? {
                    None => {
                        self.show(step, &done);
                        crate::crash_points::reached("committed").await;
                        return Ok(Outcome::Done);
                    }
                    // The server refused the commit: nothing of the script remains, and the script is at fault.
                    Some(error) => (vec![error], ExecutionStatus::Failed),
                }
            }
            ScriptEnd::Failed { errors, .. } => (errors, ExecutionStatus::Failed),
            ScriptEnd::Stopped => (Vec::new(), ExecutionStatus::Interrupted),
        };
        connection
            .rollback()
            .await
            .map_err(|error| self.problem(error))?;
        *believed = None;
        crate::crash_points::reached("rolled-back").await;
        let mut failed = self.ended(attempt, report.batches, errors, status);
        if status == ExecutionStatus::Interrupted {
            failed.note =
                Some("the run was cancelled; the script's transaction was rolled back".to_owned());
        }
        self.record_failure(connection, step, failed, believed)
            .await
    }

    /// Writes the records of a script that ran to its end into its own transaction and commits. Gives the error of a
    /// commit that the server refused.
    async fn commit_done(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        done: &Execution,
        believed: &mut Option<Head>,
    ) -> Result<Option<ServerError>, EngineError> {
        let mut change = Change::of(self.managed.id());
        change.records = vec![self.insert(done)];
        let status = match done.status {
            ExecutionStatus::RolledBack => AppliedStatus::RolledBack,
            _ => AppliedStatus::Applied,
        };
        change.either = vec![self.state(step, done, status)];
        change.events = self.whole_story(done);
        change.lease = Some(self.lease);
        if let Err(problem) = self.append(connection, change, believed).await {
            if let Err(error) = connection.rollback().await {
                tracing::warn!(database = %self.managed.id(), %error, "rolling back failed");
            }
            return Err(problem);
        }
        crate::crash_points::reached("recorded").await;
        match connection.commit().await {
            Ok(()) => Ok(None),
            Err(DatabaseError::CommitRefused { number, message }) => {
                *believed = None;
                Ok(Some(ServerError {
                    number,
                    severity: Some(16),
                    state: Some(1),
                    line: None,
                    batch: None,
                    procedure: None,
                    message,
                }))
            }
            Err(error) => Err(self.problem(error)),
        }
    }

    /// Writes down, in a transaction of its own, an attempt of which nothing remains.
    async fn record_failure(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        failed: Execution,
        believed: &mut Option<Head>,
    ) -> Result<Outcome, EngineError> {
        let mut change = Change::of(self.managed.id());
        change.records = vec![self.insert(&failed)];
        // A script that was cut short leaves its migration as it was: pending, or applied when it was to be rolled back.
        if failed.status == ExecutionStatus::Failed && failed.direction == Direction::Up {
            change.either = vec![self.state(step, &failed, AppliedStatus::Failed)];
        }
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
        connection
            .begin(SHORT_WAIT)
            .await
            .map_err(|error| self.problem(error))?;
        let appended = self.append(connection, change, believed).await;
        let concluded = self
            .engine
            .conclude(connection, self.managed, appended)
            .await;
        if concluded.is_err() {
            *believed = None;
        }
        concluded
    }

    /// Runs a script whose statements commit by themselves. Before each round of a batch an intent is committed, and with
    /// the next intent that the round before has ended: a kill leaves at most one round of which nobody knows.
    async fn without_transaction(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        batches: &Arc<[BatchText]>,
        believed: &mut Option<Head>,
    ) -> Result<Outcome, EngineError> {
        let mut attempt = self.attempt(step);
        if let Some(resume) = &step.resume {
            attempt.note = Some(format!(
                "goes on with batch {} after execution {}",
                resume.batch, resume.from_execution
            ));
        }
        let first = step.resume.as_ref().map_or(1, |resume| resume.batch);
        let mut reports: Vec<BatchReport> = Vec::new();
        // What the next commit says besides the next intent.
        let mut ended: Option<BatchProgress> = None;
        let mut begun = false;
        for (batch, sha256) in batches.iter().zip(&step.hashes) {
            if batch.index < first {
                continue;
            }
            let rounds_done = match &step.resume {
                Some(resume) if resume.batch == batch.index => resume.rounds_done,
                _ => 0,
            };
            let mut progress = BatchProgress {
                index: batch.index,
                sha256: sha256.clone(),
                rounds: batch.count,
                begun: rounds_done,
                ended: rounds_done,
                failed: false,
                left_nothing: false,
            };
            let mut total: Option<BatchReport> = None;
            for round in rounds_done..batch.count {
                if self.live.is_cancelled() {
                    reports.extend(total);
                    if round > rounds_done {
                        ended = Some(progress);
                    }
                    return self
                        .stop(connection, step, attempt, reports, ended, believed, begun)
                        .await;
                }
                progress.begun = round + 1;
                let mut change = Change::of(self.managed.id());
                if !begun {
                    change.records.push(self.insert(&attempt));
                    change.events.push(self.event(
                        EventType::Started,
                        &attempt,
                        attempt.started_at,
                    ));
                    change.loose.extend(step.resume.as_ref().map(|resume| {
                        executions::inherit_progress(
                            &attempt.execution_id,
                            &resume.from_execution,
                            resume.batch,
                        )
                    }));
                }
                if round == rounds_done {
                    change
                        .records
                        .extend(ended.take().map(|last| last.advance(&attempt.execution_id)));
                    change.records.push(progress.begin(&attempt.execution_id));
                } else {
                    change.records.push(progress.advance(&attempt.execution_id));
                }
                change.lease = Some(self.lease);
                self.commit_change(connection, change, believed).await?;
                begun = true;
                crate::crash_points::reached("batch-intended").await;
                let once = BatchText {
                    count: 1,
                    ..batch.clone()
                };
                let observer = Arc::new(Uncounted);
                let report = connection
                    .run_batches(Arc::new([once]), ScriptMode::WithoutTransaction, observer)
                    .await;
                crate::crash_points::reached("batch-sent").await;
                for report in report.batches {
                    let sum = total.get_or_insert_with(|| BatchReport {
                        count: batch.count,
                        rows_affected: 0,
                        duration_ms: 0,
                        messages: Vec::new(),
                        ..report.clone()
                    });
                    sum.rows_affected += report.rows_affected;
                    sum.duration_ms += report.duration_ms;
                    sum.messages.extend(report.messages);
                }
                if let ScriptEnd::Failed {
                    errors,
                    left_nothing,
                } = report.end
                {
                    reports.extend(total);
                    progress.failed = true;
                    progress.left_nothing = left_nothing;
                    return self
                        .fail(
                            connection, step, attempt, reports, errors, &progress, believed,
                        )
                        .await;
                }
                progress.ended = round + 1;
            }
            if let Some(total) = total {
                self.live.migration(step.place, |migration| {
                    migration.batches.push(total.clone())
                });
                reports.push(total);
            }
            ended = Some(progress);
        }
        let status = match step.planned.direction {
            Direction::Down => ExecutionStatus::RolledBack,
            Direction::Up | Direction::Baseline => ExecutionStatus::Applied,
        };
        let done = self.ended(attempt, reports, Vec::new(), status);
        let mut change = Change::of(self.managed.id());
        if begun {
            change
                .records
                .extend(ended.map(|last| last.advance(&done.execution_id)));
            change.records.push(done.end());
            change.events = self.whole_story(&done).split_off(1);
        } else {
            // Nothing was left to send.
            change.records.push(self.insert(&done));
            change.events = self.whole_story(&done);
        }
        let state = match status {
            ExecutionStatus::RolledBack => AppliedStatus::RolledBack,
            _ => AppliedStatus::Applied,
        };
        change.either = vec![self.state(step, &done, state)];
        change.lease = Some(self.lease);
        self.commit_change(connection, change, believed).await?;
        self.show(step, &done);
        Ok(Outcome::Done)
    }

    /// Ends an attempt without a transaction on request, between two batches.
    #[allow(
        clippy::too_many_arguments,
        reason = "the pieces of one attempt, used once"
    )]
    async fn stop(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        attempt: Execution,
        reports: Vec<BatchReport>,
        ended: Option<BatchProgress>,
        believed: &mut Option<Head>,
        begun: bool,
    ) -> Result<Outcome, EngineError> {
        let anything_done = begun || step.resume.is_some();
        // The next run goes on where an up script stopped; a rollback that stopped half way is for a person to decide.
        let (status, state) = match step.planned.direction {
            Direction::Down if anything_done => {
                (ExecutionStatus::HalfApplied, AppliedStatus::HalfApplied)
            }
            _ => (ExecutionStatus::Interrupted, AppliedStatus::Interrupted),
        };
        let mut stopped = self.ended(attempt, reports, Vec::new(), status);
        stopped.note = Some(if anything_done {
            "the run was cancelled between two batches; what ran before stays applied".to_owned()
        } else {
            "the run was cancelled before the first batch".to_owned()
        });
        let mut change = Change::of(self.managed.id());
        if begun {
            change
                .records
                .extend(ended.map(|last| last.advance(&stopped.execution_id)));
            change.records.push(stopped.end());
            change.events = self.whole_story(&stopped).split_off(1);
        } else {
            change.records.push(self.insert(&stopped));
            change.loose.extend(step.resume.as_ref().map(|resume| {
                // With the batch that it was to go on with: some of its rounds may be done.
                executions::inherit_progress(
                    &stopped.execution_id,
                    &resume.from_execution,
                    resume.batch + 1,
                )
            }));
            change.events = self.whole_story(&stopped);
        }
        if anything_done {
            change.either = vec![self.state(step, &stopped, state)];
        }
        change.lease = Some(self.lease);
        self.commit_change(connection, change, believed).await?;
        self.show(step, &stopped);
        Ok(Outcome::Cancelled)
    }

    /// Ends an attempt without a transaction whose batch the server refused.
    #[allow(
        clippy::too_many_arguments,
        reason = "the pieces of one attempt, used once"
    )]
    async fn fail(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        attempt: Execution,
        reports: Vec<BatchReport>,
        errors: Vec<ServerError>,
        progress: &BatchProgress,
        believed: &mut Option<Head>,
    ) -> Result<Outcome, EngineError> {
        let first_of_all = progress.index == 1 && progress.ended == 0;
        let (status, state) = match (progress.left_nothing, step.planned.direction) {
            (true, Direction::Up | Direction::Baseline) => {
                (ExecutionStatus::Failed, Some(AppliedStatus::Failed))
            }
            // Of a rollback nothing is left only when its very first batch failed; the migration stays applied.
            (true, Direction::Down) if first_of_all => (ExecutionStatus::Failed, None),
            _ => (
                ExecutionStatus::HalfApplied,
                Some(AppliedStatus::HalfApplied),
            ),
        };
        let failed = self.ended(attempt, reports, errors, status);
        let mut change = Change::of(self.managed.id());
        change.records = vec![progress.fail(&failed.execution_id), failed.end()];
        change.either = state
            .map(|state| self.state(step, &failed, state))
            .into_iter()
            .collect();
        change.events = self.whole_story(&failed).split_off(1);
        change.lease = Some(self.lease);
        self.commit_change(connection, change, believed).await?;
        self.show(step, &failed);
        Ok(Outcome::Failed)
    }
}

/// Hears of single rounds, which the run object does not show.
struct Uncounted;

impl crate::database::BatchObserver for Uncounted {
    fn begun(&self, _index: u32) {}
    fn ended(&self, _report: &BatchReport) {}
    fn stop_requested(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(index: u32, sha256: &str) -> BatchProgress {
        BatchProgress {
            index,
            sha256: sha256.to_owned(),
            rounds: 1,
            begun: 1,
            ended: 1,
            failed: false,
            left_nothing: false,
        }
    }

    fn batches(texts: &[&str]) -> Vec<(u32, String, u32)> {
        (1..)
            .zip(texts)
            .map(|(index, text)| (index, (*text).to_owned(), 1))
            .collect()
    }

    fn at(batch: u32) -> Option<Resume> {
        Some(Resume {
            from_execution: "e".to_owned(),
            batch,
            rounds_done: 0,
        })
    }

    #[test]
    fn goes_on_at_the_first_batch_without_an_intent() {
        let progress = [done(1, "a"), done(2, "b")];
        assert_eq!(
            resume_point("e", &progress, &batches(&["a", "b", "c"]), false, false),
            Ok(at(3))
        );
    }

    #[test]
    fn goes_on_at_a_batch_that_the_server_refused_even_when_it_was_mended() {
        let mut failed = done(2, "b");
        failed.ended = 0;
        failed.failed = true;
        failed.left_nothing = true;
        let progress = [done(1, "a"), failed];
        assert_eq!(
            resume_point(
                "e",
                &progress,
                &batches(&["a", "mended", "c"]),
                false,
                false
            ),
            Ok(at(2))
        );
    }

    #[test]
    fn an_intent_without_an_end_is_for_a_person_to_decide() {
        let mut unknown = done(2, "b");
        unknown.ended = 0;
        assert!(
            resume_point(
                "e",
                &[done(1, "a"), unknown],
                &batches(&["a", "b"]),
                false,
                false
            )
            .is_err()
        );
    }

    #[test]
    fn a_refused_batch_of_several_statements_is_for_a_person_to_decide() {
        let mut failed = done(1, "a");
        failed.ended = 0;
        failed.failed = true;
        assert!(resume_point("e", &[failed], &batches(&["a"]), false, false).is_err());
    }

    #[test]
    fn an_applied_batch_may_not_change() {
        let progress = [done(1, "a")];
        assert!(resume_point("e", &progress, &batches(&["other", "b"]), false, false).is_err());
    }

    #[test]
    fn goes_on_within_the_rounds_of_a_batch() {
        let mut rounds = done(1, "a");
        rounds.rounds = 5;
        rounds.begun = 3;
        rounds.ended = 3;
        let script = vec![(1, "a".to_owned(), 5)];
        assert_eq!(
            resume_point("e", &[rounds], &script, false, false),
            Ok(Some(Resume {
                from_execution: "e".to_owned(),
                batch: 1,
                rounds_done: 3
            }))
        );
    }

    #[test]
    fn a_script_that_now_asks_for_a_transaction_starts_anew_only_when_nothing_was_applied() {
        let mut failed = done(1, "a");
        failed.ended = 0;
        failed.failed = true;
        failed.left_nothing = true;
        assert_eq!(
            resume_point("e", &[failed], &batches(&["a"]), true, false),
            Ok(None)
        );
        assert!(resume_point("e", &[done(1, "a")], &batches(&["a"]), true, false).is_err());
    }

    #[test]
    fn a_persons_word_settles_the_batch_that_nobody_knows_of_and_no_other() {
        let mut unknown = done(2, "b");
        unknown.ended = 0;
        let progress = [done(1, "a"), unknown];
        assert_eq!(
            resume_point("e", &progress, &batches(&["a", "b"]), false, true),
            Ok(at(2))
        );
        assert!(resume_point("e", &progress, &batches(&["other", "b"]), false, true).is_err());
    }
}
