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
