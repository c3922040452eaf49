//! What a run says and leaves when a script fails.

use serde_json::{Value, json};

use crate::support::dbvc::{Dbvc, detail, each, expect_problem, list, outcomes, text};
use crate::support::shape::expect_like;

/// The errors of the only migration of a run that fails with this script.
async fn errors_of(script: &str) -> (Dbvc, Value) {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__x", script).await;
    let migration = dbvc.run_badly().await["migrations"][0].clone();
    assert_eq!(migration["status"], "failed", "{migration:#}");
    (dbvc, migration)
}

/// The line of the only error.
async fn line_of(script: &str) -> Value {
    let (_, migration) = errors_of(script).await;
    assert_eq!(list(&migration["errors"]).len(), 1, "{migration:#}");
    migration["errors"][0]["line"].clone()
}

#[tokio::test]
async fn the_run_stops_at_the_failure_and_skips_the_rest() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__fine", "CREATE TABLE fine (id INTEGER);")
        .await;
    dbvc.register(
        "V2__bad",
        "CREATE TABLE half (id INTEGER);\nINSERT INTO nowhere VALUES (1);",
    )
    .await;
    dbvc.register("V3__later", "CREATE TABLE later (id INTEGER);")
        .await;
    dbvc.register("R__last", "CREATE VIEW last AS SELECT 1;")
        .await;
    let answer = dbvc.try_run(json!({})).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    for word in ["V2__bad", "line 2", "no such table: nowhere"] {
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
    assert!(dbvc.has("fine") && !dbvc.has("half") && !dbvc.has("later") && !dbvc.has("last"));
    let path = format!("/api/dbvc/runs/{}", text(&problem["run"]["runId"]));
    let polled = dbvc.host.get(&path).await.expect_status(200);
    assert_eq!(
        polled.body, problem["run"],
        "the run that is polled is the run that was answered"
    );

    let status = dbvc.status().await;
    assert_eq!(
        status["counts"],
        json!({ "applied": 1, "pending": 2, "failed": 1, "rolledBack": 0 })
    );
    assert_eq!(status["currentVersion"], "1");
    assert_eq!(status["lastRun"]["status"], "failed");
    assert_eq!(status["lock"], Value::Null);
    // The snapshot after a failed run is one to trust.
    assert!(run["snapshotId"].is_string(), "{run:#}");
    assert_eq!(dbvc.drift().await["detected"], false);

    dbvc.reregister("V2__bad", "CREATE TABLE half (id INTEGER);", json!({}))
        .await;
    let mended = dbvc.run().await;
    assert_eq!(
        outcomes(&mended),
        ["V2__bad applied", "V3__later applied", "R__last applied"]
    );
    assert!(dbvc.has("half") && dbvc.has("later"));
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_failure_is_told_with_every_error_by_run_history_and_executions() {
    let (dbvc, failed) =
        errors_of("CREATE TABLE t (id INTEGER PRIMARY KEY);\nINSERT INTO t VALUES (1), (1);").await;
    expect_like(
        &failed["errors"],
        &json!([{
            "number": 1555, "severity": "<number>", "state": "<number>", "line": 2, "batch": 1, "procedure": null,
            "message": "UNIQUE constraint failed: t.id",
        }]),
    );
    let migration = dbvc.migration("V1__x").await;
    assert_eq!(migration["status"], "failed");
    let execution = &migration["executions"][0];
    assert_eq!(execution["errors"], failed["errors"]);
    assert_eq!(execution["executionId"], failed["executionId"]);
    assert_eq!(execution["status"], "failed");
    let event = dbvc.events_of_type("failed").await[0].clone();
    assert_eq!(event["executionId"], failed["executionId"]);
    assert_eq!(event["data"]["errors"], failed["errors"]);
}

#[tokio::test]
async fn the_line_is_that_of_the_file() {
    for (line, script) in [
        (1, "oops"),
        (4, "\n\n\noops;"),
        (4, "\r\n\r\n\r\noops;\r\n"),
        (3, "SELECT 1;\nGO\noops;"),
        (7, "SELECT 1;\nGO\n\n-- a comment\n\nSELECT\n  missing;\n"),
        (5, "\n\nSELECT 1;\ngo 2\noops\n"),
        (
            4,
            "/* one\n two */\nSELECT 1;\nINSERT INTO nowhere VALUES (1);\nSELECT 2;",
        ),
        (
            2,
            "CREATE TABLE t (id INTEGER CHECK (id > 0));\nINSERT INTO t\nVALUES (0);",
        ),
        (
            3,
            "CREATE TABLE t (id INTEGER CHECK (id > 0));\n\n  INSERT INTO t VALUES (0);",
        ),
        (
            3,
            "\u{feff}CREATE TABLE é (ö TEXT);\nINSERT INTO é VALUES ('ü');\nSELECT 'ß' FROM nowhere;",
        ),
        (
            6,
            "CREATE TABLE t (id INTEGER);\nCREATE TRIGGER tr AFTER INSERT ON t BEGIN\n  SELECT 1;\n  SELECT 2;\nEND;\nDROP TABLE missing;",
        ),
    ] {
        assert_eq!(line_of(script).await, line, "{script:?}");
    }
}

#[tokio::test]
async fn the_line_is_that_of_the_statement_that_failed_while_it_ran() {
    let script = "CREATE TABLE t (id INTEGER PRIMARY KEY);\nINSERT INTO t VALUES (1);\n\n-- the second of them fails\n\
                  INSERT INTO t VALUES (2);\nINSERT INTO t VALUES (2);\nINSERT INTO t VALUES (3);";
    assert_eq!(line_of(script).await, 6);
}

#[tokio::test]
async fn everything_of_the_failed_script_is_rolled_back_also_earlier_batches() {
    let (dbvc, failed) = errors_of(
        "CREATE TABLE a (id INTEGER);\nGO\nINSERT INTO a VALUES (1);\nGO 3\nCREATE TABLE b (id INTEGER);\nGO\noops;\nGO\n\
         CREATE TABLE c (id INTEGER);",
    )
    .await;
    let batches: Vec<(u64, u64, u64, u64)> = list(&failed["batches"])
        .iter()
        .map(|batch| {
            let number = |field: &str| batch[field].as_u64().unwrap();
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
    assert!(!dbvc.has("a") && !dbvc.has("b") && !dbvc.has("c"));
}

#[tokio::test]
async fn an_error_behind_the_first_row_of_a_select_is_found() {
    let script = "CREATE TABLE t (v TEXT);\nINSERT INTO t VALUES ('1'), ('{}'), ('not json');\nSELECT json(v) FROM t;";
    let (dbvc, failed) = errors_of(script).await;
    expect_like(
        &failed["errors"],
        &json!([{ "line": 3, "message": "malformed JSON" }]),
    );
    assert!(!dbvc.has("t"));
}

#[tokio::test]
async fn a_script_that_ends_the_transaction_itself_is_refused() {
    for (line, script) in [
        (
            2,
            "CREATE TABLE t (id INTEGER);\nCOMMIT;\nCREATE TABLE u (id INTEGER);",
        ),
        (1, "BEGIN;\nCREATE TABLE t (id INTEGER);\nCOMMIT;"),
        (2, "CREATE TABLE t (id INTEGER);\n  begin immediate;"),
        (2, "CREATE TABLE t (id INTEGER);\nROLLBACK;"),
        (
            2,
            "CREATE TABLE t (id INTEGER);\n/* hidden */ END TRANSACTION;",
        ),
        (3, "CREATE TABLE t (id INTEGER);\nGO\nCOMMIT"),
    ] {
        let dbvc = Dbvc::start().await;
        let registered = dbvc.create("V1__x.sqlite.sql", script, json!({})).await;
        if registered.status == 400 {
            // The check may see it before anything runs.
            let problem = expect_problem(&registered, 400, "invalid-request");
            assert!(detail(&problem).contains("transaction"), "{problem:#}");
            continue;
        }
        let failed = dbvc.run_badly().await["migrations"][0].clone();
        let error = &failed["errors"][0];
        assert_eq!(error["line"], line, "{script:?}: {failed:#}");
        assert!(
            text(&error["message"]).contains("transaction=off"),
            "{failed:#}"
        );
        assert!(!dbvc.has("t") && !dbvc.has("u"), "{script:?}");
        assert_eq!(dbvc.status().await["lock"], Value::Null);
    }
}

#[tokio::test]
async fn savepoints_within_a_script_are_its_own_business() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__x",
        "CREATE TABLE t (id INTEGER);\nSAVEPOINT a;\nINSERT INTO t VALUES (1);\nROLLBACK TO a;\nRELEASE a;\n\
         INSERT INTO t VALUES (2);",
    )
    .await;
    dbvc.run().await;
    assert_eq!(dbvc.ask_by_hand("SELECT group_concat(id) FROM t"), "2");
}

#[tokio::test]
async fn a_savepoint_left_open_loses_nothing() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__x", "SAVEPOINT a;\nCREATE TABLE t (id INTEGER);")
        .await;
    dbvc.register("V2__y", "CREATE TABLE u (id INTEGER);").await;
    let run = dbvc.run().await;
    assert_eq!(outcomes(&run), ["V1__x applied", "V2__y applied"]);
    assert!(dbvc.has("t") && dbvc.has("u"));
    assert_eq!(dbvc.states().await, ["V1__x applied", "V2__y applied"]);
}

