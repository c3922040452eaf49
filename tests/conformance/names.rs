//! Tables of the application that bear the names of dbvc's own, and the schema in which dbvc makes its tables.

use serde_json::{Value, json};

use crate::harness::Test;
use crate::support::host::{Answer, Host};
use crate::support::scene::{HOME, Scene, register, rollback_of, run, run_of, trail};
use crate::support::stage::{Engine, Stage};

/// dbvc's own tables.
const OWN_TABLES: [&str; 13] = [
    "audit_events",
    "db_inventory",
    "migration_applied_status",
    "migration_execution_batches",
    "migration_execution_history",
    "migration_locks",
    "migration_registry",
    "migration_run_plans",
    "migration_runs",
    "schema_snapshot_parts",
    "schema_snapshots",
    "trail_announcements",
    "trail_heads",
];

pub fn tests() -> Vec<Test> {
    let mut tests = on_each_engine![
        a_table_with_a_name_of_dbvcs_own_is_found_before_anything_is_made,
        a_view_with_a_name_of_dbvcs_own_is_found_as_well,
        a_run_on_another_database_tells_which_names_are_taken_there,
    ];
    tests.extend(on_t_sql![
        in_a_schema_of_its_own_dbvc_does_all_its_work,
        a_schema_that_is_there_before_is_used,
        a_registry_in_another_schema_than_the_setting_says_is_found,
        tables_of_the_application_in_another_schema_are_not_in_the_way,
        a_default_schema_with_such_tables_is_not_mistaken_for_dbvcs,
        a_missing_right_is_told_with_the_servers_words,
    ]);
    tests
}

/// The name as problems tell it.
fn qualified(scene: &Scene, name: &str) -> String {
    match scene.engine() {
        Engine::Sqlite => name.to_owned(),
        Engine::Babelfish | Engine::SqlServer => format!("dbo.{name}"),
    }
}

/// dbvc's own tables in the home database, each with its schema.
async fn own_tables(scene: &Scene) -> Vec<String> {
    let names = OWN_TABLES.map(|name| format!("'{name}'")).join(", ");
    let query = match scene.engine() {
        Engine::Sqlite => {
            format!("SELECT name FROM sqlite_schema WHERE name IN ({names}) ORDER BY name")
        }
        Engine::Babelfish | Engine::SqlServer => format!(
            "SELECT s.name + '.' + o.name FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id \
             WHERE o.name IN ({names}) ORDER BY 1"
        ),
    };
    scene.read(HOME, &query).await
}

fn new_migration(database: &str) -> Value {
    json!({"name": "step", "version": "1", "databaseId": database, "author": "author@lpa.com",
        "upScript": "CREATE TABLE t1 (id INTEGER);"})
}

/// That the names are taken, and what to do about it.
#[track_caller]
fn expect_taken(scene: &Scene, answer: Answer, names: &[String]) {
    let answer = answer.expect_status(502);
    assert_eq!(answer.body["code"], "database-refused", "{}", answer.text());
    assert!(answer.header("retry-after").is_none());
    let detail = answer.body["detail"].as_str().expect("a text").to_owned();
    let (number, remedy) = match scene.engine() {
        Engine::Sqlite => (Value::Null, "rename them"),
        Engine::Babelfish | Engine::SqlServer => (2714.into(), "set DBVC_SCHEMA to"),
    };
    assert_eq!(answer.body["database"]["number"], number);
    assert!(detail.contains(remedy), "{detail}");
    let message = &answer.body["database"]["message"];
    for name in names {
        assert!(detail.contains(name), "{name}: {detail}");
        assert!(
            message.as_str().expect("a text").contains(name),
            "{message}"
        );
    }
}

async fn a_table_with_a_name_of_dbvcs_own_is_found_before_anything_is_made(stage: &Stage) {
    let scene = stage.scene().await;
    let host = scene.host().start().await;
    // Some have columns of the same names, which is no reason to take them for dbvc's.
    for name in OWN_TABLES {
        let table = qualified(&scene, name);
        let made = format!("CREATE TABLE {table} (id INTEGER, database_id VARCHAR(63))");
        scene.write(HOME, &made).await;
        let told = [format!("{table} (table)")];
        expect_taken(
            &scene,
            host.post("/api/dbvc/migrations", new_migration(HOME)).await,
            &told,
        );
        expect_taken(&scene, run(&host, HOME).await, &told);
        expect_taken(&scene, host.get("/api/dbvc/migrations/status").await, &told);
        assert_eq!(
            own_tables(&scene).await,
            [table.as_str()],
            "nothing is made"
        );
        scene.write(HOME, &format!("DROP TABLE {table}")).await;
    }
    host.post("/api/dbvc/migrations", new_migration(HOME))
        .await
        .expect_status(201);
    assert_eq!(own_tables(&scene).await.len(), OWN_TABLES.len());
}

