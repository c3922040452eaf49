//! Runs and rollbacks: detached tasks that go on whoever waits for them, with their state in the home database.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::audit::Change;
use crate::database::{Access, Statement, ask};
use crate::registry::inventory::InventoryRow;
use crate::registry::runs;
use crate::time::Timestamp;

use super::Engine;
use super::access::{Writing, new_id};
use super::database_run::Work;
use super::drive::{self, Drive};
use super::error::{EngineError, FieldError};
use super::live::LiveRun;
use super::request::{AllDatabases, Caller, RollbackRequest, RunRequest, Target};
use super::run_result::{result_of, status_word};
use super::view::{DryRun, Run, RunDatabase, RunKind, RunStatus};

/// The environment in which a rollback must be confirmed.
const GUARDED_ENVIRONMENT: &str = "prod";

/// How a run is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it has ended.
    ToTheEnd,
    /// At most so long; then the run as far as it came.
    AtMost(Duration),
}

impl Engine {
    /// Starts a run as a detached task and waits for it. With `Wait::AtMost(Duration::ZERO)` it returns as soon as the run
    /// is validated and, for one database, locked and planned. A run that has not ended in time is `Ok` with a status of
    /// `queued` or `running`; it goes on.
    ///
    /// # Errors
    ///
    /// Those of validating and planning; [`EngineError::MigrationFailed`] when a script failed, and
    /// [`EngineError::InRun`] when something else stopped a run that has an object.
    pub async fn run(
        &self,
        caller: &Caller,
        request: RunRequest,
        wait: Wait,
    ) -> Result<Run, EngineError> {
        self.check_environment(&request.environment)?;
        check_run(&request)?;
        let rows = match &request.database_id {
            Target::One(id) => vec![self.row(id).await?],
            Target::All(_) => self.rows_of_environment().await?,
        };
        if request.dry_run != DryRun::No {
            return self.dry_run(caller, &request, rows).await;
        }
        let whole = matches!(request.database_id, Target::All(AllDatabases::All));
        let run = self.new_run(
            RunKind::Run,
            &request.database_id.to_string(),
            caller,
            &rows,
        );
        self.start(caller, Work::Apply(request), run, rows, whole, wait)
            .await
    }

    /// Starts a rollback; as [`Engine::run`] otherwise.
    ///
    /// # Errors
    ///
    /// As [`Engine::run`], and `confirmation-required` in production.
    pub async fn rollback(
        &self,
        caller: &Caller,
        request: RollbackRequest,
        wait: Wait,
    ) -> Result<Run, EngineError> {
        self.check_environment(&request.environment)?;
        let row = self.row(&request.database_id).await?;
        if request.dry_run {
            return self.preview_rollback(caller, &request, row).await;
        }
        let confirmed = request.confirm.as_deref() == Some(request.migration_id.as_str());
        if self.options().environment == GUARDED_ENVIRONMENT && !confirmed {
            return Err(self.refuse_unconfirmed(caller, request, row).await);
        }
        let rows = vec![row];
        let run = self.new_run(
            RunKind::Rollback,
            request.database_id.as_str(),
            caller,
            &rows,
        );
        self.start(caller, Work::Undo(request), run, rows, false, wait)
            .await
    }

    /// The problem of a production rollback without its confirmation, told to the trail.
    async fn refuse_unconfirmed(
        &self,
        caller: &Caller,
        request: RollbackRequest,
        row: InventoryRow,
    ) -> EngineError {
        let told = async {
            let managed = self.reach(row)?;
            let (_, state) = self.read_state(&managed).await?;
            let Some(record) = state.find(&request.migration_id) else {
                return Err(EngineError::UnknownMigration {
                    database: managed.id().clone(),
                    migration: request.migration_id.clone(),
                });
            };
            let problem = EngineError::ConfirmationRequired(record.migration_id.clone());
            let mut change = Change::of(managed.id());
            change.events = vec![self.refusal(caller, &Work::Undo(request), &problem)];
            let written = async {
                let Writing { mut connection, .. } = self.open_for_writing(&managed).await?;
                self.write(connection.as_mut(), &managed, change).await
            };
            if let Err(error) = written.await {
                tracing::warn!(database = %managed.id(), %error, "a refusal could not be written to the trail");
            }
            Ok(problem)
        };
        told.await.unwrap_or_else(|problem| problem)
    }

    /// The object of a run that has not begun.
    pub(super) fn new_run(
        &self,
        kind: RunKind,
        database_id: &str,
        caller: &Caller,
        rows: &[InventoryRow],
    ) -> Run {
        Run {
            run_id: new_id(),
            kind,
            environment: self.options().environment.clone(),
            database_id: database_id.to_owned(),
            executor: caller.executor.clone(),
            dry_run: DryRun::No,
            status: RunStatus::Running,
            started_at: Timestamp::now(),
            finished_at: None,
            duration_ms: None,
            cancel_requested: false,
            databases: rows
                .iter()
                .map(|row| RunDatabase {
                    database_id: row.database_id.clone(),
                    engine: row.engine,
                    status: RunStatus::Queued,
                    from_version: None,
                    to_version: None,
                    snapshot_id: None,
                    drift_before: None,
                    problem: None,
                    lock: None,
                    migrations: Vec::new(),
                })
                .collect(),
        }
    }

