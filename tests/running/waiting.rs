//! A run for whose end the caller does not wait.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::dbvc::{Dbvc, HOME, ME, expect_problem, outcomes, text};
use crate::support::host::Answer;

async fn run_without_waiting(dbvc: &Dbvc, database: &str) -> Answer {
    let body = json!({ "databaseId": database, "environment": "dev", "executor": ME });
    dbvc.host
        .request("POST", "/api/dbvc/migrations/run")
        .header("prefer", "respond-async")
        .json(&body)
        .send()
        .await
}

/// Asks until the run has ended.
async fn poll(dbvc: &Dbvc, location: &str) -> Value {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let run = dbvc.host.get(location).await.expect_status(200).body;
        if !["queued", "running"].contains(&run["status"].as_str().unwrap()) {
            return run;
        }
        assert!(Instant::now() < patience, "{run:#}");
    }
}

/// Long enough that no answer can come after its end.
const LONG: &str = "CREATE TABLE t AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000)\n\
                    SELECT max(i) AS i FROM n;";

#[tokio::test]
async fn it_is_answered_at_once_and_can_be_polled() {
    let dbvc = Dbvc::start().await;
    for (version, database) in [(1, HOME), (2, "all")] {
        let script = LONG.replace("TABLE t", &format!("TABLE t{version}"));
        dbvc.register(&format!("V{version}__long"), &script).await;
        let answer = run_without_waiting(&dbvc, database)
            .await
            .expect_status(202);
        let location = answer.header("location").expect("the place of the run");
        assert_eq!(
            location,
            format!("/api/dbvc/runs/{}", text(&answer.body["runId"]))
        );
        let status = text(&answer.body["status"]);
        assert!(
            ["queued", "running"].contains(&status.as_str()),
            "{:#}",
            answer.body
        );
        let run = poll(&dbvc, &location).await;
        assert_eq!(
            outcomes(&run["databases"][0]),
            [format!("V{version}__long applied")],
            "{run:#}"
        );
        assert_eq!(run["runId"], answer.body["runId"]);
        let counted = dbvc.ask_by_hand(&format!("SELECT i FROM t{version}"));
        assert_eq!(counted, "2000000");
    }
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn what_can_be_refused_is_refused_at_once() {
    let dbvc = Dbvc::start().await;
    expect_problem(
        &run_without_waiting(&dbvc, "nowhere").await,
        404,
        "unknown-database",
    );
    dbvc.register("V2__t", "SELECT 1;").await;
    dbvc.run().await;
    dbvc.register("V1__late", "SELECT 1;").await;
    expect_problem(&run_without_waiting(&dbvc, HOME).await, 409, "out-of-order");
}

#[tokio::test]
async fn a_failure_shows_in_the_run() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__long", LONG).await;
    dbvc.register("V2__bad", "\noops;").await;
    let answer = run_without_waiting(&dbvc, HOME).await.expect_status(202);
    let run = poll(&dbvc, &answer.header("location").unwrap()).await;
    assert_eq!(run["status"], "failed");
    assert_eq!(
        outcomes(&run["databases"][0]),
        ["V1__long applied", "V2__bad failed"]
    );
    assert_eq!(run["databases"][0]["migrations"][1]["errors"][0]["line"], 2);
}
