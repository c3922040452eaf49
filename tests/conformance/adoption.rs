//! A run goes on whoever waits for it, and when its process dies the runs timer of another one finishes it.

use std::time::Instant;

use crate::harness::Test;
use crate::support::host::Host;
use crate::support::scene::*;
use crate::support::stage::Stage;

pub fn tests() -> Vec<Test> {
    on_each_engine![
        a_dead_run_of_the_home_database_is_finished_by_another_process,
        a_dead_run_of_another_database_is_finished_by_another_process,
        a_dead_run_over_all_databases_is_finished_on_each,
        a_dead_rollback_is_finished_by_another_process,
        a_dead_run_whose_database_another_run_took_over_ends_as_failed,
        a_dead_run_that_was_asked_to_end_ends_as_cancelled,
        a_dead_run_whose_script_had_failed_does_not_try_it_again,
        a_live_run_is_never_adopted,
        a_live_run_is_never_adopted_while_its_script_is_under_way,
        a_client_that_hangs_up_cancels_nothing_and_progress_is_seen_meanwhile,
        who_prefers_not_to_wait_is_told_where_to_ask,
        a_run_that_begins_while_a_script_holds_the_home_database_is_on_record_at_its_end,
        of_two_timers_one_adopts_a_dead_run,
        a_run_is_told_as_ended_when_its_database_is_free,
    ]
}

const SHOP: &str = "shop";
const STOCK: &str = "stock";

/// Some databases, each with the same pending migrations.
async fn scene_with(stage: &Stage, databases: &[&str]) -> (Scene, Host) {
    let scene = stage.scene_with(databases).await;
    let keeper = scene.start_with_pending(databases).await;
    (scene, keeper)
}

/// A run on one database whose process dies at a point, and what its adopter tells of it.
async fn dies(stage: &Stage, database: &str, point: &str, expected: &[&str]) {
    let (scene, keeper) = scene_with(stage, &[database]).await;
    let (victim, run_id) = begin_stopping_at(&scene, point, RUN, &run_of(database)).await;
    victim.kill().await;
    let run = adopted(&keeper, &run_id).await;
    assert_eq!(run["status"], "succeeded", "{database} {point}: {run}");
    assert_eq!(told(&run, 0), expected, "{database} {point}");
    scene.expect_all_applied_once(&keeper, &[database]).await;
    let answer = crate::support::scene::run(&keeper, database)
        .await
        .expect_status(200);
    assert_eq!(answer.body["status"], "nothing-to-do");
}

async fn a_dead_run_of_the_home_database_is_finished_by_another_process(stage: &Stage) {
    tokio::join!(
        dies(
            stage,
            HOME,
            "planned",
            &["V2 interrupted", "V2 applied", "V3 applied", "V4 applied"]
        ),
        dies(
            stage,
            HOME,
            "script-done:2",
            &["V2 applied", "V3 interrupted", "V3 applied", "V4 applied"]
        ),
        dies(
            stage,
            HOME,
            "committed:3",
            &["V2 applied", "V3 applied", "V4 applied"]
        ),
        dies(
            stage,
            HOME,
            "before-release",
            &["V2 applied", "V3 applied", "V4 applied"]
        ),
    );
}

async fn a_dead_run_of_another_database_is_finished_by_another_process(stage: &Stage) {
    tokio::join!(
        dies(
            stage,
            SHOP,
            "script-done:2",
            &["V2 applied", "V3 interrupted", "V3 applied", "V4 applied"]
        ),
        dies(
            stage,
            SHOP,
            "committed:3",
            &["V2 applied", "V3 applied", "V4 applied"]
        ),
        dies(
            stage,
            SHOP,
            "plan-closed",
            &["V2 applied", "V3 applied", "V4 applied"]
        ),
    );
}

/// A run over all databases whose process dies at a point.
async fn all_die(stage: &Stage, point: &str) {
    let databases = [HOME, SHOP, STOCK];
    let (scene, keeper) = scene_with(stage, &databases).await;
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
    scene.expect_all_applied_once(&keeper, &databases).await;
}

async fn a_dead_run_over_all_databases_is_finished_on_each(stage: &Stage) {
    tokio::join!(
        all_die(stage, "planned:2"),
        all_die(stage, "committed:4"),
        all_die(stage, "script-done:5"),
        all_die(stage, "plan-closed:2"),
        all_die(stage, "plan-closed:3"),
    );
}

