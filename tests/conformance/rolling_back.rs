//! Rolling back what was applied.

use serde_json::json;

use crate::harness::Test;
use crate::support::scene::{HOME, Scene};
use crate::support::shape::expect_like;
use crate::support::stage::{Engine, Stage};
use crate::support::team::{ME, Team, detail, each, expect_problem, outcomes, text};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        only_the_newest_applied_one_is_rolled_back_without_cascade,
        a_cascade_goes_from_the_newest_to_the_one_that_was_asked_for,
        the_newest_is_the_one_that_was_applied_last,
        nothing_is_rolled_back_without_its_down_script,
        what_is_not_applied_cannot_be_rolled_back,
        a_rolled_back_migration_keeps_that_status_and_is_applied_by_the_next_run,
        a_mended_migration_that_was_rolled_back_runs_its_new_text,
        a_down_script_that_fails_leaves_the_migration_applied,
        a_cascade_stops_at_the_down_script_that_fails,
        a_repeatable_migration_counts_neither_as_the_newest_nor_in_a_cascade,
    ]
}

/// A table with its down script, which fails if the table is not there.
async fn table(team: &Team, version: u32) {
    let up = format!(
        "CREATE TABLE t{version} (id INTEGER);\nINSERT INTO ledger VALUES ('up {version}');"
    );
    let down = format!("DROP TABLE t{version};\nINSERT INTO ledger VALUES ('down {version}');");
    team.register_with_down(&format!("V{version}__t"), &up, &down)
        .await;
}

/// Three applied tables, and a ledger of what was done to them since.
async fn three_tables(stage: &Stage) -> (Scene, Team) {
    let (scene, team) = stage.team().await;
    team.register("V1__ledger", scene.ledger_table()).await;
    for version in [2, 3, 4] {
        table(&team, version).await;
    }
    team.run().await;
    scene.write(HOME, "DELETE FROM ledger").await;
    (scene, team)
}

async fn only_the_newest_applied_one_is_rolled_back_without_cascade(stage: &Stage) {
    let (scene, team) = three_tables(stage).await;
    let problem = expect_problem(&team.roll_back("V2__t", json!({})).await, 409, "not-latest");
    assert!(
        detail(&problem).contains("V4__t, V3__t"),
        "newest first: {problem:#}"
    );
    assert!(scene.ledger(HOME).await.is_empty());
    let refused = team.events_of_type("refused").await;
    expect_like(
        &json!(refused),
        &json!([{ "migrationId": "V2__t", "executor": ME, "data": { "request": "rollback", "code": "not-latest" } }]),
    );
    let answer = team.roll_back("V4__t", json!({})).await.expect_status(200);
    let run = &answer.body["databases"][0];
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("4"), &json!("3"))
    );
    assert_eq!(scene.ledger(HOME).await, ["down 4"]);
    team.roll_back("V3__t", json!({})).await.expect_status(200);
    team.roll_back("V2__t", json!({})).await.expect_status(200);
    assert_eq!(scene.ledger(HOME).await, ["down 4", "down 3", "down 2"]);
    team.host.expect_silent_stderr();
}

async fn a_cascade_goes_from_the_newest_to_the_one_that_was_asked_for(stage: &Stage) {
    let (scene, team) = three_tables(stage).await;
    let cascade = json!({ "cascade": true });
    let dry = team
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
    assert!(scene.ledger(HOME).await.is_empty());

    let answer = team.roll_back("V2__t", cascade).await.expect_status(200);
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
    assert_eq!(scene.ledger(HOME).await, ["down 4", "down 3", "down 2"]);
    let ids: Vec<String> = team
        .events_of_type("rolled-back")
        .await
        .iter()
        .map(|event| text(&event["migrationId"]))
        .collect();
    assert_eq!(ids, ["V4__t", "V3__t", "V2__t"]);
    let status = team.status().await;
    assert_eq!(
        status["counts"],
        json!({ "applied": 1, "pending": 0, "failed": 0, "rolledBack": 3 })
    );
    assert_eq!(status["currentVersion"], "1");
}

