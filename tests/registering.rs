//! Registering, replacing and withdrawing migrations.

mod support;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use support::dbvc::{Dbvc, HOME, ME, detail, each, expect_problem, list, outcomes, text, with};
use support::host::{Answer, TimerShape};
use support::shape::expect_like;

/// POST migrations with a name instead of a file.
async fn create_named(dbvc: &Dbvc, name: &str, more: Value) -> Answer {
    let body = json!({ "name": name, "databaseId": HOME, "author": ME, "upScript": "SELECT 1;" });
    dbvc.host
        .post("/api/dbvc/migrations", with(body, more))
        .await
}

#[tokio::test]
async fn the_id_is_the_version_as_written_and_the_name() {
    let dbvc = Dbvc::start().await;
    for (file, id, version) in [
        (
            "V101__add_user_preferences.sqlite.sql",
            "V101__add_user_preferences",
            "101",
        ),
        ("V1_1__Add Table-x.sqlite.sql", "V1.1__Add Table-x", "1.1"),
        ("V2.0__x.sqlite.sql", "V2.0__x", "2.0"),
        ("V007__x.sqlite.sql", "V007__x", "007"),
        (
            "V20251127143000__x.sqlite.sql",
            "20251127_143000_x",
            "20251127143000",
        ),
        // Fourteen digits, but no time.
        (
            "V20251327143000__x.sqlite.sql",
            "V20251327143000__x",
            "20251327143000",
        ),
        ("R__views.sqlite.sql", "R__views", ""),
    ] {
        let answer = dbvc
            .create(file, "SELECT 1;", json!({}))
            .await
            .expect_status(201);
        assert_eq!(answer.body["migrationId"], id, "{file}");
        let expected = (!version.is_empty()).then_some(version);
        assert_eq!(answer.body["version"].as_str(), expected, "{file}");
        let location = answer
            .header("location")
            .expect("a new migration has a place");
        let found = dbvc.host.get(&location).await.expect_status(200);
        assert_eq!(found.body["migrationId"], id, "{location}");
    }
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_name_with_a_version_makes_the_same_id_as_a_file() {
    let dbvc = Dbvc::start().await;
    let named = create_named(&dbvc, "x", json!({ "version": "20251127143000" }))
        .await
        .expect_status(201);
    assert_eq!(named.body["migrationId"], "20251127_143000_x");
    let filed = dbvc
        .create("V20251127143000__x.sqlite.sql", "SELECT 1;", json!({}))
        .await
        .expect_status(200);
    assert_eq!(filed.body["migrationId"], "20251127_143000_x");
}

#[tokio::test]
async fn creations_in_one_second_get_versions_that_differ() {
    let dbvc = Dbvc::start().await;
    let one = |name: &'static str| create_named(&dbvc, name, json!({}));
    let (a, b, c, d) = tokio::join!(one("a"), one("b"), one("c"), one("a"));
    let mut versions: Vec<String> = [a, b, c, d]
        .into_iter()
        .map(|answer| text(&answer.expect_status(201).body["version"]))
        .collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 4, "{versions:?}");
    for version in versions {
        let is_time = version.len() == 14 && version.bytes().all(|b| b.is_ascii_digit());
        assert!(is_time, "{version}");
    }
}

#[tokio::test]
async fn a_file_for_another_engine_is_refused_with_the_name_it_should_have() {
    let dbvc = Dbvc::start().await;
    for (file, expected) in [
        ("V1__x.sql", "V1__x.sqlite.sql"),
        ("R__x.sql", "R__x.sqlite.sql"),
    ] {
        let answer = dbvc.create(file, "SELECT 1;", json!({})).await;
        let problem = expect_problem(&answer, 409, "missing-variant");
        assert!(detail(&problem).contains(expected), "{problem:#}");
        assert!(detail(&problem).starts_with(file), "{problem:#}");
    }
    assert_eq!(dbvc.status().await["migrations"], json!([]));
}

