//! Delivering to the archive what the registry holds for it: after a change in the background, or here and now.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::audit::{Delivery, Refused};
use crate::database::{Access, Connection, DatabaseError};
use crate::registry::{announcements, events, snapshots};
use crate::script::{DatabaseId, EngineKind};
use crate::time::Timestamp;

use super::Engine;
use super::access::Managed;
use super::error::EngineError;

/// What the webhook refused for good is told of for so long.
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// Deliveries under way in this process.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    tasks: Mutex<JoinSet<()>>,
    /// Databases for which a delivery waits to begin: one is enough, since it takes everything there is.
    waiting: Mutex<HashSet<DatabaseId>>,
    /// What was seen after the last delivery of each database whose registry is not the home database's.
    seen: Mutex<HashMap<DatabaseId, Standing>>,
}

/// What there is to know of registries for the health of the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Events that the archive does not have.
    pub undelivered: u64,
    /// Databases that have drifted.
    pub drifted: u64,
    /// Databases of which something could not be announced.
    pub unannounced: u64,
}

impl Standing {
    /// Asks a registry.
    async fn read(connection: &mut dyn Connection) -> Result<Self, DatabaseError> {
        let day_ago = Timestamp::from_millis(Timestamp::now().as_millis() - DAY_MILLIS);
        let replies = connection
            .exchange(&[
                events::count_undelivered(),
                snapshots::count_drifted(),
                announcements::count_unwell(day_ago),
            ])
            .await?;
        let count = |index: usize, column: &str| {
            let row = replies.get(index).and_then(|reply| reply.rows.first());
            row.map_or(Ok(0), |row| row.count(column))
        };
        Ok(Self {
            undelivered: count(0, "events")?,
            drifted: count(1, "databases")?,
            unannounced: count(2, "databases")?,
        })
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            undelivered: self.undelivered + other.undelivered,
            drifted: self.drifted + other.drifted,
            unannounced: self.unannounced + other.unannounced,
        }
    }
}

impl Deliveries {
    /// What was seen outside the home database when this process last delivered there.
    pub fn seen(&self) -> Standing {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .fold(Standing::default(), |sum, one| sum.plus(*one))
    }

    fn note(&self, id: &DatabaseId, standing: Standing) {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), standing);
    }
}

