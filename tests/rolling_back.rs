//! Rolling back what was applied.

mod support;

use serde_json::{Value, json};

use support::dbvc::{Dbvc, HOME, ME, detail, each, expect_problem, list, outcomes, text};
use support::shape::expect_like;

/// A table with its down script, which fails if the tables above it are still there.
async fn table(dbvc: &Dbvc, version: u32) {
    let up =
        format!("CREATE TABLE t{version} (id INTEGER);\nINSERT INTO log VALUES ('up {version}');");
    let down = format!("DROP TABLE t{version};\nINSERT INTO log VALUES ('down {version}');");
    dbvc.register_with_down(&format!("V{version}__t"), &up, &down)
        .await;
}

/// Three applied tables and a log of what was done to them.
async fn three_tables() -> Dbvc {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__log", "CREATE TABLE log (line TEXT);")
        .await;
    for version in [2, 3, 4] {
        table(&dbvc, version).await;
    }
    dbvc.run().await;
    dbvc.change_by_hand("DELETE FROM log");
    dbvc
}

fn log(dbvc: &Dbvc) -> String {
    dbvc.ask_by_hand("SELECT group_concat(line, ', ' ORDER BY rowid) FROM log")
}

#[tokio::test]
async fn only_the_newest_applied_one_is_rolled_back_without_cascade() {
    let dbvc = three_tables().await;
    let problem = expect_problem(&dbvc.roll_back("V2__t", json!({})).await, 409, "not-latest");
    assert!(
        detail(&problem).contains("V4__t, V3__t"),
        "newest first: {problem:#}"
    );
    assert_eq!(log(&dbvc), "null");
    let refused = dbvc.events_of_type("refused").await;
    expect_like(
        &json!(refused),
        &json!([{ "migrationId": "V2__t", "executor": ME, "data": { "request": "rollback", "code": "not-latest" } }]),
    );
    let answer = dbvc.roll_back("V4__t", json!({})).await.expect_status(200);
    let run = &answer.body["databases"][0];
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("4"), &json!("3"))
    );
    assert_eq!(log(&dbvc), "down 4");
    dbvc.roll_back("V3__t", json!({})).await.expect_status(200);
    dbvc.roll_back("V2__t", json!({})).await.expect_status(200);
    assert_eq!(log(&dbvc), "down 4, down 3, down 2");
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_cascade_goes_from_the_newest_to_the_one_that_was_asked_for() {
    let dbvc = three_tables().await;
    let cascade = json!({ "cascade": true });
    let dry = dbvc
        .roll_back("V2__t", json!({ "cascade": true, "dryRun": true }))
        .await
        .expect_status(200);
    let planned = &dry.body["databases"][0];
    assert_eq!(
        outcomes(planned),
        ["V4__t planned", "V3__t planned", "V2__t planned"]
    );
    assert_eq!(
        (&planned["fromVersion"], &planned["toVersion"]),
        (&json!("4"), &json!("1"))
    );
    assert_eq!(log(&dbvc), "null");

    let answer = dbvc.roll_back("V2__t", cascade).await.expect_status(200);
    let run = &answer.body["databases"][0];
    assert_eq!(
        outcomes(run),
        [
            "V4__t rolled-back",
            "V3__t rolled-back",
            "V2__t rolled-back"
        ]
    );
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("4"), &json!("1"))
    );
    assert_eq!(log(&dbvc), "down 4, down 3, down 2");
    let ids: Vec<String> = dbvc
        .events_of_type("rolled-back")
        .await
        .iter()
        .map(|event| text(&event["migrationId"]))
        .collect();
    assert_eq!(ids, ["V4__t", "V3__t", "V2__t"]);
    let status = dbvc.status().await;
    assert_eq!(
        status["counts"],
        json!({ "applied": 1, "pending": 0, "failed": 0, "rolledBack": 3 })
    );
    assert_eq!(status["currentVersion"], "1");
}

