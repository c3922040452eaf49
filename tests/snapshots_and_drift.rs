//! Snapshots, and what is said of a database that was changed by hand.

mod support;

use serde_json::{Value, json};

use support::dbvc::{Dbvc, HOME, ME, each, expect_problem, list, text};
use support::host::TimerShape;
use support::shape::expect_like;

/// Something of every kind of object that SQLite has.
const SCHEMA: &str = "
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    age INTEGER CHECK (age >= 0)
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer INTEGER NOT NULL REFERENCES customers (id),
    day TEXT DEFAULT 'today'
);
CREATE INDEX orders_by_day ON orders (day);
CREATE VIEW todays_orders AS SELECT id FROM orders WHERE day = 'today';
CREATE TRIGGER orders_stamp AFTER INSERT ON orders BEGIN
    UPDATE orders SET day = 'stamped' WHERE id = new.id;
END;
";

async fn with_a_schema() -> Dbvc {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__schema", SCHEMA).await;
    dbvc.run().await;
    dbvc
}

/// Each change as `added table x`.
#[track_caller]
fn changes(drift: &Value) -> Vec<String> {
    list(&drift["changes"])
        .iter()
        .map(|change| {
            format!(
                "{} {} {}",
                text(&change["change"]),
                text(&change["kind"]),
                text(&change["name"])
            )
        })
        .collect()
}

#[track_caller]
fn expect_not_judged(drift: &Value, reason: &str) {
    assert_eq!(drift["detected"], Value::Null, "{drift:#}");
    assert_eq!(drift["changes"], json!([]), "{drift:#}");
    assert!(text(&drift["reason"]).contains(reason), "{drift:#}");
}

