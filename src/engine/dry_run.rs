//! Runs that only pretend: a preview that reads, and a trial in a transaction that is rolled back.

use std::sync::Arc;

use crate::database::{
    Access, Connection, DatabaseError, ScriptEnd, ScriptMode, ServerError, Statement, ask,
};
use crate::registry::inventory::InventoryRow;
use crate::registry::lock::Lease;
use crate::registry::migrations::{self, Definition, MigrationRecord};
use crate::registry::state::{self, DatabaseState};
use crate::script::{
    EngineKind, MigrationId, Prefix, ScriptKind, Syntax, Version, check_operations, check_script,
};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, holder};
use super::error::{EngineError, FieldError};
use super::live::{LiveRun, LiveRuns, StepObserver};
use super::planning::{Plan, Policy, plan_rollback, plan_run};
use super::request::{Caller, InlineMigration, RollbackRequest, RunRequest, Target};
use super::run_result::{conclude, result_of};
use super::script_execution::{at_its_end, batches, is_transactional, run_batches};
use super::view::{
    DryRun, FindingNote, Run, RunDatabase, RunKind, RunMigration, RunStatus, StepStatus,
};

/// A database with what is planned on it.
struct Preview {
    managed: Managed,
    records: Vec<MigrationRecord>,
    state: DatabaseState,
    plan: Plan,
}

impl Engine {
    /// Previews or tries a run. Leaves no row and no event.
    pub(super) async fn dry_run(
        &self,
        caller: &Caller,
        request: &RunRequest,
        rows: Vec<InventoryRow>,
    ) -> Result<Run, EngineError> {
        let mut run = self.new_run(
            RunKind::Run,
            &request.database_id.to_string(),
            caller,
            &rows,
        );
        run.dry_run = request.dry_run;
        let alone = matches!(request.database_id, Target::One(_));
        // A life of its own, that nobody can poll.
        let live = LiveRuns::default().begin(run);
        for (index, row) in rows.into_iter().enumerate() {
            let shown = match request.dry_run {
                DryRun::Execute => self.try_out(request, row, &live, index).await,
                DryRun::Preview | DryRun::No => self.preview(request, row, &live, index).await,
            };
            if let Err(problem) = shown {
                live.database(index, |database| {
                    database.status = match problem {
                        EngineError::Locked { .. } => RunStatus::Locked,
                        _ => RunStatus::Failed,
                    };
                    database.problem = Some((&problem).into());
                });
                if alone {
                    live.with(|run| conclude(run, Timestamp::now()));
                    return Err(EngineError::InRun {
                        problem: Box::new(problem),
                        run: Box::new(live.view()),
                    });
                }
            }
        }
        live.with(|run| conclude(run, Timestamp::now()));
        result_of(live.view())
    }

    async fn plan_preview(
        &self,
        request: &RunRequest,
        managed: Managed,
        state: DatabaseState,
    ) -> Result<Preview, EngineError> {
        let records = with_inline(&state, &request.migrations, managed.engine())?;
        let plan = plan_run(
            &records,
            Policy {
                target: request.target.as_ref(),
                out_of_order: request.out_of_order,
                baseline: request.baseline.as_ref(),
            },
        )?;
        Ok(Preview {
            managed,
            records,
            state,
            plan,
        })
    }

    async fn preview(
        &self,
        request: &RunRequest,
        row: InventoryRow,
        live: &LiveRun,
        index: usize,
    ) -> Result<(), EngineError> {
        let managed = self.reach(row)?;
        let (connection, state) = self.read_for_dry_run(&managed, request).await?;
        let preview = self.plan_preview(request, managed, state).await?;
        let scripts = match connection {
            Some(mut connection) => {
                scripts(connection.as_mut(), &preview, &request.migrations).await?
            }
            None => inline_scripts(&request.migrations),
        };
        preview.show(live, index, &scripts);
        Ok(())
    }

