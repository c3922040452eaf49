//! Azure SQL Database and SQL Server, reached through tiberius.

mod connect;
mod connection;
mod connection_string;
mod credentials;
mod exchange;
mod introspection;
mod leftovers;
mod pool;
mod retry;
mod script_run;
mod session;
mod target;
#[cfg(test)]
pub(super) mod testing;
mod transcript;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Access, Connection, Database, DatabaseError, OwnTables, Place, RegistrySchema};
use crate::script::EngineKind;

pub use connect::{ConnectError, ConnectOptions, Connector, Connectors};
pub use connection::SqlServerConnection;
pub use connection_string::{ConnectionString, ConnectionStringError};
use pool::Pools;
pub use retry::RetryPolicy;

/// What a script may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptLimits {
    /// How long a batch may take before it is cancelled and fails; none leaves it to the connection string, whose default is
    /// no limit.
    pub batch: Option<Duration>,
    /// How long a statement of a script without a transaction may wait for a lock.
    pub lock_wait: Duration,
}

/// A database on a server.
#[derive(Debug, Clone)]
pub struct SqlServerDatabase {
    pools: Arc<Pools>,
    limits: ScriptLimits,
    own_tables: Option<OwnTables>,
    schema: RegistrySchema,
}

impl SqlServerDatabase {
    /// The database that `connector` reaches; connects when it is first opened.
    pub fn new(connector: Connector, limits: ScriptLimits) -> Self {
        Self {
            pools: Arc::new(Pools::new(connector)),
            limits,
            own_tables: None,
            schema: RegistrySchema::default(),
        }
    }

    /// Which tables are dbvc's own, and in which schema: a database without them has no registry. Defaults to none, in `dbo`.
    #[must_use]
    pub fn with_own_tables(mut self, tables: OwnTables, schema: RegistrySchema) -> Self {
        self.own_tables = Some(tables);
        self.schema = schema;
        self
    }
}

#[async_trait]
impl Database for SqlServerDatabase {
    fn engine(&self) -> EngineKind {
        EngineKind::SqlServer
    }

    async fn place(&self) -> Result<Place, DatabaseError> {
        let mut lent = self.pools.get(Access::Read).await?;
        let session = lent.session();
        Ok(Place {
            engine: EngineKind::SqlServer,
            server: session.server.clone(),
            database: session.database.clone(),
        })
    }

    async fn open(&self, access: Access) -> Result<Box<dyn Connection>, DatabaseError> {
        let connection = SqlServerConnection::open(self, access).await?;
        Ok(Box::new(connection))
    }
}
