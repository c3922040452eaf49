//! The databases that a process has met: each keeps its connections for the next who needs one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::database::cosmos::{CosmosDatabase, CosmosTargets};
use crate::database::identity::Identities;
use crate::database::reference::ConnectionReference;
use crate::database::sql_server::{
    ConnectOptions, Connectors, RetryPolicy, ScriptLimits, SqlServerDatabase,
};
use crate::database::sqlite::SqliteDatabase;
use crate::database::{Database, DatabaseError, RegistrySchema};
use crate::registry::inventory::InventoryRow;
use crate::registry::presence::{ON_SQL_SERVER, ON_SQLITE};
use crate::script::{DatabaseId, EngineKind};

use super::EngineOptions;
use super::error::EngineError;

/// How databases are reached.
#[derive(Debug)]
pub(super) struct Databases {
    home: Arc<dyn Database>,
    connectors: Connectors,
    data_dir: PathBuf,
    statement_timeout: Option<Duration>,
    limits: ScriptLimits,
    registry_schema: RegistrySchema,
    allowed_hosts: Vec<String>,
    /// Those on servers, by what the inventory says of their connection.
    on_servers: Mutex<HashMap<String, SqlServerDatabase>>,
    cosmos: CosmosTargets,
    /// Those of Cosmos DB, by their ids and what the inventory says of their connection.
    on_cosmos: Mutex<HashMap<CosmosKey, CosmosDatabase>>,
}

/// A row's id, reference and name of the database.
type CosmosKey = (DatabaseId, String, Option<String>);

impl Databases {
    pub fn new(options: &EngineOptions, identities: Arc<Identities>) -> Self {
        let connectors = Connectors::new(ConnectOptions {
            identities: identities.clone(),
            allowed_hosts: options.allowed_hosts.clone(),
            variables: options.connection_variables.clone(),
            retry: RetryPolicy::default(),
        });
        let limits = ScriptLimits {
            batch: options.statement_timeout,
            lock_wait: options.script_wait(),
        };
        let home: Arc<dyn Database> = match &options.home_connection {
            Some(connection) => Arc::new(
                SqlServerDatabase::new(connectors.to(connection.clone()), limits)
                    .with_own_tables(ON_SQL_SERVER, options.registry_schema.clone()),
            ),
            None => Arc::new(embedded(
                &options.data_dir,
                &options.home,
                options.statement_timeout,
            )),
        };
        Self {
            cosmos: CosmosTargets::new(
                identities,
                options.connection_variables.clone(),
                options.allowed_hosts.clone(),
            ),
            on_cosmos: Mutex::default(),
            home,
            connectors,
            data_dir: options.data_dir.clone(),
            statement_timeout: options.statement_timeout,
            limits,
            registry_schema: options.registry_schema.clone(),
            allowed_hosts: options.allowed_hosts.clone(),
            on_servers: Mutex::default(),
        }
    }

    /// The home database, as the settings say; what its row says of it is for people.
    pub fn home(&self) -> Arc<dyn Database> {
        Arc::clone(&self.home)
    }

    /// The database of a row of the inventory. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// When this dbvc has no engine for it, or its reference leads nowhere.
    pub fn of(&self, row: &InventoryRow) -> Result<Arc<dyn Database>, EngineError> {
        match row.engine {
            EngineKind::Sqlite => Ok(Arc::new(embedded(
                &self.data_dir,
                &row.database_id,
                self.statement_timeout,
            ))),
            EngineKind::SqlServer => self.on_server(row),
            EngineKind::Cosmos => self.on_cosmos(row),
        }
    }

    fn on_cosmos(&self, row: &InventoryRow) -> Result<Arc<dyn Database>, EngineError> {
        let reference = row.connection.clone().unwrap_or_default();
        let key = (
            row.database_id.clone(),
            reference.clone(),
            row.database_name.clone(),
        );
        let mut known = self
            .on_cosmos
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = known.get(&key) {
            return Ok(Arc::new(database.clone()));
        }
        let parsed = self.parse(row, &reference)?;
        let target = self
            .cosmos
            .by(&parsed, row.database_name.as_deref())
            .map_err(|error| unavailable(row, error))?;
        let database = CosmosDatabase::new(target, self.home(), self.statement_timeout);
        known.insert(key, database.clone());
        Ok(Arc::new(database))
    }

    /// The reference of a row, held against the limits again: the row may be older than they are.
    fn parse(
        &self,
        row: &InventoryRow,
        reference: &str,
    ) -> Result<ConnectionReference, EngineError> {
        ConnectionReference::parse(reference, &self.allowed_hosts)
            .map_err(|error| unavailable(row, error))
    }

    fn on_server(&self, row: &InventoryRow) -> Result<Arc<dyn Database>, EngineError> {
        let reference = row.connection.clone().unwrap_or_default();
        let mut known = self
            .on_servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = known.get(&reference) {
            return Ok(Arc::new(database.clone()));
        }
        let parsed = self.parse(row, &reference)?;
        let connector = self
            .connectors
            .by(&parsed)
            .map_err(|error| unavailable(row, error))?;
        let database = SqlServerDatabase::new(connector, self.limits)
            .with_own_tables(ON_SQL_SERVER, self.registry_schema.clone());
        known.insert(reference, database.clone());
        Ok(Arc::new(database))
    }
}

fn unavailable(row: &InventoryRow, error: impl std::fmt::Display) -> EngineError {
    EngineError::Unavailable {
        database: row.database_id.clone(),
        source: Some(DatabaseError::Unavailable {
            phase: "following its reference",
            message: error.to_string(),
        }),
    }
}

fn embedded(
    data_dir: &std::path::Path,
    id: &DatabaseId,
    statement_timeout: Option<Duration>,
) -> SqliteDatabase {
    SqliteDatabase::new(data_dir.join(format!("{id}.sqlite")), statement_timeout)
        .with_own_tables(ON_SQLITE)
}