impl Engine {
    /// Delivers in the background. A failure is logged, and the next delivery goes on where this one stopped.
    pub(super) fn deliver_soon(&self, managed: &Managed) {
        let deliveries = &self.inner.deliveries;
        let fresh = deliveries
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(managed.id().clone());
        if !fresh {
            return;
        }
        let (engine, managed) = (self.clone(), managed.clone());
        let mut tasks = deliveries
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            engine
                .inner
                .deliveries
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(managed.id());
            engine.deliver_or_log(&managed).await;
        });
    }

    /// Delivers what waits for the archive, also what was left by others. A failure is logged, and the next delivery goes
    /// on where this one stopped.
    ///
    /// # Errors
    ///
    /// When the database is not in the inventory of this environment.
    pub async fn deliver(&self, database: &DatabaseId) -> Result<(), EngineError> {
        let managed = self.managed(database).await?;
        self.deliver_or_log(&managed).await;
        Ok(())
    }

    pub(super) async fn deliver_or_log(&self, managed: &Managed) {
        if let Err(error) = self.deliver_now(managed, Refused::AfterAPause).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(database = %managed.id(), %error, cause, "delivering to the archive is delayed");
        }
    }

    /// Delivers everything of a database that the archive does not have.
    ///
    /// # Errors
    ///
    /// When registry or archive cannot be used.
    pub(super) async fn deliver_now(
        &self,
        managed: &Managed,
        refused: Refused,
    ) -> Result<Delivery, EngineError> {
        // Delivering must not make a database that is not there.
        match managed.database.open(Access::Read).await {
            Ok(_) => {}
            Err(DatabaseError::Absent) => return Ok(Delivery::default()),
            Err(error) => return Err(managed.problem(error)),
        }
        let mut connection = managed
            .database
            .open(Access::Write)
            .await
            .map_err(|error| managed.problem(error))?;
        let delivered = self
            .deliver_through(connection.as_mut(), managed, refused)
            .await;
        self.note_standing(managed, connection.as_mut()).await;
        match delivered {
            // Nothing was ever written there, or somebody's script holds the file and the outbox waits.
            Err(
                EngineError::Locked { .. }
                | EngineError::Unavailable {
                    source: Some(DatabaseError::NoRegistry { .. }),
                    ..
                },
            ) => Ok(Delivery::default()),
            delivered => delivered,
        }
    }

    async fn deliver_through(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        refused: Refused,
    ) -> Result<Delivery, EngineError> {
        let Some(archive) = self.archive_of(managed) else {
            self.reclaim_snapshots(connection, managed).await?;
            return Ok(Delivery::default());
        };
        self.deliver_to(archive, connection, managed, refused).await
    }

    async fn note_standing(&self, managed: &Managed, connection: &mut dyn Connection) {
        // The records of a Cosmos DB database are in the home database, which is asked when somebody wants to know.
        if managed.is_home || managed.engine() == EngineKind::Cosmos {
            return;
        }
        if let Ok(standing) = self.standing(managed, connection).await {
            self.inner.deliveries.note(managed.id(), standing);
        }
    }

    /// What there is to know of a registry for the health of the whole. Without an archive nothing waits for one.
    pub(super) async fn standing(
        &self,
        managed: &Managed,
        connection: &mut dyn Connection,
    ) -> Result<Standing, DatabaseError> {
        let mut standing = Standing::read(connection).await?;
        if self.archive_of(managed).is_none() {
            standing.undelivered = 0;
        }
        Ok(standing)
    }

    /// Returns when no delivery is under way in this process, and no announcement, for which it waits ten seconds at most:
    /// before it ends of its own will.
    pub async fn settle(&self) {
        self.settle_deliveries().await;
        self.settle_announcements().await;
    }

    async fn settle_deliveries(&self) {
        loop {
            let mut tasks = std::mem::take(
                &mut *self
                    .inner
                    .deliveries
                    .tasks
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            if tasks.is_empty() {
                return;
            }
            while tasks.join_next().await.is_some() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audit::chain::Link;
    use crate::audit::embedded::EmbeddedArchive;
    use crate::audit::{
        Added, Archive, ArchiveError, ArchiveErrorKind, ArchivedMigration, ArchivedSnapshot, Event,
        EventFilter, Partition, SnapshotHeader, Stream,
    };
    use crate::database::Place;
    use crate::engine::testing::Shop;
    use crate::engine::{
        Check, CheckStatus, DatabaseType, NewDatabase, SnapshotRequest, SnapshotType, Verification,
        VerifyRequest,
    };

    /// An archive that does not accept everything.
    #[derive(Debug)]
    struct Picky {
        inner: EmbeddedArchive,
        mood: Mutex<Mood>,
    }

    #[derive(Debug, Default)]
    struct Mood {
        /// Numbers of events, types of snapshots and ids of migrations that are refused.
        refuses: Vec<&'static str>,
        /// How many events are accepted until it is down.
        down_after: Option<usize>,
        /// What it was asked to accept and refused.
        refused: Vec<String>,
    }

    impl Picky {
        fn error(kind: ArchiveErrorKind) -> ArchiveError {
            ArchiveError {
                kind,
                phase: "testing",
                message: "too large for my taste".to_owned(),
            }
        }

        fn mood(&self) -> std::sync::MutexGuard<'_, Mood> {
            self.mood.lock().unwrap()
        }

        fn look_at(&self, what: &str) -> Result<(), ArchiveError> {
            let mut mood = self.mood();
            if mood.down_after == Some(0) {
                return Err(Self::error(ArchiveErrorKind::Unavailable));
            }
            if mood.refuses.contains(&what) {
                mood.refused.push(what.to_owned());
                return Err(Self::error(ArchiveErrorKind::Refused));
            }
            if let Some(left) = &mut mood.down_after {
                *left -= 1;
            }
            Ok(())
        }

        /// The longest beginning of a list that is accepted, and why not more.
        fn accepted<'a, T>(
            &self,
            items: &'a [T],
            name: impl Fn(&T) -> String,
        ) -> (&'a [T], Option<ArchiveError>) {
            for (count, item) in items.iter().enumerate() {
                if let Err(error) = self.look_at(&name(item)) {
                    return (&items[..count], Some(error));
                }
            }
            (items, None)
        }
    }

    #[async_trait::async_trait]
    impl Archive for Picky {
        fn source(&self) -> &'static str {
            self.inner.source()
        }
        async fn ping(&self) -> Result<(), ArchiveError> {
            self.inner.ping().await
        }
        async fn streams(&self, database: &DatabaseId) -> Result<Vec<Stream>, ArchiveError> {
            self.inner.streams(database).await
        }
        async fn record_stream(
            &self,
            stream: &Stream,
            place: &Place,
        ) -> Result<bool, ArchiveError> {
            self.inner.record_stream(stream, place).await
        }
        async fn add_events(&self, partition: &Partition, events: &[Event]) -> Added {
            let (accepted, stopped) = self.accepted(events, |event| event.sequence.to_string());
            let count = self.inner.add_events(partition, accepted).await.count;
            Added { count, stopped }
        }
        async fn events(
            &self,
            partition: &Partition,
            filter: &EventFilter,
            limit: u32,
        ) -> Result<Vec<Event>, ArchiveError> {
            self.inner.events(partition, filter, limit).await
        }
        async fn chain(
            &self,
            partition: &Partition,
            after: u64,
            limit: u32,
        ) -> Result<Vec<Link>, ArchiveError> {
            self.inner.chain(partition, after, limit).await
        }
        async fn add_snapshot(
            &self,
            partition: &Partition,
            snapshot: &ArchivedSnapshot,
        ) -> Result<(), ArchiveError> {
            self.look_at(&snapshot.header.kind)?;
            self.inner.add_snapshot(partition, snapshot).await
        }
        async fn snapshot_headers(
            &self,
            partition: &Partition,
        ) -> Result<Vec<SnapshotHeader>, ArchiveError> {
            self.inner.snapshot_headers(partition).await
        }
        async fn snapshot(
            &self,
            partition: &Partition,
            snapshot_id: &str,
        ) -> Result<Option<ArchivedSnapshot>, ArchiveError> {
            self.inner.snapshot(partition, snapshot_id).await
        }
        async fn put_migrations(
            &self,
            partition: &Partition,
            migrations: &[ArchivedMigration],
        ) -> Added {
            let name = |copy: &ArchivedMigration| copy.migration_id.clone();
            let (accepted, stopped) = self.accepted(migrations, name);
            let count = self.inner.put_migrations(partition, accepted).await.count;
            Added { count, stopped }
        }
        async fn migrations(
            &self,
            partition: &Partition,
        ) -> Result<Vec<ArchivedMigration>, ArchiveError> {
            self.inner.migrations(partition).await
        }
    }

    fn main() -> Partition {
        Partition::main(&Shop::id())
    }

    /// A shop at work whose archive is like this from the start.
    async fn shop_with(mood: Mood) -> (Shop, Arc<Picky>) {
        let mut shop = Shop::new();
        let options = shop.engine.options().clone();
        let picky = Arc::new(Picky {
            inner: EmbeddedArchive::in_folder(&options.data_dir),
            mood: Mutex::new(mood),
        });
        shop.engine = Engine::with_archive(options, picky.clone());
        for (file, up, down) in [
            (
                "V101__orders.sqlite.sql",
                "CREATE TABLE orders (id INTEGER PRIMARY KEY);",
                "DROP TABLE orders;",
            ),
            (
                "V102__customers.sqlite.sql",
                "CREATE TABLE customers (id INTEGER PRIMARY KEY);",
                "DROP TABLE customers;",
            ),
        ] {
            shop.create(file, up, Some(down)).await;
        }
        shop.run().await;
        (shop, picky)
    }

    async fn verify(shop: &Shop, fix: bool) -> Verification {
        let request = VerifyRequest {
            database_id: Shop::id(),
            environment: "dev".to_owned(),
            fix,
            resolve: None,
        };
        let verified = shop.engine.verify(&Shop::caller(), request).await.unwrap();
        shop.engine.settle().await;
        verified
    }

    fn delivery_of(verification: &Verification) -> &Check {
        let mut checks = verification.checks.iter();
        checks.find(|check| check.code == "trail-delivery").unwrap()
    }

    async fn numbers(archive: &dyn Archive) -> Vec<u64> {
        let links = archive.chain(&main(), 0, 1000).await.unwrap();
        links.iter().map(|link| link.sequence).collect()
    }

    #[tokio::test]
    async fn what_the_archive_refuses_holds_up_nothing_else_and_is_named() {
        let (shop, picky) = shop_with(Mood {
            refuses: vec!["2", "5", "baseline", "V101__orders"],
            ..Mood::default()
        })
        .await;
        let request = SnapshotRequest {
            database_id: Shop::id(),
            environment: "dev".to_owned(),
            kind: SnapshotType::Baseline,
        };
        let snapshot = shop.engine.take_snapshot(&Shop::caller(), request).await;
        let snapshot = snapshot.unwrap().snapshot_id;
        shop.engine.settle().await;
        let last: u64 = shop
            .ask("SELECT MAX(sequence) FROM audit_events")
            .parse()
            .unwrap();
        let expected: Vec<u64> = (1..=last)
            .filter(|number| ![2, 5].contains(number))
            .collect();
        assert_eq!(numbers(picky.as_ref()).await, expected);
        assert_eq!(picky.snapshot_headers(&main()).await.unwrap().len(), 1);
        let copies = picky.migrations(&main()).await.unwrap();
        let copies: Vec<&str> = copies
            .iter()
            .map(|copy| copy.migration_id.as_str())
            .collect();
        assert!(copies.contains(&"V102__customers") && !copies.contains(&"V101__orders"));

        let verified = verify(&shop, false).await;
        assert!(verified.healthy, "{verified:#?}");
        let check = delivery_of(&verified);
        assert_eq!(check.status, CheckStatus::Warn);
        assert_eq!(
            check.items,
            [
                "event 2: too large for my taste".to_owned(),
                "event 5: too large for my taste".to_owned(),
                format!("snapshot {snapshot}: too large for my taste"),
                "definition of V101__orders: too large for my taste".to_owned(),
            ]
        );
        // Its content is where it was staged.
        let found = shop.engine.snapshot(None, &snapshot).await;
        assert_eq!(found.unwrap().schema.tables.len(), 2);

        // The timer leaves them alone for an hour; whoever asks for it has them tried again.
        picky.mood().refused.clear();
        let told = shop
            .engine
            .tend_runs(std::time::Duration::from_secs(60))
            .await;
        assert_eq!(told, [""; 0]);
        assert_eq!(picky.mood().refused, [""; 0]);
        let check = delivery_of(&verify(&shop, true).await).clone();
        assert_eq!(check.status, CheckStatus::Warn);
        assert_eq!(picky.mood().refused, ["2", "5", "baseline", "V101__orders"]);
        // As if the hour were over.
        for table in ["audit_events", "schema_snapshots", "migration_registry"] {
            shop.by_hand(&format!(
                "UPDATE {table} SET refused_at = '2025-11-27T14:30:00.000Z' WHERE refused_at IS NOT NULL"
            ));
        }
        picky.mood().refused.clear();
        let told = shop
            .engine
            .tend_runs(std::time::Duration::from_secs(60))
            .await;
        assert_eq!(
            told,
            ["shop: the archive does not accept 4; verifying names them"]
        );
        assert_eq!(picky.mood().refused, ["2", "5", "baseline", "V101__orders"]);

        picky.mood().refuses.clear();
        assert_eq!(
            delivery_of(&verify(&shop, true).await).status,
            CheckStatus::Fixed
        );
        let verified = verify(&shop, false).await;
        let passed = |check: &Check| check.status == CheckStatus::Pass;
        assert!(verified.checks.iter().all(passed), "{verified:#?}");
    }

    #[tokio::test]
    async fn a_changed_text_is_tried_at_once_though_the_former_was_refused() {
        let (shop, picky) = shop_with(Mood {
            refuses: vec!["V103__x"],
            ..Mood::default()
        })
        .await;
        shop.create("V103__x.sqlite.sql", "SELECT 1;", None).await;
        shop.engine.settle().await;
        assert_eq!(picky.mood().refused, ["V103__x"]);
        picky.mood().refuses.clear();
        shop.by_hand(
            "UPDATE migration_registry SET revision = revision + 1 WHERE migration_id = 'V103__x'",
        );
        shop.engine
            .tend_runs(std::time::Duration::from_secs(60))
            .await;
        let copies = picky.migrations(&main()).await.unwrap();
        assert!(copies.iter().any(|copy| copy.migration_id == "V103__x"));
    }

    #[tokio::test]
    async fn a_row_that_is_no_event_any_more_holds_up_nothing_else() {
        let shop = Shop::at_work().await;
        shop.by_hand_in_archive("DELETE FROM \"change-events\"");
        shop.by_hand(
            "UPDATE audit_events SET delivered_at = NULL; UPDATE audit_events SET type = 'x' WHERE sequence = 3; \
             UPDATE audit_events SET data = '{' WHERE sequence = 7",
        );
        let told = shop
            .engine
            .tend_runs(std::time::Duration::from_secs(60))
            .await;
        assert!(
            told[0].ends_with("the archive does not accept 2; verifying names them"),
            "{told:?}"
        );
        let verified = verify(&shop, false).await;
        let reason = "the row is no event any more";
        assert_eq!(
            delivery_of(&verified).items,
            [format!("event 3: {reason}"), format!("event 7: {reason}")]
        );
        let archived: u64 = shop
            .ask_archive("SELECT COUNT(*) FROM \"change-events\"")
            .parse()
            .unwrap();
        let all: u64 = shop
            .ask("SELECT COUNT(*) FROM audit_events")
            .parse()
            .unwrap();
        assert_eq!(archived, all - 2);
    }

    #[tokio::test]
    async fn what_waits_in_another_registry_shows_in_the_health_of_whoever_tried_to_deliver_it() {
        let (shop, picky) = shop_with(Mood::default()).await;
        let waiting = async || shop.engine.health().await.checks.trail.undelivered;
        assert_eq!(waiting().await, Some(0));
        picky.mood().down_after = Some(0);
        let orders = NewDatabase {
            database_id: DatabaseId::parse("orders").unwrap(),
            kind: DatabaseType::Sql,
            engine: EngineKind::Sqlite,
            environment: "dev".to_owned(),
            server_name: None,
            database_name: None,
            folder: "orders".to_owned(),
            connection: None,
        };
        shop.engine
            .put_database(&Shop::caller(), orders)
            .await
            .unwrap();
        shop.engine.settle().await;
        let count = |file: &str| {
            let file = rusqlite::Connection::open(shop.file(file)).unwrap();
            let waiting = "SELECT COUNT(*) FROM audit_events WHERE delivered_at IS NULL";
            let count: i64 = file.query_row(waiting, [], |row| row.get(0)).unwrap();
            count.unsigned_abs()
        };
        let (here, there) = (count("shop.sqlite"), count("orders.sqlite"));
        assert!(here > 0 && there > 0, "{here} {there}");
        assert_eq!(waiting().await, Some(here + there));
        picky.mood().down_after = None;
        shop.engine
            .tend_runs(std::time::Duration::from_secs(60))
            .await;
        assert_eq!(waiting().await, Some(0));
    }

    #[tokio::test]
    async fn an_outage_in_the_middle_keeps_what_was_added_and_goes_on_there() {
        let (shop, picky) = shop_with(Mood {
            down_after: Some(3),
            ..Mood::default()
        })
        .await;
        assert_eq!(numbers(picky.as_ref()).await, [1, 2, 3]);
        let waiting = "SELECT MIN(sequence) FROM audit_events WHERE delivered_at IS NULL AND refused_at IS NULL";
        assert_eq!(shop.ask(waiting), "4");
        let told = shop
            .engine
            .tend_runs(std::time::Duration::from_secs(60))
            .await;
        assert!(
            told[0].starts_with("shop: delivering is delayed"),
            "{told:?}"
        );
        picky.mood().down_after = None;
        shop.engine
            .tend_runs(std::time::Duration::from_secs(60))
            .await;
        let verified = verify(&shop, false).await;
        let passed = |check: &Check| check.status == CheckStatus::Pass;
        assert!(verified.checks.iter().all(passed), "{verified:#?}");
    }
}