#[tokio::test]
async fn the_same_content_registers_once() {
    let dbvc = Dbvc::start().await;
    let down = json!({ "downScript": "DROP TABLE t;" });
    let up = "CREATE TABLE t (id INTEGER);\n";
    let first = dbvc
        .create("V1__t.sqlite.sql", up, down.clone())
        .await
        .expect_status(201);
    // A BOM and the line ends of Windows are the same content.
    let windows = "\u{feff}CREATE TABLE t (id INTEGER);\r\n";
    for text in [up, windows] {
        let again = dbvc
            .create("V1__t.sqlite.sql", text, down.clone())
            .await
            .expect_status(200);
        assert_eq!(again.body["checksum"], first.body["checksum"]);
        assert_eq!(again.body["createdAt"], first.body["createdAt"]);
        assert_eq!(again.header("location"), None);
    }
    let mut told = dbvc.events_of_type("registered").await;
    told.retain(|event| event["migrationId"] == "V1__t");
    assert_eq!(told.len(), 1, "{told:#?}");
    dbvc.run().await;
    let applied = dbvc
        .create("V1__t.sqlite.sql", up, down)
        .await
        .expect_status(200);
    assert_eq!(applied.body["status"], "applied");
}

#[tokio::test]
async fn other_content_needs_the_word_reregister() {
    let dbvc = Dbvc::start().await;
    let up = "CREATE TABLE t (id INTEGER);";
    let down = json!({ "downScript": "DROP TABLE t;" });
    dbvc.create("V1__t.sqlite.sql", up, down.clone())
        .await
        .expect_status(201);
    for (up, more) in [
        ("CREATE TABLE t (id INTEGER, note TEXT);", down),
        (up, json!({ "downScript": "DROP TABLE IF EXISTS t;" })),
        (up, json!({})),
        (
            up,
            json!({ "downScript": "DROP TABLE IF EXISTS t;", "reregister": false }),
        ),
    ] {
        let answer = dbvc.create("V1__t.sqlite.sql", up, more).await;
        let problem = expect_problem(&answer, 409, "already-registered");
        assert!(detail(&problem).contains("reregister"), "{problem:#}");
    }
    assert_eq!(dbvc.migration("V1__t").await["upScript"], up);
}

#[tokio::test]
async fn one_version_exists_once_however_it_is_written() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__first", "SELECT 1;").await;
    for file in [
        "V1__second",
        "V1.0__first",
        "V01__first",
        "V1_0__x",
        "V1.0.0__x",
    ] {
        let answer = dbvc
            .create(&format!("{file}.sqlite.sql"), "SELECT 1;", json!({}))
            .await;
        let problem = expect_problem(&answer, 409, "duplicate-version");
        assert!(
            detail(&problem).contains("V1__first"),
            "{file}: {problem:#}"
        );
    }
    dbvc.register("V1.1__first", "SELECT 1;").await;
}

#[tokio::test]
async fn the_versions_100_and_100_x_are_dbvcs_own() {
    let dbvc = Dbvc::start().await;
    for version in ["100", "100.0", "100.1", "100_7", "0100", "100.0.3"] {
        let answer = create_named(&dbvc, "x", json!({ "version": version })).await;
        expect_problem(&answer, 409, "reserved-version");
        let file = format!("V{version}__x.sqlite.sql");
        let answer = dbvc.create(&file, "SELECT 1;", json!({})).await;
        let problem = expect_problem(&answer, 409, "reserved-version");
        let written = version.replace('_', ".");
        assert!(detail(&problem).contains(&written), "{problem:#}");
    }
    for version in ["99.9", "101", "1000"] {
        create_named(&dbvc, "x", json!({ "version": version }))
            .await
            .expect_status(201);
    }
}

#[tokio::test]
async fn a_pending_migration_is_replaced_by_reregistering() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__t", "CREATE TABLE wrong (id INTEGER);")
        .await;
    let answer = dbvc
        .reregister("V1__t", "CREATE TABLE right (id INTEGER);", json!({}))
        .await;
    assert_eq!(answer.body["status"], "pending");
    let events = dbvc.events_of_type("reregistered").await;
    assert_eq!(events.len(), 1);
    expect_like(
        &events[0],
        &json!({
            "migrationId": "V1__t", "executor": ME, "runId": null, "executionId": null,
            "data": { "checksum": answer.body["checksum"], "applied": false },
        }),
    );
    dbvc.run().await;
    assert!(dbvc.has("right") && !dbvc.has("wrong"));
}

#[tokio::test]
async fn a_checksum_of_a_pending_migration_changed_by_hand_is_refused_at_the_run() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    dbvc.change_by_hand(&format!(
        "UPDATE migration_registry SET up_checksum = '{other}' WHERE migration_id = 'V1__t'"
    ));
    for dry_run in [json!(false), json!("execute")] {
        let answer = dbvc.try_run(json!({ "dryRun": dry_run })).await;
        let problem = expect_problem(&answer, 409, "checksum-mismatch");
        assert!(detail(&problem).contains("V1__t"), "{problem:#}");
    }
    assert!(!dbvc.has("t"));
}