async fn the_newest_is_the_one_that_was_applied_last(stage: &Stage) {
    let (_scene, team) = three_tables(stage).await;
    table(&team, 5).await;
    team.run().await;
    team.register_with_down(
        "V1.5__late",
        "INSERT INTO ledger VALUES ('up 1.5');",
        "INSERT INTO ledger VALUES ('down 1.5');",
    )
    .await;
    team.run_with(json!({ "outOfOrder": "allow" })).await;
    let problem = expect_problem(&team.roll_back("V5__t", json!({})).await, 409, "not-latest");
    assert!(detail(&problem).contains("V1.5__late"), "{problem:#}");
    team.roll_back("V1.5__late", json!({}))
        .await
        .expect_status(200);
    team.roll_back("V5__t", json!({})).await.expect_status(200);
}

async fn nothing_is_rolled_back_without_its_down_script(stage: &Stage) {
    let (scene, team) = three_tables(stage).await;
    team.register("V5__no_down", "CREATE TABLE no_down (id INTEGER);")
        .await;
    table(&team, 6).await;
    team.run().await;
    scene.write(HOME, "DELETE FROM ledger").await;
    for (id, cascade) in [("V5__no_down", true), ("V2__t", true)] {
        let answer = team.roll_back(id, json!({ "cascade": cascade })).await;
        let problem = expect_problem(&answer, 409, "no-down-script");
        assert!(detail(&problem).contains("V5__no_down"), "{problem:#}");
        assert!(!detail(&problem).contains("V6__t"), "{problem:#}");
    }
    assert!(
        scene.ledger(HOME).await.is_empty(),
        "of a cascade nothing is done when it cannot be done whole"
    );
    assert_eq!(team.status().await["counts"]["applied"], 6);
}

async fn what_is_not_applied_cannot_be_rolled_back(stage: &Stage) {
    let (_scene, team) = three_tables(stage).await;
    table(&team, 5).await;
    expect_problem(
        &team.roll_back("V5__t", json!({})).await,
        409,
        "not-applied",
    );
    team.roll_back("V4__t", json!({})).await.expect_status(200);
    expect_problem(
        &team.roll_back("V4__t", json!({})).await,
        409,
        "not-applied",
    );
    expect_problem(
        &team.roll_back("V9__nothing", json!({})).await,
        404,
        "unknown-migration",
    );
    let elsewhere = json!({ "databaseId": "nowhere" });
    expect_problem(
        &team.roll_back("V4__t", elsewhere).await,
        404,
        "unknown-database",
    );
    let prod = json!({ "environment": "prod" });
    expect_problem(
        &team.roll_back("V4__t", prod).await,
        400,
        "wrong-environment",
    );
    team.register_with_down("V6__bad", "oops;", "SELECT 1;")
        .await;
    team.run_badly().await;
    expect_problem(
        &team.roll_back("V6__bad", json!({})).await,
        409,
        "not-applied",
    );
}

async fn a_rolled_back_migration_keeps_that_status_and_is_applied_by_the_next_run(stage: &Stage) {
    let (_scene, team) = three_tables(stage).await;
    team.roll_back("V4__t", json!({ "reason": "too early" }))
        .await
        .expect_status(200);
    let state = team.status().await["migrations"][3].clone();
    expect_like(
        &state,
        &json!({ "migrationId": "V4__t", "status": "rolled-back", "appliedAt": null, "durationMs": null }),
    );
    let status = team.status().await;
    expect_like(
        &status["lastRun"],
        &json!({ "runId": "<id>", "status": "succeeded", "finishedAt": "<time>" }),
    );
    let run = team.run().await;
    assert_eq!(outcomes(&run), ["V4__t applied"]);
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("3"), &json!("4"))
    );
    let migration = team.migration("V4__t").await;
    assert_eq!(
        each(&migration["executions"], "direction"),
        ["up", "down", "up"]
    );
    assert_eq!(
        each(&migration["executions"], "status"),
        ["applied", "rolled-back", "applied"]
    );
    let undone = team.events_of_type("rolled-back").await;
    assert_eq!(undone[0]["data"]["reason"], "too early");
}

