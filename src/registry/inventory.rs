//! The inventory: the databases that dbvc manages. Kept in the home database.

use crate::database::{ColumnError, Row, Statement, Value};
use crate::script::{DatabaseId, EngineKind};
use crate::time::Timestamp;

use super::statements as sql;

/// A database of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryRow {
    /// Its id.
    pub database_id: DatabaseId,
    /// `sql` or `cosmos`.
    pub kind: String,
    /// Its engine.
    pub engine: EngineKind,
    /// Its environment.
    pub environment: String,
    /// The server, for people.
    pub server_name: Option<String>,
    /// The database's name on the server, for people.
    pub database_name: Option<String>,
    /// The subfolder of the migrations folder that holds its scripts.
    pub folder: String,
    /// A reference to its connection string; none for the home database and for embedded ones.
    pub connection: Option<String>,
}

/// The whole inventory.
pub fn all() -> Statement {
    sql::INVENTORY_ALL.bind([])
}

impl InventoryRow {
    fn parameters(&self, at: Timestamp) -> [Value; 9] {
        [
            self.database_id.as_str().into(),
            self.kind.as_str().into(),
            self.engine.as_str().into(),
            self.environment.as_str().into(),
            self.server_name.as_deref().into(),
            self.database_name.as_deref().into(),
            self.folder.as_str().into(),
            self.connection.as_deref().into(),
            at.into(),
        ]
    }

    /// Changes the row of this id, if there is one.
    pub fn update(&self, at: Timestamp) -> Statement {
        sql::INVENTORY_UPDATE.bind(self.parameters(at))
    }

    /// Adds the row, unless there is one of this id.
    pub fn insert(&self, at: Timestamp) -> Statement {
        sql::INVENTORY_INSERT.bind(self.parameters(at))
    }
}

/// A row of the inventory.
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse(row: &Row) -> Result<InventoryRow, ColumnError> {
    let optional = |column: &str| {
        row.optional_text(column)
            .map(|text| text.map(str::to_owned))
    };
    Ok(InventoryRow {
        database_id: row.parsed("database_id", "a database's id")?,
        kind: row.text("type")?.to_owned(),
        engine: row.parsed("engine", "an engine")?,
        environment: row.text("environment")?.to_owned(),
        server_name: optional("server_name")?,
        database_name: optional("database_name")?,
        folder: row.text("folder")?.to_owned(),
        connection: optional("connection")?,
    })
}