#[tokio::test]
async fn a_text_changed_by_hand_together_with_its_checksum_is_found_by_verifying() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    dbvc.host
        .invoke_timer("dbvc-runs-timer", TimerShape::Regular)
        .await
        .expect_success();
    let evil = "CREATE TABLE evil (id INTEGER);";
    let digest = Sha256::digest(evil.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    dbvc.change_by_hand(&format!(
        "UPDATE migration_registry SET up_script = '{evil}', up_checksum = 'sha256:{hex}' WHERE migration_id = 'V1__t'"
    ));
    let found = dbvc.verify().await;
    assert_eq!(found["healthy"], false);
    let backup = list(&found["checks"])
        .iter()
        .find(|check| check["code"] == "registry-backup")
        .unwrap();
    assert_eq!(backup["status"], "fail");
    assert!(backup["items"].to_string().contains("V1__t"), "{backup:#}");
}

#[tokio::test]
async fn a_pending_migration_can_be_withdrawn_and_its_version_is_free_again() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__wrong", "CREATE TABLE wrong (id INTEGER);")
        .await;
    let path = format!("/api/dbvc/databases/{HOME}/migrations/V1__wrong?executor=somebody");
    let answer = dbvc.host.delete(&path).await.expect_status(200);
    assert_eq!(answer.body["status"], "withdrawn");
    expect_problem(&dbvc.withdraw("V1__wrong").await, 404, "unknown-migration");
    let gone = dbvc
        .host
        .get(&format!("/api/dbvc/databases/{HOME}/migrations/V1__wrong"))
        .await;
    expect_problem(&gone, 404, "unknown-migration");
    let events = dbvc.events_of_type("withdrawn").await;
    assert_eq!(events.len(), 1, "it stays in history");
    expect_like(
        &events[0],
        &json!({ "migrationId": "V1__wrong", "executor": "somebody" }),
    );

    assert_eq!(dbvc.states().await, Vec::<String>::new());
    assert_eq!(dbvc.run().await["status"], "nothing-to-do");
    dbvc.register("V1__right", "CREATE TABLE right (id INTEGER);")
        .await;
    assert_eq!(outcomes(&dbvc.run().await), ["V1__right applied"]);
}

#[tokio::test]
async fn a_withdrawn_migration_can_be_registered_anew() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__t", "CREATE TABLE wrong (id INTEGER);")
        .await;
    dbvc.withdraw("V1__t").await.expect_status(200);
    dbvc.register("V1__t", "CREATE TABLE right (id INTEGER);")
        .await;
    assert_eq!(outcomes(&dbvc.run().await), ["V1__t applied"]);
    assert!(dbvc.has("right") && !dbvc.has("wrong"));
    let kinds: Vec<String> = dbvc
        .events()
        .await
        .iter()
        .filter(|event| event["migrationId"] == "V1__t")
        .map(|event| text(&event["type"]))
        .collect();
    assert_eq!(
        kinds,
        [
            "registered",
            "withdrawn",
            "registered",
            "started",
            "completed"
        ]
    );
}

#[tokio::test]
async fn an_applied_migration_is_protected_until_it_is_rolled_back() {
    let dbvc = Dbvc::start().await;
    dbvc.register_with_down("V1__t", "CREATE TABLE t (id INTEGER);", "DROP TABLE t;")
        .await;
    dbvc.run().await;
    let problem = expect_problem(&dbvc.withdraw("V1__t").await, 409, "protected");
    assert!(detail(&problem).contains("roll it back"), "{problem:#}");
    dbvc.roll_back("V1__t", json!({})).await.expect_status(200);
    dbvc.withdraw("V1__t").await.expect_status(200);
    assert_eq!(
        dbvc.run().await["status"],
        "nothing-to-do",
        "it is not applied again"
    );
    expect_problem(
        &dbvc.roll_back("V1__t", json!({})).await,
        404,
        "unknown-migration",
    );
    // Taken up again it begins anew: nothing of its former life keeps it from running.
    dbvc.register("V1__t", "CREATE TABLE t2 (id INTEGER);")
        .await;
    assert_eq!(dbvc.states().await, ["V1__t pending"]);
    assert_eq!(outcomes(&dbvc.run().await), ["V1__t applied"]);
}

#[tokio::test]
async fn a_failed_migration_can_be_withdrawn() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__t", "CREATE TABLE;").await;
    dbvc.run_badly().await;
    dbvc.withdraw("V1__t").await.expect_status(200);
    assert_eq!(dbvc.run().await["status"], "nothing-to-do");
}

