//! Whose archive it is: one database has one history, from whichever machine it is reached and wherever it is archived.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Test;
use crate::support::cosmos::{CosmosDouble, container_of, documents_of};
use crate::support::machine::Machine;
use crate::support::scene::{HOME, Scene, expect_whole_chain, trail, until};
use crate::support::stage::{Engine, Stage};
use crate::support::team::{Team, detail, each, expect_problem, list, text};

/// The archive's database that no setting names.
const DATABASE: &str = "version-control";

/// Every table of dbvc's own, in an order in which each can be dropped or emptied.
const OWN_TABLES: [&str; 13] = [
    "schema_snapshot_parts",
    "schema_snapshots",
    "migration_execution_batches",
    "migration_execution_history",
    "migration_applied_status",
    "migration_registry",
    "migration_locks",
    "migration_run_plans",
    "migration_runs",
    "audit_events",
    "trail_announcements",
    "trail_heads",
    "db_inventory",
];

pub fn tests() -> Vec<Test> {
    let mut tests = on_each_engine![
        an_account_that_is_configured_later_gets_everything,
        another_database_with_the_same_id_is_no_lost_registry,
        a_lost_registry_is_restored_only_where_its_objects_are,
        a_restored_copy_is_told_where_its_history_parts,
        a_process_killed_while_it_fills_a_new_archive_leaves_nothing_out,
        a_damaged_registry_is_not_taken_for_a_new_database,
        a_registry_and_an_archive_of_commit_dd81177_go_on,
    ];
    tests.extend(on_t_sql![
        two_machines_share_one_database_and_one_trail,
        a_folder_that_was_used_embedded_begins_anew_on_each_server_database,
        a_server_without_an_account_has_no_archive_and_says_so,
        what_an_earlier_dbvc_delivered_to_a_file_is_taken_back,
    ]);
    tests
}

fn table(name: &str) -> String {
    format!("CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY);")
}

/// Scripts of a machine that make a table and drop it again, for each engine.
fn add_table(machine: &Machine, version: usize, name: &str) {
    for suffix in ["sql", "sqlite.sql"] {
        machine.script(&format!("V{version}__{name}.{suffix}"), &table(name));
        machine.script(
            &format!("U{version}__{name}.{suffix}"),
            &format!("DROP TABLE {name};"),
        );
    }
}

async fn drop_registry(scene: &Scene, database: &str) {
    for table in OWN_TABLES {
        scene.write(database, &format!("DROP TABLE {table};")).await;
    }
}

/// What a container of the archive has of a database.
async fn archived(account: &CosmosDouble, container: &str, partition: &str) -> Vec<Value> {
    let client = account.client().await;
    documents_of(&container_of(&client, DATABASE, container).await, partition).await
}

async fn team_with_account(scene: &Scene, account: &CosmosDouble) -> Team {
    let host = scene
        .host()
        .setting("DBVC_COSMOS_CONNECTION_STRING", account.connection_string());
    scene.team_with(host).await
}

fn check<'a>(verification: &'a Value, code: &str) -> &'a Value {
    list(&verification["checks"])
        .iter()
        .find(|check| check["code"] == code)
        .unwrap_or_else(|| panic!("no check {code}: {verification:#}"))
}

async fn two_machines_share_one_database_and_one_trail(stage: &Stage) {
    let scene = stage.scene().await;
    let mut machines = [Machine::new(), Machine::new()];
    for machine in &mut machines {
        machine.set(scene.settings_of(HOME));
    }
    for round in 1..=5 {
        // A script reaches the other machine with the next pull.
        for machine in &machines {
            for version in [2 * round - 1, 2 * round] {
                add_table(machine, version, &format!("t{version}"));
            }
        }
        for (number, machine) in machines.iter().enumerate() {
            let target = (2 * round - 1 + number).to_string();
            let said = machine.run_beside(&["migrate", "--target", &target]).await;
            said.expect(0)
                .says(&format!("version {target}"))
                .says("integrity: 11 checks, 11 passed, 0 to know, 0 failed");
        }
    }
    for machine in &machines {
        assert!(!machine.data_dir().exists(), "nothing is kept on a machine");
    }
    let [one, other] = [scene.team().await, scene.team().await];
    let events = trail(&one.host, HOME).await;
    expect_whole_chain(&events);
    assert_eq!(trail(&other.host, HOME).await, events);
    for team in [&one, &other] {
        assert_eq!(team.verify().await["healthy"], true);
    }
    // The second machine sees what was changed since the first one's run, object by object.
    scene.write(HOME, "CREATE TABLE by_hand (id INT);").await;
    let drift = other.drift().await;
    assert_eq!(drift["detected"], true, "{drift:#}");
    assert!(
        list(&drift["changes"])
            .iter()
            .any(|change| text(&change["name"]).contains("by_hand")),
        "{drift:#}"
    );
}

