//! What the engine answers, in the shapes of the HTTP contract; the run object is also what the registry keeps of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Event;
use crate::database::{BatchReport, ServerError};
use crate::registry::executions::ExecutionStatus;
use crate::schema::{Change, ObjectCounts, Purpose, Schema};
use crate::script::{Checksum, DatabaseId, EngineKind, Finding, MigrationId, Severity};
use crate::time::Timestamp;

use super::error::{LockHolder, ProblemNote};
use super::restore::FoundObjects;

/// A state of a run, and of one database in it. Ordered from best to worst as far as the contract orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Not begun.
    Queued,
    /// At work.
    Running,
    /// Everything that was to be done is done.
    Succeeded,
    /// Something failed.
    Failed,
    /// Another run holds the database.
    Locked,
    /// Ended on request.
    Cancelled,
    /// There was nothing to do.
    NothingToDo,
}

/// What became of one migration in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// To be done.
    Planned,
    /// At work. The contract has no word of its own for it: callers read `planned`, with the batches done so far.
    #[serde(rename(serialize = "planned"))]
    #[schemars(skip)]
    Running,
    /// Applied.
    Applied,
    /// Failed.
    Failed,
    /// Not attempted.
    Skipped,
    /// Rolled back.
    RolledBack,
    /// Ended without a result: killed, cut off or cancelled.
    Interrupted,
}

impl From<ExecutionStatus> for StepStatus {
    fn from(status: ExecutionStatus) -> Self {
        match status {
            ExecutionStatus::Running => Self::Running,
            ExecutionStatus::Applied => Self::Applied,
            ExecutionStatus::RolledBack => Self::RolledBack,
            ExecutionStatus::Failed | ExecutionStatus::HalfApplied => Self::Failed,
            ExecutionStatus::Interrupted => Self::Interrupted,
        }
    }
}

/// What kind of work a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// Applies.
    Run,
    /// Rolls back.
    Rollback,
}

/// Whether and how a run only pretends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[schemars(into = "serde_json::Value", extend("enum" = [false, true, "execute"]))]
pub enum DryRun {
    /// It does not pretend.
    #[default]
    No,
    /// Says what would run, without touching the database.
    Preview,
    /// Runs everything in one transaction and rolls it back.
    Execute,
}

impl Serialize for DryRun {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::Preview => serializer.serialize_bool(true),
            Self::Execute => serializer.serialize_str("execute"),
        }
    }
}

impl<'de> Deserialize<'de> for DryRun {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(false) => Ok(Self::No),
            serde_json::Value::Bool(true) => Ok(Self::Preview),
            serde_json::Value::String(text) if text == "execute" => Ok(Self::Execute),
            _ => Err(serde::de::Error::custom("false, true or \"execute\"")),
        }
    }
}

/// The run object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its id; a dry run's cannot be polled.
    pub run_id: String,
    /// What kind of work it does.
    pub kind: RunKind,
    /// The environment.
    pub environment: String,
    /// The database, or `all`.
    pub database_id: String,
    /// Who asked for it, by the caller's own word.
    pub executor: String,
    /// Whether it only pretends.
    pub dry_run: DryRun,
    /// The worst state of its databases.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Whether somebody asked it to end early.
    pub cancel_requested: bool,
    /// What it did on each database.
    pub databases: Vec<RunDatabase>,
}

/// What a run did on one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunDatabase {
    /// The database.
    pub database_id: DatabaseId,
    /// Its engine.
    pub engine: EngineKind,
    /// The state.
    pub status: RunStatus,
    /// The newest applied version before.
    pub from_version: Option<String>,
    /// The newest applied version after.
    pub to_version: Option<String>,
    /// The snapshot taken afterwards.
    pub snapshot_id: Option<String>,
    /// The drift found before the first script.
    pub drift_before: Option<Drift>,
    /// What stopped it, when that was no script.
    pub problem: Option<ProblemNote>,
    /// Who holds the database, when that stopped it.
    pub lock: Option<LockHolder>,
    /// The migrations, in the order in which they run.
    pub migrations: Vec<RunMigration>,
}

/// What a run did with one migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunMigration {
    /// The migration.
    pub migration_id: MigrationId,
    /// Its version; a repeatable one has none.
    pub version: Option<String>,
    /// The attempt; none when there was none.
    pub execution_id: Option<String>,
    /// What became of it.
    pub status: StepStatus,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Its batches that were sent.
    pub batches: Vec<BatchReport>,
    /// Everything the server said against it, in order.
    pub errors: Vec<ServerError>,
    /// Why it was skipped or interrupted, or what a preview found.
    pub note: Option<String>,
    /// Findings of the script check; previews only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FindingNote>,
}

