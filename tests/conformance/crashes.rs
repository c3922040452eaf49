//! A process killed at any instant: nothing is applied twice, nothing is lost, and what happened is told.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::Test;
use crate::support::cosmos::{CosmosDouble, container_of, documents_of};
use crate::support::host::{Host, HostBuilder, TimerShape};
use crate::support::scene::*;
use crate::support::stage::{Engine, Stage};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        killed_between_two_batches_of_a_script_it_runs_from_its_beginning,
        killed_before_its_plan_a_run_leaves_only_a_lock,
        killed_before_its_first_script_a_run_says_that_it_may_have_begun,
        killed_after_a_script_and_before_its_record_neither_remains,
        killed_before_commit_script_and_record_are_gone_together,
        killed_after_commit_script_and_record_stay_together,
        killed_around_its_snapshot_a_run_is_done_and_the_next_takes_the_snapshot,
        killed_between_a_rollback_and_its_record_a_failure_is_an_interruption,
        killed_while_it_delivers_every_event_comes_to_the_archive_once,
        a_killed_cascade_undoes_nothing_twice_and_goes_on_where_it_stopped,
        killed_between_the_failure_of_a_rollback_and_its_record_the_migration_stays_applied,
        a_live_run_is_not_disturbed_and_a_dead_one_is_free_within_its_lease,
        a_missing_snapshot_is_taken_by_the_next_run_that_finds_nothing_to_do,
        killed_while_it_takes_a_dead_run_over_a_process_leaves_everything_to_the_next,
        verifying_with_fix_writes_up_a_dead_run_and_applies_nothing,
    ]
}

/// A run over some pending migrations whose process is killed.
struct Kill {
    /// The crash point: `name` or `name:n`.
    at: &'static str,
    /// How many migrations are pending, versions 2 and up.
    pending: usize,
    /// The version whose script is cut short.
    interrupted: Option<usize>,
}

const fn kill(at: &'static str, pending: usize, interrupted: Option<usize>) -> Kill {
    Kill {
        at,
        pending,
        interrupted,
    }
}

fn id(version: usize) -> String {
    format!("V{version}__step")
}

impl Kill {
    /// Kills a run, has another process run again, and looks at what came of it.
    async fn happens(&self, stage: &Stage) {
        let scene = stage.scene().await;
        let keeper = scene.host().start().await;
        scene.make_ledger(&keeper, HOME).await;
        let versions: Vec<usize> = (2..2 + self.pending).collect();
        for version in &versions {
            register_entry(&keeper, HOME, *version).await;
        }
        let victim = scene.host_stopping_at(self.at).start().await;
        begin_run(&victim, HOME).await;
        scene.stopped().await;
        victim.kill().await;
        expect_no_drift_claimed(&keeper, HOME).await;

        run_when_free(&keeper, HOME).await.expect_status(200);
        self.is_well(&scene, &keeper, &versions).await;

        keeper.kill().await;
        keeper.start_again().await;
        let again = run(&keeper, HOME).await.expect_status(200);
        assert_eq!(
            again.body["status"],
            "nothing-to-do",
            "{}: {}",
            self.at,
            again.text()
        );
        self.is_well(&scene, &keeper, &versions).await;
    }

    async fn is_well(&self, scene: &Scene, keeper: &Host, versions: &[usize]) {
        let entries: Vec<String> = versions
            .iter()
            .map(|version| format!("V{version}"))
            .collect();
        assert_eq!(scene.ledger(HOME).await, entries, "{}", self.at);
        assert!(
            states(keeper, HOME)
                .await
                .iter()
                .all(|state| state == "applied")
        );
        for version in versions {
            let mut expected = vec!["registered"];
            if self.interrupted == Some(*version) {
                expected.push("interrupted");
            }
            expected.extend(["started", "completed"]);
            assert_eq!(
                story_of(keeper, HOME, &id(*version)).await,
                expected,
                "{}",
                self.at
            );
        }
        assert_eq!(
            count_of(keeper, HOME, "lock-taken-over").await,
            1,
            "{}",
            self.at
        );
        scene.expect_sound(keeper, HOME).await;
        let status = keeper
            .get(&format!("/api/dbvc/drift?databaseId={HOME}"))
            .await
            .expect_status(200);
        assert_eq!(status.body["detected"], false, "{}", status.text());
        let runs = keeper.get("/api/dbvc/runs").await.expect_status(200);
        for run in runs.body["runs"].as_array().expect("a list") {
            assert!(
                run["finishedAt"].is_string(),
                "{}: a dead run is not ended: {run}",
                self.at
            );
        }
    }
}

async fn all(stage: &Stage, kills: &[Kill]) {
    join_all(kills.iter().map(|kill| kill.happens(stage))).await;
}

