//! `dbvc migrate`, the main job, as a person runs it.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::cosmos::{CosmosDouble, Weather, container_of, documents_of};

/// A folder with a `migrations` folder in it, where the command runs.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("migrations")).unwrap();
        Self { root }
    }

    fn with_the_samples() -> Self {
        let place = Self::new();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        for entry in fs::read_dir(samples).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(
                    &path,
                    place.script(path.file_name().unwrap().to_str().unwrap()),
                )
                .unwrap();
            }
        }
        place
    }

    fn script(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join("migrations").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.script(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn migrate(&self, arguments: &[&str]) -> Outcome {
        self.migrate_with(arguments, &[])
    }

    fn migrate_with(&self, arguments: &[&str], settings: &[(&str, String)]) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_dbvc"))
            .arg("migrate")
            .args(arguments)
            .current_dir(self.root.path())
            .env_clear()
            .env("USER", "ada")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        Outcome::of(output)
    }

    /// Changes the home database, past dbvc.
    fn ask_to(&self, sql: &str) {
        let file = self.root.path().join(".dbvc/lpa-bloom-sql-dev.sqlite");
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    fn ask(&self, sql: &str) -> String {
        let file = self.root.path().join(".dbvc/lpa-bloom-sql-dev.sqlite");
        let connection = rusqlite::Connection::open(file).unwrap();
        connection
            .query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            })
            .unwrap()
    }
}

struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.out,
            self.err
        );
        self
    }

    #[track_caller]
    fn says(&self, text: &str) -> &Self {
        assert!(
            self.out.contains(text) || self.err.contains(text),
            "{text:?} is neither in stdout:\n{}\nnor in stderr:\n{}",
            self.out,
            self.err
        );
        self
    }
}

#[test]
fn a_fresh_machine_gets_its_databases_its_scripts_and_a_table() {
    let place = Place::with_the_samples();
    let first = place.migrate(&[]).expect(0);
    first
        .says("registered      V101__add_user_preferences")
        .says("applied         V101__add_user_preferences")
        .says("snapshot")
        .says("100 ")
        .says("ada")
        .says("integrity: 11 checks, 11 passed, 0 to know, 0 failed");
    assert_eq!(first.err, "");
    assert_eq!(
        place.ask("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'user_preferences'"),
        "1"
    );
    assert!(
        place
            .root
            .path()
            .join(".dbvc/_version-control.sqlite")
            .exists()
    );
    let second = place.migrate(&[]).expect(0);
    second.says("nothing to do   version 101");
    assert!(!second.out.contains("registered"), "{}", second.out);
    assert_eq!(
        place.ask(
            "SELECT COUNT(*) FROM migration_execution_history WHERE migration_id LIKE 'V101%'"
        ),
        "1"
    );
}

#[test]
fn the_sqlite_examples_apply_and_their_down_scripts_undo_them() {
    let place = Place::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sqlite");
    let folder = [("DBVC_MIGRATIONS_DIR", examples.display().to_string())];
    place
        .migrate_with(&[], &folder)
        .expect(0)
        .says("applied         R__order_totals")
        .says("done            version 103");
    place
        .migrate_with(&[], &folder)
        .expect(0)
        .says("nothing to do   version 103");
    let left = "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('customers', 'orders', 'ix_orders_customer')";
    assert_eq!(place.ask(left), "3");
    for down in [
        "U103__add_customer_phone",
        "U102__create_orders_table",
        "U101__create_customers_table",
    ] {
        let script = examples.join(format!("{down}.sqlite.sql"));
        place.ask_to(&fs::read_to_string(script).unwrap());
    }
    assert_eq!(place.ask(left), "0");
}

#[test]
fn with_a_cosmos_account_the_trail_goes_there_and_an_outage_stops_nothing() {
    // The account answers on threads of its own while the command runs.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let account = runtime.block_on(CosmosDouble::start());
    let settings = [
        ("DBVC_COSMOS_CONNECTION_STRING", account.connection_string()),
        ("DBVC_COSMOS_DATABASE", "trail".to_owned()),
    ];
    let archived = || {
        runtime.block_on(async {
            let container = container_of(&account.client().await, "trail", "change-events").await;
            documents_of(&container, "lpa-bloom-sql-dev").await.len()
        })
    };
    let place = Place::with_the_samples();
    let events = || {
        let count = place.ask("SELECT COUNT(*) FROM audit_events");
        count.parse::<usize>().unwrap()
    };
    place
        .migrate_with(&[], &settings)
        .expect(0)
        .says("integrity: 11 checks, 11 passed, 0 to know, 0 failed");
    assert_eq!(archived(), events());
    assert!(
        !place
            .root
            .path()
            .join(".dbvc/_version-control.sqlite")
            .exists()
    );

    place.write("V102__b.sqlite.sql", "CREATE TABLE b (id INTEGER);");
    account.set_weather(Weather::Down);
    place
        .migrate_with(&[], &settings)
        .expect(0)
        .says("applied         V102__b")
        .says("0 failed");
    account.set_weather(Weather::Fine);
    assert!(archived() < events());
    place.write("V103__c.sqlite.sql", "CREATE TABLE c (id INTEGER);");
    place
        .migrate_with(&[], &settings)
        .expect(0)
        .says("10 passed, 1 to know, 0 failed");
    assert_eq!(archived(), events());
}