impl RunMigration {
    /// The note of a migration that a run baselined.
    pub(super) const BASELINED: &str = "marked applied by the baseline; its script did not run";
    /// The note of a migration that a run would baseline.
    pub(super) const TO_BASELINE: &str = "would be marked applied without running";

    /// Whether the run marks it applied without running its script.
    pub fn is_baselined(&self) -> bool {
        matches!(
            self.note.as_deref(),
            Some(Self::BASELINED | Self::TO_BASELINE)
        )
    }
}

/// A finding of the script check as a run object keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingNote {
    /// The finding's code.
    pub code: String,
    /// How grave it is.
    #[schemars(with = "Severity")]
    pub severity: String,
    /// What was found.
    pub message: String,
    /// Line of the file.
    pub line: u32,
    /// Column of the line.
    pub column: u32,
    /// What to do.
    pub suggestion: Option<String>,
}

impl From<Finding> for FindingNote {
    fn from(finding: Finding) -> Self {
        Self {
            code: finding.code.to_owned(),
            severity: finding.severity.to_string(),
            message: finding.message,
            line: finding.line,
            column: finding.column,
            suggestion: finding.suggestion,
        }
    }
}

/// A registered migration.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationView {
    /// Its id.
    pub migration_id: MigrationId,
    /// Its version as written; a repeatable one has none.
    pub version: Option<String>,
    /// Its name.
    pub name: String,
    /// The database.
    pub database_id: DatabaseId,
    /// Who wrote it.
    pub author: String,
    /// What it is for.
    pub description: Option<String>,
    /// Checksum of the up script.
    pub checksum: Checksum,
    /// Checksum of the down script.
    pub down_checksum: Option<Checksum>,
    /// Whether it can be rolled back.
    pub has_down_script: bool,
    /// `pending`, `applied`, `failed`, `half-applied`, `rolled-back` or `withdrawn`.
    #[schemars(extend("enum" = ["pending", "applied", "failed", "half-applied", "rolled-back", "withdrawn"]))]
    pub status: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Findings of the script check.
    pub warnings: Vec<Finding>,
    /// The file that it came from.
    pub file_name: Option<String>,
}

/// What creating a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is new.
    Created,
    /// It was there with the same content.
    Unchanged,
    /// Its text was replaced.
    Reregistered,
}

/// A registered migration with its scripts and its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationDetail {
    /// The migration.
    #[serde(flatten)]
    pub migration: MigrationView,
    /// The up script, verbatim.
    pub up_script: String,
    /// The down script, verbatim.
    pub down_script: Option<String>,
    /// Every attempt, newest first.
    pub executions: Vec<ExecutionView>,
}

/// One attempt to apply a migration or to roll it back.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionView {
    /// Its id.
    pub execution_id: String,
    /// The run that it belongs to.
    pub run_id: Option<String>,
    /// `up`, `down` or `baseline`.
    #[schemars(extend("enum" = ["up", "down", "baseline"]))]
    pub direction: String,
    /// `running`, `applied`, `rolled-back`, `failed`, `interrupted` or `half-applied`.
    #[schemars(extend("enum" = ["running", "applied", "rolled-back", "failed", "interrupted", "half-applied"]))]
    pub status: String,
    /// Whether script and record were one transaction.
    pub transactional: bool,
    /// Checksum of the script that ran.
    pub checksum: String,
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
    #[schemars(extend("enum" = ["applied", "failed", null]))]
    pub resolved_as: Option<String>,
}

/// The state of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The environment.
    pub environment: String,
    /// Its databases.
    pub databases: Vec<DatabaseStatus>,
}

/// The state of one database.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// The database.
    pub database_id: DatabaseId,
    /// Its engine.
    pub engine: EngineKind,
    /// `sql` or `cosmos`.
    #[serde(rename = "type")]
    pub kind: DatabaseType,
    /// The newest applied version.
    pub current_version: Option<String>,
    /// How many migrations are in which state; dbvc's own are not counted.
    pub counts: StatusCounts,
    /// Who holds it.
    pub lock: Option<LockHolder>,
    /// The newest run on it.
    pub last_run: Option<LastRun>,
    /// What is known of drift without looking at the schema.
    pub drift: DriftState,
    /// Where trail and snapshots are archived: `cosmos`, `embedded` or `none`, which leaves them in the database alone.
    #[schemars(extend("enum" = ["cosmos", "embedded", "none"]))]
    pub archive: &'static str,
    /// Its migrations, in version order, repeatable ones last; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Vec<MigrationState>>,
    /// Why it could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ProblemNote>,
}

