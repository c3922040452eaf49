//! Why the engine did not do what it was asked: one variant for each code of the HTTP contract that can arise here.

use schemars::JsonSchema;
use serde::Serialize;

use crate::audit::ArchiveError;
use crate::database::{DatabaseError, RegistrySchema, TakenName};
use crate::script::{DatabaseId, MigrationId};
use crate::time::Timestamp;

use super::first_run::NotEmpty;
use super::restore::LostRegistry;
use super::view::Run;

/// Who holds a database, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockHolder {
    /// The instance that holds the lock.
    pub owner: String,
    /// When it took it.
    pub acquired_at: Timestamp,
    /// When the lock is free again, should the holder be dead.
    pub expires_at: Timestamp,
}

/// A field of a request that the engine found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// The field as the request names it.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl FieldError {
    /// A wrong field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Fields that are wrong in a way only the engine can see.
    #[error("the request is not valid: {}", join(.0))]
    Invalid(Vec<FieldError>),
    /// Another environment is named, or a database of one.
    #[error(
        "this app serves the environment {serves}, not {asked}; call the app of that environment, or correct the request"
    )]
    WrongEnvironment {
        /// What the request names.
        asked: String,
        /// What this app serves.
        serves: String,
    },
    /// The inventory has no such database.
    #[error("there is no database {0} in the inventory; GET databases lists them")]
    UnknownDatabase(String),
    /// No migration of this id is registered.
    #[error(
        "no migration {migration} is registered for {database}; GET migrations/status?detailed=true lists them"
    )]
    UnknownMigration {
        /// The database.
        database: DatabaseId,
        /// The id asked for.
        migration: String,
    },
    /// No such run.
    #[error("there is no run {0}; GET runs lists the latest")]
    UnknownRun(String),
    /// No such snapshot.
    #[error("there is no snapshot {0}; GET snapshots lists them")]
    UnknownSnapshot(String),
    /// A migration that is not applied has other content.
    #[error(
        "{0} is already registered with another text; send reregister: true to replace it, or choose another version"
    )]
    AlreadyRegistered(MigrationId),
    /// Another migration has the version.
    #[error(
        "version {version} is already taken by {holder}; choose another version, or withdraw that migration"
    )]
    DuplicateVersion {
        /// The version.
        version: String,
        /// The migration that has it.
        holder: MigrationId,
    },
    /// Versions 100 and 100.x.
    #[error("version {0} is reserved: 100 and 100.x are dbvc's own; choose another version")]
    ReservedVersion(String),
    /// Dbvc's own migration was named.
    #[error(
        "{0} is dbvc's own and can be neither changed, withdrawn nor rolled back; leave it as it is"
    )]
    OwnMigration(MigrationId),
    /// The content of a snapshot is not what was captured.
    #[error(
        "snapshot {snapshot} cannot be used: {problem}; compare with another one, or capture a new baseline"
    )]
    SnapshotDamaged {
        /// The snapshot.
        snapshot: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Another archive than the one of the settings has the content of a snapshot.
    #[error(
        "the content of snapshot {0} is in another archive, where an earlier dbvc or other settings put it; capture a new \
         baseline, or let a dbvc that has that archive change something here, which takes the content back"
    )]
    SnapshotElsewhere(String),
    /// A script was changed after it was applied.
    #[error("{}", checksum_text(.0))]
    ChecksumMismatch(Vec<MigrationId>),
    /// The migration is not applied.
    #[error(
        "{0} is not applied, so there is nothing to roll back; GET migrations/status?detailed=true shows what is"
    )]
    NotApplied(MigrationId),
    /// Others were applied later.
    #[error("{migration} is not the newest applied migration; roll back {} first, or send cascade: true", list(.later))]
    NotLatest {
        /// The migration asked for.
        migration: MigrationId,
        /// Those applied after it, newest first.
        later: Vec<MigrationId>,
    },
    /// No down script.
    #[error("{} without a down script; register one with reregister: true, or write a new migration that undoes it", subject(.0))]
    NoDownScript(Vec<MigrationId>),
    /// Pending versions below the newest applied one.
    #[error("{} would run after a newer version; send outOfOrder: \"allow\" to run or \"skip\" to leave out, or give a higher version", list(.0))]
    OutOfOrder(Vec<MigrationId>),
    /// No script for the database's engine.
    #[error("{file} is no script for {engine}; a script for it is named {expected}")]
    MissingVariant {
        /// The file.
        file: String,
        /// The engine of the database.
        engine: String,
        /// What the file should be called.
        expected: String,
    },
    /// A script without a transaction stopped half way.
    #[error("{} may have been applied in part; look at the database, then say by POST integrity/verify with resolve what is true; a rollback on Cosmos DB goes on when it is asked for again", list(.0))]
    HalfApplied(Vec<MigrationId>),
    /// A script cannot be rolled back as a trial needs.
    #[error("{} cannot run in a transaction, so it cannot be tried and rolled back; use dryRun: true", list(.0))]
    NotTransactional(Vec<MigrationId>),
    /// A script changes containers, and the database is reached with the app's identity.
    #[error("{} changes containers, which Cosmos DB allows nobody without the account's key; refer to a connection string with a key by env: or keyvault: in the inventory", list(.0))]
    NeedsKey(Vec<MigrationId>),
    /// An applied migration cannot be withdrawn.
    #[error("{0} is applied and cannot be withdrawn; roll it back first")]
    Protected(MigrationId),
    /// The database was changed by hand, and `DBVC_ON_DRIFT` is `refuse`.
    #[error(
        "the database differs from its last trusted snapshot in {changes} objects; look at GET drift, then capture a baseline or undo the change"
    )]
    Drifted {
        /// How many objects differ.
        changes: usize,
    },
    /// A script was asked for out of a drift that cannot be judged.
    #[error("there is no script, because drift cannot be judged: {0}")]
    DriftNotJudged(String),
    /// The first run on a database that holds objects already. What to do next is in [`EngineError::remedy`].
    #[error("{0}")]
    NotEmpty(Box<NotEmpty>),
    /// Another run holds the database.
    #[error("another run holds {database}; try again later")]
    Locked {
        /// The database.
        database: DatabaseId,
        /// Who holds it, when that can be read.
        holder: Option<LockHolder>,
    },
    /// A production rollback without its confirmation.
    #[error("a rollback in production needs confirm, equal to the migration's id {0}")]
    ConfirmationRequired(MigrationId),
    /// Objects of the application bear the names of dbvc's own tables.
    #[error(
        "{database} has objects with names that dbvc needs for its own tables: {}; {}",
        names(.taken), remedy(.schema.as_ref())
    )]
    NamesTaken {
        /// The database.
        database: DatabaseId,
        /// The objects.
        taken: Vec<TakenName>,
        /// The schema in which dbvc would make its tables; none on SQLite.
        schema: Option<RegistrySchema>,
    },
    /// dbvc's own tables are in another schema than `DBVC_SCHEMA` says.
    #[error(
        "dbvc's own tables in {database} are in the schema {found}, but DBVC_SCHEMA is {configured}; set DBVC_SCHEMA to {found}"
    )]
    RegistryInSchema {
        /// The database.
        database: DatabaseId,
        /// The schema with the tables.
        found: String,
        /// What the setting says.
        configured: RegistrySchema,
    },
    /// A part of dbvc's own tables is missing.
    #[error(
        "a part of dbvc's own tables is missing from {database}: {}; put it back, or restore the database from a backup",
        missing.join("; ")
    )]
    RegistryDamaged {
        /// The database.
        database: DatabaseId,
        /// One sentence for each missing table and column.
        missing: Vec<String>,
    },
    /// The database refused a statement of dbvc, and would refuse it again.
    #[error(
        "{database} refused a statement of dbvc while {phase}: {}{message}; remove the cause, such as a missing permission, then try again",
        number.map_or_else(String::new, |number| format!("error {number}, "))
    )]
    DatabaseRefused {
        /// The database.
        database: DatabaseId,
        /// What dbvc was doing.
        phase: &'static str,
        /// The server's error number.
        number: Option<i64>,
        /// The server's words.
        message: String,
    },
    /// A database cannot be used now.
    #[error("{database} cannot be used at the moment; try again later")]
    Unavailable {
        /// The database.
        database: DatabaseId,
        /// What the driver said: for the log, never for callers.
        #[source]
        source: Option<DatabaseError>,
    },
    /// The account of a Cosmos DB database has no such database.
    #[error(
        "the Cosmos DB account of {database} has no database {name}; make it, or correct the inventory"
    )]
    NoSuchDatabase {
        /// The database.
        database: DatabaseId,
        /// Its name in the account.
        name: String,
    },
    /// A newer dbvc has written the registry.
    #[error(
        "the registry of {database} was written by a newer dbvc (version {found}); deploy that dbvc"
    )]
    RegistryNewer {
        /// The database.
        database: DatabaseId,
        /// The newest of dbvc's own versions found there.
        found: String,
    },
    /// The registry of this very database is gone, and the archive has its trail.
    #[error("{0}")]
    RegistryLost(Box<LostRegistry>),
    /// The database does not hold what the trail says was applied to it.
    #[error("{0}")]
    NotAsRecorded(Box<LostRegistry>),
    /// The archive has another history of this database.
    #[error(
        "the archive has another history of {database} after event {after}, so nothing is delivered there; verifying integrity \
         names the remedy"
    )]
    HistoryParted {
        /// The database.
        database: DatabaseId,
        /// The number of the last event that both have.
        after: u64,
    },
    /// What the archive has of a database is not whole.
    #[error(
        "what the archive has of {database} is not whole: {}; find out why first, then restore what is there by --accept-damage",
        faults.join("; ")
    )]
    ArchiveDamaged {
        /// The database.
        database: DatabaseId,
        /// What is wrong.
        faults: Vec<String>,
    },
    /// The archive cannot be used now.
    #[error("the archive of events and snapshots cannot be used at the moment; try again later")]
    Archive(#[from] ArchiveError),
    /// The run ended with a failed script.
    #[error("{}", failure_text(.0))]
    MigrationFailed(Box<Run>),
    /// A problem of a run that did begin, with the run as it stands.
    #[error("{problem}")]
    InRun {
        /// What stopped it.
        #[source]
        problem: Box<EngineError>,
        /// The run.
        run: Box<Run>,
    },
}

