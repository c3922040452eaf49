//! `dbvc restore-registry`: a registry that was dropped by accident is there again, and status is right.

mod support;

use std::process::{Command, Output};

use serde_json::{Value, json};

use support::dbvc::{Dbvc, HOME, detail, each, expect_problem};

/// Every table of dbvc's own, in an order in which each can be dropped.
const DROP_ALL: &str = "DROP TABLE schema_snapshot_parts; DROP TABLE schema_snapshots; \
    DROP TABLE migration_execution_batches; DROP TABLE migration_execution_history; \
    DROP TABLE migration_applied_status; DROP TABLE migration_registry; DROP TABLE migration_locks; \
    DROP TABLE migration_run_plans; DROP TABLE migration_runs; DROP TABLE audit_events; \
    DROP TABLE trail_announcements; DROP TABLE trail_heads; DROP TABLE db_inventory;";

fn restore(dbvc: &Dbvc, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dbvc"))
        .arg("restore-registry")
        .args(["--executor", "ada"])
        .args(arguments)
        .env_clear()
        .env("DBVC_DATA_DIR", dbvc.data.path())
        .env("DBVC_ENVIRONMENT", "dev")
        .output()
        .expect("the command runs")
}

#[track_caller]
fn restored(dbvc: &Dbvc, arguments: &[&str]) -> String {
    let output = restore(dbvc, arguments);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    told
}

