//! A Cosmos DB database that dbvc manages: its containers are changed by operations, and its records are in the home
//! database's registry, because Cosmos DB has no transaction that could hold both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use super::super::{Access, Connection, Database, DatabaseError, Place};
use super::connection::CosmosConnection;
use super::target::CosmosTarget;
use crate::script::EngineKind;

/// A database of a Cosmos DB account, with the database that holds its records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CosmosDatabase {
    pub(super) target: CosmosTarget,
    pub(super) home: Arc<dyn Database>,
    pub(super) statement_timeout: Option<Duration>,
    pub(super) sessions: Sessions,
}

impl CosmosDatabase {
    /// The database at `target`, whose records are in `home`. An operation that takes longer than `statement_timeout` is
    /// given up and fails.
    pub fn new(
        target: CosmosTarget,
        home: Arc<dyn Database>,
        statement_timeout: Option<Duration>,
    ) -> Self {
        Self {
            target,
            home,
            statement_timeout,
            sessions: Sessions::default(),
        }
    }

    /// Whether the home database is one file, which every writer has for itself.
    pub(super) fn shares_a_file(&self) -> bool {
        self.home.engine() == EngineKind::Sqlite
    }
}

#[async_trait]
impl Database for CosmosDatabase {
    fn engine(&self) -> EngineKind {
        EngineKind::Cosmos
    }

    fn has_key(&self) -> bool {
        self.target.has_key()
    }

    async fn place(&self) -> Result<Place, DatabaseError> {
        let handle = self
            .target
            .handle()
            .await
            .map_err(|error| DatabaseError::Unavailable {
                phase: "following its reference",
                message: error.to_string(),
            })?;
        Ok(Place {
            engine: EngineKind::Cosmos,
            server: handle.account_name(),
            database: handle.name().to_owned(),
        })
    }

    /// Opens the home database: Cosmos DB itself is asked only when there is something to ask.
    async fn open(&self, access: Access) -> Result<Box<dyn Connection>, DatabaseError> {
        let home = self.home.open(access).await?;
        Ok(Box::new(CosmosConnection::new(self.clone(), home)))
    }
}

/// Who keeps whom off within this process. On an embedded home database, whose file is the lock of a SQL database, nothing
/// else would keep two sessions from the same Cosmos DB database.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>);

impl Sessions {
    /// Waits for the others that took this name; none when they do not let go in time.
    pub async fn take(&self, name: &str, wait: Duration) -> Option<OwnedMutexGuard<()>> {
        let lock = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(name.to_owned()).or_default().clone()
        };
        tokio::time::timeout(wait, lock.lock_owned()).await.ok()
    }
}
