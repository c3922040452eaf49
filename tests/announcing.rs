//! Drift and failures announced to a webhook: once, whoever looks and whatever breaks, and nobody waits for it.

mod support;

use std::process::Command;

use serde_json::{Value, json};

use support::host::{Host, HostBuilder, TimerShape};
use support::scene::{HOME, Scene, until};
use support::shape::expect_like;
use support::team::{Team, text};
use support::webhook::{Reply, SECRET, Webhook};

const SETTING: &str = "DBVC_ALERT_WEBHOOK";

/// A process of the scene that announces.
fn announcing(scene: &Scene, webhook: &Webhook) -> HostBuilder {
    scene.host().setting(SETTING, webhook.address())
}

async fn team(scene: &Scene, webhook: &Webhook) -> Team {
    scene.team_with(announcing(scene, webhook)).await
}

/// A tick of the runs timer; what it tells the host's log of announcing.
async fn tick(host: &Host) -> Vec<String> {
    let ticked = host
        .invoke_timer("dbvc-runs-timer", TimerShape::Regular)
        .await;
    let mut lines = ticked.expect_success().logs;
    lines.retain(|line| line.contains("announc") || line.contains("webhook"));
    lines
}

async fn look_for_drift(host: &Host) {
    let ticked = host
        .invoke_timer("dbvc-drift-timer", TimerShape::Regular)
        .await;
    ticked.expect_success();
}

async fn health(host: &Host) -> Value {
    host.get("/api/dbvc/health").await.expect_status(200).body
}

/// Waits until the check has this degree.
async fn until_alerts_are(host: &Host, status: &str) {
    until(status, async || {
        (health(host).await["checks"]["alerts"]["status"] == status).then_some(())
    })
    .await;
}