async fn killed_between_two_batches_of_a_script_it_runs_from_its_beginning(stage: &Stage) {
    all(
        stage,
        &[
            kill("batch-ended:1", 1, Some(2)),
            kill("batch-ended:3", 3, Some(3)),
        ],
    )
    .await;
}

async fn killed_before_its_plan_a_run_leaves_only_a_lock(stage: &Stage) {
    let kills = [
        kill("taken", 1, None),
        kill("locked", 1, None),
        kill("locked", 3, None),
    ];
    all(stage, &kills).await;
}

async fn killed_before_its_first_script_a_run_says_that_it_may_have_begun(stage: &Stage) {
    all(
        stage,
        &[kill("planned", 1, Some(2)), kill("planned", 3, Some(2))],
    )
    .await;
}

async fn killed_after_a_script_and_before_its_record_neither_remains(stage: &Stage) {
    all(
        stage,
        &[
            kill("script-done:1", 1, Some(2)),
            kill("script-done:2", 3, Some(3)),
            kill("script-done:3", 3, Some(4)),
        ],
    )
    .await;
}

async fn killed_before_commit_script_and_record_are_gone_together(stage: &Stage) {
    all(
        stage,
        &[
            kill("recorded:1", 1, Some(2)),
            kill("recorded:2", 3, Some(3)),
            kill("recorded:3", 3, Some(4)),
        ],
    )
    .await;
}

async fn killed_after_commit_script_and_record_stay_together(stage: &Stage) {
    all(
        stage,
        &[
            kill("committed:1", 1, None),
            kill("committed:1", 3, Some(3)),
            kill("committed:3", 3, None),
        ],
    )
    .await;
}

async fn killed_around_its_snapshot_a_run_is_done_and_the_next_takes_the_snapshot(stage: &Stage) {
    all(
        stage,
        &[
            kill("before-snapshot", 1, None),
            kill("before-snapshot", 3, None),
            kill("before-release", 1, None),
            kill("before-release", 3, None),
        ],
    )
    .await;
}

async fn killed_between_a_rollback_and_its_record_a_failure_is_an_interruption(stage: &Stage) {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    register_entry(&keeper, HOME, 2).await;
    let failing = "INSERT INTO ledger VALUES ('V3');\nGO\nINSERT INTO nowhere VALUES (1);";
    register(&keeper, HOME, 3, failing, None).await;
    register_entry(&keeper, HOME, 4).await;
    let victim = scene.host_stopping_at("rolled-back").start().await;
    begin_run(&victim, HOME).await;
    scene.stopped().await;
    victim.kill().await;

    run_when_free(&keeper, HOME).await.expect_status(422);
    assert_eq!(scene.ledger(HOME).await, ["V2"]);
    assert_eq!(
        story_of(&keeper, HOME, &id(3)).await,
        ["registered", "interrupted", "started", "failed"]
    );
    assert_eq!(
        states(&keeper, HOME).await,
        ["applied", "failed", "pending"]
    );
    scene.expect_sound(&keeper, HOME).await;
}

async fn killed_while_it_delivers_every_event_comes_to_the_archive_once(stage: &Stage) {
    let scene = stage.scene().await;
    // On SQLite the archive is a file; a server has one only with an account.
    let account = CosmosDouble::start().await;
    let with_archive = |host: HostBuilder| match scene.engine() {
        Engine::Sqlite => host,
        Engine::Babelfish | Engine::SqlServer => {
            host.setting("DBVC_COSMOS_CONNECTION_STRING", account.connection_string())
        }
    };
    let keeper = with_archive(scene.host()).start().await;
    scene.make_ledger(&keeper, HOME).await;
    for version in 2..5 {
        register_entry(&keeper, HOME, version).await;
    }
    let victim = scene.host_stopping_at("events-archived");
    let victim = with_archive(victim).start().await;
    run(&victim, HOME).await.expect_status(200);
    scene.stopped().await;
    victim.kill().await;

    let answer = run(&keeper, HOME).await.expect_status(200);
    assert_eq!(answer.body["status"], "nothing-to-do");
    keeper
        .invoke_timer("dbvc-runs-timer", TimerShape::Regular)
        .await
        .expect_success();
    assert_eq!(scene.ledger(HOME).await, ["V2", "V3", "V4"]);
    scene.expect_sound(&keeper, HOME).await;
    if scene.engine() != Engine::Sqlite {
        let client = account.client().await;
        let container = container_of(&client, "version-control", "change-events").await;
        let documents = documents_of(&container, HOME).await;
        let mut archived: Vec<u64> = documents
            .iter()
            .filter_map(|document| document["sequence"].as_f64().map(|number| number as u64))
            .collect();
        archived.sort_unstable();
        let events = trail(&keeper, HOME).await.len() as u64;
        let expected: Vec<u64> = (1..=events).collect();
        assert_eq!(archived, expected, "the archive has each event once");
    }
}

