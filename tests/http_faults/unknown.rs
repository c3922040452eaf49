//! Requests that are well formed, but name what does not exist or what this app does not serve.

use serde_json::{Value, json};

use crate::fault::{Fault, all_answered, fault};

const HOME: &str = "lpa-bloom-sql-dev";

fn post(path: &str, body: Value) -> Fault {
    fault("POST", path).json(body)
}

#[tokio::test]
async fn an_unknown_database_is_told() {
    let unknown = |fault: Fault| fault.is(404, "unknown-database");
    let asked = json!({"databaseId": "nowhere", "environment": "dev", "executor": "me"});
    all_answered(&[
        unknown(post(
            "/api/dbvc/migrations",
            json!({"name": "x", "databaseId": "nowhere", "author": "me", "upScript": "SELECT 1;"}),
        )),
        unknown(post("/api/dbvc/migrations/run", asked.clone())),
        unknown(post("/api/dbvc/integrity/verify", asked)),
        unknown(post(
            "/api/dbvc/migrations/rollback",
            json!({"migrationId": "V1__x", "databaseId": "nowhere", "environment": "dev", "executor": "me"}),
        )),
        unknown(post(
            "/api/dbvc/snapshots",
            json!({"databaseId": "nowhere", "environment": "dev", "type": "manual", "executor": "me"}),
        )),
        unknown(fault("GET", "/api/dbvc/databases/nowhere")),
        unknown(fault("GET", "/api/dbvc/databases/all")),
        unknown(fault("GET", "/api/dbvc/databases/No.Id")),
        unknown(fault("GET", "/api/dbvc/databases/nowhere/migrations/V1__x")),
        unknown(fault("DELETE", "/api/dbvc/databases/nowhere/migrations/V1__x")),
        unknown(fault("GET", "/api/dbvc/drift?databaseId=nowhere")),
        unknown(fault("GET", "/api/dbvc/history?databaseId=nowhere")),
        unknown(fault("GET", "/api/dbvc/migrations/status?databaseId=nowhere")),
    ])
    .await;
}

#[tokio::test]
async fn an_unknown_migration_run_or_snapshot_is_told() {
    let migrations = format!("/api/dbvc/databases/{HOME}/migrations");
    all_answered(&[
        fault("GET", format!("{migrations}/V1__x")).is(404, "unknown-migration"),
        fault("DELETE", format!("{migrations}/V1__x")).is(404, "unknown-migration"),
        fault("GET", format!("{migrations}/{}", "x".repeat(301))).is(404, "unknown-migration"),
        post(
            "/api/dbvc/migrations/rollback",
            json!({"migrationId": "V1__x", "databaseId": HOME, "environment": "dev", "executor": "me"}),
        )
        .is(404, "unknown-migration"),
        fault("GET", "/api/dbvc/runs/no-such-run").is(404, "unknown-run"),
        fault("GET", format!("/api/dbvc/runs/{}", "x".repeat(500))).is(404, "unknown-run"),
        fault("POST", "/api/dbvc/runs/no-such-run/cancel").is(404, "unknown-run"),
        fault("GET", "/api/dbvc/snapshots?snapshotId=no-such-snapshot").is(404, "unknown-snapshot"),
        fault("GET", format!("/api/dbvc/drift?databaseId={HOME}&from=no-such-snapshot")).is(404, "unknown-snapshot"),
    ])
    .await;
}

#[tokio::test]
async fn another_environment_is_refused() {
    let wrong = |fault: Fault| fault.is(400, "wrong-environment");
    let asked = json!({"databaseId": HOME, "environment": "prod", "executor": "me"});
    all_answered(&[
        wrong(post("/api/dbvc/migrations/run", asked.clone())),
        wrong(post("/api/dbvc/integrity/verify", asked)),
        wrong(post("/api/dbvc/migrations/run", json!({"databaseId": "all", "environment": "prod", "executor": "me"}))),
        wrong(post(
            "/api/dbvc/migrations/rollback",
            json!({"migrationId": "V1__x", "databaseId": HOME, "environment": "prod", "executor": "me"}),
        )),
        wrong(post(
            "/api/dbvc/snapshots",
            json!({"databaseId": HOME, "environment": "prod", "type": "manual", "executor": "me"}),
        )),
        wrong(fault("GET", "/api/dbvc/migrations/status?environment=prod")),
    ])
    .await;
}
