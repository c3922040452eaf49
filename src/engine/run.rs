//! Runs and rollbacks: detached tasks that go on whoever waits for them, with their state in the home database.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::oneshot;

use crate::audit::Change;
use crate::database::{Access, Connection, DatabaseError, Statement, ask};
use crate::registry::inventory::InventoryRow;
use crate::registry::runs;
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, Writing, new_id};
use super::database_run::{DatabaseRun, Prepared, RunRow, Work};
use super::error::{EngineError, FieldError};
use super::live::LiveRun;
use super::request::{AllDatabases, Caller, RollbackRequest, RunRequest, Target};
use super::view::{DryRun, Run, RunDatabase, RunKind, RunStatus, StepStatus};

/// The environment in which a rollback must be confirmed.
const GUARDED_ENVIRONMENT: &str = "prod";

/// Longest pause between two writes of a run's progress: what a caller who polls another instance sees is no older.
const LONGEST_PULSE: Duration = Duration::from_secs(2);

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
            let Writing { mut connection, .. } = self.open_for_writing(&managed).await?;
            if let Err(error) = self.write(connection.as_mut(), &managed, change).await {
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
        tokio::spawn(async move {
            if whole {
                drive.all(rows, prepared).await;
            } else if let Some(row) = rows.into_iter().next() {
                drive.one(row, prepared).await;
            }
            drive.engine.inner.live.end(&drive.live);
        });
        match when_prepared.await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                live.ended().await;
                return Err(EngineError::InRun {
                    problem: Box::new(problem),
                    run: Box::new(live.view()),
                });
            }
            // The task ended without a word: it panicked, which the log tells.
            Err(_) => live.ended().await,
        }
        match wait {
            Wait::ToTheEnd => live.ended().await,
            Wait::AtMost(limit) => {
                let _ = tokio::time::timeout(limit, live.ended()).await;
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

/// The word of a state in the registry.
pub(super) fn status_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::Locked => "locked",
        RunStatus::Cancelled => "cancelled",
        RunStatus::NothingToDo => "nothing-to-do",
    }
}

/// The state of a run whose databases have ended: the worst of theirs.
pub(super) fn worst(databases: &[RunDatabase]) -> RunStatus {
    [
        RunStatus::Failed,
        RunStatus::Locked,
        RunStatus::Cancelled,
        RunStatus::Succeeded,
    ]
    .into_iter()
    .find(|status| databases.iter().any(|database| database.status == *status))
    .unwrap_or(RunStatus::NothingToDo)
}

/// Gives a run whose databases have ended its state and its end.
pub(super) fn conclude(run: &mut Run, now: Timestamp) {
    run.status = worst(&run.databases);
    run.finished_at = Some(now);
    run.duration_ms = Some(now.millis_since(run.started_at));
}

/// What a caller who waited gets.
pub(super) fn result_of(run: Run) -> Result<Run, EngineError> {
    let script_failed = run.databases.iter().any(|database| {
        database
            .migrations
            .iter()
            .any(|migration| migration.status == StepStatus::Failed)
    });
    let only = (run.databases.len() == 1)
        .then(|| run.databases.first())
        .flatten();
    match run.status {
        RunStatus::Failed => {
            let unavailable = only.filter(|database| {
                !script_failed
                    && database
                        .problem
                        .as_ref()
                        .is_some_and(|problem| problem.code == "unavailable")
            });
            match unavailable {
                Some(database) => Err(EngineError::InRun {
                    problem: Box::new(EngineError::Unavailable {
                        database: database.database_id.clone(),
                        source: None,
                    }),
                    run: Box::new(run),
                }),
                None => Err(EngineError::MigrationFailed(Box::new(run))),
            }
        }
        RunStatus::Locked => {
            let locked = run
                .databases
                .iter()
                .find(|database| database.status == RunStatus::Locked)
                .map(|database| EngineError::Locked {
                    database: database.database_id.clone(),
                    holder: database.lock.clone(),
                });
            match locked {
                Some(problem) => Err(EngineError::InRun {
                    problem: Box::new(problem),
                    run: Box::new(run),
                }),
                None => Ok(run),
            }
        }
        RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Succeeded
        | RunStatus::Cancelled
        | RunStatus::NothingToDo => Ok(run),
    }
}

type PreparedSender = oneshot::Sender<Result<(), EngineError>>;