#[test]
fn a_failing_script_is_told_with_its_line_and_the_next_try_goes_on_there() {
    let place = Place::new();
    place.write("V1__good.sqlite.sql", "CREATE TABLE a (id INTEGER);");
    place.write(
        "V2__bad.sqlite.sql",
        "CREATE TABLE b (id INTEGER);\nGO\n\nCREATE TABEL c (id);",
    );
    place.write("V3__later.sqlite.sql", "CREATE TABLE d (id INTEGER);");
    let failed = place.migrate(&[]).expect(1);
    failed
        .says("V2__bad, line 4")
        .says("syntax error")
        .says("applied         V1__good");
    assert_eq!(
        place.ask("SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('b', 'd')"),
        "0"
    );
    place.write("V2__bad.sqlite.sql", "CREATE TABLE b (id INTEGER);");
    place.migrate(&[]).expect(1).says("reregister");
    place
        .migrate(&["--reregister"])
        .expect(0)
        .says("registered anew V2__bad")
        .says("done            version 3");
}

#[test]
fn a_script_changed_after_it_was_applied_is_refused_until_it_is_registered_anew() {
    let place = Place::new();
    place.write("V1__a.sqlite.sql", "CREATE TABLE a (id INTEGER);");
    place.migrate(&[]).expect(0);
    place.write("V1__a.sqlite.sql", "-- why\nCREATE TABLE a (id INTEGER);");
    place
        .migrate(&[])
        .expect(1)
        .says("V1__a was changed after it was applied");
    place
        .migrate(&["--reregister"])
        .expect(0)
        .says("nothing to do");
    assert_eq!(
        place.ask("SELECT COUNT(*) FROM audit_events WHERE type = 'reregistered'"),
        "1"
    );
}

#[test]
fn a_version_without_a_script_for_the_engine_is_an_error_and_never_a_translation() {
    let place = Place::new();
    place.write("V1__a.sql", "CREATE TABLE a (id INT IDENTITY(1,1));");
    place
        .migrate(&[])
        .expect(1)
        .says("V1__a.sql")
        .says("no script for sqlite");
    assert!(!place.root.path().join(".dbvc").exists());
}

#[test]
fn a_dry_run_tells_and_makes_nothing() {
    let place = Place::with_the_samples();
    place
        .migrate(&["--dry-run"])
        .expect(0)
        .says("would apply     V101__add_user_preferences");
    assert!(!place.root.path().join(".dbvc").exists());
}

#[test]
fn the_target_is_the_last_version_applied() {
    let place = Place::new();
    for version in ["1", "1.1", "2"] {
        place.write(
            &format!("V{version}__x.sqlite.sql"),
            &format!("CREATE TABLE t{} (id INTEGER);", version.replace('.', "_")),
        );
    }
    place
        .migrate(&["--target", "1.1"])
        .expect(0)
        .says("done            version 1.1");
}

#[test]
fn wrong_arguments_end_with_2_name_the_option_and_create_nothing() {
    let place = Place::new();
    place.write("V1__a.sqlite.sql", "CREATE TABLE a (id INTEGER);");
    for (option, value, message) in [
        ("--target", "9x", "other than digits and dots"),
        ("--baseline", "1..2", "empty part"),
        ("--database", "NO PE", "lower case letters"),
        ("--database", "all", "means every database"),
        ("--wait", "soon", "invalid digit"),
    ] {
        let outcome = place.migrate(&[option, value]).expect(2);
        assert!(outcome.err.contains(option), "{}", outcome.err);
        assert!(outcome.err.contains(message), "{}", outcome.err);
        assert_eq!(outcome.out, "");
    }
    place.migrate(&["--dry-runs"]).expect(2);
    assert!(!place.root.path().join(".dbvc").exists());
}