#[track_caller]
fn refused(dbvc: &Dbvc, arguments: &[&str]) -> String {
    let output = restore(dbvc, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A database with a migration in every state that lasts.
async fn team_at_work() -> Dbvc {
    let dbvc = Dbvc::start().await;
    dbvc.register_with_down(
        "V101__orders",
        "CREATE TABLE orders (id INTEGER);",
        "DROP TABLE orders;",
    )
    .await;
    let undone = dbvc
        .register_with_down(
            "V102__undone",
            "CREATE TABLE undone (id INTEGER);",
            "DROP TABLE undone;",
        )
        .await;
    dbvc.run().await;
    dbvc.roll_back(&undone, json!({})).await.expect_status(200);
    dbvc.register("V103__broken", "CREATE TABLE orders (id INTEGER);")
        .await;
    dbvc.withdraw(&undone).await.expect_status(200);
    dbvc.run_badly().await;
    dbvc.register("V104__later", "CREATE TABLE later (id INTEGER);")
        .await;
    // Its text was changed after it was applied, and that was accepted.
    dbvc.reregister(
        "V101__orders",
        "CREATE TABLE orders (id INTEGER); -- as it stands",
        json!({}),
    )
    .await
    .expect_status(200);
    dbvc.add_database("reporting").await;
    dbvc.snapshot("baseline").await;
    // Delivered by now, so that nothing but the registry is lost.
    dbvc.verify_with(json!({"fix": true})).await;
    dbvc
}

/// What a restoration cannot know: runs and their last one, and when the drift was looked at.
fn lasting(mut status: Value) -> Value {
    for database in status["databases"].as_array_mut().expect("databases") {
        database["lastRun"] = Value::Null;
        database["drift"]["checkedAt"] = Value::Null;
    }
    status
}

async fn detailed(dbvc: &Dbvc) -> Value {
    let answer = dbvc
        .host
        .get("/api/dbvc/migrations/status?detailed=true")
        .await;
    lasting(answer.expect_status(200).body)
}

async fn without_times(dbvc: &Dbvc, id: &str) -> Value {
    let mut migration = dbvc.migration(id).await;
    migration["executions"] = Value::Null;
    migration
}

#[tokio::test]
async fn a_dropped_registry_is_restored_and_status_is_right_again() {
    let dbvc = team_at_work().await;
    let status = detailed(&dbvc).await;
    let events = dbvc.events().await;
    let orders = without_times(&dbvc, "V101__orders").await;
    let databases = dbvc.host.get("/api/dbvc/databases").await.body;
    let snapshots = dbvc
        .host
        .get(&format!("/api/dbvc/snapshots?databaseId={HOME}"))
        .await
        .body;

    dbvc.change_by_hand(DROP_ALL);
    let told = restored(&dbvc, &[]);
    assert!(
        told.contains("lpa-bloom-sql-dev: restored 4 migrations, 1 of them applied"),
        "{told}"
    );
    assert!(told.contains("reporting: its registry is there"), "{told}");

    assert_eq!(detailed(&dbvc).await, status);
    assert_eq!(without_times(&dbvc, "V101__orders").await, orders);
    assert_eq!(dbvc.host.get("/api/dbvc/databases").await.body, databases);
    let after = dbvc
        .host
        .get(&format!("/api/dbvc/snapshots?databaseId={HOME}"))
        .await
        .body;
    assert_eq!(after, snapshots);
    let mut after = dbvc.events().await;
    let newest = after.pop().expect("events");
    assert_eq!(newest["type"], "integrity-fixed");
    assert_eq!(newest["executor"], "ada");
    assert_eq!(after, events, "the chain goes on where it ended");
    let verification = dbvc.verify().await;
    assert_eq!(verification["healthy"], true, "{verification}");
    assert_eq!(dbvc.drift().await["detected"], false);
    // And work goes on: the script that failed is mended, and only what was not applied is.
    dbvc.reregister(
        "V103__broken",
        "CREATE TABLE mended (id INTEGER);",
        json!({}),
    )
    .await
    .expect_status(200);
    let run = dbvc.run().await;
    let applied = each(&run["migrations"], "migrationId");
    assert_eq!(applied, ["V103__broken", "V104__later"]);
}

#[tokio::test]
async fn nothing_begins_a_second_trail_where_the_first_was_lost() {
    let dbvc = team_at_work().await;
    dbvc.change_by_hand(DROP_ALL);
    let answer = dbvc
        .create(&dbvc.file("V105__extra"), "SELECT 1;", json!({}))
        .await;
    let problem = expect_problem(&answer, 409, "registry-lost");
    assert!(
        detail(&problem).contains("dbvc restore-registry"),
        "{problem}"
    );
    let answer = dbvc.try_run(json!({})).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(!dbvc.has("trail_heads"), "nothing was made");
    restored(&dbvc, &["--database", HOME]);
    dbvc.create(&dbvc.file("V105__extra"), "SELECT 1;", json!({}))
        .await
        .expect_status(201);
}

#[tokio::test]
async fn a_database_that_was_made_anew_has_its_scripts_again_and_runs_them() {
    let dbvc = team_at_work().await;
    dbvc.change_by_hand(&format!("{DROP_ALL} DROP TABLE orders;"));
    restored(&dbvc, &["--made-anew"]);
    let status = detailed(&dbvc).await;
    assert_eq!(
        status["databases"][0]["counts"],
        json!({"applied": 0, "pending": 3, "failed": 0, "rolledBack": 0})
    );
    // What ran on the database that is gone is no fact about this one.
    let verification = dbvc.verify_with(json!({"fix": true})).await;
    assert_eq!(verification["healthy"], true, "{verification}");
    assert_eq!(detailed(&dbvc).await, status);
    let run = dbvc.run_with(json!({"target": "101"})).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(run["driftBefore"], Value::Null, "{run}");
    assert!(dbvc.has("orders"));
    // And it stays so when the registry is lost once more.
    let status = detailed(&dbvc).await;
    dbvc.verify_with(json!({"fix": true})).await;
    dbvc.change_by_hand(DROP_ALL);
    restored(&dbvc, &[]);
    assert_eq!(detailed(&dbvc).await, status);
}

#[tokio::test]
async fn an_archive_that_is_not_whole_is_restored_only_on_request() {
    let dbvc = team_at_work().await;
    dbvc.change_by_hand(DROP_ALL);
    dbvc.archive_by_hand()
        .execute_batch("DELETE FROM \"change-events\" WHERE sequence = 5 AND database_id = 'lpa-bloom-sql-dev'")
        .unwrap();
    let told = refused(&dbvc, &[]);
    assert!(told.contains("event 5 was removed"), "{told}");
    assert!(!dbvc.has("trail_heads"), "nothing was made");
    let told = restored(&dbvc, &["--accept-damage"]);
    assert!(told.contains("not whole: event 5 was removed"), "{told}");
    // Who looks later is told as well.
    let verification = dbvc.verify().await;
    assert_eq!(verification["healthy"], false);
}

#[tokio::test]
async fn a_copy_that_was_changed_is_not_taken_for_the_script() {
    let dbvc = team_at_work().await;
    dbvc.change_by_hand(DROP_ALL);
    dbvc.archive_by_hand()
        .execute_batch(
            "UPDATE migrations SET document = replace(document, 'CREATE TABLE later', 'CREATE TABLE other')",
        )
        .unwrap();
    let told = refused(&dbvc, &[]);
    assert!(
        told.contains("the copy of V104__later does not have the checksums"),
        "{told}"
    );
    assert!(!dbvc.has("trail_heads"), "nothing was made");
    let told = restored(&dbvc, &["--accept-damage"]);
    assert!(
        told.contains("not whole: the copy of V104__later"),
        "{told}"
    );
    assert_eq!(dbvc.verify().await["healthy"], false);
}

#[tokio::test]
async fn a_registry_that_is_there_is_left_alone() {
    let dbvc = team_at_work().await;
    let events = dbvc.events().await;
    let told = restored(&dbvc, &[]);
    assert!(
        told.contains("lpa-bloom-sql-dev: its registry is there"),
        "{told}"
    );
    assert_eq!(dbvc.events().await, events);
    let told = refused(&dbvc, &["--database", "nowhere"]);
    assert!(told.contains("there is no database nowhere"), "{told}");
}

#[tokio::test]
async fn a_fresh_machine_has_nothing_to_restore() {
    let dbvc = Dbvc::start().await;
    let told = restored(&dbvc, &[]);
    assert!(told.contains("the archive has nothing of it"), "{told}");
    assert!(!dbvc.file_of(HOME).exists(), "and nothing was made");
}

#[test]
fn wrong_arguments_and_settings_end_with_2_and_create_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], setting: (&str, &str)| {
        let output = Command::new(env!("CARGO_BIN_EXE_dbvc"))
            .arg("restore-registry")
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env(setting.0, setting.1)
            .output()
            .expect("the command runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let error = run(&["--database", "NO PE"], ("USER", "ada"));
    assert!(error.contains("--database"), "{error}");
    assert!(error.contains("lower case letters"), "{error}");
    let error = run(&[], ("DBVC_ON_DRIFT", "shrug"));
    assert!(error.contains("DBVC_ON_DRIFT"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
