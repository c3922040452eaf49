//! Snapshots: taking them, listing them, and finding their content again.

use std::time::Duration;

use crate::audit::{ArchiveError, ArchiveErrorKind, Change, EventDraft, EventType};
use crate::database::{Access, Connection, DatabaseError, Statement, ask};
use crate::registry::definition::OWN_TABLES;
use crate::registry::snapshots::{self, SnapshotRow};
use crate::schema::{ObjectCounts, Schema};
use crate::script::{Checksum, DatabaseId, EngineKind};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, Writing, holder, new_id};
use super::between_runs::{Moment, NotBetween};
use super::error::{EngineError, FieldError};
use super::request::{Caller, SnapshotQuery, SnapshotRequest};
use super::view::{Page, Snapshot, SnapshotHeader, SnapshotType};

/// Size of a part in bytes. The archive holds a part as a JSON text within JSON, which at most doubles it, and an item of
/// Cosmos DB may have 2 MiB.
const PART_BYTES: usize = 1_000_000;

/// How long the archive may take to give the content of a snapshot. A run waits for it before its first script, and then goes
/// on without it.
const CONTENT_PATIENCE: Duration = Duration::from_secs(20);

/// How often a snapshot is taken anew because a run came in between.
const ATTEMPTS: u32 = 3;

/// Sorts behind every id there can be: the first page begins before it.
const AFTER_EVERY_ID: &str = "~";

/// The schema as it is now, without dbvc's own tables.
pub(super) async fn live_schema(
    connection: &mut dyn Connection,
    managed: &Managed,
) -> Result<Schema, EngineError> {
    let schema = connection
        .read_schema()
        .await
        .map_err(|error| managed.problem(error))?;
    Ok(schema.without(OWN_TABLES, managed.namespace()))
}

/// A snapshot that is going to be written.
pub(super) struct Capture {
    /// Its header; what it covers is the registry's to give.
    pub row: SnapshotRow,
    counts: ObjectCounts,
    parts: Vec<String>,
}

impl Capture {
    /// A snapshot of this schema, taken now.
    pub fn of(
        schema: &Schema,
        managed: &Managed,
        kind: SnapshotType,
        caller: &Caller,
        run_id: Option<&str>,
    ) -> Self {
        let mut counts = schema.object_counts();
        if managed.engine() == EngineKind::Cosmos {
            counts.containers = Some(schema.containers.len());
        }
        // Plain data always serialises.
        let text = serde_json::to_string(schema).unwrap_or_default();
        let parts = cut(&text, PART_BYTES);
        Self {
            row: SnapshotRow {
                snapshot_id: new_id(),
                database_id: managed.id().clone(),
                kind: kind.as_str().to_owned(),
                captured_at: Timestamp::now(),
                captured_by: caller.executor.clone(),
                run_id: run_id.map(str::to_owned),
                schema_hash: schema.hash(),
                content_hash: Checksum::of_text(&text).to_string(),
                object_counts: serde_json::to_string(&counts).unwrap_or_default(),
                size_bytes: text.len() as u64,
                parts: parts.len() as u64,
                covers: 0,
                archived_at: None,
                engine: managed.engine(),
                expires_at: None,
            },
            counts,
            parts,
        }
    }

    /// The same, dropped after so many days if it is a scheduled one. The others say what was, as long as there is a trail.
    pub fn kept_for(mut self, days: u32) -> Self {
        if self.row.kind == SnapshotType::Scheduled.as_str() {
            let life = days.saturating_mul(24 * 3600);
            self.row.expires_at = Some(self.row.captured_at.plus_seconds(life));
        }
        self
    }

    /// Adds the header and stages the content until the archive has it. Each statement changes exactly one row.
    pub fn statements(&self) -> Vec<Statement> {
        let parts = (1..).zip(&self.parts);
        std::iter::once(self.row.insert())
            .chain(
                parts.map(|(number, part)| {
                    snapshots::stage_part(&self.row.snapshot_id, number, part)
                }),
            )
            .collect()
    }