fn join(fields: &[FieldError]) -> String {
    let parts: Vec<String> = fields
        .iter()
        .map(|field| format!("{}: {}", field.field, field.message))
        .collect();
    parts.join("; ")
}

/// At most ten names, and how many more there are.
fn list(ids: &[MigrationId]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = ids.iter().take(SHOWN).map(ToString::to_string).collect();
    if ids.len() > SHOWN {
        names.push(format!("{} more", ids.len() - SHOWN));
    }
    names.join(", ")
}

/// The objects that are in the way, all of them: there are at most as many as dbvc has tables and indexes.
pub(super) fn names(taken: &[TakenName]) -> String {
    let names: Vec<String> = taken.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn remedy(schema: Option<&RegistrySchema>) -> String {
    match schema {
        // Only SQL Server has schemas.
        None => "rename them".to_owned(),
        Some(schema) => {
            let other = if schema.name().eq_ignore_ascii_case("dbvc") {
                "dbvc_registry"
            } else {
                "dbvc"
            };
            format!("set DBVC_SCHEMA to another schema, for example {other}")
        }
    }
}

fn subject(ids: &[MigrationId]) -> String {
    if ids.len() == 1 {
        format!("{} was registered", list(ids))
    } else {
        format!("{} were registered", list(ids))
    }
}

fn checksum_text(ids: &[MigrationId]) -> String {
    format!(
        "the script of {} was changed after it was applied; restore the text that was applied, or send it with \
         reregister: true to record the change",
        list(ids)
    )
}

fn failure_text(run: &Run) -> String {
    let first = run.databases.iter().find_map(|database| {
        database.migrations.iter().find_map(|migration| {
            migration
                .errors
                .first()
                .map(|error| (database, migration, error))
        })
    });
    match first {
        Some((database, migration, error)) => format!(
            "{} failed on {}{}: {}; mend its script, send it with reregister: true, and run again",
            migration.migration_id,
            database.database_id,
            error
                .line
                .map_or_else(String::new, |line| format!(" at line {line}")),
            error.message
        ),
        None => "the run failed; its databases say why".to_owned(),
    }
}

/// The way by which a caller came: what to do next is said in its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The HTTP API.
    Http,
    /// The options of `dbvc migrate`.
    CommandLine,
}

