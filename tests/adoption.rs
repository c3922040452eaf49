//! A run goes on whoever waits for it, and when its process dies the runs timer of another one finishes it.

mod support;

use serde_json::{Value, json};
use support::host::{Host, TimerShape};
use support::scene::*;

const SHOP: &str = "shop";
const STOCK: &str = "stock";
const PENDING: [usize; 3] = [2, 3, 4];

async fn tick(host: &Host) {
    host.invoke_timer("dbvc-runs-timer", TimerShape::FirstRun)
        .await
        .expect_success();
}

/// A folder with some databases, each with the same pending migrations.
async fn scene_with(databases: &[&str]) -> (Scene, Host) {
    let scene = Scene::new();
    let keeper = scene.host().start().await;
    make_ledger(&keeper, HOME).await;
    for database in databases {
        if *database != HOME {
            add_database(&keeper, database).await;
        }
        for version in PENDING {
            register_entry(&keeper, database, version).await;
        }
    }
    (scene, keeper)
}

/// Starts a run by a process that stops at a point, without waiting for it.
async fn begin_stopping_at(scene: &Scene, point: &str, path: &str, body: &Value) -> (Host, String) {
    let host = scene.host_stopping_at(point).start().await;
    let request = host.request("POST", path).json(body);
    let known: Vec<Value> = runs(&host).await;
    request.begin().await.hang_up();
    scene.stopped().await;
    let run = runs(&host)
        .await
        .into_iter()
        .find(|run| !known.contains(run));
    let run_id = run.expect("a run has begun")["runId"]
        .as_str()
        .expect("an id")
        .to_owned();
    (host, run_id)
}

async fn runs(host: &Host) -> Vec<Value> {
    let answer = host.get("/api/dbvc/runs").await.expect_status(200);
    answer.body["runs"].as_array().expect("a list").clone()
}

/// Has the timer of a process look after the runs until this one has ended.
async fn adopted(host: &Host, run_id: &str) -> Value {
    let path = format!("/api/dbvc/runs/{run_id}");
    until("the run to be adopted", async || {
        tick(host).await;
        let run = host.get(&path).await.expect_status(200).body;
        run["finishedAt"].is_string().then_some(run)
    })
    .await;
    // As the registry has it, not the memory of a process.
    host.kill().await;
    host.start_again().await;
    host.get(&path).await.expect_status(200).body
}

fn told(run: &Value, database: usize) -> Vec<String> {
    outcomes(run, database)
        .into_iter()
        .map(|(id, status)| format!("{} {status}", id.trim_end_matches("__step")))
        .collect()
}

async fn expect_all_applied_once(scene: &Scene, host: &Host, databases: &[&str]) {
    for database in databases {
        assert_eq!(scene.ledger(database), ["V2", "V3", "V4"], "{database}");
        assert_eq!(states(host, database).await, ["applied"; 3], "{database}");
        scene.expect_sound(host, database).await;
    }
}

const RUN: &str = "/api/dbvc/migrations/run";

/// A run on one database whose process dies at a point, and what its adopter tells of it.
async fn dies(database: &str, point: &str, expected: &[&str]) {
    let (scene, keeper) = scene_with(&[database]).await;
    let (victim, run_id) = begin_stopping_at(&scene, point, RUN, &run_of(database)).await;
    victim.kill().await;
    let run = adopted(&keeper, &run_id).await;
    assert_eq!(run["status"], "succeeded", "{database} {point}: {run}");
    assert_eq!(told(&run, 0), expected, "{database} {point}");
    expect_all_applied_once(&scene, &keeper, &[database]).await;
    let answer = support::scene::run(&keeper, database)
        .await
        .expect_status(200);
    assert_eq!(answer.body["status"], "nothing-to-do");
}

#[tokio::test]
async fn a_dead_run_of_the_home_database_is_finished_by_another_process() {
    tokio::join!(
        dies(
            HOME,
            "planned",
            &["V2 interrupted", "V2 applied", "V3 applied", "V4 applied"]
        ),
        dies(
            HOME,
            "script-done:2",
            &["V2 applied", "V3 interrupted", "V3 applied", "V4 applied"]
        ),
        dies(
            HOME,
            "committed:3",
            &["V2 applied", "V3 applied", "V4 applied"]
        ),
        dies(
            HOME,
            "before-release",
            &["V2 applied", "V3 applied", "V4 applied"]
        ),
    );
}

#[tokio::test]
async fn a_dead_run_of_another_database_is_finished_by_another_process() {
    tokio::join!(
        dies(
            SHOP,
            "script-done:2",
            &["V2 applied", "V3 interrupted", "V3 applied", "V4 applied"]
        ),
        dies(
            SHOP,
            "committed:3",
            &["V2 applied", "V3 applied", "V4 applied"]
        ),
        dies(
            SHOP,
            "plan-closed",
            &["V2 applied", "V3 applied", "V4 applied"]
        ),
    );
}