#[tokio::test]
async fn the_newest_is_the_one_that_was_applied_last() {
    let dbvc = three_tables().await;
    table(&dbvc, 5).await;
    dbvc.run().await;
    dbvc.register_with_down(
        "V1.5__late",
        "INSERT INTO log VALUES ('up 1.5');",
        "INSERT INTO log VALUES ('down 1.5');",
    )
    .await;
    dbvc.run_with(json!({ "outOfOrder": "allow" })).await;
    let problem = expect_problem(&dbvc.roll_back("V5__t", json!({})).await, 409, "not-latest");
    assert!(detail(&problem).contains("V1.5__late"), "{problem:#}");
    dbvc.roll_back("V1.5__late", json!({}))
        .await
        .expect_status(200);
    dbvc.roll_back("V5__t", json!({})).await.expect_status(200);
}

#[tokio::test]
async fn nothing_is_rolled_back_without_its_down_script() {
    let dbvc = three_tables().await;
    dbvc.register("V5__no_down", "CREATE TABLE no_down (id INTEGER);")
        .await;
    table(&dbvc, 6).await;
    dbvc.run().await;
    dbvc.change_by_hand("DELETE FROM log");
    for (id, cascade) in [("V5__no_down", true), ("V2__t", true)] {
        let answer = dbvc.roll_back(id, json!({ "cascade": cascade })).await;
        let problem = expect_problem(&answer, 409, "no-down-script");
        assert!(detail(&problem).contains("V5__no_down"), "{problem:#}");
        assert!(!detail(&problem).contains("V6__t"), "{problem:#}");
    }
    assert_eq!(
        log(&dbvc),
        "null",
        "of a cascade nothing is done when it cannot be done whole"
    );
    assert_eq!(dbvc.status().await["counts"]["applied"], 6);
}

#[tokio::test]
async fn what_is_not_applied_cannot_be_rolled_back() {
    let dbvc = three_tables().await;
    table(&dbvc, 5).await;
    expect_problem(
        &dbvc.roll_back("V5__t", json!({})).await,
        409,
        "not-applied",
    );
    dbvc.roll_back("V4__t", json!({})).await.expect_status(200);
    expect_problem(
        &dbvc.roll_back("V4__t", json!({})).await,
        409,
        "not-applied",
    );
    expect_problem(
        &dbvc.roll_back("V9__nothing", json!({})).await,
        404,
        "unknown-migration",
    );
    let elsewhere = json!({ "databaseId": "nowhere" });
    expect_problem(
        &dbvc.roll_back("V4__t", elsewhere).await,
        404,
        "unknown-database",
    );
    let prod = json!({ "environment": "prod" });
    expect_problem(
        &dbvc.roll_back("V4__t", prod).await,
        400,
        "wrong-environment",
    );
    dbvc.register_with_down("V6__bad", "oops;", "SELECT 1;")
        .await;
    dbvc.run_badly().await;
    expect_problem(
        &dbvc.roll_back("V6__bad", json!({})).await,
        409,
        "not-applied",
    );
}

#[tokio::test]
async fn a_dry_rollback_is_refused_for_the_same_reasons_and_leaves_no_event() {
    let dbvc = three_tables().await;
    let events = dbvc.events().await.len();
    let dry = json!({ "dryRun": true });
    expect_problem(
        &dbvc.roll_back("V2__t", dry.clone()).await,
        409,
        "not-latest",
    );
    expect_problem(
        &dbvc
            .roll_back("V1__log", json!({ "dryRun": true, "cascade": true }))
            .await,
        409,
        "no-down-script",
    );
    expect_problem(
        &dbvc.roll_back("V9__nothing", dry.clone()).await,
        404,
        "unknown-migration",
    );
    let answer = dbvc.roll_back("V4__t", dry).await.expect_status(200);
    let path = format!("/api/dbvc/runs/{}", text(&answer.body["runId"]));
    expect_problem(&dbvc.host.get(&path).await, 404, "unknown-run");
    assert_eq!(dbvc.events().await.len(), events);
    assert!(dbvc.has("t4"));
}