    /// What the trail is told.
    pub fn event(&self, engine: &Engine, caller: &Caller) -> EventDraft {
        let data = serde_json::json!({
            "snapshotId": self.row.snapshot_id,
            "type": self.row.kind,
            "schemaHash": self.row.schema_hash,
            "objectCounts": self.counts,
        });
        let mut draft = engine.draft(EventType::SnapshotCaptured, caller, data);
        draft.run_id.clone_from(&self.row.run_id);
        draft
    }
}

/// The text in pieces of at most `at_most` bytes, cut between characters.
fn cut(text: &str, at_most: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > at_most {
        // A character has at most four bytes, so this ends at once.
        let end = (1..=at_most)
            .rev()
            .find(|end| rest.is_char_boundary(*end))
            .unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(part.to_owned());
        rest = after;
    }
    parts.push(rest.to_owned());
    parts
}

/// The header as callers see it.
fn header(row: SnapshotRow) -> Result<SnapshotHeader, DatabaseError> {
    let damaged = |message: String| DatabaseError::Refused {
        phase: "reading the header of a snapshot",
        number: None,
        message,
    };
    let kind = [
        SnapshotType::Baseline,
        SnapshotType::Manual,
        SnapshotType::PostMigration,
        SnapshotType::Scheduled,
    ]
    .into_iter()
    .find(|kind| kind.as_str() == row.kind)
    .ok_or_else(|| damaged(format!("{} is no type of snapshot", row.kind)))?;
    let object_counts =
        serde_json::from_str(&row.object_counts).map_err(|error| damaged(error.to_string()))?;
    Ok(SnapshotHeader {
        snapshot_id: row.snapshot_id,
        database_id: row.database_id,
        engine: row.engine,
        kind,
        captured_at: row.captured_at,
        captured_by: row.captured_by,
        run_id: row.run_id,
        schema_hash: row.schema_hash,
        object_counts,
        size_bytes: row.size_bytes,
        parts: row.parts,
    })
}

/// Where a page ends: the moment and the id of its last snapshot.
fn continuation(last: &SnapshotHeader) -> String {
    format!("{}_{}", last.captured_at, last.snapshot_id)
}

fn parse_continuation(text: &str) -> Result<(Timestamp, String), EngineError> {
    text.split_once('_')
        .and_then(|(moment, id)| {
            let moment: Timestamp = moment.parse().ok()?;
            let id = uuid::Uuid::parse_str(id).ok()?;
            Some((moment, id.to_string()))
        })
        .ok_or_else(|| {
            EngineError::Invalid(vec![FieldError::new(
                "continuation",
                "must be what the page before gave as continuation",
            )])
        })
}

impl Engine {
    /// Takes a snapshot.
    ///
    /// # Errors
    ///
    /// [`EngineError::Locked`] while a run holds the database.
    pub async fn take_snapshot(
        &self,
        caller: &Caller,
        request: SnapshotRequest,
    ) -> Result<SnapshotHeader, EngineError> {
        self.check_environment(&request.environment)?;
        let managed = self.managed(&request.database_id).await?;
        for _ in 0..ATTEMPTS {
            let Writing {
                mut connection,
                state,
            } = self.open_for_writing(&managed).await?;
            if state.lock.as_ref().and_then(holder).is_some() {
                return Err(managed.locked(state.lock.as_ref()));
            }
            let schema = live_schema(connection.as_mut(), &managed).await?;
            let capture = Capture::of(&schema, &managed, request.kind, caller, None)
                .kept_for(self.options().snapshot_retention_days);
            let mut change = Change::of(managed.id());
            change.records = capture.statements();
            change.events = vec![capture.event(self, caller)];
            let since = Moment::of(&state);
            match self
                .write_between_runs(connection.as_mut(), &managed, change, &since)
                .await
            {
                Ok(()) => return header(capture.row).map_err(|error| managed.problem(error)),
                // The schema that was read may be one that a run was changing.
                Err(NotBetween::Overtaken) => {}
                Err(NotBetween::Other(error)) => return Err(error),
            }
        }
        Err(managed.locked(None))
    }

