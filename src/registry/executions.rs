//! The history of executions: every attempt to apply or roll back a migration, and the progress of those without a
//! transaction.

use crate::database::{BatchReport, ColumnError, Row, ServerError, Statement};
use crate::script::{Checksum, DatabaseId, MigrationId};
use crate::time::Timestamp;

use super::statements as sql;

/// Which way an execution goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Applies.
    Up,
    /// Rolls back.
    Down,
    /// Marks as applied without running anything.
    Baseline,
}

impl Direction {
    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Baseline => "baseline",
        }
    }
}

impl std::str::FromStr for Direction {
    type Err = ExecutionWordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Up, Self::Down, Self::Baseline]
            .into_iter()
            .find(|direction| direction.as_str() == text)
            .ok_or(ExecutionWordError)
    }
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionStatus {
    /// Not ended: only executions without a transaction are seen so.
    Running,
    /// The up script is applied.
    Applied,
    /// The down script is applied.
    RolledBack,
    /// It failed.
    Failed,
    /// It ended without a result.
    Interrupted,
    /// It may have been applied in part.
    HalfApplied,
}

impl ExecutionStatus {
    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Applied => "applied",
            Self::RolledBack => "rolled-back",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::HalfApplied => "half-applied",
        }
    }
}

impl std::str::FromStr for ExecutionStatus {
    type Err = ExecutionWordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [
            Self::Running,
            Self::Applied,
            Self::RolledBack,
            Self::Failed,
            Self::Interrupted,
            Self::HalfApplied,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or(ExecutionWordError)
    }
}

/// A text that is no word of the history.
#[derive(Debug)]
pub struct ExecutionWordError;

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Its id.
    pub execution_id: String,
    /// The migration.
    pub migration_id: MigrationId,
    /// The run that it belongs to.
    pub run_id: Option<String>,
    /// Its place among all attempts on this database; the registry gives it.
    pub ordinal: i64,
    /// Which way it goes.
    pub direction: Direction,
    /// How it ended.
    pub status: ExecutionStatus,
    /// Whether script and record are one transaction.
    pub transactional: bool,
    /// Checksum of the script that ran.
    pub checksum: Checksum,
    /// Who asked for it.
    pub executor: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// The batches that were sent.
    pub batches: Vec<BatchReport>,
    /// What the server said against it.
    pub errors: Vec<ServerError>,
    /// What is known of an interruption.
    pub note: Option<String>,
    /// A person's word on a half-applied script.
    pub resolved_as: Option<String>,
}

fn json<T: serde::Serialize>(value: &T) -> String {
    // Plain data without maps always serialises.
    serde_json::to_string(value).unwrap_or_default()
}

fn millis(duration: Option<u64>) -> Option<i64> {
    duration.map(|duration| i64::try_from(duration).unwrap_or(i64::MAX))
}

impl Execution {
    /// Adds the attempt; its ordinal is the registry's to give.
    pub fn insert(
        &self,
        database_id: &DatabaseId,
        principal: Option<&str>,
        environment: &str,
    ) -> Statement {
        sql::EXECUTION_INSERT.bind([
            self.execution_id.as_str().into(),
            database_id.as_str().into(),
            self.migration_id.as_str().into(),
            self.run_id.as_deref().into(),
            self.direction.as_str().into(),
            self.status.as_str().into(),
            self.transactional.into(),
            self.checksum.to_string().into(),
            self.executor.as_str().into(),
            principal.into(),
            environment.into(),
            self.started_at.into(),
            self.finished_at.into(),
            millis(self.duration_ms).into(),
            json(&self.batches).into(),
            json(&self.errors).into(),
            self.note.as_deref().into(),
        ])
    }

    /// Adds the attempt as the trail tells of it, with its ordinal.
    pub fn restore(
        &self,
        database_id: &DatabaseId,
        principal: Option<&str>,
        environment: &str,
    ) -> Statement {
        sql::EXECUTION_RESTORE.bind([
            self.execution_id.as_str().into(),
            database_id.as_str().into(),
            self.migration_id.as_str().into(),
            self.run_id.as_deref().into(),
            self.ordinal.into(),
            self.direction.as_str().into(),
            self.status.as_str().into(),
            self.transactional.into(),
            self.checksum.to_string().into(),
            self.executor.as_str().into(),
            principal.into(),
            environment.into(),
            self.started_at.into(),
            self.finished_at.into(),
            millis(self.duration_ms).into(),
            json(&self.batches).into(),
            json(&self.errors).into(),
            self.note.as_deref().into(),
            self.resolved_as.as_deref().into(),
        ])
    }

    /// Ends a running attempt with what this one says.
    pub fn end(&self) -> Statement {
        sql::EXECUTION_END.bind([
            self.execution_id.as_str().into(),
            self.status.as_str().into(),
            self.finished_at.into(),
            millis(self.duration_ms).into(),
            json(&self.batches).into(),
            json(&self.errors).into(),
            self.note.as_deref().into(),
        ])
    }
}

/// Records a person's word on a half-applied attempt.
pub fn resolve(execution_id: &str, status: ExecutionStatus, word: &str) -> Statement {
    sql::EXECUTION_RESOLVE.bind([execution_id.into(), status.as_str().into(), word.into()])
}

