//! Restoring a lost registry from the archive: definitions from their copies, everything else from the trail.
//!
//! It is one transaction, so that a restoration that is cut off leaves nothing. It goes on with the old chain, and tells the
//! trail of itself.

mod lost;
mod replay;

use std::time::Duration;

use serde_json::json;

use crate::audit::chain::{ChainCheck, Link, complete_up_to};
use crate::audit::{
    self, Archive, ArchivedMigration, Change, Event, EventFilter, EventType, Partition,
    SnapshotHeader, Stream, to_row,
};
use crate::database::{Access, Connection, DatabaseError, Statement, ask};
use crate::registry::inventory::InventoryRow;
use crate::registry::migrations::{AppliedStatus, Definition, StatusChange};
use crate::registry::snapshots::SnapshotRow;
use crate::registry::{definition, events, lock};
use crate::schema::{MissingObjects, Schema};
use crate::script::{Checksum, DatabaseId, MigrationId, Version};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Found, Managed, begin_making, look_for_registry};
use super::error::EngineError;
use super::request::{Caller, RestoreRequest};
use super::snapshots::live_schema;
use super::view::{Restoration, RestorationOutcome};
use replay::Replay;

pub use lost::{FoundObjects, LostRegistry};

/// How long the first write to a database waits for the archive's word on whether it really is the first.
const BEGINNING_PATIENCE: Duration = Duration::from_secs(3);

/// How many repairs of a trail are looked at for the one that says that the database was recreated.
const FIXES: u32 = 1000;

/// How many events are read at once.
const AT_ONCE: u32 = 500;

/// How many statements are sent at once; a definition may have megabytes.
const STATEMENTS_AT_ONCE: usize = 50;

/// What the archive has of a database.
struct Archived {
    events: Vec<Event>,
    definitions: Vec<Definition>,
    snapshots: Vec<SnapshotHeader>,
    /// What is wrong with it.
    faults: Vec<String>,
}

impl Archived {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.definitions.is_empty() && self.faults.is_empty()
    }

    async fn read(archive: &dyn Archive, partition: &Partition) -> Result<Self, EngineError> {
        let mut check = ChainCheck::default();
        let mut events = Vec::new();
        let mut faults = Vec::new();
        let mut after = 0;
        loop {
            let links = archive.chain(partition, after, AT_ONCE).await?;
            let upto = complete_up_to(&links, after, AT_ONCE);
            let complete = |link: &Link| upto.is_none_or(|upto| link.sequence <= upto);
            for link in links.into_iter().filter(complete) {
                check.push(&link);
                take(link, &mut events, &mut faults);
            }
            match upto {
                None => break,
                Some(upto) => after = upto,
            }
        }
        faults.extend(check.finish(None).iter().map(ToString::to_string));
        let mut definitions = Vec::new();
        for copy in archive.migrations(partition).await? {
            let copy_id = copy.migration_id.clone();
            match definition_of(copy) {
                Some(definition) if definition.is_intact() => definitions.push(definition),
                Some(definition) => {
                    faults.push(format!(
                        "the copy of {copy_id} does not have the checksums that it names"
                    ));
                    definitions.push(definition);
                }
                None => faults.push(format!("the copy of {copy_id} cannot be read")),
            }
        }
        Ok(Self {
            events,
            definitions,
            snapshots: archive.snapshot_headers(partition).await?,
            faults,
        })
    }
}

/// Takes an event of the chain, if it is the first of its number.
fn take(link: Link, events: &mut Vec<Event>, faults: &mut Vec<String>) {
    let newest = events.last().map_or(0, |event: &Event| event.sequence);
    match link.event {
        Some(event) if event.sequence == link.sequence && event.sequence > newest => {
            events.push(event);
        }
        Some(_) if link.sequence == newest => {
            faults.push(format!("there are several events {newest}"));
        }
        // The check of the chain has told of it.
        _ => {}
    }
}

