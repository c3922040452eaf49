//! Which archive a database has, and which stream of it holds its history.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::audit::embedded::EmbeddedArchive;
use crate::audit::lineage::{self, Attach, Attachment, Lineage, LineageError, Origin};
use crate::audit::{
    self, Archive, ChainId, Change, Delivery, DeliveryError, EventType, Looked, Partition, Refused,
    Stream,
};
use crate::database::{Connection, SHORT_WAIT, ask};
use crate::registry::snapshots::SnapshotRow;
use crate::registry::{events, migrations, snapshots};
use crate::script::{Checksum, DatabaseId, EngineKind};

use super::access::Managed;
use super::error::EngineError;
use super::request::Caller;
use super::{ArchivePlace, Engine};

/// What this process knows of streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Where the history of a database is delivered.
    attachments: Mutex<HashMap<DatabaseId, Attachment>>,
    /// Databases for which the former archive of this machine was looked at.
    reclaimed: Mutex<HashMap<DatabaseId, ChainId>>,
}

impl Streams {
    fn known(&self, id: &DatabaseId, origin: &Origin) -> Option<Attachment> {
        let known = self
            .attachments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let attachment = known.get(id)?;
        (attachment.chain == origin.chain).then(|| attachment.clone())
    }

    /// Keeps an attachment whose place is on record.
    fn remember(&self, id: &DatabaseId, attachment: Attachment) {
        self.attachments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(
                id.clone(),
                Attachment {
                    new_place: None,
                    ..attachment
                },
            );
    }

    fn forget(&self, id: &DatabaseId) {
        self.attachments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    fn was_reclaimed(&self, id: &DatabaseId, chain: &ChainId) -> bool {
        let reclaimed = self
            .reclaimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reclaimed.get(id) == Some(chain)
    }

    fn note_reclaimed(&self, id: &DatabaseId, chain: ChainId) {
        self.reclaimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), chain);
    }
}

impl Managed {
    fn delivery_problem(&self, error: DeliveryError) -> EngineError {
        match error {
            DeliveryError::Registry(error) => self.problem(error),
            DeliveryError::Archive(error) => error.into(),
            DeliveryError::Parted { after } => EngineError::HistoryParted {
                database: self.id().clone(),
                after,
            },
            // Only a stream that was not just looked at can have become empty unseen.
            DeliveryError::Emptied => EngineError::HistoryParted {
                database: self.id().clone(),
                after: 0,
            },
        }
    }

    fn lineage_problem(&self, error: LineageError) -> EngineError {
        match error {
            LineageError::Archive(error) => error.into(),
            LineageError::Database(error) => self.problem(error),
            LineageError::Contradicting => EngineError::HistoryParted {
                database: self.id().clone(),
                after: 0,
            },
        }
    }
}

impl Engine {
    /// Whether the registry of a database with this engine is on a server; the records of Cosmos DB databases are in the home
    /// database.
    fn is_registry_shared(&self, engine: EngineKind) -> bool {
        let registry = match engine {
            EngineKind::Cosmos => self.home().engine(),
            EngineKind::SqlServer | EngineKind::Sqlite => engine,
        };
        registry == EngineKind::SqlServer
    }

    fn archive_for(&self, engine: EngineKind) -> Option<&dyn Archive> {
        let is_local = matches!(self.options().archive, ArchivePlace::Embedded);
        (!(is_local && self.is_registry_shared(engine))).then(|| self.inner.archive.as_ref())
    }

    /// The archive of a database. Without a Cosmos DB account a registry on a server has none: it is shared by every machine
    /// that reaches the server, and a file of one of them is not.
    pub(super) fn archive_of(&self, managed: &Managed) -> Option<&dyn Archive> {
        self.archive_for(managed.engine())
    }

