//! The archive's containers: how they must be, and making them where that is possible.

use std::collections::HashMap;
use std::sync::Arc;

use azure_data_cosmos::ContainerClient;
use azure_data_cosmos::models::{ContainerProperties, TimeToLive};
use tokio::sync::Mutex;

use crate::database::cosmos::{CosmosFault, CosmosHandle, FaultKind};

use super::super::archive::{ArchiveError, ArchiveErrorKind};
use super::faults::while_reading;

/// The path that every container is partitioned by.
const PARTITION_KEY: &str = "/databaseId";

/// How a container must be.
#[derive(Debug)]
pub(super) struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Whether items may expire. Those of the others must never.
    expires: bool,
}

/// One document an event.
pub(super) static EVENTS: Spec = Spec {
    name: "change-events",
    expires: false,
};

/// Headers and parts of snapshots.
pub(super) static SNAPSHOTS: Spec = Spec {
    name: "schema-snapshots",
    expires: true,
};

/// Copies of the registry's migrations.
pub(super) static MIGRATIONS: Spec = Spec {
    name: "migrations",
    expires: false,
};

/// Whether a container is one of an archive's, by its name and the paths of its partition key.
pub fn is_archive_container(name: &str, partition_key: &[String]) -> bool {
    let is_named = [&EVENTS, &SNAPSHOTS, &MIGRATIONS]
        .iter()
        .any(|spec| spec.name == name);
    is_named && partition_key == [PARTITION_KEY]
}

impl Spec {
    fn properties(&self) -> ContainerProperties {
        let properties = ContainerProperties::new(self.name, PARTITION_KEY.into());
        if self.expires {
            properties.with_default_ttl(TimeToLive::NoDefault)
        } else {
            properties
        }
    }

    /// What to make, for whoever has to make it.
    fn in_words(&self) -> String {
        let ttl = if self.expires {
            " and default time to live -1 (\"on, no default\")"
        } else {
            ""
        };
        format!("{} with partition key {PARTITION_KEY}{ttl}", self.name)
    }

    /// What is wrong with a container, if anything.
    fn fault_of(&self, found: &ContainerProperties) -> Option<String> {
        let paths = found.partition_key.paths();
        if paths.len() != 1 || paths[0] != PARTITION_KEY {
            let paths: Vec<&str> = paths.iter().map(AsRef::as_ref).collect();
            return Some(format!(
                "the container {} is partitioned by {}, which cannot be changed: remove it, or name another database, and \
                 make the container {}",
                self.name,
                paths.join(", "),
                self.in_words()
            ));
        }
        match (&found.default_ttl, self.expires) {
            (TimeToLive::NoDefault, _) | (TimeToLive::Forever, false) => None,
            (TimeToLive::Forever, true) => Some(format!(
                "the container {} has no time to live, so that scheduled snapshots would stay forever: set its default time \
                 to live to -1 (\"on, no default\")",
                self.name
            )),
            _ => Some(format!(
                "the container {} drops its items after some time: {}",
                self.name,
                if self.expires {
                    "set its default time to live to -1 (\"on, no default\")"
                } else {
                    "switch its time to live off"
                }
            )),
        }
    }
}

/// The containers, each looked at once and remembered when it is as it must be.
#[derive(Clone)]
pub(super) struct Containers {
    handle: CosmosHandle,
    /// Locked while one is looked at, so that each is looked at once.
    good: Arc<Mutex<HashMap<&'static str, ContainerClient>>>,
}

impl std::fmt::Debug for Containers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handle.fmt(formatter)
    }
}

impl Containers {
    pub fn new(handle: CosmosHandle) -> Self {
        Self {
            handle,
            good: Arc::default(),
        }
    }