async fn a_folder_that_was_used_embedded_begins_anew_on_each_server_database(stage: &Stage) {
    let scene = stage.scene_with(&["second"]).await;
    let mut machine = Machine::new();
    add_table(&machine, 1, "orders");
    machine.run_beside(&["migrate"]).await.expect(0);
    for database in [HOME, "second"] {
        machine.set(scene.settings_of(database));
        for said in ["applied", "nothing to do"] {
            let outcome = machine.run_beside(&["migrate"]).await;
            outcome
                .expect(0)
                .says(said)
                .says("integrity: 11 checks, 11 passed");
        }
        let count = "SELECT COUNT(*) FROM orders";
        assert_eq!(scene.read(database, count).await, ["0"], "{database}");
        let first = "SELECT event_id FROM audit_events WHERE sequence = 1";
        let first = scene.read(database, first).await;
        let other = match database {
            HOME => "second",
            _ => HOME,
        };
        if database == "second" {
            let others = "SELECT event_id FROM audit_events WHERE sequence = 1";
            assert_ne!(scene.read(other, others).await, first, "each has its own");
        }
    }
}

async fn a_server_without_an_account_has_no_archive_and_says_so(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__orders", &table("orders")).await;
    team.run().await;
    let health = team.host.get("/api/dbvc/health").await.expect_status(200);
    assert_eq!(health.body["status"], "healthy", "{}", health.text());
    let in_health = &health.body["checks"]["trail"];
    assert_eq!(in_health["archive"], "none", "{in_health}");
    assert_eq!(in_health["undelivered"], 0, "{in_health}");
    assert_eq!(team.status().await["archive"], "none");
    let verification = team.verify().await;
    for code in ["trail-delivery", "registry-backup"] {
        let check = check(&verification, code);
        assert_eq!(check["status"], "pass", "{check:#}");
        assert!(text(&check["detail"]).contains("no archive"), "{check:#}");
    }
    let history = team
        .host
        .get(&format!("/api/dbvc/history?databaseId={HOME}"))
        .await;
    assert_eq!(history.body["source"], "registry");
    // What is staged stays where every machine finds it.
    let staged = "SELECT COUNT(*) FROM schema_snapshot_parts";
    assert_ne!(scene.read(HOME, staged).await, ["0"]);
    assert!(!scene.data_dir().join("_version-control.sqlite").exists());
}

async fn an_account_that_is_configured_later_gets_everything(stage: &Stage) {
    let scene = stage.scene().await;
    {
        let team = scene.team().await;
        team.register("V1__orders", &table("orders")).await;
        team.run().await;
        team.snapshot("baseline").await;
        scene.expect_sound(&team.host, HOME).await;
    }
    let account = CosmosDouble::start().await;
    let team = team_with_account(&scene, &account).await;
    // Nobody takes the file of the machine for the account's content.
    let verification = team.verify().await;
    assert_eq!(verification["healthy"], true, "{verification:#}");
    let waiting = check(&verification, "trail-delivery");
    assert_eq!(waiting["status"], "warn", "{waiting:#}");

    team.register("V2__customers", &table("customers")).await;
    team.run().await;
    let verification = team.verify_with(json!({ "fix": true })).await;
    assert_eq!(verification["healthy"], true, "{verification:#}");
    let events = trail(&team.host, HOME).await;
    expect_whole_chain(&events);
    let delivered = archived(&account, "change-events", HOME).await;
    assert_eq!(delivered.len(), events.len());
    let copies = archived(&account, "migrations", HOME).await;
    assert_eq!(copies.len(), 3, "V100, V1 and V2");
    if scene.engine() == Engine::Sqlite {
        // What the file beside the database has went to the account as well; the trail says so.
        let fixed = team.events_of_type("integrity-fixed").await;
        assert!(
            fixed
                .iter()
                .any(|event| event.to_string().contains("another archive")),
            "{fixed:#?}"
        );
    }
    let snapshots = archived(&account, "schema-snapshots", HOME).await;
    let headers = snapshots
        .iter()
        .filter(|document| document["kind"] == "snapshot");
    let on_record = "SELECT COUNT(*) FROM schema_snapshots";
    assert_eq!(
        scene.read(HOME, on_record).await,
        [headers.count().to_string()]
    );
    let staged = "SELECT COUNT(*) FROM schema_snapshot_parts";
    assert_eq!(scene.read(HOME, staged).await, ["0"]);
    assert_eq!(team.drift().await["detected"], false);
}

