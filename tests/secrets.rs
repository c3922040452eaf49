//! Marked secrets are put wherever a secret can be given, and all that dbvc says and writes is searched for them.

mod support;

use std::path::Path;

use serde_json::{Value, json};

use support::dbvc::{HOME, ME};
use support::host::{Answer, Host, TimerShape};

/// What every secret of this test holds.
const MARK: &str = "M4rk3d5ecret";

/// A port of this machine at which nobody listens: a connection there is refused at once.
const NOBODY: &str = "127.0.0.1,9";

/// Every setting that may hold a secret, with one.
fn settings() -> [(&'static str, String); 6] {
    [
        (
            "DBVC_COSMOS_CONNECTION_STRING",
            // The mark is Base64 as well, as a key must be.
            format!("AccountEndpoint=http://127.0.0.1:9/;AccountKey={MARK}{MARK};"),
        ),
        (
            "DBVC_CONN_OTHER",
            format!("Server=tcp:{NOBODY};Database=other;User ID=deployer;Password={MARK}-1"),
        ),
        (
            "SQL_SPARE",
            format!("Server=tcp:{NOBODY};Database=spare;User ID=deployer;Password='{MARK};2'"),
        ),
        (
            "DBVC_CONN_BROKEN",
            format!("Server=tcp:{NOBODY};Password={MARK}-3;{MARK}=x"),
        ),
        ("DBVC_VAR_login_password", format!("{MARK}-4")),
        (
            "DBVC_ALERT_WEBHOOK",
            format!("http://127.0.0.1:9/{MARK}-5?sig={MARK}-6"),
        ),
    ]
}

/// What was said and written, and where.
#[derive(Default)]
struct Found(Vec<(String, String)>);

impl Found {
    fn answer(&mut self, place: &str, answer: &Answer) {
        let headers = format!("{:?}", answer.headers);
        self.0
            .push((place.to_owned(), format!("{} {headers}", answer.text())));
    }

    fn log(&mut self, host: &Host) {
        for line in host.stdout().into_iter().chain(host.stderr()) {
            self.0.push(("the log".to_owned(), line));
        }
    }

    /// The files that dbvc wrote, as they are on the disk.
    fn files(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).expect("a file can be read");
            self.0.push((
                path.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
    }

    fn expect_no_secret(&self) {
        for (place, text) in &self.0 {
            if let Some((before, _)) = text.split_once(MARK) {
                let last: String = before.chars().rev().take(200).collect();
                let last: String = last.chars().rev().collect();
                panic!("{place} holds a secret behind …{last}");
            }
        }
    }
}

/// Asks for everything that can be asked for, with keys that are secrets as well.
async fn ask_for_everything(host: &Host, found: &mut Found) {
    let key = format!("{MARK}-key");
    for path in [
        "/api/dbvc",
        "/api/dbvc/health",
        "/api/dbvc/databases",
        "/api/dbvc/migrations/status?detailed=true",
        "/api/dbvc/runs",
        "/api/dbvc/snapshots",
        &format!("/api/dbvc/history?databaseId={HOME}&limit=1000"),
        &format!("/api/dbvc/drift?databaseId={HOME}"),
        "/api/dbvc/nowhere",
    ] {
        let with_key = if path.contains('?') {
            format!("{path}&code={key}")
        } else {
            format!("{path}?code={key}")
        };
        let answer = host
            .request("GET", &with_key)
            .header("x-functions-key", &key)
            .send()
            .await;
        found.answer(path, &answer);
    }
    for database in [HOME, "other", "spare", "broken", "all"] {
        let body = json!({"databaseId": database, "environment": "dev", "executor": ME});
        for path in ["/api/dbvc/migrations/run", "/api/dbvc/integrity/verify"] {
            let answer = host
                .request("POST", &format!("{path}?code={key}"))
                .header("x-functions-key", &key)
                .json(&body)
                .send()
                .await;
            found.answer(path, &answer);
        }
    }
    for timer in ["dbvc-drift-timer", "dbvc-runs-timer"] {
        host.invoke_timer(timer, TimerShape::Regular).await;
    }
}

async fn put(host: &Host, id: &str, connection: &str) -> Answer {
    let body = json!({"type": "sql", "engine": "sql-server", "environment": "dev", "connection": connection});
    host.put(&format!("/api/dbvc/databases/{id}"), body).await
}

#[tokio::test]
async fn no_secret_is_told_by_the_embedded_engine() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut builder = Host::builder()
        .data_dir(folder.path())
        .setting("DBVC_LOG", "trace");
    for (name, value) in settings() {
        builder = builder.setting(name, value);
    }
    let host = builder.start().await;
    let mut found = Found::default();
    for (id, connection) in [
        ("other", "env:DBVC_CONN_OTHER".to_owned()),
        ("spare", "env:SQL_SPARE".to_owned()),
        ("broken", "env:DBVC_CONN_BROKEN".to_owned()),
        // A secret in the place of a reference to one.
        (
            "wrong",
            format!("Server=tcp:x;User ID=a;Password={MARK}-5;Database=d"),
        ),
        ("wrong", format!("env:{MARK}")),
        ("wrong", format!("identity:{MARK}.example.com/shop")),
    ] {
        let answer = put(&host, id, &connection).await;
        if id != "wrong" {
            answer.expect_status(201);
        } else if !connection.starts_with("identity:") && !connection.starts_with("env:") {
            found.answer("PUT of a connection string", &answer.expect_status(400));
        }
    }
    // SQLite repeats the name of a table that it does not know.
    for (file, script) in [
        (
            "V1__one.sqlite.sql",
            "-- dbvc: variables=on\nSELECT * FROM \"$(login_password)\";\n",
        ),
        (
            "R__off.sqlite.sql",
            "-- dbvc: variables=on\n-- dbvc: transaction=off\nSELECT * FROM \"$(login_password)\";\n",
        ),
    ] {
        let body = json!({"fileName": file, "databaseId": HOME, "author": ME, "upScript": script});
        let answer = host.post("/api/dbvc/migrations", body).await;
        found.answer("POST migrations", &answer.expect_status(201));
    }
    let body = json!({"databaseId": HOME, "environment": "dev", "executor": ME});
    let failed = host
        .post("/api/dbvc/migrations/run", body.clone())
        .await
        .expect_status(422);
    assert!(
        failed.text().contains("no such table: $(login_password)"),
        "{}",
        failed.text()
    );
    found.answer("POST migrations/run", &failed);
    let mut trial = body;
    trial["dryRun"] = "execute".into();
    trial["migrations"] = Value::Array(Vec::new());
    let tried = host.post("/api/dbvc/migrations/run", trial).await;
    found.answer("a trial", &tried);
    ask_for_everything(&host, &mut found).await;
    host.kill().await;
    found.log(&host);
    found.files(folder.path());
    assert!(found.0.len() > 50, "much was said: {}", found.0.len());
    found.expect_no_secret();
}

#[tokio::test]
async fn no_secret_is_told_when_the_server_cannot_be_reached() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = format!("Server=tcp:{NOBODY};Database=shop;User ID=deployer;Password={MARK}-6");
    let mut builder = Host::builder()
        .data_dir(folder.path())
        .setting("DBVC_LOG", "trace")
        .setting("SQL_CONNECTION_STRING", home)
        .setting("SQL_PASSWORD", format!("{MARK}-7"));
    for (name, value) in settings() {
        builder = builder.setting(name, value);
    }
    let host = builder.start().await;
    let mut found = Found::default();
    ask_for_everything(&host, &mut found).await;
    let health = host.get("/api/dbvc/health").await.expect_status(503);
    found.answer("health", &health);
    host.kill().await;
    found.log(&host);
    found.expect_no_secret();
}
