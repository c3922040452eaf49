//! A script in one transaction with its record.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{AppendError, Change, Head};
use crate::database::{
    BatchReport, BatchText, Connection, DatabaseError, Leftover, ScriptEnd, ScriptMode, ServerError,
};
use crate::registry::executions::{Direction, Execution, ExecutionStatus};
use crate::registry::migrations::AppliedStatus;

use super::super::error::EngineError;
use super::super::live::StepObserver;
use super::{Outcome, Setting, Step, run_batches};

/// The server rolled the transaction back because it was in another's way: SQL Server's number for a deadlock.
const DEADLOCK: i64 = 1205;

/// How often a script is sent again within one attempt because it was the victim of a deadlock.
const RESENDS: u32 = 3;

/// Pause before a script is sent again; it doubles each time.
const BEFORE_RESENDING: Duration = Duration::from_millis(100);

/// What became of a script that was sent.
enum Sent {
    /// It is committed, with its record.
    Committed,
    /// Its transaction is over; nothing of it remains, unless the script ended it itself.
    Over {
        batches: Vec<BatchReport>,
        errors: Vec<ServerError>,
        status: ExecutionStatus,
    },
}

impl Setting<'_> {
    pub(super) async fn in_transaction(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        batches: Arc<[BatchText]>,
        believed: &mut Option<Head>,
    ) -> Result<Outcome, EngineError> {
        let mut attempt = self.attempt(step);
        let mut resends = 0;
        let (batches, errors, status) = loop {
            let sent = self
                .send(connection, step, &attempt, Arc::clone(&batches), believed)
                .await?;
            let Sent::Over {
                batches,
                errors,
                status,
            } = sent
            else {
                return Ok(Outcome::Done);
            };
            let deadlock = errors.iter().find(|error| error.number == DEADLOCK);
            let may_resend = status == ExecutionStatus::Failed && resends < RESENDS;
            let Some(deadlock) = deadlock.filter(|_| may_resend && !self.live.is_cancelled())
            else {
                break (batches, errors, status);
            };
            resends += 1;
            attempt.note = Some(format!(
                "sent {} times: it was the victim of a deadlock{}, of which nothing remained",
                resends + 1,
                deadlock
                    .line
                    .map_or_else(String::new, |line| format!(" at line {line}"))
            ));
            self.live
                .migration(step.place, |migration| migration.batches.clear());
            tokio::time::sleep(BEFORE_RESENDING * 2_u32.pow(resends - 1)).await;
        };
        let mut failed = self.ended(attempt, batches, errors, status);
        failed.note = match status {
            ExecutionStatus::Interrupted => {
                Some("the run was cancelled; the script's transaction was rolled back".to_owned())
            }
            ExecutionStatus::HalfApplied => Some(
                "the script may be applied in part; look at the database, then say by POST integrity/verify with resolve \
                 what is true"
                    .to_owned(),
            ),
            _ => failed.note,
        };
        self.record_failure(connection, step, failed, believed)
            .await
    }

    /// Sends a script and commits it with its record, or rolls it back.
    async fn send(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        attempt: &Execution,
        batches: Arc<[BatchText]>,
        believed: &mut Option<Head>,
    ) -> Result<Sent, EngineError> {
        connection
            .begin(self.engine.script_wait())
            .await
            .map_err(|error| self.problem(error))?;
        let observer = Arc::new(StepObserver {
            live: Arc::clone(self.live),
            place: step.place,
        });
        let report = run_batches(
            connection,
            Arc::clone(&batches),
            ScriptMode::InTransaction,
            observer,
            &self.engine.options().script_variables,
        )
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
                        return Ok(Sent::Committed);
                    }
                    Some(over) => over,
                }
            }
            ScriptEnd::Failed { errors, .. } => (errors, ExecutionStatus::Failed),
            ScriptEnd::Left { left, errors } => over_by(left, errors, &report.batches),
            ScriptEnd::Stopped => (Vec::new(), ExecutionStatus::Interrupted),
        };
        if !connection.is_usable() {
            // Shown, because nothing can be written on this connection any more.
            self.live.migration(step.place, |migration| {
                migration.batches.clone_from(&report.batches);
                migration.errors.clone_from(&errors);
            });
        }
        connection
            .rollback()
            .await
            .map_err(|error| self.problem(error))?;
        *believed = None;
        crate::crash_points::reached("rolled-back").await;
        Ok(Sent::Over {
            batches: report.batches,
            errors,
            status,
        })
    }

    /// Writes the records of a script that ran to its end into its own transaction and commits. When the server or the
    /// script itself does not let that happen: why, and what that makes of the attempt.
    async fn commit_done(
        &self,
        connection: &mut dyn Connection,
        step: &Step,
        done: &Execution,
        believed: &mut Option<Head>,
    ) -> Result<Option<(Vec<ServerError>, ExecutionStatus)>, EngineError> {
        let mut change = Change::of(self.managed.id());
        change.records = vec![self.insert(done)];
        let status = match done.status {
            ExecutionStatus::RolledBack => AppliedStatus::RolledBack,
            _ => AppliedStatus::Applied,
        };
        change.either = vec![self.state(step, done, status)];
        change.events = self.whole_story(done);
        change.lease = Some(self.lease);
        match self.append(connection, change, believed).await {
            Ok(()) => {}
            Err(AppendError::Database(DatabaseError::ScriptLeft(left))) => {
                return Ok(Some(over_by(left, Vec::new(), &done.batches)));
            }
            Err(problem) => {
                if let Err(error) = connection.rollback().await {
                    tracing::warn!(database = %self.managed.id(), %error, "rolling back failed");
                }
                return Err(self.managed.append_problem(problem));
            }
        }
        crate::crash_points::reached("recorded").await;
        match connection.commit().await {
            Ok(()) => Ok(None),
            // Nothing of the script remains, and the script is at fault.
            Err(DatabaseError::CommitRefused { number, message }) => Ok(Some((
                vec![at_its_end(&done.batches, number, message)],
                ExecutionStatus::Failed,
            ))),
            Err(error) => Err(self.problem(error)),
        }
    }
}

/// What a script came to that left its transaction or its session in another state.
fn over_by(
    left: Leftover,
    mut errors: Vec<ServerError>,
    batches: &[BatchReport],
) -> (Vec<ServerError>, ExecutionStatus) {
    let status = match left {
        Leftover::EndedTransaction => ExecutionStatus::HalfApplied,
        // These can still be rolled back.
        Leftover::DoomedTransaction
        | Leftover::OpenTransaction
        | Leftover::OtherDatabase
        | Leftover::OtherPrincipal => ExecutionStatus::Failed,
    };
    errors.push(at_its_end(batches, 0, left.to_string()));
    (errors, status)
}

/// An error of the script as a whole: the last batch stands for its end.
pub(in crate::engine) fn at_its_end(
    batches: &[BatchReport],
    number: i64,
    message: String,
) -> ServerError {
    let last = batches.last();
    ServerError {
        number,
        severity: Some(16),
        state: Some(1),
        line: last.map(|batch| batch.line),
        batch: last.map(|batch| batch.index),
        procedure: None,
        message,
    }
}
