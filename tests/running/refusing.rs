//! Requests to run that are refused before any database is touched.

use serde_json::json;

use crate::support::dbvc::{Dbvc, HOME, detail, each, expect_problem};

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
