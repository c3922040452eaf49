//! Committing a database to a plan: drift check, scripts, baseline, and the run's row.

use std::collections::HashMap;
use std::sync::Arc;

use crate::audit::{self, Change, EventType, Head};
use crate::database::SHORT_WAIT;
use crate::database::{BatchText, Connection, Statement};
use crate::registry::executions::{self, Direction, Execution, ExecutionStatus};
use crate::registry::lock::Lease;
use crate::registry::migrations::{self, AppliedStatus, Definition, MigrationRecord, StatusChange};
use crate::registry::runs::{self, PlannedStep};
use crate::registry::state::DatabaseState;
use crate::script::{MigrationId, Version};
use crate::time::Timestamp;

use super::super::access::new_id;
use super::super::error::EngineError;
use super::super::script_execution::{
    self, Resume, Step, hashes, is_transactional, needs_key, resume_point,
};
use super::super::snapshots::live_schema;
use super::super::view::{RunMigration, RunStatus, StepStatus};
use super::super::{OnDrift, drift, recovery};
use super::{DatabaseRun, Planned, RunRow};

/// A plan on record.
pub(super) struct Committed {
    /// What is to be executed.
    pub steps: Vec<Step>,
    /// Whether migrations were marked as applied.
    pub baselined: bool,
    /// The newest event, so that the first script need not ask for it.
    pub head: Head,
}