async fn a_view_with_a_name_of_dbvcs_own_is_found_as_well(stage: &Stage) {
    let scene = stage.scene().await;
    let host = scene.host().start().await;
    let names = ["migration_runs", "trail_heads"].map(|name| qualified(&scene, name));
    let [view, table] = &names;
    scene
        .write(HOME, &format!("CREATE TABLE {table} (database_id INTEGER)"))
        .await;
    scene
        .write(HOME, &format!("CREATE VIEW {view} AS SELECT 1 AS run_id"))
        .await;
    let told = [format!("{view} (view)"), format!("{table} (table)")];
    for path in [
        "/api/dbvc/databases".to_owned(),
        format!("/api/dbvc/history?databaseId={HOME}"),
        "/api/dbvc/runs".to_owned(),
    ] {
        expect_taken(&scene, host.get(&path).await, &told);
    }
    let verify = json!({"databaseId": HOME, "environment": "dev", "executor": "checker@lpa.com"});
    expect_taken(
        &scene,
        host.post("/api/dbvc/integrity/verify", verify).await,
        &told,
    );
    assert_eq!(own_tables(&scene).await, names, "nothing is made");
}

async fn a_run_on_another_database_tells_which_names_are_taken_there(stage: &Stage) {
    let scene = stage.scene_with(&["orders"]).await;
    let host = scene.host().start().await;
    let table = qualified(&scene, "audit_events");
    let taken = format!("CREATE TABLE {table} (id INTEGER)");
    scene.write("orders", &taken).await;
    let mut body = json!({"type": "sql", "engine": "sqlite", "environment": "dev"});
    if scene.engine() != Engine::Sqlite {
        body["engine"] = "sql-server".into();
        body["connection"] = "env:DBVC_CONN_ORDERS".into();
    }
    let told = [format!("{table} (table)")];
    let put = host.put("/api/dbvc/databases/orders", body).await;
    match scene.engine() {
        Engine::Sqlite => expect_taken(&scene, put, &told),
        // Nothing connects to a server before there is something to do.
        Engine::Babelfish | Engine::SqlServer => drop(put.expect_status(201)),
    }
    expect_taken(&scene, run(&host, "orders").await, &told);

    let answer = host
        .get("/api/dbvc/migrations/status")
        .await
        .expect_status(200);
    let databases = answer.body["databases"].as_array().expect("a list");
    let of = |id: &str| {
        let found = databases.iter().find(|found| found["databaseId"] == id);
        found.expect("it is in the inventory")["error"].clone()
    };
    assert_eq!(of(HOME), Value::Null);
    assert_eq!(of("orders")["code"], "database-refused");
    assert!(of("orders")["detail"].to_string().contains(&told[0]));

    let all = host
        .post("/api/dbvc/migrations/run", run_of("all"))
        .await
        .body;
    let part = all["databases"]
        .as_array()
        .or_else(|| all["run"]["databases"].as_array())
        .expect("a run over all")
        .iter()
        .find(|part| part["databaseId"] == "orders")
        .expect("a part of the run")
        .clone();
    assert_eq!(part["problem"]["code"], "database-refused", "{part}");
    assert!(part["problem"]["detail"].to_string().contains(&told[0]));
}

/// A process with another schema for dbvc's own tables.
async fn host_with_schema(scene: &Scene, schema: &str) -> Host {
    scene.host().setting("DBVC_SCHEMA", schema).start().await
}

/// dbvc's own tables in a schema, as [`own_tables`] gives them.
fn all_in(schema: &str) -> Vec<String> {
    OWN_TABLES
        .map(|name| format!("{schema}.{name}"))
        .into_iter()
        .collect()
}

