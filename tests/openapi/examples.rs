//! Whether the examples are what a real dbvc takes and answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::dbvc::{Dbvc, ME};
use crate::support::host::Answer;

/// Where they are; they are compiled into dbvc.
const FILE: &str = "src/functions/openapi/examples.json";

/// Examples by operation and, within it, by what each is an example of.
type Examples = BTreeMap<String, BTreeMap<String, Value>>;

/// A dbvc of which every answer is noted.
struct Noting {
    dbvc: Dbvc,
    examples: Examples,
}

impl Noting {
    fn note(&mut self, operation: &str, key: String, value: Value) {
        let of_operation = self.examples.entry(operation.to_owned()).or_default();
        of_operation.entry(key).or_insert(value);
    }

    fn note_answer(&mut self, operation: &str, answer: &Answer) {
        let media = answer.header("content-type").unwrap();
        let essence = media.split(';').next().unwrap();
        let key = format!("{} {essence}", answer.status);
        self.note(operation, key, answer.body.clone());
    }

    /// A request without a body; its first parameters become examples, too.
    async fn ask(&mut self, operation: &str, method: &str, target: &str, status: u16) -> Value {
        let path = format!("/api/dbvc/{target}");
        let answer = self.dbvc.host.request(method, &path).send().await;
        let answer = answer.expect_status(status);
        let query = target.split_once('?').map_or("", |(_, query)| query);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = match value.parse::<u64>() {
                Ok(number) => number.into(),
                Err(_) if value == "true" => true.into(),
                Err(_) => value.into(),
            };
            self.note(operation, format!("parameter {name}"), value);
        }
        self.note_answer(operation, &answer);
        answer.body
    }

    async fn send(
        &mut self,
        operation: &str,
        method: &str,
        target: &str,
        body: Value,
        status: u16,
    ) -> Value {
        let path = format!("/api/dbvc/{target}");
        let request = self.dbvc.host.request(method, &path).json(&body);
        let answer = request.send().await.expect_status(status);
        self.note(operation, "request".to_owned(), body);
        self.note_answer(operation, &answer);
        answer.body
    }
}

const HOME: &str = "lpa-bloom-sql-dev";

