//! SQLite, the embedded engine: a database is one file.

mod connection;
pub mod introspection;
mod script_run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::{Access, Connection, Database, DatabaseError, OwnTables, Place};
use crate::script::EngineKind;

pub use connection::SqliteConnection;

/// A SQLite database in a file.
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    path: PathBuf,
    statement_timeout: Option<Duration>,
    own_tables: Option<OwnTables>,
}

impl SqliteDatabase {
    /// The database in the file at `path`, which need not exist yet. A statement of a script that takes longer than
    /// `statement_timeout` is interrupted and fails.
    pub fn new(path: impl Into<PathBuf>, statement_timeout: Option<Duration>) -> Self {
        Self {
            path: path.into(),
            statement_timeout,
            own_tables: None,
        }
    }

    /// Keeps scripts from changing these tables, which are dbvc's own; a database without them has no registry. Defaults to
    /// none.
    #[must_use]
    pub fn with_own_tables(mut self, tables: OwnTables) -> Self {
        self.own_tables = Some(tables);
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[async_trait]
impl Database for SqliteDatabase {
    fn engine(&self) -> EngineKind {
        EngineKind::Sqlite
    }

    async fn place(&self) -> Result<Place, DatabaseError> {
        let machine = hostname::get().unwrap_or_default();
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        Ok(Place {
            engine: EngineKind::Sqlite,
            server: machine.to_string_lossy().into_owned(),
            database: path.to_string_lossy().into_owned(),
        })
    }

    async fn open(&self, access: Access) -> Result<Box<dyn Connection>, DatabaseError> {
        let connection = SqliteConnection::open(self, access).await?;
        Ok(Box::new(connection))
    }
}
