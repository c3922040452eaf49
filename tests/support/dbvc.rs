//! An embedded dbvc of a test's own behind a host of its own, and its databases past it.

use std::ops::Deref;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::host::{Answer, Host, HostBuilder};
use super::team::Team;
pub use super::team::{ME, detail, each, expect_problem, list, outcomes, text, with};

/// The home database of the environment dev.
pub const HOME: &str = "lpa-bloom-sql-dev";

pub struct Dbvc {
    team: Team,
    pub data: TempDir,
}

impl Deref for Dbvc {
    type Target = Team;

    fn deref(&self) -> &Team {
        &self.team
    }
}

impl Dbvc {
    /// Embedded, in the environment dev, with nothing registered.
    pub async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    pub async fn start_with(set_up: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        Self::start_in("dev", set_up).await
    }

    pub async fn start_in(
        environment: &str,
        set_up: impl FnOnce(HostBuilder) -> HostBuilder,
    ) -> Self {
        let data = tempfile::tempdir().expect("a folder for the databases");
        let builder = Host::builder()
            .data_dir(data.path())
            .setting("DBVC_ENVIRONMENT", environment);
        Self {
            team: Team::of(set_up(builder).start().await, environment, ".sqlite.sql"),
            data,
        }
    }

    /// The file of an embedded database.
    pub fn file_of(&self, database: &str) -> PathBuf {
        self.data.path().join(format!("{database}.sqlite"))
    }

    /// A connection to the home database, past dbvc.
    pub fn by_hand(&self) -> rusqlite::Connection {
        self.by_hand_on(self.home())
    }

    pub fn by_hand_on(&self, database: &str) -> rusqlite::Connection {
        let file = self.file_of(database);
        assert!(file.is_file(), "{} was never made", file.display());
        rusqlite::Connection::open(file).expect("a database can be opened")
    }

    /// A connection to the archive of events and snapshots, past dbvc.
    pub fn archive_by_hand(&self) -> rusqlite::Connection {
        self.by_hand_on("_version-control")
    }

    /// Changes the home database, past dbvc.
    #[track_caller]
    pub fn change_by_hand(&self, sql: &str) {
        self.by_hand()
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The first value of the first row on the home database, as text.
    #[track_caller]
    pub fn ask_by_hand(&self, sql: &str) -> String {
        let value: rusqlite::types::Value = self
            .by_hand()
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Null => "null".to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// Whether the home database has such a table, view, index or trigger.
    pub fn has(&self, name: &str) -> bool {
        self.ask_by_hand(&format!(
            "SELECT count(*) FROM sqlite_schema WHERE name = '{name}'"
        )) == "1"
    }

    /// Puts a second embedded database into the inventory.
    pub async fn add_database(&self, id: &str) -> Answer {
        let body = json!({ "type": "sql", "engine": "sqlite", "environment": self.environment(), "folder": id });
        self.host
            .put(&format!("/api/dbvc/databases/{id}"), body)
            .await
            .expect_status(201)
    }
}
