//! The state of the environment's databases.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::database::{Access, ColumnError, DatabaseError};
use crate::registry::inventory::InventoryRow;
use crate::registry::migrations::MigrationRecord;
use crate::registry::runs::{self, RecentRun};
use crate::registry::state::DatabaseState;
use crate::script::{DatabaseId, Version};

use super::Engine;
use super::access::holder;
use super::databases::type_of;
use super::drift::drift_state;
use super::error::{EngineError, ProblemNote};
use super::view::{
    DatabaseStatus, DriftState, LastRun, MigrationState, Run, RunStatus, Status, StatusCounts,
};

/// How many of a database's runs are looked through for the last one that had the database.
const RUNS: u32 = 20;

impl Engine {
    /// The state of one database or of all of the environment, by a fixed number of queries for each.
    ///
    /// # Errors
    ///
    /// When the inventory cannot be read; a database that cannot be reached says so in its place.
    pub async fn status(
        &self,
        environment: Option<&str>,
        database: Option<&DatabaseId>,
        detailed: bool,
    ) -> Result<Status, EngineError> {
        if let Some(environment) = environment {
            self.check_environment(environment)?;
        }
        let rows = match database {
            Some(id) => vec![self.row(id).await?],
            None => self.rows_of_environment().await?,
        };
        let mut last_runs = self.last_runs(&rows).await?;
        let work = rows.into_iter().map(|row| {
            let engine = self.clone();
            let last_run = last_runs.remove(&row.database_id);
            async move { engine.status_of(row, last_run, detailed).await }
        });
        Ok(Status {
            environment: self.options().environment.clone(),
            databases: stream::iter(work)
                .buffered(self.options().max_parallel_databases.max(1))
                .collect()
                .await,
        })
    }

    async fn status_of(
        &self,
        row: InventoryRow,
        last_run: Option<LastRun>,
        detailed: bool,
    ) -> DatabaseStatus {
        let mut status = DatabaseStatus {
            database_id: row.database_id.clone(),
            engine: row.engine,
            kind: type_of(row.engine),
            current_version: None,
            counts: StatusCounts::default(),
            lock: None,
            last_run,
            drift: DriftState::default(),
            migrations: detailed.then(Vec::new),
            error: None,
        };
        let state = match self.reach(row) {
            Ok(managed) => self.read_state(&managed).await.map(|(_, state)| state),
            Err(error) => Err(error),
        };
        match state {
            Ok(state) => describe(&mut status, &state, detailed),
            Err(error) => {
                tracing::warn!(
                    database = %status.database_id,
                    error = &error as &dyn std::error::Error,
                    "a database could not be looked at"
                );
                status.error = Some(ProblemNote::from(&error));
            }
        }
        status
    }

    /// The last run of each database, read from the home database in one exchange.
    async fn last_runs(
        &self,
        rows: &[InventoryRow],
    ) -> Result<HashMap<DatabaseId, LastRun>, EngineError> {
        let home = self.home();
        let read = async {
            let mut connection = home.database.open(Access::Read).await?;
            let statements: Vec<_> = rows
                .iter()
                .map(|row| runs::recent(&self.options().environment, &row.database_id, RUNS))
                .collect();
            let replies = connection.exchange(&statements).await?;
            let mut found = HashMap::new();
            for (row, reply) in rows.iter().zip(&replies) {
                let recent = reply.rows.iter().map(runs::parse_recent);
                let recent = recent.collect::<Result<Vec<_>, ColumnError>>()?;
                let last = recent
                    .iter()
                    .find_map(|run| last_run(run, &row.database_id));
                found.extend(last.map(|last| (row.database_id.clone(), last)));
            }
            Ok(found)
        };
        match read.await {
            Ok(found) => Ok(found),
            Err(DatabaseError::Absent | DatabaseError::NoRegistry { .. }) => Ok(HashMap::new()),
            Err(error) => Err(home.problem(error)),
        }
    }
}

/// How a run went on one database; none when it had nothing to do with it, or found it locked.
fn last_run(run: &RecentRun, database: &DatabaseId) -> Option<LastRun> {
    let status = match &run.progress {
        None => serde_json::from_value(serde_json::Value::String(run.status.clone())).ok()?,
        Some(progress) => {
            let progress: Run = serde_json::from_str(progress).ok()?;
            progress
                .databases
                .iter()
                .find(|part| part.database_id == *database)?
                .status
        }
    };
    (status != RunStatus::Locked).then(|| LastRun {
        run_id: run.run_id.clone(),
        status,
        finished_at: run.finished_at,
    })
}

fn describe(status: &mut DatabaseStatus, state: &DatabaseState, detailed: bool) {
    status.current_version = state
        .current_version()
        .map(|version| version.as_written().to_owned());
    status.counts = counts(&state.migrations);
    status.lock = state.lock.as_ref().and_then(holder);
    status.drift = drift_state(state);
    if detailed {
        status.migrations = Some(state.migrations.iter().map(migration_state).collect());
    }
}

fn counts(migrations: &[MigrationRecord]) -> StatusCounts {
    let mut counts = StatusCounts::default();
    for record in migrations.iter().filter(|record| !record.is_own()) {
        match record.status_word() {
            "applied" => counts.applied += 1,
            "failed" | "half-applied" => counts.failed += 1,
            "rolled-back" => counts.rolled_back += 1,
            _ => counts.pending += 1,
        }
    }
    counts
}

fn migration_state(record: &MigrationRecord) -> MigrationState {
    let status = record.status_word();
    // Of an attempt that left nothing applied the executions tell.
    let applied = record.applied.as_ref().filter(|_| status == "applied");
    MigrationState {
        migration_id: record.migration_id.clone(),
        version: record
            .version
            .as_ref()
            .map(Version::as_written)
            .map(str::to_owned),
        name: record.name.clone(),
        status: status.to_owned(),
        checksum: record.up_checksum,
        author: record.author.clone(),
        executor: applied.map(|applied| applied.executor.clone()),
        applied_at: applied.map(|applied| applied.changed_at),
        duration_ms: applied.map(|applied| applied.duration_ms),
        has_down_script: record.down_checksum.is_some(),
    }
}
