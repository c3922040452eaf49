//! Missing, wrong and unknown fields and query parameters: every one is listed.

use serde_json::{Value, json};

use crate::fault::{Fault, all_answered, all_answered_directly, fault};

/// A body with some fields changed; null takes one away.
fn with(mut body: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn creation(changes: Value) -> Fault {
    let body = json!({
        "name": "add_orders", "databaseId": "lpa-bloom-sql-dev", "author": "developer@lpa.com",
        "upScript": "CREATE TABLE orders (id INTEGER);",
    });
    fault("POST", "/api/dbvc/migrations").json(with(body, changes))
}

fn run(changes: Value) -> Fault {
    let body = json!({"databaseId": "lpa-bloom-sql-dev", "environment": "dev", "executor": "developer@lpa.com"});
    fault("POST", "/api/dbvc/migrations/run").json(with(body, changes))
}

fn rollback(changes: Value) -> Fault {
    let body = json!({
        "migrationId": "V101__x", "databaseId": "lpa-bloom-sql-dev", "environment": "dev", "executor": "developer@lpa.com",
    });
    fault("POST", "/api/dbvc/migrations/rollback").json(with(body, changes))
}

fn snapshot(changes: Value) -> Fault {
    let body = json!({
        "databaseId": "lpa-bloom-sql-dev", "environment": "dev", "type": "manual", "executor": "developer@lpa.com",
    });
    fault("POST", "/api/dbvc/snapshots").json(with(body, changes))
}

fn verification(changes: Value) -> Fault {
    let body = json!({"databaseId": "lpa-bloom-sql-dev", "environment": "dev", "executor": "developer@lpa.com"});
    fault("POST", "/api/dbvc/integrity/verify").json(with(body, changes))
}

fn database(changes: Value) -> Fault {
    let body = json!({"type": "sql", "engine": "sqlite", "environment": "dev"});
    fault("PUT", "/api/dbvc/databases/reporting").json(with(body, changes))
}

#[tokio::test]
async fn every_missing_field_is_listed() {
    let empty = |method, path: &str| fault(method, path).json(json!({}));
    all_answered(&[
        empty("POST", "/api/dbvc/migrations").names(&["name", "databaseId", "author", "upScript"]),
        empty("POST", "/api/dbvc/migrations/run").names(&["databaseId", "environment", "executor"]),
        empty("POST", "/api/dbvc/migrations/rollback").names(&[
            "migrationId",
            "databaseId",
            "environment",
            "executor",
        ]),
        empty("POST", "/api/dbvc/snapshots").names(&[
            "databaseId",
            "environment",
            "type",
            "executor",
        ]),
        empty("POST", "/api/dbvc/integrity/verify").names(&[
            "databaseId",
            "environment",
            "executor",
        ]),
        empty("PUT", "/api/dbvc/databases/reporting").names(&["type", "engine", "environment"]),
        // No body at all lacks the same.
        fault("POST", "/api/dbvc/migrations/run").names(&["databaseId", "environment", "executor"]),
        fault("GET", "/api/dbvc/drift").names(&["databaseId"]),
        fault("GET", "/api/dbvc/history").names(&["databaseId"]),
    ])
    .await;
}

#[tokio::test]
async fn every_wrong_field_of_a_migration_is_listed() {
    let long = |length: usize| "x".repeat(length);
    all_answered(&[
        creation(json!({"name": "Add Orders"})).names(&["name"]),
        creation(json!({"name": 1})).names(&["name"]),
        creation(json!({"name": long(101)})).names(&["name"]),
        creation(json!({"databaseId": "all"})).names(&["databaseId"]),
        creation(json!({"databaseId": "Orders"})).names(&["databaseId"]),
        creation(json!({"author": ""})).names(&["author"]),
        creation(json!({"author": "a\nb"})).names(&["author"]),
        creation(json!({"author": long(201)})).names(&["author"]),
        creation(json!({"description": long(4001)})).names(&["description"]),
        creation(json!({"description": ["x"]})).names(&["description"]),
        creation(json!({"upScript": ""})).names(&["upScript"]),
        creation(json!({"upScript": "SELECT\u{0} 1"})).names(&["upScript"]),
        creation(json!({"downScript": 7})).names(&["downScript"]),
        creation(json!({"downScript": "\u{0}"})).names(&["downScript"]),
        creation(json!({"version": "1.x"})).names(&["version"]),
        creation(json!({"version": 101})).names(&["version"]),
        creation(json!({"version": ""})).names(&["version"]),
        creation(json!({"version": "1234567890123456789"})).names(&["version"]),
        creation(json!({"fileName": "orders.sql"})).names(&["fileName"]),
        creation(json!({"fileName": "../V1__add_orders.sql"})).names(&["fileName"]),
        creation(json!({"fileName": "U1__add_orders.sqlite.sql"})).names(&["fileName"]),
        creation(json!({"fileName": "V1__other.sqlite.sql"})).names(&["name"]),
        creation(json!({"fileName": "V1__add_orders.sqlite.sql", "version": "2"}))
            .names(&["version"]),
        creation(json!({"reregister": "yes"})).names(&["reregister"]),
        creation(json!({"databaseID": "x"})).names(&["databaseID"]),
        creation(json!({"name": 1, "author": 2, "upScript": null, "tags": [], "version": "?"}))
            .names(&["name", "author", "upScript", "tags", "version"]),
    ])
    .await;
}

#[tokio::test]
async fn every_wrong_field_of_a_run_is_listed() {
    all_answered(&[
        run(json!({"databaseId": "ALL"})).names(&["databaseId"]),
        run(json!({"databaseId": ["all"]})).names(&["databaseId"]),
        run(json!({"environment": 1})).names(&["environment"]),
        run(json!({"executor": " "})).names(&["executor"]),
        run(json!({"executor": "x".repeat(201)})).names(&["executor"]),
        run(json!({"target": "latest"})).names(&["target"]),
        run(json!({"outOfOrder": "ignore"})).names(&["outOfOrder"]),
        run(json!({"outOfOrder": true})).names(&["outOfOrder"]),
        run(json!({"baseline": ""})).names(&["baseline"]),
        run(json!({"dryRun": "true"})).names(&["dryRun"]),
        run(json!({"dryRun": 1})).names(&["dryRun"]),
        run(json!({"migrations": []})).names(&["migrations"]),
        run(json!({"dryRun": true, "migrations": {}})).names(&["migrations"]),
        run(json!({"dryRun": true, "migrations": ["x", {"fileName": "x.sql", "upScript": "", "note": 1}]})).names(&[
            "migrations[0]",
            "migrations[1].fileName",
            "migrations[1].upScript",
            "migrations[1].note",
        ]),
        run(json!({"dryrun": true})).names(&["dryrun"]),
        rollback(json!({"migrationId": ""})).names(&["migrationId"]),
        rollback(json!({"migrationId": "x".repeat(301)})).names(&["migrationId"]),
        rollback(json!({"databaseId": "all"})).names(&["databaseId"]),
        rollback(json!({"reason": "x".repeat(2001)})).names(&["reason"]),
        rollback(json!({"dryRun": "execute"})).names(&["dryRun"]),
        rollback(json!({"cascade": "true"})).names(&["cascade"]),
        rollback(json!({"confirm": true})).names(&["confirm"]),
        rollback(json!({"force": true})).names(&["force"]),
    ])
    .await;
}

#[tokio::test]
async fn every_wrong_field_of_the_other_functions_is_listed() {
    all_answered(&[
        snapshot(json!({"type": "daily"})).names(&["type"]),
        snapshot(json!({"type": null})).names(&["type"]),
        snapshot(json!({"label": "x"})).names(&["label"]),
        verification(json!({"fix": "yes"})).names(&["fix"]),
        verification(json!({"resolve": "applied"})).names(&["resolve"]),
        verification(json!({"resolve": {"as": "done", "by": "me"}})).names(&[
            "resolve.executionId",
            "resolve.as",
            "resolve.by",
        ]),
        database(json!({"databaseId": "other"})).names(&["databaseId"]),
        database(json!({"type": "nosql"})).names(&["type"]),
        database(json!({"engine": "mysql"})).names(&["engine"]),
        database(json!({"type": "cosmos"})).names(&["engine"]),
        database(json!({"folder": "../secrets"})).names(&["folder"]),
        database(json!({"connection": "Server=x;Password=y"})).names(&["connection"]),
        database(json!({"connection": "env:PATH"})).names(&["connection"]),
        database(json!({"connection": "identity:evil.example/db"})).names(&["connection"]),
        database(json!({"password": "x"})).names(&["password"]),
        fault("PUT", "/api/dbvc/databases/ALL")
            .json(json!({"type": "sql", "engine": "sqlite", "environment": "dev"}))
            .names(&["databaseId"]),
        fault("POST", "/api/dbvc/runs/r1/cancel")
            .json(json!({"executor": "me"}))
            .names(&["executor"]),
    ])
    .await;
}

#[tokio::test]
async fn every_wrong_parameter_of_a_query_is_listed() {
    all_answered(&[
        fault("GET", "/api/dbvc/runs?limit=0").names(&["limit"]),
        fault("GET", "/api/dbvc/runs?limit=1001").names(&["limit"]),
        fault("GET", "/api/dbvc/runs?limit=ten&databaseId=Orders&page=2").names(&[
            "limit",
            "databaseId",
            "page",
        ]),
        fault("GET", "/api/dbvc/runs?limit").names(&["limit"]),
        fault("GET", "/api/dbvc/runs/r1?limit=1").names(&["limit"]),
        fault("GET", "/api/dbvc/snapshots?limit=-1").names(&["limit"]),
        fault("GET", "/api/dbvc/snapshots?snapshotId=x&limit=1").names(&["limit"]),
        fault("GET", "/api/dbvc/migrations/status?detailed=yes").names(&["detailed"]),
        fault("GET", "/api/dbvc/migrations/status?Detailed=true").names(&["Detailed"]),
        fault(
            "GET",
            "/api/dbvc/history?databaseId=a&type=exploded&since=yesterday&limit=",
        )
        .names(&["type", "since", "limit"]),
        fault("GET", "/api/dbvc/drift?databaseId=all").names(&["databaseId"]),
        fault("GET", "/api/dbvc/health?verbose=true").names(&["verbose"]),
        fault("GET", "/api/dbvc/databases?environment=dev").names(&["environment"]),
        fault("GET", "/api/dbvc/databases/a?x=").names(&["x"]),
        fault("DELETE", "/api/dbvc/databases/a/migrations/b?executor=").names(&["executor"]),
        fault("POST", "/api/dbvc/runs/r1/cancel?by=me").names(&["by"]),
        fault("POST", "/api/dbvc/migrations/run?dryRun=true").names(&[
            "dryRun",
            "databaseId",
            "environment",
            "executor",
        ]),
    ])
    .await;
}

#[tokio::test]
async fn a_parameter_may_come_once() {
    // Through the host the two values arrive as one, joined by a comma, and are wrong as that.
    all_answered(&[
        fault("GET", "/api/dbvc/runs?limit=1&limit=2").names(&["limit"]),
        fault("GET", "/api/dbvc/history?databaseId=a&databaseId=a").names(&["databaseId"]),
    ])
    .await;
    all_answered_directly(&[
        fault(
            "DELETE",
            "/api/dbvc/databases/a/migrations/b?executor=x&executor=y",
        )
        .names(&["executor"]),
        fault("GET", "/api/dbvc/runs?databaseId=%FF").names(&["databaseId"]),
    ])
    .await;
}
