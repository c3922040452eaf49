//! Driving a run over its databases, one or all of the environment, and writing its row in the home database.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::database::{Statement, ask};
use crate::registry::inventory::InventoryRow;
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, Writing};
use super::database_run::{DatabaseRun, Prepared, RunRow, Work};
use super::error::{EngineError, ProblemNote};
use super::live::LiveRun;
use super::pulse::Pulse;
use super::request::Caller;
use super::run_result::conclude;
use super::view::{Run, RunStatus};

/// Lets a run be driven by a task of its own, and ends it for all who wait, even when that task breaks off.
pub(super) fn detach(
    engine: &Engine,
    live: &Arc<LiveRun>,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let (engine, live) = (engine.clone(), Arc::clone(live));
    tokio::spawn(async move {
        if let Err(error) = tokio::spawn(work).await {
            // A panic: what it left is found out by the next run, but nobody may wait for it for ever.
            tracing::error!(run = %live.view().run_id, %error, "the run broke off");
            live.with(broken_off);
            // What becomes of it from now on is told by whoever adopts it.
            live.disown();
        }
        engine.inner.live.end(&live);
    })
}

/// Ends a run whose task broke off.
fn broken_off(run: &mut Run) {
    for database in &mut run.databases {
        if matches!(database.status, RunStatus::Queued | RunStatus::Running) {
            database.status = RunStatus::Failed;
            database.problem = Some(ProblemNote {
                code: "internal-error".to_owned(),
                detail: "the run broke off; the log says why, and the next run finds out how far it came"
                    .to_owned(),
            });
        }
    }
    conclude(run, Timestamp::now());
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
    pub async fn one(&self, row: InventoryRow, prepared: PreparedSender) {
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
                // The home database was just opened for writing, so its registry is there.
                let told = if run_row == RunRow::WithPlan {
                    self.engine.tell_home(row).await.map(|_| ())
                } else {
                    self.engine.tell_home_of(row).await
                };
                if let Err(error) = told {
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
    pub async fn all(&self, rows: Vec<InventoryRow>, prepared: PreparedSender) {
        let begun = self.begin_all(&rows).await;
        if let Err(problem) = begun {
            self.live.with(|run| {
                for database in &mut run.databases {
                    database.status = RunStatus::Failed;
                    database.problem = Some((&problem).into());
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
            .map(|(index, row)| self.one_of_all(index, row));
        futures_util::stream::iter(parts)
            .for_each_concurrent(self.engine.options().max_parallel_databases, |part| part)
            .await;
        drop(pulse);
        self.end(false).await;
    }

    /// Records a run over all databases in the home database.
    async fn begin_all(&self, rows: &[InventoryRow]) -> Result<(), EngineError> {
        if let (Work::Apply(request), [_]) = (self.work.as_ref(), rows) {
            let home = self.engine.home();
            self.engine
                .refuse_first_record(&self.caller, &home, request)
                .await?;
        }
        let row = self
            .engine
            .new_run_row(&self.live.view(), &self.caller, &self.work);
        self.engine.tell_home_of(row).await
    }

    /// One database of a run over all: whatever happens to it, the others go on.
    async fn one_of_all(&self, index: usize, row: InventoryRow) {
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
        let part = self.part(managed, index, RunRow::Elsewhere, false);
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