#[tokio::test]
async fn a_foreign_key_that_fails_at_the_commit_fails_the_script() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__tables",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);\n\
         CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);",
    )
    .await;
    dbvc.run().await;
    dbvc.register(
        "V2__orphan",
        "PRAGMA defer_foreign_keys = ON;\nINSERT INTO child VALUES (7);",
    )
    .await;
    dbvc.register("V3__fine", "CREATE TABLE fine (id INTEGER);")
        .await;
    let run = dbvc.run_badly().await;
    assert_eq!(outcomes(&run), ["V2__orphan failed", "V3__fine skipped"]);
    let error = &run["migrations"][0]["errors"][0];
    assert!(text(&error["message"]).contains("FOREIGN KEY"), "{run:#}");
    assert_eq!(dbvc.ask_by_hand("SELECT count(*) FROM child"), "0");
    assert_eq!(dbvc.migration("V2__orphan").await["status"], "failed");
    dbvc.reregister(
        "V2__orphan",
        "INSERT INTO child VALUES (7);\nINSERT INTO parent VALUES (7);",
        json!({}),
    )
    .await;
    assert_eq!(
        outcomes(&dbvc.run().await),
        ["V2__orphan applied", "V3__fine applied"]
    );
}

#[tokio::test]
async fn a_conflict_that_rolls_the_transaction_back_fails_the_script() {
    for script in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (1);",
        "CREATE TABLE t (id INTEGER PRIMARY KEY);\nINSERT INTO t VALUES (1);\nINSERT OR ROLLBACK INTO t VALUES (1);",
        "CREATE TABLE t (id INTEGER);\nCREATE TRIGGER tr BEFORE INSERT ON t BEGIN SELECT RAISE(ROLLBACK, 'no'); END;\n\
         INSERT INTO t VALUES (1);",
    ] {
        let (dbvc, failed) = errors_of(script).await;
        assert_eq!(failed["errors"][0]["line"], 3, "{failed:#}");
        assert!(!dbvc.has("t"), "{script}");
        let migration = dbvc.migration("V1__x").await;
        assert_eq!(each(&migration["executions"], "status"), ["failed"]);
        assert_eq!(dbvc.status().await["lock"], Value::Null);
    }
}