impl DatabaseRun {
    /// Looks for drift, reads the scripts, and commits plan, baseline and the run's row.
    pub(super) async fn commit_plan(
        &self,
        connection: &mut dyn Connection,
        lease: &Lease,
        state: &DatabaseState,
    ) -> Result<Committed, EngineError> {
        let has_failed = self.adopting && self.show_former_executions(connection, state).await?;
        let planned = if has_failed {
            // The former instance saw a script fail: nothing may follow it in this run.
            Planned::default()
        } else {
            self.plan(state)?
        };
        let definitions = self.definitions(connection, &planned).await?;
        let definitions: HashMap<&MigrationId, &Definition> = definitions
            .iter()
            .map(|definition| (&definition.migration_id, definition))
            .collect();
        self.refuse_without_key(&planned, &definitions)?;
        let mut change = Change::of(self.managed.id());
        if !planned.is_empty() {
            self.look_for_drift(connection, state, &mut change).await?;
        }
        let records = state.by_id();
        let mut steps = Vec::with_capacity(planned.steps.len());
        let first_place = self
            .live
            .database(self.index, |database| database.migrations.len())
            .unwrap_or(0)
            + planned.baseline.len();
        for (position, (id, direction)) in planned.steps.iter().enumerate() {
            let (Some(definition), Some(record)) = (definitions.get(id), records.get(id)) else {
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
            .filter_map(|id| records.get(id))
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
        self.engine.begin_announcing(&mut change);
        change.lease = Some(lease);
        connection
            .begin(SHORT_WAIT)
            .await
            .map_err(|error| self.problem(error))?;
        let appended = audit::append(connection, change, None)
            .await
            .map_err(|error| self.managed.append_problem(error));
        let head = self
            .engine
            .conclude(connection, &self.managed, appended)
            .await?;
        Ok(Committed {
            steps,
            baselined: !baselined.is_empty(),
            head,
        })
    }

    /// Refuses operations that nobody may send without a key, before any is sent.
    fn refuse_without_key(
        &self,
        planned: &Planned,
        definitions: &HashMap<&MigrationId, &Definition>,
    ) -> Result<(), EngineError> {
        if self.managed.database.has_key() {
            return Ok(());
        }
        let unfit: Vec<MigrationId> = planned
            .steps
            .iter()
            .filter(|(id, direction)| {
                let definition = definitions.get(id);
                let script = definition.and_then(|definition| match direction {
                    Direction::Down => definition.down_script.as_deref(),
                    Direction::Up | Direction::Baseline => Some(definition.up_script.as_str()),
                });
                script.is_some_and(|script| needs_key(script, self.managed.engine()))
            })
            .map(|(id, _)| id.clone())
            .collect();
        if unfit.is_empty() {
            Ok(())
        } else {
            Err(EngineError::NeedsKey(unfit))
        }
    }

    async fn look_for_drift(
        &self,
        connection: &mut dyn Connection,
        state: &DatabaseState,
        change: &mut Change<'_>,
    ) -> Result<(), EngineError> {
        let live = live_schema(connection, &self.managed).await?;
        let Some(found) = self
            .engine
            .drift_found(connection, &self.managed, state, &live)
            .await?
        else {
            return Ok(());
        };
        let mut event = drift::is_new_finding(connection, &self.managed, &found)
            .await?
            .then(|| self.engine.drift_event(&self.caller, &found));
        if let Some(event) = &mut event {
            event.run_id = Some(self.run_id.clone());
        }
        let changes = found.changes.len();
        if self.engine.options().on_drift == OnDrift::Refuse {
            let mut told = Change::of(self.managed.id());
            told.events = event.into_iter().collect();
            if !told.events.is_empty() {
                self.engine.begin_announcing(&mut told);
                self.engine.write(connection, &self.managed, told).await?;
                self.engine.announce_soon(&self.managed);
            }
            return Err(EngineError::Drifted { changes });
        }
        tracing::warn!(
            database = %self.managed.id(), run = %self.run_id, changes,
            "the database differs from its last trusted snapshot"
        );
        change.events.extend(event);
        self.live
            .database(self.index, |database| database.drift_before = Some(found));
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
        let batches = script_execution::batches(script, engine, self.engine.options());
        let transactional = is_transactional(script, engine);
        let hashes = hashes(script, engine);
        let goes_on = |status: AppliedStatus| match direction {
            Direction::Up => matches!(status, AppliedStatus::Failed | AppliedStatus::Interrupted),
            Direction::Down => engine.takes_batches_again() && status == AppliedStatus::HalfApplied,
            Direction::Baseline => false,
        };
        let resume = match &record.applied {
            Some(applied) if goes_on(applied.status) => {
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
        let sent: Vec<(u32, String, u32)> = batches
            .iter()
            .zip(hashes)
            .map(|(batch, hash)| (batch.index, hash.clone(), batch.count))
            .collect();
        let may_repeat = self.managed.engine().takes_batches_again();
        let resumed = resume_point(
            execution_id,
            &progress,
            &sent,
            transactional,
            said_failed,
            may_repeat,
        );
        let resumed = match resumed {
            Ok(Some(resume)) if !may_repeat && sets_its_session(batches, resume.batch) => {
                Err("an earlier batch set something for its session, which is gone")
            }
            other => other,
        };
        resumed.map_err(|why| {
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
        let goes_on = self.managed.engine().takes_batches_again();
        let has_failed = executed.iter().any(|execution| match execution.status {
            ExecutionStatus::Failed => true,
            // A rollback that was cut off, and did not fail, goes on.
            ExecutionStatus::HalfApplied => !goes_on || !execution.errors.is_empty(),
            _ => false,
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
    pub(super) fn show_plan(&self, state: &DatabaseState, planned: &Planned, steps: &[Step]) {
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
            migration.note = Some(RunMigration::BASELINED.to_owned());
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
}

/// Whether a batch before this one may have set something that ends with its session: a PRAGMA, a temporary object. Words in
/// comments count too, which asks a person once too often rather than once too seldom.
fn sets_its_session(batches: &[BatchText], before: u32) -> bool {
    batches
        .iter()
        .take_while(|batch| batch.index < before)
        .any(|batch| {
            let text = batch.text.to_ascii_uppercase();
            text.contains("PRAGMA") || text.contains("TEMP")
        })
}

fn version_of(state: &DatabaseState, id: &MigrationId) -> Option<String> {
    state
        .find(id.as_str())
        .and_then(|record| record.version.as_ref())
        .map(|version| version.as_written().to_owned())
}
