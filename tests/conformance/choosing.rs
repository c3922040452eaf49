//! Which migrations a run applies, and in which order.

use serde_json::{Value, json};

use crate::harness::Test;
use crate::support::scene::{HOME, Scene};
use crate::support::stage::Stage;
use crate::support::team::{ME, Team, detail, each, expect_problem, outcomes};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        scripts_run_in_the_order_of_their_versions_as_numbers,
        a_target_ends_the_run_and_belongs_to_it,
        a_latecomer_is_refused_unless_the_caller_says_what_to_do,
        a_latecomer_above_the_target_troubles_nobody,
        dbvcs_own_version_makes_no_latecomers,
        a_baseline_marks_as_applied_without_running,
        a_baseline_never_skips_dbvcs_own,
        a_preview_shows_what_each_choice_would_do,
    ]
}

/// A team, and the ledger in its database.
async fn team_with_a_ledger(stage: &Stage) -> (Scene, Team) {
    let (scene, team) = stage.team().await;
    scene.write(HOME, scene.ledger_table()).await;
    (scene, team.allowing_not_empty())
}

/// A script that writes its version into the ledger.
async fn entry(team: &Team, version: &str) {
    let up = format!("INSERT INTO ledger VALUES ('{version}');");
    let down = format!("DELETE FROM ledger WHERE entry = '{version}';");
    team.register_with_down(&format!("V{version}__x"), &up, &down)
        .await;
}

async fn scripts_run_in_the_order_of_their_versions_as_numbers(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    for version in ["10", "9", "1.10", "1.9", "20251127143000", "1"] {
        entry(&team, version).await;
    }
    let run = team.run().await;
    assert_eq!(
        scene.ledger(HOME).await,
        ["1", "1.9", "1.10", "9", "10", "20251127143000"]
    );
    assert_eq!(each(&run["migrations"], "status"), ["applied"; 6]);
    assert_eq!(run["toVersion"], "20251127143000");
    team.host.expect_silent_stderr();
}

async fn a_target_ends_the_run_and_belongs_to_it(stage: &Stage) {
    let (_scene, team) = team_with_a_ledger(stage).await;
    for version in ["1", "2", "2.1", "3"] {
        entry(&team, version).await;
    }
    let run = team.run_with(json!({ "target": "2.0" })).await;
    assert_eq!(outcomes(&run), ["V1__x applied", "V2__x applied"]);
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&Value::Null, &json!("2"))
    );
    let again = team.run_with(json!({ "target": "2" })).await;
    assert_eq!(again["status"], "nothing-to-do");
    let rest = team.run().await;
    assert_eq!(outcomes(&rest), ["V2.1__x applied", "V3__x applied"]);
    assert_eq!(
        (&rest["fromVersion"], &rest["toVersion"]),
        (&json!("2"), &json!("3"))
    );
}

async fn a_latecomer_is_refused_unless_the_caller_says_what_to_do(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    entry(&team, "5").await;
    team.run().await;
    entry(&team, "3").await;
    entry(&team, "6").await;
    for word in [json!({}), json!({ "outOfOrder": "error" })] {
        let problem = expect_problem(&team.try_run(word).await, 409, "out-of-order");
        assert!(detail(&problem).contains("V3__x"), "{problem:#}");
    }
    assert_eq!(scene.ledger(HOME).await, ["5"]);
    let refused = team.events_of_type("refused").await;
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0]["data"]["code"], "out-of-order");

    let run = team.run_with(json!({ "outOfOrder": "skip" })).await;
    assert_eq!(outcomes(&run), ["V6__x applied", "V3__x skipped"]);
    assert_eq!(
        team.states().await,
        ["V3__x pending", "V5__x applied", "V6__x applied"]
    );
    let run = team.run_with(json!({ "outOfOrder": "skip" })).await;
    assert_eq!(run["status"], "nothing-to-do");

    let run = team.run_with(json!({ "outOfOrder": "allow" })).await;
    assert_eq!(outcomes(&run), ["V3__x applied"]);
    assert_eq!(scene.ledger(HOME).await, ["5", "6", "3"]);
    assert_eq!(
        run["toVersion"], "6",
        "the newest version, not the last one applied"
    );
}

