//! What a run does when somebody changed the database by hand before it.

use serde_json::{Value, json};

use crate::support::dbvc::{Dbvc, detail, expect_problem, text};
use crate::support::shape::expect_like;

async fn with_a_change_by_hand(on_drift: &str) -> Dbvc {
    let dbvc = Dbvc::start_with(|host| host.setting("DBVC_ON_DRIFT", on_drift)).await;
    dbvc.register_with_down("V1__t", "CREATE TABLE t (id INTEGER);", "DROP TABLE t;")
        .await;
    dbvc.run().await;
    dbvc.change_by_hand("CREATE TABLE by_hand (id INTEGER)");
    dbvc
}

#[tokio::test]
async fn a_run_warns_of_drift_and_goes_on() {
    let dbvc = with_a_change_by_hand("warn").await;
    assert_eq!(
        dbvc.run().await["driftBefore"],
        Value::Null,
        "nothing to do, nothing compared"
    );
    dbvc.register("V2__u", "CREATE TABLE u (id INTEGER);").await;
    let answer = dbvc.try_run(json!({})).await.expect_status(200);
    let run = &answer.body["databases"][0];
    expect_like(
        &run["driftBefore"],
        &json!({
            "detected": true, "from": { "snapshotId": "<id>" }, "to": { "live": true, "schemaHash": "<sha256>" },
            "reason": null, "changes": [{ "change": "added", "kind": "table", "name": "by_hand" }],
        }),
    );
    assert_eq!(run["status"], "succeeded");
    let told = dbvc.events_of_type("drift-detected").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["runId"], answer.body["runId"]);
    // The snapshot after the run is the new truth.
    assert_eq!(dbvc.drift().await["detected"], false);
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_run_refuses_drift_when_it_is_told_to() {
    let dbvc = with_a_change_by_hand("refuse").await;
    assert_eq!(dbvc.run().await["status"], "nothing-to-do");
    dbvc.register("V2__u", "CREATE TABLE u (id INTEGER);").await;
    for _ in 0..2 {
        let problem = expect_problem(&dbvc.try_run(json!({})).await, 409, "drifted");
        assert!(detail(&problem).contains("drift"), "{problem:#}");
    }
    assert!(!dbvc.has("u"));
    let status = dbvc.status().await;
    assert_eq!(status["lock"], Value::Null, "the lock is given back");
    assert_eq!(dbvc.events_of_type("drift-detected").await.len(), 1);
    let refused = dbvc.events_of_type("refused").await;
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0]["data"]["code"], "drifted");

    let rolled_back = dbvc.roll_back("V1__t", json!({})).await;
    expect_problem(&rolled_back, 409, "drifted");
    assert!(dbvc.has("t"));

    // A person says that it is right as it is.
    let baseline = dbvc.snapshot("baseline").await;
    let run = dbvc.run().await;
    assert_eq!(run["driftBefore"], Value::Null);
    assert!(dbvc.has("u"));
    assert_ne!(text(&baseline["snapshotId"]), text(&run["snapshotId"]));
}

#[tokio::test]
async fn drift_that_was_undone_is_no_drift() {
    let dbvc = with_a_change_by_hand("refuse").await;
    dbvc.change_by_hand("DROP TABLE by_hand");
    dbvc.register("V2__u", "CREATE TABLE u (id INTEGER);").await;
    assert_eq!(dbvc.run().await["driftBefore"], Value::Null);
}

#[tokio::test]
async fn a_failed_run_is_followed_by_a_snapshot_to_trust() {
    let dbvc = with_a_change_by_hand("warn").await;
    dbvc.register("V2__bad", "oops;").await;
    let run = dbvc.run_badly().await;
    assert_eq!(run["driftBefore"]["detected"], true);
    let path = format!(
        "/api/dbvc/snapshots?snapshotId={}",
        text(&run["snapshotId"])
    );
    let snapshot = dbvc.host.get(&path).await.expect_status(200);
    assert_eq!(snapshot.body["type"], "post-migration");
    assert_eq!(snapshot.body["objectCounts"]["tables"], 2);
    let drift = dbvc.drift().await;
    assert_eq!(drift["detected"], false);
    assert_eq!(drift["from"]["snapshotId"], run["snapshotId"]);
}

#[tokio::test]
async fn a_rollback_warns_of_drift_too() {
    let dbvc = with_a_change_by_hand("warn").await;
    let answer = dbvc.roll_back("V1__t", json!({})).await.expect_status(200);
    let run = &answer.body["databases"][0];
    assert_eq!(run["driftBefore"]["changes"][0]["name"], "by_hand");
    assert!(run["snapshotId"].is_string());
    assert_eq!(dbvc.drift().await["detected"], false);
}