#[tokio::test]
async fn a_conflict_that_is_ignored_or_replaced_is_no_failure() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__x",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);\nINSERT INTO t VALUES (1, 'a');\n\
         INSERT OR IGNORE INTO t VALUES (1, 'b');\nINSERT OR REPLACE INTO t VALUES (1, 'c');",
    )
    .await;
    let run = dbvc.run().await;
    assert_eq!(run["migrations"][0]["batches"][0]["rowsAffected"], 2);
    assert_eq!(dbvc.ask_by_hand("SELECT v FROM t"), "c");
}

#[tokio::test]
async fn a_parameter_is_refused_because_nothing_gives_it_a_value() {
    for (name, script) in [
        (
            "?",
            "CREATE TABLE t (id INTEGER);\nINSERT INTO t VALUES (?);",
        ),
        (
            ":id",
            "CREATE TABLE t (id INTEGER);\nINSERT INTO t VALUES (:id);",
        ),
        (
            "@id",
            "CREATE TABLE t (id INTEGER);\nINSERT INTO t VALUES (@id);",
        ),
        (
            "$id",
            "CREATE TABLE t (id INTEGER);\nINSERT INTO t VALUES ($id);",
        ),
    ] {
        let (dbvc, failed) = errors_of(script).await;
        let error = &failed["errors"][0];
        assert_eq!(error["line"], 2, "{failed:#}");
        assert!(
            text(&error["message"]).contains(&format!("`{name}`")),
            "{failed:#}"
        );
        assert!(!dbvc.has("t"));
    }
}