async fn a_latecomer_above_the_target_troubles_nobody(stage: &Stage) {
    let (_scene, team) = team_with_a_ledger(stage).await;
    entry(&team, "5").await;
    team.run().await;
    entry(&team, "3").await;
    let run = team.run_with(json!({ "target": "2" })).await;
    assert_eq!(run["status"], "nothing-to-do");
}

async fn dbvcs_own_version_makes_no_latecomers(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    entry(&team, "99").await;
    team.run().await;
    entry(&team, "99.5").await;
    team.run().await;
    assert_eq!(scene.ledger(HOME).await, ["99", "99.5"]);
}

async fn a_baseline_marks_as_applied_without_running(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    for version in ["1", "2", "3"] {
        entry(&team, version).await;
    }
    let run = team.run_with(json!({ "baseline": "2" })).await;
    assert_eq!(
        outcomes(&run),
        ["V1__x applied", "V2__x applied", "V3__x applied"]
    );
    assert_eq!(scene.ledger(HOME).await, ["3"]);
    let baselined = team.events_of_type("baselined").await;
    let ids: Vec<&Value> = baselined
        .iter()
        .map(|event| &event["migrationId"])
        .collect();
    assert_eq!(ids, ["V1__x", "V2__x"]);
    for event in &baselined {
        assert_eq!(event["executor"], ME);
        assert!(event["runId"].is_string() && event["executionId"].is_string());
    }
    for (place, batches) in [(0, 0), (1, 0), (2, 1)] {
        let migration = &run["migrations"][place];
        assert_eq!(
            migration["batches"].as_array().unwrap().len(),
            batches,
            "{migration:#}"
        );
        assert!(migration["executionId"].is_string(), "{migration:#}");
    }
    let migration = team.migration("V1__x").await;
    assert_eq!(each(&migration["executions"], "direction"), ["baseline"]);
    assert_eq!(team.run().await["status"], "nothing-to-do");
    // What was never run is rolled back like everything else that counts as applied.
    let cascade = json!({ "cascade": true });
    team.roll_back("V1__x", cascade).await.expect_status(200);
    assert_eq!(
        team.states().await,
        [
            "V1__x rolled-back",
            "V2__x rolled-back",
            "V3__x rolled-back"
        ]
    );
}

async fn a_baseline_never_skips_dbvcs_own(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    entry(&team, "101").await;
    let run = team.run_with(json!({ "baseline": "200" })).await;
    assert_eq!(outcomes(&run), ["V101__x applied"]);
    assert!(scene.has("migration_registry").await);
    assert!(scene.ledger(HOME).await.is_empty());
    assert_eq!(run["toVersion"], "101");
}

async fn a_preview_shows_what_each_choice_would_do(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    entry(&team, "5").await;
    team.run().await;
    entry(&team, "3").await;
    entry(&team, "6").await;
    let preview = async |more: Value| {
        let mut body = more;
        body["dryRun"] = json!(true);
        team.try_run(body).await
    };
    expect_problem(&preview(json!({})).await, 409, "out-of-order");
    for (more, expected) in [
        (
            json!({ "outOfOrder": "allow" }),
            vec!["V3__x planned", "V6__x planned"],
        ),
        (
            json!({ "outOfOrder": "skip" }),
            vec!["V6__x planned", "V3__x skipped"],
        ),
        (
            json!({ "outOfOrder": "skip", "target": "5" }),
            vec!["V3__x skipped"],
        ),
        (
            json!({ "baseline": "3" }),
            vec!["V3__x planned", "V6__x planned"],
        ),
    ] {
        let answer = preview(more.clone()).await.expect_status(200);
        assert_eq!(outcomes(&answer.body["databases"][0]), expected, "{more}");
    }
    assert_eq!(scene.ledger(HOME).await, ["5"]);
    assert!(
        team.events_of_type("refused").await.is_empty(),
        "a preview leaves no event"
    );
}
