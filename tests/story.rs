//! The whole story of a team with dbvc, told in each way in which the Functions host calls a handler.

mod support;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use support::dbvc::{Dbvc, HOME, ME, each, list, text};
use support::host::{Answer, Framing, Mode, TimerShape};
use support::shape::expect_like;

const REPORTING: &str = "reporting";

/// The table as the original README has it, in the words of SQLite.
const UP: &str = "-- V101__add_user_preferences.sql\n\nCREATE TABLE user_preferences (\n    id INTEGER PRIMARY KEY,\n    \
                  user_id INTEGER NOT NULL,\n    preference_key TEXT NOT NULL\n);\nINSERT INTO user_preferences VALUES \
                  (1, 7, 'colour'), (2, 7, 'size');\n";
const DOWN: &str = "DROP TABLE user_preferences;";

#[tokio::test]
async fn the_whole_story_forwarded() {
    tell(Mode::Forwarding, Framing::ContentLength).await;
}

#[tokio::test]
async fn the_whole_story_proxied() {
    tell(Mode::Proxying, Framing::ContentLength).await;
}

#[tokio::test]
async fn the_whole_story_in_payloads_with_a_length() {
    tell(Mode::Payload, Framing::ContentLength).await;
}

#[tokio::test]
async fn the_whole_story_in_chunked_payloads() {
    tell(Mode::Payload, Framing::Chunked).await;
}

async fn tell(mode: Mode, framing: Framing) {
    let dbvc = Dbvc::start_with(|host| host.mode(mode).framing(framing)).await;
    a_fresh_machine_is_healthy_and_holds_one_database(&dbvc).await;
    let migration = the_request_of_the_readme_registers(&dbvc).await;
    its_dots_are_no_sql(&dbvc, &migration).await;
    it_is_mended_by_registering_it_again(&dbvc, &migration).await;
    looking_ahead_changes_nothing(&dbvc, &migration).await;
    a_run_applies_it(&dbvc, &migration).await;
    status_tells_of_it(&dbvc, &migration).await;
    a_snapshot_is_taken_and_found_again(&dbvc).await;
    it_is_rolled_back_and_applied_again(&dbvc, &migration).await;
    verifying_finds_nothing(&dbvc).await;
    history_tells_all_of_it(&dbvc, &migration).await;
    a_change_by_hand_is_found_and_told_once(&dbvc).await;
    a_run_over_all_reaches_a_second_database(&dbvc).await;
    runs_can_be_looked_up(&dbvc).await;
    dbvc.host.expect_silent_stderr();
    assert_eq!(dbvc.host.defects(), Vec::<String>::new());
}

/// What every answer of this API has.
#[track_caller]
fn json_of(answer: Answer, status: u16) -> Value {
    let answer = answer.expect_status(status);
    let media = answer.header("content-type").unwrap_or_default();
    assert_eq!(media.split(';').next(), Some("application/json"), "{media}");
    let id = answer.header("x-request-id").unwrap_or_default();
    assert!(uuid::Uuid::parse_str(&id).is_ok(), "x-request-id: {id}");
    answer.body
}

async fn a_fresh_machine_is_healthy_and_holds_one_database(dbvc: &Dbvc) {
    let answer = dbvc.host.get("/api/dbvc/health").await;
    let invocation = dbvc
        .host
        .invocations()
        .pop()
        .expect("the host called a function");
    assert_eq!(
        answer.header("x-request-id"),
        Some(invocation.id),
        "what the host logs is what the caller sees"
    );
    let health = json_of(answer, 200);
    expect_like(
        &health,
        &json!({
            "status": "healthy", "version": env!("CARGO_PKG_VERSION"), "environment": "dev", "mode": "embedded",
            "checks": {
                "registry": { "status": "healthy", "latencyMs": "<number?>" },
                "trail": { "status": "healthy", "undelivered": 0 },
            },
        }),
    );
    let databases = json_of(dbvc.host.get("/api/dbvc/databases").await, 200);
    let home = json!({
        "databaseId": HOME, "type": "sql", "engine": "sqlite", "environment": "dev", "serverName": "<text?>",
        "databaseName": "<text?>", "folder": ".", "connection": null,
    });
    expect_like(&databases, &json!({ "databases": [home] }));
    let one = json_of(
        dbvc.host.get(&format!("/api/dbvc/databases/{HOME}")).await,
        200,
    );
    assert_eq!(one, databases["databases"][0]);
    let status = json_of(
        dbvc.host
            .get("/api/dbvc/migrations/status?environment=dev")
            .await,
        200,
    );
    let untouched = json!({
        "databaseId": HOME, "engine": "sqlite", "type": "sql", "currentVersion": null,
        "counts": { "applied": 0, "pending": 0, "failed": 0, "rolledBack": 0 },
        "lock": null, "lastRun": null, "drift": { "detected": null, "checkedAt": null },
    });
    expect_like(
        &status,
        &json!({ "environment": "dev", "databases": [untouched] }),
    );
    assert!(
        !dbvc.file_of(HOME).exists(),
        "looking made a database out of nothing"
    );
}

