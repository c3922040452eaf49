//! That no script reaches into the next one, or into the records of what ran.

use serde_json::json;

use crate::support::dbvc::{Dbvc, each, expect_problem, list, outcomes};

/// How many of the team's scripts the trail knows to be applied.
async fn completed(dbvc: &Dbvc) -> usize {
    let mut events = dbvc.events_of_type("completed").await;
    events.retain(|event| event["migrationId"] != "V100__version_control_schema");
    events.len()
}

#[tokio::test]
async fn temporary_tables_end_with_their_script() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__a",
        "CREATE TEMP TABLE scratch (id INTEGER);\nCREATE TABLE a AS SELECT * FROM scratch;",
    )
    .await;
    dbvc.register("V2__b", "CREATE TEMP TABLE scratch (id INTEGER);")
        .await;
    dbvc.register("V3__c", "SELECT * FROM scratch;").await;
    let run = dbvc.run_badly().await;
    assert_eq!(
        outcomes(&run),
        ["V1__a applied", "V2__b applied", "V3__c failed"]
    );
}

#[tokio::test]
async fn a_temporary_table_named_like_a_record_shadows_nothing() {
    let dbvc = Dbvc::start().await;
    let names = [
        "migration_execution_history",
        "migration_applied_status",
        "migration_registry",
        "migration_locks",
        "audit_events",
        "trail_heads",
        "migration_run_plans",
        "schema_snapshots",
    ];
    for (number, name) in names.iter().enumerate() {
        dbvc.register(
            &format!("V{}__shadow", number + 1),
            &format!("CREATE TEMP TABLE {name} AS SELECT * FROM main.{name} WHERE 0;"),
        )
        .await;
    }
    let run = dbvc.run().await;
    assert_eq!(each(&run["migrations"], "status"), ["applied"; 8]);
    for number in 1..=names.len() {
        let migration = dbvc.migration(&format!("V{number}__shadow")).await;
        assert_eq!(migration["status"], "applied", "{migration:#}");
        assert_eq!(list(&migration["executions"]).len(), 1, "{migration:#}");
    }
    assert_eq!(completed(&dbvc).await, names.len());
    assert_eq!(dbvc.status().await["lock"], json!(null));
    assert_eq!(dbvc.verify().await["healthy"], true);
}

#[tokio::test]
async fn temporary_views_and_triggers_reach_no_record() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__view",
        "CREATE TEMP VIEW audit_events AS SELECT 1 AS one;",
    )
    .await;
    dbvc.register(
        "V2__trigger",
        "CREATE TEMP TABLE a (id INTEGER PRIMARY KEY);\nCREATE TEMP TABLE b (a INTEGER REFERENCES a (id));\n\
         INSERT INTO a VALUES (1);\nINSERT INTO b VALUES (1);\nCREATE TEMP TABLE \"a \"\"quoted\"\" name\" (id INTEGER);",
    )
    .await;
    let run = dbvc.run().await;
    assert_eq!(each(&run["migrations"], "status"), ["applied"; 2]);
    assert_eq!(completed(&dbvc).await, 2);
    assert_eq!(dbvc.verify().await["healthy"], true);
}

#[tokio::test]
async fn a_setting_of_the_whole_process_is_refused() {
    for pragma in [
        "PRAGMA hard_heap_limit = 100000;",
        "PRAGMA Soft_Heap_Limit = 100000;",
        "PRAGMA temp_store_directory = '/nowhere';",
        "PRAGMA locking_mode = EXCLUSIVE;",
    ] {
        let dbvc = Dbvc::start().await;
        dbvc.register("V1__setting", &format!("SELECT 1;\n{pragma}"))
            .await;
        let run = dbvc.run_badly().await;
        let error = &run["migrations"][0]["errors"][0];
        assert_eq!(error["line"], 2, "{run:#}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("beyond the script"),
            "{run:#}"
        );
    }
}

