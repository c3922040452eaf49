//! The first run on a database: one that is not empty is refused and left as it is, at every door, until the caller says what to do.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::Test;
use crate::support::scene::{HOME, Scene, expect_locked, run};
use crate::support::stage::{Engine, Stage};
use crate::support::team::{Team, detail, each, expect_problem, outcomes};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        a_database_of_tables_only_is_refused_and_untouched,
        databases_that_other_tools_describe_are_refused_and_untouched,
        the_shell_refuses_before_it_creates_anything_and_says_both_ways_on,
        the_shell_goes_on_by_baseline_and_by_allow_not_empty,
        registered_scripts_do_not_make_a_database_known,
        a_baseline_is_a_way_on,
        allow_not_empty_is_a_way_on,
        a_database_that_dbvc_changed_once_is_never_asked_again,
        what_failed_in_its_transaction_leaves_a_database_unknown,
        what_failed_half_way_without_a_transaction_does_not_lead_into_not_empty,
        a_run_in_progress_is_waited_for_and_not_taken_for_somebody_elses_tables,
        a_run_over_all_creates_no_registry_in_a_home_database_that_is_refused,
        a_database_that_dbvc_manages_under_another_id_is_refused_by_name,
    ]
}

/// A change that must never reach what was there: it empties one table and doubles the amounts of another.
const SCRIPTS: [(&str, &str); 2] = [
    (
        "V1__customers",
        "DROP TABLE customers;\nGO\nCREATE TABLE customers (id INT NOT NULL PRIMARY KEY, name NVARCHAR(50) NOT NULL);\n",
    ),
    ("V2__amounts", "UPDATE payments SET amount = amount * 2;\n"),
];

/// Creates what a database of an application holds: 2 tables and a view.
async fn make_application(scene: &Scene) {
    for statement in [
        "CREATE TABLE customers (id INT NOT NULL PRIMARY KEY, name NVARCHAR(50) NOT NULL)",
        "CREATE TABLE payments (id INT NOT NULL, amount INT NOT NULL)",
        "CREATE VIEW large_payments AS SELECT id FROM payments WHERE amount > 50",
        "INSERT INTO customers VALUES (1, 'Ada')",
        "INSERT INTO payments VALUES (1, 100)",
    ] {
        scene.write(HOME, statement).await;
    }
}

/// Another tool, the history table as the database names it, and how it comes to be.
struct History {
    tool: &'static str,
    table: &'static str,
    create: &'static [&'static str],
    drop: &'static [&'static str],
}

const FLYWAY: History = History {
    tool: "Flyway",
    table: "flyway_schema_history",
    create: &[
        "CREATE TABLE flyway_schema_history (installed_rank INT NOT NULL PRIMARY KEY, version NVARCHAR(50), \
         description NVARCHAR(200), type NVARCHAR(20) NOT NULL, script NVARCHAR(1000) NOT NULL, checksum INT, \
         installed_by NVARCHAR(100) NOT NULL, installed_on DATETIME NOT NULL, execution_time INT NOT NULL, success BIT NOT NULL)",
        "INSERT INTO flyway_schema_history VALUES \
         (1, '1', 'customers', 'SQL', 'V1__customers.sql', 1, 'ada', '2025-11-27 14:30:00', 5, 1)",
    ],
    drop: &["DROP TABLE flyway_schema_history"],
};