/// The body is that of the original README, to the letter.
async fn the_request_of_the_readme_registers(dbvc: &Dbvc) -> Value {
    let body = r#"{
    "name": "add_user_preferences",
    "databaseId": "lpa-bloom-sql-dev",
    "author": "developer@lpa.com",
    "description": "Add user preferences table",
    "upScript": "CREATE TABLE user_preferences (...);",
    "downScript": "DROP TABLE user_preferences;"
  }"#;
    let post = || {
        let request = dbvc.host.request("POST", "/api/dbvc/migrations");
        request
            .header("Content-Type", "application/json")
            .body(body)
    };
    let answer = post().send().await;
    let location = answer.header("location").unwrap_or_default();
    let migration = json_of(answer, 201);
    expect_like(
        &migration,
        &json!({
            "migrationId": "<text>", "version": "<text>", "name": "add_user_preferences", "databaseId": HOME,
            "author": ME, "description": "Add user preferences table", "checksum": "<sha256>",
            "downChecksum": "<sha256>", "hasDownScript": true, "status": "pending", "createdAt": "<time>",
        }),
    );
    let version = text(&migration["version"]);
    assert_eq!(version.len(), 14, "{version}");
    let id = text(&migration["migrationId"]);
    assert_eq!(
        id,
        format!("{}_{}_add_user_preferences", &version[..8], &version[8..])
    );
    assert_eq!(
        location,
        format!("/api/dbvc/databases/{HOME}/migrations/{id}")
    );
    for warning in list(&migration["warnings"]) {
        expect_like(
            warning,
            &json!({
                "code": "<text>", "severity": "<text>", "message": "<text>", "line": "<number>", "column": "<number>",
                "suggestion": "<text?>",
            }),
        );
    }
    let found = json_of(dbvc.host.get(&location).await, 200);
    expect_like(
        &found,
        &json!({
            "migrationId": id, "version": version, "name": "add_user_preferences", "databaseId": HOME, "author": ME,
            "description": "Add user preferences table", "checksum": migration["checksum"],
            "downChecksum": migration["downChecksum"], "hasDownScript": true, "status": "pending",
            "createdAt": migration["createdAt"], "warnings": migration["warnings"],
            "upScript": "CREATE TABLE user_preferences (...);", "downScript": "DROP TABLE user_preferences;",
            "executions": [],
        }),
    );
    migration
}

async fn its_dots_are_no_sql(dbvc: &Dbvc, migration: &Value) {
    let answer = dbvc.try_run(json!({})).await.expect_status(422);
    let problem = support::dbvc::expect_problem(&answer, 422, "migration-failed");
    expect_like(
        &problem["run"],
        &json!({
            "runId": "<id>", "kind": "run", "environment": "dev", "databaseId": HOME, "executor": ME, "dryRun": false,
            "status": "failed", "startedAt": "<time>", "finishedAt": "<time>", "durationMs": "<number>",
            "databases": [{
                "databaseId": HOME, "engine": "sqlite", "status": "failed", "fromVersion": null, "toVersion": null,
                "snapshotId": "<id>", "driftBefore": null, "problem": null,
                "migrations": [{
                    "migrationId": migration["migrationId"], "version": migration["version"],
                    "executionId": "<id>", "status": "failed", "durationMs": "<number>",
                    "batches": [{
                        "index": 1, "line": 1, "count": 1, "rowsAffected": 0, "durationMs": "<number>", "messages": [],
                    }],
                    "errors": [{
                        "number": 1, "severity": "<number>", "state": "<number>", "line": 1, "batch": 1,
                        "procedure": null, "message": "near \".\": syntax error",
                    }],
                }],
            }],
        }),
    );
    assert_eq!(
        problem["instance"], "/api/dbvc/migrations/run",
        "{problem:#}"
    );
}