/// The only finding of a message.
#[track_caller]
fn only(message: &Value) -> &Value {
    let findings = message["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 1, "{message:#}");
    &findings[0]
}

#[track_caller]
fn expect_discreet(host: &Host) {
    for line in host.lines() {
        assert!(!line.text.contains(SECRET), "{}", line.text);
    }
}

#[tokio::test]
async fn a_failed_run_is_announced_once_by_whichever_instance() {
    let (scene, webhook) = (Scene::embedded(), Webhook::start().await);
    let team = team(&scene, &webhook).await;
    let other = announcing(&scene, &webhook).start().await;
    team.register("V1__t", "CREATE TABLE t (email TEXT PRIMARY KEY);")
        .await;
    team.run().await;
    let id = team
        .register(
            "V2__twice",
            "INSERT INTO t VALUES ('ada@lpa.com'), ('ada@lpa.com');",
        )
        .await;
    let run = team.try_run(json!({})).await.expect_status(422);
    let messages = webhook.wait_for(1).await;
    let event = &team.events_of_type("failed").await[0];
    expect_like(
        only(&messages[0]),
        &json!({
            "kind": "failed", "environment": "dev", "databaseId": HOME, "migrationId": id,
            "runId": run.body["run"]["runId"], "executionId": event["executionId"], "eventId": event["id"],
            "sequence": event["sequence"], "at": event["at"], "isRollback": false, "errorNumber": "<number>",
            "errorLine": 1,
        }),
    );
    let words = text(&messages[0]["text"]);
    assert!(
        words.starts_with("dbvc dev: V2__twice failed on lpa-bloom-sql-dev\n"),
        "{words}"
    );
    for _ in 0..3 {
        assert_eq!(tick(&team.host).await, [""; 0]);
        assert_eq!(tick(&other).await, [""; 0]);
    }
    assert_eq!(webhook.received().len(), 1);
    let all = webhook.received()[0].to_string();
    assert!(!all.contains("UNIQUE"), "the server's own words: {all}");
    assert!(!all.contains("ada@lpa.com"), "the script's: {all}");
    expect_discreet(&team.host);
}

#[tokio::test]
async fn drift_is_announced_once_and_again_when_it_comes_back() {
    let (scene, webhook) = (Scene::embedded(), Webhook::start().await);
    let team = team(&scene, &webhook).await;
    let other = announcing(&scene, &webhook).start().await;
    team.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    team.run().await;
    look_for_drift(&team.host).await;
    assert_eq!(health(&team.host).await["status"], "healthy");
    for count in 1..=2 {
        scene.write(HOME, "CREATE TABLE by_hand (id INTEGER)").await;
        for _ in 0..3 {
            look_for_drift(&team.host).await;
            look_for_drift(&other).await;
            tick(&other).await;
            tick(&team.host).await;
        }
        let messages = webhook.received();
        assert_eq!(messages.len(), count);
        expect_like(
            only(&messages[count - 1]),
            &json!({ "kind": "drift", "databaseId": HOME, "added": 1, "removed": 0, "changed": 0,
                "names": ["table by_hand"], "runId": null, "migrationId": null }),
        );
        let health = health(&team.host).await;
        expect_like(
            &health,
            &json!({ "status": "degraded", "checks": { "registry": { "status": "healthy" },
                "drift": { "status": "degraded", "databases": 1 },
                "alerts": { "status": "healthy", "databases": 0 } } }),
        );
        assert_eq!(team.status().await["drift"]["detected"], true);
        scene.write(HOME, "DROP TABLE by_hand").await;
        look_for_drift(&team.host).await;
        assert_eq!(team.status().await["drift"]["detected"], false);
    }
    let drift = &health(&team.host).await["checks"]["drift"];
    assert_eq!(*drift, json!({ "status": "healthy", "databases": 0 }));
}

#[tokio::test]
async fn drift_that_a_run_finds_is_announced_with_the_run() {
    let (scene, webhook) = (Scene::embedded(), Webhook::start().await);
    let team = team(&scene, &webhook).await;
    team.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    team.run().await;
    scene.write(HOME, "CREATE TABLE by_hand (id INTEGER)").await;
    team.register("V2__u", "CREATE TABLE u (id INTEGER);").await;
    let run = team.try_run(json!({})).await.expect_status(200);
    let finding = only(&webhook.wait_for(1).await[0]).clone();
    assert_eq!(finding["kind"], "drift");
    assert_eq!(finding["runId"], run.body["runId"]);
}

#[tokio::test]
async fn a_webhook_that_never_answers_holds_nobody_up() {
    let scene = Scene::embedded();
    let webhook = Webhook::replying(&[Reply::Silence]).await;
    let team = team(&scene, &webhook).await;
    let other = announcing(&scene, &webhook).start().await;
    team.register("V1__bad", "oops;").await;
    team.run_badly().await;
    let while_it_is_silent = webhook.received().len();
    assert!(
        while_it_is_silent <= 1,
        "the run waited until its webhook was asked again"
    );
    webhook.wait_for(1).await;
    // Meanwhile everything goes on, and what is being sent is sent by nobody else.
    assert_eq!(tick(&other).await, [""; 0]);
    team.run_badly().await;
    assert_eq!(team.status().await["lock"], Value::Null);
    // The request is given up and made again; what was found meanwhile follows.
    let messages = webhook.wait_for(3).await;
    let ids: Vec<&Value> = messages.iter().map(|told| &only(told)["eventId"]).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
    for host in [&team.host, &other] {
        assert_eq!(tick(host).await, [""; 0]);
    }
    assert_eq!(webhook.received().len(), 3);
}

#[tokio::test]
async fn what_the_webhook_did_not_take_is_sent_again_at_once_and_by_the_next_tick() {
    let scene = Scene::embedded();
    let webhook = Webhook::replying(&[Reply::Status(500), Reply::Status(503)]).await;
    let team = team(&scene, &webhook).await;
    team.register("V1__bad", "oops;").await;
    team.run_badly().await;
    let messages = webhook.wait_for(3).await;
    assert_eq!(messages[0], messages[1]);
    assert_eq!(messages[1], messages[2]);
    until_alerts_are(&team.host, "healthy").await;

    webhook.reply_next(&[Reply::Status(500); 3]);
    team.run_badly().await;
    webhook.wait_for(6).await;
    until_alerts_are(&team.host, "degraded").await;
    assert_eq!(health(&team.host).await["status"], "degraded");
    assert_eq!(tick(&team.host).await, ["announced findings: 1"]);
    assert_eq!(webhook.received().len(), 7);
    assert_eq!(health(&team.host).await["status"], "healthy");
    expect_discreet(&team.host);
}

#[tokio::test]
async fn what_the_webhook_refuses_is_given_up_and_shows_in_health() {
    for refusal in [Reply::Status(404), Reply::Elsewhere] {
        let scene = Scene::embedded();
        let webhook = Webhook::replying(&[refusal]).await;
        let team = team(&scene, &webhook).await;
        team.register("V1__bad", "oops;").await;
        team.run_badly().await;
        webhook.wait_for(1).await;
        until_alerts_are(&team.host, "degraded").await;
        assert_eq!(tick(&team.host).await, [""; 0]);
        assert_eq!(webhook.received().len(), 1, "{refusal:?}");
        team.run_badly().await;
        webhook.wait_for(2).await;
        until_alerts_are(&team.host, "healthy").await;
        team.host.wait_for_line("the webhook refused it").await;
        expect_discreet(&team.host);
    }
}

#[tokio::test]
async fn a_busy_webhook_is_left_alone_and_many_findings_are_one_message() {
    let scene = Scene::embedded();
    let webhook = Webhook::replying(&[Reply::Busy(3600)]).await;
    let team = team(&scene, &webhook).await;
    team.register("V1__bad", "oops;").await;
    for _ in 0..5 {
        team.run_badly().await;
    }
    webhook.wait_for(1).await;
    until_alerts_are(&team.host, "degraded").await;
    tick(&team.host).await;
    assert_eq!(webhook.received().len(), 1);
    // Another process was not told to wait.
    let other = announcing(&scene, &webhook).start().await;
    tick(&other).await;
    let messages = webhook.received();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1]["findings"].as_array().map(Vec::len), Some(5));
    let words = text(&messages[1]["text"]);
    assert!(
        words.starts_with("dbvc dev: 5 findings on 1 database\n- V1__bad failed on "),
        "{words}"
    );
}

