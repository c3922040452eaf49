//! What a rollback asks for before it begins.

mod support;

use serde_json::{Value, json};

use support::dbvc::{Dbvc, HOME, ME, detail, expect_problem, list, text};
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