async fn it_is_mended_by_registering_it_again(dbvc: &Dbvc, migration: &Value) {
    let body = json!({
        "name": "add_user_preferences", "version": migration["version"], "databaseId": HOME, "author": ME,
        "upScript": UP, "downScript": DOWN, "reregister": true,
    });
    let answer = dbvc.host.post("/api/dbvc/migrations", body).await;
    let mended = json_of(answer, 200);
    assert_eq!(mended["migrationId"], migration["migrationId"]);
    assert_eq!(mended["downChecksum"], migration["downChecksum"]);
    assert_ne!(mended["checksum"], migration["checksum"]);
}

/// A migration that a run has only looked at.
fn planned(migration_id: &Value, version: &Value) -> Value {
    json!({
        "migrationId": migration_id, "version": version, "executionId": null, "status": "planned", "durationMs": null,
        "batches": [], "errors": [],
    })
}

async fn looking_ahead_changes_nothing(dbvc: &Dbvc, migration: &Value) {
    let events = dbvc.events().await.len();
    let executions = || dbvc.ask_by_hand("SELECT count(*) FROM migration_execution_history");
    let before = executions();
    let preview = dbvc.try_run(json!({ "dryRun": true })).await;
    let planned_only = planned(&migration["migrationId"], &migration["version"]);
    let expected = |dry_run: Value, from: Value, to: Value, migrations: Value| {
        json!({
            "runId": "<id>", "kind": "run", "environment": "dev", "databaseId": HOME, "executor": ME,
            "dryRun": dry_run, "status": "succeeded", "startedAt": "<time>", "finishedAt": "<time>",
            "durationMs": "<number>",
            "databases": [{
                "databaseId": HOME, "engine": "sqlite", "status": "succeeded", "fromVersion": from, "toVersion": to,
                "snapshotId": null, "driftBefore": null, "problem": null, "migrations": migrations,
            }],
        })
    };
    let version = migration["version"].clone();
    let preview = json_of(preview, 200);
    expect_like(
        &preview,
        &expected(
            json!(true),
            Value::Null,
            version.clone(),
            json!([planned_only]),
        ),
    );

    // As a pipeline looks at the files of a branch, none of which is registered.
    let inline = json!([
        { "fileName": "V20991231235959__later.sqlite.sql", "upScript": "CREATE TABLE later (id INTEGER);" },
        { "fileName": "R__view.sqlite.sql", "upScript": "CREATE VIEW v AS SELECT 1;", "downScript": "DROP VIEW v;" },
    ]);
    let unregistered = dbvc
        .try_run(json!({ "dryRun": true, "migrations": inline }))
        .await;
    let all = json!([
        planned_only,
        planned(&json!("20991231_235959_later"), &json!("20991231235959")),
        planned(&json!("R__view"), &Value::Null),
    ]);
    expect_like(
        &json_of(unregistered, 200),
        &expected(json!(true), Value::Null, json!("20991231235959"), all),
    );

    let tried = dbvc
        .try_run(json!({ "dryRun": "execute", "migrations": inline }))
        .await;
    let tried = json_of(tried, 200);
    let mut first = planned_only.clone();
    first["durationMs"] = json!("<number>");
    first["batches"] = json!([{
        "index": 1, "line": 1, "count": 1, "rowsAffected": 2, "durationMs": "<number>", "messages": [],
    }]);
    expect_like(&tried["databases"][0]["migrations"][0], &first);
    assert_eq!(
        (&tried["status"], &tried["dryRun"]),
        (&json!("succeeded"), &json!("execute"))
    );
    assert_eq!(
        each(&tried["databases"][0]["migrations"], "status"),
        ["planned"; 3]
    );

    for run in [preview, tried] {
        let path = format!("/api/dbvc/runs/{}", text(&run["runId"]));
        support::dbvc::expect_problem(&dbvc.host.get(&path).await, 404, "unknown-run");
    }
    assert_eq!(dbvc.events().await.len(), events);
    assert_eq!(executions(), before);
    assert!(!dbvc.has("user_preferences") && !dbvc.has("later") && !dbvc.has("v"));
}

