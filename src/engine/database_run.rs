//! A run's work on one database: lock, plan, drift check, scripts, snapshot, release.

use std::sync::Arc;

use crate::audit::{self, Change, EventType, Head};
use crate::database::sqlite::SHORT_WAIT;
use crate::database::{BatchText, Connection, DatabaseError, Statement, ask};
use crate::registry::executions::{self, Direction, Execution, ExecutionStatus};
use crate::registry::lock::{Holding, Lease, LockRow};
use crate::registry::migrations::{self, AppliedStatus, Definition, MigrationRecord, StatusChange};
use crate::registry::runs::{self, PlannedStep};
use crate::registry::state::{self, DatabaseState};
use crate::script::{MigrationId, Version};
use crate::time::Timestamp;

use super::access::{Managed, Writing, new_id};
use super::error::{EngineError, ProblemNote};
use super::heartbeat::Heartbeat;
use super::live::LiveRun;
use super::planning::{Policy, plan_rollback, plan_run};
use super::request::{Caller, RollbackRequest, RunRequest};
use super::run::conclude;
use super::script_execution::{
    self, Outcome, Resume, Setting, Step, hashes, is_transactional, resume_point,
};
use super::snapshots::{Capture, live_schema};
use super::view::{Run, RunMigration, RunStatus, SnapshotType, StepStatus};
use super::{Engine, OnDrift, recovery};

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
                if self.adopting && !wanted.is_applied() {
                    // The former instance got that far.
                    return Ok(Planned::default());
                }
                let ids = plan_rollback(&state.migrations, wanted, request.cascade)?;
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
        } = self.engine.open_for_writing(&self.managed).await?;
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
            if let Some(locked) = self.lock(connection.as_mut(), seen).await? {
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
            Ok((steps, baselined)) => {
                crate::crash_points::reached("planned").await;
                Ok(Prepared::Ready(Box::new(Ready {
                    connection,
                    lease,
                    heartbeat,
                    steps,
                    head: None,
                    baselined,
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
    /// what was seen is no ground for taking it, and nobody holds it.
    async fn lock(
        &self,
        connection: &mut dyn Connection,
        seen: &LockRow,
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
        let state = self.recover(connection, &lease, seen.held.as_ref()).await;
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
                &state,
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
        self.read(connection).await
    }

    async fn read(&self, connection: &mut dyn Connection) -> Result<DatabaseState, EngineError> {
        Ok(state::read(connection, self.managed.id())
            .await
            .map_err(|error| self.problem(error))?
            .unwrap_or_else(DatabaseState::empty))
    }

    /// Gives the lock back, whatever else went wrong.
    async fn release(&self, connection: &mut dyn Connection, lease: &Lease) {
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

    /// Looks for drift, reads the scripts, and commits plan, baseline and the run's row.
    async fn commit_plan(
        &self,
        connection: &mut dyn Connection,
        lease: &Lease,
        state: &DatabaseState,
    ) -> Result<(Vec<Step>, bool), EngineError> {
        let has_failed = self.adopting && self.show_former_executions(connection, state).await?;
        let planned = if has_failed {
            // The former instance saw a script fail: nothing may follow it in this run.
            Planned::default()
        } else {
            self.plan(state)?
        };
        let mut change = Change::of(self.managed.id());
        if !planned.is_empty() {
            self.look_for_drift(connection, state, &mut change).await?;
        }
        let definitions = self.definitions(connection, &planned).await?;
        let mut steps = Vec::with_capacity(planned.steps.len());
        let first_place = self
            .live
            .database(self.index, |database| database.migrations.len())
            .unwrap_or(0)
            + planned.baseline.len();
        for (position, (id, direction)) in planned.steps.iter().enumerate() {
            let (Some(definition), Some(record)) = (
                definitions.iter().find(|known| known.migration_id == *id),
                state.find(id.as_str()),
            ) else {
                return Err(EngineError::UnknownMigration {
                    database: self.managed.id().clone(),
                    migration: id.to_string(),
                });
            };
            let place = (self.index, first_place + position);
            steps.push(
                self.step(connection, definition, record, *direction, place)
                    .await?,
            );
        }
        let now = Timestamp::now();
        let baselined: Vec<Execution> = planned
            .baseline
            .iter()
            .filter_map(|id| state.find(id.as_str()))
            .map(|record| self.marked(record, now))
            .collect();
        for execution in &baselined {
            self.mark_applied(execution, &mut change);
        }
        let plan: Vec<PlannedStep> = steps.iter().map(|step| step.planned.clone()).collect();
        change.records.push(runs::add_plan(
            self.managed.id(),
            lease.token,
            &self.run_id,
            &plan,
            now,
        ));
        self.show_plan(state, &planned, &steps);
        for (offset, execution) in baselined.iter().enumerate() {
            let place = (self.index, first_place - baselined.len() + offset);
            self.live.migration(place, |migration| {
                migration.execution_id = Some(execution.execution_id.clone());
            });
        }
        if self.run_row == RunRow::WithPlan {
            if self.adopting {
                change.loose.push(self.engine.run_progress(&self.live));
            } else {
                change.records.push(self.engine.new_run_row(
                    &self.live.view(),
                    &self.caller,
                    self.work.as_ref(),
                ));
            }
        }
        change.lease = Some(lease);
        connection
            .begin(SHORT_WAIT)
            .await
            .map_err(|error| self.problem(error))?;
        let appended = audit::append(connection, change, None)
            .await
            .map(|_| ())
            .map_err(|error| self.managed.append_problem(error));
        self.engine
            .conclude(connection, &self.managed, appended)
            .await?;
        Ok((steps, !baselined.is_empty()))
    }

    async fn look_for_drift(
        &self,
        connection: &mut dyn Connection,
        state: &DatabaseState,
        change: &mut Change<'_>,
    ) -> Result<(), EngineError> {
        let live = live_schema(connection, &self.managed).await?;
        let Some(drift) = self
            .engine
            .drift_found(connection, &self.managed, state, &live)
            .await?
        else {
            return Ok(());
        };
        let mut event = super::drift::is_new_finding(connection, &self.managed, &drift)
            .await?
            .then(|| self.engine.drift_event(&self.caller, &drift));
        if let Some(event) = &mut event {
            event.run_id = Some(self.run_id.clone());
        }
        let changes = drift.changes.len();
        if self.engine.options().on_drift == OnDrift::Refuse {
            let mut told = Change::of(self.managed.id());
            told.events = event.into_iter().collect();
            if !told.events.is_empty() {
                self.engine.write(connection, &self.managed, told).await?;
            }
            return Err(EngineError::Drifted { changes });
        }
        tracing::warn!(
            database = %self.managed.id(), run = %self.run_id, changes,
            "the database differs from its last trusted snapshot"
        );
        change.events.extend(event);
        self.live
            .database(self.index, |database| database.drift_before = Some(drift));
        Ok(())
    }

    /// The definitions of all steps, read by set.
    async fn definitions(
        &self,
        connection: &mut dyn Connection,
        planned: &Planned,
    ) -> Result<Vec<Definition>, EngineError> {
        let statements: Vec<Statement> = planned
            .steps
            .iter()
            .map(|(id, _)| migrations::definition(self.managed.id(), id.as_str()))
            .collect();
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let replies = connection
            .exchange(&statements)
            .await
            .map_err(|error| self.problem(error))?;
        let definitions = replies
            .iter()
            .flat_map(|reply| &reply.rows)
            .map(migrations::parse_definition)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.problem(error.into()))?;
        // What runs must be what was registered, byte for byte.
        let tampered: Vec<MigrationId> = definitions
            .iter()
            .filter(|definition| !definition.is_intact())
            .map(|definition| definition.migration_id.clone())
            .collect();
        if tampered.is_empty() {
            Ok(definitions)
        } else {
            Err(EngineError::ChecksumMismatch(tampered))
        }
    }

    async fn step(
        &self,
        connection: &mut dyn Connection,
        definition: &Definition,
        record: &MigrationRecord,
        direction: Direction,
        place: (usize, usize),
    ) -> Result<Step, EngineError> {
        let engine = self.managed.engine();
        let (script, checksum) = match direction {
            Direction::Down => {
                let (Some(script), Some(checksum)) =
                    (&definition.down_script, definition.down_checksum)
                else {
                    return Err(EngineError::NoDownScript(vec![
                        definition.migration_id.clone(),
                    ]));
                };
                (script, checksum)
            }
            Direction::Up | Direction::Baseline => (&definition.up_script, definition.up_checksum),
        };
        let batches = script_execution::batches(script, engine);
        let transactional = is_transactional(script, engine);
        let hashes = hashes(script, engine);
        let resume = match (direction, &record.applied) {
            (Direction::Up, Some(applied))
                if matches!(
                    applied.status,
                    AppliedStatus::Failed | AppliedStatus::Interrupted
                ) =>
            {
                self.resume(
                    connection,
                    record,
                    &applied.execution_id,
                    batches.as_deref().unwrap_or_default(),
                    &hashes,
                    transactional,
                )
                .await?
            }
            _ => None,
        };
        Ok(Step {
            planned: PlannedStep {
                execution_id: new_id(),
                migration_id: definition.migration_id.clone(),
                version: definition
                    .version
                    .as_ref()
                    .map(|version| version.as_written().to_owned()),
                direction,
                checksum,
                transactional,
                executor: self.caller.executor.clone(),
                principal: self.caller.principal.clone(),
            },
            batches: batches.map(Arc::from),
            hashes,
            up_checksum: match direction {
                // Rolling back leaves on record what was applied.
                Direction::Down => record
                    .applied
                    .as_ref()
                    .map_or(record.up_checksum, |applied| applied.checksum),
                Direction::Up | Direction::Baseline => definition.up_checksum,
            },
            resume,
            place,
        })
    }

    async fn resume(
        &self,
        connection: &mut dyn Connection,
        record: &MigrationRecord,
        execution_id: &str,
        batches: &[BatchText],
        hashes: &[String],
        transactional: bool,
    ) -> Result<Option<Resume>, EngineError> {
        let replies = connection
            .exchange(&[
                executions::progress(execution_id),
                executions::one(self.managed.id(), execution_id),
            ])
            .await
            .map_err(|error| self.problem(error))?;
        let rows = |index: usize| replies.get(index).map_or(&[][..], |reply| &reply.rows[..]);
        let progress = rows(0)
            .iter()
            .map(executions::parse_progress)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.problem(error.into()))?;
        let said_failed = rows(1)
            .first()
            .map(executions::parse)
            .transpose()
            .map_err(|error| self.problem(error.into()))?
            .is_some_and(|attempt| attempt.resolved_as.is_some());
        let batches: Vec<(u32, String, u32)> = batches
            .iter()
            .zip(hashes)
            .map(|(batch, hash)| (batch.index, hash.clone(), batch.count))
            .collect();
        resume_point(execution_id, &progress, &batches, transactional, said_failed).map_err(|why| {
            tracing::warn!(database = %self.managed.id(), migration = %record.migration_id, "{why}");
            EngineError::HalfApplied(vec![record.migration_id.clone()])
        })
    }

    /// The attempt that marks a migration as applied without running it.
    fn marked(&self, record: &MigrationRecord, now: Timestamp) -> Execution {
        Execution {
            execution_id: new_id(),
            migration_id: record.migration_id.clone(),
            run_id: Some(self.run_id.clone()),
            ordinal: 0,
            direction: Direction::Baseline,
            status: ExecutionStatus::Applied,
            transactional: true,
            checksum: record.up_checksum,
            executor: self.caller.executor.clone(),
            started_at: now,
            finished_at: Some(now),
            duration_ms: Some(0),
            batches: Vec::new(),
            errors: Vec::new(),
            note: Some("marked applied by a baseline; its script did not run".to_owned()),
            resolved_as: None,
        }
    }

    fn mark_applied(&self, execution: &Execution, change: &mut Change<'_>) {
        change.records.push(execution.insert(
            self.managed.id(),
            self.caller.principal.as_deref(),
            &self.engine.options().environment,
        ));
        let status = StatusChange {
            migration_id: &execution.migration_id,
            status: AppliedStatus::Applied,
            checksum: execution.checksum,
            execution_id: &execution.execution_id,
            executor: &self.caller.executor,
            at: execution.started_at,
            duration_ms: 0,
        };
        change.either.push(status.statements(self.managed.id()));
        let mut event = self.engine.draft(
            EventType::Baselined,
            &self.caller,
            serde_json::json!({ "checksum": execution.checksum }),
        );
        event.migration_id = Some(execution.migration_id.clone());
        event.run_id = Some(self.run_id.clone());
        event.execution_id = Some(execution.execution_id.clone());
        change.events.push(event);
    }

    /// Puts into the run object what a former instance of the run did, in place of what it had planned. Says whether a
    /// script failed; what it had planned to follow is then skipped.
    async fn show_former_executions(
        &self,
        connection: &mut dyn Connection,
        state: &DatabaseState,
    ) -> Result<bool, EngineError> {
        let executed = self
            .engine
            .executions_of(connection, &self.managed, &self.run_id)
            .await?;
        let has_failed = executed.iter().any(|execution| {
            matches!(
                execution.status,
                ExecutionStatus::Failed | ExecutionStatus::HalfApplied
            )
        });
        self.live.database(self.index, |database| {
            if has_failed {
                recovery::bring_up_to_date(database, state, &executed);
            } else {
                database.migrations = executed
                    .iter()
                    .map(|execution| recovery::shown(execution, state))
                    .collect();
            }
        });
        Ok(has_failed)
    }

    /// Puts the plan into the run object, behind what a former instance did.
    fn show_plan(&self, state: &DatabaseState, planned: &Planned, steps: &[Step]) {
        let entry = |id: &MigrationId, status: StepStatus| RunMigration {
            migration_id: id.clone(),
            version: version_of(state, id),
            execution_id: None,
            status,
            duration_ms: None,
            batches: Vec::new(),
            errors: Vec::new(),
            note: None,
            warnings: Vec::new(),
        };
        let mut shown: Vec<RunMigration> = Vec::new();
        for id in &planned.baseline {
            let mut migration = entry(id, StepStatus::Applied);
            migration.duration_ms = Some(0);
            migration.note =
                Some("marked applied by the baseline; its script did not run".to_owned());
            shown.push(migration);
        }
        for (position, (id, _)) in planned.steps.iter().enumerate() {
            let mut migration = entry(id, StepStatus::Planned);
            migration.execution_id = steps
                .get(position)
                .map(|step| step.planned.execution_id.clone());
            shown.push(migration);
        }
        for id in &planned.skipped {
            let mut migration = entry(id, StepStatus::Skipped);
            migration.note = Some("left out: it would run after a newer version".to_owned());
            shown.push(migration);
        }
        let from = state.current_version().map(Version::to_string);
        self.live.database(self.index, |database| {
            database.status = RunStatus::Running;
            if database.from_version.is_none() {
                database.from_version = from;
            }
            database.migrations.extend(shown);
        });
    }

    /// Runs the plan to its end and closes it. What went wrong is in the run object. Says whether the plan was closed.
    pub async fn execute(&self, ready: Box<Ready>) -> bool {
        let mut ready = ready;
        let ran = self.run_steps(&mut ready).await;
        let closed = match ran {
            Ok(status) => self.close(&mut ready, status).await,
            Err(problem) => Err(problem),
        };
        match &closed {
            Ok(()) => crate::crash_points::reached("plan-closed").await,
            Err(problem) => self.give_up(&mut ready, problem).await,
        }
        drop(ready);
        self.engine.deliver_soon(&self.managed);
        closed.is_ok()
    }

    async fn run_steps(&self, ready: &mut Ready) -> Result<RunStatus, EngineError> {
        let setting = Setting {
            engine: &self.engine,
            managed: &self.managed,
            lease: &ready.lease,
            live: &self.live,
            run_id: &self.run_id,
            caller: &self.caller,
            reason: self.work.reason(),
            keeps_run_alive: self.run_row == RunRow::WithPlan,
        };
        for step in &ready.steps {
            if ready.heartbeat.is_lost() {
                return Err(self.managed.locked(None));
            }
            if self.live.is_cancelled() {
                return Ok(RunStatus::Cancelled);
            }
            let outcome = setting
                .execute(ready.connection.as_mut(), step, &mut ready.head)
                .await?;
            match outcome {
                Outcome::Done => {}
                Outcome::Failed => return Ok(RunStatus::Failed),
                Outcome::Cancelled => return Ok(RunStatus::Cancelled),
            }
        }
        Ok(if ready.steps.is_empty() && !ready.baselined {
            // What the former instance did counts as done by the run.
            self.live
                .database(self.index, |database| recovery::adopted_status(database))
                .unwrap_or(RunStatus::NothingToDo)
        } else {
            RunStatus::Succeeded
        })
    }

    /// Takes the snapshot, closes the plan and gives the lock back, in one commit.
    async fn close(&self, ready: &mut Ready, status: RunStatus) -> Result<(), EngineError> {
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
        if attempted || ready.snapshot_missing {
            let schema = live_schema(connection, &self.managed).await?;
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
            .push(runs::close_plan(self.managed.id(), ready.lease.token, now));
        let after = state::read(connection, self.managed.id())
            .await
            .map_err(|error| self.problem(error))?
            .unwrap_or_else(DatabaseState::empty);
        let to_version = after.current_version().map(Version::to_string);
        let conclude_with_plan = self.run_row == RunRow::WithPlan;
        let end = |run: &mut Run| {
            if let Some(database) = run.databases.get_mut(self.index) {
                database.status = status;
                database.snapshot_id.clone_from(&snapshot_id);
                database.to_version.clone_from(&to_version);
                skip_the_rest(&mut database.migrations);
            }
            if conclude_with_plan {
                conclude(run, now);
            }
        };
        if conclude_with_plan {
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

    /// Ends the work without knowing how the last script ended: the plan stays open, so that whoever comes next writes it
    /// up. The lock is given back if it is still held.
    async fn give_up(&self, ready: &mut Ready, problem: &EngineError) {
        let (status, mut note, mut holder) = problem_of(problem);
        let connection = ready.connection.as_mut();
        if status == RunStatus::Locked && connection.rollback().await.is_ok() {
            holder = match self.managed.lock_row(connection).await {
                Ok(Some(now)) => super::access::last_holder(&now),
                _ => holder,
            };
        }
        tracing::error!(database = %self.managed.id(), run = %self.run_id, error = %problem, "the run cannot go on");
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
}

fn version_of(state: &DatabaseState, id: &MigrationId) -> Option<String> {
    state
        .find(id.as_str())
        .and_then(|record| record.version.as_ref())
        .map(|version| version.as_written().to_owned())
}

fn problem_of(problem: &EngineError) -> (RunStatus, ProblemNote, Option<super::error::LockHolder>) {
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
