//! Scripts whose statements commit one by one: progress is on record, and what nobody knows is for a person to decide.

use crate::harness::Test;
use crate::support::host::{Answer, Host};
use crate::support::scene::*;
use crate::support::stage::Stage;
use serde_json::{Value, json};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        statements_that_no_transaction_can_hold_are_applied_batch_by_batch,
        killed_before_a_batch_is_sent_a_person_says_that_it_was_not_applied_and_it_goes_on_there,
        killed_after_the_last_batch_was_sent_a_person_says_that_it_is_applied,
        a_refused_single_statement_is_mended_and_the_script_goes_on_with_it,
        a_refused_round_of_a_batch_is_tried_again_and_only_it,
        a_refused_batch_of_several_statements_is_for_a_person_to_decide,
        a_changed_batch_that_was_applied_is_for_a_person_to_decide,
        a_killed_rollback_is_for_a_person_to_decide,
        cancelled_between_two_batches_it_goes_on_there,
        cancelled_between_two_rounds_of_a_batch_it_goes_on_there,
        a_rollback_cancelled_between_its_batches_is_for_a_person_to_decide,
    ]
}

/// Writes `a`, `b` and three times `c` into the ledger, with a statement between them that no transaction can hold.
fn script(stage: &Stage) -> String {
    format!(
        "-- dbvc: transaction=off
INSERT INTO ledger VALUES ('a');
GO
{}
GO
INSERT INTO ledger VALUES ('b');
GO
INSERT INTO ledger VALUES ('c');
GO 3
",
        stage.statement_without_transaction()
    )
}

/// The ledger after the whole script.
const WHOLE: [&str; 5] = ["a", "b", "c", "c", "c"];

async fn scene_with(stage: &Stage, script: &str) -> (Scene, Host) {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    register(&keeper, HOME, 2, script, None).await;
    register_entry(&keeper, HOME, 3).await;
    (scene, keeper)
}

async fn verify(host: &Host, resolve: Option<(&str, &str)>) -> Value {
    let mut body = json!({"databaseId": HOME, "environment": "dev", "executor": "checker@lpa.com"});
    if let Some((execution, word)) = resolve {
        body["resolve"] = json!({"executionId": execution, "as": word});
    }
    host.post("/api/dbvc/integrity/verify", body)
        .await
        .expect_status(200)
        .body
}

async fn executions(host: &Host) -> Vec<Value> {
    let path = format!("/api/dbvc/databases/{HOME}/migrations/V2__step");
    let answer = host.get(&path).await.expect_status(200);
    answer.body["executions"]
        .as_array()
        .expect("a list")
        .clone()
}

#[track_caller]
fn expect_half_applied(answer: Answer) {
    let answer = answer.expect_status(409);
    assert_eq!(answer.body["code"], "half-applied", "{}", answer.text());
}

/// The next run refuses, and so does verifying, until a person has said what is true.
async fn expect_a_person_is_needed(scene: &Scene, host: &Host, ledger: &[&str]) -> String {
    expect_half_applied(run_when_free(host, HOME).await);
    expect_half_applied(run(host, HOME).await);
    assert_eq!(scene.ledger(HOME).await, ledger);
    assert_eq!(states(host, HOME).await, ["half-applied", "pending"]);
    assert_eq!(verify(host, None).await["healthy"], false);
    expect_whole_chain(&trail(host, HOME).await);
    executions(host).await[0]["executionId"]
        .as_str()
        .expect("an id")
        .to_owned()
}

async fn expect_whole(scene: &Scene, host: &Host, ledger: &[&str]) {
    assert_eq!(scene.ledger(HOME).await, ledger);
    assert_eq!(states(host, HOME).await, ["applied", "applied"]);
    scene.expect_sound(host, HOME).await;
}