#[tokio::test]
async fn another_file_cannot_be_attached() {
    let (dbvc, failed) = errors_of("ATTACH DATABASE 'elsewhere.sqlite' AS elsewhere;").await;
    assert_eq!(failed["errors"][0]["line"], 1);
    assert!(!dbvc.data.path().join("elsewhere.sqlite").exists());
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_interrupted() {
    let dbvc = Dbvc::start_with(|host| host.setting("DBVC_STATEMENT_TIMEOUT", "1")).await;
    dbvc.register(
        "V1__endless",
        "CREATE TABLE t (id INTEGER);\n\nWITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)\n\
         INSERT INTO t SELECT max(i) FROM n;",
    )
    .await;
    let failed = dbvc.run_badly().await["migrations"][0].clone();
    let error = &failed["errors"][0];
    assert_eq!(error["line"], 3, "{failed:#}");
    assert!(
        text(&error["message"]).contains("DBVC_STATEMENT_TIMEOUT"),
        "{failed:#}"
    );
    assert!(!dbvc.has("t"));
}

#[tokio::test]
async fn a_failed_script_is_told_by_its_own_attempt_each_time() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__x", "oops;").await;
    dbvc.run_badly().await;
    dbvc.run_badly().await;
    let migration = dbvc.migration("V1__x").await;
    assert_eq!(
        each(&migration["executions"], "status"),
        ["failed", "failed"]
    );
    let kinds: Vec<String> = dbvc
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
    assert_eq!(dbvc.states().await, ["V1__x failed"]);
    dbvc.reregister("V1__x", "SELECT 1;", json!({})).await;
    dbvc.run().await;
    assert_eq!(dbvc.states().await, ["V1__x applied"]);
}

#[tokio::test]
async fn a_trial_tells_the_failure_and_leaves_no_trace() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__fine", "CREATE TABLE fine (id INTEGER);")
        .await;
    dbvc.register(
        "V2__bad",
        "SELECT 1;\nINSERT INTO fine VALUES (1), (2);\nGO\noops;",
    )
    .await;
    dbvc.register("V3__later", "SELECT 1;").await;
    let before = dbvc.events().await.len();
    let answer = dbvc.try_run(json!({ "dryRun": "execute" })).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    let run = &problem["run"]["databases"][0];
    assert_eq!(
        outcomes(run),
        ["V1__fine planned", "V2__bad failed", "V3__later skipped"]
    );
    assert_eq!(run["migrations"][1]["errors"][0]["line"], 4);
    assert!(!dbvc.has("fine"));
    assert_eq!(dbvc.events().await.len(), before);
    assert_eq!(
        dbvc.states().await,
        ["V1__fine pending", "V2__bad pending", "V3__later pending"]
    );
    assert_eq!(dbvc.status().await["lastRun"], Value::Null);
    assert_eq!(dbvc.ask_by_hand("SELECT count(*) FROM migration_runs"), "0");
}

#[tokio::test]
async fn a_trial_refuses_what_cannot_be_rolled_back() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__fine", "CREATE TABLE fine (id INTEGER);")
        .await;
    dbvc.register("V2__vacuum", "VACUUM;").await;
    let answer = dbvc.try_run(json!({ "dryRun": "execute" })).await;
    let problem = expect_problem(&answer, 409, "not-transactional");
    assert!(detail(&problem).contains("V2__vacuum"), "{problem:#}");
    assert!(!dbvc.has("fine"));
}

#[tokio::test]
async fn a_trial_works_on_a_machine_without_any_database_yet() {
    let dbvc = Dbvc::start().await;
    let inline =
        json!([{ "fileName": "V1__x.sqlite.sql", "upScript": "CREATE TABLE t (id INTEGER);" }]);
    let body = json!({ "dryRun": "execute", "migrations": inline });
    let answer = dbvc.try_run(body).await.expect_status(200);
    assert_eq!(outcomes(&answer.body["databases"][0]), ["V1__x planned"]);
    assert_eq!(dbvc.states().await, Vec::<String>::new());
    assert!(dbvc.events().await.is_empty());
}
