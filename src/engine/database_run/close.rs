//! Closing a run's work on a database: the snapshot and the release of the lock, or giving up.

use crate::audit::{self, Change};
use crate::database::{Connection, ask};
use crate::registry::lock::Lease;
use crate::registry::runs;
use crate::registry::state::{self, DatabaseState};
use crate::schema::Schema;
use crate::script::{EngineKind, Version};
use crate::time::Timestamp;

use super::super::access::last_holder;
use super::super::error::{EngineError, LockHolder, ProblemNote};
use super::super::run_result::conclude;
use super::super::snapshots::{Capture, live_schema};
use super::super::view::{Run, RunMigration, RunStatus, SnapshotType, StepStatus};
use super::{DatabaseRun, Ready, RunRow};

impl DatabaseRun {
    /// Takes the snapshot, closes the plan and gives the lock back, in one commit.
    pub(super) async fn close(
        &self,
        ready: &mut Ready,
        status: RunStatus,
    ) -> Result<(), EngineError> {
        crate::crash_points::reached("before-snapshot").await;
        let attempted = self
            .live
            .database(self.index, |database| {
                database.migrations.iter().any(|migration| {
                    !matches!(migration.status, StepStatus::Planned | StepStatus::Skipped)
                })
            })
            .unwrap_or(false);
        let connection = ready.connection.as_mut();
        let mut change = Change::of(self.managed.id());
        let mut snapshot_id = None;
        let schema = if attempted || ready.snapshot_missing {
            self.schema_afterwards(connection).await?
        } else {
            None
        };
        if let Some(schema) = schema {
            let capture = Capture::of(
                &schema,
                &self.managed,
                SnapshotType::PostMigration,
                &self.caller,
                Some(&self.run_id),
            );
            change.records.extend(capture.statements());
            change
                .events
                .push(capture.event(&self.engine, &self.caller));
            snapshot_id = Some(capture.row.snapshot_id.clone());
        }
        let now = Timestamp::now();
        change
            .records
            .push(runs::close_plan(self.managed.id(), ready.plan, now));
        let after = state::read(connection, self.managed.id())
            .await
            .map_err(|error| self.problem(error))?
            .unwrap_or_else(DatabaseState::empty);
        let to_version = after.current_version().map(Version::to_string);
        let end = |run: &mut Run| {
            self.conclude_in(run, status, snapshot_id.as_deref(), to_version.clone(), now);
        };
        if self.run_row == RunRow::WithPlan {
            let mut concluded = self.live.view();
            end(&mut concluded);
            change.loose.push(self.engine.end_of_run(&concluded, now));
        }
        change.lease = Some(&ready.lease);
        connection
            .begin(self.engine.script_wait())
            .await
            .map_err(|error| self.problem(error))?;
        let closed = async {
            audit::append(connection, change, ready.head.as_ref())
                .await
                .map_err(|error| self.managed.append_problem(error))?;
            ask(connection, ready.lease.release())
                .await
                .map_err(|error| self.problem(error))?;
            crate::crash_points::reached("before-release").await;
            Ok(())
        }
        .await;
        self.engine
            .conclude(connection, &self.managed, closed)
            .await?;
        // Who polls is told only now: before, others still found the database locked.
        self.live.with(end);
        Ok(())
    }

    /// The schema as the run left it. Cosmos DB may be down while the records can be written: then the next run takes the
    /// snapshot that is missing.
    async fn schema_afterwards(
        &self,
        connection: &mut dyn Connection,
    ) -> Result<Option<Schema>, EngineError> {
        match live_schema(connection, &self.managed).await {
            Ok(schema) => Ok(Some(schema)),
            Err(problem) if self.managed.engine() == EngineKind::Cosmos => {
                tracing::warn!(
                    database = %self.managed.id(), run = %self.run_id, error = &problem as &dyn std::error::Error,
                    "no snapshot could be taken; the next run takes it"
                );
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Puts the end of the work on this database into the run object, and the end of the run when its row has it.
    pub(super) fn conclude_in(
        &self,
        run: &mut Run,
        status: RunStatus,
        snapshot_id: Option<&str>,
        to_version: Option<String>,
        now: Timestamp,
    ) {
        if let Some(database) = run.databases.get_mut(self.index) {
            database.status = status;
            database.snapshot_id = snapshot_id.map(str::to_owned);
            database.to_version = to_version;
            skip_the_rest(&mut database.migrations);
        }
        if self.run_row == RunRow::WithPlan {
            conclude(run, now);
        }
    }

    /// Ends the work without knowing how the last script ended: the plan stays open, so that whoever comes next writes it
    /// up. The lock is given back if it is still held.
    pub(super) async fn give_up(&self, ready: &mut Ready, problem: &EngineError) {
        let (status, mut note, mut holder) = problem_of(problem);
        let connection = ready.connection.as_mut();
        if status == RunStatus::Locked && connection.rollback().await.is_ok() {
            holder = match self.managed.lock_row(connection).await {
                Ok(Some(now)) => last_holder(&now),
                _ => holder,
            };
        }
        tracing::error!(database = %self.managed.id(), run = %self.run_id, error = problem as &dyn std::error::Error, "the run cannot go on");
        if status == RunStatus::Locked {
            note.detail = format!(
                "another run took {} over while this one could not renew its lock; what this run had done stays, and \
                 what it was doing was rolled back",
                self.managed.id()
            );
        }
        self.live.database(self.index, |database| {
            database.status = status;
            database.problem = Some(note);
            database.lock = holder;
            for migration in &mut database.migrations {
                if migration.status == StepStatus::Running {
                    migration.status = StepStatus::Interrupted;
                }
            }
            skip_the_rest(&mut database.migrations);
        });
        self.release(ready.connection.as_mut(), &ready.lease).await;
    }

    /// Shows in the run object why the database's part did not begin.
    pub fn show_problem(&self, problem: &EngineError) {
        let (status, note, holder) = problem_of(problem);
        self.live.database(self.index, |database| {
            database.status = status;
            database.problem = Some(note);
            database.lock = holder;
            skip_the_rest(&mut database.migrations);
        });
    }

    /// Gives the lock back, whatever else went wrong.
    pub(super) async fn release(&self, connection: &mut dyn Connection, lease: &Lease) {
        let released = async {
            connection.rollback().await?;
            ask(connection, lease.release()).await
        };
        if let Err(error) = released.await {
            tracing::warn!(
                database = %self.managed.id(), %error,
                "the lock could not be released; it is free when its lease has expired"
            );
        }
    }
}

fn problem_of(problem: &EngineError) -> (RunStatus, ProblemNote, Option<LockHolder>) {
    match problem {
        EngineError::Locked { holder, .. } => (RunStatus::Locked, problem.into(), holder.clone()),
        _ => (RunStatus::Failed, problem.into(), None),
    }
}

fn skip_the_rest(migrations: &mut [RunMigration]) {
    for migration in migrations {
        if migration.status == StepStatus::Planned {
            migration.status = StepStatus::Skipped;
        }
    }
}