async fn statements_that_no_transaction_can_hold_are_applied_batch_by_batch(stage: &Stage) {
    let (scene, host) = scene_with(stage, &script(stage)).await;
    let answer = run(&host, HOME).await.expect_status(200);
    let batches = answer.body["databases"][0]["migrations"][0]["batches"].clone();
    let counts: Vec<_> = batches
        .as_array()
        .expect("a list")
        .iter()
        .map(|batch| batch["count"].clone())
        .collect();
    assert_eq!(counts, [1, 1, 1, 3]);
    assert_eq!(batches[3]["rowsAffected"], 3);
    expect_whole(&scene, &host, &["a", "b", "c", "c", "c", "V3"]).await;
    assert_eq!(
        story_of(&host, HOME, "V2__step").await,
        ["registered", "started", "completed"]
    );
}

/// Kills the run of the script at a point and gives the execution that a person must decide about.
async fn killed_at(stage: &Stage, point: &str, ledger: &[&str]) -> (Scene, Host, String) {
    let (scene, keeper) = scene_with(stage, &script(stage)).await;
    let victim = scene.host_stopping_at(point).start().await;
    begin_run(&victim, HOME).await;
    scene.stopped().await;
    victim.kill().await;
    let execution = expect_a_person_is_needed(&scene, &keeper, ledger).await;
    assert_eq!(
        story_of(&keeper, HOME, "V2__step").await,
        ["registered", "started", "interrupted"]
    );
    (scene, keeper, execution)
}

async fn killed_before_a_batch_is_sent_a_person_says_that_it_was_not_applied_and_it_goes_on_there(
    stage: &Stage,
) {
    tokio::join!(
        async {
            let (scene, host, execution) = killed_at(stage, "batch-intended:3", &["a"]).await;
            assert_eq!(
                verify(&host, Some((&execution, "failed"))).await["healthy"],
                true
            );
            run(&host, HOME).await.expect_status(200);
            expect_whole(&scene, &host, &["a", "b", "c", "c", "c", "V3"]).await;
        },
        async {
            let (scene, host, execution) =
                killed_at(stage, "batch-intended:5", &["a", "b", "c"]).await;
            assert_eq!(
                verify(&host, Some((&execution, "failed"))).await["healthy"],
                true
            );
            run(&host, HOME).await.expect_status(200);
            expect_whole(&scene, &host, &["a", "b", "c", "c", "c", "V3"]).await;
        },
        async {
            let (scene, host, execution) = killed_at(stage, "batch-intended:1", &[]).await;
            assert_eq!(
                verify(&host, Some((&execution, "failed"))).await["healthy"],
                true
            );
            run(&host, HOME).await.expect_status(200);
            expect_whole(&scene, &host, &["a", "b", "c", "c", "c", "V3"]).await;
        },
    );
}

async fn killed_after_the_last_batch_was_sent_a_person_says_that_it_is_applied(stage: &Stage) {
    let (scene, host, execution) = killed_at(stage, "batch-sent:6", &WHOLE).await;
    assert_eq!(
        verify(&host, Some((&execution, "applied"))).await["healthy"],
        true
    );
    run(&host, HOME).await.expect_status(200);
    expect_whole(&scene, &host, &["a", "b", "c", "c", "c", "V3"]).await;
    assert_eq!(
        story_of(&host, HOME, "V2__step").await,
        ["registered", "started", "interrupted", "resolved"]
    );
}

async fn a_refused_single_statement_is_mended_and_the_script_goes_on_with_it(stage: &Stage) {
    let broken = script(stage).replace("('b')", "('b', 'too many')");
    let (scene, host) = scene_with(stage, &broken).await;
    run(&host, HOME).await.expect_status(422);
    assert_eq!(scene.ledger(HOME).await, ["a"]);
    assert_eq!(states(&host, HOME).await, ["failed", "pending"]);
    // Not mended yet: it is tried again, and only it.
    run(&host, HOME).await.expect_status(422);
    assert_eq!(scene.ledger(HOME).await, ["a"]);
    reregister(&host, HOME, 2, &script(stage)).await;
    run(&host, HOME).await.expect_status(200);
    expect_whole(&scene, &host, &["a", "b", "c", "c", "c", "V3"]).await;
}

