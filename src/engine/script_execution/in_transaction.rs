//! A script in one transaction with its record.

use std::sync::Arc;

use crate::audit::{Change, Head};
use crate::database::{BatchText, Connection, DatabaseError, ScriptEnd, ScriptMode, ServerError};
use crate::registry::executions::{Direction, Execution, ExecutionStatus};
use crate::registry::migrations::AppliedStatus;

use super::super::error::EngineError;
use super::super::live::StepObserver;
use super::{Outcome, Setting, Step};

impl Setting<'_> {
    pub(super) async fn in_transaction(
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
                // The server does not say which statement is at fault: the last batch stands for the script's end.
                let last = done.batches.last();
                Ok(Some(ServerError {
                    number,
                    severity: Some(16),
                    state: Some(1),
                    line: last.map(|batch| batch.line),
                    batch: last.map(|batch| batch.index),
                    procedure: None,
                    message,
                }))
            }
            Err(error) => Err(self.problem(error)),
        }
    }
}
