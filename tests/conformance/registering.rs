//! What runs is what was registered, letter for letter, until it is registered anew.

use serde_json::{Value, json};

use crate::harness::Test;
use crate::support::scene::HOME;
use crate::support::shape::expect_like;
use crate::support::stage::Stage;
use crate::support::team::{detail, expect_problem, outcomes};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        reregistering_an_applied_migration_replaces_its_checksum_and_runs_nothing,
        a_down_script_can_be_added_to_an_applied_migration,
        a_text_changed_by_hand_in_the_registry_is_refused_at_the_run,
        a_checksum_changed_by_hand_in_the_registry_is_refused_at_the_run,
        a_down_script_changed_by_hand_is_refused_at_the_rollback,
        a_repeatable_migration_runs_again_when_its_text_has_changed,
        a_changed_repeatable_migration_is_pending_until_it_has_run,
    ]
}

async fn reregistering_an_applied_migration_replaces_its_checksum_and_runs_nothing(stage: &Stage) {
    let (_scene, team) = stage.team().await;
    let up = "CREATE TABLE t (id INTEGER);";
    team.register("V1__t", up).await;
    team.run().await;
    let other = "-- now with a comment\nCREATE TABLE t (id INTEGER);";
    let refused = team.create(&team.file("V1__t"), other, json!({})).await;
    let problem = expect_problem(&refused, 409, "checksum-mismatch");
    assert!(detail(&problem).contains("V1__t"), "{problem:#}");

    let executions = team.migration("V1__t").await["executions"].clone();
    let answer = team.reregister("V1__t", other, json!({})).await;
    assert_eq!(answer.body["status"], "applied");
    let events = team.events_of_type("reregistered").await;
    expect_like(&events[0], &json!({ "data": { "applied": true } }));
    let run = team.run().await;
    assert_eq!(run["status"], "nothing-to-do", "{run:#}");
    let migration = team.migration("V1__t").await;
    assert_eq!(migration["executions"], executions);
    assert_eq!(migration["upScript"], other);
    assert_eq!(migration["checksum"], answer.body["checksum"]);
    let state = team.status().await["migrations"][0].clone();
    assert_eq!(state["checksum"], answer.body["checksum"], "{state:#}");
}

async fn a_down_script_can_be_added_to_an_applied_migration(stage: &Stage) {
    let (scene, team) = stage.team().await;
    let up = "CREATE TABLE t (id INTEGER);";
    team.register("V1__t", up).await;
    team.run().await;
    expect_problem(
        &team.roll_back("V1__t", json!({})).await,
        409,
        "no-down-script",
    );
    let down = json!({ "downScript": "DROP TABLE t;" });
    team.reregister("V1__t", up, down).await;
    team.roll_back("V1__t", json!({})).await.expect_status(200);
    assert!(!scene.has("t").await);
}

async fn a_text_changed_by_hand_in_the_registry_is_refused_at_the_run(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    scene
        .write(
            HOME,
            "UPDATE migration_registry SET up_script = 'CREATE TABLE evil (id INTEGER);'",
        )
        .await;
    let problem = expect_problem(&team.try_run(json!({})).await, 409, "checksum-mismatch");
    assert!(detail(&problem).contains("V1__t"), "{problem:#}");
    assert!(!scene.has("evil").await);
    let refused = team.events_of_type("refused").await;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["data"]["code"], "checksum-mismatch");
}

async fn a_checksum_changed_by_hand_in_the_registry_is_refused_at_the_run(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    team.run().await;
    team.register("V2__u", "CREATE TABLE u (id INTEGER);").await;
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let change = format!(
        "UPDATE migration_registry SET up_checksum = '{other}' WHERE migration_id = 'V1__t'"
    );
    scene.write(HOME, &change).await;
    let problem = expect_problem(&team.try_run(json!({})).await, 409, "checksum-mismatch");
    assert!(detail(&problem).contains("V1__t"), "{problem:#}");
    assert!(
        !scene.has("u").await,
        "nothing runs while a checksum is wrong"
    );
}

async fn a_down_script_changed_by_hand_is_refused_at_the_rollback(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register_with_down("V1__t", "CREATE TABLE t (id INTEGER);", "DROP TABLE t;")
        .await;
    team.run().await;
    scene
        .write(
            HOME,
            "UPDATE migration_registry SET down_script = 'SELECT 1;' WHERE migration_id = 'V1__t'",
        )
        .await;
    let answer = team.roll_back("V1__t", json!({})).await;
    expect_problem(&answer, 409, "checksum-mismatch");
    assert!(scene.has("t").await);
}

async fn a_repeatable_migration_runs_again_when_its_text_has_changed(stage: &Stage) {
    let (scene, team) = stage.team().await;
    let view = |text: &str| format!("DROP VIEW IF EXISTS v;\nGO\nCREATE VIEW v AS {text};");
    let first = team.register("R__v", &view("SELECT id FROM t")).await;
    team.register("V1__t", "CREATE TABLE t (id INTEGER, note TEXT);")
        .await;
    let run = team.run().await;
    assert_eq!(
        outcomes(&run),
        ["V1__t applied", "R__v applied"],
        "after the versioned ones"
    );
    assert_eq!(run["toVersion"], "1");
    assert_eq!(run["migrations"][1]["version"], Value::Null);

    assert_eq!(team.run().await["status"], "nothing-to-do");
    let changed = team
        .create(&team.file("R__v"), &view("SELECT note FROM t"), json!({}))
        .await
        .expect_status(200);
    assert_eq!(changed.body["migrationId"].as_str(), Some(first.as_str()));
    assert_eq!(team.events_of_type("reregistered").await.len(), 1);
    let run = team.run().await;
    assert_eq!(outcomes(&run), ["R__v applied"]);
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&json!("1"), &json!("1"))
    );
    scene.read(HOME, "SELECT note FROM v").await;
    let status = team.status().await;
    assert_eq!(status["currentVersion"], "1");
    assert_eq!(
        status["counts"],
        json!({ "applied": 2, "pending": 0, "failed": 0, "rolledBack": 0 })
    );
    assert_eq!(team.run().await["status"], "nothing-to-do");
}

async fn a_changed_repeatable_migration_is_pending_until_it_has_run(stage: &Stage) {
    let (_scene, team) = stage.team().await;
    team.register("R__v", "SELECT 1;").await;
    team.run().await;
    team.create(&team.file("R__v"), "SELECT 2;", json!({}))
        .await
        .expect_status(200);
    assert_eq!(team.states().await, ["R__v pending"]);
}