/// How many migrations are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusCounts {
    /// Applied.
    pub applied: usize,
    /// Pending.
    pub pending: usize,
    /// Failed or half-applied.
    pub failed: usize,
    /// Rolled back.
    pub rolled_back: usize,
}

/// The newest run on a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Its id.
    pub run_id: String,
    /// Its state.
    pub status: RunStatus,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What is known of drift from the snapshots taken so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftState {
    /// Whether the newest snapshot differs from the last trusted one; null when that cannot be said.
    pub detected: Option<bool>,
    /// When the newest snapshot was taken.
    pub checked_at: Option<Timestamp>,
}

/// The state of one migration.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationState {
    /// Its id.
    pub migration_id: MigrationId,
    /// Its version as written; a repeatable one has none.
    pub version: Option<String>,
    /// Its name.
    pub name: String,
    /// `pending`, `applied`, `failed`, `half-applied` or `rolled-back`.
    #[schemars(extend("enum" = ["pending", "applied", "failed", "half-applied", "rolled-back"]))]
    pub status: String,
    /// Checksum of the up script.
    pub checksum: Checksum,
    /// Who wrote it.
    pub author: String,
    /// Who ran it last.
    pub executor: Option<String>,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
    /// How long that took.
    pub duration_ms: Option<u64>,
    /// Whether it can be rolled back.
    pub has_down_script: bool,
}

/// Whether a database holds tables or containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseType {
    /// Tables.
    Sql,
    /// Containers.
    Cosmos,
}

/// A database of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseView {
    /// Its id.
    pub database_id: DatabaseId,
    /// `sql` or `cosmos`.
    #[serde(rename = "type")]
    pub kind: DatabaseType,
    /// Its engine.
    pub engine: EngineKind,
    /// Its environment.
    pub environment: String,
    /// The server, for people.
    pub server_name: Option<String>,
    /// The database's name on the server, for people.
    pub database_name: Option<String>,
    /// The subfolder of the migrations folder that holds its scripts.
    pub folder: String,
    /// A reference to its connection string, never the string; none for the home database.
    pub connection: Option<String>,
}

/// A snapshot without its schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotHeader {
    /// Its id.
    pub snapshot_id: String,
    /// The database.
    pub database_id: DatabaseId,
    /// Its engine: schemas of different engines cannot be compared.
    pub engine: EngineKind,
    /// Why it was taken.
    #[serde(rename = "type")]
    pub kind: SnapshotType,
    /// When.
    pub captured_at: Timestamp,
    /// By whom.
    pub captured_by: String,
    /// The run after which it was taken.
    pub run_id: Option<String>,
    /// Hash of the normalised schema.
    pub schema_hash: String,
    /// How many objects of which kind.
    pub object_counts: ObjectCounts,
    /// Size of the schema's JSON text in bytes.
    pub size_bytes: u64,
    /// In how many parts it is stored.
    pub parts: u64,
}

/// A snapshot with its schema.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The snapshot.
    #[serde(flatten)]
    pub header: SnapshotHeader,
    /// What the database held.
    pub schema: Schema,
}

/// Why a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotType {
    /// A person declares the present state to be right.
    Baseline,
    /// A person wanted one.
    Manual,
    /// Right after a run.
    PostMigration,
    /// By the timer.
    Scheduled,
}

impl SnapshotType {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Manual => "manual",
            Self::PostMigration => "post-migration",
            Self::Scheduled => "scheduled",
        }
    }
}

/// A page of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to send to get the next page; none at the end.
    pub continuation: Option<String>,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftSide {
    /// The snapshot, unless it is the live schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// Whether it is the schema as it is now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// Hash of the normalised schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<String>,
}

/// How two states of a schema differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The database.
    pub database_id: DatabaseId,
    /// Whether they differ; null when it cannot be judged.
    pub detected: Option<bool>,
    /// The older side.
    pub from: Option<DriftSide>,
    /// The newer side.
    pub to: Option<DriftSide>,
    /// Why it cannot be judged.
    pub reason: Option<String>,
    /// The differences.
    pub changes: Vec<Change>,
}

