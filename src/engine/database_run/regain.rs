//! A run whose connection was lost: what may still be under way on it is fenced off and waited for, and only then is it known
//! how the last script ended.

use crate::database::{Access, ask};
use crate::registry::executions::{self, Execution, ExecutionStatus};
use crate::registry::state::{self, DatabaseState};
use crate::script::Version;
use crate::time::Timestamp;

use super::super::error::{EngineError, ProblemNote};
use super::super::heartbeat::Heartbeat;
use super::super::recovery;
use super::super::script_execution::{Outcome, Step};
use super::super::view::RunStatus;
use super::{DatabaseRun, Ready};

/// What became of the lock of a run that lost its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Regained {
    /// It is the run's again, on a new connection.
    Ours,
    /// The run's own last commit had given it back.
    GivenBack,
}

impl DatabaseRun {
    /// Puts a new connection, with a new fencing token, in the place of one that was lost.
    ///
    /// The order is what makes the outcome certain: raising the token waits for the row that a commit under way holds, and
    /// the session's lock for the session itself. A plain read could show the state before a commit that is still to come.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached in time, or another run has taken the lock: the next one finds out then.
    async fn regain(&self, ready: &mut Ready) -> Result<Regained, EngineError> {
        tracing::warn!(
            database = %self.managed.id(), run = %self.run_id,
            "the connection was lost; finding out on another one what became of what it was doing"
        );
        let mut connection = self
            .managed
            .database
            .open(Access::Write)
            .await
            .map_err(|error| self.problem(error))?;
        connection
            .begin(self.engine.script_wait())
            .await
            .map_err(|error| self.problem(error))?;
        let raised = ask(connection.as_mut(), ready.lease.raise()).await;
        let raised = match raised {
            Ok(raised) => Ok(raised.affected == 1),
            Err(error) => Err(self.problem(error)),
        };
        let is_ours = self
            .engine
            .conclude(connection.as_mut(), &self.managed, raised)
            .await?;
        if !is_ours {
            let now = self
                .managed
                .lock_row(connection.as_mut())
                .await
                .map_err(|error| self.problem(error))?;
            return match now {
                Some(now) if now.held.is_none() && now.token == ready.lease.raised().token => {
                    ready.connection = connection;
                    Ok(Regained::GivenBack)
                }
                now => Err(self.managed.locked(now.as_ref())),
            };
        }
        ready.lease = ready.lease.raised();
        ready.heartbeat = Heartbeat::start(&self.managed, ready.lease.clone());
        ready.connection = connection;
        ready.head = None;
        self.engine
            .shut_out(ready.connection.as_mut(), &self.managed, true)
            .await?;
        Ok(Regained::Ours)
    }

    /// Finds out how a step ended whose connection was lost, and writes up what is left of it.
    ///
    /// # Errors
    ///
    /// When that could not be found out in time: the plan stays open, and the next run does.
    pub(super) async fn find_out(
        &self,
        ready: &mut Ready,
        step: &Step,
    ) -> Result<Outcome, EngineError> {
        if self.regain(ready).await? == Regained::GivenBack {
            return Err(self.managed.locked(None));
        }
        let found = match self.execution(ready, step).await? {
            Some(running) if running.status == ExecutionStatus::Running => {
                // A script without a transaction was cut off: its progress says what is known of it.
                let state = self.read(ready.connection.as_mut()).await?;
                self.write_up(ready.connection.as_mut(), &ready.lease, &state, None)
                    .await?;
                self.execution(ready, step).await?
            }
            found => found,
        };
        let Some(found) = found else {
            return self.nothing_remained(ready, step).await;
        };
        let state = self.read(ready.connection.as_mut()).await?;
        let shown = recovery::shown(&found, &state);
        self.live
            .migration(step.place, |migration| *migration = shown);
        Ok(match found.status {
            ExecutionStatus::Applied | ExecutionStatus::RolledBack => Outcome::Done,
            _ => {
                self.tell_lost_connection();
                Outcome::Failed
            }
        })
    }

    async fn execution(
        &self,
        ready: &mut Ready,
        step: &Step,
    ) -> Result<Option<Execution>, EngineError> {
        let one = executions::one(self.managed.id(), &step.planned.execution_id);
        let reply = ask(ready.connection.as_mut(), one)
            .await
            .map_err(|error| self.problem(error))?;
        reply
            .rows
            .first()
            .map(executions::parse)
            .transpose()
            .map_err(|error| self.problem(error.into()))
    }

    /// The script's transaction left no record, so nothing of the script is there either.
    async fn nothing_remained(
        &self,
        ready: &mut Ready,
        step: &Step,
    ) -> Result<Outcome, EngineError> {
        let (batches, errors) = self
            .live
            .database(self.index, |database| {
                database
                    .migrations
                    .get(step.place.1)
                    .map(|shown| (shown.batches.clone(), shown.errors.clone()))
            })
            .flatten()
            .unwrap_or_default();
        let setting = self.setting(&ready.lease);
        let mut gone = setting.ended(
            setting.attempt(step),
            batches,
            errors,
            ExecutionStatus::Interrupted,
        );
        gone.note = Some(
            "the connection to the database was lost; the server rolled the script's transaction back, and nothing of it \
             remains"
                .to_owned(),
        );
        setting
            .record_failure(ready.connection.as_mut(), step, gone, &mut ready.head)
            .await?;
        self.tell_lost_connection();
        Ok(Outcome::Failed)
    }

    fn tell_lost_connection(&self) {
        let note = ProblemNote {
            code: "unavailable".to_owned(),
            detail: format!(
                "the connection to {} was lost; its migrations say what is known of what was under way; run again",
                self.managed.id()
            ),
        };
        self.live
            .database(self.index, |database| database.problem = Some(note));
    }

    /// Closes the plan, or finds that the commit whose answer was lost has closed it.
    pub(super) async fn close_again(
        &self,
        ready: &mut Ready,
        status: RunStatus,
    ) -> Result<(), EngineError> {
        if self.regain(ready).await? == Regained::Ours {
            return self.close(ready, status).await;
        }
        let state = state::read(ready.connection.as_mut(), self.managed.id())
            .await
            .map_err(|error| self.problem(error))?
            .unwrap_or_else(DatabaseState::empty);
        let snapshot = state
            .newest_snapshot
            .as_ref()
            .filter(|snapshot| snapshot.run_id.as_deref() == Some(&*self.run_id))
            .map(|snapshot| snapshot.snapshot_id.clone());
        let to_version = state.current_version().map(Version::to_string);
        let now = Timestamp::now();
        self.live
            .with(|run| self.conclude_in(run, status, snapshot.as_deref(), to_version, now));
        Ok(())
    }
}