async fn a_mended_migration_that_was_rolled_back_runs_its_new_text(stage: &Stage) {
    let (scene, team) = three_tables(stage).await;
    team.roll_back("V4__t", json!({})).await.expect_status(200);
    let other = team
        .create(
            &team.file("V4__t"),
            "CREATE TABLE better (id INTEGER);",
            json!({}),
        )
        .await;
    expect_problem(&other, 409, "already-registered");
    team.reregister("V4__t", "CREATE TABLE better (id INTEGER);", json!({}))
        .await;
    team.run().await;
    assert!(scene.has("better").await && !scene.has("t4").await);
}

async fn a_down_script_that_fails_leaves_the_migration_applied(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register_with_down(
        "V1__t",
        "CREATE TABLE t (id INTEGER);",
        "DROP TABLE t;\nGO\n\nDROP TABLE missing;",
    )
    .await;
    team.run().await;
    let answer = team.roll_back("V1__t", json!({})).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    let run = &problem["run"]["databases"][0];
    let message = match stage.engine() {
        Engine::Sqlite => "no such table: missing",
        Engine::Babelfish => "table \"missing\" does not exist",
        Engine::SqlServer => {
            "Cannot drop the table 'missing', because it does not exist or you do not have permission."
        }
    };
    expect_like(
        &run["migrations"],
        &json!([{
            "migrationId": "V1__t", "status": "failed",
            "errors": [{ "line": 4, "batch": 2, "message": message }],
        }]),
    );
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("1"), &json!("1"))
    );
    assert!(run["snapshotId"].is_string());
    assert!(scene.has("t").await);
    assert_eq!(team.states().await, ["V1__t applied"]);
    assert_eq!(team.status().await["currentVersion"], "1");
    let migration = team.migration("V1__t").await;
    assert_eq!(
        each(&migration["executions"], "status"),
        ["failed", "applied"]
    );
    assert_eq!(team.run().await["status"], "nothing-to-do");
    assert_eq!(team.verify().await["healthy"], true);

    let mended = json!({ "downScript": "DROP TABLE t;" });
    team.reregister("V1__t", "CREATE TABLE t (id INTEGER);", mended)
        .await;
    team.roll_back("V1__t", json!({})).await.expect_status(200);
    assert!(!scene.has("t").await);
}

async fn a_cascade_stops_at_the_down_script_that_fails(stage: &Stage) {
    let (scene, team) = three_tables(stage).await;
    scene.write(HOME, "DROP TABLE t3").await;
    let answer = team.roll_back("V2__t", json!({ "cascade": true })).await;
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
    assert_eq!(scene.ledger(HOME).await, ["down 4"]);
    assert_eq!(
        team.states().await,
        [
            "V1__ledger applied",
            "V2__t applied",
            "V3__t applied",
            "V4__t rolled-back"
        ]
    );
}

async fn a_repeatable_migration_counts_neither_as_the_newest_nor_in_a_cascade(stage: &Stage) {
    let (scene, team) = three_tables(stage).await;
    let down = json!({ "downScript": "DROP VIEW v;" });
    team.create(
        &team.file("R__v"),
        "CREATE VIEW v AS SELECT 1 AS one;",
        down,
    )
    .await
    .expect_status(201);
    team.run().await;
    team.roll_back("V4__t", json!({})).await.expect_status(200);
    let answer = team
        .roll_back("V2__t", json!({ "cascade": true }))
        .await
        .expect_status(200);
    assert_eq!(
        outcomes(&answer.body["databases"][0]),
        ["V3__t rolled-back", "V2__t rolled-back"]
    );
    assert!(scene.has("v").await);
    // By itself it can be rolled back, whatever was applied after it.
    table(&team, 9).await;
    team.run().await;
    team.roll_back("R__v", json!({})).await.expect_status(200);
    assert!(!scene.has("v").await);
    assert_eq!(outcomes(&team.run().await), ["R__v applied"]);
}
