//! A person's word on a script that may have been applied in part.

use crate::audit::{Change, EventType};
use crate::database::{Connection, ask};
use crate::registry::executions::{self, Direction, Execution, ExecutionStatus};
use crate::registry::migrations::{AppliedStatus, StatusChange};
use crate::time::Timestamp;

use super::super::Engine;
use super::super::access::{Managed, Writing, holder};
use super::super::between_runs::{Moment, NotBetween};
use super::super::error::{EngineError, FieldError};
use super::super::request::{Caller, Resolution};

/// What becomes of the attempt and of its migration. `applied`: the person says that the script, up or down, did its work.
fn outcome(direction: Direction, applied: bool) -> (ExecutionStatus, AppliedStatus) {
    match (direction, applied) {
        (Direction::Up | Direction::Baseline, true) => {
            (ExecutionStatus::Applied, AppliedStatus::Applied)
        }
        (Direction::Up | Direction::Baseline, false) => {
            (ExecutionStatus::Failed, AppliedStatus::Failed)
        }
        (Direction::Down, true) => (ExecutionStatus::RolledBack, AppliedStatus::RolledBack),
        (Direction::Down, false) => (ExecutionStatus::Failed, AppliedStatus::Applied),
    }
}

fn wrong(message: String) -> EngineError {
    EngineError::Invalid(vec![FieldError::new("resolve.executionId", message)])
}

impl Engine {
    /// Records a person's word on a half-applied execution.
    ///
    /// # Errors
    ///
    /// [`EngineError::Invalid`] when the execution is not half-applied, or there is none of this id;
    /// [`EngineError::Locked`] while a run holds the database.
    pub(super) async fn resolve(
        &self,
        caller: &Caller,
        managed: &Managed,
        resolution: &Resolution,
    ) -> Result<(), EngineError> {
        // Looked for first: a wrong id makes no registry where there is none.
        let (connection, _) = self.read_state(managed).await?;
        let Some(mut connection) = connection else {
            return Err(wrong("names no execution of this database".to_owned()));
        };
        half_applied(connection.as_mut(), managed, &resolution.execution_id).await?;
        drop(connection);

        let Writing {
            mut connection,
            state,
        } = self.open_for_writing(managed).await?;
        if state.lock.as_ref().and_then(holder).is_some() {
            return Err(managed.locked(state.lock.as_ref()));
        }
        let execution =
            half_applied(connection.as_mut(), managed, &resolution.execution_id).await?;
        if execution.direction == Direction::Down && !resolution.applied {
            self.refuse_forgetting(connection.as_mut(), managed, &execution)
                .await?;
        }
        let (ended, left) = outcome(execution.direction, resolution.applied);
        let word = if resolution.applied {
            "applied"
        } else {
            "failed"
        };
        // The checksum recorded for a migration is that of its up script; the attempt's own may be that of its down script.
        let checksum = state
            .find(execution.migration_id.as_str())
            .and_then(|record| record.applied.as_ref())
            .map_or(execution.checksum, |applied| applied.checksum);
        let mut change = Change::of(managed.id());
        change.records = vec![executions::resolve(&execution.execution_id, ended, word)];
        let status = StatusChange {
            migration_id: &execution.migration_id,
            status: left,
            checksum,
            execution_id: &execution.execution_id,
            executor: &execution.executor,
            at: Timestamp::now(),
            duration_ms: execution.duration_ms.unwrap_or(0),
        };
        change.either = vec![status.statements(managed.id())];
        let data = serde_json::json!({
            "as": word,
            "direction": execution.direction.as_str(),
            "status": left.as_str(),
        });
        let mut event = self.draft(EventType::Resolved, caller, data);
        event.migration_id = Some(execution.migration_id);
        event.run_id = execution.run_id;
        event.execution_id = Some(execution.execution_id);
        change.events = vec![event];
        self.write_between_runs(connection.as_mut(), managed, change, &Moment::of(&state))
            .await
            .map_err(|error| match error {
                NotBetween::Overtaken => managed.locked(None),
                NotBetween::Other(error) => error,
            })
    }
}

impl Engine {
    /// A rollback always starts with its first batch, so batches of it that are known to be applied cannot be said not to be.
    async fn refuse_forgetting(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        execution: &Execution,
    ) -> Result<(), EngineError> {
        let progress = self
            .progress_of(connection, managed, &execution.execution_id)
            .await?;
        if progress.iter().any(|batch| batch.ended > 0) {
            return Err(EngineError::Invalid(vec![FieldError::new(
                "resolve.as",
                "must be applied: batches of this rollback are known to be applied; finish it by hand first",
            )]));
        }
        Ok(())
    }
}

async fn half_applied(
    connection: &mut dyn Connection,
    managed: &Managed,
    execution_id: &str,
) -> Result<Execution, EngineError> {
    let reply = ask(connection, executions::one(managed.id(), execution_id))
        .await
        .map_err(|error| managed.problem(error))?;
    let row = reply
        .rows
        .first()
        .ok_or_else(|| wrong("names no execution of this database".to_owned()))?;
    let execution = executions::parse(row).map_err(|error| managed.problem(error.into()))?;
    if execution.status == ExecutionStatus::HalfApplied {
        Ok(execution)
    } else {
        Err(wrong(format!(
            "names an execution that is {}; only a half-applied one needs a person's word",
            execution.status.as_str()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_on_a_rollback_is_about_the_down_script() {
        assert_eq!(
            outcome(Direction::Down, true),
            (ExecutionStatus::RolledBack, AppliedStatus::RolledBack)
        );
        assert_eq!(
            outcome(Direction::Down, false),
            (ExecutionStatus::Failed, AppliedStatus::Applied)
        );
        assert_eq!(
            outcome(Direction::Up, true),
            (ExecutionStatus::Applied, AppliedStatus::Applied)
        );
        assert_eq!(
            outcome(Direction::Up, false),
            (ExecutionStatus::Failed, AppliedStatus::Failed)
        );
    }
}
