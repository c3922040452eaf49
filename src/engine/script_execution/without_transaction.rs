//! A script whose statements commit by themselves: an intent on record before each round of a batch, and its end after it.

use std::sync::Arc;

use crate::audit::{Change, EventType, Head};
use crate::database::{
    Access, BatchReport, BatchText, Connection, ScriptEnd, ScriptMode, ServerError, Unobserved,
};
use crate::registry::executions::{self, BatchProgress, Direction, Execution, ExecutionStatus};
use crate::registry::migrations::AppliedStatus;

use super::super::access::script_session;
use super::super::error::EngineError;
use super::in_transaction::at_its_end;
use super::{Outcome, Setting, Step, run_batches};

impl Setting<'_> {
    /// Runs a script whose statements commit by themselves. Before each round of a batch an intent is committed, and with
    /// the next intent that the round before has ended: a kill leaves at most one round of which nobody knows.
    pub(super) async fn without_transaction(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        batches: &Arc<[BatchText]>,
        believed: &mut Option<Head>,
    ) -> Result<Outcome, EngineError> {
        // The script has a session of its own from its first batch to its last: what one batch sets holds for the next, and
        // touches no record.
        let mut session = self
            .managed
            .database
            .open(Access::Write)
            .await
            .map_err(|error| self.problem(error))?;
        // Who takes the lock over waits until this session has ended.
        if let Err(error) = session
            .exclude_others(
                &script_session(self.managed.id()),
                self.engine.script_wait(),
            )
            .await
        {
            return Err(self.problem(error));
        }
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
                // Single rounds are none of the run object's business.
                let observer = Arc::new(Unobserved);
                let report = run_batches(
                    session.as_mut(),
                    Arc::new([once]),
                    ScriptMode::WithoutTransaction,
                    observer,
                    &self.engine.options().script_variables,
                )
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
                let failure = match report.end {
                    ScriptEnd::Failed {
                        errors,
                        left_nothing,
                    } => Some((errors, left_nothing)),
                    ScriptEnd::Left { left, mut errors } => {
                        errors.push(at_its_end(&reports, 0, left.to_string()));
                        Some((errors, false))
                    }
                    ScriptEnd::Completed | ScriptEnd::Stopped => None,
                };
                if let Some((errors, left_nothing)) = failure {
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
            if let Some(resume) = &step.resume {
                change.loose.push(executions::inherit_progress(
                    &stopped.execution_id,
                    &resume.from_execution,
                    resume.batch,
                ));
                // Of the batch that it was to go on with, only the rounds that are done: an intent without an end has been
                // settled by a person, and must not come back.
                change.loose.extend(
                    step.rounds_done(resume)
                        .map(|progress| progress.begin(&stopped.execution_id)),
                );
            }
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
        // What can be sent again is not half done, whatever is known of it.
        let goes_on = progress.left_nothing || self.managed.engine().takes_batches_again();
        let (status, state) = match (goes_on, step.planned.direction) {
            (true, Direction::Up | Direction::Baseline) => {
                (ExecutionStatus::Failed, Some(AppliedStatus::Failed))
            }
            // Of a rollback nothing is left only when its very first batch failed; the migration stays applied.
            (true, Direction::Down) if first_of_all && progress.left_nothing => {
                (ExecutionStatus::Failed, None)
            }
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
