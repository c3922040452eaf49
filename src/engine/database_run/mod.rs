//! A run's work on one database: lock, plan, drift check, scripts, snapshot, release.

mod close;
mod commit_plan;
mod regain;

use std::sync::Arc;

use crate::audit::{self, Change, EventType, Head};
use crate::database::SHORT_WAIT;
use crate::database::{Connection, DatabaseError, ask};
use crate::registry::executions::Direction;
use crate::registry::lock::{FencingToken, Holding, Lease, LockRow};
use crate::registry::migrations::AppliedStatus;
use crate::registry::state::{self, DatabaseState};
use crate::script::{MigrationId, Version};

use super::access::{Managed, Writing};
use super::error::EngineError;
use super::heartbeat::Heartbeat;
use super::live::LiveRun;
use super::planning::{Policy, plan_rollback, plan_run};
use super::request::{Caller, RollbackRequest, RunRequest};
use super::script_execution::{Outcome, Setting, Step};
use super::view::RunStatus;
use super::{Engine, recovery};

/// What a run was asked to do.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Apply.
    Apply(RunRequest),
    /// Roll back.
    Undo(RollbackRequest),
}

impl Work {
    fn reason(&self) -> Option<&str> {
        match self {
            Self::Apply(_) => None,
            Self::Undo(request) => request.reason.as_deref(),
        }
    }
}

/// Where the run's own row in the home database is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunRow {
    /// With the plan, and its end with the release of the lock: the database is the home database, and the only one.
    WithPlan,
    /// By whoever drives the run.
    Elsewhere,
}

/// A run's work on one database.
#[derive(Debug, Clone)]
pub(super) struct DatabaseRun {
    pub engine: Engine,
    pub managed: Managed,
    pub live: Arc<LiveRun>,
    /// Place of the database in the run object.
    pub index: usize,
    pub run_id: String,
    pub caller: Caller,
    pub work: Arc<Work>,
    pub run_row: RunRow,
    /// Whether a former instance of this run has died: its row is there, and its plan may be half done.
    pub adopting: bool,
}

/// What preparing came to.
pub(super) enum Prepared {
    /// There is nothing to do, and the database was not locked.
    NothingToDo,
    /// The lock is held, the plan is committed.
    Ready(Box<Ready>),
}

/// A locked database with a plan.
pub(super) struct Ready {
    connection: Box<dyn Connection>,
    lease: Lease,
    /// The token under which the plan was committed.
    plan: FencingToken,
    heartbeat: Heartbeat,
    steps: Vec<Step>,
    head: Option<Head>,
    /// Whether something was changed by the plan itself: migrations marked applied.
    baselined: bool,
    /// Whether a snapshot is to be taken even if no script runs: the last run could not.
    snapshot_missing: bool,
}

/// How often a lock that others took and gave back meanwhile is asked for again. Each time somebody else's run ended.
const ATTEMPTS: u32 = 20;

/// What is planned for a database.
#[derive(Default)]
struct Planned {
    baseline: Vec<MigrationId>,
    steps: Vec<(MigrationId, Direction)>,
    skipped: Vec<MigrationId>,
}

impl Planned {
    fn is_empty(&self) -> bool {
        self.baseline.is_empty() && self.steps.is_empty()
    }
}

/// Whether refusing for this reason is something the trail should tell.
fn is_refusal(problem: &EngineError) -> bool {
    matches!(
        problem,
        EngineError::ChecksumMismatch(_)
            | EngineError::OutOfOrder(_)
            | EngineError::HalfApplied(_)
            | EngineError::NotLatest { .. }
            | EngineError::NotApplied(_)
            | EngineError::NoDownScript(_)
            | EngineError::OwnMigration(_)
            | EngineError::NeedsKey(_)
            | EngineError::Drifted { .. }
            | EngineError::ConfirmationRequired(_)
    )
}

impl DatabaseRun {
    fn problem(&self, error: DatabaseError) -> EngineError {
        self.managed.problem(error)
    }