/// A run over all databases whose process dies at a point.
async fn all_die(point: &str) {
    let databases = [HOME, SHOP, STOCK];
    let (scene, keeper) = scene_with(&databases).await;
    let (victim, run_id) = begin_stopping_at(&scene, point, RUN, &run_of("all")).await;
    victim.kill().await;
    let run = adopted(&keeper, &run_id).await;
    assert_eq!(run["status"], "succeeded", "{point}: {run}");
    for place in 0..databases.len() {
        assert_eq!(
            run["databases"][place]["status"], "succeeded",
            "{point}: {run}"
        );
        let mut applied = told(&run, place);
        applied.retain(|told| told.ends_with("applied"));
        assert_eq!(
            applied,
            ["V2 applied", "V3 applied", "V4 applied"],
            "{point}: {run}"
        );
    }
    expect_all_applied_once(&scene, &keeper, &databases).await;
}

#[tokio::test]
async fn a_dead_run_over_all_databases_is_finished_on_each() {
    tokio::join!(
        all_die("planned:2"),
        all_die("committed:4"),
        all_die("script-done:5"),
        all_die("plan-closed:2"),
        all_die("plan-closed:3"),
    );
}

#[tokio::test]
async fn a_dead_rollback_is_finished_by_another_process() {
    let dies = async |database: &str, point: &str, expected: &[&str]| {
        let (scene, keeper) = scene_with(&[database]).await;
        run(&keeper, database).await.expect_status(200);
        let body = rollback_of(database, "V3__step", true);
        let path = "/api/dbvc/migrations/rollback";
        let (victim, run_id) = begin_stopping_at(&scene, point, path, &body).await;
        victim.kill().await;
        let run = adopted(&keeper, &run_id).await;
        assert_eq!(run["kind"], "rollback");
        assert_eq!(run["status"], "succeeded", "{point}: {run}");
        assert_eq!(told(&run, 0), expected, "{point}");
        assert_eq!(
            scene.ledger(database),
            ["V2", "V3", "V4", "-V4", "-V3"],
            "{point}"
        );
        assert_eq!(
            states(&keeper, database).await,
            ["applied", "rolled-back", "rolled-back"]
        );
        scene.expect_sound(&keeper, database).await;
    };
    tokio::join!(
        dies(
            HOME,
            "recorded:1",
            &["V4 interrupted", "V4 rolled-back", "V3 rolled-back"]
        ),
        dies(
            HOME,
            "committed:1",
            &["V4 rolled-back", "V3 interrupted", "V3 rolled-back"]
        ),
        dies(HOME, "committed:2", &["V4 rolled-back", "V3 rolled-back"]),
        dies(
            SHOP,
            "committed:1",
            &["V4 rolled-back", "V3 interrupted", "V3 rolled-back"]
        ),
    );
}

#[tokio::test]
async fn a_dead_run_whose_database_another_run_took_over_ends_as_failed() {
    let taken_over = async |database: &str| {
        let (scene, keeper) = scene_with(&[database]).await;
        let (victim, run_id) =
            begin_stopping_at(&scene, "committed:1", RUN, &run_of(database)).await;
        victim.kill().await;
        run_when_free(&keeper, database).await.expect_status(200);
        let run = adopted(&keeper, &run_id).await;
        assert_eq!(run["status"], "failed", "{run}");
        assert_eq!(run["databases"][0]["problem"]["code"], "locked");
        assert_eq!(
            told(&run, 0),
            ["V2 applied", "V3 interrupted", "V4 skipped"]
        );
        expect_all_applied_once(&scene, &keeper, &[database]).await;
    };
    tokio::join!(taken_over(HOME), taken_over(SHOP));
}

#[tokio::test]
async fn a_dead_run_that_was_asked_to_end_ends_as_cancelled() {
    let asked = async |database: &str| {
        let (scene, keeper) = scene_with(&[database]).await;
        let (victim, run_id) =
            begin_stopping_at(&scene, "committed:1", RUN, &run_of(database)).await;
        let path = format!("/api/dbvc/runs/{run_id}/cancel");
        keeper.post(&path, json!({})).await.expect_status(202);
        victim.kill().await;
        let run = adopted(&keeper, &run_id).await;
        assert_eq!(run["status"], "cancelled", "{run}");
        assert_eq!(scene.ledger(database), ["V2"]);
        assert_eq!(
            states(&keeper, database).await,
            ["applied", "pending", "pending"]
        );
        scene.expect_sound(&keeper, database).await;
    };
    tokio::join!(asked(HOME), asked(SHOP));
}