#[tokio::test]
async fn a_snapshot_counts_the_objects_and_shows_its_schema() {
    let dbvc = with_a_schema().await;
    let snapshot = dbvc.snapshot("manual").await;
    expect_like(
        &snapshot,
        &json!({
            "snapshotId": "<id>", "databaseId": HOME, "type": "manual", "capturedAt": "<time>", "capturedBy": ME,
            "schemaHash": "<sha256>", "parts": 1, "sizeBytes": "<number>",
            "objectCounts": {
                "tables": 2, "views": 1, "indexes": 1, "procedures": 0, "functions": 0, "triggers": 1,
                // Two primary keys, a UNIQUE, a CHECK and a foreign key.
                "constraints": 5,
            },
        }),
    );
    let id = text(&snapshot["snapshotId"]);
    for path in [
        format!("/api/dbvc/snapshots?snapshotId={id}"),
        format!("/api/dbvc/snapshots?snapshotId={id}&databaseId={HOME}"),
    ] {
        let whole = dbvc.host.get(&path).await.expect_status(200).body;
        expect_like(&whole, &snapshot);
        let schema = whole["schema"].to_string();
        for name in [
            "customers",
            "orders",
            "orders_by_day",
            "todays_orders",
            "orders_stamp",
            "email",
        ] {
            assert!(schema.contains(name), "{name}: {schema}");
        }
        for own in [
            "migration_registry",
            "audit_events",
            "db_inventory",
            "trail_heads",
        ] {
            assert!(!schema.contains(own), "{own} is dbvc's own");
        }
    }
    dbvc.add_database("reporting").await;
    let elsewhere = format!("/api/dbvc/snapshots?snapshotId={id}&databaseId=reporting");
    expect_problem(&dbvc.host.get(&elsewhere).await, 404, "unknown-snapshot");
    let mixed = format!("/api/dbvc/snapshots?snapshotId={id}&limit=3");
    expect_problem(&dbvc.host.get(&mixed).await, 400, "invalid-request");
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_snapshot_of_each_type_is_told_to_the_trail() {
    let dbvc = Dbvc::start().await;
    for kind in ["baseline", "manual", "post-migration", "scheduled"] {
        let snapshot = dbvc.snapshot(kind).await;
        let told = dbvc.events_of_type("snapshot-captured").await;
        expect_like(
            told.last().unwrap(),
            &json!({
                "executor": ME,
                "data": { "snapshotId": snapshot["snapshotId"], "type": kind, "schemaHash": snapshot["schemaHash"] },
            }),
        );
    }
    let body = json!({ "databaseId": HOME, "environment": "dev", "type": "other", "executor": ME });
    let answer = dbvc.host.post("/api/dbvc/snapshots", body).await;
    let problem = expect_problem(&answer, 400, "invalid-request");
    assert_eq!(each(&problem["errors"], "field"), ["type"]);
}

#[tokio::test]
async fn snapshots_are_listed_page_by_page_newest_first() {
    let dbvc = Dbvc::start().await;
    dbvc.add_database("reporting").await;
    let mut taken = Vec::new();
    for number in 0..7 {
        let database = if number % 2 == 0 { HOME } else { "reporting" };
        let body = json!({ "databaseId": database, "environment": "dev", "type": "manual", "executor": ME });
        let answer = dbvc
            .host
            .post("/api/dbvc/snapshots", body)
            .await
            .expect_status(201);
        taken.insert(0, answer.body);
    }
    let of_home: Vec<Value> = taken
        .iter()
        .filter(|one| one["databaseId"] == HOME)
        .cloned()
        .collect();
    for (filter, limit, expected) in [
        (String::new(), 3, &taken),
        (String::new(), 7, &taken),
        (String::new(), 1000, &taken),
        (format!("&databaseId={HOME}"), 1, &of_home),
        (format!("&databaseId={HOME}"), 4, &of_home),
    ] {
        let mut found = Vec::new();
        let mut continuation = String::new();
        let mut pages = 0;
        loop {
            let path = format!("/api/dbvc/snapshots?limit={limit}{filter}{continuation}");
            let page = dbvc.host.get(&path).await.expect_status(200).body;
            found.extend_from_slice(list(&page["snapshots"]));
            pages += 1;
            match page["continuation"].as_str() {
                Some(next) => continuation = format!("&continuation={next}"),
                None => break,
            }
        }
        assert_eq!(&found, expected, "{filter} {limit}");
        assert_eq!(pages, expected.len().div_ceil(limit), "{filter} {limit}");
    }
}

#[tokio::test]
async fn each_kind_of_change_is_found_once() {
    for (by_hand, expected) in [
        ("CREATE TABLE extra (id INTEGER)", vec!["added table extra"]),
        (
            "CREATE TABLE extra (id INTEGER PRIMARY KEY)",
            vec!["added table extra", "added primary-key extra(id)"],
        ),
        (
            "ALTER TABLE orders ADD COLUMN note TEXT",
            vec!["changed table orders"],
        ),
        (
            "ALTER TABLE customers DROP COLUMN age",
            vec![
                "changed table customers",
                "removed check customers(age >= 0)",
            ],
        ),
        (
            "DROP INDEX orders_by_day",
            vec!["removed index orders.orders_by_day"],
        ),
        (
            "CREATE INDEX extra ON orders (customer)",
            vec!["added index orders.extra"],
        ),
        (
            "DROP INDEX orders_by_day; CREATE INDEX orders_by_day ON orders (day DESC)",
            vec!["changed index orders.orders_by_day"],
        ),
        (
            "DROP VIEW todays_orders",
            vec!["removed view todays_orders"],
        ),
        (
            "DROP VIEW todays_orders; CREATE VIEW todays_orders AS SELECT id, day FROM orders",
            vec!["changed view todays_orders"],
        ),
        (
            "DROP TRIGGER orders_stamp",
            vec!["removed trigger orders.orders_stamp"],
        ),
        (
            "CREATE TRIGGER extra AFTER DELETE ON orders BEGIN SELECT 1; END",
            vec!["added trigger orders.extra"],
        ),
        (
            "DROP TABLE orders; CREATE TABLE orders (id INTEGER PRIMARY KEY, \
             customer INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE, day TEXT DEFAULT 'today'); \
             CREATE INDEX orders_by_day ON orders (day); \
             CREATE TRIGGER orders_stamp AFTER INSERT ON orders BEGIN\n    \
             UPDATE orders SET day = 'stamped' WHERE id = new.id;\nEND;",
            vec!["changed foreign-key orders(customer)"],
        ),
    ] {
        let dbvc = with_a_schema().await;
        assert_eq!(dbvc.drift().await["detected"], false);
        dbvc.change_by_hand(by_hand);
        let drift = dbvc.drift().await;
        assert_eq!(drift["detected"], true, "{by_hand}: {drift:#}");
        let mut found = changes(&drift);
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{by_hand}: {drift:#}");
        for change in list(&drift["changes"]) {
            for detail in list(&change["details"]) {
                expect_like(
                    detail,
                    &json!({ "property": "<text>", "from": "<text?>", "to": "<text?>" }),
                );
            }
        }
    }
}

#[tokio::test]
async fn columns_are_details_of_their_tables_change() {
    let dbvc = with_a_schema().await;
    dbvc.change_by_hand(
        "ALTER TABLE orders ADD COLUMN note TEXT NOT NULL DEFAULT 'none';\n\
         ALTER TABLE customers RENAME COLUMN email TO mail;",
    );
    let drift = dbvc.drift().await;
    let of_orders = list(&drift["changes"])
        .iter()
        .find(|change| change["kind"] == "table" && change["name"] == "orders")
        .unwrap_or_else(|| panic!("{drift:#}"));
    expect_like(
        &of_orders["details"],
        &json!([{ "property": "column note", "from": null, "to": "TEXT NOT NULL DEFAULT 'none'" }]),
    );
    let of_customers = list(&drift["changes"])
        .iter()
        .find(|change| change["kind"] == "table" && change["name"] == "customers")
        .unwrap_or_else(|| panic!("{drift:#}"));
    assert_eq!(
        each(&of_customers["details"], "property"),
        ["column mail", "column email"]
    );
}

#[tokio::test]
async fn rows_and_dbvcs_own_tables_are_no_drift() {
    let dbvc = with_a_schema().await;
    dbvc.change_by_hand(
        "INSERT INTO customers VALUES (1, 'a@b', 3); CREATE INDEX by_hand ON audit_events (type); ANALYZE;",
    );
    dbvc.snapshot("manual").await;
    dbvc.add_database("reporting").await;
    let drift = dbvc.drift().await;
    assert_eq!(drift["detected"], false, "{drift:#}");
}

#[tokio::test]
async fn what_is_only_written_in_another_way_is_no_drift() {
    let dbvc = with_a_schema().await;
    dbvc.change_by_hand(
        "DROP VIEW todays_orders; CREATE VIEW \"todays_orders\" AS -- again\n  SELECT id\n  FROM orders WHERE day='today';\n\
         DROP INDEX orders_by_day; CREATE INDEX \"orders_by_day\" ON [orders] (\"day\");",
    );
    let drift = dbvc.drift().await;
    assert_eq!(drift["detected"], false, "{drift:#}");
}

#[tokio::test]
async fn a_change_undone_by_hand_is_no_drift() {
    let dbvc = with_a_schema().await;
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    assert_eq!(dbvc.drift().await["detected"], true);
    dbvc.change_by_hand("DROP TABLE extra");
    assert_eq!(dbvc.drift().await["detected"], false);
}

#[tokio::test]
async fn only_a_baseline_makes_a_change_by_hand_right() {
    let dbvc = with_a_schema().await;
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    for kind in ["manual", "scheduled"] {
        dbvc.snapshot(kind).await;
        assert_eq!(
            dbvc.drift().await["detected"],
            true,
            "{kind} is not trusted"
        );
        assert_eq!(dbvc.status().await["drift"]["detected"], true, "{kind}");
    }
    let baseline = dbvc.snapshot("baseline").await;
    let drift = dbvc.drift().await;
    assert_eq!(drift["detected"], false);
    assert_eq!(drift["from"]["snapshotId"], baseline["snapshotId"]);
    assert_eq!(dbvc.status().await["drift"]["detected"], false);
}

#[tokio::test]
async fn a_database_without_a_trusted_snapshot_is_not_judged() {
    let dbvc = Dbvc::start().await;
    expect_not_judged(&dbvc.drift().await, "no trusted snapshot");
    assert!(!dbvc.file_of(HOME).exists(), "looking makes no database");
    dbvc.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    let drift = dbvc.drift().await;
    expect_not_judged(&drift, "no trusted snapshot");
    expect_like(
        &drift,
        &json!({ "databaseId": HOME, "from": null, "to": null }),
    );
    let report = dbvc
        .host
        .request("GET", &format!("/api/dbvc/drift?databaseId={HOME}"))
        .header("accept", "text/markdown")
        .send()
        .await
        .expect_status(200);
    assert!(
        report.text().contains("could not be judged"),
        "{}",
        report.text()
    );
    dbvc.snapshot("baseline").await;
    assert_eq!(dbvc.drift().await["detected"], false);
}

#[tokio::test]
async fn executions_newer_than_the_last_trusted_snapshot_are_not_judged_until_the_next_run() {
    let dbvc = with_a_schema().await;
    // As when a run was killed before it could take its snapshot.
    dbvc.change_by_hand("UPDATE schema_snapshots SET covers = 0");
    let before = dbvc.drift().await;
    expect_not_judged(&before, "newer than the last trusted snapshot");
    assert!(before["from"]["snapshotId"].is_string(), "{before:#}");
    assert_eq!(dbvc.status().await["drift"]["detected"], Value::Null);
    let run = dbvc.run().await;
    assert_eq!(run["status"], "nothing-to-do");
    assert!(
        run["snapshotId"].is_string(),
        "the run takes the one that is missing: {run:#}"
    );
    assert_eq!(dbvc.drift().await["detected"], false);
}

#[tokio::test]
async fn two_snapshots_are_compared_in_either_direction() {
    let dbvc = with_a_schema().await;
    let older = text(&dbvc.snapshot("manual").await["snapshotId"]);
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    let newer = text(&dbvc.snapshot("manual").await["snapshotId"]);
    dbvc.change_by_hand("DROP TABLE extra; DROP VIEW todays_orders");
    let compare = async |query: String| {
        let path = format!("/api/dbvc/drift?databaseId={HOME}{query}");
        dbvc.host.get(&path).await.expect_status(200).body
    };
    let forth = compare(format!("&from={older}&to={newer}")).await;
    assert_eq!(changes(&forth), ["added table extra"]);
    expect_like(
        &forth,
        &json!({
            "databaseId": HOME, "detected": true, "reason": null, "from": { "snapshotId": older },
            "to": { "snapshotId": newer },
        }),
    );
    let back = compare(format!("&from={newer}&to={older}")).await;
    assert_eq!(changes(&back), ["removed table extra"]);
    let same = compare(format!("&from={newer}&to={newer}")).await;
    assert_eq!(same["detected"], false);
    let to_live = compare(format!("&from={newer}")).await;
    assert_eq!(
        changes(&to_live),
        ["removed table extra", "removed view todays_orders"]
    );
    assert_eq!(to_live["to"]["live"], true);
    let from_trusted = compare(format!("&to={newer}")).await;
    assert_eq!(changes(&from_trusted), ["added table extra"]);
    for wrong in ["from=nothing", "to=nothing"] {
        let answer = dbvc
            .host
            .get(&format!("/api/dbvc/drift?databaseId={HOME}&{wrong}"))
            .await;
        expect_problem(&answer, 404, "unknown-snapshot");
    }
}

#[tokio::test]
async fn snapshots_of_two_databases_of_the_environment_can_be_compared() {
    let dbvc = with_a_schema().await;
    dbvc.add_database("reporting").await;
    let elsewhere = json!({ "databaseId": "reporting" });
    dbvc.create("V1__schema.sqlite.sql", SCHEMA, elsewhere.clone())
        .await
        .expect_status(201);
    let run = dbvc.run_with(elsewhere).await;
    let other = text(&run["snapshotId"]);
    let path = format!("/api/dbvc/drift?databaseId={HOME}&from={other}");
    let drift = dbvc.host.get(&path).await.expect_status(200).body;
    assert_eq!(drift["detected"], false, "{drift:#}");
}

#[tokio::test]
async fn the_drift_timer_tells_each_finding_once() {
    let dbvc = with_a_schema().await;
    dbvc.add_database("reporting").await;
    let tick = async || {
        dbvc.host
            .invoke_timer("dbvc-drift-timer", TimerShape::Regular)
            .await
            .expect_success();
        dbvc.events_of_type("drift-detected").await.len()
    };
    assert_eq!(tick().await, 0);
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    assert_eq!(tick().await, 1);
    assert_eq!(tick().await, 1, "the same finding again");
    dbvc.change_by_hand("CREATE TABLE another (id INTEGER)");
    assert_eq!(tick().await, 2, "another finding");
    dbvc.change_by_hand("DROP TABLE extra; DROP TABLE another");
    assert_eq!(tick().await, 2, "nothing left to find");
    assert_eq!(dbvc.status().await["drift"]["detected"], false);
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    assert_eq!(tick().await, 3, "it has come back");
    let told = dbvc.events_of_type("drift-detected").await;
    expect_like(
        &told[1],
        &json!({
            "migrationId": null, "runId": null, "environment": "dev",
            "data": { "added": 2, "removed": 0, "changed": 0, "names": ["table another", "table extra"] },
        }),
    );
    let path = format!("/api/dbvc/snapshots?databaseId={HOME}");
    let page = dbvc.host.get(&path).await.expect_status(200).body;
    let kinds = each(&page["snapshots"], "type");
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "scheduled").count(),
        6,
        "one a tick"
    );
    assert!(
        dbvc.events_of("reporting")
            .await
            .iter()
            .any(|event| event["type"] == "snapshot-captured")
    );
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn the_drift_timer_makes_nothing_where_nothing_ever_ran() {
    let dbvc = Dbvc::start().await;
    for shape in TimerShape::ALL {
        dbvc.host
            .invoke_timer("dbvc-drift-timer", shape)
            .await
            .expect_success();
    }
    assert!(!dbvc.file_of(HOME).exists());
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_damaged_snapshot_is_told_and_stops_no_migration() {
    let dbvc = with_a_schema().await;
    dbvc.host
        .invoke_timer("dbvc-runs-timer", TimerShape::Regular)
        .await
        .expect_success();
    dbvc.archive_by_hand()
        // Changed and not removed: a delivery that is still under way would put a removed one back.
        .execute_batch("UPDATE \"schema-snapshots\" SET document = json_set(document, '$.parts', json_array('x'))")
        .unwrap();
    // The hash in the header is enough to see that nothing has changed.
    assert_eq!(dbvc.drift().await["detected"], false);
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    let path = format!("/api/dbvc/drift?databaseId={HOME}");
    expect_problem(&dbvc.host.get(&path).await, 503, "unavailable");
    dbvc.register("V2__t", "CREATE TABLE t (id INTEGER);").await;
    let run = dbvc.run().await;
    assert_eq!(run["driftBefore"]["detected"], true);
    assert!(
        text(&run["driftBefore"]["reason"]).contains("cannot be listed"),
        "{run:#}"
    );
    assert!(dbvc.has("t"));
}
