//! Definitions of migrations and their present state.

use crate::database::{ColumnError, Row, Statement};
use crate::script::{Checksum, DatabaseId, MigrationId, MigrationName, Version};
use crate::time::Timestamp;

use super::statements as sql;

/// The state of a migration on its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliedStatus {
    /// Applied.
    Applied,
    /// The last attempt failed, and nothing unknown remains of it.
    Failed,
    /// A script without a transaction may have been applied in part; a person decides.
    HalfApplied,
    /// It was applied and then rolled back.
    RolledBack,
    /// A script without a transaction was cut off between two batches; the next run goes on there.
    Interrupted,
}

impl AppliedStatus {
    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::HalfApplied => "half-applied",
            Self::RolledBack => "rolled-back",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A text that is no state.
#[derive(Debug)]
pub struct AppliedStatusError;

impl std::str::FromStr for AppliedStatus {
    type Err = AppliedStatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [
            Self::Applied,
            Self::Failed,
            Self::HalfApplied,
            Self::RolledBack,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or(AppliedStatusError)
    }
}

/// What is known of a migration without its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationRecord {
    /// Its id.
    pub migration_id: MigrationId,
    /// Its version; none for a repeatable one.
    pub version: Option<Version>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who wrote it.
    pub author: String,
    /// The file that it came from.
    pub file_name: Option<String>,
    /// Checksum of the registered up script.
    pub up_checksum: Checksum,
    /// Checksum of the registered down script.
    pub down_checksum: Option<Checksum>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was withdrawn.
    pub withdrawn_at: Option<Timestamp>,
    /// The state; none when it was never attempted.
    pub applied: Option<Applied>,
}

/// The state that an attempt left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The state.
    pub status: AppliedStatus,
    /// Checksum of the up script that was applied.
    pub checksum: Checksum,
    /// The attempt.
    pub execution_id: String,
    /// Its place among all attempts on this database.
    pub ordinal: i64,
    /// Who asked for it.
    pub executor: String,
    /// When.
    pub changed_at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
}

impl MigrationRecord {
    /// Whether it is one of dbvc's own.
    pub fn is_own(&self) -> bool {
        self.version.as_ref().is_some_and(Version::is_reserved)
    }

    /// Whether it is applied now.
    pub fn is_applied(&self) -> bool {
        self.applied
            .as_ref()
            .is_some_and(|applied| applied.status == AppliedStatus::Applied)
    }

    /// Whether it was applied and then rolled back.
    pub fn is_rolled_back(&self) -> bool {
        self.applied
            .as_ref()
            .is_some_and(|applied| applied.status == AppliedStatus::RolledBack)
    }

    /// The word for its state in answers.
    pub fn status_word(&self) -> &'static str {
        match self.applied.as_ref().map(|applied| applied.status) {
            None | Some(AppliedStatus::Interrupted) => "pending",
            Some(AppliedStatus::Applied) if self.is_outdated_repeatable() => "pending",
            Some(status) => status.as_str(),
        }
    }

    /// Whether it is repeatable, was applied, and has another text now.
    pub fn is_outdated_repeatable(&self) -> bool {
        self.version.is_none()
            && self.applied.as_ref().is_some_and(|applied| {
                applied.status == AppliedStatus::Applied && applied.checksum != self.up_checksum
            })
    }
}

/// Puts migrations into version order, repeatable ones last, by id.
pub fn sort_by_version(records: &mut [MigrationRecord]) {
    use std::cmp::Ordering;

    records.sort_by(|a, b| match (&a.version, &b.version) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.migration_id.cmp(&b.migration_id),
    });
}

/// A definition with its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its id.
    pub migration_id: MigrationId,
    /// Its version; none for a repeatable one.
    pub version: Option<Version>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who wrote it.
    pub author: String,
    /// The file that it came from.
    pub file_name: Option<String>,
    /// The up script.
    pub up_script: String,
    /// Its checksum as registered.
    pub up_checksum: Checksum,
    /// The down script.
    pub down_script: Option<String>,
    /// Its checksum as registered.
    pub down_checksum: Option<Checksum>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was withdrawn.
    pub withdrawn_at: Option<Timestamp>,
    /// Grows with every change.
    pub revision: u64,
}

impl Definition {
    /// A definition that is not in the registry yet; the checksums are those of the texts.
    pub fn new(
        migration_id: MigrationId,
        version: Option<Version>,
        name: &MigrationName,
        author: &str,
        up_script: String,
        down_script: Option<String>,
    ) -> Self {
        Self {
            migration_id,
            version,
            name: name.as_str().to_owned(),
            description: None,
            author: author.to_owned(),
            file_name: None,
            up_checksum: Checksum::of_text(&up_script),
            up_script,
            down_checksum: down_script.as_deref().map(Checksum::of_text),
            down_script,
            created_at: Timestamp::now(),
            withdrawn_at: None,
            revision: 1,
        }
    }