/// The name of the table that is made in a database.
fn name_in(database: &str) -> String {
    database.replace('-', "_")
}

async fn a_process_killed_while_it_fills_a_new_archive_leaves_nothing_out(stage: &Stage) {
    let scene = stage.scene().await;
    let account = CosmosDouble::start().await;
    {
        let team = team_with_account(&scene, &account).await;
        team.register("V1__orders", &table("orders")).await;
        team.run().await;
        team.verify_with(json!({ "fix": true })).await;
    }
    // Another archive: what the first one has is on record as delivered.
    let host = scene
        .host_stopping_at("handed-over")
        .setting("DBVC_COSMOS_CONNECTION_STRING", account.connection_string());
    let team = scene
        .team_with(host.setting("DBVC_COSMOS_DATABASE", "second"))
        .await;
    team.register("V2__customers", &table("customers")).await;
    scene.stopped().await;
    team.host.kill().await;
    drop(team);

    let host = scene
        .host()
        .setting("DBVC_COSMOS_CONNECTION_STRING", account.connection_string());
    let team = scene
        .team_with(host.setting("DBVC_COSMOS_DATABASE", "second"))
        .await;
    let verification = team.verify_with(json!({ "fix": true })).await;
    assert_eq!(verification["healthy"], true, "{verification:#}");
    let events = trail(&team.host, HOME).await;
    let client = account.client().await;
    let container = container_of(&client, "second", "change-events").await;
    assert_eq!(documents_of(&container, HOME).await.len(), events.len());
    // It is told once, however often it was begun.
    let fixed = team.events_of_type("integrity-fixed").await;
    let handed_over = fixed
        .iter()
        .filter(|event| event.to_string().contains("the archive had nothing"));
    assert_eq!(handed_over.count(), 1, "{fixed:#?}");
}

/// A machine with one of the scene's databases and the account, on which one migration was applied.
async fn machine_with(scene: &Scene, account: &CosmosDouble, database: &str) -> Machine {
    let mut machine = Machine::new();
    machine.set(scene.settings_of(database));
    machine.set([(
        "DBVC_COSMOS_CONNECTION_STRING".to_owned(),
        account.connection_string(),
    )]);
    add_table(&machine, 1, &name_in(database));
    machine.run_beside(&["migrate"]).await.expect(0);
    machine
}

/// A database of a scene by the name under which the scene can write to it: on SQLite each machine has a folder of its own.
fn file_of(scene: &Scene, database: &str) -> String {
    match scene.engine() {
        Engine::Sqlite => format!("{database}/{HOME}"),
        Engine::Babelfish | Engine::SqlServer => database.to_owned(),
    }
}