#[tokio::test]
async fn a_new_webhook_is_not_told_the_past() {
    let (scene, webhook) = (Scene::embedded(), Webhook::start().await);
    let silent = scene.team().await;
    silent.register("V1__bad", "oops;").await;
    silent.run_badly().await;
    assert_eq!(
        health(&silent.host).await["checks"].get("alerts"),
        None,
        "there is no webhook to be well"
    );
    let team = team(&scene, &webhook).await;
    tick(&team.host).await;
    assert_eq!(webhook.received(), [] as [Value; 0]);
    team.run_badly().await;
    let messages = webhook.wait_for(1).await;
    let failed = team.events_of_type("failed").await;
    assert_eq!(failed.len(), 2);
    assert_eq!(only(&messages[0])["eventId"], failed[1]["id"]);
}

#[tokio::test]
async fn what_is_over_a_day_old_is_counted_and_no_more() {
    let scene = Scene::embedded();
    let webhook = Webhook::replying(&[Reply::Busy(3600)]).await;
    let team = team(&scene, &webhook).await;
    team.register("V1__bad", "oops;").await;
    team.run_badly().await;
    until_alerts_are(&team.host, "degraded").await;
    scene
        .write(
            HOME,
            "UPDATE audit_events SET at = '2025-11-27T14:30:00.000Z' WHERE type = 'failed'",
        )
        .await;
    team.run_badly().await;
    let other = announcing(&scene, &webhook).start().await;
    tick(&other).await;
    let messages = webhook.received();
    assert_eq!(messages.len(), 2);
    only(&messages[1]);
    assert_eq!(messages[1]["leftOut"], 1);
}

#[tokio::test]
async fn killed_before_it_announces_a_process_leaves_that_to_the_next() {
    let (scene, webhook) = (Scene::embedded(), Webhook::start().await);
    let host = scene
        .host_stopping_at("plan-closed")
        .setting(SETTING, webhook.address());
    let team = scene.team_with(host).await;
    team.register("V1__bad", "oops;").await;
    support::scene::begin_run(&team.host, HOME).await;
    scene.stopped().await;
    team.host.kill().await;
    assert_eq!(webhook.received(), [] as [Value; 0]);
    let next = announcing(&scene, &webhook).start().await;
    for _ in 0..2 {
        tick(&next).await;
        assert_eq!(webhook.received().len(), 1);
    }
}

#[tokio::test]
async fn killed_between_sending_and_noting_it_a_process_is_followed_by_a_second_message() {
    let (scene, webhook) = (Scene::embedded(), Webhook::start().await);
    let host = scene
        .host_stopping_at("announced")
        .setting(SETTING, webhook.address());
    let team = scene.team_with(host).await;
    team.register("V1__bad", "oops;").await;
    team.run_badly().await;
    scene.stopped().await;
    team.host.kill().await;
    let next = announcing(&scene, &webhook).start().await;
    tick(&next).await;
    assert_eq!(
        webhook.received().len(),
        1,
        "the claim of the dead process holds"
    );
    scene
        .write(
            HOME,
            "UPDATE trail_announcements SET expires_at = '2025-11-27T14:30:00.000Z'",
        )
        .await;
    for _ in 0..2 {
        tick(&next).await;
        let messages = webhook.received();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0], messages[1], "known by its event's id");
    }
}

#[tokio::test]
async fn a_script_that_was_cut_off_is_announced_by_whoever_writes_it_up() {
    let (scene, webhook) = (Scene::embedded(), Webhook::start().await);
    let host = scene
        .host_stopping_at("batch-ended")
        .setting(SETTING, webhook.address());
    let team = scene.team_with(host).await;
    let id = team.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    support::scene::begin_run(&team.host, HOME).await;
    scene.stopped().await;
    team.host.kill().await;
    scene.lease_expired(HOME).await;
    let next = announcing(&scene, &webhook).start().await;
    tick(&next).await;
    let messages = webhook.wait_for(1).await;
    expect_like(
        only(&messages[0]),
        &json!({ "kind": "interrupted", "migrationId": id, "databaseId": HOME }),
    );
}

#[tokio::test]
async fn the_command_line_announces_before_it_ends() {
    let (scene, webhook) = (Scene::embedded(), Webhook::start().await);
    let scripts = tempfile::tempdir().expect("a folder");
    std::fs::write(scripts.path().join("V1__bad.sqlite.sql"), "oops;").expect("a script");
    let (folder, data) = (scripts.path().to_owned(), scene.data_dir().to_owned());
    let address = webhook.address();
    let ended = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_dbvc"))
            .arg("migrate")
            .env_clear()
            .env("DBVC_MIGRATIONS_DIR", folder)
            .env("DBVC_DATA_DIR", data)
            .env(SETTING, address)
            .output()
            .expect("the command runs")
    })
    .await
    .expect("the command ends");
    assert!(!ended.status.success());
    let messages = webhook.received();
    assert_eq!(messages.len(), 1, "{ended:?}");
    assert_eq!(only(&messages[0])["kind"], "failed");
    assert!(!format!("{ended:?}").contains(SECRET));
}