    /// A page of snapshots of one database, or of all of the environment, newest first.
    ///
    /// # Errors
    ///
    /// Also when one of several databases cannot be reached: a page without its snapshots would be passed for whole, and
    /// the pages after it would never show them.
    pub async fn snapshots(
        &self,
        query: &SnapshotQuery,
    ) -> Result<Page<SnapshotHeader>, EngineError> {
        let (before, before_id) = match query.continuation.as_deref() {
            None => (Timestamp::LAST, AFTER_EVERY_ID.to_owned()),
            Some(text) => parse_continuation(text)?,
        };
        let mut found = Vec::new();
        for managed in self.one_or_all(query.database_id.as_ref()).await? {
            // One more than asked for tells whether there is another page.
            let page = snapshots::page(
                managed.id(),
                before,
                &before_id,
                query.limit.saturating_add(1),
            );
            for row in self.read_snapshots(&managed, page).await? {
                found.push(header(row).map_err(|error| managed.problem(error))?);
            }
        }
        found.sort_by(|a, b| (b.captured_at, &b.snapshot_id).cmp(&(a.captured_at, &a.snapshot_id)));
        let limit = query.limit as usize;
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(Page {
            continuation: found.last().filter(|_| more).map(continuation),
            items: found,
        })
    }

    /// One snapshot with its schema, of this database or of any of the environment.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownSnapshot`], [`EngineError::SnapshotDamaged`], and [`EngineError::Archive`] when its content
    /// is there and the archive cannot be reached.
    pub async fn snapshot(
        &self,
        database: Option<&DatabaseId>,
        snapshot_id: &str,
    ) -> Result<Snapshot, EngineError> {
        let among = self.one_or_all(database).await?;
        let (managed, row) = self.find_snapshot(among, snapshot_id).await?;
        let schema = self.stored_schema(&managed, &row).await?;
        Ok(Snapshot {
            header: header(row).map_err(|error| managed.problem(error))?,
            schema,
        })
    }

    /// The databases to look for snapshots in.
    pub(super) async fn one_or_all(
        &self,
        database: Option<&DatabaseId>,
    ) -> Result<Vec<Managed>, EngineError> {
        if let Some(id) = database {
            return Ok(vec![self.managed(id).await?]);
        }
        let mut all = Vec::new();
        for row in self.rows_of_environment().await? {
            all.push(self.reach(row)?);
        }
        Ok(all)
    }

    /// Reads headers; a database without a registry has none.
    async fn read_snapshots(
        &self,
        managed: &Managed,
        statement: Statement,
    ) -> Result<Vec<SnapshotRow>, EngineError> {
        let read = async {
            let mut connection = managed.database.open(Access::Read).await?;
            let reply = ask(connection.as_mut(), statement).await?;
            let rows = reply.rows.iter().map(snapshots::parse);
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        };
        match read.await {
            Ok(rows) => Ok(rows),
            Err(DatabaseError::Absent | DatabaseError::NoRegistry { .. }) => Ok(Vec::new()),
            Err(error) => Err(managed.problem(error)),
        }
    }

    /// The header of a snapshot and the database that it is of. A database that cannot be reached matters only when the
    /// snapshot is in none of the others.
    pub(super) async fn find_snapshot(
        &self,
        among: Vec<Managed>,
        snapshot_id: &str,
    ) -> Result<(Managed, SnapshotRow), EngineError> {
        let mut problem = None;
        for managed in among {
            let one = snapshots::one(managed.id(), snapshot_id);
            match self.read_snapshots(&managed, one).await {
                Ok(rows) => {
                    if let Some(row) = rows.into_iter().next() {
                        return Ok((managed, row));
                    }
                }
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| EngineError::UnknownSnapshot(snapshot_id.to_owned())))
    }