    /// Runs everything in one transaction and rolls it back. On SQLite that transaction keeps everybody else out from
    /// before the registry is looked at until all is undone, so that even the taking of the lock leaves no trace.
    async fn try_out(
        &self,
        request: &RunRequest,
        row: InventoryRow,
        live: &Arc<LiveRun>,
        index: usize,
    ) -> Result<(), EngineError> {
        let managed = self.reach(row)?;
        let (_, state) = self.read_for_dry_run(&managed, request).await?;
        if state.lock.as_ref().and_then(holder).is_some() {
            return Err(managed.locked(state.lock.as_ref()));
        }
        // What can be refused is refused before anything is touched.
        let preview = self.plan_preview(request, managed.clone(), state).await?;
        if managed.engine() == EngineKind::Cosmos {
            // Cosmos DB has no transaction that could be rolled back.
            if !preview.plan.apply.is_empty() {
                return Err(EngineError::NotTransactional(preview.plan.apply));
            }
            preview.show(live, index, &[]);
            return Ok(());
        }
        let mut connection = managed
            .database
            .open(Access::Write)
            .await
            .map_err(|error| managed.problem(error))?;
        // A run that lost its lock may still be at work.
        self.shut_out(connection.as_mut(), &managed, true).await?;
        connection
            .begin(self.script_wait())
            .await
            .map_err(|error| managed.problem(error))?;
        let tried = self
            .try_in_transaction(connection.as_mut(), request, &managed, live, index)
            .await;
        let undone = connection.rollback().await;
        tried?;
        undone.map_err(|error| managed.problem(error))
    }

    async fn try_in_transaction(
        &self,
        connection: &mut dyn Connection,
        request: &RunRequest,
        managed: &Managed,
        live: &Arc<LiveRun>,
        index: usize,
    ) -> Result<(), EngineError> {
        let problem = |error: DatabaseError| managed.problem(error);
        self.make_registry(connection, managed).await?;
        let state = state::read(connection, managed.id())
            .await
            .map_err(problem)?
            .unwrap_or_else(DatabaseState::empty);
        let Some(lock) = &state.lock else {
            return Err(managed.locked(None));
        };
        let lease = Lease::after(
            managed.id(),
            lock.token,
            &self.inner.instance,
            self.options().lease_seconds,
        );
        let taken = ask(connection, lease.take(None)).await.map_err(problem)?;
        if taken.affected != 1 {
            return Err(managed.locked(state.lock.as_ref()));
        }
        let preview = self.plan_preview(request, managed.clone(), state).await?;
        let scripts = scripts(connection, &preview, &request.migrations).await?;
        let unfit: Vec<MigrationId> = preview
            .plan
            .apply
            .iter()
            .filter(|id| {
                script_of(&scripts, id)
                    .is_some_and(|script| !is_transactional(script, managed.engine()))
            })
            .cloned()
            .collect();
        if !unfit.is_empty() {
            return Err(EngineError::NotTransactional(unfit));
        }
        preview.show(live, index, &scripts);
        let first = preview.plan.baseline.len();
        let orphaned_before = connection.orphaned_rows().await.map_err(problem)?;
        for (offset, id) in preview.plan.apply.iter().enumerate() {
            let place = (index, first + offset);
            let began = Timestamp::now();
            let texts = script_of(&scripts, id).map_or_else(
                || Ok(Vec::new()),
                |script| batches(script, managed.engine(), self.options()),
            );
            let report = match texts {
                Ok(texts) => {
                    let observer = Arc::new(StepObserver {
                        live: Arc::clone(live),
                        place,
                    });
                    run_batches(
                        connection,
                        texts.into(),
                        ScriptMode::InTransaction,
                        observer,
                        &self.options().script_variables,
                    )
                    .await
                }
                Err(reason) => {
                    show_failure(live, place, vec![reason.as_error()]);
                    return Ok(());
                }
            };
            let duration = Timestamp::now().millis_since(began);
            live.migration(place, |migration| {
                migration.duration_ms = Some(duration);
                migration.batches.clone_from(&report.batches);
            });
            let left = match report.end {
                ScriptEnd::Failed { errors, .. } => {
                    show_failure(live, place, errors);
                    return Ok(());
                }
                ScriptEnd::Left { left, errors } => Some((left, errors)),
                // Nothing would be recorded yet, but what would keep it from being recorded shows now.
                ScriptEnd::Completed | ScriptEnd::Stopped => match connection.exchange(&[]).await {
                    Ok(_) => None,
                    Err(DatabaseError::ScriptLeft(left)) => Some((left, Vec::new())),
                    Err(error) => return Err(problem(error)),
                },
            };
            if let Some((left, mut errors)) = left {
                errors.push(at_its_end(&report.batches, 0, left.to_string()));
                show_failure(live, place, errors);
                return Ok(());
            }
        }
        // Nothing is committed, so that what only COMMIT would look at is looked at here.
        let orphaned = connection.orphaned_rows().await.map_err(problem)?;
        let more = orphaned
            .zip(orphaned_before)
            .map_or(0, |(after, before)| after.saturating_sub(before));
        if more > 0 && !preview.plan.apply.is_empty() {
            let place = (index, first + preview.plan.apply.len() - 1);
            let batches = live
                .database(index, |database| {
                    database
                        .migrations
                        .get(place.1)
                        .map(|last| last.batches.clone())
                })
                .flatten()
                .unwrap_or_default();
            let message =
                format!("{more} rows name a row that is not there; COMMIT would refuse them");
            show_failure(live, place, vec![at_its_end(&batches, 0, message)]);
        }
        Ok(())
    }

