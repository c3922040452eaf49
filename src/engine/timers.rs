//! The runs timer's work: adopting runs whose instance died, and delivering what the archive does not have.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::database::{Access, DatabaseError, ask};
use crate::registry::runs::{self, RunRow as StoredRun};
use crate::script::DatabaseId;
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, holder};
use super::database_run::{Prepared, RunRow, Work};
use super::error::{EngineError, ProblemNote};
use super::recovery::bring_up_to_date;
use super::request::{Caller, RollbackRequest, RunRequest};
use super::run::{Drive, Pulse, conclude};
use super::view::{Run, RunDatabase, RunStatus};

/// What can be done with a dead run on one database.
enum Fate {
    /// Its instance lives after all.
    Alive,
    /// It can go on.
    GoesOn,
    /// Another run has taken the database over.
    TakenOver,
}

impl Engine {
    /// Adopts runs whose instance died and delivers the outbox, within `budget`: an adopted run that takes longer goes on,
    /// and the next tick comes back to what is left. Gives one line for each thing done.
    pub async fn tend_runs(&self, budget: Duration) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + budget;
        let mut lines = Vec::new();
        match self.dead_runs().await {
            Ok(dead) => {
                for row in dead {
                    if tokio::time::Instant::now() >= deadline {
                        lines.push("out of time; the next tick goes on".to_owned());
                        return lines;
                    }
                    let run_id = row.run_id.clone();
                    match self.adopt(row).await {
                        Ok(Some((line, task))) => {
                            lines.push(line);
                            if let Some(task) = task
                                && tokio::time::timeout_at(deadline, task).await.is_err()
                            {
                                lines.push(format!("run {run_id} is still at work"));
                            }
                        }
                        Ok(None) => {}
                        Err(problem) => {
                            lines.push(format!("run {run_id} stays as it is: {problem}"))
                        }
                    }
                }
            }
            Err(problem) => lines.push(format!("the runs cannot be read: {problem}")),
        }
        let rows = match self.rows_of_environment().await {
            Ok(rows) => rows,
            Err(problem) => {
                lines.push(format!("the inventory cannot be read: {problem}"));
                return lines;
            }
        };
        for row in rows {
            let id = row.database_id.clone();
            let delivered = async { self.deliver_now(&self.reach(row)?).await };
            match tokio::time::timeout_at(deadline, delivered).await {
                Ok(Ok(delivery)) if delivery.is_empty() => {}
                Ok(Ok(delivery)) => lines.push(format!(
                    "{id}: delivered {} events, {} snapshots and {} definitions",
                    delivery.events, delivery.snapshots, delivery.migrations
                )),
                Ok(Err(problem)) => lines.push(format!("{id}: delivering is delayed: {problem}")),
                Err(_) => {
                    lines.push("out of time; the next tick goes on".to_owned());
                    return lines;
                }
            }
        }
        lines
    }

    async fn dead_runs(&self) -> Result<Vec<StoredRun>, EngineError> {
        let home = self.home();
        let read = async {
            let mut connection = home.database.open(Access::Read).await?;
            let reply = ask(connection.as_mut(), runs::dead(&self.options().environment)).await?;
            Ok(reply
                .rows
                .iter()
                .map(runs::parse)
                .collect::<Result<Vec<_>, _>>()?)
        };
        match read.await {
            Ok(rows) => Ok(rows),
            Err(DatabaseError::Absent | DatabaseError::NoRegistry { .. }) => Ok(Vec::new()),
            Err(error) => Err(home.problem(error)),
        }
    }

    /// Takes a dead run over. Gives what was decided, and the task that goes on with it.
    async fn adopt(
        &self,
        row: StoredRun,
    ) -> Result<Option<(String, Option<JoinHandle<()>>)>, EngineError> {
        let at_work_here = self
            .inner
            .live
            .find(&row.run_id)
            .is_some_and(|live| !live.has_ended());
        let Ok(mut run) = serde_json::from_str::<Run>(&row.progress) else {
            return Ok(None);
        };
        let Some(work) = read_work(&row) else {
            return Ok(None);
        };
        if at_work_here {
            return Ok(None);
        }
        let mut unfinished = Vec::new();
        for (index, database) in run.databases.iter_mut().enumerate() {
            if !matches!(database.status, RunStatus::Queued | RunStatus::Running) {
                continue;
            }
            let inventory_row = self.row(&database.database_id).await?;
            let managed = self.reach(inventory_row.clone())?;
            match self.fate(&managed, &row, database).await? {
                Fate::Alive => return Ok(None),
                Fate::GoesOn => unfinished.push((index, managed)),
                Fate::TakenOver => {
                    database.status = RunStatus::Failed;
                    database.problem = Some(ProblemNote {
                        code: "locked".to_owned(),
                        detail: "its instance died, and another run took the database over"
                            .to_owned(),
                    });
                }
            }
        }
        let owner = &self.inner.instance;
        let adopted = self
            .tell_home(runs::adopt(
                &row.run_id,
                owner,
                self.options().lease_seconds,
            ))
            .await?;
        if adopted != 1 {
            // Another instance was faster.
            return Ok(None);
        }
        run.cancel_requested |= row.cancel_requested_by.is_some();
        let line = format!("adopted run {} of {}", row.run_id, row.executor);
        if unfinished.is_empty() {
            let taken_over: Vec<DatabaseId> = run
                .databases
                .iter()
                .map(|database| database.database_id.clone())
                .collect();
            for id in taken_over {
                let managed = self.reach(self.row(&id).await?)?;
                self.show_what_was_done(&mut run, &managed).await?;
            }
            let now = Timestamp::now();
            conclude(&mut run, now);
            let progress = serde_json::to_string(&run).unwrap_or_default();
            self.tell_home(runs::end(&row.run_id, "failed", now, &progress))
                .await?;
            return Ok(Some((
                format!(
                    "run {} ends as failed: its databases were taken over",
                    row.run_id
                ),
                None,
            )));
        }
        let only_home =
            run.databases.len() == 1 && unfinished.iter().all(|(_, managed)| managed.is_home);
        let drive = Drive {
            engine: self.clone(),
            run_id: row.run_id.clone(),
            live: self.inner.live.begin(run),
            caller: Caller {
                executor: row.executor,
                principal: row.principal,
            },
            work: Arc::new(work),
        };
        let task = tokio::spawn(async move {
            let pulse = Pulse::start(&drive.engine, &drive.live);
            let mut closed_with_plan = false;
            for (index, managed) in unfinished {
                let run_row = if only_home {
                    RunRow::WithPlan
                } else {
                    RunRow::Elsewhere
                };
                let part = drive.part(managed, index, run_row, true);
                match part.prepare().await {
                    Err(problem) => part.show_problem(&problem),
                    Ok(Prepared::NothingToDo) => {
                        drive.live.database(index, |database| {
                            database.status = adopted_status(database);
                        });
                    }
                    Ok(Prepared::Ready(ready)) => {
                        closed_with_plan = part.execute(ready).await && only_home;
                        // What the former instance did counts as done by the run.
                        drive.live.database(index, |database| {
                            if database.status == RunStatus::NothingToDo {
                                database.status = adopted_status(database);
                                closed_with_plan = false;
                            }
                        });
                    }
                }
            }
            drop(pulse);
            drive.end(closed_with_plan).await;
            drive.engine.inner.live.end(&drive.live);
        });
        Ok(Some((line, Some(task))))
    }

    async fn fate(
        &self,
        managed: &Managed,
        row: &StoredRun,
        database: &RunDatabase,
    ) -> Result<Fate, EngineError> {
        let (_, state) = self.read_state(managed).await?;
        let held = state.lock.as_ref().and_then(|lock| lock.held.as_ref());
        if let Some(held) = held
            && state.lock.as_ref().and_then(holder).is_some()
        {
            let own = held.run_id.as_deref() == Some(row.run_id.as_str());
            return Ok(if own { Fate::Alive } else { Fate::TakenOver });
        }
        let plan_open = state
            .open_plans
            .iter()
            .any(|plan| plan.run_id == row.run_id);
        // A run that had not begun on this database can begin now; one that had left an open plan, unless another run has
        // written it up and closed it.
        Ok(if plan_open || database.status == RunStatus::Queued {
            Fate::GoesOn
        } else {
            Fate::TakenOver
        })
    }

    /// Fills in what the registry of a database knows of the run's executions.
    async fn show_what_was_done(
        &self,
        run: &mut Run,
        managed: &Managed,
    ) -> Result<(), EngineError> {
        let (connection, _) = self.read_state(managed).await?;
        if let Some(mut connection) = connection {
            let executed = self
                .executions_of(connection.as_mut(), managed, &run.run_id)
                .await?;
            bring_up_to_date(run, managed, &executed);
        }
        Ok(())
    }
}

/// The state of a database on which an adopter found nothing left to do.
fn adopted_status(database: &RunDatabase) -> RunStatus {
    use super::view::StepStatus;
    let any = |status: StepStatus| {
        database
            .migrations
            .iter()
            .any(|migration| migration.status == status)
    };
    if any(StepStatus::Failed) {
        RunStatus::Failed
    } else if any(StepStatus::Applied) || any(StepStatus::RolledBack) {
        RunStatus::Succeeded
    } else {
        RunStatus::NothingToDo
    }
}

fn read_work(row: &StoredRun) -> Option<Work> {
    match row.kind.as_str() {
        "run" => serde_json::from_str::<RunRequest>(&row.request)
            .ok()
            .map(Work::Apply),
        "rollback" => serde_json::from_str::<RollbackRequest>(&row.request)
            .ok()
            .map(Work::Undo),
        _ => None,
    }
}