#[tokio::test]
async fn a_dead_run_whose_script_had_failed_does_not_try_it_again() {
    let (scene, keeper) = scene_with(&[HOME]).await;
    reregister(&keeper, HOME, 3, "INSERT INTO nowhere VALUES (1);").await;
    let (victim, run_id) = begin_stopping_at(&scene, "before-snapshot", RUN, &run_of(HOME)).await;
    victim.kill().await;
    let run = adopted(&keeper, &run_id).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(told(&run, 0), ["V2 applied", "V3 failed", "V4 skipped"]);
    assert_eq!(scene.ledger(HOME), ["V2"]);
    let story = story_of(&keeper, HOME, "V3__step").await;
    assert_eq!(story, ["registered", "reregistered", "started", "failed"]);
    scene.expect_sound(&keeper, HOME).await;
}

/// A run that stands still at a point longer than its lease, while the timers of others look after the runs.
async fn lives(database: &str, point: &str) {
    let (scene, keeper) = scene_with(&[database]).await;
    let (worker, run_id) = begin_stopping_at(&scene, point, RUN, &run_of(database)).await;
    let began = std::time::Instant::now();
    while began.elapsed().as_millis() < 2500 {
        tokio::join!(tick(&keeper), tick(&worker));
    }
    let path = format!("/api/dbvc/runs/{run_id}");
    for host in [&keeper, &worker] {
        let run = host.get(&path).await.expect_status(200).body;
        assert_eq!(run["status"], "running", "{database} {point}");
    }
    scene.go_on();
    let run = ended_run(&keeper, &run_id).await;
    assert_eq!(run["status"], "succeeded", "{database} {point}: {run}");
    assert_eq!(told(&run, 0), ["V2 applied", "V3 applied", "V4 applied"]);
    assert_eq!(count_of(&keeper, database, "interrupted").await, 0);
    assert_eq!(count_of(&keeper, database, "lock-taken-over").await, 0);
    expect_all_applied_once(&scene, &keeper, &[database]).await;
}

#[tokio::test]
async fn a_live_run_is_never_adopted() {
    tokio::join!(
        lives(HOME, "planned"),
        lives(HOME, "committed:2"),
        lives(SHOP, "committed:2"),
    );
}

#[tokio::test]
async fn a_live_run_is_never_adopted_while_its_script_holds_the_file() {
    tokio::join!(lives(HOME, "script-done:2"), lives(SHOP, "script-done:2"),);
}

