//! Headers of snapshots, and the content of those that the archive does not have yet.

use crate::database::{ColumnError, Row, Statement};
use crate::script::{DatabaseId, EngineKind};
use crate::time::Timestamp;

use super::statements as sql;

/// The header of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Its id.
    pub snapshot_id: String,
    /// The database.
    pub database_id: DatabaseId,
    /// `baseline`, `manual`, `post-migration` or `scheduled`.
    pub kind: String,
    /// When.
    pub captured_at: Timestamp,
    /// By whom.
    pub captured_by: String,
    /// The run after which it was taken.
    pub run_id: Option<String>,
    /// Hash of the normalised schema.
    pub schema_hash: String,
    /// Hash of the content as stored, which no later rule of normalising changes.
    pub content_hash: String,
    /// JSON text of the counts.
    pub object_counts: String,
    /// Size of the schema's JSON text in bytes.
    pub size_bytes: u64,
    /// In how many parts it is stored.
    pub parts: u64,
    /// The number of the trail's newest event when it was taken: executions with a higher ordinal are not in it.
    pub covers: i64,
    /// When the archive got it.
    pub archived_at: Option<Timestamp>,
    /// The engine of the database.
    pub engine: EngineKind,
    /// When it is dropped, and no longer listed; none is never.
    pub expires_at: Option<Timestamp>,
}

impl SnapshotRow {
    /// Adds the header; what it covers is the registry's to give.
    pub fn insert(&self) -> Statement {
        sql::SNAPSHOT_INSERT.bind([
            self.snapshot_id.as_str().into(),
            self.database_id.as_str().into(),
            self.kind.as_str().into(),
            self.captured_at.into(),
            self.captured_by.as_str().into(),
            self.run_id.as_deref().into(),
            self.engine.as_str().into(),
            self.schema_hash.as_str().into(),
            self.content_hash.as_str().into(),
            self.object_counts.as_str().into(),
            i64::try_from(self.size_bytes).unwrap_or(i64::MAX).into(),
            i64::try_from(self.parts).unwrap_or(i64::MAX).into(),
            self.expires_at.into(),
        ])
    }
}

impl SnapshotRow {
    /// Adds the header of a snapshot that the archive has, with what it covers.
    pub fn restore(&self) -> Statement {
        sql::SNAPSHOT_RESTORE.bind([
            self.snapshot_id.as_str().into(),
            self.database_id.as_str().into(),
            self.kind.as_str().into(),
            self.captured_at.into(),
            self.captured_by.as_str().into(),
            self.run_id.as_deref().into(),
            self.engine.as_str().into(),
            self.schema_hash.as_str().into(),
            self.content_hash.as_str().into(),
            self.object_counts.as_str().into(),
            i64::try_from(self.size_bytes).unwrap_or(i64::MAX).into(),
            i64::try_from(self.parts).unwrap_or(i64::MAX).into(),
            self.expires_at.into(),
            self.covers.into(),
            self.archived_at.into(),
        ])
    }
}

/// Stages a part until the archive has it.
pub fn stage_part(snapshot_id: &str, part: u32, content: &str) -> Statement {
    sql::SNAPSHOT_PART_INSERT.bind([snapshot_id.into(), part.into(), content.into()])
}

/// The newest snapshot.
pub fn newest(database_id: &DatabaseId) -> Statement {
    sql::SNAPSHOT_NEWEST.bind([database_id.as_str().into(), 1_u32.into()])
}

/// The newest snapshot that says what the schema should be.
pub fn newest_trusted(database_id: &DatabaseId) -> Statement {
    sql::SNAPSHOT_NEWEST_TRUSTED.bind([database_id.as_str().into(), 1_u32.into()])
}

/// One header.
pub fn one(database_id: &DatabaseId, snapshot_id: &str) -> Statement {
    sql::SNAPSHOT_ONE.bind([database_id.as_str().into(), snapshot_id.into()])
}

/// At most `limit` headers before a moment and, at that moment, before an id; newest first.
pub fn page(database_id: &DatabaseId, before: Timestamp, before_id: &str, limit: u32) -> Statement {
    sql::SNAPSHOTS_PAGE.bind([
        database_id.as_str().into(),
        before.into(),
        before_id.into(),
        limit.into(),
    ])
}

/// How many snapshots since the event of this number show another schema than that of `hash`: `snapshots`.
pub fn others_since(database_id: &DatabaseId, sequence: u64, hash: &str) -> Statement {
    sql::SNAPSHOTS_OTHER_SINCE.bind([
        database_id.as_str().into(),
        i64::try_from(sequence).unwrap_or(i64::MAX).into(),
        hash.into(),
    ])
}

/// How many databases with records in this registry have drifted, as far as their snapshots tell: `databases`.
pub fn count_drifted() -> Statement {
    sql::SNAPSHOTS_DRIFTED_COUNT.bind([])
}