fn definition_of(copy: ArchivedMigration) -> Option<Definition> {
    Some(Definition {
        migration_id: copy.migration_id.parse().ok()?,
        version: match copy.version {
            None => None,
            Some(text) => Some(Version::parse(&text).ok()?),
        },
        name: copy.name,
        description: copy.description,
        author: copy.author,
        file_name: copy.file_name,
        up_script: copy.up_script,
        up_checksum: copy.up_checksum.parse().ok()?,
        down_script: copy.down_script,
        down_checksum: match copy.down_checksum {
            None => None,
            Some(text) => Some(text.parse::<Checksum>().ok()?),
        },
        created_at: copy.created_at,
        withdrawn_at: copy.withdrawn_at,
        revision: copy.revision,
    })
}

fn snapshot_row(header: SnapshotHeader) -> SnapshotRow {
    SnapshotRow {
        snapshot_id: header.snapshot_id,
        database_id: header.database_id,
        kind: header.kind,
        captured_at: header.captured_at,
        captured_by: header.captured_by,
        run_id: header.run_id,
        schema_hash: header.schema_hash,
        content_hash: header.content_hash,
        object_counts: header.object_counts.to_string(),
        size_bytes: header.size_bytes,
        parts: header.part_count,
        covers: header.covers,
        archived_at: Some(Timestamp::now()),
        engine: header.engine,
        expires_at: header.expires_at,
    }
}

impl Engine {
    /// Restores the registry of one database, or of every database of the environment whose registry is lost, the home
    /// database first. One whose registry is there is left alone.
    ///
    /// # Errors
    ///
    /// [`EngineError::Archive`] when the archive cannot be read, [`EngineError::ArchiveDamaged`] when what it has is not
    /// whole and the request does not accept that. What was restored before stays.
    pub async fn restore_registry(
        &self,
        caller: &Caller,
        request: &RestoreRequest,
    ) -> Result<Vec<Restoration>, EngineError> {
        let home = self.home();
        let mut done = Vec::new();
        if request
            .database_id
            .as_ref()
            .is_none_or(|id| id == home.id())
        {
            done.push(self.restore(caller, &home, request).await?);
        }
        // Only now: the inventory may have been restored just before.
        for row in self.rows_of_environment().await? {
            let is_meant = match &request.database_id {
                None => row.database_id != *home.id(),
                Some(id) => row.database_id == *id && id != home.id(),
            };
            if is_meant {
                let managed = self.reach(row)?;
                done.push(self.restore(caller, &managed, request).await?);
            }
        }
        match &request.database_id {
            Some(id) if done.is_empty() => Err(EngineError::UnknownDatabase(id.to_string())),
            _ => Ok(done),
        }
    }

    async fn restore(
        &self,
        caller: &Caller,
        managed: &Managed,
        request: &RestoreRequest,
    ) -> Result<Restoration, EngineError> {
        let ended = |outcome| Restoration {
            database_id: managed.id().clone(),
            outcome,
        };
        if self.has_registry(managed).await? {
            return Ok(ended(RestorationOutcome::Present));
        }
        if self.archive_of(managed).is_none() {
            return Ok(ended(RestorationOutcome::NoArchive));
        }
        let Some((archive, stream)) = self.stream_at_place(managed).await? else {
            let others = self.other_places(managed).await?;
            return Ok(ended(RestorationOutcome::NothingArchived { others }));
        };
        let archived = Archived::read(archive, &stream.partition).await?;
        if archived.is_empty() {
            let others = Vec::new();
            return Ok(ended(RestorationOutcome::NothingArchived { others }));
        }
        if !archived.faults.is_empty() && !request.accept_damage {
            return Err(EngineError::ArchiveDamaged {
                database: managed.id().clone(),
                faults: archived.faults,
            });
        }
        let lost = self.lost(managed, archive, &stream).await?;
        if lost.lacks_objects() && !request.made_anew && !request.accept_missing {
            return Err(EngineError::NotAsRecorded(Box::new(lost)));
        }
        if !managed.has_own_tables() {
            // Its records are in the home database, whose registry must be there.
            self.open_for_writing(&self.home()).await?;
        }
        let mut connection = managed
            .database
            .open(Access::Write)
            .await
            .map_err(|error| managed.problem(error))?;
        begin_making(connection.as_mut(), managed).await?;
        let restored = self
            .restore_within(connection.as_mut(), caller, managed, request, archived)
            .await;
        let mut outcome = self
            .end_making(connection.as_mut(), managed, restored)
            .await?;
        drop(connection);
        self.deliver_or_log(managed).await;
        if let RestorationOutcome::Restored { found, .. } = &mut outcome {
            *found = lost.found;
        }
        Ok(ended(outcome))
    }