/// Three migrations are applied, and versions 2 to 4 rolled back by a process that is killed.
async fn rollback_killed_at(
    stage: &Stage,
    point: &str,
    interrupted: Option<usize>,
    rolled_back_before: usize,
) {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    for version in 2..5 {
        register_entry(&keeper, HOME, version).await;
    }
    run(&keeper, HOME).await.expect_status(200);
    let victim = scene.host_stopping_at(point).start().await;
    let request = victim
        .request("POST", "/api/dbvc/migrations/rollback")
        .json(&rollback_of(HOME, &id(2), true));
    request.begin().await.hang_up();
    scene.stopped().await;
    victim.kill().await;
    expect_no_drift_claimed(&keeper, HOME).await;

    let again = when_free("the lock to be free", async || {
        let body = rollback_of(HOME, &id(2), true);
        keeper.post("/api/dbvc/migrations/rollback", body).await
    })
    .await;
    if rolled_back_before == 3 {
        assert_eq!(again.expect_status(409).body["code"], "not-applied");
        let answer = run_when_free(&keeper, HOME).await.expect_status(200);
        assert_eq!(answer.body["status"], "succeeded", "they are applied again");
        assert_eq!(
            scene.ledger(HOME).await,
            ["V2", "V3", "V4", "-V4", "-V3", "-V2", "V2", "V3", "V4"]
        );
        scene.expect_sound(&keeper, HOME).await;
        return;
    }
    let rolled_back = again.expect_status(200);
    assert_eq!(
        rolled_back.body["databases"][0]["migrations"]
            .as_array()
            .map(Vec::len),
        Some(3 - rolled_back_before)
    );
    assert_eq!(
        scene.ledger(HOME).await,
        ["V2", "V3", "V4", "-V4", "-V3", "-V2"],
        "{point}"
    );
    for version in 2..5 {
        let mut expected = vec!["registered", "started", "completed"];
        if interrupted == Some(version) {
            expected.push("interrupted");
        }
        expected.extend(["started", "rolled-back"]);
        assert_eq!(
            story_of(&keeper, HOME, &id(version)).await,
            expected,
            "{point}"
        );
    }
    scene.expect_sound(&keeper, HOME).await;
}

async fn a_killed_cascade_undoes_nothing_twice_and_goes_on_where_it_stopped(stage: &Stage) {
    tokio::join!(
        rollback_killed_at(stage, "locked", None, 0),
        rollback_killed_at(stage, "planned", Some(4), 0),
        rollback_killed_at(stage, "batch-ended:3", Some(3), 1),
        rollback_killed_at(stage, "script-done:2", Some(3), 1),
        rollback_killed_at(stage, "recorded:3", Some(2), 2),
        rollback_killed_at(stage, "committed:1", Some(3), 1),
        rollback_killed_at(stage, "committed:3", None, 3),
        rollback_killed_at(stage, "before-snapshot", None, 3),
        rollback_killed_at(stage, "before-release", None, 3),
    );
}

async fn killed_between_the_failure_of_a_rollback_and_its_record_the_migration_stays_applied(
    stage: &Stage,
) {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    let failing = "INSERT INTO ledger VALUES ('-V2');\nGO\nINSERT INTO nowhere VALUES (1);";
    let up = "INSERT INTO ledger VALUES ('V2');";
    register(&keeper, HOME, 2, up, Some(failing)).await;
    run(&keeper, HOME).await.expect_status(200);
    let victim = scene.host_stopping_at("rolled-back").start().await;
    let request = victim
        .request("POST", "/api/dbvc/migrations/rollback")
        .json(&rollback_of(HOME, &id(2), false));
    request.begin().await.hang_up();
    scene.stopped().await;
    victim.kill().await;

    when_free("the lock to be free", async || {
        let body = rollback_of(HOME, &id(2), false);
        keeper.post("/api/dbvc/migrations/rollback", body).await
    })
    .await
    .expect_status(422);
    assert_eq!(scene.ledger(HOME).await, ["V2"]);
    assert_eq!(
        story_of(&keeper, HOME, &id(2)).await,
        [
            "registered",
            "started",
            "completed",
            "interrupted",
            "started",
            "failed"
        ]
    );
    assert_eq!(states(&keeper, HOME).await, ["applied"]);
    scene.expect_sound(&keeper, HOME).await;
}

