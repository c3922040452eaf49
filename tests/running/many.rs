//! A run over every database of the environment.

use serde_json::json;

use crate::support::dbvc::{Dbvc, HOME, each, expect_problem, outcomes};

/// Registers a script on another database.
async fn register_on(dbvc: &Dbvc, database: &str, file: &str, script: &str) {
    let elsewhere = json!({ "databaseId": database });
    dbvc.create(&format!("{file}.sqlite.sql"), script, elsewhere)
        .await
        .expect_status(201);
}

#[tokio::test]
async fn one_failing_database_does_not_stop_the_others() {
    let dbvc = Dbvc::start().await;
    for database in ["a-fine", "b-bad", "c-fine", "d-empty"] {
        dbvc.add_database(database).await;
    }
    for database in ["a-fine", "c-fine"] {
        register_on(&dbvc, database, "V1__t", "CREATE TABLE t (id INTEGER);").await;
    }
    register_on(&dbvc, "b-bad", "V1__t", "oops;").await;
    register_on(&dbvc, "b-bad", "V2__u", "SELECT 1;").await;
    let answer = dbvc.try_run(json!({ "databaseId": "all" })).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    let run = &problem["run"];
    assert_eq!(run["databaseId"], "all");
    assert_eq!(run["status"], "failed", "the worst of them");
    let databases = &run["databases"];
    assert_eq!(
        each(databases, "databaseId"),
        ["a-fine", "b-bad", "c-fine", "d-empty", HOME]
    );
    assert_eq!(
        each(databases, "status"),
        [
            "succeeded",
            "failed",
            "succeeded",
            "nothing-to-do",
            "nothing-to-do"
        ]
    );
    assert_eq!(outcomes(&databases[1]), ["V1__t failed", "V2__u skipped"]);
    for database in ["a-fine", "c-fine"] {
        let made: i64 = dbvc
            .by_hand_on(database)
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name = 't'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(made, 1, "{database}");
        let drift = dbvc
            .host
            .get(&format!("/api/dbvc/drift?databaseId={database}"))
            .await
            .expect_status(200);
        assert_eq!(drift.body["detected"], false, "{:#}", drift.body);
    }
    let status = dbvc
        .host
        .get("/api/dbvc/migrations/status")
        .await
        .expect_status(200);
    for database in status.body["databases"].as_array().unwrap() {
        assert_eq!(database["lastRun"]["runId"], run["runId"], "{database:#}");
    }
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn nothing_to_do_anywhere_is_said_so() {
    let dbvc = Dbvc::start().await;
    dbvc.add_database("reporting").await;
    let answer = dbvc
        .try_run(json!({ "databaseId": "all" }))
        .await
        .expect_status(200);
    assert_eq!(answer.body["status"], "nothing-to-do");
    assert_eq!(
        each(&answer.body["databases"], "status"),
        ["nothing-to-do"; 2]
    );
}

#[tokio::test]
async fn a_refusal_on_one_database_is_told_in_its_place() {
    let dbvc = Dbvc::start().await;
    dbvc.add_database("late").await;
    register_on(&dbvc, "late", "V2__t", "SELECT 1;").await;
    dbvc.try_run(json!({ "databaseId": "late" }))
        .await
        .expect_status(200);
    register_on(&dbvc, "late", "V1__t", "SELECT 1;").await;
    dbvc.register("V1__home", "CREATE TABLE home (id INTEGER);")
        .await;
    let answer = dbvc.try_run(json!({ "databaseId": "all" })).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    let late = &problem["run"]["databases"][0];
    assert_eq!(late["databaseId"], "late");
    assert_eq!(late["status"], "failed");
    assert_eq!(late["problem"]["code"], "out-of-order");
    assert!(dbvc.has("home"));
}

#[tokio::test]
async fn a_preview_over_all_shows_each() {
    let dbvc = Dbvc::start().await;
    dbvc.add_database("reporting").await;
    register_on(&dbvc, "reporting", "V1__t", "CREATE TABLE t (id INTEGER);").await;
    dbvc.register("V1__home", "CREATE TABLE home (id INTEGER);")
        .await;
    for dry_run in [json!(true), json!("execute")] {
        let body = json!({ "databaseId": "all", "dryRun": dry_run });
        let answer = dbvc.try_run(body).await.expect_status(200);
        assert_eq!(outcomes(&answer.body["databases"][0]), ["V1__home planned"]);
        assert_eq!(outcomes(&answer.body["databases"][1]), ["V1__t planned"]);
    }
    assert!(!dbvc.has("home"));
}