    /// Decides what is to be done.
    fn plan(&self, state: &DatabaseState) -> Result<Planned, EngineError> {
        match self.work.as_ref() {
            Work::Apply(request) => {
                let plan = plan_run(
                    &state.migrations,
                    Policy {
                        target: request.target.as_ref(),
                        out_of_order: request.out_of_order,
                        baseline: request.baseline.as_ref(),
                    },
                )?;
                Ok(Planned {
                    baseline: plan.baseline,
                    steps: plan
                        .apply
                        .into_iter()
                        .map(|id| (id, Direction::Up))
                        .collect(),
                    skipped: plan.skipped,
                })
            }
            Work::Undo(request) => {
                let wanted = state.find(&request.migration_id).ok_or_else(|| {
                    EngineError::UnknownMigration {
                        database: self.managed.id().clone(),
                        migration: request.migration_id.clone(),
                    }
                })?;
                let goes_on = self.managed.engine().takes_batches_again();
                let was_cut_off = goes_on
                    && wanted
                        .applied
                        .as_ref()
                        .is_some_and(|applied| applied.status == AppliedStatus::HalfApplied);
                if self.adopting && !wanted.is_applied() && !was_cut_off {
                    // The former instance got that far.
                    return Ok(Planned::default());
                }
                let ids = plan_rollback(&state.migrations, wanted, request.cascade, goes_on)?;
                Ok(Planned {
                    steps: ids.into_iter().map(|id| (id, Direction::Down)).collect(),
                    ..Planned::default()
                })
            }
        }
    }

    /// Locks the database and commits to a plan, or finds that there is nothing to do, or refuses.
    ///
    /// # Errors
    ///
    /// `locked`, the refusals of planning, `drifted`, and those of the database. The lock is free again then.
    pub async fn prepare(&self) -> Result<Prepared, EngineError> {
        let Writing {
            mut connection,
            mut state,
        } = match self.work.as_ref() {
            Work::Apply(request) => {
                self.engine
                    .open_for_run(&self.caller, &self.managed, request)
                    .await?
            }
            Work::Undo(_) => self.engine.open_for_writing(&self.managed).await?,
        };
        let mut attempts = 0;
        let (lease, state) = loop {
            attempts += 1;
            if state
                .lock
                .as_ref()
                .and_then(super::access::holder)
                .is_some()
            {
                return Err(self.managed.locked(state.lock.as_ref()));
            }
            if self
                .engine
                .is_at_work_here(&self.managed, &state, Some(&self.run_id))
            {
                return Err(EngineError::Locked {
                    database: self.managed.id().clone(),
                    holder: state.lock.as_ref().and_then(super::access::last_holder),
                });
            }
            // What can be said without the lock is said without it; what is done is decided again under it.
            if !recovery::is_needed(&state) {
                match self.plan(&state) {
                    Err(problem) => {
                        self.tell_refusal(connection.as_mut(), &problem).await;
                        return Err(problem);
                    }
                    Ok(planned) if planned.is_empty() && !snapshot_missing(&state) => {
                        self.show_plan(&state, &planned, &[]);
                        let version = state.current_version().map(Version::to_string);
                        self.live
                            .database(self.index, |database| database.to_version = version);
                        return Ok(Prepared::NothingToDo);
                    }
                    Ok(_) => {}
                }
            }
            let Some(seen) = &state.lock else {
                return Err(self.managed.locked(None));
            };
            let fenced = recovery::is_needed(&state);
            if let Some(locked) = self.lock(connection.as_mut(), seen, fenced).await? {
                break locked;
            }
            if attempts == ATTEMPTS {
                return Err(self.managed.locked(None));
            }
            state = self.read(connection.as_mut()).await?;
        };
        let heartbeat = Heartbeat::start(&self.managed, lease.clone());
        crate::crash_points::reached("locked").await;
        match self.commit_plan(connection.as_mut(), &lease, &state).await {
            Ok(committed) => {
                crate::crash_points::reached("planned").await;
                Ok(Prepared::Ready(Box::new(Ready {
                    connection,
                    plan: lease.token,
                    lease,
                    heartbeat,
                    steps: committed.steps,
                    head: Some(committed.head),
                    baselined: committed.baselined,
                    snapshot_missing: snapshot_missing(&state),
                })))
            }
            Err(problem) => {
                drop(heartbeat);
                if is_refusal(&problem) {
                    self.tell_refusal(connection.as_mut(), &problem).await;
                }
                self.release(connection.as_mut(), &lease).await;
                Err(problem)
            }
        }
    }