async fn story() -> Examples {
    let mut noting = Noting {
        dbvc: Dbvc::start().await,
        examples: Examples::new(),
    };
    let it = &mut noting;
    let migration = json!({
        "fileName": "V101__add_user_preferences.sqlite.sql",
        "databaseId": HOME,
        "author": ME,
        "description": "Add user preferences table",
        "upScript": "CREATE TABLE user_preferences (\n  user_id INTEGER PRIMARY KEY,\n  theme TEXT NOT NULL\n);\n",
        "downScript": "DROP TABLE user_preferences;\n",
    });
    let create = "createMigration";
    it.send(create, "POST", "migrations", migration.clone(), 201)
        .await;
    it.send(create, "POST", "migrations", migration.clone(), 200)
        .await;
    let mut other = migration.clone();
    other["upScript"] = "CREATE TABLE user_settings (user_id INTEGER PRIMARY KEY);\n".into();
    it.send(create, "POST", "migrations", other, 409).await;
    let wrong =
        json!({ "name": "Add users", "databaseId": HOME, "author": ME, "upscript": "SELECT 1;" });
    it.send(create, "POST", "migrations", wrong, 400).await;

    let run = json!({ "databaseId": HOME, "environment": "dev", "executor": ME });
    let done = it
        .send("runMigrations", "POST", "migrations/run", run.clone(), 200)
        .await;
    let run_id = done["runId"].as_str().unwrap().to_owned();
    let failing = json!({
        "fileName": "V102__index_themes.sqlite.sql", "databaseId": HOME, "author": ME,
        "upScript": "CREATE INDEX by_theme ON user_preferences (theme);\nCREATE INDEX by_language ON user_preferences (language);\n",
    });
    it.send(create, "POST", "migrations", failing, 201).await;
    it.send("runMigrations", "POST", "migrations/run", run, 422)
        .await;

    it.ask("getRun", "GET", &format!("runs/{run_id}"), 200)
        .await;
    it.ask("getRun", "GET", "runs/no-such-run", 404).await;
    it.ask(
        "listRuns",
        "GET",
        &format!("runs?databaseId={HOME}&limit=1"),
        200,
    )
    .await;
    it.ask(
        "cancelRun",
        "POST",
        &format!("runs/{run_id}/cancel?executor={ME}"),
        200,
    )
    .await;

    let status = format!("migrations/status?environment=dev&databaseId={HOME}&detailed=true");
    it.ask("getStatus", "GET", &status, 200).await;
    let of_failed = format!("databases/{HOME}/migrations/V102__index_themes");
    it.ask("getMigration", "GET", &of_failed, 200).await;
    it.ask(
        "withdrawMigration",
        "DELETE",
        &format!("{of_failed}?executor={ME}"),
        200,
    )
    .await;
    let of_applied = format!("databases/{HOME}/migrations/V101__add_user_preferences");
    it.ask("withdrawMigration", "DELETE", &of_applied, 409)
        .await;

    let snapshot =
        json!({ "databaseId": HOME, "environment": "dev", "type": "baseline", "executor": ME });
    it.send("takeSnapshot", "POST", "snapshots", snapshot, 201)
        .await;
    it.ask(
        "getSnapshots",
        "GET",
        &format!("snapshots?databaseId={HOME}&limit=1"),
        200,
    )
    .await;
    it.dbvc
        .change_by_hand("CREATE INDEX by_theme ON user_preferences (theme);");
    let drift = format!("drift?databaseId={HOME}");
    it.ask("getDrift", "GET", &drift, 200).await;
    let report = it.dbvc.host.request("GET", &format!("/api/dbvc/{drift}"));
    let report = report.header("accept", "text/markdown").send().await;
    it.note_answer("getDrift", &report.expect_status(200));

    let back = json!({
        "migrationId": "V101__add_user_preferences", "databaseId": HOME, "environment": "dev", "executor": ME,
        "reason": "Themes are stored elsewhere",
    });
    it.send(
        "rollBackMigration",
        "POST",
        "migrations/rollback",
        back.clone(),
        200,
    )
    .await;
    it.send(
        "rollBackMigration",
        "POST",
        "migrations/rollback",
        back,
        409,
    )
    .await;

    let history = format!("history?databaseId={HOME}&type=rolled-back&limit=1");
    it.ask("getHistory", "GET", &history, 200).await;
    let verify = json!({ "databaseId": HOME, "environment": "dev", "executor": ME, "fix": true });
    it.send("verifyIntegrity", "POST", "integrity/verify", verify, 200)
        .await;

    let database =
        json!({ "type": "sql", "engine": "sqlite", "environment": "dev", "folder": "reporting" });
    it.send(
        "putDatabase",
        "PUT",
        "databases/lpa-reporting-dev",
        database,
        201,
    )
    .await;
    it.ask("getDatabase", "GET", "databases/lpa-reporting-dev", 200)
        .await;
    it.ask("getDatabase", "GET", "databases/no-such-database", 404)
        .await;
    it.ask("listDatabases", "GET", "databases", 200).await;
    it.ask("getHealth", "GET", "health", 200).await;
    noting.examples
}

/// What a value is like, whatever moments, ids, and durations are in it.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn the_examples_are_what_a_real_dbvc_takes_and_answers() {
    let found = story().await;
    let path = crate::in_the_repository(FILE);
    let kept: Examples = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let shapes = |examples: &Examples| shape(&serde_json::to_value(examples).unwrap());
    if shapes(&found) == shapes(&kept) {
        return;
    }
    if crate::is_renewing() {
        let text = serde_json::to_string_pretty(&found).unwrap();
        std::fs::write(&path, format!("{text}\n")).unwrap();
        panic!("{FILE} is renewed: run this once more, since it is compiled into the document");
    }
    for (operation, examples) in &found {
        for (key, value) in examples {
            let kept = kept.get(operation).and_then(|examples| examples.get(key));
            assert_eq!(kept.map(shape), Some(shape(value)), "{operation}: {key}");
        }
    }
    panic!("{FILE} has examples that no dbvc gives");
}
