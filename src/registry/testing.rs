//! A registry on a database of a test's own, past the engine: for what only two that write at once would meet.
#![cfg(test)]

use super::definition::OWN_VERSIONS;
use crate::database::sqlite::SqliteDatabase;
use crate::database::{Access, Connection, Database, Statement, ask};
use crate::script::DatabaseId;

/// dbvc's own tables, and nothing in them.
pub(super) struct Registry {
    connection: Box<dyn Connection>,
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Registry {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        let raw = rusqlite::Connection::open(&path).unwrap();
        for own in OWN_VERSIONS {
            raw.execute_batch(own.sqlite).unwrap();
        }
        let database = SqliteDatabase::new(&path, None);
        let connection = database.open(Access::Write).await.unwrap();
        Self {
            connection,
            path,
            _folder: folder,
        }
    }

    pub fn id() -> DatabaseId {
        DatabaseId::parse("shop").unwrap()
    }

    /// How many rows a statement changes.
    pub async fn changes(&mut self, statement: Statement) -> u64 {
        let reply = ask(self.connection.as_mut(), statement).await;
        reply.unwrap().affected
    }

    pub fn by_hand(&self, sql: &str) {
        let raw = rusqlite::Connection::open(&self.path).unwrap();
        raw.execute_batch(sql).unwrap();
    }
}