impl EngineError {
    /// What to do next, for errors whose own text does not say it because it differs by door.
    pub fn remedy(&self, door: Door) -> Option<String> {
        let not_empty = match self {
            Self::NotEmpty(not_empty) => not_empty,
            Self::InRun { problem, .. } => return problem.remedy(door),
            _ => return None,
        };
        let known = not_empty.other_ids();
        Some(match (door, known.is_empty()) {
            (Door::Http, true) => {
                "send baseline with the version up to which your scripts are in effect there, or allowNotEmpty: true to \
                 run all of them on what is there"
                    .to_owned()
            }
            (Door::CommandLine, true) => {
                "run it with --baseline VERSION, the version up to which your scripts are in effect there, or with \
                 --allow-not-empty to run all of them on what is there"
                    .to_owned()
            }
            (Door::Http, false) => format!(
                "set DBVC_DATABASE_ID to {known}, or correct the inventory; allowNotEmpty: true gives the database a second id"
            ),
            (Door::CommandLine, false) => format!(
                "set DBVC_DATABASE_ID to {known}, or correct the inventory; --allow-not-empty gives the database a second id"
            ),
        })
    }

    /// What happened, and what to do next in the words of the door.
    pub fn detail(&self, door: Door) -> String {
        match self.remedy(door) {
            Some(remedy) => format!("{self}; {remedy}"),
            None => self.to_string(),
        }
    }

