//! What callers ask of the engine, whether by HTTP, by a timer or by the command line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::script::{DatabaseId, EngineKind, FileName, MigrationName, Version};

use super::view::{DatabaseType, DryRun, SnapshotType};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The caller's own claim.
    pub executor: String,
    /// What Azure says of the caller; none outside Azure.
    pub principal: Option<String>,
}

impl Caller {
    /// Dbvc itself, on a timer.
    pub fn timer() -> Self {
        Self {
            executor: "dbvc timer".to_owned(),
            principal: None,
        }
    }
}

/// How a new migration gets its version and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// Both come from the name of a file.
    File(FileName),
    /// The name is given; without a version the present time is taken.
    Given {
        /// The name.
        name: MigrationName,
        /// The version.
        version: Option<Version>,
    },
}

/// A migration to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMigration {
    /// The database.
    pub database_id: DatabaseId,
    /// Version and name.
    pub naming: Naming,
    /// Who wrote it.
    pub author: String,
    /// What it is for.
    pub description: Option<String>,
    /// The up script, verbatim.
    pub up_script: String,
    /// The down script, verbatim.
    pub down_script: Option<String>,
    /// Whether the text of a registered migration is replaced.
    pub reregister: bool,
}

/// One database or every database of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Target {
    /// One.
    One(DatabaseId),
    /// `all`.
    All(AllDatabases),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AllDatabases {
    /// `all`
    #[serde(rename = "all")]
    All,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(id) => id.fmt(f),
            Self::All(_) => f.write_str("all"),
        }
    }
}

/// What to do with pending versions below the newest applied one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutOfOrder {
    /// Refuse the run.
    #[default]
    Error,
    /// Leave them out.
    Skip,
    /// Run them.
    Allow,
}

/// A script that a dry run plans as if it were registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineMigration {
    /// Version, name and engine.
    pub file_name: FileName,
    /// The up script.
    pub up_script: String,
    /// The down script.
    pub down_script: Option<String>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRequest {
    /// The database or all.
    pub database_id: Target,
    /// The environment that the caller believes to be talking to.
    pub environment: String,
    /// The last version to apply.
    pub target: Option<Version>,
    /// What to do with late-comers.
    pub out_of_order: OutOfOrder,
    /// Everything up to this version is marked applied without running.
    pub baseline: Option<Version>,
    /// Whether it may be the first run on a database that holds objects already. Older rows of runs do not have it.
    #[serde(default)]
    pub allow_not_empty: bool,
    /// Whether it only pretends.
    pub dry_run: DryRun,
    /// Scripts that are planned as if registered; dry runs only.
    #[serde(skip)]
    pub migrations: Vec<InlineMigration>,
}

/// A rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackRequest {
    /// The migration's id.
    pub migration_id: String,
    /// The database.
    pub database_id: DatabaseId,
    /// The environment that the caller believes to be talking to.
    pub environment: String,
    /// Why.
    pub reason: Option<String>,
    /// Whether it only says what would run.
    pub dry_run: bool,
    /// Whether everything applied later is rolled back first.
    pub cascade: bool,
    /// The migration's id again, in production.
    pub confirm: Option<String>,
}

/// A snapshot to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The database.
    pub database_id: DatabaseId,
    /// The environment that the caller believes to be talking to.
    pub environment: String,
    /// Why it is taken.
    pub kind: SnapshotType,
}

/// Which snapshots to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotQuery {
    /// Only those of this database.
    pub database_id: Option<DatabaseId>,
    /// At most so many, 1 to 1000.
    pub limit: u32,
    /// Where the last page ended.
    pub continuation: Option<String>,
}

/// What to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyRequest {
    /// The database.
    pub database_id: DatabaseId,
    /// The environment that the caller believes to be talking to.
    pub environment: String,
    /// Whether to mend what can be mended without guessing.
    pub fix: bool,
    /// A person's word on a half-applied script.
    pub resolve: Option<Resolution>,
}

/// Which registries to restore from the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreRequest {
    /// Only that of this database; none is every lost one of the environment.
    pub database_id: Option<DatabaseId>,
    /// Restore what is there although the archive is not whole. Defaults to refusing.
    pub accept_damage: bool,
    /// Record migrations as applied although the database lacks objects of its last snapshot. Defaults to refusing.
    pub accept_missing: bool,
    /// The database itself is a new and empty one: its migrations are pending again. Defaults to what the trail tells.
    pub made_anew: bool,
}

/// A person's word on a half-applied script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The attempt.
    pub execution_id: String,
    /// What is true of it.
    pub applied: bool,
}

/// Which events to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The database.
    pub database_id: DatabaseId,
    /// Only those of this migration.
    pub migration_id: Option<String>,
    /// Only those of this type.
    pub kind: Option<crate::audit::EventType>,
    /// Only those at or after this moment.
    pub since: Option<crate::time::Timestamp>,
    /// At most so many, 1 to 1000.
    pub limit: u32,
    /// Where the last page ended.
    pub continuation: Option<String>,
}

/// A database for the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDatabase {
    /// Its id.
    pub database_id: DatabaseId,
    /// Tables or containers.
    pub kind: DatabaseType,
    /// Its engine.
    pub engine: EngineKind,
    /// Its environment.
    pub environment: String,
    /// The server, for people.
    pub server_name: Option<String>,
    /// The database's name on the server, for people.
    pub database_name: Option<String>,
    /// The subfolder of the migrations folder that holds its scripts; `.` is the folder itself.
    pub folder: String,
    /// A reference to its connection string; none for the home database and for embedded ones.
    pub connection: Option<crate::database::reference::ConnectionReference>,
}