#[tokio::test]
async fn settings_of_the_connection_end_with_their_script() {
    let pragmas = [
        "query_only = ON",
        "foreign_keys = OFF",
        "ignore_check_constraints = ON",
        "case_sensitive_like = ON",
        "recursive_triggers = ON",
        "cell_size_check = ON",
        "synchronous = OFF",
        "temp_store = MEMORY",
        "count_changes = ON",
        "full_column_names = ON",
        "short_column_names = OFF",
        "empty_result_callbacks = ON",
        "legacy_alter_table = ON",
        "busy_timeout = 1",
        "max_page_count = 1",
        "writable_schema = ON",
        "defer_foreign_keys = ON",
        "reverse_unordered_selects = ON",
        "trusted_schema = OFF",
        "analysis_limit = 1",
    ];
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__seen",
        "CREATE TABLE seen (setting TEXT, value INTEGER CHECK (value = 1));",
    )
    .await;
    for (number, pragma) in pragmas.iter().enumerate() {
        let version = number + 2;
        dbvc.register(&format!("V{version}__set"), &format!("PRAGMA {pragma};"))
            .await;
        // The second row breaks a CHECK, so that it is left out wherever CHECK is heeded.
        let probe = format!(
            "INSERT INTO seen VALUES ('{pragma}', 'A' LIKE 'a');\nINSERT OR IGNORE INTO seen VALUES ('{pragma}', 0);"
        );
        dbvc.register(&format!("V{version}.1__probe"), &probe).await;
    }
    let answer = dbvc.try_run(json!({})).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    for pragma in pragmas {
        let rows = dbvc.ask_by_hand(&format!(
            "SELECT count(*) FROM seen WHERE setting = '{pragma}'"
        ));
        assert_eq!(rows, "1", "{pragma}");
    }
    assert_eq!(completed(&dbvc).await, 1 + 2 * pragmas.len());
    let verified = dbvc.verify().await;
    assert_eq!(verified["healthy"], true, "{verified:#}");
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn foreign_keys_switched_off_stay_on_for_the_next_script() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__tables",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);\nCREATE TABLE child (parent INTEGER REFERENCES parent (id));",
    )
    .await;
    dbvc.register("V2__off", "PRAGMA foreign_keys = OFF;").await;
    dbvc.register("V3__orphan", "INSERT INTO child VALUES (1);")
        .await;
    let run = dbvc.run_badly().await;
    assert_eq!(
        outcomes(&run),
        ["V1__tables applied", "V2__off applied", "V3__orphan failed"]
    );
}

#[tokio::test]
async fn rows_changed_by_triggers_are_not_the_scripts() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__x",
        "CREATE TABLE t (id INTEGER);\nCREATE TABLE log (id INTEGER);\n\
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN\n  INSERT INTO log VALUES (new.id);\n  \
         INSERT INTO log VALUES (new.id);\nEND;\nGO\nINSERT INTO t VALUES (1), (2);",
    )
    .await;
    let run = dbvc.run().await;
    assert_eq!(run["migrations"][0]["batches"][1]["rowsAffected"], 2);
    assert_eq!(dbvc.ask_by_hand("SELECT count(*) FROM log"), "4");
}

#[tokio::test]
async fn a_script_of_nothing_at_all_is_refused() {
    let dbvc = Dbvc::start().await;
    let empty = dbvc
        .create("V1__go.sqlite.sql", "GO\n\nGO\n", json!({}))
        .await;
    expect_problem(&empty, 400, "invalid-request");
}

#[tokio::test]
async fn a_script_of_megabytes_is_applied_as_it_is() {
    let dbvc = Dbvc::start().await;
    let mut script = String::from("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);\n");
    let filler = "é".repeat(1000);
    for id in 0..3000 {
        script.push_str(&format!("INSERT INTO t VALUES ({id}, '{filler}');\n"));
    }
    assert!(script.len() > 5_000_000);
    dbvc.register("V1__huge", &script).await;
    let run = dbvc.run().await;
    assert_eq!(run["migrations"][0]["batches"][0]["rowsAffected"], 3000);
    assert_eq!(
        dbvc.migration("V1__huge").await["upScript"].as_str(),
        Some(script.as_str())
    );
    assert_eq!(dbvc.ask_by_hand("SELECT sum(length(v)) FROM t"), "3000000");
}

#[tokio::test]
async fn rows_written_by_hand_are_nothing_to_dbvc() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    dbvc.run().await;
    dbvc.change_by_hand("INSERT INTO t VALUES (1)");
    dbvc.register("V2__t", "INSERT INTO t VALUES (2);").await;
    dbvc.run().await;
    assert_eq!(dbvc.ask_by_hand("SELECT count(*) FROM t"), "2");
}