#[tokio::test]
async fn a_rolled_back_migration_keeps_that_status_and_is_applied_by_the_next_run() {
    let dbvc = three_tables().await;
    dbvc.roll_back("V4__t", json!({ "reason": "too early" }))
        .await
        .expect_status(200);
    let state = dbvc.status().await["migrations"][3].clone();
    expect_like(
        &state,
        &json!({ "migrationId": "V4__t", "status": "rolled-back", "appliedAt": null, "durationMs": null }),
    );
    let status = dbvc.status().await;
    expect_like(
        &status["lastRun"],
        &json!({ "runId": "<id>", "status": "succeeded", "finishedAt": "<time>" }),
    );
    let run = dbvc.run().await;
    assert_eq!(outcomes(&run), ["V4__t applied"]);
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("3"), &json!("4"))
    );
    let migration = dbvc.migration("V4__t").await;
    assert_eq!(
        each(&migration["executions"], "direction"),
        ["up", "down", "up"]
    );
    assert_eq!(
        each(&migration["executions"], "status"),
        ["applied", "rolled-back", "applied"]
    );
    let undone = dbvc.events_of_type("rolled-back").await;
    assert_eq!(undone[0]["data"]["reason"], "too early");
}

#[tokio::test]
async fn a_mended_migration_that_was_rolled_back_runs_its_new_text() {
    let dbvc = three_tables().await;
    dbvc.roll_back("V4__t", json!({})).await.expect_status(200);
    let other = dbvc
        .create(
            "V4__t.sqlite.sql",
            "CREATE TABLE better (id INTEGER);",
            json!({}),
        )
        .await;
    expect_problem(&other, 409, "already-registered");
    dbvc.reregister("V4__t", "CREATE TABLE better (id INTEGER);", json!({}))
        .await;
    dbvc.run().await;
    assert!(dbvc.has("better") && !dbvc.has("t4"));
}

#[tokio::test]
async fn a_down_script_that_fails_leaves_the_migration_applied() {
    let dbvc = Dbvc::start().await;
    dbvc.register_with_down(
        "V1__t",
        "CREATE TABLE t (id INTEGER);",
        "DROP TABLE t;\nGO\n\nDROP TABLE missing;",
    )
    .await;
    dbvc.run().await;
    let answer = dbvc.roll_back("V1__t", json!({})).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    let run = &problem["run"]["databases"][0];
    expect_like(
        &run["migrations"],
        &json!([{
            "migrationId": "V1__t", "status": "failed",
            "errors": [{ "line": 4, "batch": 2, "message": "no such table: missing" }],
        }]),
    );
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("1"), &json!("1"))
    );
    assert!(run["snapshotId"].is_string());
    assert!(dbvc.has("t"));
    assert_eq!(dbvc.states().await, ["V1__t applied"]);
    assert_eq!(dbvc.status().await["currentVersion"], "1");
    let migration = dbvc.migration("V1__t").await;
    assert_eq!(
        each(&migration["executions"], "status"),
        ["failed", "applied"]
    );
    assert_eq!(dbvc.run().await["status"], "nothing-to-do");
    assert_eq!(dbvc.verify().await["healthy"], true);

    let mended = json!({ "downScript": "DROP TABLE t;" });
    dbvc.reregister("V1__t", "CREATE TABLE t (id INTEGER);", mended)
        .await;
    dbvc.roll_back("V1__t", json!({})).await.expect_status(200);
    assert!(!dbvc.has("t"));
}

#[tokio::test]
async fn a_cascade_stops_at_the_down_script_that_fails() {
    let dbvc = three_tables().await;
    dbvc.change_by_hand("DROP TABLE t3");
    let answer = dbvc.roll_back("V2__t", json!({ "cascade": true })).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    let run = &problem["run"]["databases"][0];
    assert_eq!(
        outcomes(run),
        ["V4__t rolled-back", "V3__t failed", "V2__t skipped"]
    );
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("4"), &json!("3"))
    );
    assert_eq!(log(&dbvc), "down 4");
    assert_eq!(
        dbvc.states().await,
        [
            "V1__log applied",
            "V2__t applied",
            "V3__t applied",
            "V4__t rolled-back"
        ]
    );
}

