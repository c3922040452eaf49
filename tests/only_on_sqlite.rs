//! What only SQLite does: a script's open transaction is the lock, so that nobody else can write, or take over.

mod support;

use serde_json::json;
use support::host::{Answer, Host};
use support::scene::*;

const SHOP: &str = "shop";

#[tokio::test]
async fn an_open_script_transaction_keeps_others_out_beyond_the_lease() {
    let scene = Scene::embedded();
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    register_entry(&keeper, HOME, 2).await;
    let victim = scene.host_stopping_at("script-done").start().await;
    begin_run(&victim, HOME).await;
    scene.stopped().await;
    scene.lease_expired(HOME).await;
    expect_locked(run(&keeper, HOME).await);
    expect_no_drift_claimed(&keeper, HOME).await;
    scene.go_on();
    let run = newest_run(&keeper, HOME).await;
    let ended = ended_run(&victim, run["runId"].as_str().expect("an id")).await;
    assert_eq!(ended["status"], "succeeded");
    assert_eq!(scene.ledger(HOME).await, ["V2"]);
    assert_eq!(count_of(&keeper, HOME, "interrupted").await, 0);
    scene.expect_sound(&keeper, HOME).await;
}

#[tokio::test]
async fn an_open_script_transaction_refuses_writers_and_answers_readers() {
    let scene = Scene::embedded();
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    register_entry(&keeper, HOME, 2).await;
    let worker = scene.host_stopping_at("script-done").start().await;
    begin_run(&worker, HOME).await;
    scene.stopped().await;

    let run_id = newest_run_id(&keeper, HOME).await;
    for host in [&keeper, &worker] {
        for path in reads_of(HOME, &run_id) {
            host.get(&path).await.expect_status(200);
        }
    }
    let writes = async |host: &Host| -> Vec<Answer> {
        let create = json!({"name": "late", "databaseId": HOME, "author": "author@lpa.com", "upScript": "SELECT 1;"});
        let snapshot = json!({"databaseId": HOME, "environment": "dev", "type": "manual", "executor": "a@lpa.com"});
        let rollback = rollback_of(HOME, "V1__step", false);
        let (a, b, c, d) = tokio::join!(
            host.post("/api/dbvc/migrations", create),
            host.post("/api/dbvc/snapshots", snapshot),
            host.post("/api/dbvc/migrations/run", run_of(HOME)),
            host.post("/api/dbvc/migrations/rollback", rollback),
        );
        vec![a, b, c, d]
    };
    let (by_keeper, by_worker) = tokio::join!(writes(&keeper), writes(&worker));
    for answer in by_keeper.into_iter().chain(by_worker) {
        expect_locked(answer);
    }
    scene.go_on();
    assert_eq!(ended_run(&worker, &run_id).await["status"], "succeeded");
    scene.expect_sound(&keeper, HOME).await;
}

/// A process that the system stops at a point outside a script's transaction, longer than its lease; another one takes
/// the database over, and the first goes on.
async fn paused_at(point: &str, left_for_the_taker: usize) {
    let scene = Scene::embedded();
    let taker = scene.host().start().await;
    scene.make_ledger(&taker, HOME).await;
    for version in 2..5 {
        register_entry(&taker, HOME, version).await;
    }
    let paused = scene.host_stopping_at(point).start().await;
    let request = paused
        .request("POST", "/api/dbvc/migrations/run")
        .json(&run_of(HOME));
    let waiting = tokio::spawn(request.send());
    scene.stopped().await;
    let process = process_of_holder(&taker, HOME).await;
    scene.stand_still(&process);

    let taken = run_when_free(&taker, HOME).await.expect_status(200);
    assert_eq!(
        outcomes(&taken.body, 0).len(),
        left_for_the_taker,
        "{point}"
    );
    scene.go_on();
    signal("-CONT", &process);

    let fenced = waiting.await.expect("an answer").expect_status(423);
    let told = fenced.body["run"]["databases"][0]["problem"]["detail"].to_string();
    assert!(
        told.contains("took lpa-bloom-sql-dev over"),
        "{point}: {told}"
    );
    let run_id = fenced.body["run"]["runId"].as_str().expect("an id");
    assert_eq!(scene.ledger(HOME).await, ["V2", "V3", "V4"], "{point}");
    assert_eq!(
        count_of(&taker, HOME, "lock-taken-over").await,
        1,
        "{point}"
    );
    assert_eq!(states(&taker, HOME).await, ["applied"; 3]);
    let on_record = ended_run(&taker, run_id).await;
    let expected = if left_for_the_taker == 0 {
        "succeeded"
    } else {
        "failed"
    };
    assert_eq!(on_record["status"], expected, "{point}: {on_record}");
    scene.expect_sound(&taker, HOME).await;
}

#[tokio::test]
async fn a_fenced_run_applies_nothing_and_says_so() {
    tokio::join!(
        paused_at("planned", 3),
        paused_at("committed:1", 2),
        paused_at("committed:2", 1),
        paused_at("before-snapshot", 0),
    );
}

