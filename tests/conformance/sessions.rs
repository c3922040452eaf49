//! What a server knows besides the lease: the session that runs scripts holds an application lock as long as it lasts, so
//! that nobody begins before the server has ended what a former holder was doing.

use serde_json::json;
use tokio::task::JoinHandle;

use crate::harness::Test;
use crate::support::host::{Answer, Host};
use crate::support::scene::*;
use crate::support::stage::Stage;

pub fn tests() -> Vec<Test> {
    on_t_sql![
        who_takes_over_waits_for_the_session_before_and_then_goes_on,
        a_fenced_run_applies_nothing_and_says_so,
        a_run_that_has_passed_its_fence_is_not_overtaken,
        a_run_that_stands_still_is_adopted_only_when_its_session_has_ended,
        an_open_script_transaction_holds_up_no_reader_and_no_registering,
    ]
}

/// A process that the system stops in the middle of its run, longer than its lease. Its sessions go on.
struct Frozen {
    host: Host,
    process: String,
    answer: JoinHandle<Answer>,
}

impl Frozen {
    async fn at(point: &str, scene: &Scene, keeper: &Host) -> Self {
        let host = scene.host_stopping_at(point).start().await;
        let request = host.request("POST", RUN).json(&run_of(HOME));
        let answer = tokio::spawn(request.send());
        scene.stopped().await;
        let process = process_of_holder(keeper, HOME).await;
        scene.stand_still(&process);
        scene.lease_expired(HOME).await;
        Self {
            host,
            process,
            answer,
        }
    }

    /// Has it go on, and gives what it answers at last.
    async fn goes_on(self, scene: &Scene) -> Answer {
        scene.go_on();
        signal("-CONT", &self.process);
        self.answer.await.expect("an answer")
    }
}

/// Three pending migrations, and a process that waits for others no longer than a second.
async fn scene_with_an_impatient_host(stage: &Stage) -> (Scene, Host) {
    let scene = stage.scene().await;
    let setting_up = scene.start_with_pending(&[HOME]).await;
    setting_up.kill().await;
    let host = scene.host().setting("DBVC_LOCK_TIMEOUT", "1").start().await;
    (scene, host)
}

async fn who_takes_over_waits_for_the_session_before_and_then_goes_on(stage: &Stage) {
    let (scene, taker) = scene_with_an_impatient_host(stage).await;
    let frozen = Frozen::at("script-done:2", &scene, &taker).await;
    let refused = expect_locked(run(&taker, HOME).await);
    let owner = refused.body["lock"]["owner"].as_str().expect("an owner");
    assert!(
        owner.starts_with(&format!("{}-", frozen.process)),
        "{owner}"
    );
    assert_eq!(scene.ledger(HOME).await, ["V2"]);

    frozen.host.kill().await;
    let taken = run_when_free(&taker, HOME).await.expect_status(200);
    assert_eq!(outcomes(&taken.body, 0).len(), 2, "{}", taken.text());
    assert_eq!(
        story_of(&taker, HOME, "V3__step").await,
        ["registered", "interrupted", "started", "completed"]
    );
    scene.expect_all_applied_once(&taker, &[HOME]).await;
}

/// A process stands still at a point; another one raises the token and is kept off by its session; then it goes on.
async fn fenced_at(stage: &Stage, point: &str, left_for_the_taker: usize) {
    let (scene, taker) = scene_with_an_impatient_host(stage).await;
    let frozen = Frozen::at(point, &scene, &taker).await;
    expect_locked(run(&taker, HOME).await);

    let fenced = frozen.goes_on(&scene).await.expect_status(423);
    let told = fenced.body["run"]["databases"][0]["problem"]["detail"].to_string();
    assert!(
        told.contains("took lpa-bloom-sql-dev over"),
        "{point}: {told}"
    );
    let applied_before: Vec<String> = PENDING
        .iter()
        .take(PENDING.len() - left_for_the_taker)
        .map(|version| format!("V{version}"))
        .collect();
    assert_eq!(scene.ledger(HOME).await, applied_before, "{point}");

    let taken = run_when_free(&taker, HOME).await.expect_status(200);
    let left = outcomes(&taken.body, 0).len();
    assert_eq!(left, left_for_the_taker, "{point}: {}", taken.text());
    let run_id = fenced.body["run"]["runId"].as_str().expect("an id");
    // Its own word: it was the first to know.
    let on_record = ended_run(&taker, run_id).await;
    assert_eq!(on_record["status"], "locked", "{point}: {on_record}");
    scene.expect_all_applied_once(&taker, &[HOME]).await;
}