/// One attempt.
pub fn one(database_id: &DatabaseId, execution_id: &str) -> Statement {
    sql::EXECUTION_ONE.bind([database_id.as_str().into(), execution_id.into()])
}

/// All attempts at a migration, newest first.
pub fn of_migration(database_id: &DatabaseId, migration_id: &str) -> Statement {
    sql::EXECUTIONS_OF_MIGRATION.bind([database_id.as_str().into(), migration_id.into()])
}

/// All attempts of a run on this database, in their order.
pub fn of_run(database_id: &DatabaseId, run_id: &str) -> Statement {
    sql::EXECUTIONS_OF_RUN.bind([database_id.as_str().into(), run_id.into()])
}

/// The newest attempt at each migration that was not interrupted.
pub fn latest(database_id: &DatabaseId) -> Statement {
    sql::EXECUTIONS_LATEST.bind([database_id.as_str().into()])
}

/// The newest interrupted attempts: id and migration.
pub fn interrupted(database_id: &DatabaseId, limit: u32) -> Statement {
    sql::EXECUTIONS_INTERRUPTED.bind([database_id.as_str().into(), limit.into()])
}

/// Attempts that have not ended: id and migration.
pub fn running(database_id: &DatabaseId) -> Statement {
    sql::EXECUTIONS_RUNNING.bind([database_id.as_str().into()])
}

/// The highest ordinal of a run's attempts, and whether one of them changed the database or may have: `ordinal` and `known`,
/// both NULL when there is none.
pub fn newest_ordinal(database_id: &DatabaseId) -> Statement {
    sql::EXECUTION_NEWEST_ORDINAL.bind([database_id.as_str().into()])
}

/// A row with an attempt.
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse(row: &Row) -> Result<Execution, ColumnError> {
    Ok(Execution {
        execution_id: row.text("execution_id")?.to_owned(),
        migration_id: row.parsed("migration_id", "a migration's id")?,
        run_id: row.optional_text("run_id")?.map(str::to_owned),
        ordinal: row.integer("ordinal")?,
        direction: row.parsed("direction", "a direction")?,
        status: row.parsed("status", "a state")?,
        transactional: row.flag("transactional")?,
        checksum: row.parsed("checksum", "a checksum")?,
        executor: row.text("executor")?.to_owned(),
        started_at: row.parsed("started_at", "a time")?,
        finished_at: row.optional_parsed("finished_at", "a time")?,
        duration_ms: row
            .optional_integer("duration_ms")?
            .and_then(|duration| u64::try_from(duration).ok()),
        batches: row.json("batches", "a list of batches")?,
        errors: row.json("errors", "a list of errors")?,
        note: row.optional_text("note")?.map(str::to_owned),
        resolved_as: row.optional_text("resolved_as")?.map(str::to_owned),
    })
}

/// How far a batch of a script without a transaction came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchProgress {
    /// Number of the batch, from 1.
    pub index: u32,
    /// Hash of its text.
    pub sha256: String,
    /// How often it is to be sent.
    pub rounds: u32,
    /// How often it was about to be sent.
    pub begun: u32,
    /// How often the server said that it was done.
    pub ended: u32,
    /// Whether the server refused the round that was begun last.
    pub failed: bool,
    /// Whether that round is known to have left nothing behind.
    pub left_nothing: bool,
}

impl BatchProgress {
    /// Writes that the first round is about to be sent; `begun` and `ended` are those of this value.
    pub fn begin(&self, execution_id: &str) -> Statement {
        sql::BATCH_BEGIN.bind([
            execution_id.into(),
            self.index.into(),
            self.sha256.as_str().into(),
            self.rounds.into(),
            self.begun.into(),
            self.ended.into(),
        ])
    }

    /// Writes how many rounds have begun and ended.
    pub fn advance(&self, execution_id: &str) -> Statement {
        sql::BATCH_ROUND.bind([
            execution_id.into(),
            self.index.into(),
            self.begun.into(),
            self.ended.into(),
        ])
    }

    /// Writes that the server refused the round begun last.
    pub fn fail(&self, execution_id: &str) -> Statement {
        sql::BATCH_FAIL.bind([
            execution_id.into(),
            self.index.into(),
            self.left_nothing.into(),
        ])
    }
}

/// The progress of an execution without a transaction, batch by batch.
pub fn progress(execution_id: &str) -> Statement {
    sql::BATCHES_OF_EXECUTION.bind([execution_id.into()])
}

/// Takes over the progress of an earlier attempt up to, but without, the batch `before`.
pub fn inherit_progress(execution_id: &str, from: &str, before: u32) -> Statement {
    sql::BATCHES_INHERIT.bind([execution_id.into(), from.into(), before.into()])
}

/// A row of [`progress`].
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse_progress(row: &Row) -> Result<BatchProgress, ColumnError> {
    let number = |column: &str| -> Result<u32, ColumnError> {
        Ok(u32::try_from(row.count(column)?).unwrap_or(u32::MAX))
    };
    Ok(BatchProgress {
        index: number("batch_index")?,
        sha256: row.text("sha256")?.to_owned(),
        rounds: number("rounds")?,
        begun: number("rounds_begun")?,
        ended: number("rounds_ended")?,
        failed: row.flag("failed")?,
        left_nothing: row.flag("left_nothing")?,
    })
}
