//! Several processes on the same databases at once: one writer a database, and a fenced one harms nothing.

use crate::harness::Test;
use crate::support::host::Host;
use crate::support::scene::*;
use crate::support::stage::{Engine, Stage};
use futures_util::future::join_all;
use serde_json::json;

pub fn tests() -> Vec<Test> {
    on_each_engine![
        two_processes_that_run_at_once_apply_each_migration_once,
        two_processes_that_meet_an_empty_database_make_one_registry,
        creations_at_once_each_get_a_version_of_their_own,
        of_two_creations_of_one_migration_one_registers_it_and_the_other_finds_it,
        events_of_others_during_a_run_share_its_chain,
    ]
}

async fn two_processes_that_run_at_once_apply_each_migration_once(stage: &Stage) {
    const EACH: usize = 3;
    let rounds = match stage.engine() {
        Engine::Sqlite => 20,
        // Each round has sessions of its own.
        Engine::Babelfish | Engine::SqlServer => 5,
    };
    let scene = stage.scene().await;
    let patient = || {
        scene
            .host()
            .setting("DBVC_LOCK_LEASE_SECONDS", "30")
            .start()
    };
    let (one, other) = tokio::join!(patient(), patient());
    scene.make_ledger(&one, HOME).await;
    for round in 0..rounds {
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
    let expected: Vec<String> = (2..2 + rounds * EACH)
        .map(|version| format!("V{version}"))
        .collect();
    assert_eq!(scene.ledger(HOME).await, expected);
    assert_eq!(count_of(&one, HOME, "lock-taken-over").await, 0);
    scene.expect_sound(&other, HOME).await;
}

async fn two_processes_that_meet_an_empty_database_make_one_registry(stage: &Stage) {
    let first_contact = async || {
        let scene = stage.scene().await;
        let (one, other) = tokio::join!(scene.host().start(), scene.host().start());
        let create = async |host: &Host, version: usize| {
            register(host, HOME, version, "CREATE TABLE x (id INTEGER);", None).await;
        };
        tokio::join!(create(&one, 2), create(&other, 3));
        let own = "SELECT COUNT(*) FROM audit_events WHERE type = 'registered' AND migration_id LIKE 'V100%'";
        assert_eq!(scene.read(HOME, own).await, ["1"]);
        assert_eq!(
            scene
                .read(HOME, "SELECT COUNT(*) FROM migration_locks")
                .await,
            ["1"]
        );
        assert_eq!(states(&one, HOME).await, ["pending", "pending"]);
        expect_whole_chain(&trail(&other, HOME).await);
    };
    let times = match stage.engine() {
        Engine::Sqlite => 9,
        Engine::Babelfish | Engine::SqlServer => 3,
    };
    join_all((0..times).map(|_| first_contact())).await;
}

async fn creations_at_once_each_get_a_version_of_their_own(stage: &Stage) {
    let creations = match stage.engine() {
        Engine::Sqlite => 20,
        // Each has a session of its own.
        Engine::Babelfish | Engine::SqlServer => 8,
    };
    let scene = stage.scene().await;
    let (one, other) = tokio::join!(scene.host().start(), scene.host().start());
    let create = async |host: &Host, n: usize| {
        let body = json!({"name": format!("step_{n}"), "databaseId": HOME, "author": "author@lpa.com",
            "upScript": "SELECT 1;"});
        // On a slow machine the last of them wait too long for the others, and are told so.
        until("the creation", async || {
            let answer = host.post("/api/dbvc/migrations", body.clone()).await;
            (answer.status != 423).then_some(answer)
        })
        .await
    };
    let answers =
        join_all((0..creations).map(|n| create(if n % 2 == 0 { &one } else { &other }, n))).await;
    let mut versions: Vec<String> = answers
        .into_iter()
        .map(|answer| answer.expect_status(201).body["version"].to_string())
        .collect();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), creations);
    expect_whole_chain(&trail(&one, HOME).await);
}

async fn of_two_creations_of_one_migration_one_registers_it_and_the_other_finds_it(stage: &Stage) {
    let scene = stage.scene().await;
    let (one, other) = tokio::join!(scene.host().start(), scene.host().start());
    let rounds = match stage.engine() {
        Engine::Sqlite => 2..12,
        Engine::Babelfish | Engine::SqlServer => 2..5,
    };
    for round in rounds {
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

async fn events_of_others_during_a_run_share_its_chain(stage: &Stage) {
    let scene = stage.scene().await;
    let keeper = scene.host().start().await;
    scene.make_ledger(&keeper, HOME).await;
    for version in 2..4 {
        register_entry(&keeper, HOME, version).await;
    }
    let worker = scene.host_stopping_at("committed:1").start().await;
    begin_run(&worker, HOME).await;
    scene.stopped().await;
    // The run believes that its own event is the newest.
    register_entry(&keeper, HOME, 4).await;
    scene.go_on();
    let run_id = newest_run_id(&keeper, HOME).await;
    assert_eq!(ended_run(&keeper, &run_id).await["status"], "succeeded");
    assert_eq!(scene.ledger(HOME).await, ["V2", "V3"]);
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