const HISTORIES: [History; 6] = [
    FLYWAY,
    History {
        tool: "DbUp",
        table: "SchemaVersions",
        create: &[
            "CREATE TABLE SchemaVersions (Id INT NOT NULL PRIMARY KEY, ScriptName NVARCHAR(255) NOT NULL, Applied DATETIME NOT NULL)",
            "INSERT INTO SchemaVersions VALUES (1, 'customers.sql', '2025-11-27 14:30:00')",
        ],
        drop: &["DROP TABLE SchemaVersions"],
    },
    History {
        tool: "Evolve",
        table: "changelog",
        create: &[
            "CREATE TABLE changelog (id INT NOT NULL PRIMARY KEY, type INT, version NVARCHAR(50), description NVARCHAR(200) NOT NULL, \
             name NVARCHAR(300) NOT NULL, checksum NVARCHAR(32), installed_by NVARCHAR(100) NOT NULL, \
             installed_on DATETIME NOT NULL, success BIT NOT NULL)",
        ],
        drop: &["DROP TABLE changelog"],
    },
    History {
        tool: "FluentMigrator",
        table: "VersionInfo",
        create: &[
            "CREATE TABLE VersionInfo (Version BIGINT NOT NULL, AppliedOn DATETIME, Description NVARCHAR(1024))",
        ],
        drop: &["DROP TABLE VersionInfo"],
    },
    History {
        tool: "Entity Framework Core",
        table: "__EFMigrationsHistory",
        create: &[
            "CREATE TABLE [__EFMigrationsHistory] (MigrationId NVARCHAR(150) NOT NULL PRIMARY KEY, ProductVersion NVARCHAR(32) NOT NULL)",
        ],
        drop: &["DROP TABLE [__EFMigrationsHistory]"],
    },
    History {
        tool: "Liquibase",
        table: "DATABASECHANGELOG",
        create: &[
            "CREATE TABLE DATABASECHANGELOG (ID NVARCHAR(255) NOT NULL, AUTHOR NVARCHAR(255) NOT NULL, \
             FILENAME NVARCHAR(255) NOT NULL, DATEEXECUTED DATETIME NOT NULL, ORDEREXECUTED INT NOT NULL, \
             EXECTYPE NVARCHAR(10) NOT NULL, MD5SUM NVARCHAR(35))",
        ],
        drop: &["DROP TABLE DATABASECHANGELOG"],
    },
];

/// grate keeps its tables in a schema of its own, or under a prefix where there are no schemas.
fn grate(engine: Engine) -> History {
    match engine {
        Engine::Sqlite => History {
            tool: "grate",
            table: "grate_ScriptsRun",
            create: &[
                "CREATE TABLE grate_ScriptsRun (id INT NOT NULL PRIMARY KEY, version_id BIGINT, script_name NVARCHAR(255), \
                 text_of_script NVARCHAR(100), text_hash NVARCHAR(512), one_time_script BIT, entry_date DATETIME)",
            ],
            drop: &["DROP TABLE grate_ScriptsRun"],
        },
        Engine::Babelfish | Engine::SqlServer => History {
            tool: "grate",
            table: "grate.ScriptsRun",
            create: &[
                "CREATE SCHEMA grate",
                "CREATE TABLE grate.ScriptsRun (id INT NOT NULL PRIMARY KEY, version_id BIGINT, script_name NVARCHAR(255), \
                 text_of_script NVARCHAR(100), text_hash NVARCHAR(512), one_time_script BIT, entry_date DATETIME)",
            ],
            drop: &["DROP TABLE grate.ScriptsRun", "DROP SCHEMA grate"],
        },
    }
}

/// Everything that is there: each byte of the file, or each object with its columns; the rows; and the files beside it.
async fn contents(scene: &Scene) -> Vec<String> {
    let mut found = match scene.engine() {
        Engine::Sqlite => {
            let bytes = std::fs::read(scene.data_dir().join(format!("{HOME}.sqlite")))
                .expect("the file can be read");
            vec![format!("{:x?}", Sha256::digest(bytes))]
        }
        Engine::Babelfish | Engine::SqlServer => {
            scene
                .read(
                    HOME,
                    "SELECT CONCAT(o.name, '.', c.name, ' ', c.column_id) FROM sys.objects o \
                     LEFT JOIN sys.columns c ON c.object_id = o.object_id WHERE o.is_ms_shipped = 0 ORDER BY 1",
                )
                .await
        }
    };
    found.extend(
        scene
            .read(HOME, "SELECT name FROM customers ORDER BY id")
            .await,
    );
    found.extend(
        scene
            .read(HOME, "SELECT amount FROM payments ORDER BY id")
            .await,
    );
    let mut files: Vec<String> = std::fs::read_dir(scene.data_dir())
        .expect("the folder can be read")
        .map(|entry| entry.expect("a file").file_name().display().to_string())
        // Made and taken away by SQLite while the file is open.
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    files.sort();
    found.extend(files);
    found
}