/// The tables of the newest snapshot that somebody takes.
async fn tables_of_snapshot(host: &Host) -> Vec<String> {
    let body = json!({"databaseId": HOME, "environment": "dev", "type": "manual",
        "executor": "checker@lpa.com"});
    let taken = host
        .post("/api/dbvc/snapshots", body)
        .await
        .expect_status(201);
    let id = taken.body["snapshotId"].as_str().expect("an id");
    let path = format!("/api/dbvc/snapshots?databaseId={HOME}&snapshotId={id}");
    let snapshot = host.get(&path).await.expect_status(200).body;
    let schema = &snapshot["schema"];
    assert!(
        !schema["schemas"].to_string().contains("dbvc"),
        "{}",
        schema["schemas"]
    );
    let tables = schema["tables"].as_array().expect("tables");
    let mut names: Vec<String> = tables
        .iter()
        .map(|table| table["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

/// Runs what is pending on a database that holds tables of the application.
async fn first_run(host: &Host) {
    let mut body = run_of(HOME);
    body["allowNotEmpty"] = true.into();
    host.post("/api/dbvc/migrations/run", body)
        .await
        .expect_status(200);
}

/// Registers, runs and rolls back, verifies, and looks at drift.
async fn expect_whole_story(scene: &Scene, host: &Host, schema: &str) {
    register(host, HOME, 1, scene.ledger_table(), None).await;
    register(
        host,
        HOME,
        2,
        "CREATE TABLE t2 (id INTEGER);\nGO\nINSERT INTO ledger VALUES ('V2');\n",
        Some("DROP TABLE t2;"),
    )
    .await;
    first_run(host).await;
    assert_eq!(scene.ledger(HOME).await, ["V2"]);
    host.post(
        "/api/dbvc/migrations/rollback",
        rollback_of(HOME, "V2__step", false),
    )
    .await
    .expect_status(200);
    run(host, HOME).await.expect_status(200);
    assert_eq!(scene.ledger(HOME).await, ["V2", "V2"]);

    let verify = json!({"databaseId": HOME, "environment": "dev", "executor": "checker@lpa.com"});
    let verified = host
        .post("/api/dbvc/integrity/verify", verify)
        .await
        .expect_status(200);
    assert_eq!(verified.body["healthy"], true, "{}", verified.text());
    let events = trail(host, HOME).await;
    let recorded = scene
        .read(HOME, &format!("SELECT COUNT(*) FROM {schema}.audit_events"))
        .await;
    assert_eq!(recorded, [events.len().to_string()]);
    let drift = format!("/api/dbvc/drift?databaseId={HOME}");
    let looked = host.get(&drift).await.expect_status(200);
    assert_ne!(looked.body["detected"], true, "{}", looked.text());
    scene.write(HOME, "CREATE TABLE by_hand (id INTEGER)").await;
    let looked = host.get(&drift).await.expect_status(200);
    assert_eq!(looked.body["detected"], true, "{}", looked.text());
    scene.write(HOME, "DROP TABLE by_hand").await;
    host.get("/api/dbvc/health").await.expect_status(200);
}

async fn in_a_schema_of_its_own_dbvc_does_all_its_work(stage: &Stage) {
    let scene = stage.scene().await;
    scene
        .write(HOME, "CREATE TABLE dbo.audit_events (id INTEGER)")
        .await;
    scene
        .write(HOME, "CREATE VIEW dbo.migration_locks AS SELECT 1 AS one")
        .await;
    let host = host_with_schema(&scene, "dbvc").await;
    expect_whole_story(&scene, &host, "dbvc").await;
    let mut expected = all_in("dbvc");
    expected.extend(["dbo.audit_events", "dbo.migration_locks"].map(str::to_owned));
    expected.sort();
    assert_eq!(own_tables(&scene).await, expected);
    assert_eq!(
        tables_of_snapshot(&host).await,
        ["dbo.audit_events", "dbo.ledger", "dbo.t2"]
    );
    assert_eq!(
        scene
            .read(HOME, "SELECT COUNT(*) FROM dbo.audit_events")
            .await,
        ["0"]
    );
}

async fn a_schema_that_is_there_before_is_used(stage: &Stage) {
    let scene = stage.scene().await;
    scene.write(HOME, "CREATE SCHEMA versions").await;
    let host = host_with_schema(&scene, "Versions").await;
    expect_whole_story(&scene, &host, "versions").await;
    assert_eq!(own_tables(&scene).await, all_in("versions"));
    assert_eq!(tables_of_snapshot(&host).await, ["dbo.ledger", "dbo.t2"]);
}

async fn a_registry_in_another_schema_than_the_setting_says_is_found(stage: &Stage) {
    let scene = stage.scene().await;
    let host = scene.host().start().await;
    scene.make_ledger(&host, HOME).await;
    host.kill().await;
    let host = host_with_schema(&scene, "dbvc").await;
    for answer in [
        run(&host, HOME).await,
        host.post("/api/dbvc/migrations", new_migration(HOME)).await,
        host.get("/api/dbvc/databases").await,
    ] {
        let answer = answer.expect_status(500);
        assert_eq!(answer.body["code"], "misconfigured", "{}", answer.text());
        assert_eq!(answer.body["setting"], "DBVC_SCHEMA");
        let detail = answer.body["detail"].as_str().expect("a text");
        assert!(detail.contains("set DBVC_SCHEMA to dbo"), "{detail}");
    }
    assert_eq!(own_tables(&scene).await, all_in("dbo"), "nothing is made");
}

async fn tables_of_the_application_in_another_schema_are_not_in_the_way(stage: &Stage) {
    let scene = stage.scene().await;
    scene.write(HOME, "CREATE SCHEMA app").await;
    for table in ["audit_events", "trail_heads"] {
        let made = format!("CREATE TABLE app.{table} (id INTEGER)");
        scene.write(HOME, &made).await;
    }
    let host = scene.host().start().await;
    register(&host, HOME, 1, scene.ledger_table(), None).await;
    first_run(&host).await;
    let mut expected = all_in("dbo");
    expected.extend(["app.audit_events", "app.trail_heads"].map(str::to_owned));
    expected.sort();
    assert_eq!(own_tables(&scene).await, expected);
    assert_eq!(
        tables_of_snapshot(&host).await,
        ["app.audit_events", "app.trail_heads", "dbo.ledger"]
    );
}

async fn a_default_schema_with_such_tables_is_not_mistaken_for_dbvcs(stage: &Stage) {
    let scene = stage.scene().await;
    let host = scene.host().start().await;
    scene.make_ledger(&host, HOME).await;
    host.kill().await;
    let login = stage.login().await;
    scene.write(HOME, "CREATE SCHEMA app").await;
    let user = format!(
        "CREATE USER tester FOR LOGIN {} WITH DEFAULT_SCHEMA = app",
        login.name
    );
    scene.write(HOME, &user).await;
    for table in OWN_TABLES {
        let made = format!("CREATE TABLE app.{table} (id INTEGER, database_id VARCHAR(63))");
        scene.write(HOME, &made).await;
        for schema in ["app", "dbo"] {
            let granted =
                format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.{table} TO tester");
            scene.write(HOME, &granted).await;
        }
    }
    let host = scene.host_as(&login).start().await;
    let events = trail(&host, HOME).await;
    register(&host, HOME, 2, "CREATE TABLE t2 (id INTEGER);", None).await;
    assert_eq!(trail(&host, HOME).await.len(), events.len() + 1);
    let verify = json!({"databaseId": HOME, "environment": "dev", "executor": "checker@lpa.com"});
    let verified = host
        .post("/api/dbvc/integrity/verify", verify)
        .await
        .expect_status(200);
    // What was made by hand is drift, and nothing else is wrong.
    let checks = verified.body["checks"].as_array().expect("checks").iter();
    let failed: Vec<&str> = checks
        .filter(|check| check["status"] == "fail")
        .map(|check| check["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(failed, ["drift"], "{}", verified.text());
    for table in OWN_TABLES {
        let count = format!("SELECT COUNT(*) FROM app.{table}");
        assert_eq!(scene.read(HOME, &count).await, ["0"], "{table}");
    }
}

async fn a_missing_right_is_told_with_the_servers_words(stage: &Stage) {
    let scene = stage.scene().await;
    let login = stage.login().await;
    let user = format!("CREATE USER tester FOR LOGIN {}", login.name);
    scene.write(HOME, &user).await;
    let host = scene.host_as(&login).start().await;
    let answer = host
        .post("/api/dbvc/migrations", new_migration(HOME))
        .await
        .expect_status(502);
    assert_eq!(answer.body["code"], "database-refused", "{}", answer.text());
    let refused = &answer.body["database"];
    let message = refused["message"].as_str().expect("a text");
    assert!(message.contains("permission"), "{message}");
    let number = refused["number"].as_i64().expect("a number");
    if scene.engine() == Engine::SqlServer {
        assert!([262, 2760].contains(&number), "{number}");
    }
    let detail = answer.body["detail"].as_str().expect("a text");
    assert!(detail.contains(message), "{detail}");
    assert_eq!(own_tables(&scene).await.len(), 0, "nothing is made");
}