    /// The content of a snapshot, on a connection of its own.
    pub(super) async fn stored_schema(
        &self,
        managed: &Managed,
        row: &SnapshotRow,
    ) -> Result<Schema, EngineError> {
        let mut connection = managed
            .database
            .open(Access::Read)
            .await
            .map_err(|error| managed.problem(error))?;
        self.snapshot_schema(connection.as_mut(), managed, row)
            .await
    }

    /// The content of a snapshot as the archive has it, or as an earlier dbvc left it on this machine.
    async fn archived_content(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        snapshot_id: &str,
    ) -> Result<Option<Vec<String>>, EngineError> {
        if let Some((archive, partition)) = self.archived(Some(&mut *connection), managed).await?
            && let Some(snapshot) = archive.snapshot(&partition, snapshot_id).await?
        {
            return Ok(Some(snapshot.parts));
        }
        self.content_in_former_archive(connection, managed, snapshot_id)
            .await
    }

    /// The content of a snapshot: staged in the registry until the archive has it.
    ///
    /// # Errors
    ///
    /// [`EngineError::SnapshotDamaged`] when it is nowhere, cannot be read, or does not give the hash in the header.
    pub(super) async fn snapshot_schema(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        row: &SnapshotRow,
    ) -> Result<Schema, EngineError> {
        let damaged = |problem: String| EngineError::SnapshotDamaged {
            snapshot: row.snapshot_id.clone(),
            problem,
        };
        // The parts go when the archive has them, perhaps since the header was read: so they are looked for first.
        let staged = ask(connection, snapshots::staged_parts(&row.snapshot_id))
            .await
            .map_err(|error| managed.problem(error))?;
        let mut text = String::new();
        for part in &staged.rows {
            text.push_str(
                part.text("content")
                    .map_err(|error| managed.problem(error.into()))?,
            );
        }
        if staged.rows.is_empty() {
            let archived = self.archived_content(connection, managed, &row.snapshot_id);
            let parts = tokio::time::timeout(CONTENT_PATIENCE, archived)
                .await
                .map_err(|_| ArchiveError {
                    kind: ArchiveErrorKind::Unavailable,
                    phase: "reading a snapshot",
                    message: "it does not answer in time".to_owned(),
                })??;
            text = match parts {
                Some(parts) => parts.concat(),
                None if self.is_content_elsewhere(connection, managed, row).await? => {
                    return Err(EngineError::SnapshotElsewhere(row.snapshot_id.clone()));
                }
                None => {
                    return Err(damaged(
                        "neither registry nor archive has its content".to_owned(),
                    ));
                }
            };
        }
        if Checksum::of_text(&text).to_string() != row.content_hash {
            return Err(damaged(
                "its content does not have the hash that its header names".to_owned(),
            ));
        }
        serde_json::from_str(&text)
            .map_err(|error| damaged(format!("its content cannot be read: {error}")))
    }
}