    /// Takes the lock as it was seen, then looks at the database again, and writes up what a dead run left.
    ///
    /// The taking stands alone: who is fenced off by it may hold the head of the trail while waiting for the lock row, so
    /// nothing else may be held meanwhile. Any taking and any release since it was seen have moved the token, so that what
    /// is read afterwards is the state that nobody else can change. None when others have taken it and given it back since:
    /// what was seen is no ground for taking it, and nobody holds it. `fenced`: whether a run left something open, and may
    /// still be at work without the lock.
    async fn lock(
        &self,
        connection: &mut dyn Connection,
        seen: &LockRow,
        fenced: bool,
    ) -> Result<Option<(Lease, DatabaseState)>, EngineError> {
        let lease = Lease::after(
            self.managed.id(),
            seen.token,
            &self.engine.inner.instance,
            self.engine.options().lease_seconds,
        );
        let taken = match ask(connection, lease.take(Some(&self.run_id))).await {
            Ok(taken) => taken,
            Err(error) => return Err(self.managed.busy(connection, error).await),
        };
        if taken.affected != 1 {
            let now = self
                .managed
                .lock_row(connection)
                .await
                .map_err(|error| self.problem(error))?;
            return match now {
                Some(now) if now.held.is_none() => Ok(None),
                now => Err(self.managed.locked(now.as_ref())),
            };
        }
        crate::crash_points::reached("taken").await;
        let state = match self
            .engine
            .shut_out(connection, &self.managed, fenced)
            .await
        {
            Ok(()) => self.recover(connection, &lease, seen.held.as_ref()).await,
            // Whose session it is that does not end is known from the lock that was taken over.
            Err(EngineError::Locked { database, .. }) => Err(EngineError::Locked {
                database,
                holder: super::access::last_holder(seen),
            }),
            Err(problem) => Err(problem),
        };
        match state {
            Ok(state) => Ok(Some((lease, state))),
            Err(problem) => {
                self.release(connection, &lease).await;
                Err(problem)
            }
        }
    }

    /// The state under the lock, after what dead runs left has been written up.
    async fn recover(
        &self,
        connection: &mut dyn Connection,
        lease: &Lease,
        dead: Option<&Holding>,
    ) -> Result<DatabaseState, EngineError> {
        let state = self.read(connection).await?;
        if dead.is_none() && !recovery::is_needed(&state) {
            return Ok(state);
        }
        self.write_up(connection, lease, &state, dead).await?;
        self.read(connection).await
    }

    /// Writes up, in a transaction of its own, what dead runs left.
    async fn write_up(
        &self,
        connection: &mut dyn Connection,
        lease: &Lease,
        state: &DatabaseState,
        dead: Option<&Holding>,
    ) -> Result<(), EngineError> {
        connection
            .begin(SHORT_WAIT)
            .await
            .map_err(|error| self.problem(error))?;
        let written = self
            .engine
            .write_up(
                connection,
                &self.managed,
                &self.caller,
                state,
                dead,
                lease,
                Some(&self.run_id),
            )
            .await;
        let lines = self
            .engine
            .conclude(connection, &self.managed, written)
            .await?;
        for line in lines {
            tracing::warn!(database = %self.managed.id(), run = %self.run_id, "{line}");
        }
        self.engine.announce_soon(&self.managed);
        Ok(())
    }

    async fn read(&self, connection: &mut dyn Connection) -> Result<DatabaseState, EngineError> {
        Ok(state::read(connection, self.managed.id())
            .await
            .map_err(|error| self.problem(error))?
            .unwrap_or_else(DatabaseState::empty))
    }