    /// Says what a rollback would run.
    pub(super) async fn preview_rollback(
        &self,
        caller: &Caller,
        request: &RollbackRequest,
        row: InventoryRow,
    ) -> Result<Run, EngineError> {
        let rows = [row.clone()];
        let mut run = self.new_run(
            RunKind::Rollback,
            request.database_id.as_str(),
            caller,
            &rows,
        );
        run.dry_run = DryRun::Preview;
        let managed = self.reach(row)?;
        let (_, state) = self.read_state(&managed).await?;
        let wanted =
            state
                .find(&request.migration_id)
                .ok_or_else(|| EngineError::UnknownMigration {
                    database: managed.id().clone(),
                    migration: request.migration_id.clone(),
                })?;
        let ids = plan_rollback(
            &state.migrations,
            wanted,
            request.cascade,
            managed.engine().takes_batches_again(),
        )?;
        if let Some(database) = run.databases.first_mut() {
            let version = state.current_version().map(Version::to_string);
            database.from_version.clone_from(&version);
            database.to_version = remaining_version(&state, &ids);
            database.status = RunStatus::Succeeded;
            database.migrations = ids
                .iter()
                .map(|id| planned(id, &state.migrations))
                .collect();
        }
        conclude(&mut run, Timestamp::now());
        Ok(run)
    }
}

/// Shows that a migration failed in a trial, and that nothing after it was tried.
fn show_failure(live: &LiveRun, place: (usize, usize), errors: Vec<ServerError>) {
    live.migration(place, |migration| {
        migration.status = StepStatus::Failed;
        migration.errors = errors;
    });
    live.database(place.0, |database| {
        database.status = RunStatus::Failed;
        for later in database.migrations.iter_mut().skip(place.1 + 1) {
            later.status = StepStatus::Skipped;
        }
    });
}

/// The newest applied version when these are rolled back.
fn remaining_version(state: &DatabaseState, without: &[MigrationId]) -> Option<String> {
    state
        .migrations
        .iter()
        .filter(|record| !record.is_own() && record.is_applied())
        .filter(|record| !without.contains(&record.migration_id))
        .filter_map(|record| record.version.as_ref())
        .max()
        .map(Version::to_string)
}

fn planned(id: &MigrationId, records: &[MigrationRecord]) -> RunMigration {
    RunMigration {
        migration_id: id.clone(),
        version: records
            .iter()
            .find(|record| record.migration_id == *id)
            .and_then(|record| record.version.as_ref())
            .map(|version| version.as_written().to_owned()),
        execution_id: None,
        status: StepStatus::Planned,
        duration_ms: None,
        batches: Vec::new(),
        errors: Vec::new(),
        note: None,
        warnings: Vec::new(),
    }
}

/// The records as if the inline scripts were registered, in version order, repeatable ones last.
fn with_inline(
    state: &DatabaseState,
    inline: &[InlineMigration],
    engine: EngineKind,
) -> Result<Vec<MigrationRecord>, EngineError> {
    let mut records = state.migrations.clone();
    for migration in inline {
        let file = &migration.file_name;
        if file.prefix == Prefix::Down {
            return Err(EngineError::Invalid(vec![FieldError::new(
                "migrations",
                "names a down script; send its text as downScript with the V file's name",
            )]));
        }
        if file.engine != engine {
            return Err(EngineError::MissingVariant {
                file: file.up_file(file.engine),
                engine: engine.to_string(),
                expected: file.up_file(engine),
            });
        }
        if let Some(version) = file
            .version
            .as_ref()
            .filter(|version| version.is_reserved())
        {
            return Err(EngineError::ReservedVersion(
                version.as_written().to_owned(),
            ));
        }
        let definition = definition_of(migration);
        if let Some(holder) = records.iter().find(|record| {
            record.version.is_some()
                && record.version == definition.version
                && record.migration_id != definition.migration_id
        }) {
            return Err(EngineError::DuplicateVersion {
                version: file
                    .version
                    .as_ref()
                    .map(Version::to_string)
                    .unwrap_or_default(),
                holder: holder.migration_id.clone(),
            });
        }
        let as_registered = |applied| MigrationRecord {
            migration_id: definition.migration_id.clone(),
            version: definition.version.clone(),
            name: definition.name.clone(),
            description: None,
            author: definition.author.clone(),
            file_name: None,
            up_checksum: definition.up_checksum,
            down_checksum: definition.down_checksum,
            created_at: definition.created_at,
            withdrawn_at: None,
            applied,
        };
        match records
            .iter_mut()
            .find(|record| record.migration_id == definition.migration_id)
        {
            Some(record) => *record = as_registered(record.applied.take()),
            None => records.push(as_registered(None)),
        }
    }
    migrations::sort_by_version(&mut records);
    Ok(records)
}