async fn a_run_applies_it(dbvc: &Dbvc, migration: &Value) {
    let run = json_of(dbvc.try_run(json!({})).await, 200);
    expect_like(
        &run,
        &json!({
            "runId": "<id>", "kind": "run", "environment": "dev", "databaseId": HOME, "executor": ME, "dryRun": false,
            "status": "succeeded", "startedAt": "<time>", "finishedAt": "<time>", "durationMs": "<number>",
            "databases": [{
                "databaseId": HOME, "engine": "sqlite", "status": "succeeded", "fromVersion": null,
                "toVersion": migration["version"], "snapshotId": "<id>", "driftBefore": null, "problem": null,
                "migrations": [{
                    "migrationId": migration["migrationId"], "version": migration["version"],
                    "executionId": "<id>", "status": "applied", "durationMs": "<number>",
                    "batches": [{
                        "index": 1, "line": 1, "count": 1, "rowsAffected": 2, "durationMs": "<number>", "messages": [],
                    }],
                    "errors": [],
                }],
            }],
        }),
    );
    assert_eq!(
        dbvc.ask_by_hand("SELECT count(*) FROM user_preferences"),
        "2"
    );
    let again = json_of(dbvc.try_run(json!({})).await, 200);
    expect_like(
        &again,
        &json!({
            "status": "nothing-to-do",
            "databases": [{
                "status": "nothing-to-do", "fromVersion": migration["version"], "toVersion": migration["version"],
                "snapshotId": null, "driftBefore": null, "problem": null, "migrations": [],
            }],
        }),
    );
}

async fn status_tells_of_it(dbvc: &Dbvc, migration: &Value) {
    let short = json_of(
        dbvc.host
            .get("/api/dbvc/migrations/status?environment=dev")
            .await,
        200,
    );
    let expected = json!({
        "databaseId": HOME, "engine": "sqlite", "type": "sql", "currentVersion": migration["version"],
        "counts": { "applied": 1, "pending": 0, "failed": 0, "rolledBack": 0 }, "lock": null,
        "lastRun": { "runId": "<id>", "status": "nothing-to-do", "finishedAt": "<time>" },
        "drift": { "detected": false, "checkedAt": "<time>" },
    });
    expect_like(
        &short,
        &json!({ "environment": "dev", "databases": [expected] }),
    );
    assert!(short["databases"][0].get("migrations").is_none());
    assert!(short["databases"][0].get("error").is_none());
    let detailed = json_of(
        dbvc.host
            .get("/api/dbvc/migrations/status?detailed=true")
            .await,
        200,
    );
    expect_like(
        &detailed["databases"][0]["migrations"],
        &json!([
            {
                "migrationId": "V100__version_control_schema", "version": "100", "name": "version_control_schema",
                "status": "applied", "checksum": "<sha256>", "author": "<text>", "executor": "<text>",
                "appliedAt": "<time>", "durationMs": "<number>", "hasDownScript": false,
            },
            {
                "migrationId": migration["migrationId"], "version": migration["version"],
                "name": "add_user_preferences", "status": "applied", "checksum": "<sha256>", "author": ME,
                "executor": ME, "appliedAt": "<time>", "durationMs": "<number>", "hasDownScript": true,
            },
        ]),
    );
}