/// Whether a problem is that of a snapshot's content, which is no reason to stop what can go on without it.
pub(super) fn is_about_content(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::SnapshotDamaged { .. }
            | EngineError::SnapshotElsewhere(_)
            | EngineError::Archive(ArchiveError { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::Shop;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(cut("aäöü", 4), ["aä", "öü"]);
        assert_eq!(cut("", 4), [""]);
        assert_eq!(cut("€€", 3).concat(), "€€");
    }

    #[test]
    fn only_what_a_page_gave_continues_it() {
        let id = new_id();
        let (moment, parsed) =
            parse_continuation(&format!("2025-11-27T14:30:00.000Z_{id}")).unwrap();
        assert_eq!(moment.to_string(), "2025-11-27T14:30:00.000Z");
        assert_eq!(parsed, id);
        for wrong in ["", "2", "2025-11-27T14:30:00.000Z", "_", "x_y"] {
            match parse_continuation(wrong) {
                Err(EngineError::Invalid(fields)) => assert_eq!(fields[0].field, "continuation"),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn take(shop: &Shop, kind: SnapshotType) -> Result<SnapshotHeader, EngineError> {
        let request = SnapshotRequest {
            database_id: Shop::id(),
            environment: "dev".to_owned(),
            kind,
        };
        shop.engine.take_snapshot(&Shop::caller(), request).await
    }

    #[tokio::test]
    async fn a_snapshot_reads_the_same_before_and_after_its_delivery() {
        let shop = Shop::at_work().await;
        shop.by_hand(
            "CREATE VIEW both_of_them AS SELECT o.id FROM orders o JOIN customers c ON c.id = o.id",
        );
        let header = take(&shop, SnapshotType::Baseline).await.unwrap();
        assert_eq!(header.object_counts.tables, 2);
        assert_eq!(header.object_counts.views, 1);
        assert_eq!(header.parts, 1);
        shop.engine.settle().await;
        assert_eq!(shop.ask("SELECT COUNT(*) FROM schema_snapshot_parts"), "0");
        let archived = shop
            .engine
            .snapshot(None, &header.snapshot_id)
            .await
            .unwrap();
        assert_eq!(archived.header, header);
        assert_eq!(archived.schema.hash(), header.schema_hash);
        assert_eq!(
            shop.ask("SELECT type FROM audit_events ORDER BY sequence DESC LIMIT 1"),
            "snapshot-captured"
        );

        // Not delivered yet: the registry has the content.
        let text = serde_json::to_string(&archived.schema).unwrap();
        let (first, second) = text.split_at(20);
        shop.by_hand(&format!(
            "INSERT INTO schema_snapshot_parts VALUES ('{id}', 2, '{second}'), ('{id}', 1, '{first}')",
            id = header.snapshot_id,
            first = first.replace('\'', "''"),
            second = second.replace('\'', "''"),
        ));
        shop.by_hand_in_archive("DELETE FROM \"schema-snapshots\"");
        let id = Shop::id();
        let staged = shop.engine.snapshot(Some(&id), &header.snapshot_id).await;
        assert_eq!(staged.unwrap(), archived);
        shop.by_hand("DELETE FROM schema_snapshot_parts");
        let lost = shop.engine.snapshot(None, &header.snapshot_id).await;
        assert!(matches!(lost, Err(EngineError::SnapshotDamaged { .. })));
        let unknown = shop.engine.snapshot(None, "none").await;
        assert!(matches!(unknown, Err(EngineError::UnknownSnapshot(_))));
    }

    #[tokio::test]
    async fn while_a_run_holds_the_database_no_snapshot_is_taken() {
        let shop = Shop::at_work().await;
        shop.hold_lock(60);
        match take(&shop, SnapshotType::Manual).await {
            Err(EngineError::Locked { holder, .. }) => assert_eq!(holder.unwrap().owner, "another"),
            other => panic!("{other:?}"),
        }
        assert_eq!(shop.ask("SELECT COUNT(*) FROM schema_snapshots"), "1");
    }

    #[tokio::test]
    async fn a_run_in_between_spoils_what_was_read() {
        let shop = Shop::at_work().await;
        let managed = shop.engine.managed(&Shop::id()).await.unwrap();
        let Writing {
            mut connection,
            state,
        } = shop.engine.open_for_writing(&managed).await.unwrap();
        shop.create(
            "V103__more.sqlite.sql",
            "CREATE TABLE more (id INTEGER);",
            None,
        )
        .await;
        shop.run().await;
        let mut change = Change::of(managed.id());
        change.events =
            vec![
                shop.engine
                    .draft(EventType::Refused, &Shop::caller(), serde_json::json!({})),
            ];
        let events = shop.ask("SELECT COUNT(*) FROM audit_events");
        let written = shop
            .engine
            .write_between_runs(connection.as_mut(), &managed, change, &Moment::of(&state))
            .await;
        assert!(matches!(written, Err(NotBetween::Overtaken)));
        assert_eq!(shop.ask("SELECT COUNT(*) FROM audit_events"), events);
    }

    #[tokio::test]
    async fn scheduled_snapshots_are_dropped_when_their_time_is_over_and_the_others_stay() {
        let shop = Shop::with(|options| options.snapshot_retention_days = 2);
        shop.create("V101__t.sqlite.sql", "CREATE TABLE t (id INTEGER);", None)
            .await;
        shop.run().await;
        for kind in [
            SnapshotType::Baseline,
            SnapshotType::Manual,
            SnapshotType::Scheduled,
        ] {
            take(&shop, kind).await.unwrap();
        }
        assert!(shop.engine.check_drift().await[0].ends_with("no drift"));
        shop.engine.settle().await;
        let two_days = "SELECT COUNT(*) FROM schema_snapshots WHERE type = 'scheduled' \
             AND julianday(expires_at) - julianday(captured_at) = 2";
        assert_eq!(shop.ask(two_days), "2");
        let others = "SELECT COUNT(*) FROM schema_snapshots WHERE expires_at IS NULL";
        assert_eq!(shop.ask(others), "3");
        let in_archive = "SELECT COUNT(*) FROM \"schema-snapshots\"";
        assert_eq!(shop.ask_archive(in_archive), "5");

        // As if the archive had been down for two days.
        shop.by_hand(
            "UPDATE schema_snapshots SET expires_at = '2025-11-27T14:30:00.000Z', archived_at = NULL WHERE type = 'scheduled'; \
             INSERT INTO schema_snapshot_parts SELECT snapshot_id, 1, '{}' FROM schema_snapshots WHERE type = 'scheduled'",
        );
        shop.by_hand_in_archive(
            "UPDATE \"schema-snapshots\" SET document = json_set(document, '$.expiresAt', '2025-11-27T14:30:00.000Z') \
             WHERE json_extract(document, '$.type') = 'scheduled'",
        );
        let all = SnapshotQuery {
            database_id: None,
            limit: 100,
            continuation: None,
        };
        assert_eq!(shop.engine.snapshots(&all).await.unwrap().items.len(), 3);
        let expired = shop.ask("SELECT snapshot_id FROM schema_snapshots WHERE type = 'scheduled'");
        let one = shop.engine.snapshot(None, &expired).await;
        assert!(matches!(one, Err(EngineError::UnknownSnapshot(_))));

        assert!(shop.engine.check_drift().await[0].ends_with("no drift"));
        shop.engine.settle().await;
        assert_eq!(shop.ask("SELECT COUNT(*) FROM schema_snapshots"), "4");
        assert_eq!(shop.ask("SELECT COUNT(*) FROM schema_snapshot_parts"), "0");
        assert_eq!(shop.ask_archive(in_archive), "4");
        assert_eq!(shop.engine.snapshots(&all).await.unwrap().items.len(), 4);
    }

    #[tokio::test]
    async fn pages_continue_where_the_last_one_ended() {
        let shop = Shop::at_work().await;
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(take(&shop, SnapshotType::Manual).await.unwrap().snapshot_id);
        }
        let mut seen = Vec::new();
        let mut continuation = None;
        loop {
            let query = SnapshotQuery {
                database_id: None,
                limit: 2,
                continuation,
            };
            let page = shop.engine.snapshots(&query).await.unwrap();
            assert!(page.items.len() <= 2);
            seen.extend(page.items.into_iter().map(|header| header.snapshot_id));
            continuation = page.continuation;
            if continuation.is_none() {
                break;
            }
        }
        seen.reverse();
        // The first is that of the run.
        assert_eq!(seen.len(), 5);
        assert_eq!(seen[1..], taken);
        shop.engine.settle().await;
    }
}