async fn another_database_with_the_same_id_is_no_lost_registry(stage: &Stage) {
    let scene = stage.scene_with(&["second"]).await;
    let account = CosmosDouble::start().await;
    let first = machine_with(&scene, &account, HOME).await;
    // The same id, the same archive, another database.
    let second = machine_with(&scene, &account, "second").await;
    for machine in [&first, &second] {
        let again = machine.run_beside(&["migrate"]).await;
        again
            .expect(0)
            .says("nothing to do")
            .says("integrity: 11 checks, 11 passed, 0 to know, 0 failed");
    }
    // Both histories are there, and neither is in the other's.
    let main = archived(&account, "change-events", HOME).await;
    let records = archived(&account, "migrations", &format!("@{HOME}")).await;
    assert_eq!(records.len(), 2, "{records:#?}");
    let chain = records
        .iter()
        .find(|record| record["main"] == false)
        .map(|record| text(&record["chain"]))
        .expect("a second stream");
    let other = archived(&account, "change-events", &format!("{HOME}@{chain}")).await;
    assert!(!main.is_empty() && !other.is_empty());
    for (events, name) in [(&main, "V1__lpa_bloom_sql_dev"), (&other, "V1__second")] {
        let named = |event: &&Value| event["migrationId"] == name;
        assert!(events.iter().any(|event| named(&event)), "{name}");
    }

    // Only where it was lost, it is lost.
    drop_registry(&scene, &file_of(&scene, "second")).await;
    first.run_beside(&["migrate"]).await.expect(0);
    let lost = second.run_beside(&["migrate"]).await.expect(1);
    assert!(
        lost.err.contains("has the one object of the last snapshot"),
        "{}",
        lost.err
    );
    assert!(lost.err.contains("`dbvc restore-registry`"), "{}", lost.err);
    second
        .run_beside(&["restore-registry"])
        .await
        .expect(0)
        .says("restored 1 migration, 1 of them applied");
    second
        .run_beside(&["migrate"])
        .await
        .expect(0)
        .says("nothing to do")
        .says("integrity: 11 checks, 11 passed");
}

async fn a_lost_registry_is_restored_only_where_its_objects_are(stage: &Stage) {
    let scene = stage.scene().await;
    let account = CosmosDouble::start().await;
    let team = team_with_account(&scene, &account).await;
    team.register("V1__orders", &table("orders")).await;
    team.register("V2__customers", &table("customers")).await;
    team.run().await;
    team.verify_with(json!({ "fix": true })).await;
    let mut machine = Machine::new();
    let settings = match scene.engine() {
        Engine::Sqlite => vec![(
            "DBVC_DATA_DIR".to_owned(),
            scene
                .data_dir()
                .to_str()
                .expect("a path is text")
                .to_owned(),
        )],
        Engine::Babelfish | Engine::SqlServer => scene.settings_of(HOME),
    };
    machine.set(settings);
    machine.set([(
        "DBVC_COSMOS_CONNECTION_STRING".to_owned(),
        account.connection_string(),
    )]);

    drop_registry(&scene, HOME).await;
    scene.write(HOME, "DROP TABLE customers;").await;
    let answer = team.try_run(json!({})).await;
    let problem = expect_problem(&answer, 409, "registry-lost");
    assert!(
        detail(&problem).contains("lacks 1 of the 2 objects"),
        "{problem:#}"
    );
    // What is visibly not there is not put on record as applied.
    let refused = machine.run_beside(&["restore-registry"]).await.expect(1);
    assert!(refused.err.contains("customers"), "{}", refused.err);
    assert!(!scene.has("trail_heads").await, "nothing was made");

    // The first way out: it is there again.
    scene.write(HOME, &table("customers")).await;
    let restored = machine.run_beside(&["restore-registry"]).await;
    restored.expect(0).says("has all 2 objects");
    assert_eq!(
        team.states().await,
        ["V1__orders applied", "V2__customers applied"]
    );
    assert_eq!(team.verify().await["healthy"], true);

    // The second: the database is a new one.
    team.verify_with(json!({ "fix": true })).await;
    drop_registry(&scene, HOME).await;
    for name in ["orders", "customers"] {
        scene.write(HOME, &format!("DROP TABLE {name};")).await;
    }
    let refused = machine.run_beside(&["restore-registry"]).await.expect(1);
    assert!(refused.err.contains("--made-anew"), "{}", refused.err);
    let restored = machine
        .run_beside(&["restore-registry", "--made-anew"])
        .await;
    restored.expect(0);
    let run = team.run().await;
    assert_eq!(
        each(&run["migrations"], "migrationId"),
        ["V1__orders", "V2__customers"]
    );
    assert_eq!(team.verify().await["healthy"], true);
}

async fn a_damaged_registry_is_not_taken_for_a_new_database(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__orders", &table("orders")).await;
    team.run().await;
    scene.write(HOME, "DROP TABLE migration_run_plans;").await;
    let file = team.file("V2__more");
    let created = team.create(&file, "SELECT 1;", json!({})).await;
    for answer in [team.try_run(json!({})).await, created] {
        let problem = expect_problem(&answer, 502, "database-refused");
        assert!(
            detail(&problem).contains("table migration_run_plans is missing"),
            "{problem:#}"
        );
    }
}