#[tokio::test]
async fn a_run_that_comes_back_after_its_adoption_leaves_it_to_its_adopter() {
    let (scene, keeper) = scene_with(&[HOME]).await;
    let paused = scene.host_stopping_at("committed:1").start().await;
    let request = paused.request("POST", RUN).json(&run_of(HOME));
    let waiting = tokio::spawn(request.send());
    scene.stopped().await;
    let run_id = newest_run(&keeper, HOME).await["runId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let process = process_of_holder(&keeper, HOME).await;
    signal("-STOP", &process);
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
    expect_all_applied_once(&scene, &keeper, &[HOME]).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_nothing_and_progress_is_seen_meanwhile() {
    let (scene, keeper) = scene_with(&[HOME]).await;
    let (worker, run_id) = begin_stopping_at(&scene, "batch-ended:3", RUN, &run_of(HOME)).await;
    let run = worker
        .get(&format!("/api/dbvc/runs/{run_id}"))
        .await
        .expect_status(200)
        .body;
    assert_eq!(run["status"], "running");
    assert_eq!(told(&run, 0), ["V2 applied", "V3 planned", "V4 planned"]);
    assert_eq!(
        run["databases"][0]["migrations"][1]["batches"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    scene.go_on();
    assert_eq!(ended_run(&keeper, &run_id).await["status"], "succeeded");
    expect_all_applied_once(&scene, &keeper, &[HOME]).await;
}

#[tokio::test]
async fn who_prefers_not_to_wait_is_told_where_to_ask() {
    let (scene, keeper) = scene_with(&[HOME]).await;
    let worker = scene.host_stopping_at("committed:1").start().await;
    let request = worker
        .request("POST", RUN)
        .header("prefer", "respond-async");
    let answer = request.json(&run_of(HOME)).send().await.expect_status(202);
    scene.stopped().await;
    let location = answer.header("location").expect("a place to ask");
    assert_eq!(answer.body["status"], "running");
    let again = keeper
        .request("POST", RUN)
        .header("prefer", "respond-async");
    expect_locked(again.json(&run_of(HOME)).send().await);
    scene.go_on();
    let run_id = location.rsplit('/').next().expect("an id");
    assert_eq!(ended_run(&keeper, run_id).await["status"], "succeeded");
    expect_all_applied_once(&scene, &keeper, &[HOME]).await;
}

#[tokio::test]
async fn a_run_that_begins_while_a_script_holds_the_home_database_is_on_record_at_its_end() {
    let (scene, keeper) = scene_with(&[HOME, SHOP]).await;
    let (worker, home_run) = begin_stopping_at(&scene, "script-done:1", RUN, &run_of(HOME)).await;
    let request = keeper
        .request("POST", RUN)
        .header("prefer", "respond-async");
    let answer = request.json(&run_of(SHOP)).send().await.expect_status(202);
    let run_id = answer.body["runId"].as_str().expect("an id").to_owned();
    until("the scripts to be applied", async || {
        (scene.ledger(SHOP).len() == PENDING.len()).then_some(())
    })
    .await;
    scene.go_on();
    assert_eq!(ended_run(&worker, &home_run).await["status"], "succeeded");
    let run = ended_run(&keeper, &run_id).await;
    assert_eq!(run["status"], "succeeded");
    let path = format!("/api/dbvc/runs/{run_id}");
    let on_record = until("the run to be on record", async || {
        let answer = worker.get(&path).await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert_eq!(
        told(&on_record, 0),
        ["V2 applied", "V3 applied", "V4 applied"]
    );
    expect_all_applied_once(&scene, &keeper, &[HOME, SHOP]).await;
}

#[tokio::test]
async fn of_two_timers_one_adopts_a_dead_run() {
    let (scene, keeper) = scene_with(&[HOME]).await;
    let other = scene.host().start().await;
    let (victim, run_id) = begin_stopping_at(&scene, "recorded:2", RUN, &run_of(HOME)).await;
    victim.kill().await;
    let path = format!("/api/dbvc/runs/{run_id}");
    until("the run to be adopted", async || {
        tokio::join!(tick(&keeper), tick(&other));
        let run = other.get(&path).await.expect_status(200).body;
        run["finishedAt"].is_string().then_some(())
    })
    .await;
    for host in [&keeper, &other] {
        let run = host.get(&path).await.expect_status(200).body;
        assert_eq!(run["status"], "succeeded", "{run}");
    }
    assert_eq!(count_of(&keeper, HOME, "lock-taken-over").await, 1);
    expect_all_applied_once(&scene, &keeper, &[HOME]).await;
}

#[tokio::test]
async fn a_run_that_stands_still_within_a_script_is_left_alone_and_told_as_it_ends() {
    let (scene, keeper) = scene_with(&[SHOP]).await;
    let (worker, run_id) = begin_stopping_at(&scene, "script-done:2", RUN, &run_of(SHOP)).await;
    let owner = scene.read(SHOP, "SELECT owner FROM migration_locks");
    let process = owner[0].split('-').next().expect("an id").to_owned();
    signal("-STOP", &process);
    until("nothing to be heard of the run", async || {
        let silent = "SELECT 1 FROM migration_runs WHERE status = 'running' \
                      AND expires_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
        (!scene.read(HOME, silent).is_empty()).then_some(())
    })
    .await;
    tick(&keeper).await;
    let path = format!("/api/dbvc/runs/{run_id}");
    let run = keeper.get(&path).await.expect_status(200).body;
    assert_eq!(run["status"], "running", "{run}");

    scene.go_on();
    signal("-CONT", &process);
    until("the scripts to be applied", async || {
        (scene.ledger(SHOP).len() == PENDING.len()).then_some(())
    })
    .await;
    let run = adopted(&keeper, &run_id).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(told(&run, 0), ["V2 applied", "V3 applied", "V4 applied"]);
    let here = worker.get(&path).await.expect_status(200).body;
    assert_eq!(here["status"], "succeeded", "{here}");
    expect_all_applied_once(&scene, &keeper, &[SHOP]).await;
}

#[tokio::test]
async fn a_run_is_told_as_ended_when_its_database_is_free() {
    let (scene, keeper) = scene_with(&[HOME]).await;
    let (worker, run_id) = begin_stopping_at(&scene, "before-release", RUN, &run_of(HOME)).await;
    let path = format!("/api/dbvc/runs/{run_id}");
    for host in [&keeper, &worker] {
        let run = host.get(&path).await.expect_status(200).body;
        assert_eq!(run["status"], "running");
        assert_eq!(run["databases"][0]["status"], "running");
        assert!(run["finishedAt"].is_null());
    }
    scene.go_on();
    ended_run(&worker, &run_id).await;
    let again = run(&keeper, HOME).await.expect_status(200);
    assert_eq!(again.body["status"], "nothing-to-do");
}