    /// What is known of the lost registry of a database, and of the database. Reads a fixed number of documents, whatever the
    /// length of the trail.
    async fn lost(
        &self,
        managed: &Managed,
        archive: &dyn Archive,
        stream: &Stream,
    ) -> Result<LostRegistry, EngineError> {
        let partition = &stream.partition;
        let newest = audit::stream::newest(archive, partition).await?;
        let mut lost = LostRegistry {
            database: managed.id().clone(),
            events: newest.as_ref().map_or(0, |event| event.sequence),
            last: newest.map(|event| (event.at, event.executor)),
            is_place_recorded: stream.place.is_some(),
            has_applied: false,
            is_database_empty: false,
            found: None,
        };
        let newest_of = async |kind: EventType| -> Result<Option<Event>, EngineError> {
            let filter = EventFilter {
                kind: Some(kind),
                ..EventFilter::default()
            };
            Ok(archive
                .events(partition, &filter, 1)
                .await?
                .into_iter()
                .next())
        };
        let mut newest_execution = 0;
        for kind in [
            EventType::Completed,
            EventType::RolledBack,
            EventType::Failed,
            EventType::Interrupted,
        ] {
            // Those of dbvc's own tables belong to no run.
            if let Some(event) = newest_of(kind)
                .await?
                .filter(|event| event.run_id.is_some())
            {
                newest_execution = newest_execution.max(event.sequence);
                lost.has_applied |= kind == EventType::Completed;
            }
        }
        let made_anew_by = self.made_anew_by(archive, partition).await?;
        let live = match managed.database.open(Access::Read).await {
            Ok(mut connection) => live_schema(connection.as_mut(), managed).await?,
            Err(DatabaseError::Absent) => Schema::default(),
            Err(error) => return Err(managed.problem(error)),
        };
        lost.is_database_empty = live.object_counts().is_empty();
        let headers = archive.snapshot_headers(partition).await?;
        // A snapshot of a database that is gone is nothing to hold the present one against.
        let newest = headers
            .into_iter()
            .filter(|header| {
                u64::try_from(header.covers).is_ok_and(|covers| covers >= made_anew_by)
            })
            .max_by_key(|header| (header.covers, header.captured_at));
        let Some(header) = newest else {
            return Ok(lost);
        };
        let snapshot = archive.snapshot(partition, &header.snapshot_id).await?;
        let Some(expected) = snapshot
            .and_then(|snapshot| serde_json::from_str::<Schema>(&snapshot.parts.concat()).ok())
        else {
            return Ok(lost);
        };
        lost.found = Some(FoundObjects {
            captured_at: header.captured_at,
            is_current: u64::try_from(header.covers).is_ok_and(|covers| newest_execution <= covers),
            missing: MissingObjects::of(&expected, &live),
        });
        Ok(lost)
    }

    /// The number of the event that tells that the database was recreated; 0 when none does.
    async fn made_anew_by(
        &self,
        archive: &dyn Archive,
        partition: &Partition,
    ) -> Result<u64, EngineError> {
        let filter = EventFilter {
            kind: Some(EventType::IntegrityFixed),
            ..EventFilter::default()
        };
        let events = archive.events(partition, &filter, FIXES).await?;
        let told = events
            .into_iter()
            .find(|event| event.data["madeAnew"] == serde_json::Value::Bool(true));
        Ok(told.map_or(0, |event| event.sequence))
    }