    /// Writes to the trail that the request was refused. Not being able to does not change the answer.
    async fn tell_refusal(&self, connection: &mut dyn Connection, problem: &EngineError) {
        if !is_refusal(problem) {
            return;
        }
        let mut change = Change::of(self.managed.id());
        change.events = vec![
            self.engine
                .refusal(&self.caller, self.work.as_ref(), problem),
        ];
        if let Err(error) = self.engine.write(connection, &self.managed, change).await {
            tracing::warn!(database = %self.managed.id(), %error, "a refusal could not be written to the trail");
        }
    }

    /// Runs the plan to its end and closes it. What went wrong is in the run object. Says whether the plan was closed.
    pub async fn execute(&self, ready: Box<Ready>) -> bool {
        let mut ready = ready;
        let ran = self.run_steps(&mut ready).await;
        let closed = match ran {
            Ok(status) => match self.close(&mut ready, status).await {
                Err(problem) if !ready.connection.is_usable() => self
                    .close_again(&mut ready, status)
                    .await
                    .map_err(|_| problem),
                closed => closed,
            },
            Err(problem) => Err(problem),
        };
        match &closed {
            Ok(()) => crate::crash_points::reached("plan-closed").await,
            Err(problem) => self.give_up(&mut ready, problem).await,
        }
        drop(ready);
        self.engine.deliver_soon(&self.managed);
        self.engine.announce_soon(&self.managed);
        closed.is_ok()
    }

    /// In what a script is executed under a lease.
    fn setting<'a>(&'a self, lease: &'a Lease) -> Setting<'a> {
        Setting {
            engine: &self.engine,
            managed: &self.managed,
            lease,
            live: &self.live,
            run_id: &self.run_id,
            caller: &self.caller,
            reason: self.work.reason(),
            keeps_run_alive: self.managed.is_home,
        }
    }

    async fn run_steps(&self, ready: &mut Ready) -> Result<RunStatus, EngineError> {
        let steps = std::mem::take(&mut ready.steps);
        for step in &steps {
            if ready.heartbeat.is_lost() {
                return Err(self.managed.locked(None));
            }
            if self.live.is_cancelled() {
                return Ok(RunStatus::Cancelled);
            }
            let executed = self
                .setting(&ready.lease)
                .execute(ready.connection.as_mut(), step, &mut ready.head)
                .await;
            let outcome = match executed {
                Err(problem) if !ready.connection.is_usable() => {
                    self.find_out(ready, step).await.map_err(|_| problem)?
                }
                executed => executed?,
            };
            match outcome {
                Outcome::Done => {}
                Outcome::Failed => return Ok(RunStatus::Failed),
                Outcome::Cancelled => return Ok(RunStatus::Cancelled),
            }
        }
        Ok(if steps.is_empty() && !ready.baselined {
            // What the former instance did counts as done by the run.
            self.live
                .database(self.index, |database| recovery::adopted_status(database))
                .unwrap_or(RunStatus::NothingToDo)
        } else {
            RunStatus::Succeeded
        })
    }
}

/// Whether the schema as the last execution left it was never captured.
fn snapshot_missing(state: &DatabaseState) -> bool {
    state.newest_execution.is_some() && !state.snapshot_is_current()
}

impl Engine {
    /// An event that tells of a refused request.
    pub(super) fn refusal(
        &self,
        caller: &Caller,
        work: &Work,
        problem: &EngineError,
    ) -> audit::EventDraft {
        let (kind, migration) = match work {
            Work::Apply(_) => ("run", None),
            Work::Undo(request) => ("rollback", Some(request.migration_id.as_str())),
        };
        let mut draft = self.draft(
            EventType::Refused,
            caller,
            serde_json::json!({
                "request": kind,
                "code": problem.code(),
                "detail": problem.to_string(),
            }),
        );
        draft.migration_id = migration.and_then(|id| MigrationId::parse(id).ok());
        draft
    }
}
