//! Runs, kept in the home database, and the plan of each on the database it changes.

use serde::{Deserialize, Serialize};

use crate::database::{ColumnError, Row, Statement};
use crate::script::{Checksum, DatabaseId, MigrationId};
use crate::time::Timestamp;

use super::executions::Direction;
use super::lock::FencingToken;
use super::statements as sql;

/// One step of a plan: an execution that is going to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// The id that its execution will have.
    pub execution_id: String,
    /// The migration.
    pub migration_id: MigrationId,
    /// Its version as written.
    pub version: Option<String>,
    /// Which way it goes.
    pub direction: Direction,
    /// Checksum of the script that will run.
    pub checksum: Checksum,
    /// Whether script and record will be one transaction.
    pub transactional: bool,
    /// Who asked for it.
    pub executor: String,
    /// What Azure says of the caller.
    pub principal: Option<String>,
}

/// A plan that was committed and not closed: its run is at work, or died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    /// Token of the lock under which it was made.
    pub token: FencingToken,
    /// The run.
    pub run_id: String,
    /// Its steps, in order.
    pub steps: Vec<PlannedStep>,
}

/// A run as kept in the home database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub run_id: String,
    /// `run` or `rollback`.
    pub kind: String,
    /// The database, or `all`.
    pub database_id: String,
    /// The environment.
    pub environment: String,
    /// Who asked for it.
    pub executor: String,
    /// What Azure says of the caller.
    pub principal: Option<String>,
    /// JSON text of the request.
    pub request: String,
    /// The state.
    pub status: String,
    /// The instance that works on it.
    pub owner: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// Who asked it to end early.
    pub cancel_requested_by: Option<String>,
    /// JSON text of the run object.
    pub progress: String,
}

/// Commits a database to what is going to be executed on it.
pub fn add_plan(
    database_id: &DatabaseId,
    token: FencingToken,
    run_id: &str,
    steps: &[PlannedStep],
    at: Timestamp,
) -> Statement {
    // Plain data without maps always serialises.
    let steps = serde_json::to_string(steps).unwrap_or_default();
    sql::PLAN_INSERT.bind([
        database_id.as_str().into(),
        token.into(),
        run_id.into(),
        steps.into(),
        at.into(),
    ])
}

/// Closes a plan: nothing of it is open any more.
pub fn close_plan(database_id: &DatabaseId, token: FencingToken, at: Timestamp) -> Statement {
    sql::PLAN_CLOSE.bind([database_id.as_str().into(), token.into(), at.into()])
}

/// The plans of a database that are not closed.
pub fn open_plans(database_id: &DatabaseId) -> Statement {
    sql::PLANS_OPEN.bind([database_id.as_str().into()])
}

/// A row of [`open_plans`].
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse_plan(row: &Row) -> Result<OpenPlan, ColumnError> {
    Ok(OpenPlan {
        token: FencingToken(row.integer("token")?),
        run_id: row.text("run_id")?.to_owned(),
        steps: row.json("steps", "a plan")?,
    })
}

impl RunRow {
    /// Adds the run; it counts as dead when nothing is heard of it for `lease` seconds.
    pub fn insert(&self, lease: u32, finished_at: Option<Timestamp>) -> Statement {
        sql::RUN_INSERT.bind([
            self.run_id.as_str().into(),
            self.kind.as_str().into(),
            self.database_id.as_str().into(),
            self.environment.as_str().into(),
            self.executor.as_str().into(),
            self.principal.as_deref().into(),
            self.request.as_str().into(),
            self.status.as_str().into(),
            self.owner.as_deref().into(),
            lease.into(),
            self.started_at.into(),
            finished_at.into(),
            self.progress.as_str().into(),
        ])
    }
}

/// Writes a run's progress and that its instance is alive.
pub fn write_progress(run_id: &str, owner: &str, progress: &str, lease: u32) -> Statement {
    sql::RUN_PROGRESS.bind([run_id.into(), owner.into(), progress.into(), lease.into()])
}