/// The scripts, as a dry run is sent them.
fn inline(team: &Team) -> Value {
    SCRIPTS
        .iter()
        .map(|(name, script)| json!({ "fileName": team.file(name), "upScript": script }))
        .collect()
}

/// Asks at every HTTP door, each of which must refuse; the last refusal.
async fn expect_refused(scene: &Scene, team: &Team) -> Value {
    let before = contents(scene).await;
    let mut problems = Vec::new();
    for body in [
        json!({}),
        json!({ "dryRun": true, "migrations": inline(team) }),
        json!({ "dryRun": "execute", "migrations": inline(team) }),
        json!({ "databaseId": "all" }),
        json!({ "databaseId": "all", "dryRun": true }),
        json!({ "allowNotEmpty": false }),
    ] {
        let answer = team.try_run(body.clone()).await;
        if body["databaseId"] == "all" && body["dryRun"] == true {
            // Each database is judged by itself; this one is the only one.
            let problem = expect_problem(&answer, 422, "migration-failed");
            assert_eq!(
                problem["run"]["databases"][0]["problem"]["code"],
                "not-empty"
            );
            continue;
        }
        let mut problem = expect_problem(&answer, 409, "not-empty");
        let database = &problem["run"]["databases"][0];
        assert_eq!(database["problem"]["detail"], problem["detail"]);
        assert_eq!(database["migrations"], json!([]));
        problem["run"] = Value::Null;
        problems.push(problem);
        assert_eq!(contents(scene).await, before, "{body}");
    }
    let last = problems.pop().expect("a refusal");
    for problem in problems {
        assert_eq!(problem, last, "every door says the same");
    }
    for word in ["baseline", "allowNotEmpty: true", HOME] {
        assert!(detail(&last).contains(word), "{word}: {last:#}");
    }
    last
}

async fn a_database_of_tables_only_is_refused_and_untouched(stage: &Stage) {
    let (scene, team) = stage.team().await;
    make_application(&scene).await;
    let problem = expect_refused(&scene, &team).await;
    assert_eq!(problem["objectCounts"]["tables"], 2, "{problem:#}");
    assert_eq!(problem["objectCounts"]["views"], 1, "{problem:#}");
    assert_eq!(problem["otherTools"], json!([]));
    assert_eq!(problem["managedAs"], json!([]));
    assert!(
        detail(&problem).contains("2 tables and 1 view"),
        "{problem:#}"
    );
    assert!(!scene.has("migration_registry").await);
}

async fn databases_that_other_tools_describe_are_refused_and_untouched(stage: &Stage) {
    let (scene, team) = stage.team().await;
    make_application(&scene).await;
    for history in HISTORIES.into_iter().chain([grate(scene.engine())]) {
        for statement in history.create {
            scene.write(HOME, statement).await;
        }
        let problem = expect_refused(&scene, &team).await;
        assert_eq!(problem["objectCounts"]["tables"], 3, "{problem:#}");
        assert_eq!(each(&problem["otherTools"], "tool"), [history.tool]);
        let table = each(&problem["otherTools"], "table")[0].to_lowercase();
        let expected = history.table.to_lowercase();
        assert!(
            table == expected || table == format!("dbo.{expected}"),
            "{table}"
        );
        let said = detail(&problem);
        assert!(
            said.contains(&format!("(history of {})", history.tool)),
            "{said}"
        );
        for statement in history.drop {
            scene.write(HOME, statement).await;
        }
    }
}