    /// Refuses to begin a chain that was begun before: the registry of this very database was lost, and writing on would make
    /// two trails of one database. An archive that does not answer in time holds nothing up.
    pub(super) async fn refuse_second_beginning(
        &self,
        managed: &Managed,
    ) -> Result<(), EngineError> {
        let looked = tokio::time::timeout(BEGINNING_PATIENCE, self.stream_at_place(managed));
        let (archive, stream) = match looked.await {
            Ok(Ok(Some(found))) => found,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(EngineError::Archive(error))) => {
                tracing::warn!(database = %managed.id(), %error, "cannot tell whether the registry was lost");
                return Ok(());
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                tracing::warn!(
                    database = %managed.id(),
                    "cannot tell whether the registry was lost: the archive does not answer"
                );
                return Ok(());
            }
        };
        let lost = self.lost(managed, archive, &stream).await?;
        if lost.events == 0 || self.has_begun(managed).await? {
            return Ok(());
        }
        Err(EngineError::RegistryLost(Box::new(lost)))
    }

    /// Whether the database has a registry by now: another process may have created it, and delivered what it told, while the
    /// archive was asked.
    async fn has_begun(&self, managed: &Managed) -> Result<bool, EngineError> {
        let (_, state) = self.read_state(managed).await?;
        Ok(state.lock.is_some())
    }

    /// Where other databases stand whose histories the archive has under the same id.
    async fn other_places(&self, managed: &Managed) -> Result<Vec<String>, EngineError> {
        let Some(archive) = self.archive_of(managed) else {
            return Ok(Vec::new());
        };
        let streams = archive.streams(managed.id()).await?;
        Ok(streams
            .into_iter()
            .filter_map(|stream| stream.place.map(|place| place.to_string()))
            .collect())
    }

    /// Whether there is anything on record for a database.
    async fn has_registry(&self, managed: &Managed) -> Result<bool, EngineError> {
        let mut connection = match managed.database.open(Access::Read).await {
            Ok(connection) => connection,
            Err(DatabaseError::Absent) => return Ok(false),
            Err(error) => return Err(managed.problem(error)),
        };
        is_on_record(connection.as_mut(), managed).await
    }

    /// Writes everything within an open transaction.
    async fn restore_within(
        &self,
        connection: &mut dyn Connection,
        caller: &Caller,
        managed: &Managed,
        request: &RestoreRequest,
        mut archived: Archived,
    ) -> Result<RestorationOutcome, EngineError> {
        self.make_tables(connection, managed).await?;
        // Somebody else may have made it meanwhile.
        if is_on_record(connection, managed).await? {
            return Ok(RestorationOutcome::Present);
        }
        let mut replay = Replay::of(&archived.events);
        if request.made_anew {
            // The event that will tell of it is the next one.
            replay.begin_anew(archived.events.last().map_or(0, |last| last.sequence) + 1);
        }
        // A snapshot of a database that is gone is nothing to hold the present one against.
        archived.snapshots.retain(|header| {
            u64::try_from(header.covers).is_ok_and(|it| it >= replay.made_anew_by)
        });
        replay.write_up_unended();
        let statements = self.statements(managed, &archived, &replay);
        for some in statements.chunks(STATEMENTS_AT_ONCE) {
            connection
                .exchange(some)
                .await
                .map_err(|error| managed.problem(error))?;
        }
        for own in definition::OWN_VERSIONS {
            let id = own.migration_id();
            let is_there = |copy: &Definition| copy.migration_id.as_str() == id;
            if managed.has_own_tables() && !archived.definitions.iter().any(is_there) {
                self.record_own_version(connection, managed, own).await?;
            }
        }
        let applied = replay
            .states
            .iter()
            .filter(|(id, state)| state.status == AppliedStatus::Applied && !is_own(id))
            .count();
        let mut faults = archived.faults;
        faults.extend(
            replay
                .unclear
                .iter()
                .map(|number| format!("event {number} does not say what it should")),
        );
        let mut change = Change::of(managed.id());
        change.events = vec![self.draft(
            EventType::IntegrityFixed,
            caller,
            json!({
                "mended": ["the registry was restored from the archive"],
                "events": archived.events.len(),
                "definitions": archived.definitions.len(),
                "executions": replay.executions.len(),
                "applied": applied,
                "madeAnew": request.made_anew,
                "acceptedMissing": request.accept_missing,
                "faults": faults,
            }),
        )];
        audit::append(connection, change, None)
            .await
            .map_err(|error| managed.append_problem(error))?;
        Ok(RestorationOutcome::Restored {
            events: archived.events.len(),
            definitions: archived
                .definitions
                .iter()
                .filter(|definition| !is_own(&definition.migration_id))
                .count(),
            applied,
            snapshots: archived.snapshots.len(),
            half_applied: replay
                .states
                .iter()
                .filter(|(_, state)| state.status == AppliedStatus::HalfApplied)
                .map(|(id, _)| id.clone())
                .collect(),
            faults,
            found: None,
        })
    }

    fn statements(
        &self,
        managed: &Managed,
        archived: &Archived,
        replay: &Replay,
    ) -> Vec<Statement> {
        let id = managed.id();
        let now = Timestamp::now();
        let mut statements = vec![events::add_head(id), lock::add(id)];
        if let Some(last) = archived.events.last() {
            let head = (last.sequence, last.hash.as_str());
            statements.push(events::advance_head(id, (0, ""), head));
            statements.extend(
                archived
                    .events
                    .iter()
                    .map(|event| to_row(event).insert(head)),
            );
            statements.push(events::mark_delivered(id, 1, last.sequence, now));
        }
        statements.extend(
            archived
                .definitions
                .iter()
                .map(|definition| definition.restore(id)),
        );
        let executions = replay.executions.iter();
        statements.extend(
            executions
                .filter(|restored| !restored.is_gone)
                .map(|restored| {
                    restored.execution.restore(
                        id,
                        restored.principal.as_deref(),
                        &restored.environment,
                    )
                }),
        );
        for (migration_id, state) in &replay.states {
            let known = |definition: &Definition| definition.migration_id == *migration_id;
            // Without its definition there is nothing that could have a state.
            if !archived.definitions.iter().any(known) {
                continue;
            }
            let execution = &replay.executions[state.execution].execution;
            let change = StatusChange {
                migration_id,
                status: state.status,
                checksum: state.checksum,
                execution_id: &execution.execution_id,
                executor: &execution.executor,
                at: execution.finished_at.unwrap_or(execution.started_at),
                duration_ms: execution.duration_ms.unwrap_or(0),
            };
            statements.extend(change.statements(id));
        }
        statements.extend(
            archived
                .snapshots
                .iter()
                .map(|header| snapshot_row(header.clone()).restore()),
        );
        if managed.is_home {
            let rows = replay.databases.values().filter_map(inventory_row);
            let mut rows: Vec<InventoryRow> = rows.collect();
            if !rows.iter().any(|row| row.database_id == *id) {
                rows.push(managed.row.clone());
            }
            statements.extend(rows.iter().map(|row| row.insert(now)));
        }
        statements
    }
}

