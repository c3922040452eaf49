//! Several processes on the same databases at once: one writer a database, and a fenced one harms nothing.

mod support;

use futures_util::future::join_all;
use serde_json::json;
use support::host::{Answer, Host};
use support::scene::*;

#[tokio::test]
async fn two_processes_that_run_at_once_apply_each_migration_once() {
    const ROUNDS: usize = 20;
    const EACH: usize = 3;
    let scene = Scene::new();
    let patient = || {
        scene
            .host()
            .setting("DBVC_LOCK_LEASE_SECONDS", "30")
            .start()
    };
    let (one, other) = tokio::join!(patient(), patient());
    make_ledger(&one, HOME).await;
    for round in 0..ROUNDS {
        for version in 0..EACH {
            register_entry(&one, HOME, 2 + round * EACH + version).await;
        }
        let (a, b) = tokio::join!(run(&one, HOME), run(&other, HOME));
        let mut succeeded = 0;
        for answer in [a, b] {
            if answer.status == 423 {
                expect_locked(answer);
                continue;
            }
            let answer = answer.expect_status(200);
            if answer.body["status"] == "succeeded" {
                succeeded += 1;
            } else {
                assert_eq!(answer.body["status"], "nothing-to-do", "{}", answer.text());
            }
        }
        assert_eq!(succeeded, 1, "round {round}");
    }
    let expected: Vec<String> = (2..2 + ROUNDS * EACH)
        .map(|version| format!("V{version}"))
        .collect();
    assert_eq!(scene.ledger(HOME), expected);
    assert_eq!(count_of(&one, HOME, "lock-taken-over").await, 0);
    scene.expect_sound(&other, HOME).await;
}

#[tokio::test]
async fn two_processes_that_meet_an_empty_folder_make_one_registry() {
    let first_contact = async || {
        let scene = Scene::new();
        let (one, other) = tokio::join!(scene.host().start(), scene.host().start());
        let create = async |host: &Host, version: usize| {
            register(host, HOME, version, "CREATE TABLE x (id INTEGER);", None).await;
        };
        tokio::join!(create(&one, 2), create(&other, 3));
        let own = "SELECT COUNT(*) FROM audit_events WHERE type = 'registered' AND migration_id LIKE 'V100%'";
        assert_eq!(scene.read(HOME, own), ["1"]);
        assert_eq!(
            scene.read(HOME, "SELECT COUNT(*) FROM migration_locks"),
            ["1"]
        );
        assert_eq!(states(&one, HOME).await, ["pending", "pending"]);
        expect_whole_chain(&trail(&other, HOME).await);
    };
    for _ in 0..3 {
        join_all((0..3).map(|_| first_contact())).await;
    }
}

#[tokio::test]
async fn creations_at_once_each_get_a_version_of_their_own() {
    let scene = Scene::new();
    let (one, other) = tokio::join!(scene.host().start(), scene.host().start());
    let create = |host: &Host, n: usize| {
        let body = json!({"name": format!("step_{n}"), "databaseId": HOME, "author": "author@lpa.com",
            "upScript": "SELECT 1;"});
        let request = host.request("POST", "/api/dbvc/migrations").json(&body);
        async move { request.send().await }
    };
    let answers =
        join_all((0..20).map(|n| create(if n % 2 == 0 { &one } else { &other }, n))).await;
    let mut versions: Vec<String> = answers
        .into_iter()
        .map(|answer| answer.expect_status(201).body["version"].to_string())
        .collect();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 20);
    expect_whole_chain(&trail(&one, HOME).await);
}

#[tokio::test]
async fn of_two_creations_of_one_migration_one_registers_it_and_the_other_finds_it() {
    let scene = Scene::new();
    let (one, other) = tokio::join!(scene.host().start(), scene.host().start());
    for round in 2..12 {
        let body = |name: &str| {
            json!({"name": name, "version": round.to_string(), "databaseId": HOME,
                "author": "author@lpa.com", "upScript": "SELECT 1;"})
        };
        let same = async |host: &Host| host.post("/api/dbvc/migrations", body("same")).await.status;
        let (a, b) = tokio::join!(same(&one), same(&other));
        assert_eq!([a.min(b), a.max(b)], [200, 201], "round {round}");
        let body = |name: &str| {
            json!({"name": name, "version": format!("{round}.5"), "databaseId": HOME,
                "author": "author@lpa.com", "upScript": "SELECT 1;"})
        };
        let (a, b) = tokio::join!(
            one.post("/api/dbvc/migrations", body("mine")),
            other.post("/api/dbvc/migrations", body("yours"))
        );
        let (made, refused) = if a.status == 201 { (a, b) } else { (b, a) };
        made.expect_status(201);
        assert_eq!(refused.expect_status(409).body["code"], "duplicate-version");
    }
    expect_whole_chain(&trail(&one, HOME).await);
}

#[tokio::test]
async fn an_open_script_transaction_refuses_writers_and_answers_readers() {
    let scene = Scene::new();
    let keeper = scene.host().start().await;
    make_ledger(&keeper, HOME).await;
    register_entry(&keeper, HOME, 2).await;
    let worker = scene.host_stopping_at("script-done").start().await;
    begin_run(&worker, HOME).await;
    scene.stopped().await;

    let run_id = newest_run(&keeper, HOME).await["runId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let reads = [
        "/api/dbvc/databases".to_owned(),
        format!("/api/dbvc/databases/{HOME}"),
        format!("/api/dbvc/databases/{HOME}/migrations/V2__step"),
        format!("/api/dbvc/drift?databaseId={HOME}"),
        "/api/dbvc/health".to_owned(),
        format!("/api/dbvc/history?databaseId={HOME}"),
        "/api/dbvc/migrations/status?detailed=true".to_owned(),
        "/api/dbvc/runs".to_owned(),
        format!("/api/dbvc/runs/{run_id}"),
        format!("/api/dbvc/snapshots?databaseId={HOME}"),
    ];
    for host in [&keeper, &worker] {
        for path in &reads {
            host.get(path).await.expect_status(200);
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
    let scene = Scene::new();
    let taker = scene.host().start().await;
    make_ledger(&taker, HOME).await;
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
    signal("-STOP", &process);

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
    assert_eq!(scene.ledger(HOME), ["V2", "V3", "V4"], "{point}");
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
async fn events_of_others_during_a_run_share_its_chain() {
    let scene = Scene::new();
    let keeper = scene.host().start().await;
    make_ledger(&keeper, HOME).await;
    for version in 2..4 {
        register_entry(&keeper, HOME, version).await;
    }
    let worker = scene.host_stopping_at("committed:1").start().await;
    begin_run(&worker, HOME).await;
    scene.stopped().await;
    // The run believes that its own event is the newest.
    register_entry(&keeper, HOME, 4).await;
    scene.go_on();
    let run_id = newest_run(&keeper, HOME).await["runId"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(ended_run(&keeper, &run_id).await["status"], "succeeded");
    assert_eq!(scene.ledger(HOME), ["V2", "V3"]);
    assert_eq!(
        states(&keeper, HOME).await,
        ["applied", "applied", "pending"]
    );
    assert_eq!(
        story_of(&keeper, HOME, "V3__step").await,
        ["registered", "started", "completed"]
    );
    scene.expect_sound(&keeper, HOME).await;
}