    /// A container to write to; made when it is not there and the account's key is known.
    pub async fn to_write(
        &self,
        spec: &'static Spec,
        phase: &'static str,
    ) -> Result<ContainerClient, ArchiveError> {
        let mut good = self.good.lock().await;
        if let Some(container) = good.get(spec.name) {
            return Ok(container.clone());
        }
        let mut found = self.look(spec, phase).await?;
        if found.is_none() && self.handle.has_key() {
            self.make(spec).await.map_err(while_reading(phase))?;
            self.handle.forget_container(spec.name).await;
            found = self.look(spec, phase).await?;
        }
        let container = found.ok_or_else(|| self.missing(spec, phase))?;
        good.insert(spec.name, container.clone());
        Ok(container)
    }

    /// A container to read from; none when nothing was ever written to it, which is for writing to change.
    pub async fn to_read(
        &self,
        spec: &'static Spec,
        phase: &'static str,
    ) -> Result<Option<ContainerClient>, ArchiveError> {
        let mut good = self.good.lock().await;
        if let Some(container) = good.get(spec.name) {
            return Ok(Some(container.clone()));
        }
        match self.look(spec, phase).await? {
            Some(container) => {
                good.insert(spec.name, container.clone());
                Ok(Some(container))
            }
            None if self.handle.has_key() => Ok(None),
            None => Err(self.missing(spec, phase)),
        }
    }

    /// The container, if it is there.
    ///
    /// # Errors
    ///
    /// Also when it is not as it must be.
    async fn look(
        &self,
        spec: &'static Spec,
        phase: &'static str,
    ) -> Result<Option<ContainerClient>, ArchiveError> {
        let look = async {
            let container = self.handle.container(spec.name).await?;
            // The driver may remember one that is not there any more.
            let found: ContainerProperties = container.read(None).await?.into_model()?;
            Ok((container, found))
        };
        let (container, found) = match look.await {
            Ok(looked) => looked,
            Err(CosmosFault {
                kind: FaultKind::NotFound,
                ..
            }) => return Ok(None),
            Err(fault) => return Err(while_reading(phase)(fault)),
        };
        match spec.fault_of(&found) {
            None => Ok(Some(container)),
            Some(fault) => Err(not_as_it_must_be(phase, fault)),
        }
    }

    /// Forgets a container that does not seem to be there any more, so that the next use looks again.
    pub async fn look_again_after(&self, spec: &'static Spec, fault: &CosmosFault) {
        if fault.kind == FaultKind::NotFound {
            self.good.lock().await.remove(spec.name);
            self.handle.forget_container(spec.name).await;
        }
    }

    /// Makes the container, and the database. Another instance may be faster with either.
    async fn make(&self, spec: &'static Spec) -> Result<(), CosmosFault> {
        let client = self.handle.client().await?;
        made(client.create_database(self.handle.name(), None).await)?;
        let database = self.handle.database().await?;
        made(database.create_container(spec.properties(), None).await)?;
        tracing::info!(
            database = self.handle.name(),
            container = spec.name,
            "made a container of the archive"
        );
        Ok(())
    }

    fn missing(&self, spec: &'static Spec, phase: &'static str) -> ArchiveError {
        let all: Vec<String> = [&EVENTS, &SNAPSHOTS, &MIGRATIONS]
            .iter()
            .map(|spec| spec.in_words())
            .collect();
        not_as_it_must_be(
            phase,
            format!(
                "there is no container {} in the database {}, and without the account's key dbvc cannot make it; the database \
                 needs the containers {}",
                spec.name,
                self.handle.name(),
                all.join("; ")
            ),
        )
    }
}

fn made<T>(outcome: azure_data_cosmos::Result<T>) -> Result<(), CosmosFault> {
    match outcome.map_err(CosmosFault::from) {
        Err(fault) if fault.kind != FaultKind::Conflict => Err(fault),
        _ => Ok(()),
    }
}

fn not_as_it_must_be(phase: &'static str, message: String) -> ArchiveError {
    ArchiveError {
        kind: ArchiveErrorKind::Unavailable,
        phase,
        message,
    }
}