/// What the dbvc of commit dd81177 left.
fn left_behind(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dd81177");
    std::fs::read_to_string(folder.join(file)).expect("a fixture")
}

fn load(file: &Path, dump: &str) {
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder can be made");
    let database = rusqlite::Connection::open(file).expect("a file can be made");
    database.execute_batch(dump).expect("the dump is whole");
}

async fn a_registry_and_an_archive_of_commit_dd81177_go_on(stage: &Stage) {
    let scene = stage.scene().await;
    let mut machine = Machine::new();
    let archive = machine.data_dir().join("_version-control.sqlite");
    let file = machine.data_dir().join(format!("{HOME}.sqlite"));
    match scene.engine() {
        Engine::Sqlite => {
            load(&file, &left_behind("sqlite.sql"));
            load(&archive, &left_behind("sqlite-archive.sql"));
        }
        Engine::Babelfish | Engine::SqlServer => {
            let tables = "migrations/V100__version_control_schema.sql";
            let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join(tables);
            let tables = std::fs::read_to_string(tables).expect("dbvc's own script");
            for script in [
                tables,
                left_behind("sql-server.sql"),
                left_behind("migrations/V1__orders.sql"),
                left_behind("migrations/V2__first_order.sql"),
                left_behind("migrations/R__noted.sql"),
            ] {
                scene.write(HOME, &script).await;
            }
            load(&archive, &left_behind("sql-server-archive.sql"));
            machine.set(scene.settings_of(HOME));
        }
    }
    let read = async |query: &str| match scene.engine() {
        Engine::Sqlite => {
            let file = rusqlite::Connection::open(&file).expect("the file opens");
            let mut prepared = file.prepare(query).expect("a query");
            let rows = prepared
                .query_map([], |row| row.get::<_, String>(0))
                .expect("rows");
            rows.collect::<Result<Vec<_>, _>>().expect("texts")
        }
        Engine::Babelfish | Engine::SqlServer => scene.read(HOME, query).await,
    };
    let hashes = "SELECT hash FROM audit_events ORDER BY sequence";
    let before = read(hashes).await;
    assert_eq!(before.len(), 13);

    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dd81177/migrations");
    let mut machines = vec![machine];
    if scene.engine() != Engine::Sqlite {
        // A machine that has nothing of what the first one archived.
        let mut other = Machine::new();
        other.set(scene.settings_of(HOME));
        machines.insert(0, other);
    }
    for machine in &machines {
        for entry in std::fs::read_dir(&fixture).expect("the scripts") {
            let path = entry.expect("a script").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let text = std::fs::read_to_string(&path).expect("a script");
            machine.script(name.expect("a name"), &text);
        }
        machine
            .run_beside(&["migrate"])
            .await
            .expect(0)
            .says("nothing to do")
            .says("integrity: 11 checks, 11 passed, 0 to know, 0 failed");
    }
    for machine in &machines {
        add_table(machine, 3, "customers");
    }
    for (machine, said) in machines.iter().zip(["applied", "nothing to do"]) {
        machine
            .run_beside(&["migrate"])
            .await
            .expect(0)
            .says(said)
            .says("integrity: 11 checks, 11 passed, 0 to know, 0 failed");
    }
    let after = read(hashes).await;
    assert_eq!(
        after[..before.len()],
        before,
        "the trail goes on where it ended"
    );
    assert!(after.len() > before.len());
}

/// Makes `copy` what a database restored from a backup of `original` is.
async fn restore_copy(scene: &Scene, original: &Path, copy: &Path, databases: (&str, &str)) {
    let (from, to) = databases;
    match scene.engine() {
        Engine::Sqlite => {
            std::fs::create_dir_all(copy).expect("a folder can be made");
            let into = copy.join(format!("{HOME}.sqlite"));
            let file = rusqlite::Connection::open(original.join(format!("{HOME}.sqlite")))
                .expect("the file opens");
            file.execute("VACUUM INTO ?1", [into.to_str().expect("a path is text")])
                .expect("the file can be copied");
        }
        Engine::Babelfish | Engine::SqlServer => {
            for table in OWN_TABLES {
                scene.write(to, &format!("DELETE FROM {table};")).await;
            }
            let from = scene.name_on_server(from);
            for table in OWN_TABLES.iter().rev() {
                scene
                    .write(
                        to,
                        &format!("INSERT INTO dbo.{table} SELECT * FROM [{from}].dbo.{table};"),
                    )
                    .await;
            }
        }
    }
}