async fn a_refused_round_of_a_batch_is_tried_again_and_only_it(stage: &Stage) {
    let seats = "CREATE TABLE seats (seat INTEGER NOT NULL PRIMARY KEY);\nGO\n\
                 CREATE TABLE guests (seat INTEGER NOT NULL REFERENCES seats (seat));\nGO\n\
                 INSERT INTO seats VALUES (1);\nGO\nINSERT INTO seats VALUES (2);";
    let (scene, host) = scene_with(stage, seats).await;
    run(&host, HOME).await.expect_status(200);
    let rounds =
        "-- dbvc: transaction=off\nINSERT INTO guests SELECT COUNT(*) + 1 FROM guests;\nGO 4\n";
    register(&host, HOME, 4, rounds, None).await;
    run(&host, HOME).await.expect_status(422);
    let guests = "SELECT seat FROM guests ORDER BY seat";
    assert_eq!(scene.read(HOME, guests).await, ["1", "2"]);
    // Not mended yet: the third round is refused again.
    run(&host, HOME).await.expect_status(422);
    assert_eq!(scene.read(HOME, guests).await, ["1", "2"]);
    for seat in [3, 4] {
        let more = format!("INSERT INTO seats VALUES ({seat})");
        scene.write(HOME, &more).await;
    }
    run(&host, HOME).await.expect_status(200);
    assert_eq!(scene.read(HOME, guests).await, ["1", "2", "3", "4"]);
    scene.expect_sound(&host, HOME).await;
}

async fn a_refused_batch_of_several_statements_is_for_a_person_to_decide(stage: &Stage) {
    let broken = script(stage).replace(
        "INSERT INTO ledger VALUES ('b');",
        "INSERT INTO ledger VALUES ('b1');\nINSERT INTO nowhere VALUES (1);",
    );
    let (scene, host) = scene_with(stage, &broken).await;
    run(&host, HOME).await.expect_status(422);
    let execution = expect_a_person_is_needed(&scene, &host, &["a", "b1"]).await;
    reregister(&host, HOME, 2, &script(stage)).await;
    expect_half_applied(run(&host, HOME).await);
    verify(&host, Some((&execution, "failed"))).await;
    run(&host, HOME).await.expect_status(200);
    expect_whole(&scene, &host, &["a", "b1", "b", "c", "c", "c", "V3"]).await;
}

async fn a_changed_batch_that_was_applied_is_for_a_person_to_decide(stage: &Stage) {
    let broken = script(stage).replace("('b')", "('b', 'too many')");
    let (scene, host) = scene_with(stage, &broken).await;
    run(&host, HOME).await.expect_status(422);
    reregister(&host, HOME, 2, &script(stage).replace("('a')", "('other')")).await;
    expect_half_applied(run(&host, HOME).await);
    assert_eq!(scene.ledger(HOME).await, ["a"]);
    // With the text that was applied it goes on.
    reregister(&host, HOME, 2, &script(stage)).await;
    run(&host, HOME).await.expect_status(200);
    expect_whole(&scene, &host, &["a", "b", "c", "c", "c", "V3"]).await;
}