/// A script out of a drift, proposed for people to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftScript {
    /// What it is for.
    pub purpose: Purpose,
    /// A name for the migration; a version has to be put before it.
    pub suggested_name: &'static str,
    /// How many of its steps run as it stands.
    pub statements: usize,
    /// How many of its steps are commented out, because they would lose data or may fail on the rows.
    pub commented_out: usize,
    /// What it cannot do, and what should be looked at.
    pub notes: Vec<String>,
    /// The script.
    pub text: String,
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether no check failed.
    pub healthy: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One check of the integrity of a database's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "IntegrityCheck")]
pub struct Check {
    /// Its code.
    #[schemars(extend("enum" = [
        "checksums", "applied-status", "execution-history", "locks", "down-scripts", "version-order",
        "registry-schema", "registry-backup", "trail-chain", "trail-delivery", "drift",
    ]))]
    pub code: &'static str,
    /// What is checked.
    pub title: &'static str,
    /// How it ended.
    pub status: CheckStatus,
    /// What was found, and what to do.
    pub detail: String,
    /// Each thing found.
    pub items: Vec<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// Nothing found.
    Pass,
    /// Something was found and mended.
    Fixed,
    /// Something to know.
    Warn,
    /// Something is wrong.
    Fail,
}

/// A page of the trail.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The events, newest first.
    pub events: Vec<Event>,
    /// What to send to get the next page; null at the end.
    pub continuation: Option<String>,
    /// Where they were read: `cosmos`, `registry` or `embedded`.
    #[schemars(extend("enum" = ["cosmos", "registry", "embedded"]))]
    pub source: &'static str,
}

/// Whether dbvc can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The worst of the checks.
    pub status: HealthStatus,
    /// Version of dbvc.
    pub version: &'static str,
    /// The environment that it serves.
    pub environment: String,
    /// `embedded` or `azure`.
    #[schemars(extend("enum" = ["embedded", "azure"]))]
    pub mode: &'static str,
    /// The checks.
    pub checks: HealthChecks,
}

/// A degree of health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// Well.
    Healthy,
    /// Works, with something delayed.
    Degraded,
    /// Does not work.
    Unhealthy,
}

/// The checks of health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthChecks {
    /// The home database.
    pub registry: RegistryHealth,
    /// The archive.
    pub trail: TrailHealth,
    /// Whether databases are what their scripts made.
    pub drift: DriftHealth,
    /// Whether findings can be announced; only where there is a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts: Option<AlertHealth>,
}

/// What is known of drift without a look at any schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftHealth {
    /// Its degree: degraded when a database has drifted.
    pub status: HealthStatus,
    /// How many databases have; null when that cannot be read.
    pub databases: Option<u64>,
}

/// Health of announcing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertHealth {
    /// Its degree: degraded when findings could not be announced.
    pub status: HealthStatus,
    /// Of how many databases; null when that cannot be read.
    pub databases: Option<u64>,
}

/// Health of the home database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryHealth {
    /// Its degree.
    pub status: HealthStatus,
    /// How long it took to answer.
    pub latency_ms: Option<u64>,
}

/// Health of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrailHealth {
    /// Its degree.
    pub status: HealthStatus,
    /// Where the home database's trail is archived: `cosmos`, `embedded` or `none`.
    #[schemars(extend("enum" = ["cosmos", "embedded", "none"]))]
    pub archive: &'static str,
    /// Events that the archive does not have yet; 0 without an archive, null when that cannot be read.
    pub undelivered: Option<u64>,
}

/// What became of restoring a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The database.
    pub database_id: DatabaseId,
    /// What became of it.
    pub outcome: RestorationOutcome,
}

/// What became of restoring a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestorationOutcome {
    /// It is there, and nothing was touched.
    Present,
    /// The database has no archive.
    NoArchive,
    /// The archive has nothing of the database.
    NothingArchived {
        /// Where other databases stand whose histories the archive has under the same id.
        others: Vec<String>,
    },
    /// It was restored.
    Restored {
        /// Events of the trail.
        events: usize,
        /// Migrations, dbvc's own not counted.
        definitions: usize,
        /// How many of them are applied.
        applied: usize,
        /// Headers of snapshots.
        snapshots: usize,
        /// Migrations of which the trail cannot tell whether they are applied: a person decides.
        half_applied: Vec<MigrationId>,
        /// What is not as it was, because the archive is not whole.
        faults: Vec<String>,
        /// How the database compares with its last snapshot, when the archive has one.
        found: Option<FoundObjects>,
    },
}