async fn a_fenced_run_applies_nothing_and_says_so(stage: &Stage) {
    tokio::join!(
        fenced_at(stage, "planned", 3),
        fenced_at(stage, "committed:1", 2),
        fenced_at(stage, "script-done:2", 2),
        fenced_at(stage, "script-done:3", 1),
        fenced_at(stage, "before-snapshot", 0),
    );
}

async fn a_run_that_has_passed_its_fence_is_not_overtaken(stage: &Stage) {
    let (scene, taker) = scene_with_an_impatient_host(stage).await;
    let frozen = Frozen::at("recorded:2", &scene, &taker).await;
    // Its commit may be under way, so that nobody can raise the token.
    expect_locked(run(&taker, HOME).await);
    let answer = frozen.goes_on(&scene).await.expect_status(200);
    assert_eq!(answer.body["status"], "succeeded", "{}", answer.text());
    assert_eq!(count_of(&taker, HOME, "interrupted").await, 0);
    tick(&taker).await;
    scene.expect_all_applied_once(&taker, &[HOME]).await;
}

async fn a_run_that_stands_still_is_adopted_only_when_its_session_has_ended(stage: &Stage) {
    let stands_still_at = async |point: &str| {
        let (scene, adopter) = scene_with_an_impatient_host(stage).await;
        let frozen = Frozen::at(point, &scene, &adopter).await;
        let run_id = newest_run_id(&adopter, HOME).await;
        tick(&adopter).await;
        let run = newest_run(&adopter, HOME).await;
        assert_eq!(run["status"], "running", "{point}: {run}");

        frozen.goes_on(&scene).await.expect_status(423);
        let run = adopted(&adopter, &run_id).await;
        assert_eq!(run["status"], "succeeded", "{point}: {run}");
        assert_eq!(
            told(&run, 0),
            ["V2 applied", "V3 interrupted", "V3 applied", "V4 applied"],
            "{point}"
        );
        scene.expect_all_applied_once(&adopter, &[HOME]).await;
    };
    tokio::join!(
        stands_still_at("committed:1"),
        stands_still_at("script-done:2")
    );
}

async fn an_open_script_transaction_holds_up_no_reader_and_no_registering(stage: &Stage) {
    let scene = stage.scene().await;
    let keeper = scene.start_with_pending(&[HOME]).await;
    let worker = scene.host_stopping_at("script-done:2").start().await;
    begin_run(&worker, HOME).await;
    scene.stopped().await;

    let run_id = newest_run_id(&keeper, HOME).await;
    for host in [&keeper, &worker] {
        for path in reads_of(HOME, &run_id) {
            host.get(&path).await.expect_status(200);
        }
        expect_no_drift_claimed(host, HOME).await;
    }
    register_entry(&keeper, HOME, 5).await;
    expect_locked(run(&keeper, HOME).await);
    let body = rollback_of(HOME, "V2__step", false);
    expect_locked(keeper.post("/api/dbvc/migrations/rollback", body).await);
    let body = json!({"databaseId": HOME, "environment": "dev", "type": "manual", "executor": "a@lpa.com"});
    expect_locked(keeper.post("/api/dbvc/snapshots", body).await);

    scene.go_on();
    assert_eq!(ended_run(&worker, &run_id).await["status"], "succeeded");
    assert_eq!(scene.ledger(HOME).await, ["V2", "V3", "V4"]);
    run(&keeper, HOME).await.expect_status(200);
    assert_eq!(scene.ledger(HOME).await, ["V2", "V3", "V4", "V5"]);
    scene.expect_sound(&keeper, HOME).await;
}