async fn a_live_run_is_not_disturbed_and_a_dead_one_is_free_within_its_lease(stage: &Stage) {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    register_entry(&keeper, HOME, 2).await;
    register_entry(&keeper, HOME, 3).await;
    let victim = scene.host_stopping_at("committed:1").start().await;
    begin_run(&victim, HOME).await;
    scene.stopped().await;
    let stopped = Instant::now();
    // Longer than the lease: the heartbeat keeps the lock.
    while stopped.elapsed() < scene.lease() * 3 / 2 {
        expect_locked(run(&keeper, HOME).await);
    }
    victim.kill().await;
    let killed = Instant::now();
    run_when_free(&keeper, HOME).await.expect_status(200);
    // The lease, and time for a slow machine.
    let limit = scene.lease() + Duration::from_secs(9);
    assert!(killed.elapsed() < limit, "{:?}", killed.elapsed());
    assert_eq!(scene.ledger(HOME).await, ["V2", "V3"]);
}

async fn a_missing_snapshot_is_taken_by_the_next_run_that_finds_nothing_to_do(stage: &Stage) {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    register_entry(&keeper, HOME, 2).await;
    let victim = scene.host_stopping_at("before-snapshot").start().await;
    begin_run(&victim, HOME).await;
    scene.stopped().await;
    victim.kill().await;
    let path = format!("/api/dbvc/drift?databaseId={HOME}");
    let drift = keeper.get(&path).await.expect_status(200);
    assert!(drift.body["detected"].is_null(), "{}", drift.text());

    let answer = run_when_free(&keeper, HOME).await.expect_status(200);
    assert_eq!(answer.body["status"], "nothing-to-do");
    assert!(answer.body["databases"][0]["snapshotId"].is_string());
    let drift = keeper.get(&path).await.expect_status(200);
    assert_eq!(drift.body["detected"], false, "{}", drift.text());
}

/// A process dies in the second of its three scripts, and the one that takes over dies at a point as well.
async fn dies_while_it_takes_over(stage: &Stage, point: &str, story_of_the_second: &[&str]) {
    let scene = stage.scene().await;
    let keeper = scene.start_with_pending(&[HOME]).await;
    let victim = scene.host_stopping_at("script-done:2").start().await;
    begin_run(&victim, HOME).await;
    scene.stopped().await;
    victim.kill().await;
    scene.lease_expired(HOME).await;
    let second = scene.other_host_stopping_at(point, "second").start().await;
    begin_run(&second, HOME).await;
    scene.other_stopped("second").await;
    second.kill().await;

    run_when_free(&keeper, HOME).await.expect_status(200);
    assert_eq!(
        story_of(&keeper, HOME, &id(3)).await,
        story_of_the_second,
        "{point}"
    );
    scene.expect_all_applied_once(&keeper, &[HOME]).await;
}

async fn killed_while_it_takes_a_dead_run_over_a_process_leaves_everything_to_the_next(
    stage: &Stage,
) {
    let once = ["registered", "interrupted", "started", "completed"];
    let twice = [
        "registered",
        "interrupted",
        "interrupted",
        "started",
        "completed",
    ];
    tokio::join!(
        dies_while_it_takes_over(stage, "taken", &once),
        dies_while_it_takes_over(stage, "locked", &once),
        dies_while_it_takes_over(stage, "planned", &twice),
        dies_while_it_takes_over(stage, "recorded:1", &twice),
        dies_while_it_takes_over(stage, "committed:1", &once),
    );
}

async fn verifying_with_fix_writes_up_a_dead_run_and_applies_nothing(stage: &Stage) {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    for version in 2..5 {
        register_entry(&keeper, HOME, version).await;
    }
    let victim = scene.host_stopping_at("script-done:2").start().await;
    begin_run(&victim, HOME).await;
    scene.stopped().await;
    victim.kill().await;
    scene.lease_expired(HOME).await;
    let path = "/api/dbvc/integrity/verify";
    let mut body = serde_json::json!({"databaseId": HOME, "environment": "dev", "executor": "checker@lpa.com"});
    let before = keeper.post(path, body.clone()).await.expect_status(200);
    assert_eq!(before.body["healthy"], false, "{}", before.text());
    body["fix"] = true.into();
    let fixed = keeper.post(path, body).await.expect_status(200);
    assert_eq!(fixed.body["healthy"], true, "{}", fixed.text());

    assert_eq!(scene.ledger(HOME).await, ["V2"]);
    assert_eq!(
        states(&keeper, HOME).await,
        ["applied", "pending", "pending"]
    );
    assert_eq!(newest_run(&keeper, HOME).await["status"], "failed");
    let attempts = format!("/api/dbvc/databases/{HOME}/migrations/{}", id(3));
    let attempts = keeper.get(&attempts).await.expect_status(200);
    let attempt = &attempts.body["executions"][0];
    assert_eq!(attempt["status"], "interrupted");
    assert_eq!(
        attempt["executor"], "runner@lpa.com",
        "who ran it, not who wrote it up"
    );
    scene.expect_sound(&keeper, HOME).await;
    run(&keeper, HOME).await.expect_status(200);
    assert_eq!(scene.ledger(HOME).await, ["V2", "V3", "V4"]);
    scene.expect_sound(&keeper, HOME).await;
}
