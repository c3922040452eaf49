//! A dbvc of a test's own behind a host of its own, and what its users say to it.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::host::{Answer, Host, HostBuilder};

/// The home database of the environment dev.
pub const HOME: &str = "lpa-bloom-sql-dev";

/// Who does everything in the tests.
pub const ME: &str = "developer@lpa.com";

pub struct Dbvc {
    pub host: Host,
    pub data: TempDir,
    home: String,
    environment: String,
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
            host: set_up(builder).start().await,
            data,
            home: format!("lpa-bloom-sql-{environment}"),
            environment: environment.to_owned(),
        }
    }

    /// The file of an embedded database.
    pub fn file_of(&self, database: &str) -> PathBuf {
        self.data.path().join(format!("{database}.sqlite"))
    }

    /// A connection to the home database, past dbvc.
    pub fn by_hand(&self) -> rusqlite::Connection {
        self.by_hand_on(&self.home)
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

    /// POST migrations with a script from a file.
    pub async fn create(&self, file_name: &str, up_script: &str, more: Value) -> Answer {
        let body = json!({
            "fileName": file_name, "databaseId": self.home, "author": ME, "upScript": up_script,
        });
        self.host
            .post("/api/dbvc/migrations", with(body, more))
            .await
    }

    /// Registers `V<version>__<name>.sqlite.sql` without a down script; its id.
    pub async fn register(&self, version_and_name: &str, up_script: &str) -> String {
        let file = format!("{version_and_name}.sqlite.sql");
        let answer = self
            .create(&file, up_script, json!({}))
            .await
            .expect_status(201);
        text(&answer.body["migrationId"])
    }

    /// The same with a down script.
    pub async fn register_with_down(
        &self,
        version_and_name: &str,
        up_script: &str,
        down_script: &str,
    ) -> String {
        let file = format!("{version_and_name}.sqlite.sql");
        let down = json!({ "downScript": down_script });
        let answer = self.create(&file, up_script, down).await.expect_status(201);
        text(&answer.body["migrationId"])
    }

    /// Replaces the text of a registered migration.
    pub async fn reregister(&self, version_and_name: &str, up_script: &str, more: Value) -> Answer {
        let file = format!("{version_and_name}.sqlite.sql");
        let more = with(json!({ "reregister": true }), more);
        self.create(&file, up_script, more).await.expect_status(200)
    }

    /// POST migrations/run.
    pub async fn try_run(&self, more: Value) -> Answer {
        let body = json!({
            "databaseId": self.home, "environment": self.environment, "executor": ME,
        });
        self.host
            .post("/api/dbvc/migrations/run", with(body, more))
            .await
    }

    /// A run that must go well; what it did on the home database.
    pub async fn run(&self) -> Value {
        self.run_with(json!({})).await
    }

    pub async fn run_with(&self, more: Value) -> Value {
        let answer = self.try_run(more).await.expect_status(200);
        answer.body["databases"][0].clone()
    }

    /// A run in which a script must fail; what it did on the home database.
    pub async fn run_badly(&self) -> Value {
        let answer = self.try_run(json!({})).await;
        let problem = expect_problem(&answer, 422, "migration-failed");
        problem["run"]["databases"][0].clone()
    }

    /// POST migrations/rollback.
    pub async fn roll_back(&self, migration: &str, more: Value) -> Answer {
        let body = json!({
            "migrationId": migration, "databaseId": self.home, "environment": self.environment, "executor": ME,
        });
        self.host
            .post("/api/dbvc/migrations/rollback", with(body, more))
            .await
    }

    /// GET of one migration.
    pub async fn migration(&self, id: &str) -> Value {
        let path = format!("/api/dbvc/databases/{}/migrations/{id}", self.home);
        self.host.get(&path).await.expect_status(200).body
    }

    pub async fn withdraw(&self, id: &str) -> Answer {
        let path = format!("/api/dbvc/databases/{}/migrations/{id}", self.home);
        self.host.delete(&path).await
    }

    /// The home database in GET migrations/status, with its migrations.
    pub async fn status(&self) -> Value {
        let path = format!(
            "/api/dbvc/migrations/status?detailed=true&databaseId={}",
            self.home
        );
        self.host.get(&path).await.expect_status(200).body["databases"][0].clone()
    }

    /// Each migration of the home database with its status, dbvc's own left out: `V1__x applied`.
    pub async fn states(&self) -> Vec<String> {
        let status = self.status().await;
        list(&status["migrations"])
            .iter()
            .map(|migration| {
                format!(
                    "{} {}",
                    text(&migration["migrationId"]),
                    text(&migration["status"])
                )
            })
            .filter(|state| !state.starts_with("V100__"))
            .collect()
    }

    /// The events of the home database, oldest first.
    pub async fn events(&self) -> Vec<Value> {
        self.events_of(&self.home).await
    }

    pub async fn events_of(&self, database: &str) -> Vec<Value> {
        let path = format!("/api/dbvc/history?limit=1000&databaseId={database}");
        let answer = self.host.get(&path).await.expect_status(200);
        assert_eq!(
            answer.body["continuation"],
            Value::Null,
            "more than a page of events"
        );
        list(&answer.body["events"]).iter().rev().cloned().collect()
    }

    /// The events of one type on the home database, oldest first.
    pub async fn events_of_type(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events().await;
        events.retain(|event| event["type"] == kind);
        events
    }

    /// GET drift of the home database.
    pub async fn drift(&self) -> Value {
        let path = format!("/api/dbvc/drift?databaseId={}", self.home);
        self.host.get(&path).await.expect_status(200).body
    }

    pub async fn snapshot(&self, kind: &str) -> Value {
        let body = json!({
            "databaseId": self.home, "environment": self.environment, "type": kind, "executor": ME,
        });
        self.host
            .post("/api/dbvc/snapshots", body)
            .await
            .expect_status(201)
            .body
    }

    pub async fn verify(&self) -> Value {
        let body =
            json!({ "databaseId": self.home, "environment": self.environment, "executor": ME });
        self.host
            .post("/api/dbvc/integrity/verify", body)
            .await
            .expect_status(200)
            .body
    }

    /// Puts a second embedded database into the inventory.
    pub async fn add_database(&self, id: &str) -> Answer {
        let body = json!({ "type": "sql", "engine": "sqlite", "environment": self.environment, "folder": id });
        self.host
            .put(&format!("/api/dbvc/databases/{id}"), body)
            .await
            .expect_status(201)
    }
}

