//! Withdrawing a migration that is not applied, and looking at the attempts at one.

use crate::audit::{Change, EventType};
use crate::database::{Connection, ask};
use crate::registry::executions;
use crate::registry::migrations::{self, AppliedStatus};
use crate::script::{DatabaseId, Version};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, Writing};
use super::create::view;
use super::error::EngineError;
use super::request::Caller;
use super::view::{ExecutionView, MigrationView};

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
        let Writing {
            mut connection,
            state,
        } = self.open_for_writing(&managed).await?;
        let record = state.find(id).ok_or_else(unknown)?;
        if record.is_own() {
            return Err(EngineError::OwnMigration(record.migration_id.clone()));
        }
        match record.applied.as_ref().map(|applied| applied.status) {
            Some(AppliedStatus::Applied) => {
                return Err(EngineError::Protected(record.migration_id.clone()));
            }
            // Batches of it are applied, and only its registration tells which.
            Some(AppliedStatus::HalfApplied | AppliedStatus::Interrupted) => {
                return Err(EngineError::HalfApplied(vec![record.migration_id.clone()]));
            }
            _ => {}
        }
        if state
            .lock
            .as_ref()
            .and_then(super::access::holder)
            .is_some()
        {
            return Err(managed.locked(state.lock.as_ref()));
        }
        let now = Timestamp::now();
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
        self.write(connection.as_mut(), &managed, change).await?;
        let mut withdrawn = record.clone();
        withdrawn.withdrawn_at = Some(now);
        Ok(view(&managed, &withdrawn, Vec::new()))
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