async fn a_snapshot_is_taken_and_found_again(dbvc: &Dbvc) {
    let body =
        json!({ "databaseId": HOME, "environment": "dev", "type": "manual", "executor": ME });
    let header = json_of(dbvc.host.post("/api/dbvc/snapshots", body).await, 201);
    expect_like(
        &header,
        &json!({
            "snapshotId": "<id>", "databaseId": HOME, "type": "manual", "capturedAt": "<time>", "capturedBy": ME,
            "schemaHash": "<sha256>",
            "objectCounts": {
                "tables": 1, "views": 0, "indexes": 0, "procedures": 0, "functions": 0, "triggers": 0,
                "constraints": "<number>",
            },
            "sizeBytes": "<number>", "parts": 1,
        }),
    );
    let path = format!("/api/dbvc/snapshots?databaseId={HOME}");
    let page = json_of(dbvc.host.get(&path).await, 200);
    assert_eq!(page["continuation"], Value::Null);
    assert_eq!(page["snapshots"][0], header, "newest first");
    assert_eq!(
        each(&page["snapshots"], "type"),
        ["manual", "post-migration", "post-migration"]
    );
    let path = format!(
        "/api/dbvc/snapshots?snapshotId={}",
        text(&header["snapshotId"])
    );
    let whole = json_of(dbvc.host.get(&path).await, 200);
    expect_like(&whole, &header);
    assert!(
        whole["schema"].to_string().contains("preference_key"),
        "{whole:#}"
    );
}

async fn it_is_rolled_back_and_applied_again(dbvc: &Dbvc, migration: &Value) {
    let id = text(&migration["migrationId"]);
    let dry = json_of(dbvc.roll_back(&id, json!({ "dryRun": true })).await, 200);
    expect_like(
        &dry,
        &json!({
            "kind": "rollback", "dryRun": true, "status": "succeeded",
            "databases": [{
                "fromVersion": migration["version"], "toVersion": null, "snapshotId": null,
                "migrations": [planned(&migration["migrationId"], &migration["version"])],
            }],
        }),
    );
    assert!(dbvc.has("user_preferences"));
    let undone = json_of(
        dbvc.roll_back(&id, json!({ "reason": "too early" })).await,
        200,
    );
    expect_like(
        &undone,
        &json!({
            "runId": "<id>", "kind": "rollback", "environment": "dev", "databaseId": HOME, "executor": ME,
            "dryRun": false, "status": "succeeded", "startedAt": "<time>", "finishedAt": "<time>",
            "durationMs": "<number>",
            "databases": [{
                "databaseId": HOME, "engine": "sqlite", "status": "succeeded", "fromVersion": migration["version"],
                "toVersion": null, "snapshotId": "<id>", "driftBefore": null, "problem": null,
                "migrations": [{
                    "migrationId": id, "version": migration["version"], "executionId": "<id>", "status": "rolled-back",
                    "durationMs": "<number>",
                    "batches": [{
                        "index": 1, "line": 1, "count": 1, "rowsAffected": 0, "durationMs": "<number>", "messages": [],
                    }],
                    "errors": [],
                }],
            }],
        }),
    );
    assert!(!dbvc.has("user_preferences"));
    assert_eq!(dbvc.states().await, [format!("{id} rolled-back")]);
    dbvc.run().await;
    assert!(dbvc.has("user_preferences"));
    assert_eq!(dbvc.states().await, [format!("{id} applied")]);
    let directions = dbvc.migration(&id).await;
    let attempts: Vec<String> = list(&directions["executions"])
        .iter()
        .map(|execution| {
            format!(
                "{} {}",
                text(&execution["direction"]),
                text(&execution["status"])
            )
        })
        .collect();
    assert_eq!(
        attempts,
        ["up applied", "down rolled-back", "up applied", "up failed"],
        "newest first"
    );
}

async fn verifying_finds_nothing(dbvc: &Dbvc) {
    let body = json!({ "databaseId": HOME, "environment": "dev", "executor": ME });
    let found = json_of(
        dbvc.host.post("/api/dbvc/integrity/verify", body).await,
        200,
    );
    assert_eq!(found["healthy"], true, "{found:#}");
    let mut codes = each(&found["checks"], "code");
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "applied-status",
            "checksums",
            "down-scripts",
            "drift",
            "execution-history",
            "locks",
            "registry-backup",
            "registry-schema",
            "trail-chain",
            "trail-delivery",
            "version-order",
        ]
    );
    for check in list(&found["checks"]) {
        expect_like(
            check,
            &json!({ "code": "<text>", "title": "<text>", "detail": "<text>" }),
        );
        assert!(check["items"].is_array(), "{check:#}");
        // Delivery runs behind the answers, so that the last events may still be on their way.
        let may_wait =
            ["registry-backup", "trail-delivery"].contains(&check["code"].as_str().unwrap());
        let is_fine = check["status"] == "pass" || (may_wait && check["status"] == "warn");
        assert!(is_fine, "{check:#}");
    }
}