#[test]
fn a_repeatable_script_runs_again_when_it_changes_and_a_down_script_goes_with_its_version() {
    let place = Place::new();
    place.write("V1__a.sqlite.sql", "CREATE TABLE a (id INTEGER);");
    place.write("U1__a.sqlite.sql", "DROP TABLE a;");
    place.write(
        "R__names.sqlite.sql",
        "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1 AS n;",
    );
    place.migrate(&[]).expect(0);
    assert_eq!(
        place.ask("SELECT down_script FROM migration_registry WHERE migration_id = 'V1__a'"),
        "DROP TABLE a;"
    );
    place.write(
        "R__names.sqlite.sql",
        "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 2 AS n;",
    );
    place
        .migrate(&[])
        .expect(0)
        .says("applied         R__names");
    assert_eq!(place.ask("SELECT n FROM v"), "2");
}

#[test]
fn a_lock_that_somebody_holds_is_waited_for_only_as_long_as_asked() {
    let place = Place::with_the_samples();
    place.migrate(&[]).expect(0);
    place.write("V102__b.sqlite.sql", "CREATE TABLE b (id INTEGER);");
    let file = place.root.path().join(".dbvc/lpa-bloom-sql-dev.sqlite");
    let connection = rusqlite::Connection::open(file).unwrap();
    connection
        .execute_batch(
            "UPDATE migration_locks SET owner = 'somebody', acquired_at = '2026-01-01T00:00:00.000Z', \
             heartbeat_at = '2026-01-01T00:00:00.000Z', expires_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1000 seconds')",
        )
        .unwrap();
    place
        .migrate(&["--wait", "0"])
        .expect(1)
        .says("another run holds lpa-bloom-sql-dev");
    // A lease that ends later than any lease can was taken by a clock that has been set back since.
    connection
        .execute_batch("UPDATE migration_locks SET expires_at = '9999-01-01T00:00:00.000Z'")
        .unwrap();
    place.migrate(&["--wait", "0"]).expect(0);
}

#[test]
fn a_baseline_for_one_of_several_databases_names_it() {
    let place = Place::new();
    place.write("V1__a.sqlite.sql", "CREATE TABLE a (id INTEGER);");
    place.migrate(&[]).expect(0);
    place.ask_to(
        "INSERT INTO db_inventory SELECT 'other', type, engine, environment, server_name, database_name, 'other', \
         connection, created_at, updated_at FROM db_inventory",
    );
    place.write("other/V1__b.sqlite.sql", "CREATE TABLE b (id INTEGER);");
    place
        .migrate(&["--baseline", "1"])
        .expect(2)
        .says("--baseline needs --database ID, because the environment has 2 databases");
    place
        .migrate(&["--baseline", "1", "--database", "other"])
        .expect(0)
        .says("baselined       V1__b");
}

#[test]
fn one_database_that_is_not_empty_does_not_keep_the_others_from_their_turn() {
    let place = Place::new();
    place.write("V1__a.sqlite.sql", "CREATE TABLE a (id INTEGER);");
    place.migrate(&[]).expect(0);
    place.ask_to(
        "INSERT INTO db_inventory SELECT 'a-full', type, engine, environment, server_name, database_name, 'full', \
         connection, created_at, updated_at FROM db_inventory",
    );
    let full = place.root.path().join(".dbvc/a-full.sqlite");
    rusqlite::Connection::open(&full)
        .unwrap()
        .execute_batch("CREATE TABLE mine (id INTEGER)")
        .unwrap();
    let before = fs::read(&full).unwrap();
    place.write("full/V1__b.sqlite.sql", "CREATE TABLE b (id INTEGER);");
    place.write("V2__c.sqlite.sql", "CREATE TABLE c (id INTEGER);");
    place
        .migrate(&[])
        .expect(1)
        .says("a-full: dbvc has applied nothing to a-full yet, and the database is not empty: it holds 1 table")
        .says("--allow-not-empty")
        .says("applied         V2__c");
    assert_eq!(fs::read(&full).unwrap(), before);
}

#[test]
fn wrong_settings_end_with_2_tell_no_secret_and_create_nothing() {
    let place = Place::with_the_samples();
    let output = Command::new(env!("CARGO_BIN_EXE_dbvc"))
        .arg("migrate")
        .current_dir(place.root.path())
        .env_clear()
        .env("SQL_CONNECTION_STRING", "Server=tcp:x;Password=hush")
        .output()
        .unwrap();
    let outcome = Outcome::of(output).expect(2);
    outcome.says("SQL_CONNECTION_STRING");
    assert!(!outcome.err.contains("hush"));
    assert!(!place.root.path().join(".dbvc").exists());
}