#[tokio::test]
async fn dbvcs_own_migration_can_be_seen_but_neither_withdrawn_nor_rolled_back() {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__t", "SELECT 1;").await;
    let own = "V100__version_control_schema";
    let seen = dbvc.migration(own).await;
    assert_eq!(seen["status"], "applied");
    expect_problem(&dbvc.withdraw(own).await, 409, "protected");
    expect_problem(&dbvc.roll_back(own, json!({})).await, 409, "protected");
    let cascade = json!({ "cascade": true });
    expect_problem(&dbvc.roll_back(own, cascade).await, 409, "protected");
}

#[tokio::test]
async fn a_migration_shows_its_scripts_and_every_attempt() {
    let dbvc = Dbvc::start().await;
    let up = "\u{feff}CREATE TABLE t (id INTEGER);\r\nGO\r\nINSERT INTO t VALUES (1);\r\nGO 3\r\n";
    dbvc.register_with_down("V1__t", up, "DROP TABLE t;").await;
    dbvc.run().await;
    dbvc.roll_back("V1__t", json!({})).await.expect_status(200);
    let migration = dbvc.migration("V1__t").await;
    expect_like(
        &migration,
        &json!({
            "migrationId": "V1__t", "version": "1", "name": "t", "databaseId": HOME, "author": ME, "description": null,
            "checksum": "<sha256>", "downChecksum": "<sha256>", "hasDownScript": true, "status": "rolled-back",
            "createdAt": "<time>", "downScript": "DROP TABLE t;",
            "executions": [
                {
                    "executionId": "<id>", "runId": "<id>", "direction": "down", "status": "rolled-back",
                    "checksum": migration["downChecksum"], "executor": ME, "startedAt": "<time>",
                    "finishedAt": "<time>", "durationMs": "<number>", "errors": [],
                    "batches": [{ "index": 1, "line": 1, "count": 1 }],
                },
                {
                    "executionId": "<id>", "runId": "<id>", "direction": "up", "status": "applied",
                    "checksum": migration["checksum"], "executor": ME, "startedAt": "<time>",
                    "finishedAt": "<time>", "durationMs": "<number>", "errors": [],
                    "batches": [
                        { "index": 1, "line": 1, "count": 1, "rowsAffected": 0, "messages": [] },
                        { "index": 2, "line": 3, "count": 3, "rowsAffected": 3, "messages": [] },
                    ],
                },
            ],
        }),
    );
    assert_eq!(migration["upScript"].as_str(), Some(up), "verbatim");
}

#[tokio::test]
async fn the_script_check_warns_and_refuses() {
    let dbvc = Dbvc::start().await;
    let answer = dbvc
        .create(
            "V1__t.sqlite.sql",
            "CREATE TABLE t (id INTEGER);",
            json!({}),
        )
        .await
        .expect_status(201);
    assert!(
        each(&answer.body["warnings"], "code").contains(&"missing-down-script"),
        "{:#}",
        answer.body
    );
    // An unfinished comment can never run.
    let broken = dbvc
        .create("V2__t.sqlite.sql", "SELECT 1;\n/* never closed", json!({}))
        .await;
    let problem = expect_problem(&broken, 400, "invalid-request");
    assert_eq!(each(&problem["errors"], "field"), ["upScript"]);
    assert_eq!(
        list(&dbvc.status().await["migrations"]).len(),
        2,
        "V100 and V1"
    );
}

#[tokio::test]
async fn databases_keep_their_migrations_apart() {
    let dbvc = Dbvc::start().await;
    dbvc.add_database("reporting").await;
    let elsewhere = json!({ "databaseId": "reporting" });
    dbvc.create("V1__t.sqlite.sql", "SELECT 1;", elsewhere)
        .await
        .expect_status(201);
    dbvc.register("V1__other", "SELECT 1;").await;
    assert_eq!(dbvc.states().await, ["V1__other pending"]);
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_failed_script_of_which_batches_are_applied_is_not_withdrawn() {
    let dbvc = Dbvc::start().await;
    dbvc.register(
        "V1__a",
        "-- dbvc: transaction=off\nCREATE TABLE a (id INTEGER);\nGO\nSELECT nope;",
    )
    .await;
    dbvc.run_badly().await;
    expect_problem(&dbvc.withdraw("V1__a").await, 409, "half-applied");
    assert!(dbvc.has("a"));
}