/// A run under way.
pub(super) struct Drive {
    pub engine: Engine,
    pub live: Arc<LiveRun>,
    pub run_id: String,
    pub caller: Caller,
    pub work: Arc<Work>,
}

impl Drive {
    /// The part of one database.
    pub fn part(
        &self,
        managed: Managed,
        index: usize,
        run_row: RunRow,
        adopting: bool,
    ) -> DatabaseRun {
        DatabaseRun {
            engine: self.engine.clone(),
            managed,
            live: Arc::clone(&self.live),
            index,
            run_id: self.run_id.clone(),
            caller: self.caller.clone(),
            work: Arc::clone(&self.work),
            run_row,
            adopting,
        }
    }

    fn show(&self, index: usize, status: RunStatus) {
        self.live
            .database(index, |database| database.status = status);
    }

    /// Drives a run over one database.
    async fn one(&self, row: InventoryRow, prepared: PreparedSender) {
        let managed = match self.engine.reach(row) {
            Ok(managed) => managed,
            Err(problem) => {
                self.show(0, RunStatus::Failed);
                self.live.with(|run| conclude(run, Timestamp::now()));
                let _ = prepared.send(Err(problem));
                return;
            }
        };
        let run_row = if managed.is_home {
            RunRow::WithPlan
        } else {
            RunRow::Elsewhere
        };
        let part = self.part(managed, 0, run_row, false);
        match part.prepare().await {
            Err(problem) => {
                part.show_problem(&problem);
                self.live.with(|run| conclude(run, Timestamp::now()));
                let _ = prepared.send(Err(problem));
            }
            Ok(Prepared::NothingToDo) => {
                self.show(0, RunStatus::NothingToDo);
                self.live.with(|run| conclude(run, Timestamp::now()));
                let row = self
                    .engine
                    .new_run_row(&self.live.view(), &self.caller, &self.work);
                if let Err(error) = self.engine.tell_home_of(row).await {
                    tracing::warn!(run = %self.run_id, %error, "a run that found nothing to do could not be recorded");
                }
                let _ = prepared.send(Ok(()));
            }
            Ok(Prepared::Ready(ready)) => {
                if run_row == RunRow::Elsewhere {
                    let row = self
                        .engine
                        .new_run_row(&self.live.view(), &self.caller, &self.work);
                    // The plan is committed in the database itself, so that nothing is lost should this fail.
                    if let Err(error) = self.engine.tell_home_of(row).await {
                        tracing::warn!(run = %self.run_id, %error, "the run could not be recorded in the home database");
                    }
                }
                let _ = prepared.send(Ok(()));
                let pulse = Pulse::start(&self.engine, &self.live);
                let closed = part.execute(ready).await;
                drop(pulse);
                self.end(closed && run_row == RunRow::WithPlan).await;
            }
        }
    }

    /// Drives a run over all databases of the environment.
    async fn all(&self, rows: Vec<InventoryRow>, prepared: PreparedSender) {
        let begun = self
            .engine
            .tell_home_of(
                self.engine
                    .new_run_row(&self.live.view(), &self.caller, &self.work),
            )
            .await;
        if let Err(problem) = begun {
            self.live.with(|run| {
                for database in &mut run.databases {
                    database.status = RunStatus::Failed;
                }
                conclude(run, Timestamp::now());
            });
            let _ = prepared.send(Err(problem));
            return;
        }
        let _ = prepared.send(Ok(()));
        let pulse = Pulse::start(&self.engine, &self.live);
        let parts = rows
            .into_iter()
            .enumerate()
            .map(|(index, row)| self.one_of_all(index, row, false));
        futures_util::stream::iter(parts)
            .for_each_concurrent(self.engine.options().max_parallel_databases, |part| part)
            .await;
        drop(pulse);
        self.end(false).await;
    }

    /// One database of a run over all: whatever happens to it, the others go on.
    pub async fn one_of_all(&self, index: usize, row: InventoryRow, adopting: bool) {
        let managed = match self.engine.reach(row) {
            Ok(managed) => managed,
            Err(problem) => {
                self.live.database(index, |database| {
                    database.status = RunStatus::Failed;
                    database.problem = Some((&problem).into());
                });
                return;
            }
        };
        if self.live.is_cancelled() {
            self.show(index, RunStatus::Cancelled);
            return;
        }
        let part = self.part(managed, index, RunRow::Elsewhere, adopting);
        match part.prepare().await {
            Err(problem) => part.show_problem(&problem),
            Ok(Prepared::NothingToDo) => self.show(index, RunStatus::NothingToDo),
            Ok(Prepared::Ready(ready)) => {
                part.execute(ready).await;
            }
        }
    }

