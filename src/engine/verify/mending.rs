//! Mending what can be mended without guessing, and telling the trail.

use crate::audit::{Change, Delivery, EventType, Refused};
use crate::database::{Connection, Statement, ask};
use crate::registry::executions::{self, Direction, ExecutionStatus};
use crate::registry::migrations::StatusChange;
use crate::registry::{events, migrations};

use super::super::Engine;
use super::super::access::{Managed, Writing};
use super::super::between_runs::NotBetween;
use super::super::error::EngineError;
use super::super::request::Caller;
use super::applied_status::Correction;
use super::examination::Mendable;

impl Engine {
    /// Mends; says whether anything was. One event lists it all.
    ///
    /// # Errors
    ///
    /// [`EngineError::Locked`] when a run came in between. While one is at work from the start, only what does not concern
    /// it is mended.
    pub(super) async fn mend(
        &self,
        caller: &Caller,
        managed: &Managed,
        found: &Mendable,
    ) -> Result<bool, EngineError> {
        let mut mended = Vec::new();
        if found.dead_run {
            mended = self.recover_if_dead(caller, managed).await?;
        }
        let again;
        let found = if mended.is_empty() {
            found
        } else {
            // Writing up a dead run changes states.
            again = self.examine(managed).await?.mendable;
            &again
        };
        if found.undelivered {
            mended.extend(self.try_to_deliver(managed).await?);
        }
        let quiet = !found.held;
        let corrects = quiet && !found.corrections.is_empty();
        let copies_again = quiet && found.backup;
        let delivers_again = quiet && found.archive_lacks_events;
        if mended.is_empty() && !corrects && !copies_again && !delivers_again {
            return Ok(false);
        }
        let Writing { mut connection, .. } = self.open_for_writing(managed).await?;
        let mut change = Change::of(managed.id());
        if corrects {
            for correction in &found.corrections {
                if let Some(statements) = correct(connection.as_mut(), managed, correction).await? {
                    change.either.push(statements);
                    mended.push(format!(
                        "{}: its state is {} again",
                        correction.migration_id,
                        correction.status.as_str()
                    ));
                }
            }
        }
        if copies_again {
            change.loose.push(migrations::archive_again(managed.id()));
            mended.push("the registry was handed to the archive again".to_owned());
        }
        if delivers_again {
            change.loose.push(events::deliver_again(managed.id()));
            mended.push("the events were handed to the archive again".to_owned());
        }
        if mended.is_empty() {
            return Ok(false);
        }
        let data = serde_json::json!({ "mended": mended });
        change.events = vec![self.draft(EventType::IntegrityFixed, caller, data)];
        if quiet {
            self.write_between_runs(connection.as_mut(), managed, change, &found.moment)
                .await
                .map_err(|error| match error {
                    NotBetween::Overtaken => managed.locked(None),
                    NotBetween::Other(error) => error,
                })?;
        } else {
            self.write(connection.as_mut(), managed, change).await?;
        }
        // Here and now, so that the checks that follow do not find this event waiting.
        self.try_to_deliver(managed).await?;
        Ok(true)
    }

    /// Delivers, and says what; an archive that is down is no failure of mending.
    pub(super) async fn try_to_deliver(
        &self,
        managed: &Managed,
    ) -> Result<Option<String>, EngineError> {
        match self.deliver_now(managed, Refused::Now).await {
            Ok(delivery) if delivery.is_empty() => Ok(None),
            Ok(Delivery {
                events,
                snapshots,
                migrations,
                ..
            }) => Ok(Some(format!(
                "delivered to the archive: {events} events, {snapshots} snapshots, {migrations} definitions"
            ))),
            // The checks say what is wrong with the archive.
            Err(error @ (EngineError::Archive(_) | EngineError::HistoryParted { .. })) => {
                tracing::warn!(database = %managed.id(), %error, "nothing was delivered");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The statements that set a state to what the history says; none when the history does not have the attempt that left it.
async fn correct(
    connection: &mut dyn Connection,
    managed: &Managed,
    correction: &Correction,
) -> Result<Option<[Statement; 2]>, EngineError> {
    let history = executions::of_migration(managed.id(), correction.migration_id.as_str());
    let attempts = ask(connection, history)
        .await
        .map_err(|error| managed.problem(error))?
        .rows
        .iter()
        .map(executions::parse)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| managed.problem(error.into()))?;
    // The newest attempt that applied it: what a failed rollback left as it was, and what names the up script's checksum.
    let applied = attempts.into_iter().find(|attempt| {
        attempt.status == ExecutionStatus::Applied && attempt.direction != Direction::Down
    });
    let execution = correction.execution.clone().or_else(|| applied.clone());
    Ok(execution.map(|execution| {
        StatusChange {
            migration_id: &correction.migration_id,
            status: correction.status,
            checksum: match (execution.direction, &applied) {
                (Direction::Down, Some(applied)) => applied.checksum,
                _ => execution.checksum,
            },
            execution_id: &execution.execution_id,
            executor: &execution.executor,
            at: execution.finished_at.unwrap_or(execution.started_at),
            duration_ms: execution.duration_ms.unwrap_or(0),
        }
        .statements(managed.id())
    }))
}
