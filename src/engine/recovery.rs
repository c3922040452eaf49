//! Writing up what a dead run left: it never stays unsaid that a script may have begun.

use std::collections::HashMap;

use crate::audit::{self, Change, EventType};
use crate::database::SHORT_WAIT;
use crate::database::{Connection, Statement, ask};
use crate::registry::executions::{self, BatchProgress, Direction, Execution, ExecutionStatus};
use crate::registry::lock::{Holding, Lease};
use crate::registry::migrations::{AppliedStatus, StatusChange};
use crate::registry::runs::{self, OpenPlan, PlannedStep};
use crate::registry::state::{self, DatabaseState};
use crate::script::MigrationId;
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, Writing};
use super::error::{EngineError, ProblemNote};
use super::request::Caller;
use super::run_result::{conclude, status_word};
use super::view::{Run, RunDatabase, RunMigration, RunStatus, StepStatus};

/// Whether anything of a dead run is to be written up. Judged under the lock, or when nobody holds it.
pub(super) fn is_needed(state: &DatabaseState) -> bool {
    expired(state).is_some() || !state.open_plans.is_empty() || !state.running.is_empty()
}

/// The holder of a lock that has expired.
fn expired(state: &DatabaseState) -> Option<&Holding> {
    state
        .lock
        .as_ref()
        .and_then(|lock| lock.held.as_ref())
        .filter(|held| held.expired)
}

/// The step of a dead run's plan that may have begun: the first without an execution, if everything before it went well.
/// Scripts with a transaction leave no row when they are killed; those without one have a row before their first batch.
fn cut_short<'a>(steps: &'a [PlannedStep], executed: &[Execution]) -> Option<&'a PlannedStep> {
    for step in steps {
        let row = executed
            .iter()
            .find(|execution| execution.execution_id == step.execution_id);
        match row.map(|execution| execution.status) {
            Some(ExecutionStatus::Applied | ExecutionStatus::RolledBack) => {}
            Some(_) => return None,
            None => return step.transactional.then_some(step),
        }
    }
    None
}

/// What a killed execution without a transaction left behind. `may_repeat`: a batch of which nobody knows can be sent again.
fn left_by(
    direction: Direction,
    progress: &[BatchProgress],
    may_repeat: bool,
) -> (ExecutionStatus, Option<AppliedStatus>, &'static str) {
    let unknown = progress
        .iter()
        .any(|batch| batch.begun > batch.ended && !batch.failed);
    let any_done = progress.iter().any(|batch| batch.ended > 0);
    match (unknown, direction) {
        (true, Direction::Up | Direction::Baseline) if may_repeat => (
            ExecutionStatus::Interrupted,
            Some(AppliedStatus::Interrupted),
            "cut off while an operation was under way; the next run sends it again and goes on",
        ),
        (_, Direction::Down) if may_repeat && (unknown || any_done) => (
            ExecutionStatus::HalfApplied,
            Some(AppliedStatus::HalfApplied),
            "cut off in the middle of a rollback; it goes on when it is asked for again",
        ),
        (true, _) => (
            ExecutionStatus::HalfApplied,
            Some(AppliedStatus::HalfApplied),
            "cut off while a batch was under way: nobody knows whether it was applied",
        ),
        (false, Direction::Down) if any_done => (
            ExecutionStatus::HalfApplied,
            Some(AppliedStatus::HalfApplied),
            "cut off between two batches of a rollback",
        ),
        (false, Direction::Down) => (
            ExecutionStatus::Interrupted,
            None,
            "cut off before the first batch",
        ),
        (false, Direction::Up | Direction::Baseline) => (
            ExecutionStatus::Interrupted,
            Some(AppliedStatus::Interrupted),
            "cut off between two batches; the next run goes on there",
        ),
    }
}