#[tokio::test]
async fn a_repeatable_migration_counts_neither_as_the_newest_nor_in_a_cascade() {
    let dbvc = three_tables().await;
    let down = json!({ "downScript": "DROP VIEW v;" });
    dbvc.create("R__v.sqlite.sql", "CREATE VIEW v AS SELECT 1 AS one;", down)
        .await
        .expect_status(201);
    dbvc.run().await;
    dbvc.roll_back("V4__t", json!({})).await.expect_status(200);
    let answer = dbvc
        .roll_back("V2__t", json!({ "cascade": true }))
        .await
        .expect_status(200);
    assert_eq!(
        outcomes(&answer.body["databases"][0]),
        ["V3__t rolled-back", "V2__t rolled-back"]
    );
    assert!(dbvc.has("v"));
    // By itself it can be rolled back, whatever was applied after it.
    table(&dbvc, 9).await;
    dbvc.run().await;
    dbvc.roll_back("R__v", json!({})).await.expect_status(200);
    assert!(!dbvc.has("v"));
    assert_eq!(outcomes(&dbvc.run().await), ["R__v applied"]);
}

#[tokio::test]
async fn production_asks_for_a_confirmation() {
    let dbvc = Dbvc::start_in("prod", |host| host).await;
    dbvc.register_with_down("V1__t", "CREATE TABLE t (id INTEGER);", "DROP TABLE t;")
        .await;
    dbvc.run().await;
    for more in [
        json!({}),
        json!({ "confirm": "V1__T" }),
        json!({ "confirm": "yes" }),
    ] {
        let answer = dbvc.roll_back("V1__t", more).await;
        let problem = expect_problem(&answer, 428, "confirmation-required");
        assert!(detail(&problem).contains("V1__t"), "{problem:#}");
        assert_eq!(problem.get("run"), None, "nothing began");
    }
    assert!(dbvc.has("t"));
    let refused = dbvc.events_of_type("refused").await;
    assert_eq!(refused.len(), 3);
    expect_like(
        &refused[0],
        &json!({
            "migrationId": "V1__t", "executor": ME, "environment": "prod",
            "data": { "request": "rollback", "code": "confirmation-required" },
        }),
    );
    let dry = json!({ "dryRun": true });
    dbvc.roll_back("V1__t", dry).await.expect_status(200);
    assert_eq!(dbvc.events_of_type("refused").await.len(), 3);
    expect_problem(
        &dbvc.roll_back("V9__x", json!({})).await,
        404,
        "unknown-migration",
    );

    let confirmed = json!({ "confirm": "V1__t" });
    dbvc.roll_back("V1__t", confirmed).await.expect_status(200);
    assert!(!dbvc.has("t"));
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_cascade_in_production_is_confirmed_by_the_one_that_was_asked_for() {
    let dbvc = Dbvc::start_in("prod", |host| host).await;
    for version in [1, 2] {
        let up = format!("CREATE TABLE t{version} (id INTEGER);");
        let down = format!("DROP TABLE t{version};");
        dbvc.register_with_down(&format!("V{version}__t"), &up, &down)
            .await;
    }
    dbvc.run().await;
    let of_the_later = json!({ "cascade": true, "confirm": "V2__t" });
    expect_problem(
        &dbvc.roll_back("V1__t", of_the_later).await,
        428,
        "confirmation-required",
    );
    let right = json!({ "cascade": true, "confirm": "V1__t" });
    dbvc.roll_back("V1__t", right).await.expect_status(200);
    assert!(!dbvc.has("t1") && !dbvc.has("t2"));
}

#[tokio::test]
async fn a_refused_rollback_holds_no_lock_and_is_no_run() {
    let dbvc = three_tables().await;
    let before = list(&dbvc.host.get("/api/dbvc/runs").await.body["runs"]).len();
    expect_problem(&dbvc.roll_back("V2__t", json!({})).await, 409, "not-latest");
    let status = dbvc.status().await;
    assert_eq!(status["lock"], Value::Null);
    assert_eq!(status["databaseId"], HOME);
    dbvc.roll_back("V4__t", json!({})).await.expect_status(200);
    let runs = dbvc.host.get("/api/dbvc/runs").await.body["runs"].clone();
    assert_eq!(runs[0]["kind"], "rollback");
    assert!(list(&runs).len() > before);
}