/// Kills a rollback without a transaction at a point, has a person say what is true of it, and gives the state of the
/// migration then.
async fn rollback_killed_at(stage: &Stage, point: &str, ledger: &[&str], word: &str) -> String {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    register(&keeper, HOME, 2, "SELECT 1;", Some(&script(stage))).await;
    run(&keeper, HOME).await.expect_status(200);
    let victim = scene.host_stopping_at(point).start().await;
    let request = victim
        .request("POST", "/api/dbvc/migrations/rollback")
        .json(&rollback_of(HOME, "V2__step", false));
    request.begin().await.hang_up();
    scene.stopped().await;
    victim.kill().await;
    expect_half_applied(run_when_free(&keeper, HOME).await);
    assert_eq!(scene.ledger(HOME).await, ledger, "{point}");
    let execution = executions(&keeper).await[0]["executionId"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(
        verify(&keeper, Some((&execution, word))).await["healthy"],
        true,
        "{point}"
    );
    expect_whole_chain(&trail(&keeper, HOME).await);
    states(&keeper, HOME).await.remove(0)
}

async fn a_killed_rollback_is_for_a_person_to_decide(stage: &Stage) {
    let (undone, still_applied) = tokio::join!(
        rollback_killed_at(stage, "batch-sent:6", &WHOLE, "applied"),
        rollback_killed_at(stage, "batch-intended:1", &[], "failed"),
    );
    assert_eq!(undone, "rolled-back");
    assert_eq!(still_applied, "applied");
}

/// Cancels the run of a script at a point between two of its batches or rounds, and has the next run go on.
async fn cancelled_at(stage: &Stage, point: &str, ledger: &[&str]) {
    let (scene, keeper) = scene_with(stage, &script(stage)).await;
    let worker = scene.host_stopping_at(point).start().await;
    begin_run(&worker, HOME).await;
    scene.stopped().await;
    let run_id = newest_run_id(&worker, HOME).await;
    cancel(&worker, &run_id).await.expect_status(202);
    scene.go_on();
    let ended = ended_run(&keeper, &run_id).await;
    assert_eq!(ended["status"], "cancelled");
    assert_eq!(outcomes(&ended, 0)[0].1, "interrupted");
    assert_eq!(scene.ledger(HOME).await, ledger, "{point}");
    assert_eq!(states(&keeper, HOME).await, ["pending", "pending"]);
    scene.expect_sound(&keeper, HOME).await;
    run(&keeper, HOME).await.expect_status(200);
    expect_whole(&scene, &keeper, &["a", "b", "c", "c", "c", "V3"]).await;
    assert_eq!(executions(&keeper).await.len(), 2);
}

async fn cancelled_between_two_batches_it_goes_on_there(stage: &Stage) {
    tokio::join!(
        cancelled_at(stage, "batch-sent:1", &["a"]),
        cancelled_at(stage, "batch-sent:3", &["a", "b"]),
    );
}

async fn cancelled_between_two_rounds_of_a_batch_it_goes_on_there(stage: &Stage) {
    tokio::join!(
        cancelled_at(stage, "batch-sent:4", &["a", "b", "c"]),
        cancelled_at(stage, "batch-sent:5", &["a", "b", "c", "c"]),
    );
}

async fn a_rollback_cancelled_between_its_batches_is_for_a_person_to_decide(stage: &Stage) {
    let scene = stage.scene().await;
    let worker = scene.host_stopping_at("batch-sent:1").start().await;
    scene.make_ledger(&worker, HOME).await;
    let down = script(stage).replace("('a')", "('-a')");
    register(&worker, HOME, 2, "SELECT 1;", Some(&down)).await;
    run(&worker, HOME).await.expect_status(200);
    let body = rollback_of(HOME, "V2__step", false);
    let request = worker
        .request("POST", "/api/dbvc/migrations/rollback")
        .json(&body);
    request.begin().await.hang_up();
    scene.stopped().await;
    let run_id = newest_run_id(&worker, HOME).await;
    cancel(&worker, &run_id).await.expect_status(202);
    scene.go_on();
    assert_eq!(ended_run(&worker, &run_id).await["status"], "cancelled");
    assert_eq!(states(&worker, HOME).await, ["half-applied"]);
    expect_half_applied(run(&worker, HOME).await);
    let execution = executions(&worker).await[0]["executionId"]
        .as_str()
        .expect("an id")
        .to_owned();
    verify(&worker, Some((&execution, "applied"))).await;
    assert_eq!(states(&worker, HOME).await, ["rolled-back"]);
    assert_eq!(verify(&worker, None).await["healthy"], true);
}