/// Fills in, from the executions, what a dead run's object does not tell, and leaves nothing as if it were at work. Gives
/// how the run ended there: by its own end, which may not be on record, or because `detail` kept it from going on.
pub(super) fn settle(
    run: &mut Run,
    state: &DatabaseState,
    managed: &Managed,
    executed: &[Execution],
    detail: &str,
) {
    let cancelled = run.cancel_requested;
    let Some(database) = run
        .databases
        .iter_mut()
        .find(|database| database.database_id == *managed.id())
    else {
        return;
    };
    let unfinished = bring_up_to_date(database, state, executed);
    let any = |status: StepStatus| {
        database
            .migrations
            .iter()
            .any(|migration| migration.status == status)
    };
    database.status = if any(StepStatus::Failed) {
        RunStatus::Failed
    } else if !unfinished {
        adopted_status(database)
    } else if cancelled {
        RunStatus::Cancelled
    } else {
        database.problem = Some(ProblemNote {
            code: "locked".to_owned(),
            detail: detail.to_owned(),
        });
        RunStatus::Failed
    };
    if database.to_version.is_none() {
        database.to_version = state.current_version().map(ToString::to_string);
    }
}

/// The state of a database on which nothing is left to do of what a run had planned.
pub(super) fn adopted_status(database: &RunDatabase) -> RunStatus {
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

/// Puts the executions into the run object. Says whether anything that was planned was not done.
pub(super) fn bring_up_to_date(
    database: &mut RunDatabase,
    state: &DatabaseState,
    executed: &[Execution],
) -> bool {
    let is_done = |id: &MigrationId| {
        executed.iter().any(|execution| {
            execution.migration_id == *id
                && matches!(
                    execution.status,
                    ExecutionStatus::Applied | ExecutionStatus::RolledBack
                )
        })
    };
    let mut unfinished = false;
    for migration in &mut database.migrations {
        let row = executed
            .iter()
            .find(|execution| migration.execution_id.as_deref() == Some(&*execution.execution_id));
        let was_planned = migration.status != StepStatus::Skipped;
        unfinished |= was_planned && !is_done(&migration.migration_id);
        match row {
            Some(execution) => *migration = shown(execution, state),
            None if matches!(migration.status, StepStatus::Planned | StepStatus::Running) => {
                migration.status = StepStatus::Skipped;
            }
            None => {}
        }
    }
    // What was done after the object was written last.
    for execution in executed {
        let is_shown = database
            .migrations
            .iter()
            .any(|migration| migration.execution_id.as_deref() == Some(&*execution.execution_id));
        if !is_shown {
            unfinished |= !is_done(&execution.migration_id);
            database.migrations.push(shown(execution, state));
        }
    }
    unfinished
}

/// An attempt of a dead run as its object shows it: nobody works on it any more.
pub(super) fn shown(execution: &Execution, state: &DatabaseState) -> RunMigration {
    RunMigration {
        migration_id: execution.migration_id.clone(),
        version: state
            .find(execution.migration_id.as_str())
            .and_then(|record| record.version.as_ref())
            .map(|version| version.as_written().to_owned()),
        execution_id: Some(execution.execution_id.clone()),
        status: match execution.status {
            ExecutionStatus::Running => StepStatus::Interrupted,
            status => status.into(),
        },
        duration_ms: execution.duration_ms,
        batches: execution.batches.clone(),
        errors: execution.errors.clone(),
        note: execution.note.clone(),
        warnings: Vec::new(),
    }
}

impl Engine {
    /// Writes up, within the open transaction and under the lock just taken, what dead runs left on this database. Gives
    /// one line for each thing written up. `dead` is who held the lock before; `own_run` is the run that recovers: when it
    /// is itself the dead one, it goes on and is not ended.
    #[allow(
        clippy::too_many_arguments,
        reason = "each says another thing of the one takeover"
    )]
    pub(super) async fn write_up(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        caller: &Caller,
        state: &DatabaseState,
        dead: Option<&Holding>,
        lease: &Lease,
        own_run: Option<&str>,
    ) -> Result<Vec<String>, EngineError> {
        let problem = |error| managed.problem(error);
        let mut lines = Vec::new();
        let mut change = Change::of(managed.id());
        if let Some(dead) = dead {
            change.events.push(self.taken_over(caller, dead, lease));
            lines.push(format!("took over the expired lock of {}", dead.owner));
        }
        let now = Timestamp::now();
        for (execution_id, migration_id) in &state.running {
            let reply = ask(connection, executions::one(managed.id(), execution_id))
                .await
                .map_err(problem)?;
            let Some(row) = reply.rows.first() else {
                continue;
            };
            let mut execution = executions::parse(row).map_err(|error| problem(error.into()))?;
            let progress = self.progress_of(connection, managed, execution_id).await?;
            let (status, applied, note) = left_by(
                execution.direction,
                &progress,
                managed.engine().takes_batches_again(),
            );
            execution.status = status;
            execution.finished_at = Some(now);
            execution.duration_ms = Some(now.millis_since(execution.started_at));
            execution.note = Some(note.to_owned());
            change.records.push(execution.end());
            if let Some(applied) = applied {
                // The checksum recorded for a migration is that of its up script.
                let checksum =
                    state
                        .find(migration_id.as_str())
                        .map_or(execution.checksum, |record| match execution.direction {
                            Direction::Down => record
                                .applied
                                .as_ref()
                                .map_or(record.up_checksum, |applied| applied.checksum),
                            Direction::Up | Direction::Baseline => execution.checksum,
                        });
                let status = StatusChange {
                    migration_id,
                    status: applied,
                    checksum,
                    execution_id,
                    executor: &execution.executor,
                    at: now,
                    duration_ms: execution.duration_ms.unwrap_or(0),
                };
                change.either.push(status.statements(managed.id()));
            }
            change
                .events
                .push(self.interrupted(caller, &execution, note));
            lines.push(format!("{migration_id}: {note}"));
        }
        // Runs that end here, with what is written up of them now.
        let mut dead_runs: HashMap<String, Vec<Execution>> = HashMap::new();
        for plan in state
            .open_plans
            .iter()
            .filter(|plan| plan.token < lease.token)
        {
            let cut_short = self.write_up_plan(connection, managed, dead, plan).await?;
            if own_run != Some(plan.run_id.as_str()) {
                dead_runs
                    .entry(plan.run_id.clone())
                    .or_default()
                    .extend(cut_short.iter().map(|(execution, _)| execution.clone()));
            }
            if let Some((execution, principal)) = cut_short {
                let note = execution.note.clone().unwrap_or_default();
                lines.push(format!("{}: {note}", execution.migration_id));
                change.records.push(execution.insert(
                    managed.id(),
                    principal.as_deref(),
                    &self.options().environment,
                ));
                change
                    .events
                    .push(self.interrupted(caller, &execution, &note));
            }
            change
                .records
                .push(runs::close_plan(managed.id(), plan.token, now));
        }
        if managed.is_home {
            for (run_id, written_up) in dead_runs {
                let end = self
                    .end_of_dead_run(connection, managed, state, &run_id, written_up, own_run)
                    .await?;
                change.loose.extend(end);
            }
        }
        self.begin_announcing(&mut change);
        change.lease = Some(lease);
        audit::append(connection, change, None)
            .await
            .map_err(|error| managed.append_problem(error))?;
        Ok(lines)
    }

    fn taken_over(&self, caller: &Caller, dead: &Holding, lease: &Lease) -> audit::EventDraft {
        let mut draft = self.draft(
            EventType::LockTakenOver,
            caller,
            serde_json::json!({
                "owner": dead.owner,
                "acquiredAt": dead.acquired_at,
                "expiresAt": dead.expires_at,
                "token": lease.token.0,
            }),
        );
        draft.run_id.clone_from(&dead.run_id);
        draft
    }

    fn interrupted(&self, caller: &Caller, execution: &Execution, note: &str) -> audit::EventDraft {
        let mut data = serde_json::json!({
            "direction": execution.direction.as_str(),
            "checksum": execution.checksum,
            "halfApplied": execution.status == ExecutionStatus::HalfApplied,
            "note": note,
        });
        if !execution.transactional {
            data["transactional"] = false.into();
        }
        let mut draft = self.draft(EventType::Interrupted, caller, data);
        draft.migration_id = Some(execution.migration_id.clone());
        draft.run_id.clone_from(&execution.run_id);
        draft.execution_id = Some(execution.execution_id.clone());
        draft
    }

    /// The attempt of a dead run's plan that left no row although it may have begun, and what Azure said of its caller.
    async fn write_up_plan(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        dead: Option<&Holding>,
        plan: &OpenPlan,
    ) -> Result<Option<(Execution, Option<String>)>, EngineError> {
        let executed = self
            .executions_of(connection, managed, &plan.run_id)
            .await?;
        let Some(step) = cut_short(&plan.steps, &executed) else {
            return Ok(None);
        };
        let now = Timestamp::now();
        let dead_since = dead.map_or(now, |held| held.acquired_at);
        let execution = Execution {
            execution_id: step.execution_id.clone(),
            migration_id: step.migration_id.clone(),
            run_id: Some(plan.run_id.clone()),
            ordinal: 0,
            direction: step.direction,
            status: ExecutionStatus::Interrupted,
            transactional: true,
            checksum: step.checksum,
            executor: step.executor.clone(),
            started_at: dead_since,
            finished_at: Some(now),
            duration_ms: None,
            batches: Vec::new(),
            errors: Vec::new(),
            note: Some(
                "its run ended without a result; it may not have begun, and nothing of it remains"
                    .to_owned(),
            ),
            resolved_as: None,
        };
        Ok(Some((execution, step.principal.clone())))
    }

    /// How far each batch of an attempt without a transaction came.
    pub(super) async fn progress_of(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        execution_id: &str,
    ) -> Result<Vec<BatchProgress>, EngineError> {
        ask(connection, executions::progress(execution_id))
            .await
            .map_err(|error| managed.problem(error))?
            .rows
            .iter()
            .map(executions::parse_progress)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| managed.problem(error.into()))
    }

    /// All attempts of a run on a database.
    pub(super) async fn executions_of(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        run_id: &str,
    ) -> Result<Vec<Execution>, EngineError> {
        ask(connection, executions::of_run(managed.id(), run_id))
            .await
            .map_err(|error| managed.problem(error))?
            .rows
            .iter()
            .map(executions::parse)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| managed.problem(error.into()))
    }

    /// What ends, in the home database, a run whose database was taken over. `written_up`: what is being written up of it.
    async fn end_of_dead_run(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        state: &DatabaseState,
        run_id: &str,
        written_up: Vec<Execution>,
        by: Option<&str>,
    ) -> Result<Option<Statement>, EngineError> {
        let reply = ask(connection, runs::one(run_id))
            .await
            .map_err(|error| managed.problem(error))?;
        let Some(row) = reply.rows.first() else {
            return Ok(None);
        };
        let row = runs::parse(row).map_err(|error| managed.problem(error.into()))?;
        // A run over several databases has others to go on with: its adopter sees that this one is lost to it.
        if row.database_id != managed.id().as_str() {
            return Ok(None);
        }
        let Ok(mut run) = serde_json::from_str::<Run>(&row.progress) else {
            return Ok(None);
        };
        run.cancel_requested |= row.cancel_requested_by.is_some();
        let mut executed = self.executions_of(connection, managed, run_id).await?;
        executed.extend(written_up);
        let detail = match by {
            Some(by) => format!("its instance died, and run {by} took the database over"),
            None => "its instance died, and what it left was written up by verifying".to_owned(),
        };
        settle(&mut run, state, managed, &executed, &detail);
        let now = Timestamp::now();
        conclude(&mut run, now);
        // Plain data always serialises.
        let progress = serde_json::to_string(&run).unwrap_or_default();
        let status = status_word(run.status);
        Ok(Some(runs::end_of_dead(run_id, status, now, &progress)))
    }

    /// Takes over an expired lock, writes up what its run left, and releases the lock. Gives one line for each thing done;
    /// nothing when no run died here, or when one is alive.
    pub(super) async fn recover_if_dead(
        &self,
        caller: &Caller,
        managed: &Managed,
    ) -> Result<Vec<String>, EngineError> {
        let Writing {
            mut connection,
            state,
        } = self.open_for_writing(managed).await?;
        let alive = |state: &DatabaseState| {
            state
                .lock
                .as_ref()
                .and_then(super::access::holder)
                .is_some()
        };
        if alive(&state) || self.is_at_work_here(managed, &state, None) || !is_needed(&state) {
            return Ok(Vec::new());
        }
        let Some(seen) = &state.lock else {
            return Ok(Vec::new());
        };
        let lease = Lease::after(
            managed.id(),
            seen.token,
            &self.inner.instance,
            self.options().lease_seconds,
        );
        let problem = |error| managed.problem(error);
        let taken = ask(connection.as_mut(), lease.take(None))
            .await
            .map_err(problem)?;
        if taken.affected != 1 {
            // Somebody else was faster, and writes up what there is.
            return Ok(Vec::new());
        }
        let dead = seen.held.clone();
        let recovered = async {
            // What the dead run was doing may still be under way.
            self.shut_out(connection.as_mut(), managed, true).await?;
            let state = state::read(connection.as_mut(), managed.id())
                .await
                .map_err(problem)?
                .unwrap_or_else(DatabaseState::empty);
            connection.begin(SHORT_WAIT).await.map_err(problem)?;
            let lines = self
                .write_up(
                    connection.as_mut(),
                    managed,
                    caller,
                    &state,
                    dead.as_ref(),
                    &lease,
                    None,
                )
                .await?;
            ask(connection.as_mut(), lease.release())
                .await
                .map_err(problem)?;
            Ok(lines)
        }
        .await;
        let concluded = self.conclude(connection.as_mut(), managed, recovered).await;
        if concluded.is_err()
            && let Err(error) = ask(connection.as_mut(), lease.release()).await
        {
            tracing::warn!(database = %managed.id(), %error, "the lock is free when its lease has expired");
        }
        self.deliver_soon(managed);
        self.announce_soon(managed);
        concluded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Checksum, MigrationId};

    fn step(id: &str) -> PlannedStep {
        PlannedStep {
            execution_id: id.to_owned(),
            migration_id: MigrationId::parse(&format!("V{id}__x")).unwrap(),
            version: None,
            direction: Direction::Up,
            checksum: Checksum::of_text(""),
            transactional: true,
            executor: "a".to_owned(),
            principal: None,
        }
    }

    fn execution(id: &str, status: ExecutionStatus) -> Execution {
        Execution {
            execution_id: id.to_owned(),
            migration_id: MigrationId::parse(&format!("V{id}__x")).unwrap(),
            run_id: None,
            ordinal: 1,
            direction: Direction::Up,
            status,
            transactional: true,
            checksum: Checksum::of_text(""),
            executor: "a".to_owned(),
            started_at: Timestamp::now(),
            finished_at: None,
            duration_ms: None,
            batches: Vec::new(),
            errors: Vec::new(),
            note: None,
            resolved_as: None,
        }
    }

    fn name(step: Option<&PlannedStep>) -> Option<&str> {
        step.map(|step| step.execution_id.as_str())
    }

    #[test]
    fn the_first_step_without_an_execution_may_have_begun() {
        let steps = [step("1"), step("2"), step("3")];
        let applied = |id| execution(id, ExecutionStatus::Applied);
        assert_eq!(name(cut_short(&steps, &[])), Some("1"));
        assert_eq!(name(cut_short(&steps, &[applied("1")])), Some("2"));
        assert_eq!(
            name(cut_short(
                &steps,
                &[applied("1"), applied("2"), applied("3")]
            )),
            None
        );
    }

    #[test]
    fn what_can_be_sent_again_leaves_nothing_for_a_person_to_decide() {
        let batch = |begun, ended| BatchProgress {
            index: 1,
            sha256: String::new(),
            rounds: 1,
            begun,
            ended,
            failed: false,
            left_nothing: false,
        };
        let status = |direction, begun, ended, may_repeat| {
            left_by(direction, &[batch(begun, ended)], may_repeat).0
        };
        assert_eq!(
            status(Direction::Up, 1, 0, true),
            ExecutionStatus::Interrupted
        );
        assert_eq!(
            status(Direction::Up, 1, 0, false),
            ExecutionStatus::HalfApplied
        );
        // A rollback goes on as a rollback: until then its migration is neither applied nor rolled back.
        for ended in [0, 1] {
            assert_eq!(
                status(Direction::Down, 1, ended, true),
                ExecutionStatus::HalfApplied
            );
        }
        assert_eq!(
            left_by(Direction::Down, &[], true).0,
            ExecutionStatus::Interrupted
        );
    }

    #[test]
    fn nothing_begins_after_a_failure() {
        let steps = [step("1"), step("2")];
        let failed = execution("1", ExecutionStatus::Failed);
        assert_eq!(name(cut_short(&steps, &[failed])), None);
    }

    #[test]
    fn a_script_without_a_transaction_that_has_no_row_has_not_begun() {
        let mut steps = [step("1")];
        steps[0].transactional = false;
        assert_eq!(name(cut_short(&steps, &[])), None);
    }
}