/// Dbvc's own tables are there whatever became of the database: this very restoration made them.
fn is_own(id: &MigrationId) -> bool {
    definition::OWN_VERSIONS
        .iter()
        .any(|own| own.migration_id() == id.as_str())
}

/// A row of the inventory as the trail shows it.
fn inventory_row(shown: &serde_json::Value) -> Option<InventoryRow> {
    let text = |field: &str| shown[field].as_str().map(str::to_owned);
    Some(InventoryRow {
        database_id: DatabaseId::parse(shown["databaseId"].as_str()?).ok()?,
        kind: text("type")?,
        engine: shown["engine"].as_str()?.parse().ok()?,
        environment: text("environment")?,
        server_name: text("serverName"),
        database_name: text("databaseName"),
        folder: text("folder")?,
        connection: text("connection"),
    })
}

/// Whether the trail of a database has a beginning here. A registry in which nothing is told yet counts as none.
async fn is_on_record(
    connection: &mut dyn Connection,
    managed: &Managed,
) -> Result<bool, EngineError> {
    let problem = |error| managed.problem(error);
    match look_for_registry(connection, managed).await? {
        Found::Nothing => return Ok(false),
        Found::Damaged(damage) if damage.lacks_table("trail_heads") => return Ok(false),
        Found::Damaged(_) | Found::Registry => {}
    }
    let head = ask(connection, events::read_head(managed.id()))
        .await
        .map_err(problem)?;
    match head.rows.first() {
        None => Ok(false),
        Some(row) => Ok(row
            .count("sequence")
            .map_err(|error| problem(error.into()))?
            > 0),
    }
}
