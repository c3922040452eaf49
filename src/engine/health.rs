//! Whether dbvc can do its work: asked often, by anybody, also when everything is down.

use std::time::{Duration, Instant};

use crate::database::{Access, DatabaseError};

use super::Engine;
use super::delivery::Standing;
use super::view::{
    AlertHealth, DriftHealth, Health, HealthChecks, HealthStatus, RegistryHealth, TrailHealth,
};

/// How long a probe may take. The probes run side by side, and the whole answer must be there within two seconds.
const PATIENCE: Duration = Duration::from_millis(1500);

impl Engine {
    /// Looks at the home database and the archive. Creates nothing: a machine on which nothing was ever done is healthy.
    ///
    /// Without the home database nothing works; without the archive events wait for it, and everything else goes on. Drift is
    /// told as far as snapshots show it; no schema is read.
    ///
    /// Other databases are not asked: this is asked often and by anybody, and a serverless database would never rest. Of
    /// them is told what was so when this process last delivered there, which the runs timer does every minute.
    pub async fn health(&self) -> Health {
        let ((registry, here), trail) = tokio::join!(self.probe_registry(), self.probe_archive());
        let all = here.map(|here| here.plus(self.inner.deliveries.seen()));
        let drifted = all.map(|all| all.drifted);
        let unannounced = all.map(|all| all.unannounced);
        let drift = DriftHealth {
            status: degraded_by(drifted),
            databases: drifted,
        };
        let alerts = self.inner.announcements.as_ref().map(|_| AlertHealth {
            status: degraded_by(unannounced),
            databases: unannounced,
        });
        let announcing = alerts
            .as_ref()
            .map_or(HealthStatus::Healthy, |alerts| alerts.status);
        Health {
            status: registry.status.max(trail).max(drift.status).max(announcing),
            version: env!("CARGO_PKG_VERSION"),
            environment: self.options().environment.clone(),
            mode: if self.options().home_connection.is_none()
                && self.inner.archive.source() == "embedded"
            {
                "embedded"
            } else {
                "azure"
            },
            checks: HealthChecks {
                registry,
                trail: TrailHealth {
                    status: trail,
                    archive: self.archive_word(self.home().engine()),
                    undelivered: all.map(|all| all.undelivered),
                },
                drift,
                alerts,
            },
        }
    }

    async fn probe_registry(&self) -> (RegistryHealth, Option<Standing>) {
        let home = self.home();
        let begun = Instant::now();
        let probe = async {
            let mut connection = home.database.open(Access::Read).await?;
            self.standing(&home, connection.as_mut()).await
        };
        let standing = match tokio::time::timeout(PATIENCE, probe).await {
            Ok(Ok(standing)) => Some(standing),
            // It answers; there is nothing in it yet.
            Ok(Err(DatabaseError::Absent | DatabaseError::NoRegistry { .. })) => {
                Some(Standing::default())
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the home database is not well");
                None
            }
            Err(_) => {
                tracing::warn!("the home database does not answer in time");
                None
            }
        };
        let health = match standing {
            Some(_) => RegistryHealth {
                status: HealthStatus::Healthy,
                latency_ms: Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
            },
            None => RegistryHealth {
                status: HealthStatus::Unhealthy,
                latency_ms: None,
            },
        };
        (health, standing)
    }

    async fn probe_archive(&self) -> HealthStatus {
        let Some(archive) = self.archive_of(&self.home()) else {
            return HealthStatus::Healthy;
        };
        match tokio::time::timeout(PATIENCE, archive.ping()).await {
            Ok(Ok(())) => return HealthStatus::Healthy,
            Ok(Err(error)) => tracing::warn!(%error, "the archive is not well"),
            Err(_) => tracing::warn!("the archive does not answer in time"),
        }
        HealthStatus::Degraded
    }
}

