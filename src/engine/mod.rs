//! The migration engine: everything that changes a database goes through it, whoever asks.

mod access;
mod announcing;
mod archiving;
mod between_runs;
mod cancel;
mod create;
mod database_run;
mod databases;
mod delivery;
mod drift;
mod drift_timer;
mod drive;
mod dry_run;
mod error;
mod first_run;
mod health;
mod heartbeat;
mod history;
mod live;
mod planning;
mod pulse;
mod reach;
mod recovery;
mod request;
mod restore;
mod run;
mod run_result;
mod script_execution;
mod snapshots;
mod status;
mod testing;
mod timers;
mod verify;
mod view;
mod withdraw;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use error::{Door, EngineError, FieldError, LockHolder, ProblemNote};
pub use first_run::NotEmpty;
pub use request::*;
pub use restore::{FoundObjects, LostRegistry};
pub use run::Wait;
pub use view::*;

use crate::alert::{Webhook, WebhookAddress};
use crate::audit::Archive;
use crate::audit::cosmos::CosmosArchive;
use crate::audit::embedded::EmbeddedArchive;
use crate::database::RegistrySchema;
use crate::database::cosmos::{CosmosAccount, CosmosClients};
use crate::database::identity::{AppIdentity, Identities};
use crate::database::secrets::ConnectionVariables;
use crate::database::sql_server::ConnectionString;
use crate::script::{DatabaseId, Variables};

/// What a run does when it finds drift before its first script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDrift {
    /// Writes it down and goes on.
    #[default]
    Warn,
    /// Refuses to run.
    Refuse,
}

/// Where trail, snapshots and copies of migrations are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ArchivePlace {
    /// In the folder of the embedded databases, for these. A registry on a server has no archive then: it is shared, and a
    /// folder of one machine is not.
    #[default]
    Embedded,
    /// In a database of a Cosmos DB account.
    Cosmos {
        /// The account.
        account: CosmosAccount,
        /// The database's name.
        database: String,
    },
}

/// How an engine is set up.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The environment that it serves.
    pub environment: String,
    /// Id of the home database.
    pub home: DatabaseId,
    /// Where the home database is; none is an embedded one.
    pub home_connection: Option<ConnectionString>,
    /// Where trail, snapshots and copies are kept. Defaults to the embedded archive.
    pub archive: ArchivePlace,
    /// Days after which scheduled snapshots are dropped. Defaults to 90.
    pub snapshot_retention_days: u32,
    /// What `env:` references of the inventory may name. Defaults to none.
    pub connection_variables: ConnectionVariables,
    /// What scripts may use as `$(name)`. Defaults to none.
    pub script_variables: Variables,
    /// The identity of the process, for logins without a password. Defaults to that of a developer's tools.
    pub identity: AppIdentity,
    /// The schema of dbvc's own tables on SQL Server. Defaults to `dbo`.
    pub registry_schema: RegistrySchema,
    /// Folder of the embedded databases.
    pub data_dir: PathBuf,
    /// What a run does about drift. Defaults to [`OnDrift::Warn`].
    pub on_drift: OnDrift,
    /// Seconds after which a dead owner's lock is free, 1 to 3600. Defaults to 30.
    pub lease_seconds: u32,
    /// Databases worked on at once in a run over all of them. Defaults to 4.
    pub max_parallel_databases: usize,
    /// How long a statement of a script may take; none is no limit, which is the default.
    pub statement_timeout: Option<Duration>,
    /// How long a script waits for other writers of its database; none is no limit. Defaults to 30 seconds.
    pub lock_timeout: Option<Duration>,
    /// Host suffixes that may have a token of the app besides those of Azure's public cloud. Defaults to none.
    pub allowed_hosts: Vec<String>,
    /// Where drift and failures are announced. Defaults to nowhere.
    pub alert_webhook: Option<WebhookAddress>,
}

impl EngineOptions {
    /// How long a script waits for other writers of its database.
    fn script_wait(&self) -> Duration {
        // SQLite and SQL Server count milliseconds in 32 bits: three weeks stand for "no limit".
        self.lock_timeout
            .unwrap_or(Duration::from_secs(21 * 24 * 3600))
    }

    /// The embedded mode with everything else at its default.
    pub fn embedded(environment: &str, home: DatabaseId, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            environment: environment.to_owned(),
            home,
            home_connection: None,
            archive: ArchivePlace::Embedded,
            snapshot_retention_days: 90,
            connection_variables: ConnectionVariables::default(),
            script_variables: Variables::default(),
            identity: AppIdentity::default(),
            registry_schema: RegistrySchema::default(),
            data_dir: data_dir.into(),
            on_drift: OnDrift::default(),
            lease_seconds: 30,
            max_parallel_databases: 4,
            statement_timeout: None,
            lock_timeout: Some(Duration::from_secs(30)),
            allowed_hosts: Vec::new(),
            alert_webhook: None,
        }
    }
}

/// The engine. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: EngineOptions,
    /// How this process signs locks and runs.
    instance: String,
    archive: Arc<dyn Archive>,
    databases: reach::Databases,
    live: live::LiveRuns,
    streams: archiving::Streams,
    deliveries: delivery::Deliveries,
    /// None without a webhook.
    announcements: Option<announcing::Announcements>,
}

impl Engine {
    /// An engine with databases and archive as the options say. Opens and connects to nothing yet.
    pub fn open(options: EngineOptions) -> Self {
        let identities = Arc::new(Identities::new(options.identity.clone(), None));
        let archive: Arc<dyn Archive> = match &options.archive {
            ArchivePlace::Embedded => Arc::new(EmbeddedArchive::in_folder(&options.data_dir)),
            ArchivePlace::Cosmos { account, database } => {
                let clients = CosmosClients::new(Arc::clone(&identities));
                Arc::new(CosmosArchive::new(
                    clients.database(account.clone(), database),
                ))
            }
        };
        Self::assembled(options, identities, archive)
    }

    /// An engine with another archive than the options say.
    pub fn with_archive(options: EngineOptions, archive: Arc<dyn Archive>) -> Self {
        let identities = Arc::new(Identities::new(options.identity.clone(), None));
        Self::assembled(options, identities, archive)
    }

    fn assembled(
        options: EngineOptions,
        identities: Arc<Identities>,
        archive: Arc<dyn Archive>,
    ) -> Self {
        let instance = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        Self {
            inner: Arc::new(Inner {
                databases: reach::Databases::new(&options, identities),
                announcements: options
                    .alert_webhook
                    .clone()
                    .map(|address| announcing::Announcements::to(Webhook::new(address))),
                options,
                instance,
                archive,
                live: live::LiveRuns::default(),
                streams: archiving::Streams::default(),
                deliveries: delivery::Deliveries::default(),
            }),
        }
    }

    /// How it is set up.
    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }
}