    /// Ends the run in the home database, unless its end was in the commit that closed its plan.
    pub async fn end(&self, closed_with_plan: bool) {
        if closed_with_plan {
            return;
        }
        let now = Timestamp::now();
        let mut concluded = self.live.view();
        conclude(&mut concluded, now);
        let end = self.engine.end_of_run(&concluded, now);
        let first_told = self
            .engine
            .new_run_row(&concluded, &self.caller, &self.work);
        match self.engine.tell_home_of_end(end, first_told).await {
            Ok(true) => {}
            // What the registry says of the run is another instance's word.
            Ok(false) => self.live.disown(),
            Err(error) => {
                tracing::warn!(run = %self.run_id, %error, "the end of the run could not be recorded; the runs timer will");
            }
        }
        self.live.with(|run| conclude(run, now));
    }
}

impl Engine {
    /// Records a run in the home database, which gets its registry should it have none.
    async fn tell_home_of(&self, row: Statement) -> Result<(), EngineError> {
        let home = self.home();
        let Writing { mut connection, .. } = self.open_for_writing(&home).await?;
        ask(connection.as_mut(), row)
            .await
            .map_err(|error| home.problem(error))?;
        Ok(())
    }
}

/// Writes a run's progress to the home database and hears whether somebody asked it to end, until it is dropped.
pub(super) struct Pulse {
    task: tokio::task::JoinHandle<()>,
}

impl Pulse {
    /// Starts.
    pub fn start(engine: &Engine, live: &Arc<LiveRun>) -> Self {
        Self {
            task: tokio::spawn(pulse(engine.clone(), Arc::clone(live))),
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pulse(engine: Engine, live: Arc<LiveRun>) {
    let lease = Duration::from_secs(u64::from(engine.options().lease_seconds));
    let pause = (lease / 3).min(LONGEST_PULSE);
    let run_id = live.with(|run| run.run_id.clone());
    let home = engine.home();
    let mut connection: Option<Box<dyn Connection>> = None;
    loop {
        tokio::time::sleep(pause).await;
        let told = async {
            let opened = match connection.take() {
                Some(opened) => opened,
                None => home.database.open(Access::Write).await?,
            };
            let opened = connection.insert(opened);
            let replies = opened
                .exchange(&[engine.run_progress(&live), runs::one(&run_id)])
                .await?;
            Ok::<bool, DatabaseError>(match replies.get(1).and_then(|reply| reply.rows.first()) {
                Some(row) => runs::parse(row)?.cancel_requested_by.is_some(),
                None => false,
            })
        };
        match told.await {
            Ok(true) => live.cancel(),
            Ok(false) => {}
            // On SQLite a script's open transaction keeps this out; the progress is in memory.
            Err(DatabaseError::Busy { .. }) => {}
            Err(error) => {
                tracing::warn!(run = %run_id, %error, "writing the progress of the run failed");
                connection = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{DatabaseId, EngineKind};

    fn database(status: RunStatus) -> RunDatabase {
        RunDatabase {
            database_id: DatabaseId::parse("a").unwrap(),
            engine: EngineKind::Sqlite,
            status,
            from_version: None,
            to_version: None,
            snapshot_id: None,
            drift_before: None,
            problem: None,
            lock: None,
            migrations: Vec::new(),
        }
    }

    #[test]
    fn the_state_of_a_run_is_the_worst_of_its_databases() {
        use RunStatus::{Failed, Locked, NothingToDo, Succeeded};
        for (states, expected) in [
            (vec![Succeeded, Failed, Locked], Failed),
            (vec![Succeeded, Locked, NothingToDo], Locked),
            (vec![Succeeded, NothingToDo], Succeeded),
            (vec![NothingToDo], NothingToDo),
            (vec![], NothingToDo),
        ] {
            let databases: Vec<_> = states.into_iter().map(database).collect();
            assert_eq!(worst(&databases), expected);
        }
    }
}