    /// Whether the texts are those that the checksums were taken of.
    pub fn is_intact(&self) -> bool {
        Checksum::of_text(&self.up_script) == self.up_checksum
            && self.down_script.as_deref().map(Checksum::of_text) == self.down_checksum
    }

    /// Adds it to the registry unless its id is there.
    pub fn insert(&self, database_id: &DatabaseId) -> Statement {
        sql::MIGRATION_INSERT.bind([
            database_id.as_str().into(),
            self.migration_id.as_str().into(),
            self.version.as_ref().map(Version::as_written).into(),
            self.version.as_ref().map(Version::key).into(),
            self.name.as_str().into(),
            self.description.as_deref().into(),
            self.author.as_str().into(),
            self.file_name.as_deref().into(),
            self.up_script.as_str().into(),
            self.up_checksum.to_string().into(),
            self.down_script.as_deref().into(),
            self.down_checksum.as_ref().map(ToString::to_string).into(),
            self.created_at.into(),
        ])
    }

    /// Adds it as it was archived, with its revision.
    pub fn restore(&self, database_id: &DatabaseId) -> Statement {
        sql::MIGRATION_RESTORE.bind([
            database_id.as_str().into(),
            self.migration_id.as_str().into(),
            self.version.as_ref().map(Version::as_written).into(),
            // A withdrawn one gives its version free; the index knows.
            self.version.as_ref().map(Version::key).into(),
            self.name.as_str().into(),
            self.description.as_deref().into(),
            self.author.as_str().into(),
            self.file_name.as_deref().into(),
            self.up_script.as_str().into(),
            self.up_checksum.to_string().into(),
            self.down_script.as_deref().into(),
            self.down_checksum.as_ref().map(ToString::to_string).into(),
            self.created_at.into(),
            self.withdrawn_at.into(),
            i64::try_from(self.revision).unwrap_or(i64::MAX).into(),
        ])
    }

    /// Puts this text in place of the registered one, and takes a withdrawn migration up again.
    pub fn replace(&self, database_id: &DatabaseId, now: Timestamp) -> Statement {
        sql::MIGRATION_REPLACE.bind([
            database_id.as_str().into(),
            self.migration_id.as_str().into(),
            self.version.as_ref().map(Version::as_written).into(),
            self.version.as_ref().map(Version::key).into(),
            self.description.as_deref().into(),
            self.author.as_str().into(),
            self.file_name.as_deref().into(),
            self.up_script.as_str().into(),
            self.up_checksum.to_string().into(),
            self.down_script.as_deref().into(),
            self.down_checksum.as_ref().map(ToString::to_string).into(),
            now.into(),
        ])
    }
}

/// All migrations of a database, withdrawn ones included, without their texts.
pub fn records(database_id: &DatabaseId) -> Statement {
    sql::MIGRATIONS_STATE.bind([database_id.as_str().into()])
}

/// A row of [`records`].
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse_record(row: &Row) -> Result<MigrationRecord, ColumnError> {
    let applied = match row.optional_parsed("status", "a state")? {
        None => None,
        Some(status) => Some(Applied {
            status,
            checksum: row.parsed("checksum", "a checksum")?,
            execution_id: row.text("execution_id")?.to_owned(),
            ordinal: row.integer("ordinal")?,
            executor: row.text("executor")?.to_owned(),
            changed_at: row.parsed("changed_at", "a time")?,
            duration_ms: row.count("duration_ms")?,
        }),
    };
    Ok(MigrationRecord {
        migration_id: row.parsed("migration_id", "a migration's id")?,
        version: row.optional_parsed("version", "a version")?,
        name: row.text("name")?.to_owned(),
        description: row.optional_text("description")?.map(str::to_owned),
        author: row.text("author")?.to_owned(),
        file_name: row.optional_text("file_name")?.map(str::to_owned),
        up_checksum: row.parsed("up_checksum", "a checksum")?,
        down_checksum: row.optional_parsed("down_checksum", "a checksum")?,
        created_at: row.parsed("created_at", "a time")?,
        withdrawn_at: row.optional_parsed("withdrawn_at", "a time")?,
        applied,
    })
}

/// One definition, withdrawn ones included.
pub fn definition(database_id: &DatabaseId, migration_id: &str) -> Statement {
    sql::MIGRATION_ONE.bind([database_id.as_str().into(), migration_id.into()])
}

/// At most `limit` definitions, withdrawn ones included, in the order of their ids after `after`.
pub fn definitions(database_id: &DatabaseId, after: &str, limit: u32) -> Statement {
    sql::MIGRATIONS_TEXTS.bind([database_id.as_str().into(), after.into(), limit.into()])
}