/// Headers of snapshots that the archive does not have, oldest first; without those that it has refused at or after a moment.
pub fn unarchived(database_id: &DatabaseId, limit: u32, refused_before: Timestamp) -> Statement {
    sql::SNAPSHOTS_UNARCHIVED.bind([
        database_id.as_str().into(),
        limit.into(),
        refused_before.into(),
    ])
}

/// The snapshots that an archive has taken, and of which the registry has no content any more: `snapshot_id`, `content_hash`.
pub fn without_content(database_id: &DatabaseId) -> Statement {
    sql::SNAPSHOTS_WITHOUT_CONTENT.bind([database_id.as_str().into()])
}

/// Stands in the place of a refusal for a snapshot that another archive has taken.
const ELSEWHERE: &str = "another archive has its content";

/// Notes of the snapshots without content that they are in another archive than the present one.
pub fn mark_elsewhere(database_id: &DatabaseId) -> Statement {
    sql::SNAPSHOTS_ELSEWHERE.bind([database_id.as_str().into(), ELSEWHERE.into()])
}

/// The snapshots whose content only another archive than the present one has: `snapshot_id`, `content_hash`.
pub fn elsewhere(database_id: &DatabaseId) -> Statement {
    sql::SNAPSHOTS_MARKED_ELSEWHERE.bind([database_id.as_str().into(), ELSEWHERE.into()])
}

/// Gives a row when another archive than the present one has the content of a snapshot.
pub fn is_elsewhere(snapshot_id: &str) -> Statement {
    sql::SNAPSHOT_IS_ELSEWHERE.bind([snapshot_id.into(), ELSEWHERE.into()])
}

/// Takes the content of a snapshot back into the registry; the first statement changes a row only where it is not there.
pub fn stage_again(snapshot_id: &str, parts: &[String]) -> Vec<Statement> {
    let parts = (1..).zip(parts);
    std::iter::once(sql::SNAPSHOT_STAGE_AGAIN.bind([snapshot_id.into()]))
        .chain(parts.map(|(number, part)| stage_part(snapshot_id, number, part)))
        .collect()
}

/// Notes that the archive does not accept a snapshot. Its parts stay staged.
pub fn mark_refused(snapshot_id: &str, at: Timestamp, refusal: &str) -> Statement {
    sql::SNAPSHOT_REFUSED.bind([snapshot_id.into(), at.into(), refusal.into()])
}

/// The snapshots that the archive did not accept: `snapshot_id`, `refusal`.
pub fn refused(database_id: &DatabaseId, limit: u32) -> Statement {
    sql::SNAPSHOTS_REFUSED.bind([database_id.as_str().into(), limit.into()])
}

/// Drops the snapshots that have expired, with what is staged of them.
pub fn remove_expired(database_id: &DatabaseId) -> [Statement; 2] {
    [
        sql::SNAPSHOT_PARTS_EXPIRED_REMOVE.bind([database_id.as_str().into()]),
        sql::SNAPSHOTS_EXPIRED_REMOVE.bind([database_id.as_str().into()]),
    ]
}

/// The staged parts of a snapshot, in order: `content`.
pub fn staged_parts(snapshot_id: &str) -> Statement {
    sql::SNAPSHOT_PARTS.bind([snapshot_id.into()])
}

/// Notes that the archive has a snapshot, and drops the staged parts.
pub fn mark_archived(snapshot_id: &str, at: Timestamp) -> [Statement; 2] {
    [
        sql::SNAPSHOT_ARCHIVED.bind([snapshot_id.into(), at.into()]),
        sql::SNAPSHOT_PARTS_REMOVE.bind([snapshot_id.into()]),
    ]
}

/// A row with a header.
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse(row: &Row) -> Result<SnapshotRow, ColumnError> {
    Ok(SnapshotRow {
        snapshot_id: row.text("snapshot_id")?.to_owned(),
        database_id: row.parsed("database_id", "a database's id")?,
        kind: row.text("type")?.to_owned(),
        captured_at: row.parsed("captured_at", "a time")?,
        captured_by: row.text("captured_by")?.to_owned(),
        run_id: row.optional_text("run_id")?.map(str::to_owned),
        schema_hash: row.text("schema_hash")?.to_owned(),
        content_hash: row.text("content_hash")?.to_owned(),
        object_counts: row.text("object_counts")?.to_owned(),
        size_bytes: row.count("size_bytes")?,
        parts: row.count("parts")?,
        covers: row.integer("covers")?,
        archived_at: row.optional_parsed("archived_at", "a time")?,
        engine: row.parsed("engine", "an engine")?,
        expires_at: row.optional_parsed("expires_at", "a time")?,
    })
}
