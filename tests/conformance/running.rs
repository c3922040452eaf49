//! Sending a script: batches in order, and everything that the server said of them, with the lines of the file.

use serde_json::{Value, json};

use crate::harness::Test;
use crate::support::scene::{HOME, Scene};
use crate::support::shape::expect_like;
use crate::support::stage::{Engine, Stage};
use crate::support::team::{Team, detail, each, expect_problem, list, outcomes, text};

pub fn tests() -> Vec<Test> {
    let on_each_engine = on_each_engine![
        rows_are_counted_by_batch_over_all_rounds_and_statements,
        the_run_stops_at_the_failure_and_skips_the_rest,
        a_failure_is_told_by_run_history_and_executions,
        a_failed_script_is_told_by_its_own_attempt_each_time,
        everything_of_the_failed_script_is_rolled_back_also_earlier_batches,
        an_error_behind_a_result_set_fails_the_script_and_nothing_remains,
        the_line_is_that_of_the_file,
        a_script_of_nothing_but_comments_is_applied,
        a_script_of_a_thousand_batches_and_ten_thousand_statements_is_applied_in_order,
        a_script_is_kept_and_sent_letter_for_letter,
    ];
    let on_t_sql = on_t_sql![
        every_error_of_a_batch_is_told_in_order,
        what_print_and_raiserror_say_is_told_in_order,
        an_error_in_a_procedure_names_it_and_its_line,
        an_error_in_dynamic_sql_is_an_error_of_the_script,
    ];
    on_each_engine.into_iter().chain(on_t_sql).collect()
}

/// A team with an applied ledger, whose further scripts are versions 2 and up.
async fn team_with_a_ledger(stage: &Stage) -> (Scene, Team) {
    let (scene, team) = stage.team().await;
    team.register("V1__ledger", scene.ledger_table()).await;
    team.run().await;
    (scene, team)
}

/// Runs a script that must fail and withdraws it; what became of it.
async fn fails(team: &Team, script: &str) -> Value {
    let id = team.register("V9__fails", script).await;
    let migration = team.run_badly().await["migrations"][0].clone();
    assert_eq!(migration["status"], "failed", "{script}: {migration:#}");
    team.withdraw(&id).await.expect_status(200);
    migration
}