    /// The code of the HTTP contract.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid-request",
            Self::WrongEnvironment { .. } => "wrong-environment",
            Self::UnknownDatabase(_) => "unknown-database",
            Self::UnknownMigration { .. } => "unknown-migration",
            Self::UnknownRun(_) => "unknown-run",
            Self::UnknownSnapshot(_) => "unknown-snapshot",
            Self::AlreadyRegistered(_) => "already-registered",
            Self::DuplicateVersion { .. } => "duplicate-version",
            Self::ReservedVersion(_) => "reserved-version",
            Self::OwnMigration(_) | Self::Protected(_) => "protected",
            Self::ChecksumMismatch(_) => "checksum-mismatch",
            Self::NotApplied(_) => "not-applied",
            Self::NotLatest { .. } => "not-latest",
            Self::NoDownScript(_) => "no-down-script",
            Self::OutOfOrder(_) => "out-of-order",
            Self::MissingVariant { .. } => "missing-variant",
            Self::HalfApplied(_) => "half-applied",
            Self::NotTransactional(_) => "not-transactional",
            Self::NeedsKey(_) => "needs-key",
            Self::Drifted { .. } => "drifted",
            Self::DriftNotJudged(_) | Self::SnapshotElsewhere(_) => "drift-not-judged",
            Self::NotEmpty(_) => "not-empty",
            Self::Locked { .. } => "locked",
            Self::ConfirmationRequired(_) => "confirmation-required",
            Self::Unavailable { .. }
            | Self::NoSuchDatabase { .. }
            | Self::Archive(_)
            | Self::SnapshotDamaged { .. } => "unavailable",
            Self::NamesTaken { .. }
            | Self::DatabaseRefused { .. }
            | Self::RegistryDamaged { .. } => "database-refused",
            Self::RegistryInSchema { .. } => "misconfigured",
            Self::RegistryNewer { .. } => "registry-newer",
            Self::RegistryLost(_) | Self::NotAsRecorded(_) | Self::ArchiveDamaged { .. } => {
                "registry-lost"
            }
            Self::HistoryParted { .. } => "unavailable",
            Self::MigrationFailed(_) => "migration-failed",
            Self::InRun { problem, .. } => problem.code(),
        }
    }
}

/// A problem as it stands in a run object: code and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemNote {
    /// The code of the HTTP contract.
    pub code: String,
    /// What happened, and what to do next.
    pub detail: String,
}

impl From<&EngineError> for ProblemNote {
    fn from(error: &EngineError) -> Self {
        Self {
            code: error.code().to_owned(),
            // Run objects are read through the HTTP API.
            detail: error.detail(Door::Http),
        }
    }
}
