//! A shop with one embedded database, for the engine's own tests.
#![cfg(test)]

use std::path::PathBuf;

use crate::script::{DatabaseId, FileName};

use super::{
    Caller, Engine, EngineOptions, Naming, NewMigration, OutOfOrder, Run, RunRequest, Target, Wait,
};

/// An engine on a folder of its own.
pub(super) struct Shop {
    pub engine: Engine,
    folder: tempfile::TempDir,
}

impl Shop {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(adjust: impl FnOnce(&mut EngineOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = EngineOptions::embedded("dev", Self::id(), folder.path());
        adjust(&mut options);
        Self {
            engine: Engine::open(options),
            folder,
        }
    }

    pub fn id() -> DatabaseId {
        DatabaseId::parse("shop").unwrap()
    }

    pub fn caller() -> Caller {
        Caller {
            executor: "developer@lpa.com".to_owned(),
            principal: None,
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Does by hand, behind the engine's back, what nobody should do to the home database.
    pub fn by_hand(&self, sql: &str) {
        self.by_hand_in("shop.sqlite", sql);
    }

    /// The same to the archive.
    pub fn by_hand_in_archive(&self, sql: &str) {
        self.by_hand_in("_version-control.sqlite", sql);
    }

    fn by_hand_in(&self, file: &str, sql: &str) {
        let connection = rusqlite::Connection::open(self.file(file)).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// The first column of the first row.
    pub fn ask(&self, sql: &str) -> String {
        self.ask_in("shop.sqlite", sql)
    }

    /// The same of the archive.
    pub fn ask_archive(&self, sql: &str) -> String {
        self.ask_in("_version-control.sqlite", sql)
    }

    fn ask_in(&self, file: &str, sql: &str) -> String {
        let connection = rusqlite::Connection::open(self.file(file)).unwrap();
        connection
            .query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            })
            .unwrap()
    }

    /// Registers a script of the home database under the name of its file.
    pub async fn create(&self, file: &str, up: &str, down: Option<&str>) {
        let new = NewMigration {
            database_id: Self::id(),
            naming: Naming::File(FileName::parse(file).unwrap()),
            author: "developer@lpa.com".to_owned(),
            description: None,
            up_script: up.to_owned(),
            down_script: down.map(str::to_owned),
            reregister: false,
        };
        self.engine.create(&Self::caller(), new).await.unwrap();
    }

    /// Runs what is pending, and waits until the archive has everything.
    pub async fn run(&self) -> Run {
        let request = RunRequest {
            database_id: Target::One(Self::id()),
            environment: "dev".to_owned(),
            target: None,
            out_of_order: OutOfOrder::Error,
            baseline: None,
            allow_not_empty: false,
            dry_run: super::DryRun::No,
            migrations: Vec::new(),
        };
        let run = self
            .engine
            .run(&Self::caller(), request, Wait::ToTheEnd)
            .await
            .unwrap();
        self.engine.settle().await;
        run
    }

    /// A shop in which two migrations ran: `orders`, then `customers`.
    pub async fn at_work() -> Self {
        let shop = Self::new();
        shop.create(
            "V101__orders.sqlite.sql",
            "CREATE TABLE orders (id INTEGER PRIMARY KEY);",
            Some("DROP TABLE orders;"),
        )
        .await;
        shop.create(
            "V102__customers.sqlite.sql",
            "CREATE TABLE customers (id INTEGER PRIMARY KEY);",
            Some("DROP TABLE customers;"),
        )
        .await;
        shop.run().await;
        shop
    }

    /// As if another instance held the lock, for so many seconds from now.
    pub fn hold_lock(&self, seconds: i32) {
        self.by_hand(&format!(
            "UPDATE migration_locks SET token = token + 1, owner = 'another', run_id = 'r', \
             acquired_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), \
             expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{seconds} seconds')"
        ));
    }

    pub fn release_lock(&self) {
        self.by_hand("UPDATE migration_locks SET owner = NULL, run_id = NULL, expires_at = NULL");
    }

    pub fn is_empty(&self) -> bool {
        std::fs::read_dir(self.folder.path())
            .unwrap()
            .next()
            .is_none()
    }
}