#[tokio::test]
async fn another_process_cannot_cancel_while_a_script_holds_the_file() {
    let scene = Scene::embedded();
    let (worker, other) = tokio::join!(
        scene.host_stopping_at("batch-ended:2").start(),
        scene.host().start()
    );
    scene.make_ledger(&worker, HOME).await;
    register_entry(&worker, HOME, 2).await;
    begin_run(&worker, HOME).await;
    scene.stopped().await;
    let run_id = newest_run_id(&other, HOME).await;
    expect_locked(cancel(&other, &run_id).await);
    scene.go_on();
    assert_eq!(ended_run(&other, &run_id).await["status"], "succeeded");
    assert_eq!(scene.ledger(HOME).await, ["V2"]);
}

#[tokio::test]
async fn a_run_that_comes_back_after_its_adoption_leaves_it_to_its_adopter() {
    let scene = Scene::embedded();
    let keeper = scene.start_with_pending(&[HOME]).await;
    let paused = scene.host_stopping_at("committed:1").start().await;
    let request = paused.request("POST", RUN).json(&run_of(HOME));
    let waiting = tokio::spawn(request.send());
    scene.stopped().await;
    let run_id = newest_run_id(&keeper, HOME).await;
    let process = process_of_holder(&keeper, HOME).await;
    scene.stand_still(&process);
    scene.lease_expired(HOME).await;

    // The adopter is at work when the former instance comes back.
    let adopter = scene
        .other_host_stopping_at("committed:1", "adopter")
        .start()
        .await;
    let path = format!("/api/dbvc/runs/{run_id}");
    let ticking = async {
        until("the run to be adopted", async || {
            tick(&adopter).await;
            let run = adopter.get(&path).await.expect_status(200).body;
            run["finishedAt"].is_string().then_some(())
        })
        .await;
    };
    let coming_back = async {
        scene.other_stopped("adopter").await;
        scene.go_on();
        signal("-CONT", &process);
        expect_locked(waiting.await.expect("an answer"));
        let run = keeper.get(&path).await.expect_status(200).body;
        assert_eq!(run["status"], "running", "{run}");
        scene.other_goes_on("adopter");
    };
    tokio::join!(ticking, coming_back);
    for host in [&keeper, &paused, &adopter] {
        let run = host.get(&path).await.expect_status(200).body;
        assert_eq!(run["status"], "succeeded", "{run}");
        assert_eq!(
            told(&run, 0),
            ["V2 applied", "V3 interrupted", "V3 applied", "V4 applied"]
        );
    }
    scene.expect_all_applied_once(&keeper, &[HOME]).await;
}

#[tokio::test]
async fn a_run_that_stands_still_within_a_script_is_left_alone_and_told_as_it_ends() {
    let scene = Scene::embedded();
    let keeper = scene.start_with_pending(&[SHOP]).await;
    let (worker, run_id) = begin_stopping_at(&scene, "script-done:2", RUN, &run_of(SHOP)).await;
    let owner = scene.read(SHOP, "SELECT owner FROM migration_locks").await;
    let process = owner[0].split('-').next().expect("an id").to_owned();
    scene.stand_still(&process);
    until("nothing to be heard of the run", async || {
        let silent = "SELECT 1 FROM migration_runs WHERE status = 'running' \
                      AND expires_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
        (!scene.read(HOME, silent).await.is_empty()).then_some(())
    })
    .await;
    tick(&keeper).await;
    let path = format!("/api/dbvc/runs/{run_id}");
    let run = keeper.get(&path).await.expect_status(200).body;
    assert_eq!(run["status"], "running", "{run}");

    scene.go_on();
    signal("-CONT", &process);
    until("the scripts to be applied", async || {
        (scene.ledger(SHOP).await.len() == PENDING.len()).then_some(())
    })
    .await;
    let run = adopted(&keeper, &run_id).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(told(&run, 0), ["V2 applied", "V3 applied", "V4 applied"]);
    let here = worker.get(&path).await.expect_status(200).body;
    assert_eq!(here["status"], "succeeded", "{here}");
    scene.expect_all_applied_once(&keeper, &[SHOP]).await;
}

#[tokio::test]
async fn a_statement_that_fails_and_keeps_a_part_is_for_a_person_to_decide() {
    let scene = Scene::embedded();
    let host = scene.host().start().await;
    let once = "CREATE TABLE once (x INTEGER UNIQUE);\nGO\nINSERT INTO once VALUES (2);";
    register(&host, HOME, 2, once, None).await;
    run(&host, HOME).await.expect_status(200);
    let keeps = "-- dbvc: transaction=off\nINSERT OR FAIL INTO once VALUES (1), (2), (3);\n";
    register(&host, HOME, 3, keeps, None).await;
    run(&host, HOME).await.expect_status(422);
    assert_eq!(
        scene.read(HOME, "SELECT x FROM once ORDER BY x").await,
        ["1", "2"]
    );
    let answer = run(&host, HOME).await.expect_status(409);
    assert_eq!(answer.body["code"], "half-applied");
}
