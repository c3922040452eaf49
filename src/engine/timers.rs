//! The runs timer's work: adopting runs whose instance died, delivering what the archive does not have, and announcing what
//! the webhook was not told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::task::JoinHandle;

use crate::audit::{Delivery, Refused};
use crate::database::{Access, DatabaseError, ask};
use crate::registry::inventory::InventoryRow;
use crate::registry::runs::{self, RunRow as StoredRun};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, holder};
use super::database_run::{Prepared, RunRow, Work};
use super::drive::{self, Drive};
use super::error::{EngineError, ProblemNote};
use super::pulse::Pulse;
use super::recovery::{adopted_status, settle};
use super::request::{Caller, RollbackRequest, RunRequest};
use super::run_result::{conclude, status_word};
use super::view::{Run, RunDatabase, RunStatus};

/// What can be done with a dead run on one database.
enum Fate {
    /// Its instance lives after all.
    Alive,
    /// It can go on.
    GoesOn,
    /// It has ended there: by itself, or because another run has taken the database over.
    Ended,
}

impl Engine {
    /// Adopts runs whose instance died, delivers the outbox and announces findings, within `budget`: what takes longer goes
    /// on, and the next tick comes back to what is left. Gives one line for each thing done.
    pub async fn tend_runs(&self, budget: Duration) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + budget;
        let announcing = self.announce_everywhere();
        let mut lines = self.adopt_and_deliver(deadline).await;
        if let Some(announcing) = announcing
            && let Ok(Ok(line)) = tokio::time::timeout_at(deadline, announcing).await
        {
            lines.extend(line);
        }
        lines
    }

    async fn adopt_and_deliver(&self, deadline: tokio::time::Instant) -> Vec<String> {
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
        lines.extend(self.deliver_all(rows, deadline).await);
        lines
    }

    /// Delivers for these databases, several at a time: one that takes long does not keep the others from it.
    async fn deliver_all(
        &self,
        rows: Vec<InventoryRow>,
        deadline: tokio::time::Instant,
    ) -> Vec<String> {
        let lines: Vec<Option<String>> = stream::iter(rows)
            .map(|row| async move {
                let id = row.database_id.clone();
                let delivered = async {
                    self.deliver_now(&self.reach(row)?, Refused::AfterAPause)
                        .await
                };
                match tokio::time::timeout_at(deadline, delivered).await {
                    Ok(Ok(delivery)) => told(&delivery).map(|told| format!("{id}: {told}")),
                    Ok(Err(problem)) => Some(format!("{id}: delivering is delayed: {problem}")),
                    Err(_) => Some(format!("{id}: out of time; the next tick goes on")),
                }
            })
            .buffered(self.options().max_parallel_databases.max(1))
            .collect()
            .await;
        lines.into_iter().flatten().collect()
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
        let (mut unfinished, mut ended, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        for (index, database) in run.databases.iter().enumerate() {
            if !matches!(database.status, RunStatus::Queued | RunStatus::Running) {
                continue;
            }
            let reached = match self.row(&database.database_id).await {
                Ok(known) => self.reach(known),
                Err(problem) => Err(problem),
            };
            let managed = match reached {
                Ok(managed) => managed,
                // One that cannot be reached at all must not keep the others from being finished.
                Err(problem) => {
                    lost.push((index, ProblemNote::from(&problem)));
                    continue;
                }
            };
            match self.fate(&managed, &row, database).await {
                Ok(Fate::Alive) => return Ok(None),
                Ok(Fate::Ended) => ended.push(managed),
                // What cannot be looked at now is told by trying.
                Ok(Fate::GoesOn) | Err(_) => unfinished.push((index, managed)),
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
        for (index, problem) in lost {
            if let Some(database) = run.databases.get_mut(index) {
                database.status = RunStatus::Failed;
                database.problem = Some(problem);
            }
        }
        for managed in ended {
            self.settle_dead(&mut run, &managed).await?;
        }
        if unfinished.is_empty() {
            let now = Timestamp::now();
            conclude(&mut run, now);
            let status = status_word(run.status);
            let progress = serde_json::to_string(&run).unwrap_or_default();
            self.tell_home(runs::end(&row.run_id, owner, status, now, &progress))
                .await?;
            let line = format!(
                "run {} had nothing left to do; it ends as {status}",
                row.run_id
            );
            return Ok(Some((line, None)));
        }
        let line = format!("adopted run {} of {}", row.run_id, row.executor);
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
        let (engine, live) = (self.clone(), Arc::clone(&drive.live));
        let task = drive::detach(&engine, &live, async move {
            let pulse = Pulse::start(&drive.engine, &drive.live);
            let mut closed_with_plan = false;
            let mut goes_on_later = false;
            for (index, managed) in unfinished {
                let run_row = if only_home {
                    RunRow::WithPlan
                } else {
                    RunRow::Elsewhere
                };
                let part = drive.part(managed, index, run_row, true);
                match part.prepare().await {
                    Err(problem) => {
                        goes_on_later |= drive.goes_on_later(&part.managed, &problem).await;
                        part.show_problem(&problem);
                    }
                    Ok(Prepared::NothingToDo) => {
                        drive.live.database(index, |database| {
                            database.status = adopted_status(database);
                        });
                    }
                    Ok(Prepared::Ready(ready)) => {
                        closed_with_plan = part.execute(ready).await && only_home;
                    }
                }
            }
            drop(pulse);
            if goes_on_later {
                // What becomes of the run is told by its former instance, or by a later tick.
                drive.live.disown();
            } else {
                drive.end(closed_with_plan).await;
            }
        });
        Ok(Some((line, Some(task))))
    }

    async fn fate(
        &self,
        managed: &Managed,
        row: &StoredRun,
        database: &RunDatabase,
    ) -> Result<Fate, EngineError> {
        let (connection, state) = self.read_state(managed).await?;
        let executed = match connection {
            Some(mut connection) => {
                self.executions_of(connection.as_mut(), managed, &row.run_id)
                    .await?
            }
            None => Vec::new(),
        };
        let is_own = |run_id: Option<&str>| run_id == Some(row.run_id.as_str());
        let held = state.lock.as_ref().and_then(|lock| lock.held.as_ref());
        let holds = held.is_some_and(|held| is_own(held.run_id.as_deref()));
        let is_held = state.lock.as_ref().and_then(holder).is_some();
        let has_open_plan = state
            .open_plans
            .iter()
            .any(|plan| is_own(Some(&plan.run_id)));
        Ok(if holds && is_held {
            Fate::Alive
        } else if is_held {
            Fate::Ended
        } else if holds || has_open_plan {
            Fate::GoesOn
        } else if database.status == RunStatus::Queued && executed.is_empty() {
            // It had not begun on this database, and can begin now.
            Fate::GoesOn
        } else {
            Fate::Ended
        })
    }

    /// Fills in what the registry of a database knows of a run that has ended there.
    async fn settle_dead(&self, run: &mut Run, managed: &Managed) -> Result<(), EngineError> {
        let (connection, state) = self.read_state(managed).await?;
        let executed = match connection {
            Some(mut connection) => {
                self.executions_of(connection.as_mut(), managed, &run.run_id)
                    .await?
            }
            None => Vec::new(),
        };
        let detail = "its instance died, and another run took the database over";
        settle(run, &state, managed, &executed, detail);
        Ok(())
    }
}

impl Drive {
    /// Whether what kept an adopter off a database is the run itself: its former instance is not dead, or its session has not
    /// ended yet, as when a machine went and the server does not know it.
    async fn goes_on_later(&self, managed: &Managed, problem: &EngineError) -> bool {
        if !matches!(problem, EngineError::Locked { .. }) {
            return false;
        }
        let is_own = |run_id: &str| run_id == self.run_id;
        match self.engine.read_state(managed).await {
            Ok((_, state)) => match state.lock.and_then(|lock| lock.held) {
                Some(held) => held.run_id.is_some_and(|run_id| is_own(&run_id)),
                None => state.open_plans.iter().any(|plan| is_own(&plan.run_id)),
            },
            // Not knowing, it is left to a later tick.
            Err(_) => true,
        }
    }
}

/// What a delivery did, if anything.
fn told(delivery: &Delivery) -> Option<String> {
    let mut words = Vec::new();
    if !delivery.is_empty() {
        words.push(format!(
            "delivered {} events, {} snapshots and {} definitions",
            delivery.events, delivery.snapshots, delivery.migrations
        ));
    }
    if delivery.refused > 0 {
        words.push(format!(
            "the archive does not accept {}; verifying names them",
            delivery.refused
        ));
    }
    (!words.is_empty()).then(|| words.join("; "))
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
