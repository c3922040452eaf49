//! Which migrations a run applies, and in which order.

use serde_json::{Value, json};

use crate::support::dbvc::{Dbvc, HOME, ME, detail, each, expect_problem, outcomes};

/// Appends its version to a table that tells the order in which scripts ran.
async fn log(dbvc: &Dbvc, version: &str) {
    let up = format!(
        "CREATE TABLE IF NOT EXISTS log (version TEXT); INSERT INTO log VALUES ('{version}');"
    );
    let down = format!("DELETE FROM log WHERE version = '{version}';");
    dbvc.register_with_down(&format!("V{version}__x"), &up, &down)
        .await;
}

fn logged(dbvc: &Dbvc) -> String {
    dbvc.ask_by_hand("SELECT group_concat(version, ' ' ORDER BY rowid) FROM log")
}

#[tokio::test]
async fn scripts_run_in_the_order_of_their_versions_as_numbers() {
    let dbvc = Dbvc::start().await;
    for version in ["10", "9", "1.10", "1.9", "20251127143000", "1"] {
        log(&dbvc, version).await;
    }
    let run = dbvc.run().await;
    assert_eq!(logged(&dbvc), "1 1.9 1.10 9 10 20251127143000");
    assert_eq!(each(&run["migrations"], "status"), ["applied"; 6]);
    assert_eq!(run["toVersion"], "20251127143000");
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_target_ends_the_run_and_belongs_to_it() {
    let dbvc = Dbvc::start().await;
    for version in ["1", "2", "2.1", "3"] {
        log(&dbvc, version).await;
    }
    let run = dbvc.run_with(json!({ "target": "2.0" })).await;
    assert_eq!(outcomes(&run), ["V1__x applied", "V2__x applied"]);
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&Value::Null, &json!("2"))
    );
    let again = dbvc.run_with(json!({ "target": "2" })).await;
    assert_eq!(again["status"], "nothing-to-do");
    let rest = dbvc.run().await;
    assert_eq!(outcomes(&rest), ["V2.1__x applied", "V3__x applied"]);
    assert_eq!(
        (&rest["fromVersion"], &rest["toVersion"]),
        (&json!("2"), &json!("3"))
    );
}

#[tokio::test]
async fn a_latecomer_is_refused_unless_the_caller_says_what_to_do() {
    let dbvc = Dbvc::start().await;
    log(&dbvc, "5").await;
    dbvc.run().await;
    log(&dbvc, "3").await;
    log(&dbvc, "6").await;
    for word in [json!({}), json!({ "outOfOrder": "error" })] {
        let problem = expect_problem(&dbvc.try_run(word).await, 409, "out-of-order");
        assert!(detail(&problem).contains("V3__x"), "{problem:#}");
    }
    assert_eq!(logged(&dbvc), "5");
    let refused = dbvc.events_of_type("refused").await;
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0]["data"]["code"], "out-of-order");

    let run = dbvc.run_with(json!({ "outOfOrder": "skip" })).await;
    assert_eq!(outcomes(&run), ["V6__x applied", "V3__x skipped"]);
    assert_eq!(
        dbvc.states().await,
        ["V3__x pending", "V5__x applied", "V6__x applied"]
    );
    let run = dbvc.run_with(json!({ "outOfOrder": "skip" })).await;
    assert_eq!(run["status"], "nothing-to-do");

    let run = dbvc.run_with(json!({ "outOfOrder": "allow" })).await;
    assert_eq!(outcomes(&run), ["V3__x applied"]);
    assert_eq!(logged(&dbvc), "5 6 3");
    assert_eq!(
        run["toVersion"], "6",
        "the newest version, not the last one applied"
    );
}

#[tokio::test]
async fn a_latecomer_above_the_target_troubles_nobody() {
    let dbvc = Dbvc::start().await;
    log(&dbvc, "5").await;
    dbvc.run().await;
    log(&dbvc, "3").await;
    let run = dbvc.run_with(json!({ "target": "2" })).await;
    assert_eq!(run["status"], "nothing-to-do");
}

#[tokio::test]
async fn dbvcs_own_version_makes_no_latecomers() {
    let dbvc = Dbvc::start().await;
    log(&dbvc, "99").await;
    dbvc.run().await;
    log(&dbvc, "99.5").await;
    dbvc.run().await;
    assert_eq!(logged(&dbvc), "99 99.5");
}

#[tokio::test]
async fn a_baseline_marks_as_applied_without_running() {
    let dbvc = Dbvc::start().await;
    for version in ["1", "2", "3"] {
        log(&dbvc, version).await;
    }
    let run = dbvc.run_with(json!({ "baseline": "2" })).await;
    assert_eq!(
        outcomes(&run),
        ["V1__x applied", "V2__x applied", "V3__x applied"]
    );
    assert_eq!(logged(&dbvc), "3");
    let baselined = dbvc.events_of_type("baselined").await;
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
    let migration = dbvc.migration("V1__x").await;
    assert_eq!(each(&migration["executions"], "direction"), ["baseline"]);
    assert_eq!(dbvc.run().await["status"], "nothing-to-do");
    // What was never run is rolled back like everything else that counts as applied.
    let cascade = json!({ "cascade": true });
    dbvc.roll_back("V1__x", cascade).await.expect_status(200);
    assert_eq!(
        dbvc.states().await,
        [
            "V1__x rolled-back",
            "V2__x rolled-back",
            "V3__x rolled-back"
        ]
    );
}

#[tokio::test]
async fn a_baseline_never_skips_dbvcs_own() {
    let dbvc = Dbvc::start().await;
    log(&dbvc, "101").await;
    let run = dbvc.run_with(json!({ "baseline": "200" })).await;
    assert_eq!(outcomes(&run), ["V101__x applied"]);
    assert!(dbvc.has("migration_registry"));
    assert!(!dbvc.has("log"));
    assert_eq!(run["toVersion"], "101");
}

#[tokio::test]
async fn a_baseline_above_the_target_is_refused() {
    let dbvc = Dbvc::start().await;
    let answer = dbvc
        .try_run(json!({ "baseline": "3", "target": "2" }))
        .await;
    let problem = expect_problem(&answer, 400, "invalid-request");
    assert_eq!(each(&problem["errors"], "field"), ["baseline"]);
}

#[tokio::test]
async fn a_preview_shows_what_each_choice_would_do() {
    let dbvc = Dbvc::start().await;
    log(&dbvc, "5").await;
    dbvc.run().await;
    log(&dbvc, "3").await;
    log(&dbvc, "6").await;
    let preview = async |more: Value| {
        let mut body = more;
        body["dryRun"] = json!(true);
        dbvc.try_run(body).await
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
    assert_eq!(logged(&dbvc), "5");
    assert!(
        dbvc.events_of_type("refused").await.is_empty(),
        "a preview leaves no event"
    );
}

#[tokio::test]
async fn an_unknown_database_and_another_environment_are_refused() {
    let dbvc = Dbvc::start().await;
    let answer = dbvc.try_run(json!({ "databaseId": "nowhere" })).await;
    expect_problem(&answer, 404, "unknown-database");
    for database in [HOME, "all"] {
        let wrong = json!({ "databaseId": database, "environment": "prod" });
        let problem = expect_problem(&dbvc.try_run(wrong).await, 400, "wrong-environment");
        assert!(detail(&problem).contains("dev"), "{problem:#}");
    }
    assert!(
        !dbvc.file_of(HOME).exists(),
        "a refused run makes no database"
    );
}