/// The fields of both; those of `more` win.
pub fn with(mut body: Value, more: Value) -> Value {
    let fields = body.as_object_mut().expect("a body is an object");
    fields.extend(more.as_object().expect("more fields are an object").clone());
    body
}

#[track_caller]
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

#[track_caller]
pub fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}

/// One field of each item of a list.
#[track_caller]
pub fn each<'a>(items: &'a Value, field: &str) -> Vec<&'a str> {
    list(items)
        .iter()
        .map(|item| {
            item[field]
                .as_str()
                .unwrap_or_else(|| panic!("no text {field}: {item}"))
        })
        .collect()
}

/// What became of each migration: `V1__x applied`.
#[track_caller]
pub fn outcomes(database: &Value) -> Vec<String> {
    list(&database["migrations"])
        .iter()
        .map(|migration| {
            format!(
                "{} {}",
                text(&migration["migrationId"]),
                text(&migration["status"])
            )
        })
        .collect()
}

/// Panics unless the answer is this problem, in full; its body.
#[track_caller]
pub fn expect_problem(answer: &Answer, status: u16, code: &str) -> Value {
    let what = answer.text();
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (status, Some(code)),
        "{what}"
    );
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    assert!(answer.header("x-request-id").is_some(), "{what}");
    super::shape::expect_like(
        &answer.body,
        &json!({
            "type": format!("urn:dbvc:problem:{code}"), "title": "<text>", "status": status, "detail": "<text>",
            "code": code, "instance": "<text>",
        }),
    );
    answer.body.clone()
}

/// The detail of a problem.
#[track_caller]
pub fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().expect("a problem has a detail")
}