/// Writes that the instance that works on a run is alive.
pub fn renew(run_id: &str, owner: &str, lease: u32) -> Statement {
    sql::RUN_RENEW.bind([run_id.into(), owner.into(), lease.into()])
}

/// Ends a run that this instance works on: changes one row, or none when another instance has adopted the run.
pub fn end(run_id: &str, owner: &str, status: &str, at: Timestamp, progress: &str) -> Statement {
    sql::RUN_END.bind([
        run_id.into(),
        owner.into(),
        status.into(),
        at.into(),
        progress.into(),
    ])
}

/// Ends a run whose database was taken over, whoever worked on it.
pub fn end_of_dead(run_id: &str, status: &str, at: Timestamp, progress: &str) -> Statement {
    sql::RUN_END_OF_DEAD.bind([run_id.into(), status.into(), at.into(), progress.into()])
}

/// Takes over a run of which nothing was heard for its lease: changes one row or none.
pub fn adopt(run_id: &str, owner: &str, lease: u32) -> Statement {
    sql::RUN_ADOPT.bind([run_id.into(), owner.into(), lease.into()])
}

/// Asks a run to end early: changes one row, or none when it has ended or was asked before.
pub fn request_cancel(run_id: &str, by: &str) -> Statement {
    sql::RUN_CANCEL.bind([run_id.into(), by.into()])
}

/// One run.
pub fn one(run_id: &str) -> Statement {
    sql::RUN_ONE.bind([run_id.into()])
}

/// The latest runs of an environment, newest first.
pub fn latest(environment: &str, database_id: Option<&DatabaseId>, limit: u32) -> Statement {
    match database_id {
        None => sql::RUNS_LATEST.bind([environment.into(), limit.into()]),
        Some(id) => {
            sql::RUNS_LATEST_OF.bind([environment.into(), id.as_str().into(), limit.into()])
        }
    }
}

/// What is told of a database's latest runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentRun {
    /// The run.
    pub run_id: String,
    /// The state of the run.
    pub status: String,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// JSON text of the run object, for runs over all databases.
    pub progress: Option<String>,
}

/// The latest runs on a database, newest first, without those that found it locked. Whether a run over all databases did
/// so is in its progress.
pub fn recent(environment: &str, database_id: &DatabaseId, limit: u32) -> Statement {
    sql::RUNS_RECENT_OF.bind([
        environment.into(),
        database_id.as_str().into(),
        limit.into(),
    ])
}

/// A row of [`recent`].
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse_recent(row: &Row) -> Result<RecentRun, ColumnError> {
    Ok(RecentRun {
        run_id: row.text("run_id")?.to_owned(),
        status: row.text("status")?.to_owned(),
        finished_at: row.optional_parsed("finished_at", "a time")?,
        progress: row.optional_text("progress")?.map(str::to_owned),
    })
}

/// Runs of an environment whose instances have not been heard of for their lease, oldest first.
pub fn dead(environment: &str) -> Statement {
    sql::RUNS_DEAD.bind([environment.into()])
}

/// A row with a run.
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse(row: &Row) -> Result<RunRow, ColumnError> {
    Ok(RunRow {
        run_id: row.text("run_id")?.to_owned(),
        kind: row.text("kind")?.to_owned(),
        database_id: row.text("database_id")?.to_owned(),
        environment: row.text("environment")?.to_owned(),
        executor: row.text("executor")?.to_owned(),
        principal: row.optional_text("principal")?.map(str::to_owned),
        request: row.text("request")?.to_owned(),
        status: row.text("status")?.to_owned(),
        owner: row.optional_text("owner")?.map(str::to_owned),
        started_at: row.parsed("started_at", "a time")?,
        cancel_requested_by: row.optional_text("cancel_requested_by")?.map(str::to_owned),
        progress: row.text("progress")?.to_owned(),
    })
}