async fn history_tells_all_of_it(dbvc: &Dbvc, migration: &Value) {
    let path = format!("/api/dbvc/history?databaseId={HOME}");
    let page = json_of(dbvc.host.get(&path).await, 200);
    expect_like(
        &page,
        &json!({ "continuation": null, "source": "embedded" }),
    );
    let events = list(&page["events"]);
    for (position, event) in events.iter().rev().enumerate() {
        expect_like(
            event,
            &json!({
                "id": "<id>", "sequence": position + 1, "databaseId": HOME, "migrationId": "<text?>", "runId": "<id?>",
                "executionId": "<id?>", "type": "<text>", "at": "<time>", "executor": "<text>", "principal": null,
                "environment": "dev", "previousHash": "<sha256?>", "hash": "<sha256>",
            }),
        );
        assert!(event["data"].is_object(), "{event:#}");
    }
    let mine: Vec<&str> = events
        .iter()
        .rev()
        .filter(|event| event["migrationId"] == migration["migrationId"])
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        mine,
        [
            "registered",
            "started",
            "failed",
            "reregistered",
            "started",
            "completed",
            "started",
            "rolled-back",
            "started",
            "completed",
        ]
    );
    let undone = events.iter().find(|event| event["type"] == "rolled-back");
    assert_eq!(undone.unwrap()["data"]["reason"], "too early");
}

async fn a_change_by_hand_is_found_and_told_once(dbvc: &Dbvc) {
    let before = dbvc.drift().await;
    expect_like(
        &before,
        &json!({
            "databaseId": HOME, "detected": false, "from": { "snapshotId": "<id>" },
            "to": { "live": true, "schemaHash": "<sha256>" }, "reason": null, "changes": [],
        }),
    );
    dbvc.change_by_hand("ALTER TABLE user_preferences ADD COLUMN note TEXT");
    let path = format!("/api/dbvc/drift?databaseId={HOME}");
    let drift = json_of(dbvc.host.get(&path).await, 200);
    expect_like(
        &drift,
        &json!({
            "databaseId": HOME, "detected": true, "from": { "snapshotId": "<id>" },
            "to": { "live": true, "schemaHash": "<sha256>" }, "reason": null,
            "changes": [{
                "change": "changed", "kind": "table", "name": "user_preferences",
                "details": [{ "property": "column note", "from": null, "to": "<text>" }],
            }],
        }),
    );
    for (media, beginning) in [
        ("text/markdown", "### Schema drift"),
        ("text/html", "<!DOCTYPE html>"),
    ] {
        let report = dbvc
            .host
            .request("GET", &path)
            .header("accept", media)
            .send()
            .await
            .expect_status(200);
        let content_type = report.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with(media), "{content_type}");
        assert!(report.header("x-request-id").is_some());
        assert_eq!(
            report.header("x-content-type-options").as_deref(),
            Some("nosniff")
        );
        if media == "text/html" {
            expect_held_to_its_policy(&report);
        }
        let words = report.text();
        assert!(
            words.starts_with(beginning)
                && words.contains("user_preferences")
                && words.contains("note"),
            "{words}"
        );
    }
    assert!(
        dbvc.events_of_type("drift-detected").await.is_empty(),
        "looking writes no event"
    );

    for (shape, line) in [
        (TimerShape::FirstRun, "drift detected"),
        (TimerShape::Regular, "still the drift"),
    ] {
        let tick = dbvc
            .host
            .invoke_timer("dbvc-drift-timer", shape)
            .await
            .expect_success();
        assert!(
            tick.logs.iter().any(|log| log.contains(line)),
            "{:?}",
            tick.logs
        );
        let told = dbvc.events_of_type("drift-detected").await;
        assert_eq!(told.len(), 1, "the finding is told once");
        assert_eq!(
            told[0]["data"]["names"],
            json!(["table user_preferences"]),
            "{:#}",
            told[0]
        );
    }
    let status = dbvc.status().await;
    assert_eq!(status["drift"]["detected"], true);
}