/// `dbvc migrate` with the scripts in a folder.
async fn migrate(scene: &Scene, folder: &Path, arguments: &[&str]) -> Output {
    let suffix = match scene.engine() {
        Engine::Sqlite => ".sqlite.sql",
        Engine::Babelfish | Engine::SqlServer => ".sql",
    };
    for (name, script) in SCRIPTS {
        std::fs::write(folder.join(format!("{name}{suffix}")), script).expect("a script");
    }
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dbvc"));
    command
        .arg("migrate")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("USER", "ada")
        .env("DBVC_DATA_DIR", scene.data_dir())
        .env("DBVC_MIGRATIONS_DIR", folder);
    if let Some(connection_string) = scene.home_connection_string() {
        command.env("SQL_CONNECTION_STRING", connection_string);
    }
    command.output().await.expect("the command runs")
}

#[track_caller]
fn expect_output(output: &Output, code: i32, words: &[&str]) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing:\n{text}");
    }
    text
}

async fn the_shell_refuses_before_it_creates_anything_and_says_both_ways_on(stage: &Stage) {
    let scene = stage.scene().await;
    make_application(&scene).await;
    for statement in FLYWAY.create {
        scene.write(HOME, statement).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let before = contents(&scene).await;
    for arguments in [&[][..], &["--dry-run"], &["--database", HOME]] {
        let output = migrate(&scene, folder.path(), arguments).await;
        let text = expect_output(
            &output,
            1,
            &[
                "3 tables and 1 view",
                "flyway_schema_history (history of Flyway)",
                "--baseline VERSION",
                "--allow-not-empty",
            ],
        );
        // The words of another door, and what would have been done.
        for word in ["allowNotEmpty", "registered", "would apply"] {
            assert!(!text.contains(word), "{word:?}:\n{text}");
        }
        assert_eq!(contents(&scene).await, before, "{arguments:?}");
    }
}

async fn the_shell_goes_on_by_baseline_and_by_allow_not_empty(stage: &Stage) {
    let scene = stage.scene().await;
    make_application(&scene).await;
    let folder = tempfile::tempdir().expect("a folder");
    let before = contents(&scene).await;
    let previewed = migrate(
        &scene,
        folder.path(),
        &["--dry-run", "--baseline", "1", "--target", "1"],
    )
    .await;
    expect_output(&previewed, 0, &["would baseline  V1__customers"]);
    let wrong = migrate(&scene, folder.path(), &["--baseline", "one"]).await;
    expect_output(&wrong, 2, &["--baseline"]);
    assert_eq!(contents(&scene).await, before);

    let done = migrate(&scene, folder.path(), &["--baseline", "1"]).await;
    let text = expect_output(
        &done,
        0,
        &[
            "baselined       V1__customers\n",
            "applied         V2__amounts",
            "version 2",
        ],
    );
    assert!(!text.contains("applied         V1__customers"), "{text}");
    assert_eq!(
        scene.read(HOME, "SELECT name FROM customers").await,
        ["Ada"]
    );
    assert_eq!(
        scene.read(HOME, "SELECT amount FROM payments").await,
        ["200"]
    );
    expect_output(
        &migrate(&scene, folder.path(), &[]).await,
        0,
        &["nothing to do   version 2"],
    );

    let other = stage.scene().await;
    make_application(&other).await;
    let done = migrate(&other, folder.path(), &["--allow-not-empty"]).await;
    expect_output(
        &done,
        0,
        &[
            "applied         V1__customers",
            "applied         V2__amounts",
        ],
    );
    assert!(
        other
            .read(HOME, "SELECT name FROM customers")
            .await
            .is_empty()
    );
}

async fn registered_scripts_do_not_make_a_database_known(stage: &Stage) {
    let (scene, team) = stage.team().await;
    for (name, script) in SCRIPTS {
        team.register(name, script).await;
    }
    make_application(&scene).await;
    let before = contents_of_application(&scene).await;
    let answer = team.try_run(json!({})).await;
    let problem = expect_problem(&answer, 409, "not-empty");
    assert_eq!(problem["objectCounts"]["tables"], 2, "{problem:#}");
    let previewed = team.try_run(json!({ "dryRun": true })).await;
    expect_problem(&previewed, 409, "not-empty");
    let tried = team.try_run(json!({ "dryRun": "execute" })).await;
    expect_problem(&tried, 409, "not-empty");
    assert_eq!(contents_of_application(&scene).await, before);
    assert_eq!(
        team.states().await,
        ["V1__customers pending", "V2__amounts pending"]
    );
    // A registry is there, so the trail has the refusal of the run; dry runs leave no event.
    let refused = team.events_of_type("refused").await;
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert_eq!(refused[0]["data"]["code"], "not-empty");
    let folder = tempfile::tempdir().expect("a folder");
    let output = migrate(&scene, folder.path(), &[]).await;
    expect_output(&output, 1, &["--baseline VERSION"]);
    assert_eq!(team.events_of_type("refused").await.len(), 2);
}

async fn contents_of_application(scene: &Scene) -> Vec<String> {
    let mut rows = scene.read(HOME, "SELECT name FROM customers").await;
    rows.extend(scene.read(HOME, "SELECT amount FROM payments").await);
    rows
}

async fn a_baseline_is_a_way_on(stage: &Stage) {
    let (scene, team) = stage.team().await;
    make_application(&scene).await;
    for (name, script) in SCRIPTS {
        team.register(name, script).await;
    }
    let previewed = team
        .try_run(json!({ "dryRun": true, "baseline": "1" }))
        .await
        .expect_status(200);
    assert_eq!(
        outcomes(&previewed.body["databases"][0]),
        ["V1__customers planned", "V2__amounts planned"]
    );
    let done = team.run_with(json!({ "baseline": "1" })).await;
    assert_eq!(
        outcomes(&done),
        ["V1__customers applied", "V2__amounts applied"]
    );
    assert_eq!(contents_of_application(&scene).await, ["Ada", "200"]);
    assert_eq!(team.run().await["status"], "nothing-to-do");
}

async fn allow_not_empty_is_a_way_on(stage: &Stage) {
    let (scene, team) = stage.team().await;
    make_application(&scene).await;
    team.register("V1__payments", "UPDATE payments SET amount = amount + 1;")
        .await;
    let tried = team
        .try_run(json!({ "dryRun": "execute", "allowNotEmpty": true }))
        .await
        .expect_status(200);
    assert_eq!(
        outcomes(&tried.body["databases"][0]),
        ["V1__payments planned"]
    );
    let done = team.run_with(json!({ "allowNotEmpty": true })).await;
    assert_eq!(outcomes(&done), ["V1__payments applied"]);
    assert_eq!(contents_of_application(&scene).await, ["Ada", "101"]);
    team.register("V2__payments", "UPDATE payments SET amount = amount + 1;")
        .await;
    assert_eq!(outcomes(&team.run().await), ["V2__payments applied"]);
    scene.expect_sound(&team.host, HOME).await;
}

async fn a_database_that_dbvc_changed_once_is_never_asked_again(stage: &Stage) {
    let (scene, team) = stage.team().await;
    let id = team
        .register_with_down("V1__t", "CREATE TABLE t (id INTEGER);", "DROP TABLE t;")
        .await;
    // On an empty database nothing is asked, whatever its first run does.
    assert_eq!(outcomes(&team.run().await), ["V1__t applied"]);
    make_application(&scene).await;
    assert_eq!(team.run().await["status"], "nothing-to-do");
    team.roll_back(&id, json!({})).await.expect_status(200);
    assert_eq!(
        outcomes(&team.run().await),
        ["V1__t applied"],
        "what was rolled back was applied once"
    );
}

async fn what_failed_in_its_transaction_leaves_a_database_unknown(stage: &Stage) {
    let (scene, team) = stage.team().await;
    make_application(&scene).await;
    team.register(
        "V1__bad",
        "CREATE TABLE t (id INTEGER);\nGO\nDROP TABLE missing;",
    )
    .await;
    let failed = team.try_run(json!({ "allowNotEmpty": true })).await;
    expect_problem(&failed, 422, "migration-failed");
    assert!(!scene.has("t").await);
    let again = team.try_run(json!({})).await;
    expect_problem(&again, 409, "not-empty");
}

async fn what_failed_half_way_without_a_transaction_does_not_lead_into_not_empty(stage: &Stage) {
    let (scene, team) = stage.team().await;
    let directive = "-- dbvc: transaction=off\n";
    team.register(
        "V1__bad",
        &format!("{directive}CREATE TABLE t (id INTEGER);\nGO\nDROP TABLE missing;"),
    )
    .await;
    team.run_badly().await;
    assert!(scene.has("t").await);
    // What it left is dbvc's own doing: the run goes on with the batch that failed.
    let again = team.run_badly().await;
    assert_eq!(outcomes(&again), ["V1__bad failed"]);
    team.reregister(
        "V1__bad",
        &format!("{directive}CREATE TABLE t (id INTEGER);\nGO\nCREATE TABLE u (id INTEGER);"),
        json!({}),
    )
    .await;
    assert_eq!(outcomes(&team.run().await), ["V1__bad applied"]);
}

async fn a_run_in_progress_is_waited_for_and_not_taken_for_somebody_elses_tables(stage: &Stage) {
    let scene = stage.scene().await;
    let host = scene.host_stopping_at("planned").start().await;
    let team = scene.team().await;
    team.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    let (answer, ()) = tokio::join!(run(&host, HOME), async {
        scene.stopped().await;
        // As if the first run had been allowed to run on these: the second must wait for it, whatever it sees.
        scene.write(HOME, "CREATE TABLE other (id INTEGER)").await;
        expect_locked(team.try_run(json!({})).await);
        scene.go_on();
    });
    answer.expect_status(200);
    assert_eq!(team.run().await["status"], "nothing-to-do");
}

async fn a_run_over_all_creates_no_registry_in_a_home_database_that_is_refused(stage: &Stage) {
    let (scene, team) = stage.team().await;
    make_application(&scene).await;
    let before = contents(&scene).await;
    let answer = team.try_run(json!({ "databaseId": "all" })).await;
    expect_problem(&answer, 409, "not-empty");
    assert_eq!(contents(&scene).await, before);
    // With the answer given, all of the environment is worked on.
    let done = team
        .try_run(json!({ "databaseId": "all", "allowNotEmpty": true }))
        .await
        .expect_status(200);
    assert_eq!(
        each(&done.body["databases"], "status"),
        ["nothing-to-do"],
        "{}",
        done.text()
    );
    // Nothing was applied, so the database is still unknown, and judged by itself.
    let again = team.try_run(json!({ "databaseId": "all" })).await;
    let problem = expect_problem(&again, 422, "migration-failed");
    assert_eq!(
        problem["run"]["databases"][0]["problem"]["code"],
        "not-empty"
    );
}

async fn a_database_that_dbvc_manages_under_another_id_is_refused_by_name(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    team.run().await;
    if scene.engine() == Engine::Sqlite {
        // A file is found by its id.
        let copy = scene.data_dir().join("renamed.sqlite");
        scene
            .write(HOME, &format!("VACUUM INTO '{}'", copy.display()))
            .await;
    }
    let renamed = scene
        .host()
        .setting("DBVC_DATABASE_ID", "renamed")
        .start()
        .await;
    let answer = run(&renamed, "renamed").await;
    let problem = expect_problem(&answer, 409, "not-empty");
    assert_eq!(problem["managedAs"], json!([HOME]), "{problem:#}");
    assert_eq!(problem["objectCounts"]["tables"], 1);
    let said = detail(&problem);
    assert!(
        said.contains(&format!("dbvc already manages this database as {HOME}")),
        "{said}"
    );
    assert!(said.contains("DBVC_DATABASE_ID"), "{said}");
    assert!(!said.contains("baseline"), "{said}");
}
