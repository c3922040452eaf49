//! The migration engine: everything that changes a database goes through it, whoever asks.

mod error;
mod request;
mod view;

use std::sync::Arc;

pub use error::{EngineError, FieldError, LockHolder, ProblemNote};
pub use request::*;
pub use view::*;

use crate::script::DatabaseId;

/// A run that was accepted: it goes on by itself, whoever waits for it or does not.
#[derive(Debug)]
pub struct AcceptedRun {
    /// The run as it is now.
    pub run: Run,
}

/// The engine. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Engine {
    _inner: Arc<()>,
}

/// How a run is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it has ended.
    ToTheEnd,
    /// At most so long; then the run as far as it came.
    AtMost(std::time::Duration),
}

#[allow(clippy::todo, unused_variables)]
impl Engine {
    /// Registers a migration.
    pub async fn create(&self, caller: &Caller, new: NewMigration) -> Result<(Creation, MigrationView), EngineError> {
        todo!()
    }
    /// A registered migration with its scripts and attempts.
    pub async fn migration(&self, database: &DatabaseId, id: &str) -> Result<MigrationDetail, EngineError> {
        todo!()
    }
    /// Withdraws a migration that is not applied.
    pub async fn withdraw(&self, caller: &Caller, database: &DatabaseId, id: &str) -> Result<MigrationView, EngineError> {
        todo!()
    }
    /// Starts a run as a detached task and waits for it. With `Wait::AtMost(0)` it returns as soon as the run is validated
    /// and (for one database) locked and planned. A finished run whose script failed is `Err(EngineError::MigrationFailed)`,
    /// one that was refused is its own error, with the run object in `EngineError::InRun` when there is one.
    /// A run that has not ended in time is `Ok` with a status of `queued` or `running`.
    pub async fn run(&self, caller: &Caller, request: RunRequest, wait: Wait) -> Result<Run, EngineError> {
        todo!()
    }
    /// The same for a rollback.
    pub async fn rollback(&self, caller: &Caller, request: RollbackRequest, wait: Wait) -> Result<Run, EngineError> {
        todo!()
    }
    /// A run with its live progress.
    pub async fn run_by_id(&self, run_id: &str) -> Result<Run, EngineError> {
        todo!()
    }
    /// The latest runs, newest first.
    pub async fn runs(&self, database: Option<&DatabaseId>, limit: u32) -> Result<Vec<Run>, EngineError> {
        todo!()
    }
    /// Asks a run to end after the batch in progress; a run that has ended is given back as it is.
    pub async fn cancel(&self, caller: &Caller, run_id: &str) -> Result<Run, EngineError> {
        todo!()
    }
    /// The state of the environment's databases.
    pub async fn status(&self, environment: Option<&str>, database: Option<&DatabaseId>, detailed: bool) -> Result<Status, EngineError> {
        todo!()
    }
    /// Takes a snapshot.
    pub async fn take_snapshot(&self, caller: &Caller, request: SnapshotRequest) -> Result<SnapshotHeader, EngineError> {
        todo!()
    }
    /// Lists snapshots, newest first.
    pub async fn snapshots(&self, query: &SnapshotQuery) -> Result<Page<SnapshotHeader>, EngineError> {
        todo!()
    }
    /// One snapshot with its schema; without a database all of the environment are looked through.
    pub async fn snapshot(&self, database: Option<&DatabaseId>, snapshot_id: &str) -> Result<Snapshot, EngineError> {
        todo!()
    }
    /// Compares two states of a database's schema.
    pub async fn drift(&self, database: &DatabaseId, from: Option<&str>, to: Option<&str>) -> Result<Drift, EngineError> {
        todo!()
    }
    /// Verifies the records of a database.
    pub async fn verify(&self, caller: &Caller, request: VerifyRequest) -> Result<Verification, EngineError> {
        todo!()
    }
    /// The trail of a database.
    pub async fn history(&self, query: &HistoryQuery) -> Result<History, EngineError> {
        todo!()
    }
    /// The inventory.
    pub async fn databases(&self) -> Result<Vec<DatabaseView>, EngineError> {
        todo!()
    }
    /// One database of the inventory.
    pub async fn database(&self, id: &DatabaseId) -> Result<DatabaseView, EngineError> {
        todo!()
    }
    /// Puts a database into the inventory; true when it was not there before.
    pub async fn put_database(&self, caller: &Caller, new: NewDatabase) -> Result<(bool, DatabaseView), EngineError> {
        todo!()
    }
    /// Whether dbvc can do its work; answers within two seconds whatever is down.
    pub async fn health(&self) -> Health {
        todo!()
    }
    /// The drift timer's work: a scheduled snapshot of each database of the environment, compared with the last trusted
    /// one. Gives one line for each database, for the host's log.
    pub async fn check_drift(&self) -> Vec<String> {
        todo!()
    }
    /// The runs timer's work: adopts runs whose instance died and delivers the outbox, within `budget`. Gives one line for
    /// each thing done, for the host's log.
    pub async fn tend_runs(&self, budget: std::time::Duration) -> Vec<String> {
        todo!()
    }
}