/// At most `limit` definitions whose present form the archive does not have; without those whose present form it has refused at
/// or after a moment.
pub fn unarchived(database_id: &DatabaseId, limit: u32, refused_before: Timestamp) -> Statement {
    sql::MIGRATIONS_UNARCHIVED.bind([
        database_id.as_str().into(),
        limit.into(),
        refused_before.into(),
    ])
}

/// Notes that the archive does not accept a revision.
pub fn mark_refused(
    database_id: &DatabaseId,
    migration_id: &str,
    revision: u64,
    at: Timestamp,
    refusal: &str,
) -> Statement {
    sql::MIGRATION_REFUSED.bind([
        database_id.as_str().into(),
        migration_id.into(),
        i64::try_from(revision).unwrap_or(i64::MAX).into(),
        at.into(),
        refusal.into(),
    ])
}

/// The definitions whose present form the archive did not accept: `migration_id`, `refusal`.
pub fn refused(database_id: &DatabaseId, limit: u32) -> Statement {
    sql::MIGRATIONS_REFUSED.bind([database_id.as_str().into(), limit.into()])
}

/// The ids of all definitions whose present form the archive does not have: `migration_id`.
pub fn unarchived_ids(database_id: &DatabaseId) -> Statement {
    sql::MIGRATIONS_UNARCHIVED_IDS.bind([database_id.as_str().into()])
}

/// Notes that the archive has a revision.
pub fn mark_archived(database_id: &DatabaseId, migration_id: &str, revision: u64) -> Statement {
    sql::MIGRATION_ARCHIVED.bind([
        database_id.as_str().into(),
        migration_id.into(),
        i64::try_from(revision).unwrap_or(i64::MAX).into(),
    ])
}

/// Has every definition archived anew.
pub fn archive_again(database_id: &DatabaseId) -> Statement {
    sql::MIGRATIONS_TO_ARCHIVE_AGAIN.bind([database_id.as_str().into()])
}

/// Withdraws a migration.
pub fn withdraw(database_id: &DatabaseId, migration_id: &MigrationId, now: Timestamp) -> Statement {
    sql::MIGRATION_WITHDRAW.bind([
        database_id.as_str().into(),
        migration_id.as_str().into(),
        now.into(),
    ])
}

/// A row with a definition.
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse_definition(row: &Row) -> Result<Definition, ColumnError> {
    Ok(Definition {
        migration_id: row.parsed("migration_id", "a migration's id")?,
        version: row.optional_parsed("version", "a version")?,
        name: row.text("name")?.to_owned(),
        description: row.optional_text("description")?.map(str::to_owned),
        author: row.text("author")?.to_owned(),
        file_name: row.optional_text("file_name")?.map(str::to_owned),
        up_script: row.text("up_script")?.to_owned(),
        up_checksum: row.parsed("up_checksum", "a checksum")?,
        down_script: row.optional_text("down_script")?.map(str::to_owned),
        down_checksum: row.optional_parsed("down_checksum", "a checksum")?,
        created_at: row.parsed("created_at", "a time")?,
        withdrawn_at: row.optional_parsed("withdrawn_at", "a time")?,
        revision: row.count("revision")?,
    })
}

/// The state that an attempt leaves a migration in.
#[derive(Debug, Clone, Copy)]
pub struct StatusChange<'a> {
    /// The migration.
    pub migration_id: &'a MigrationId,
    /// Its state from now on.
    pub status: AppliedStatus,
    /// Checksum of the up script that is applied or was tried.
    pub checksum: Checksum,
    /// The attempt; its row must be there already.
    pub execution_id: &'a str,
    /// Who asked for it.
    pub executor: &'a str,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
}

impl StatusChange<'_> {
    /// Two statements, of which exactly one changes a row.
    pub fn statements(&self, database_id: &DatabaseId) -> [Statement; 2] {
        let parameters = || {
            [
                database_id.as_str().into(),
                self.migration_id.as_str().into(),
                self.status.as_str().into(),
                self.checksum.to_string().into(),
                self.execution_id.into(),
                self.executor.into(),
                self.at.into(),
                i64::try_from(self.duration_ms).unwrap_or(i64::MAX).into(),
            ]
        };
        [
            sql::STATUS_SET.bind(parameters()),
            sql::STATUS_ADD.bind(parameters()),
        ]
    }
}

/// Replaces the checksum that is recorded as applied: a person re-registered the changed text.
pub fn accept_checksum(
    database_id: &DatabaseId,
    migration_id: &MigrationId,
    checksum: &Checksum,
) -> Statement {
    sql::STATUS_CHECKSUM.bind([
        database_id.as_str().into(),
        migration_id.as_str().into(),
        checksum.to_string().into(),
    ])
}

/// Forgets a migration's state: as if never attempted.
pub fn remove_status(database_id: &DatabaseId, migration_id: &MigrationId) -> Statement {
    sql::STATUS_REMOVE.bind([database_id.as_str().into(), migration_id.as_str().into()])
}