async fn a_restored_copy_is_told_where_its_history_parts(stage: &Stage) {
    let scene = stage.scene_with(&["copy"]).await;
    let account = CosmosDouble::start().await;
    let original = machine_with(&scene, &account, HOME).await;
    if scene.engine() != Engine::Sqlite {
        // Its tables are there before the rows are: there is no backup to restore from.
        let mut machine = Machine::new();
        machine.set(scene.settings_of("copy"));
        add_table(&machine, 1, &name_in(HOME));
        machine.run_beside(&["migrate"]).await.expect(0);
    }
    let folder = |database: &str| scene.data_dir().join(database);
    restore_copy(&scene, &folder(HOME), &folder("copy"), (HOME, "copy")).await;
    let common = archived(&account, "change-events", HOME).await.len();

    let mut copy = Machine::new();
    copy.set(scene.settings_of("copy"));
    copy.set([(
        "DBVC_COSMOS_CONNECTION_STRING".to_owned(),
        account.connection_string(),
    )]);
    add_table(&copy, 1, &name_in(HOME));
    add_table(&original, 2, "original");
    add_table(&copy, 2, "copied");
    original.run_beside(&["migrate"]).await.expect(0);
    let told = copy.run_beside(&["migrate"]).await.expect(1);
    let parting = format!("different histories after event {common}:");
    assert!(told.out.contains(&parting), "{parting} {}", told.out);
    assert!(told.out.contains("DBVC_COSMOS_DATABASE"), "{}", told.out);
    // Nothing of the copy is in the original's archive, and the original does not notice.
    let events = archived(&account, "change-events", HOME).await;
    assert!(events.len() > common);
    assert!(
        events
            .iter()
            .all(|event| event["migrationId"] != "V2__copied"),
        "{events:#?}"
    );
    original
        .run_beside(&["migrate"])
        .await
        .expect(0)
        .says("integrity: 11 checks, 11 passed, 0 to know, 0 failed");

    // Nor does the archive take the copy for the database whose history it holds.
    drop_registry(&scene, &file_of(&scene, HOME)).await;
    let lost = original.run_beside(&["migrate"]).await.expect(1);
    assert!(
        lost.err.contains("dbvc's own tables are gone"),
        "{}",
        lost.err
    );
    original.run_beside(&["restore-registry"]).await.expect(0);

    // The remedy, to the letter.
    copy.set([("DBVC_COSMOS_DATABASE".to_owned(), "copies".to_owned())]);
    copy.run_beside(&["migrate"])
        .await
        .expect(0)
        .says("integrity: 11 checks, 11 passed, 0 to know, 0 failed");
    let client = account.client().await;
    let container = container_of(&client, "copies", "change-events").await;
    let events = documents_of(&container, HOME).await;
    assert!(
        events
            .iter()
            .any(|event| event["migrationId"] == "V2__copied"),
        "{events:#?}"
    );
}