fn definition_of(migration: &InlineMigration) -> Definition {
    Definition::new(
        migration.file_name.migration_id(),
        migration.file_name.version.clone(),
        &migration.file_name.name,
        "",
        migration.up_script.clone(),
        migration.down_script.clone(),
    )
}

fn inline_scripts(inline: &[InlineMigration]) -> Vec<(MigrationId, String)> {
    inline
        .iter()
        .map(|migration| {
            (
                migration.file_name.migration_id(),
                migration.up_script.clone(),
            )
        })
        .collect()
}

/// The scripts of what is to be applied: the inline ones, else those of the registry.
async fn scripts(
    connection: &mut dyn Connection,
    preview: &Preview,
    inline: &[InlineMigration],
) -> Result<Vec<(MigrationId, String)>, EngineError> {
    let mut found = inline_scripts(inline);
    let statements: Vec<Statement> = preview
        .plan
        .apply
        .iter()
        .filter(|id| script_of(&found, id).is_none())
        .map(|id| migrations::definition(preview.managed.id(), id.as_str()))
        .collect();
    if statements.is_empty() {
        return Ok(found);
    }
    let replies = connection
        .exchange(&statements)
        .await
        .map_err(|error| preview.managed.problem(error))?;
    for row in replies.iter().flat_map(|reply| &reply.rows) {
        let definition = migrations::parse_definition(row)
            .map_err(|error| preview.managed.problem(error.into()))?;
        if !definition.is_intact() {
            return Err(EngineError::ChecksumMismatch(vec![definition.migration_id]));
        }
        found.push((definition.migration_id, definition.up_script));
    }
    Ok(found)
}

fn script_of<'a>(scripts: &'a [(MigrationId, String)], id: &MigrationId) -> Option<&'a str> {
    scripts
        .iter()
        .find(|(known, _)| known == id)
        .map(|(_, script)| script.as_str())
}

impl Preview {
    fn show(&self, live: &LiveRun, index: usize, scripts: &[(MigrationId, String)]) {
        let entry = |id: &MigrationId| {
            let mut migration = planned(id, &self.records);
            if let Some(script) = script_of(scripts, id) {
                let findings = match Syntax::of_engine(self.managed.engine()) {
                    Some(syntax) => check_script(script, syntax, ScriptKind::Up, Vec::new()),
                    None => check_operations(script),
                };
                migration.warnings = findings.into_iter().map(FindingNote::from).collect();
            }
            migration
        };
        let mut migrations: Vec<RunMigration> = Vec::new();
        for id in &self.plan.baseline {
            let mut migration = planned(id, &self.records);
            migration.note = Some(RunMigration::TO_BASELINE.to_owned());
            migrations.push(migration);
        }
        migrations.extend(self.plan.apply.iter().map(entry));
        for id in &self.plan.skipped {
            let mut migration = planned(id, &self.records);
            migration.status = StepStatus::Skipped;
            migration.note = Some("left out: it would run after a newer version".to_owned());
            migrations.push(migration);
        }
        let from = self.state.current_version();
        let to = self
            .plan
            .baseline
            .iter()
            .chain(&self.plan.apply)
            .filter_map(|id| {
                self.records
                    .iter()
                    .find(|record| record.migration_id == *id)
            })
            .filter_map(|record| record.version.as_ref())
            .chain(from)
            .max()
            .map(Version::to_string);
        let nothing = self.plan.is_empty();
        live.database(index, |database: &mut RunDatabase| {
            database.status = if nothing {
                RunStatus::NothingToDo
            } else {
                RunStatus::Succeeded
            };
            database.from_version = from.map(Version::to_string);
            database.to_version = to;
            database.migrations = migrations;
        });
    }
}