#[tokio::test]
async fn no_script_changes_dbvcs_own_tables() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__a", "CREATE TABLE a (id INTEGER);").await;
    dbvc.run().await;
    for (number, harm) in (2..).zip([
        "DROP TABLE migration_execution_history;",
        "UPDATE migration_locks SET token = token + 1;",
        "DELETE FROM audit_events;",
        "INSERT INTO Trail_Heads (database_id, sequence, hash) VALUES ('x', 0, '');",
        "ALTER TABLE migration_registry ADD COLUMN x TEXT;",
        "CREATE TRIGGER t BEFORE INSERT ON audit_events BEGIN SELECT RAISE(IGNORE); END;",
        "CREATE TEMP TRIGGER t BEFORE INSERT ON main.audit_events BEGIN SELECT RAISE(IGNORE); END;",
        "CREATE INDEX i ON migration_runs (run_id);",
        "DROP INDEX ux_migration_registry_version;",
        "-- dbvc: transaction=off\nDELETE FROM migration_run_plans;",
    ]) {
        let id = format!("V{number}__harm");
        dbvc.register(&id, harm).await;
        let failed = dbvc.run_badly().await;
        let error = &list(&failed["migrations"])[0]["errors"][0];
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("dbvc's own tables"),
            "{harm}: {error}"
        );
        dbvc.withdraw(&id).await.expect_status(200);
    }
    // Looking is allowed.
    dbvc.register(
        "V50__look",
        "CREATE TABLE b AS SELECT COUNT(*) AS n FROM audit_events;",
    )
    .await;
    dbvc.run().await;
    assert_eq!(dbvc.verify().await["healthy"], true);
}

#[tokio::test]
async fn a_trial_sees_what_only_commit_would_look_at() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__a",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);\n\
         CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);",
    )
    .await;
    dbvc.run().await;
    dbvc.register("V2__b", "SELECT 1;\nGO\nINSERT INTO child VALUES (7);")
        .await;
    let tried = dbvc.try_run(json!({ "dryRun": "execute" })).await;
    let problem = expect_problem(&tried, 422, "migration-failed");
    let error = &problem["run"]["databases"][0]["migrations"][0]["errors"][0];
    assert!(
        error["message"].as_str().unwrap().contains("COMMIT"),
        "{error}"
    );
    let really = dbvc.run_badly().await;
    let error = &really["migrations"][0]["errors"][0];
    assert_eq!(
        (&error["line"], &error["batch"]),
        (&json!(3), &json!(2)),
        "{error}"
    );
}

#[tokio::test]
async fn what_one_batch_sets_without_a_transaction_holds_for_the_next() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__a",
        "CREATE TABLE p (id INTEGER PRIMARY KEY);\n\
         CREATE TABLE c (p INTEGER REFERENCES p (id) ON DELETE CASCADE);\n\
         INSERT INTO p VALUES (1);\nINSERT INTO c VALUES (1);",
    )
    .await;
    dbvc.run().await;
    // The rebuild that SQLite advises; with foreign keys on it would delete every row of c.
    dbvc.register(
        "V2__rebuild",
        "PRAGMA foreign_keys = OFF;\nGO\nCREATE TEMP TABLE kept AS SELECT id FROM p;\nGO\n\
         BEGIN; CREATE TABLE new_p (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO new_p (id) SELECT id FROM kept;\n\
         DROP TABLE p; ALTER TABLE new_p RENAME TO p; COMMIT;",
    )
    .await;
    dbvc.run().await;
    assert_eq!(dbvc.ask_by_hand("SELECT COUNT(*) FROM c"), "1");
    dbvc.register("V3__next", "INSERT INTO c VALUES (99);")
        .await;
    let run = dbvc.run_badly().await;
    assert_eq!(
        outcomes(&run),
        ["V3__next failed"],
        "foreign keys are on again"
    );
}

#[tokio::test]
async fn a_batch_of_megabytes_takes_time_in_its_length_and_not_in_its_square() {
    let dbvc = Dbvc::start().await;
    let mut script = "CREATE TABLE t (id INTEGER);\n".to_owned();
    for row in 0..100_000 {
        script.push_str(&format!("INSERT INTO t VALUES ({row});\n"));
    }
    script.push_str("SELECT nope FROM t;");
    dbvc.register("V1__many", &script).await;
    let run = dbvc.run_badly().await;
    let error = &run["migrations"][0]["errors"][0];
    assert_eq!(error["line"], 100_002, "{error}");
}