/// What a dbvc left that kept a server's archive in a file: everything is on record as delivered, and the content of snapshots
/// is in the file of the machine that ran last.
async fn as_an_earlier_dbvc_left_it(scene: &Scene) {
    let rows = async |query: &str| scene.read(HOME, query).await;
    let events = rows("SELECT event_id FROM audit_events ORDER BY sequence").await;
    let file = rusqlite::Connection::open(scene.data_dir().join("_version-control.sqlite"))
        .expect("a file can be made");
    file.execute_batch(
        "CREATE TABLE \"change-events\" (id TEXT NOT NULL PRIMARY KEY, database_id TEXT NOT NULL, sequence INTEGER NOT NULL, \
         migration_id TEXT, type TEXT NOT NULL, at TEXT NOT NULL, document TEXT NOT NULL); \
         CREATE INDEX ix_change_events ON \"change-events\" (database_id, sequence); \
         CREATE TABLE \"schema-snapshots\" (id TEXT NOT NULL PRIMARY KEY, database_id TEXT NOT NULL, document TEXT NOT NULL); \
         CREATE TABLE migrations (database_id TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, \
         document TEXT NOT NULL, PRIMARY KEY (database_id, id));",
    )
    .expect("the tables can be made");
    let trail = {
        let team = scene.team().await;
        trail(&team.host, HOME).await
    };
    assert_eq!(trail.len(), events.len());
    for event in &trail {
        file.execute(
            "INSERT INTO \"change-events\" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            rusqlite::params![
                text(&event["id"]),
                HOME,
                event["sequence"].as_i64(),
                event["migrationId"].as_str(),
                text(&event["type"]),
                text(&event["at"]),
                event.to_string(),
            ],
        )
        .expect("an event can be added");
    }
    for id in rows("SELECT snapshot_id FROM schema_snapshots").await {
        let of = |column: &str| {
            format!("SELECT {column} FROM schema_snapshots WHERE snapshot_id = '{id}'")
        };
        let mut header = json!({
            "snapshotId": id, "databaseId": HOME, "expiresAt": null, "engine": "sql-server",
        });
        for (field, column) in [
            ("type", "type"),
            ("capturedAt", "CONVERT(VARCHAR(23), captured_at, 126) + 'Z'"),
            ("capturedBy", "captured_by"),
            ("schemaHash", "schema_hash"),
            ("contentHash", "content_hash"),
            ("runId", "run_id"),
        ] {
            header[field] = rows(&of(column)).await[0].clone().into();
        }
        for (field, column) in [
            ("sizeBytes", "size_bytes"),
            ("partCount", "parts"),
            ("covers", "covers"),
            ("objectCounts", "object_counts"),
        ] {
            header[field] = serde_json::from_str(&rows(&of(column)).await[0]).expect("JSON");
        }
        let parts = format!(
            "SELECT content FROM schema_snapshot_parts WHERE snapshot_id = '{id}' ORDER BY part"
        );
        header["parts"] = json!(rows(&parts).await);
        file.execute(
            "INSERT INTO \"schema-snapshots\" VALUES (?1, ?2, ?3)",
            rusqlite::params![id, HOME, header.to_string()],
        )
        .expect("a snapshot can be added");
    }
    let now = scene.now();
    for statement in [
        format!("UPDATE audit_events SET delivered_at = {now}"),
        "UPDATE migration_registry SET archived_revision = revision".to_owned(),
        format!("UPDATE schema_snapshots SET archived_at = {now}"),
        "DELETE FROM schema_snapshot_parts".to_owned(),
    ] {
        scene.write(HOME, &statement).await;
    }
}

async fn what_an_earlier_dbvc_delivered_to_a_file_is_taken_back(stage: &Stage) {
    let scene = stage.scene().await;
    {
        let team = scene.team().await;
        team.register("V1__orders", &table("orders")).await;
        team.run().await;
    }
    as_an_earlier_dbvc_left_it(&scene).await;
    scene.write(HOME, "CREATE TABLE by_hand (id INT);").await;

    // A machine that has no such file: no 409, and it says what it cannot compare.
    let mut other = Machine::new();
    other.set(scene.settings_of(HOME));
    other.script("V1__orders.sql", &table("orders"));
    other
        .run_beside(&["migrate"])
        .await
        .expect(0)
        .says("nothing to do")
        .says("drift: not judged")
        .says(", 0 failed");

    // The machine that has it reads the snapshot from there, and gives it back with its next change.
    let team = scene.team().await;
    let drift = team.drift().await;
    assert_eq!(drift["detected"], true, "{drift:#}");
    let staged = "SELECT COUNT(*) FROM schema_snapshot_parts";
    assert_eq!(
        scene.read(HOME, staged).await,
        ["0"],
        "reading writes nothing"
    );
    team.register("V2__customers", &table("customers")).await;
    until("the snapshot to be taken back", async || {
        (scene.read(HOME, staged).await != ["0"]).then_some(())
    })
    .await;
    let trusted = text(&drift["from"]["snapshotId"]);
    // From now on every machine can compare.
    std::fs::remove_file(scene.data_dir().join("_version-control.sqlite")).expect("the file goes");
    let team = scene.team().await;
    let drift = team.drift().await;
    assert_eq!(drift["detected"], true, "{drift:#}");
    assert_eq!(drift["from"]["snapshotId"], trusted.as_str());
    scene.write(HOME, "DROP TABLE by_hand;").await;
    team.run().await;
    assert_eq!(team.verify().await["healthy"], true);
}
