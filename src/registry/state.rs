//! Everything that planning and status need to know of a database, read in one exchange whatever the number of migrations.

use std::collections::HashMap;

use crate::database::{ColumnError, Connection, DatabaseError, Reply, Statement};
use crate::script::{DatabaseId, MigrationId, Version};

use super::lock::LockRow;
use super::migrations::{AppliedStatus, MigrationRecord};
use super::runs::OpenPlan;
use super::snapshots::SnapshotRow;
use super::{definition, executions, lock, migrations, runs, snapshots};

/// The registry's word on one database.
#[derive(Debug, Clone)]
pub struct DatabaseState {
    /// Its migrations that are not withdrawn, dbvc's own included, in version order, repeatable ones last, by name.
    pub migrations: Vec<MigrationRecord>,
    /// Its withdrawn migrations.
    pub withdrawn: Vec<MigrationRecord>,
    /// The lease row; none when nothing was ever written for this database.
    pub lock: Option<LockRow>,
    /// Plans of runs that are at work or died.
    pub open_plans: Vec<OpenPlan>,
    /// The newest snapshot.
    pub newest_snapshot: Option<SnapshotRow>,
    /// The newest snapshot that says what the schema should be.
    pub trusted_snapshot: Option<SnapshotRow>,
    /// Executions without a transaction that have not ended: id and migration.
    pub running: Vec<(String, MigrationId)>,
    /// The highest ordinal of an execution that may have changed the schema.
    pub newest_execution: Option<i64>,
    /// Whether a run applied, baselined or rolled back something here, or may have left something behind. An attempt that
    /// failed within its transaction left nothing.
    pub is_known: bool,
}

/// The statements of the read, in the order in which [`parse`] takes the answers.
pub fn statements(database_id: &DatabaseId) -> Vec<Statement> {
    vec![
        // First: a lock that was not taken or given back since makes the rest current, on whatever isolation level.
        lock::read(database_id),
        migrations::records(database_id),
        runs::open_plans(database_id),
        snapshots::newest(database_id),
        snapshots::newest_trusted(database_id),
        executions::running(database_id),
        executions::newest_ordinal(database_id),
    ]
}

/// How many answers [`parse`] takes.
pub const ANSWERS: usize = 7;

/// Puts the answers together.
///
/// # Errors
///
/// When a row is not of dbvc's making.
pub fn parse(replies: &[Reply]) -> Result<DatabaseState, ColumnError> {
    let rows = |index: usize| replies.get(index).map_or(&[][..], |reply| &reply.rows[..]);
    let (withdrawn, mut records): (Vec<_>, Vec<_>) = rows(1)
        .iter()
        .map(migrations::parse_record)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .partition(|record| record.withdrawn_at.is_some());
    migrations::sort_by_version(&mut records);
    Ok(DatabaseState {
        migrations: records,
        withdrawn,
        lock: rows(0).first().map(lock::parse).transpose()?,
        open_plans: rows(2)
            .iter()
            .map(runs::parse_plan)
            .collect::<Result<Vec<_>, _>>()?,
        newest_snapshot: rows(3).first().map(snapshots::parse).transpose()?,
        trusted_snapshot: rows(4).first().map(snapshots::parse).transpose()?,
        running: rows(5)
            .iter()
            .map(|row| {
                Ok((
                    row.text("execution_id")?.to_owned(),
                    row.parsed("migration_id", "a migration's id")?,
                ))
            })
            .collect::<Result<Vec<_>, ColumnError>>()?,
        newest_execution: rows(6)
            .first()
            .map(|row| row.optional_integer("ordinal"))
            .transpose()?
            .flatten(),
        is_known: rows(6)
            .first()
            .map(|row| row.optional_integer("known"))
            .transpose()?
            .flatten()
            .is_some_and(|known| known > 0),
    })
}

/// Reads the state; none when the database has no registry, or does not exist, yet.
///
/// # Errors
///
/// Those of the connection.
pub async fn read(
    connection: &mut dyn Connection,
    database_id: &DatabaseId,
) -> Result<Option<DatabaseState>, DatabaseError> {
    match connection.exchange(&statements(database_id)).await {
        Ok(replies) => Ok(Some(parse(&replies)?)),
        Err(DatabaseError::NoRegistry { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl DatabaseState {
    /// The state of a database that has no registry yet.
    pub fn empty() -> Self {
        Self {
            migrations: Vec::new(),
            withdrawn: Vec::new(),
            lock: None,
            open_plans: Vec::new(),
            newest_snapshot: None,
            trusted_snapshot: None,
            running: Vec::new(),
            newest_execution: None,
            is_known: false,
        }
    }

    /// The newest applied version of the team's own.
    pub fn current_version(&self) -> Option<&Version> {
        self.migrations
            .iter()
            .filter(|record| !record.is_own() && record.is_applied())
            .filter_map(|record| record.version.as_ref())
            .max()
    }

    /// The newest of dbvc's own versions that is applied, when this dbvc does not know it.
    pub fn newer_registry(&self) -> Option<&Version> {
        self.migrations
            .iter()
            .filter(|record| record.is_own() && record.is_applied())
            .filter_map(|record| record.version.as_ref())
            .find(|version| {
                !definition::OWN_VERSIONS
                    .iter()
                    .any(|own| Version::parse(own.version).is_ok_and(|known| known == **version))
            })
    }

    /// Whether the newest trusted snapshot shows the schema as dbvc's last execution left it.
    pub fn snapshot_is_current(&self) -> bool {
        match (&self.trusted_snapshot, self.newest_execution) {
            (Some(snapshot), Some(ordinal)) => snapshot.covers >= ordinal,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Migrations that a person must decide about.
    pub fn half_applied(&self) -> Vec<MigrationId> {
        self.migrations
            .iter()
            .filter(|record| {
                record
                    .applied
                    .as_ref()
                    .is_some_and(|applied| applied.status == AppliedStatus::HalfApplied)
            })
            .map(|record| record.migration_id.clone())
            .collect()
    }

    /// The migrations by id.
    pub fn by_id(&self) -> HashMap<&MigrationId, &MigrationRecord> {
        self.migrations
            .iter()
            .map(|record| (&record.migration_id, record))
            .collect()
    }

    /// One migration.
    pub fn find(&self, migration_id: &str) -> Option<&MigrationRecord> {
        self.migrations
            .iter()
            .find(|record| record.migration_id.as_str() == migration_id)
    }
}