async fn a_run_over_all_reaches_a_second_database(dbvc: &Dbvc) {
    let body = json!({
        "type": "sql", "engine": "sqlite", "environment": "dev", "databaseName": "Reporting", "folder": "reporting",
    });
    let path = format!("/api/dbvc/databases/{REPORTING}?executor={ME}");
    let put = json_of(dbvc.host.put(&path, body.clone()).await, 201);
    expect_like(
        &put,
        &json!({
            "databaseId": REPORTING, "type": "sql", "engine": "sqlite", "environment": "dev", "serverName": null,
            "databaseName": "Reporting", "folder": "reporting", "connection": null,
        }),
    );
    assert!(dbvc.file_of(REPORTING).is_file());
    assert_eq!(json_of(dbvc.host.put(&path, body).await, 200), put);
    let changes = dbvc.events_of_type("database-changed").await;
    let told = changes
        .iter()
        .filter(|event| event["data"]["databaseId"] == REPORTING)
        .count();
    assert_eq!(told, 2, "every PUT is an event: {changes:#?}");
    let databases = json_of(dbvc.host.get("/api/dbvc/databases").await, 200);
    assert_eq!(
        each(&databases["databases"], "databaseId"),
        [HOME, REPORTING]
    );

    let body = json!({
        "fileName": "V1__facts.sqlite.sql", "databaseId": REPORTING, "author": ME,
        "upScript": "CREATE TABLE facts (id INTEGER PRIMARY KEY);",
    });
    json_of(dbvc.host.post("/api/dbvc/migrations", body).await, 201);
    let run = json_of(dbvc.try_run(json!({ "databaseId": "all" })).await, 200);
    expect_like(
        &run,
        &json!({
            "runId": "<id>", "kind": "run", "databaseId": "all", "status": "succeeded",
            "databases": [
                { "databaseId": HOME, "status": "nothing-to-do", "migrations": [] },
                {
                    "databaseId": REPORTING, "status": "succeeded", "fromVersion": null, "toVersion": "1",
                    "migrations": [{ "migrationId": "V1__facts", "status": "applied" }],
                },
            ],
        }),
    );
    let kinds: Vec<String> = dbvc
        .events_of(REPORTING)
        .await
        .iter()
        .map(|event| text(&event["type"]))
        .collect();
    assert!(kinds.contains(&"completed".to_owned()), "{kinds:?}");
}

async fn runs_can_be_looked_up(dbvc: &Dbvc) {
    let runs = json_of(dbvc.host.get("/api/dbvc/runs").await, 200);
    let newest = &runs["runs"][0];
    assert_eq!(newest["databaseId"], "all", "newest first");
    let path = format!("/api/dbvc/runs/{}", text(&newest["runId"]));
    assert_eq!(&json_of(dbvc.host.get(&path).await, 200), newest);
    let of_reporting = json_of(
        dbvc.host
            .get(&format!("/api/dbvc/runs?databaseId={REPORTING}&limit=5"))
            .await,
        200,
    );
    assert_eq!(list(&of_reporting["runs"]).len(), 1);
    let two = json_of(dbvc.host.get("/api/dbvc/runs?limit=2").await, 200);
    assert_eq!(list(&two["runs"]).len(), 2);
}

/// The page's own style and script are all that a browser may use of it.
fn expect_held_to_its_policy(page: &Answer) {
    let policy = page.header("content-security-policy").unwrap_or_default();
    let text = page.text();
    for (directive, element) in [("style-src", "style"), ("script-src", "script")] {
        let (_, rest) = text.split_once(&format!("<{element}>")).unwrap();
        let (content, rest) = rest.split_once(&format!("</{element}>")).unwrap();
        assert!(!rest.contains(&format!("<{element}")), "only one {element}");
        let hash = BASE64_STANDARD.encode(Sha256::digest(content));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{hash}'")),
            "{policy}"
        );
    }
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert_eq!(
        page.header("referrer-policy").as_deref(),
        Some("no-referrer")
    );
}