    async fn start(
        &self,
        caller: &Caller,
        work: Work,
        run: Run,
        rows: Vec<InventoryRow>,
        whole: bool,
        wait: Wait,
    ) -> Result<Run, EngineError> {
        let run_id = run.run_id.clone();
        let live = self.inner.live.begin(run);
        let (prepared, when_prepared) = oneshot::channel();
        let drive = Drive {
            engine: self.clone(),
            live: Arc::clone(&live),
            run_id,
            caller: caller.clone(),
            work: Arc::new(work),
        };
        // Detached: a caller who goes away cancels nothing.
        drive::detach(self, &live, async move {
            if whole {
                drive.all(rows, prepared).await;
            } else if let Some(row) = rows.into_iter().next() {
                drive.one(row, prepared).await;
            }
        });
        let begun = tokio::time::Instant::now();
        let prepared = match wait {
            Wait::AtMost(limit) if limit > Duration::ZERO => {
                match tokio::time::timeout(limit, when_prepared).await {
                    Ok(prepared) => prepared,
                    // Getting ready counts as well: the platform cuts the caller off all the same.
                    Err(_) => return Ok(live.view()),
                }
            }
            Wait::AtMost(_) | Wait::ToTheEnd => when_prepared.await,
        };
        match prepared {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                live.ended().await;
                return Err(EngineError::InRun {
                    problem: Box::new(problem),
                    run: Box::new(live.view()),
                });
            }
            // The task broke off without a word.
            Err(_) => live.ended().await,
        }
        match wait {
            Wait::ToTheEnd => live.ended().await,
            // Who does not want to wait gets the run and never its result, however fast it was.
            Wait::AtMost(Duration::ZERO) => return Ok(live.view()),
            Wait::AtMost(limit) => {
                let _ = tokio::time::timeout_at(begun + limit, live.ended()).await;
            }
        }
        if live.has_ended() {
            result_of(live.view())
        } else {
            Ok(live.view())
        }
    }

    /// The row of a run that begins, or has ended already.
    pub(super) fn new_run_row(&self, run: &Run, caller: &Caller, work: &Work) -> Statement {
        // Plain data always serialises.
        let request = match work {
            Work::Apply(request) => serde_json::to_string(request),
            Work::Undo(request) => serde_json::to_string(request),
        }
        .unwrap_or_default();
        let ended = run.finished_at.is_some();
        runs::RunRow {
            run_id: run.run_id.clone(),
            kind: match run.kind {
                RunKind::Run => "run".to_owned(),
                RunKind::Rollback => "rollback".to_owned(),
            },
            database_id: run.database_id.clone(),
            environment: run.environment.clone(),
            executor: caller.executor.clone(),
            principal: caller.principal.clone(),
            request,
            status: status_word(run.status).to_owned(),
            owner: (!ended).then(|| self.inner.instance.clone()),
            started_at: run.started_at,
            cancel_requested_by: None,
            progress: serde_json::to_string(run).unwrap_or_default(),
        }
        .insert(self.options().lease_seconds, run.finished_at)
    }

    /// Writes a run's progress.
    pub(super) fn run_progress(&self, live: &LiveRun) -> Statement {
        let run = live.view();
        runs::write_progress(
            &run.run_id,
            &self.inner.instance,
            &serde_json::to_string(&run).unwrap_or_default(),
            self.options().lease_seconds,
        )
    }

    /// Writes the end of a run that was concluded at `now`.
    pub(super) fn end_of_run(&self, concluded: &Run, now: Timestamp) -> Statement {
        runs::end(
            &concluded.run_id,
            &self.inner.instance,
            status_word(concluded.status),
            now,
            &serde_json::to_string(concluded).unwrap_or_default(),
        )
    }

    /// Sends one statement to the home database, which has its registry already.
    pub(super) async fn tell_home(&self, statement: Statement) -> Result<u64, EngineError> {
        let home = self.home();
        let told = async {
            let mut connection = home.database.open(Access::Write).await?;
            Ok(ask(connection.as_mut(), statement).await?.affected)
        };
        told.await.map_err(|error| home.problem(error))
    }

    /// Ends a run, waiting as long as a script would for others to let go of the home database: its end must not get lost
    /// because somebody's script holds it. A run that could not be recorded when it began is recorded now. Gives false when
    /// another instance has adopted the run, whose end is then not this instance's to tell.
    pub(super) async fn tell_home_of_end(
        &self,
        end: Statement,
        whole: Statement,
    ) -> Result<bool, EngineError> {
        let home = self.home();
        let told = async {
            let mut connection = home.database.open(Access::Write).await?;
            connection.begin(self.script_wait()).await?;
            let sent = async {
                let ended = ask(connection.as_mut(), end).await?.affected == 1;
                // Adds nothing where the run has its row.
                let added = !ended && ask(connection.as_mut(), whole).await?.affected == 1;
                Ok(ended || added)
            };
            match sent.await {
                Ok(told) => connection.commit().await.map(|()| told),
                Err(error) => {
                    connection.rollback().await?;
                    Err(error)
                }
            }
        };
        told.await.map_err(|error| home.problem(error))
    }
}

/// What can be seen to be wrong without a look at the database.
fn check_run(request: &RunRequest) -> Result<(), EngineError> {
    let mut wrong = Vec::new();
    if let (Some(baseline), Some(target)) = (&request.baseline, &request.target)
        && baseline > target
    {
        wrong.push(FieldError::new("baseline", "must not be above target"));
    }
    if !request.migrations.is_empty() {
        if request.dry_run == DryRun::No {
            wrong.push(FieldError::new(
                "migrations",
                "is for dry runs only; register scripts by POST migrations",
            ));
        }
        if matches!(request.database_id, Target::All(_)) {
            wrong.push(FieldError::new(
                "migrations",
                "is for one database; name it in databaseId",
            ));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(EngineError::Invalid(wrong))
    }
}
