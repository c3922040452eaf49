//! Ending a run early.

use crate::harness::Test;

use crate::support::scene::*;
use crate::support::stage::Stage;
use serde_json::{Value, json};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        a_script_cancelled_between_its_batches_is_rolled_back_and_the_rest_skipped,
        a_run_that_has_ended_is_given_back_and_an_unknown_one_is_not_found,
        a_wish_from_another_process_is_heard_between_two_scripts,
    ]
    .into_iter()
    // On SQLite nobody can write a wish down while a script holds the file.
    .chain(on_t_sql![
        a_wish_from_another_process_is_heard_within_a_script
    ])
    .collect()
}

async fn a_script_cancelled_between_its_batches_is_rolled_back_and_the_rest_skipped(stage: &Stage) {
    let scene = stage.scene().await;
    let worker = scene.host_stopping_at("batch-ended:4").start().await;
    scene.make_ledger(&worker, HOME).await;
    for version in 2..5 {
        register_entry(&worker, HOME, version).await;
    }
    let request = worker
        .request("POST", "/api/dbvc/migrations/run")
        .json(&run_of(HOME));
    let waiting = tokio::spawn(request.send());
    scene.stopped().await;
    let run_id = newest_run_id(&worker, HOME).await;
    let request = worker
        .request("POST", &cancel_path(&run_id))
        .json(&json!({}));
    let cancelling = tokio::spawn(request.send());
    let path = format!("/api/dbvc/runs/{run_id}");
    until("the wish to be heard", async || {
        let run = worker.get(&path).await.expect_status(200).body;
        (run["cancelRequested"] == true).then_some(())
    })
    .await;
    scene.go_on();
    cancelling.await.expect("an answer").expect_status(202);
    let answer = waiting.await.expect("an answer").expect_status(200);
    assert_eq!(answer.body["status"], "cancelled");
    assert_eq!(
        outcomes(&answer.body, 0),
        [
            ("V2__step", "applied"),
            ("V3__step", "interrupted"),
            ("V4__step", "skipped")
        ]
        .map(|(id, status)| (id.to_owned(), status.to_owned()))
    );
    assert_eq!(scene.ledger(HOME).await, ["V2"]);
    assert_eq!(
        states(&worker, HOME).await,
        ["applied", "pending", "pending"]
    );
    assert_eq!(
        story_of(&worker, HOME, "V3__step").await,
        ["registered", "started", "interrupted"]
    );
    let events = trail(&worker, HOME).await;
    let interrupted = events.iter().find(|event| event["type"] == "interrupted");
    // Who asked for it need not be told of a failure.
    assert_eq!(interrupted.expect("an event")["data"]["cancelled"], true);
    scene.expect_sound(&worker, HOME).await;

    cancel(&worker, &run_id).await.expect_status(200);
    run(&worker, HOME).await.expect_status(200);
    assert_eq!(scene.ledger(HOME).await, ["V2", "V3", "V4"]);
    scene.expect_sound(&worker, HOME).await;
}

async fn a_run_that_has_ended_is_given_back_and_an_unknown_one_is_not_found(stage: &Stage) {
    let scene = stage.scene().await;
    let (host, other) = tokio::join!(scene.host().start(), scene.host().start());
    scene.make_ledger(&host, HOME).await;
    let run_id = newest_run_id(&host, HOME).await;
    for host in [&host, &other] {
        let answer = cancel(host, &run_id).await.expect_status(200);
        assert_eq!(answer.body["status"], "succeeded");
        assert_eq!(answer.body["cancelRequested"], false);
        let answer = cancel(host, "no-such-run").await.expect_status(404);
        assert_eq!(answer.body["code"], "unknown-run");
    }
}

async fn a_wish_from_another_process_is_heard_within_a_script(stage: &Stage) {
    let scene = stage.scene().await;
    let (worker, other) = tokio::join!(
        scene.host_stopping_at("batch-ended:2").start(),
        scene.host().start()
    );
    scene.make_ledger(&worker, HOME).await;
    register_entry(&worker, HOME, 2).await;
    begin_run(&worker, HOME).await;
    scene.stopped().await;
    let run_id = newest_run_id(&other, HOME).await;
    cancel(&other, &run_id).await.expect_status(202);
    let path = format!("/api/dbvc/runs/{run_id}");
    until("the wish to be heard", async || {
        let run = worker.get(&path).await.expect_status(200).body;
        (run["cancelRequested"] == true).then_some(())
    })
    .await;
    scene.go_on();
    assert_eq!(ended_run(&other, &run_id).await["status"], "cancelled");
    assert!(scene.ledger(HOME).await.is_empty());
    assert_eq!(states(&other, HOME).await, ["pending"]);
    scene.expect_sound(&other, HOME).await;
}

async fn a_wish_from_another_process_is_heard_between_two_scripts(stage: &Stage) {
    let scene = stage.scene().await;
    let (worker, other) = tokio::join!(
        scene.host_stopping_at("committed:2").start(),
        scene.host().start()
    );
    scene.make_ledger(&worker, HOME).await;
    for version in 2..4 {
        register_entry(&worker, HOME, version).await;
    }
    begin_run(&worker, HOME).await;
    scene.stopped().await;
    let run_id = newest_run_id(&other, HOME).await;
    let answer = cancel(&other, &run_id).await.expect_status(202);
    assert_eq!(
        answer.header("location"),
        Some(format!("/api/dbvc/runs/{run_id}"))
    );
    assert_eq!(answer.body["cancelRequested"], true);
    let path = format!("/api/dbvc/runs/{run_id}");
    until("the wish to be heard", async || {
        let run = worker.get(&path).await.expect_status(200).body;
        (run["cancelRequested"] == true).then_some(())
    })
    .await;
    scene.go_on();
    let ended: Value = ended_run(&other, &run_id).await;
    assert_eq!(ended["status"], "cancelled");
    assert_eq!(scene.ledger(HOME).await, ["V2"]);
    assert_eq!(states(&other, HOME).await, ["applied", "pending"]);
    scene.expect_sound(&other, HOME).await;
}
