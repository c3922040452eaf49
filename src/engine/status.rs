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
            archive: self.archive_word(row.engine),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::Shop;
    use crate::engine::{Caller, NewDatabase};
    use crate::script::EngineKind;

    async fn status(shop: &Shop, detailed: bool) -> DatabaseStatus {
        let mut status = shop
            .engine
            .status(Some("dev"), None, detailed)
            .await
            .unwrap();
        assert_eq!(status.databases.len(), 1);
        status.databases.remove(0)
    }

    #[tokio::test]
    async fn a_machine_on_which_nothing_was_done_has_an_empty_home_database() {
        let shop = Shop::new();
        let found = status(&shop, true).await;
        assert_eq!(found.counts, StatusCounts::default());
        assert_eq!(found.migrations, Some(Vec::new()));
        assert!(found.error.is_none() && found.lock.is_none() && found.last_run.is_none());
        assert!(shop.is_empty());
        let other = shop.engine.status(Some("prod"), None, false).await;
        assert!(matches!(other, Err(EngineError::WrongEnvironment { .. })));
    }

    #[tokio::test]
    async fn migrations_are_counted_once_each_and_dbvcs_own_are_listed_only() {
        let shop = Shop::at_work().await;
        shop.create("V103__more.sqlite.sql", "SELECT 1;", None)
            .await;
        let found = status(&shop, true).await;
        assert_eq!(found.current_version.as_deref(), Some("102"));
        assert_eq!(
            found.counts,
            StatusCounts {
                applied: 2,
                pending: 1,
                failed: 0,
                rolled_back: 0
            }
        );
        let last = found.last_run.unwrap();
        assert_eq!(last.status, RunStatus::Succeeded);
        assert!(last.finished_at.is_some());
        assert_eq!(found.drift.detected, Some(false));
        let listed: Vec<_> = found
            .migrations
            .unwrap()
            .into_iter()
            .map(|migration| {
                (
                    migration.migration_id.to_string(),
                    migration.status,
                    migration.applied_at.is_some() && migration.executor.is_some(),
                    migration.has_down_script,
                )
            })
            .collect();
        let row = |id: &str, status: &str, applied, down| {
            (id.to_owned(), status.to_owned(), applied, down)
        };
        assert_eq!(
            listed,
            [
                row("V100__version_control_schema", "applied", true, false),
                row("V101__orders", "applied", true, true),
                row("V102__customers", "applied", true, true),
                row("V103__more", "pending", false, false),
            ]
        );
        assert!(status(&shop, false).await.migrations.is_none());
        shop.engine.settle().await;
    }

    #[tokio::test]
    async fn half_applied_counts_as_failed() {
        let shop = Shop::at_work().await;
        shop.by_hand(
            "UPDATE migration_applied_status SET status = 'half-applied' WHERE migration_id = 'V102__customers'",
        );
        let found = status(&shop, true).await;
        assert_eq!((found.counts.applied, found.counts.failed), (1, 1));
        assert_eq!(found.current_version.as_deref(), Some("101"));
        let last = &found.migrations.unwrap()[2];
        assert_eq!(last.status, "half-applied");
        assert_eq!((last.applied_at, last.duration_ms), (None, None));
    }

    #[tokio::test]
    async fn a_lock_shows_until_it_expires() {
        let shop = Shop::at_work().await;
        shop.hold_lock(60);
        assert_eq!(status(&shop, false).await.lock.unwrap().owner, "another");
        shop.hold_lock(-1);
        assert!(status(&shop, false).await.lock.is_none());
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_reached_says_so_in_its_place() {
        let shop = Shop::at_work().await;
        let new = NewDatabase {
            database_id: DatabaseId::parse("broken").unwrap(),
            kind: type_of(EngineKind::Sqlite),
            engine: EngineKind::Sqlite,
            environment: "dev".to_owned(),
            server_name: None,
            database_name: None,
            folder: "broken".to_owned(),
            connection: None,
        };
        let caller: Caller = Shop::caller();
        shop.engine.put_database(&caller, new).await.unwrap();
        shop.engine.settle().await;
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(shop.file(&format!("broken.sqlite{end}")));
        }
        std::fs::write(
            shop.file("broken.sqlite"),
            "no database, but long enough to look like one",
        )
        .unwrap();
        let found = shop.engine.status(None, None, false).await.unwrap();
        let [broken, home] = &found.databases[..] else {
            panic!("{found:?}");
        };
        assert_eq!(broken.error.as_ref().unwrap().code, "unavailable");
        assert_eq!(broken.counts, StatusCounts::default());
        assert!(home.error.is_none());
        assert_eq!(home.counts.applied, 2);
    }

    #[test]
    fn of_a_run_over_all_databases_each_has_its_own_end() {
        let run = |progress: Option<serde_json::Value>, status: &str| RecentRun {
            run_id: "r".to_owned(),
            status: status.to_owned(),
            finished_at: None,
            progress: progress.map(|progress| progress.to_string()),
        };
        let database = |id: &str, status: &str| {
            serde_json::json!({"databaseId": id, "engine": "sqlite", "status": status, "fromVersion": null,
                "toVersion": null, "snapshotId": null, "driftBefore": null, "problem": null, "lock": null,
                "migrations": []})
        };
        let whole = serde_json::json!({"runId": "r", "kind": "run", "environment": "dev", "databaseId": "all",
            "executor": "a", "dryRun": false, "status": "failed", "startedAt": "2025-11-27T14:30:00.000Z",
            "finishedAt": null, "durationMs": null, "cancelRequested": false,
            "databases": [database("shop", "succeeded"), database("other", "locked")]});
        let of = |id: &str| {
            last_run(
                &run(Some(whole.clone()), "failed"),
                &DatabaseId::parse(id).unwrap(),
            )
            .map(|last| last.status)
        };
        assert_eq!(of("shop"), Some(RunStatus::Succeeded));
        assert_eq!(of("other"), None);
        assert_eq!(of("third"), None);
        let single = last_run(&run(None, "nothing-to-do"), &Shop::id());
        assert_eq!(single.unwrap().status, RunStatus::NothingToDo);
    }
}