/// What cannot be counted is the registry's trouble, not one of its own.
fn degraded_by(count: Option<u64>) -> HealthStatus {
    match count {
        Some(0) | None => HealthStatus::Healthy,
        Some(_) => HealthStatus::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::Link;
    use crate::audit::{
        Added, Archive, ArchiveError, ArchivedMigration, ArchivedSnapshot, Event, EventFilter,
        Partition, SnapshotHeader, Stream,
    };
    use crate::database::Place;
    use crate::engine::testing::Shop;
    use crate::engine::{DryRun, HistoryQuery, OutOfOrder, RunRequest, RunStatus, Target, Wait};
    use crate::script::DatabaseId;

    #[tokio::test]
    async fn a_fresh_machine_is_healthy_and_stays_fresh() {
        let shop = Shop::new();
        let health = shop.engine.health().await;
        assert_eq!(health.status, HealthStatus::Healthy);
        assert_eq!(health.mode, "embedded");
        assert!(health.checks.registry.latency_ms.is_some());
        assert_eq!(health.checks.trail.undelivered, Some(0));
        assert!(shop.is_empty());
    }

    #[tokio::test]
    async fn a_home_database_that_cannot_be_read_is_unhealthy_and_a_broken_archive_is_not() {
        let shop = Shop::at_work().await;
        shop.by_hand("UPDATE audit_events SET delivered_at = NULL WHERE sequence > 3");
        std::fs::write(
            shop.file("_version-control.sqlite"),
            "no database, but long enough for one",
        )
        .unwrap();
        let health = shop.engine.health().await;
        assert_eq!(health.status, HealthStatus::Degraded);
        assert!(health.checks.trail.undelivered > Some(0));

        std::fs::write(
            shop.file("shop.sqlite"),
            "no database, but long enough to look like one",
        )
        .unwrap();
        let health = shop.engine.health().await;
        assert_eq!(health.status, HealthStatus::Unhealthy);
        assert_eq!(health.checks.registry.latency_ms, None);
        assert_eq!(health.checks.trail.undelivered, None);
    }

    /// An archive that answers nothing, as a server does behind a broken network.
    #[derive(Debug)]
    struct Silent;

    #[async_trait::async_trait]
    impl Archive for Silent {
        fn source(&self) -> &'static str {
            "cosmos"
        }
        async fn ping(&self) -> Result<(), ArchiveError> {
            std::future::pending().await
        }
        async fn streams(&self, _: &DatabaseId) -> Result<Vec<Stream>, ArchiveError> {
            std::future::pending().await
        }
        async fn record_stream(&self, _: &Stream, _: &Place) -> Result<bool, ArchiveError> {
            std::future::pending().await
        }
        async fn add_events(&self, _: &Partition, _: &[Event]) -> Added {
            std::future::pending().await
        }
        async fn events(
            &self,
            _: &Partition,
            _: &EventFilter,
            _: u32,
        ) -> Result<Vec<Event>, ArchiveError> {
            std::future::pending().await
        }
        async fn chain(&self, _: &Partition, _: u64, _: u32) -> Result<Vec<Link>, ArchiveError> {
            std::future::pending().await
        }
        async fn add_snapshot(
            &self,
            _: &Partition,
            _: &ArchivedSnapshot,
        ) -> Result<(), ArchiveError> {
            std::future::pending().await
        }
        async fn snapshot_headers(
            &self,
            _: &Partition,
        ) -> Result<Vec<SnapshotHeader>, ArchiveError> {
            std::future::pending().await
        }
        async fn snapshot(
            &self,
            _: &Partition,
            _: &str,
        ) -> Result<Option<ArchivedSnapshot>, ArchiveError> {
            std::future::pending().await
        }
        async fn put_migrations(&self, _: &Partition, _: &[ArchivedMigration]) -> Added {
            std::future::pending().await
        }
        async fn migrations(&self, _: &Partition) -> Result<Vec<ArchivedMigration>, ArchiveError> {
            std::future::pending().await
        }
    }

    /// An engine on the shop's databases whose archive answers nothing.
    fn with_silent_archive(shop: &Shop) -> Engine {
        let options = shop.engine.options().clone();
        Engine::with_archive(options, std::sync::Arc::new(Silent))
    }

    #[tokio::test(start_paused = true)]
    async fn an_archive_that_does_not_answer_holds_nobody_up_for_long() {
        let shop = Shop::at_work().await;
        let engine = with_silent_archive(&shop);
        let query = HistoryQuery {
            database_id: Shop::id(),
            migration_id: None,
            kind: None,
            since: None,
            limit: 1000,
            continuation: None,
        };
        let begun = tokio::time::Instant::now();
        let history = engine.history(&query).await.unwrap();
        assert_eq!(history.source, "registry");
        assert!(history.events.len() > 4);
        assert!(begun.elapsed() < Duration::from_secs(15));
        // The content of the last trusted snapshot is in the archive; a change by hand has a run ask for it.
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        let begun = tokio::time::Instant::now();
        let run = RunRequest {
            database_id: Target::One(Shop::id()),
            environment: "dev".to_owned(),
            target: None,
            out_of_order: OutOfOrder::Error,
            baseline: None,
            allow_not_empty: false,
            dry_run: DryRun::No,
            migrations: Vec::new(),
        };
        shop.create("V103__t.sqlite.sql", "CREATE TABLE t (id INTEGER);", None)
            .await;
        let run = engine
            .run(&Shop::caller(), run, Wait::ToTheEnd)
            .await
            .unwrap();
        assert_eq!(run.status, RunStatus::Succeeded);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn the_answer_comes_in_time_when_the_archive_does_not() {
        let shop = Shop::at_work().await;
        let engine = with_silent_archive(&shop);
        let begun = Instant::now();
        let health = engine.health().await;
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert_eq!(health.status, HealthStatus::Degraded);
        assert_eq!(health.mode, "azure");
        assert_eq!(health.checks.registry.status, HealthStatus::Healthy);
    }
}