async fn a_dead_rollback_is_finished_by_another_process(stage: &Stage) {
    let dies = async |database: &str, point: &str, expected: &[&str]| {
        let (scene, keeper) = scene_with(stage, &[database]).await;
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
            scene.ledger(database).await,
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

async fn a_dead_run_whose_database_another_run_took_over_ends_as_failed(stage: &Stage) {
    let taken_over = async |database: &str| {
        let (scene, keeper) = scene_with(stage, &[database]).await;
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
        scene.expect_all_applied_once(&keeper, &[database]).await;
    };
    tokio::join!(taken_over(HOME), taken_over(SHOP));
}

async fn a_dead_run_that_was_asked_to_end_ends_as_cancelled(stage: &Stage) {
    let asked = async |database: &str| {
        let (scene, keeper) = scene_with(stage, &[database]).await;
        let (victim, run_id) =
            begin_stopping_at(&scene, "committed:1", RUN, &run_of(database)).await;
        cancel(&keeper, &run_id).await.expect_status(202);
        victim.kill().await;
        let run = adopted(&keeper, &run_id).await;
        assert_eq!(run["status"], "cancelled", "{run}");
        assert_eq!(scene.ledger(database).await, ["V2"]);
        assert_eq!(
            states(&keeper, database).await,
            ["applied", "pending", "pending"]
        );
        scene.expect_sound(&keeper, database).await;
    };
    tokio::join!(asked(HOME), asked(SHOP));
}

async fn a_dead_run_whose_script_had_failed_does_not_try_it_again(stage: &Stage) {
    let (scene, keeper) = scene_with(stage, &[HOME]).await;
    reregister(&keeper, HOME, 3, "INSERT INTO nowhere VALUES (1);").await;
    let (victim, run_id) = begin_stopping_at(&scene, "before-snapshot", RUN, &run_of(HOME)).await;
    victim.kill().await;
    let run = adopted(&keeper, &run_id).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(told(&run, 0), ["V2 applied", "V3 failed", "V4 skipped"]);
    assert_eq!(scene.ledger(HOME).await, ["V2"]);
    let story = story_of(&keeper, HOME, "V3__step").await;
    assert_eq!(story, ["registered", "reregistered", "started", "failed"]);
    scene.expect_sound(&keeper, HOME).await;
}

/// A run that stands still at a point longer than its lease, while the timers of others look after the runs.
async fn lives(stage: &Stage, database: &str, point: &str) {
    let (scene, keeper) = scene_with(stage, &[database]).await;
    let (worker, run_id) = begin_stopping_at(&scene, point, RUN, &run_of(database)).await;
    let began = Instant::now();
    while began.elapsed() < scene.lease() * 5 / 2 {
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
    scene.expect_all_applied_once(&keeper, &[database]).await;
}

async fn a_live_run_is_never_adopted(stage: &Stage) {
    tokio::join!(
        lives(stage, HOME, "planned"),
        lives(stage, HOME, "committed:2"),
        lives(stage, SHOP, "committed:2"),
    );
}

async fn a_live_run_is_never_adopted_while_its_script_is_under_way(stage: &Stage) {
    tokio::join!(
        lives(stage, HOME, "script-done:2"),
        lives(stage, SHOP, "script-done:2"),
    );
}

async fn a_client_that_hangs_up_cancels_nothing_and_progress_is_seen_meanwhile(stage: &Stage) {
    let (scene, keeper) = scene_with(stage, &[HOME]).await;
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
    scene.expect_all_applied_once(&keeper, &[HOME]).await;
}

async fn who_prefers_not_to_wait_is_told_where_to_ask(stage: &Stage) {
    let (scene, keeper) = scene_with(stage, &[HOME]).await;
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
    scene.expect_all_applied_once(&keeper, &[HOME]).await;
}

async fn a_run_that_begins_while_a_script_holds_the_home_database_is_on_record_at_its_end(
    stage: &Stage,
) {
    let (scene, keeper) = scene_with(stage, &[HOME, SHOP]).await;
    let (worker, home_run) = begin_stopping_at(&scene, "script-done:1", RUN, &run_of(HOME)).await;
    let request = keeper
        .request("POST", RUN)
        .header("prefer", "respond-async");
    let answer = request.json(&run_of(SHOP)).send().await.expect_status(202);
    let run_id = answer.body["runId"].as_str().expect("an id").to_owned();
    until("the scripts to be applied", async || {
        (scene.ledger(SHOP).await.len() == PENDING.len()).then_some(())
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
    scene.expect_all_applied_once(&keeper, &[HOME, SHOP]).await;
}

async fn of_two_timers_one_adopts_a_dead_run(stage: &Stage) {
    let (scene, keeper) = scene_with(stage, &[HOME]).await;
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
    scene.expect_all_applied_once(&keeper, &[HOME]).await;
}

async fn a_run_is_told_as_ended_when_its_database_is_free(stage: &Stage) {
    let (scene, keeper) = scene_with(stage, &[HOME]).await;
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