async fn rows_are_counted_by_batch_over_all_rounds_and_statements(stage: &Stage) {
    let (_scene, team) = stage.team().await;
    team.register(
        "V1__x",
        "CREATE TABLE t (id INTEGER);\nGO\nINSERT INTO t VALUES (1), (2);\nINSERT INTO t VALUES (3);\nGO 5\n\
         UPDATE t SET id = id + 1 WHERE id = 1;\nSELECT * FROM t;\nCREATE INDEX i ON t (id);\nGO\n\n\nDELETE FROM t;\n",
    )
    .await;
    let run = team.run().await;
    let batches = list(&run["migrations"][0]["batches"]);
    let of = |field: &str| -> Vec<u64> {
        batches
            .iter()
            .map(|batch| batch[field].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(of("index"), [1, 2, 3, 4]);
    assert_eq!(of("line"), [1, 3, 6, 10]);
    assert_eq!(of("count"), [1, 5, 1, 1]);
    assert_eq!(of("rowsAffected"), [0, 15, 5, 15]);
}

async fn the_run_stops_at_the_failure_and_skips_the_rest(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__fine", "CREATE TABLE fine (id INTEGER);")
        .await;
    team.register(
        "V2__bad",
        "CREATE TABLE half (id INTEGER);\nGO\nINSERT INTO nowhere VALUES (1);",
    )
    .await;
    team.register("V3__later", "CREATE TABLE later (id INTEGER);")
        .await;
    team.register("R__last", "CREATE VIEW last_view AS SELECT 1 AS one;")
        .await;
    let answer = team.try_run(json!({})).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    for word in ["V2__bad", "line 3", "nowhere"] {
        assert!(detail(&problem).contains(word), "{word}: {problem:#}");
    }
    let run = &problem["run"]["databases"][0];
    assert_eq!(
        outcomes(run),
        [
            "V1__fine applied",
            "V2__bad failed",
            "V3__later skipped",
            "R__last skipped"
        ]
    );
    assert_eq!(
        (&run["fromVersion"], &run["toVersion"]),
        (&Value::Null, &json!("1"))
    );
    expect_like(
        &run["migrations"][2],
        &json!({ "status": "skipped", "batches": [], "errors": [], "durationMs": null }),
    );
    assert!(scene.has("fine").await);
    for absent in ["half", "later", "last_view"] {
        assert!(!scene.has(absent).await, "{absent}");
    }
    let path = format!("/api/dbvc/runs/{}", text(&problem["run"]["runId"]));
    let polled = team.host.get(&path).await.expect_status(200);
    assert_eq!(
        polled.body, problem["run"],
        "the run that is polled is the run that was answered"
    );

    let status = team.status().await;
    assert_eq!(
        status["counts"],
        json!({ "applied": 1, "pending": 2, "failed": 1, "rolledBack": 0 })
    );
    assert_eq!(status["currentVersion"], "1");
    assert_eq!(status["lastRun"]["status"], "failed");
    assert_eq!(status["lock"], Value::Null);
    // The snapshot after a failed run is one to trust.
    assert!(run["snapshotId"].is_string(), "{run:#}");
    assert_eq!(team.drift().await["detected"], false);

    team.reregister("V2__bad", "CREATE TABLE half (id INTEGER);", json!({}))
        .await;
    let mended = team.run().await;
    assert_eq!(
        outcomes(&mended),
        ["V2__bad applied", "V3__later applied", "R__last applied"]
    );
    assert!(scene.has("half").await && scene.has("later").await);
    team.host.expect_silent_stderr();
}

async fn a_failure_is_told_by_run_history_and_executions(stage: &Stage) {
    let (_scene, team) = stage.team().await;
    team.register(
        "V1__x",
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY);\nGO\nINSERT INTO t VALUES (1), (1);",
    )
    .await;
    let failed = team.run_badly().await["migrations"][0].clone();
    let (number, words) = match stage.engine() {
        Engine::Sqlite => (1555, "UNIQUE constraint failed: t.id"),
        Engine::Babelfish => (2627, "duplicate key value violates unique constraint"),
        Engine::SqlServer => (2627, "Violation of PRIMARY KEY constraint"),
    };
    expect_like(
        &failed["errors"],
        &json!([{
            "number": number, "severity": "<number>", "state": "<number>", "line": 3, "batch": 2, "procedure": null,
            "message": "<text>",
        }]),
    );
    let message = text(&failed["errors"][0]["message"]);
    assert!(message.contains(words), "{message}");
    let migration = team.migration("V1__x").await;
    assert_eq!(migration["status"], "failed");
    let execution = &migration["executions"][0];
    assert_eq!(execution["errors"], failed["errors"]);
    assert_eq!(execution["executionId"], failed["executionId"]);
    assert_eq!(execution["status"], "failed");
    let event = team.events_of_type("failed").await[0].clone();
    assert_eq!(event["executionId"], failed["executionId"]);
    assert_eq!(event["data"]["errors"], failed["errors"]);
}

async fn a_failed_script_is_told_by_its_own_attempt_each_time(stage: &Stage) {
    let (_scene, team) = stage.team().await;
    team.register("V1__x", "oops;").await;
    team.run_badly().await;
    team.run_badly().await;
    let migration = team.migration("V1__x").await;
    assert_eq!(
        each(&migration["executions"], "status"),
        ["failed", "failed"]
    );
    let kinds: Vec<String> = team
        .events()
        .await
        .iter()
        .filter(|event| event["migrationId"] == "V1__x")
        .map(|event| text(&event["type"]))
        .collect();
    assert_eq!(
        kinds,
        ["registered", "started", "failed", "started", "failed"]
    );
    assert_eq!(team.states().await, ["V1__x failed"]);
    team.reregister("V1__x", "SELECT 1;", json!({})).await;
    team.run().await;
    assert_eq!(team.states().await, ["V1__x applied"]);
}

async fn everything_of_the_failed_script_is_rolled_back_also_earlier_batches(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register(
        "V1__x",
        "CREATE TABLE a (id INTEGER);\nGO\nINSERT INTO a VALUES (1);\nGO 3\nCREATE TABLE b (id INTEGER);\nGO\n\
         DROP TABLE missing;\nGO\nCREATE TABLE c (id INTEGER);",
    )
    .await;
    let failed = team.run_badly().await["migrations"][0].clone();
    let batches: Vec<(u64, u64, u64, u64)> = list(&failed["batches"])
        .iter()
        .map(|batch| {
            let number = |field: &str| batch[field].as_u64().expect("a number");
            (
                number("index"),
                number("line"),
                number("count"),
                number("rowsAffected"),
            )
        })
        .collect();
    assert_eq!(
        batches,
        [(1, 1, 1, 0), (2, 3, 3, 3), (3, 5, 1, 0), (4, 7, 1, 0)]
    );
    assert_eq!(
        (&failed["errors"][0]["line"], &failed["errors"][0]["batch"]),
        (&json!(7), &json!(4))
    );
    for absent in ["a", "b", "c"] {
        assert!(!scene.has(absent).await, "{absent}");
    }
}

async fn an_error_behind_a_result_set_fails_the_script_and_nothing_remains(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let script =
        "SELECT 1;\nINSERT INTO ledger VALUES (NULL);\nINSERT INTO ledger VALUES ('works');";
    let failed = fails(&team, script).await;
    assert_eq!(failed["errors"][0]["line"], 2, "{failed:#}");
    assert!(scene.ledger(HOME).await.is_empty());
}

async fn the_line_is_that_of_the_file(stage: &Stage) {
    let (_scene, team) = team_with_a_ledger(stage).await;
    for (line, script) in [
        (1, "DROP TABLE missing"),
        (4, "\n\n\nDROP TABLE missing;"),
        (4, "\r\n\r\n\r\nDROP TABLE missing;\r\n"),
        (3, "SELECT 1;\nGO\nDROP TABLE missing;"),
        (3, "SELECT 1;\r\nGO\r\nDROP TABLE missing;\r\n"),
        (
            7,
            "SELECT 1;\r\nGO\r\n\r\n-- a comment\r\n/* another\r\n*/\r\nDROP TABLE missing;\r\nGO\r\nSELECT 2;",
        ),
        (5, "\n\nSELECT 1;\ngo 2\nDROP TABLE missing;\n"),
        (
            4,
            "/* one\n two */\nSELECT 1;\nDROP TABLE missing;\nSELECT 2;",
        ),
        (2, "SELECT 'ß';\nINSERT INTO ledger\nVALUES (NULL);"),
        (3, "\u{feff}SELECT 'é';\nSELECT N'ü';\nDROP TABLE missing;"),
    ] {
        // T-SQL's own prefix of a text in Unicode.
        let script = match stage.engine() {
            Engine::Sqlite => script.replace("N'", "'"),
            Engine::Babelfish | Engine::SqlServer => script.to_owned(),
        };
        let failed = fails(&team, &script).await;
        assert_eq!(failed["errors"][0]["line"], line, "{script:?}: {failed:#}");
    }
}

async fn a_script_of_nothing_but_comments_is_applied(stage: &Stage) {
    let (_scene, team) = stage.team().await;
    team.register("V1__nothing", "-- nothing to do on this engine\n")
        .await;
    let run = team.run().await;
    assert_eq!(each(&run["migrations"], "status"), ["applied"]);
}

async fn a_script_of_a_thousand_batches_and_ten_thousand_statements_is_applied_in_order(
    stage: &Stage,
) {
    const BATCHES: usize = 1000;
    const STATEMENTS: usize = 10;
    let (scene, team) = team_with_a_ledger(stage).await;
    let mut script = String::new();
    for batch in 0..BATCHES {
        for statement in 0..STATEMENTS {
            script.push_str(&format!(
                "INSERT INTO ledger VALUES ('{batch}.{statement}');\n"
            ));
        }
        script.push_str("GO\n");
    }
    team.register("V2__long", &script).await;
    let run = team.run().await;
    let batches = list(&run["migrations"][0]["batches"]);
    assert_eq!(batches.len(), BATCHES);
    assert_eq!(batches[BATCHES - 1]["line"], 11 * (BATCHES - 1) + 1);
    assert!(
        batches
            .iter()
            .all(|batch| batch["rowsAffected"] == STATEMENTS)
    );
    let expected: Vec<String> = (0..BATCHES * STATEMENTS)
        .map(|number| format!("{}.{}", number / STATEMENTS, number % STATEMENTS))
        .collect();
    assert_eq!(scene.ledger(HOME).await, expected);
}

async fn a_script_is_kept_and_sent_letter_for_letter(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let script =
        "INSERT INTO ledger VALUES ('$(x) ''é'' -- no comment\r\nGO away\t');\r\n\r\n-- the end";
    team.register("V2__text", script).await;
    team.run().await;
    assert_eq!(
        scene.ledger(HOME).await,
        ["$(x) 'é' -- no comment\r\nGO away\t"]
    );
    assert_eq!(team.migration("V2__text").await["upScript"], script);
}

async fn every_error_of_a_batch_is_told_in_order(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    // Errors of this kind do not end a batch.
    let script = "INSERT INTO ledger VALUES ('a');\nGO\n\nRAISERROR('the first', 16, 7);\nRAISERROR('the second', 15, 8);\n\
                  INSERT INTO ledger VALUES ('b');";
    let failed = fails(&team, script).await;
    expect_like(
        &failed["errors"],
        &json!([
            {
                "number": 50000, "severity": 16, "state": 7, "line": 4, "batch": 2, "procedure": null,
                "message": "the first",
            },
            { "number": 50000, "batch": 2, "message": "the second" },
        ]),
    );
    assert!(scene.ledger(HOME).await.is_empty());
}

async fn what_print_and_raiserror_say_is_told_in_order(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let script = "PRINT 'one';\nINSERT INTO ledger VALUES ('a');\nRAISERROR('two', 0, 1) WITH NOWAIT;\nGO\nPRINT 'again';\nGO 2\n\
                  PRINT N'žluťoučký';\nSELECT 1;\nPRINT 'last';";
    team.register("V2__talks", script).await;
    let run = team.run().await;
    let said: Vec<Vec<&str>> = list(&run["migrations"][0]["batches"])
        .iter()
        .map(|batch| each(&batch["messages"], "text"))
        .collect();
    assert_eq!(
        said,
        [
            vec!["one", "two"],
            vec!["again", "again"],
            vec!["žluťoučký", "last"]
        ]
    );
    assert_eq!(scene.ledger(HOME).await, ["a"]);
    let failed = fails(&team, "PRINT 'before';\nDROP TABLE missing;").await;
    assert_eq!(
        each(&failed["batches"][0]["messages"], "text"),
        ["before"],
        "what was said before the failure is told as well"
    );
}

async fn an_error_in_a_procedure_names_it_and_its_line(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    team.register(
        "V2__procedure",
        "CREATE PROCEDURE dbo.writes_nothing AS\nBEGIN\n  SELECT 1 AS one;\n  INSERT INTO ledger VALUES (NULL);\nEND;",
    )
    .await;
    team.run().await;
    let failed = fails(&team, "SELECT 1;\nGO\n\n\nEXEC dbo.writes_nothing;").await;
    let error = &failed["errors"][0];
    assert_eq!(error["batch"], 2, "{failed:#}");
    match stage.engine() {
        Engine::SqlServer => {
            assert!(
                text(&error["procedure"]).contains("writes_nothing"),
                "{failed:#}"
            );
            assert_eq!(error["line"], 4, "the line of the module: {failed:#}");
        }
        // It names no procedure.
        Engine::Babelfish => assert_eq!(error["procedure"], Value::Null, "{failed:#}"),
        Engine::Sqlite => unreachable!("SQLite has no procedures"),
    }
    assert!(scene.ledger(HOME).await.is_empty());
}

async fn an_error_in_dynamic_sql_is_an_error_of_the_script(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let script = "INSERT INTO ledger VALUES ('a');\nEXEC ('INSERT INTO ledger VALUES (NULL)');\n\
                  INSERT INTO ledger VALUES ('b');";
    let failed = fails(&team, script).await;
    assert_eq!(list(&failed["errors"]).len(), 1, "{failed:#}");
    assert!(scene.ledger(HOME).await.is_empty());
    assert_eq!(team.states().await, ["V1__ledger applied"]);
}
