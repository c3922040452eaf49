//! A team that uses a dbvc: what it says to it by way of a host, and what it reads in the answers.

use serde_json::{Value, json};

use super::host::{Answer, Host};

/// Who does everything in the tests.
pub const ME: &str = "developer@lpa.com";

/// A team with one home database.
pub struct Team {
    pub host: Host,
    home: String,
    environment: String,
    /// How the names of its scripts end: `.sql` or `.sqlite.sql`.
    suffix: &'static str,
    /// Whether its runs may be the first on a database that is not empty.
    allows_not_empty: bool,
}

impl Team {
    /// Uses a dbvc of this environment.
    pub fn of(host: Host, environment: &str, suffix: &'static str) -> Self {
        Self {
            host,
            home: format!("lpa-bloom-sql-{environment}"),
            environment: environment.to_owned(),
            suffix,
            allows_not_empty: false,
        }
    }

    /// The same, whose runs may be the first on a database that is not empty.
    pub fn allowing_not_empty(self) -> Self {
        Self {
            allows_not_empty: true,
            ..self
        }
    }

    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The id of its home database.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// The name of a script's file.
    pub fn file(&self, stem: &str) -> String {
        format!("{stem}{}", self.suffix)
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

    /// Registers a script, named without its suffix, that has no down script; its id.
    pub async fn register(&self, version_and_name: &str, up_script: &str) -> String {
        let file = self.file(version_and_name);
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
        let file = self.file(version_and_name);
        let down = json!({ "downScript": down_script });
        let answer = self.create(&file, up_script, down).await.expect_status(201);
        text(&answer.body["migrationId"])
    }

    /// Replaces the text of a registered migration.
    pub async fn reregister(&self, version_and_name: &str, up_script: &str, more: Value) -> Answer {
        let file = self.file(version_and_name);
        let more = with(json!({ "reregister": true }), more);
        self.create(&file, up_script, more).await.expect_status(200)
    }

    /// POST migrations/run.
    pub async fn try_run(&self, more: Value) -> Answer {
        let mut body = json!({
            "databaseId": self.home, "environment": self.environment, "executor": ME,
        });
        if self.allows_not_empty {
            body["allowNotEmpty"] = true.into();
        }
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
        self.verify_with(json!({})).await
    }

    /// POST integrity/verify with `fix` or `resolve`.
    pub async fn verify_with(&self, more: Value) -> Value {
        let body =
            json!({ "databaseId": self.home, "environment": self.environment, "executor": ME });
        self.host
            .post("/api/dbvc/integrity/verify", with(body, more))
            .await
            .expect_status(200)
            .body
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