    /// The word for the archive of databases with this engine: `cosmos`, `embedded` or `none`.
    pub(super) fn archive_word(&self, engine: EngineKind) -> &'static str {
        self.archive_for(engine)
            .map_or("none", |archive| archive.source())
    }

    /// The archive of a database with the partition that holds its history; none without an archive, and when that has nothing
    /// of this database. `connection`: to its registry, where there is one.
    pub(super) async fn archived(
        &self,
        connection: Option<&mut dyn Connection>,
        managed: &Managed,
    ) -> Result<Option<(&dyn Archive, Partition)>, EngineError> {
        let Some(archive) = self.archive_of(managed) else {
            return Ok(None);
        };
        Ok(match self.lineage_in(archive, connection, managed).await? {
            Lineage::Own(stream) => Some((archive, stream.partition)),
            Lineage::Unknown | Lineage::Contradicting(_) => None,
        })
    }

    /// What an archive has of a database. `connection`: to its registry, where there is one.
    pub(super) async fn lineage_in(
        &self,
        archive: &dyn Archive,
        connection: Option<&mut dyn Connection>,
        managed: &Managed,
    ) -> Result<Lineage, EngineError> {
        let mut connection = connection;
        let origin = match &mut connection {
            Some(connection) => lineage::origin(*connection, managed.id())
                .await
                .map_err(|error| managed.problem(error))?,
            None => None,
        };
        if let Some(origin) = &origin
            && let Some(known) = self.inner.streams.known(managed.id(), origin)
        {
            return Ok(Lineage::Own(Stream {
                chain: known.chain,
                partition: known.partition,
                place: None,
                engine: None,
            }));
        }
        lineage::of(
            connection,
            origin.as_ref(),
            managed.id(),
            managed.database.as_ref(),
            archive,
        )
        .await
        .map_err(|error| managed.lineage_problem(error))
    }

    /// The stream of a database whose registry is not there, by the place at which the database stands.
    pub(super) async fn stream_at_place(
        &self,
        managed: &Managed,
    ) -> Result<Option<(&dyn Archive, Stream)>, EngineError> {
        let Some(archive) = self.archive_of(managed) else {
            return Ok(None);
        };
        Ok(match self.lineage_in(archive, None, managed).await? {
            Lineage::Own(stream) => Some((archive, stream)),
            Lineage::Unknown | Lineage::Contradicting(_) => None,
        })
    }

    /// Delivers a database. An archive that has nothing of it is handed everything, also what went to another archive before.
    pub(super) async fn deliver_to(
        &self,
        archive: &dyn Archive,
        connection: &mut dyn Connection,
        managed: &Managed,
        refused: Refused,
    ) -> Result<Delivery, EngineError> {
        let origin = lineage::origin(connection, managed.id())
            .await
            .map_err(|error| managed.problem(error))?;
        let known = origin
            .as_ref()
            .and_then(|origin| self.inner.streams.known(managed.id(), origin));
        if let Some(known) = known {
            let delivered = self
                .deliver_along(
                    archive,
                    connection,
                    managed,
                    &known,
                    Looked::Before,
                    refused,
                )
                .await;
            if !matches!(delivered, Err(DeliveryError::Emptied)) {
                return delivered.map_err(|error| managed.delivery_problem(error));
            }
            // What this process knows of the archive is out of date.
            self.inner.streams.forget(managed.id());
        }
        let attach = lineage::attach(
            connection,
            origin.as_ref(),
            managed.id(),
            managed.database.as_ref(),
            archive,
        )
        .await
        .map_err(|error| managed.lineage_problem(error))?;
        let attachment = match attach {
            Attach::NothingToDeliver => return Ok(Delivery::default()),
            Attach::Known(attachment) => attachment,
            Attach::New(chain) => {
                // First, so that a process that is killed in between leaves the archive as new as it was.
                self.hand_over_again(connection, managed).await?;
                crate::crash_points::reached("handed-over").await;
                lineage::begin(managed.id(), managed.database.as_ref(), archive, &chain)
                    .await
                    .map_err(|error| managed.lineage_problem(error))?
            }
        };
        self.reclaim_snapshots(connection, managed).await?;
        self.deliver_along(
            archive,
            connection,
            managed,
            &attachment,
            Looked::Now,
            refused,
        )
        .await
        .map_err(|error| managed.delivery_problem(error))
    }

    async fn deliver_along(
        &self,
        archive: &dyn Archive,
        connection: &mut dyn Connection,
        managed: &Managed,
        attachment: &Attachment,
        looked: Looked,
        refused: Refused,
    ) -> Result<Delivery, DeliveryError> {
        let id = managed.id();
        let delivery = audit::deliver(connection, id, archive, attachment, looked, refused).await?;
        // A place that is new is recorded with an event.
        if attachment.new_place.is_none() || delivery.events > 0 {
            self.inner.streams.remember(id, attachment.clone());
        }
        Ok(delivery)
    }

    /// Has everything delivered that was delivered to another archive, and says so in the trail: an archive that was emptied
    /// looks like one that is new.
    async fn hand_over_again(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
    ) -> Result<(), EngineError> {
        let problem = |error| managed.problem(error);
        let counted = ask(connection, events::count_delivered(managed.id()))
            .await
            .map_err(problem)?;
        let count = |column: &str| match counted.rows.first() {
            Some(row) => row.count(column),
            None => Ok(0),
        };
        let read = count("events").and_then(|events| Ok((events, count("migrations")?)));
        let (events, migrations) = read.map_err(|error| managed.problem(error.into()))?;
        if events == 0 && migrations == 0 {
            return Ok(());
        }
        let mut change = Change::of(managed.id());
        change.loose = vec![
            events::deliver_again(managed.id()),
            migrations::archive_again(managed.id()),
            snapshots::mark_elsewhere(managed.id()),
        ];
        let data = serde_json::json!({
            "mended": [format!(
                "the archive had nothing of this database: {events} events and {migrations} migrations that another archive \
                 has are delivered to it as well"
            )],
        });
        change.events = vec![self.draft(EventType::IntegrityFixed, &Caller::timer(), data)];
        connection.begin(SHORT_WAIT).await.map_err(problem)?;
        let written = audit::append(connection, change, None)
            .await
            .map(|_| ())
            .map_err(|error| managed.append_problem(error));
        self.conclude(connection, managed, written).await
    }

    /// The archive in the data folder, where it is not the one of the settings: an earlier dbvc kept that of a server there,
    /// or an account was configured later. None where there is no such file.
    fn former_archive(&self, managed: &Managed) -> Option<EmbeddedArchive> {
        let is_embedded = self.archive_word(managed.engine()) == "embedded";
        (!is_embedded && EmbeddedArchive::is_in_folder(&self.options().data_dir))
            .then(|| EmbeddedArchive::in_folder(&self.options().data_dir))
    }

    /// The content of a snapshot in the archive of this machine, when an earlier dbvc delivered it there.
    pub(super) async fn content_in_former_archive(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        snapshot_id: &str,
    ) -> Result<Option<Vec<String>>, EngineError> {
        let Some(archive) = self.former_archive(managed) else {
            return Ok(None);
        };
        let origin = lineage::origin(connection, managed.id())
            .await
            .map_err(|error| managed.problem(error))?;
        let Some(partition) = self
            .former_partition(&archive, connection, managed, origin.as_ref())
            .await?
        else {
            return Ok(None);
        };
        let found = archive.snapshot(&partition, snapshot_id).await?;
        Ok(found.map(|snapshot| snapshot.parts))
    }

    /// Whether another archive than that of the settings took the content of a snapshot.
    pub(super) async fn is_content_elsewhere(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        snapshot: &SnapshotRow,
    ) -> Result<bool, EngineError> {
        if snapshot.archived_at.is_none() || self.archive_of(managed).is_none() {
            return Ok(snapshot.archived_at.is_some());
        }
        let marked = ask(connection, snapshots::is_elsewhere(&snapshot.snapshot_id)).await;
        let marked = marked.map_err(|error| managed.problem(error))?;
        Ok(!marked.rows.is_empty())
    }

    async fn former_partition(
        &self,
        archive: &EmbeddedArchive,
        connection: &mut dyn Connection,
        managed: &Managed,
        origin: Option<&Origin>,
    ) -> Result<Option<Partition>, EngineError> {
        let Some(origin) = origin else {
            return Ok(None);
        };
        let found = lineage::of(
            Some(connection),
            Some(origin),
            managed.id(),
            managed.database.as_ref(),
            archive,
        )
        .await
        .map_err(|error| managed.lineage_problem(error))?;
        Ok(match found {
            Lineage::Own(stream) => Some(stream.partition),
            Lineage::Unknown | Lineage::Contradicting(_) => None,
        })
    }

    /// Takes back into the registry what went to the former archive of this machine and is nowhere else: the content of
    /// snapshots. Looks once for each chain.
    pub(super) async fn reclaim_snapshots(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
    ) -> Result<(), EngineError> {
        let Some(archive) = self.former_archive(managed) else {
            return Ok(());
        };
        let problem = |error| managed.problem(error);
        let origin = lineage::origin(connection, managed.id())
            .await
            .map_err(problem)?;
        let Some(chain) = origin.as_ref().map(|origin| origin.chain.clone()) else {
            return Ok(());
        };
        if self.inner.streams.was_reclaimed(managed.id(), &chain) {
            return Ok(());
        }
        let found = self
            .former_partition(&archive, connection, managed, origin.as_ref())
            .await?;
        if let Some(partition) = found {
            self.reclaim_from(&archive, &partition, connection, managed)
                .await?;
        }
        self.inner.streams.note_reclaimed(managed.id(), chain);
        Ok(())
    }

    async fn reclaim_from(
        &self,
        archive: &EmbeddedArchive,
        partition: &Partition,
        connection: &mut dyn Connection,
        managed: &Managed,
    ) -> Result<(), EngineError> {
        let problem = |error| managed.problem(error);
        // Where there is an archive, only what is known not to be in it.
        let wanted = match self.archive_of(managed) {
            Some(_) => snapshots::elsewhere(managed.id()),
            None => snapshots::without_content(managed.id()),
        };
        let missing = ask(connection, wanted).await.map_err(problem)?;
        let mut taken_back = 0;
        for row in &missing.rows {
            let id = row
                .text("snapshot_id")
                .map_err(|error| problem(error.into()))?;
            let hash = row
                .text("content_hash")
                .map_err(|error| problem(error.into()))?;
            let Some(snapshot) = archive.snapshot(partition, id).await? else {
                continue;
            };
            if Checksum::of_text(&snapshot.parts.concat()).to_string() != hash {
                tracing::warn!(database = %managed.id(), snapshot = id, "a snapshot in the former archive is damaged");
                continue;
            }
            connection.begin(SHORT_WAIT).await.map_err(problem)?;
            let staged = async {
                let statements = snapshots::stage_again(id, &snapshot.parts);
                let Some((first, parts)) = statements.split_first() else {
                    return Ok(());
                };
                // Another machine that has a copy of the same file may be faster.
                if ask(connection, first.clone())
                    .await
                    .map_err(problem)?
                    .affected
                    == 1
                {
                    connection.exchange(parts).await.map_err(problem)?;
                }
                Ok(())
            };
            let staged = staged.await;
            self.conclude(connection, managed, staged).await?;
            taken_back += 1;
        }
        if taken_back > 0 {
            tracing::info!(
                database = %managed.id(),
                snapshots = taken_back,
                "took snapshots back from the former archive of this machine"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, EventDraft};
    use crate::engine::testing::Shop;
    use crate::engine::{CheckStatus, EngineOptions, Verification, VerifyRequest};
    use crate::registry::definition::OWN_VERSIONS;

    async fn verify(engine: &Engine) -> Verification {
        let request = VerifyRequest {
            database_id: Shop::id(),
            environment: "dev".to_owned(),
            fix: false,
            resolve: None,
        };
        let verified = engine.verify(&Shop::caller(), request).await;
        engine.settle().await;
        verified.unwrap()
    }

    fn chain(verified: &Verification) -> &crate::engine::Check {
        let mut checks = verified.checks.iter();
        checks.find(|check| check.code == "trail-chain").unwrap()
    }

    fn details(verified: &Verification, status: CheckStatus) -> Vec<String> {
        let checks = verified.checks.iter();
        checks
            .filter(|check| check.status == status)
            .map(|check| format!("{}: {}", check.code, check.detail))
            .collect()
    }

    /// The same database as another process sees it: it remembers nothing.
    fn another_process(shop: &Shop) -> Engine {
        Engine::open(shop.engine.options().clone())
    }

    async fn register(engine: &Engine, file: &str) {
        let new = crate::engine::NewMigration {
            database_id: Shop::id(),
            naming: crate::engine::Naming::File(crate::script::FileName::parse(file).unwrap()),
            author: "ada".to_owned(),
            description: None,
            up_script: "SELECT 1;".to_owned(),
            down_script: None,
            reregister: false,
        };
        engine.create(&Shop::caller(), new).await.unwrap();
        engine.settle().await;
    }

    #[tokio::test]
    async fn an_archive_that_is_gone_is_filled_again_and_the_trail_says_so() {
        let shop = Shop::at_work().await;
        let copies = "SELECT COUNT(*) FROM migrations";
        assert_eq!(shop.ask_archive(copies), "3");
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(shop.file(&format!("_version-control.sqlite{end}")));
        }
        let engine = another_process(&shop);
        let verified = verify(&engine).await;
        assert!(verified.healthy, "{verified:#?}");
        register(&engine, "V103__more.sqlite.sql").await;
        let events = shop.ask("SELECT COUNT(*) FROM audit_events");
        let archived = "SELECT COUNT(*) FROM \"change-events\"";
        assert_eq!(shop.ask_archive(archived), events);
        assert_eq!(shop.ask_archive(copies), "4");
        let told = "SELECT COUNT(*) FROM audit_events WHERE type = 'integrity-fixed' \
             AND data LIKE '%the archive had nothing of this database%'";
        assert_eq!(shop.ask(told), "1");
        // The content of the snapshot went with the file, which is no damage as long as nothing differs.
        let verified = verify(&engine).await;
        assert_eq!(details(&verified, CheckStatus::Fail), [""; 0]);
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        let drift = engine.drift(&Shop::id(), None, None).await.unwrap();
        assert_eq!(drift.detected, None);
        assert!(drift.reason.unwrap().contains("another archive"));
    }

    #[tokio::test]
    async fn a_database_that_was_set_back_adds_nothing_to_the_history_it_left() {
        let shop = Shop::at_work().await;
        let backup = shop.file("backup.sqlite");
        shop.by_hand(&format!("VACUUM INTO '{}'", backup.display()));
        let common = shop.ask("SELECT MAX(sequence) FROM audit_events");
        register(&shop.engine, "V103__lost.sqlite.sql").await;
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(shop.file(&format!("shop.sqlite{end}")));
        }
        std::fs::copy(&backup, shop.file("shop.sqlite")).unwrap();

        let engine = another_process(&shop);
        let verified = verify(&engine).await;
        let told = &chain(&verified).detail;
        assert!(
            told.contains(&format!("the archive has events after event {common}")),
            "{told}"
        );
        register(&engine, "V104__other.sqlite.sql").await;
        let verified = verify(&engine).await;
        let told = &chain(&verified).detail;
        assert!(
            told.contains(&format!("different histories after event {common}")),
            "{told}"
        );
        // Asking dbvc to fix it changes nothing, and says no more than the checks do.
        let fixing = VerifyRequest {
            database_id: Shop::id(),
            environment: "dev".to_owned(),
            fix: true,
            resolve: None,
        };
        let events = shop.ask("SELECT COUNT(*) FROM audit_events");
        let fixed = engine.verify(&Shop::caller(), fixing).await.unwrap();
        assert_eq!(fixed, verified);
        assert_eq!(shop.ask("SELECT COUNT(*) FROM audit_events"), events);
        let other = "SELECT COUNT(*) FROM \"change-events\" WHERE migration_id = 'V104__other'";
        assert_eq!(shop.ask_archive(other), "0");

        // The remedy: the former archive is kept elsewhere, and a new one is filled.
        for end in ["", "-wal", "-shm"] {
            let file = |name: &str| shop.file(&format!("{name}{end}"));
            let _ = std::fs::rename(file("_version-control.sqlite"), file("kept.sqlite"));
        }
        let engine = another_process(&shop);
        register(&engine, "V105__more.sqlite.sql").await;
        assert_eq!(shop.ask_archive(other), "1");
        let verified = verify(&engine).await;
        assert_eq!(details(&verified, CheckStatus::Fail), [""; 0]);
    }

    #[tokio::test]
    async fn what_a_server_left_in_the_folder_is_no_lost_registry_of_an_embedded_database() {
        let shop = Shop::new();
        let managed = shop.engine.home();
        let checksum = Checksum::of_text(OWN_VERSIONS[0].script(EngineKind::SqlServer));
        let draft = EventDraft {
            kind: EventType::Registered,
            migration_id: None,
            run_id: None,
            execution_id: None,
            at: "2026-11-30T10:00:00Z".parse().unwrap(),
            executor: "dbvc".to_owned(),
            principal: None,
            environment: "dev".to_owned(),
            data: serde_json::json!({ "checksum": checksum }),
        };
        let event = Event::seal(draft, &Shop::id(), 1, None);
        let archive = shop.engine.archive_of(&managed).unwrap();
        let main = Partition::main(&Shop::id());
        assert_eq!(archive.add_events(&main, &[event]).await.stopped, None);

        register(&shop.engine, "V101__first.sqlite.sql").await;
        assert!(verify(&shop.engine).await.healthy);
        let streams = archive.streams(&Shop::id()).await.unwrap();
        assert_eq!(streams.len(), 2);
        assert!(streams.iter().any(|stream| !stream.partition.is_main()));
        assert_eq!(archive.chain(&main, 0, 10).await.unwrap().len(), 1);
    }

    #[test]
    fn only_a_registry_on_a_server_without_an_account_has_no_archive() {
        let options = EngineOptions::embedded("dev", Shop::id(), "nowhere");
        let engine = Engine::open(options.clone());
        assert_eq!(engine.archive_word(EngineKind::Sqlite), "embedded");
        assert_eq!(engine.archive_word(EngineKind::Cosmos), "embedded");
        assert_eq!(engine.archive_word(EngineKind::SqlServer), "none");
        let connection = crate::database::sql_server::ConnectionString::parse(
            "Server=tcp:db.example.com;Database=shop;User ID=a;Password=b",
        );
        let on_server = Engine::open(EngineOptions {
            home_connection: Some(connection.unwrap()),
            ..options
        });
        assert_eq!(on_server.archive_word(EngineKind::SqlServer), "none");
        assert_eq!(on_server.archive_word(EngineKind::Cosmos), "none");
        assert_eq!(on_server.archive_word(EngineKind::Sqlite), "embedded");
    }
}
