//! Withdrawing a migration that is not applied, and looking at the attempts at one.

use crate::audit::{Change, EventType};
use crate::database::{Connection, ask};
use crate::registry::executions;
use crate::registry::migrations::{self, AppliedStatus, MigrationRecord};
use crate::registry::state::DatabaseState;
use crate::script::{DatabaseId, Version};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, Writing, holder};
use super::between_runs::{Moment, NotBetween};
use super::create::view;
use super::error::EngineError;
use super::request::Caller;
use super::view::{ExecutionView, MigrationView};

/// How often a withdrawal is judged anew because a run came in between.
const ATTEMPTS: u32 = 3;

impl Engine {
    /// Withdraws a migration that is pending, failed or rolled back. Its attempts stay in the history, its version is free.
    ///
    /// # Errors
    ///
    /// `unknown-migration`; `protected` for applied ones and dbvc's own; `half-applied`; `locked` while a run is at work.
    pub async fn withdraw(
        &self,
        caller: &Caller,
        database: &DatabaseId,
        id: &str,
    ) -> Result<MigrationView, EngineError> {
        let managed = self.managed(database).await?;
        // Looking does not make a registry where there is none.
        let (_, state) = self.read_state(&managed).await?;
        let unknown = || EngineError::UnknownMigration {
            database: database.clone(),
            migration: id.to_owned(),
        };
        if state.find(id).is_none() {
            return Err(unknown());
        }
        for _ in 0..ATTEMPTS {
            let Writing {
                mut connection,
                state,
            } = self.open_for_writing(&managed).await?;
            let record = state.find(id).ok_or_else(unknown)?;
            self.check_withdrawal(connection.as_mut(), &managed, &state, record)
                .await?;
            let now = Timestamp::now();
            let change = self.withdrawal(caller, &managed, record, now);
            let written = self
                .write_between_runs(connection.as_mut(), &managed, change, &Moment::of(&state))
                .await;
            match written {
                Ok(()) => {
                    let mut withdrawn = record.clone();
                    withdrawn.withdrawn_at = Some(now);
                    return Ok(view(&managed, &withdrawn, Vec::new()));
                }
                // A run came in between, and what it made of the migration decides.
                Err(NotBetween::Overtaken) => {}
                Err(NotBetween::Other(problem)) => return Err(problem),
            }
        }
        Err(managed.locked(None))
    }

    /// Refuses what must not be withdrawn.
    async fn check_withdrawal(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        state: &DatabaseState,
        record: &MigrationRecord,
    ) -> Result<(), EngineError> {
        if record.is_own() {
            return Err(EngineError::OwnMigration(record.migration_id.clone()));
        }
        if state.lock.as_ref().and_then(holder).is_some() {
            return Err(managed.locked(state.lock.as_ref()));
        }
        let half_applied = match &record.applied {
            None => false,
            Some(applied) => match applied.status {
                AppliedStatus::Applied => {
                    return Err(EngineError::Protected(record.migration_id.clone()));
                }
                AppliedStatus::HalfApplied | AppliedStatus::Interrupted => true,
                AppliedStatus::RolledBack => false,
                // Of a script without a transaction batches may be applied, and only its registration tells which.
                AppliedStatus::Failed => {
                    self.has_applied_batches(connection, managed, &applied.execution_id)
                        .await?
                }
            },
        };
        if half_applied {
            return Err(EngineError::HalfApplied(vec![record.migration_id.clone()]));
        }
        Ok(())
    }

    /// Whether an attempt without a transaction has applied any of its batches.
    async fn has_applied_batches(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        execution_id: &str,
    ) -> Result<bool, EngineError> {
        let progress = self.progress_of(connection, managed, execution_id).await?;
        Ok(progress.iter().any(|batch| batch.ended > 0))
    }

    fn withdrawal<'a>(
        &self,
        caller: &Caller,
        managed: &'a Managed,
        record: &MigrationRecord,
        now: Timestamp,
    ) -> Change<'a> {
        let mut change = Change::of(managed.id());
        change.records = vec![migrations::withdraw(
            managed.id(),
            &record.migration_id,
            now,
        )];
        change.loose = vec![migrations::remove_status(
            managed.id(),
            &record.migration_id,
        )];
        let mut event = self.draft(
            EventType::Withdrawn,
            caller,
            serde_json::json!({
                "version": record.version.as_ref().map(Version::as_written),
                "checksum": record.up_checksum,
                "status": record.status_word(),
            }),
        );
        event.migration_id = Some(record.migration_id.clone());
        change.events = vec![event];
        change
    }

    /// Every attempt at a migration, newest first.
    pub(super) async fn attempts_at(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        id: &str,
    ) -> Result<Vec<ExecutionView>, EngineError> {
        let reply = ask(connection, executions::of_migration(managed.id(), id))
            .await
            .map_err(|error| managed.problem(error))?;
        let mut attempts = Vec::with_capacity(reply.rows.len());
        for row in &reply.rows {
            let execution =
                executions::parse(row).map_err(|error| managed.problem(error.into()))?;
            attempts.push(ExecutionView {
                execution_id: execution.execution_id,
                run_id: execution.run_id,
                direction: execution.direction.as_str().to_owned(),
                status: execution.status.as_str().to_owned(),
                transactional: execution.transactional,
                checksum: execution.checksum.to_string(),
                executor: execution.executor,
                started_at: execution.started_at,
                finished_at: execution.finished_at,
                duration_ms: execution.duration_ms,
                batches: execution.batches,
                errors: execution.errors,
                note: execution.note,
                resolved_as: execution.resolved_as,
            });
        }
        Ok(attempts)
    }
}
