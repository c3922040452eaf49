//! Scripts out of a drift: adopting one and running it, or running the way back by hand, leaves none.

mod support;

use serde_json::{Value, json};

use support::dbvc::{Dbvc, HOME, expect_problem, text};
use support::drift_script::in_full;
use support::shape::expect_like;

const SCHEMA: &str = "
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    age INTEGER
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
INSERT INTO customers (id, email, age) VALUES (1, 'a@b', 30);
INSERT INTO orders (id, customer) VALUES (1, 1);
";

async fn with_a_schema() -> Dbvc {
    let dbvc = Dbvc::start().await;
    dbvc.register("V1__schema", SCHEMA).await;
    dbvc.run().await;
    dbvc
}

async fn script(dbvc: &Dbvc, purpose: &str) -> Value {
    let path = format!("/api/dbvc/drift?databaseId={HOME}&script={purpose}");
    dbvc.host.get(&path).await.expect_status(200).body
}

/// Something done by hand; how many steps of the script that adopts it, and of the way back, are commented out.
const BY_HAND: &[(&str, u64, u64)] = &[
    (
        "CREATE TABLE extra (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT COLLATE NOCASE UNIQUE, b INT NOT NULL DEFAULT (1 + 1), \
      c INT GENERATED ALWAYS AS (b * 2) STORED, customer INT REFERENCES customers (id) ON DELETE SET NULL, \
      CONSTRAINT small CHECK (b < 10)); CREATE UNIQUE INDEX extra_i ON extra (b DESC, lower(a)) WHERE b > 1;",
        0,
        1,
    ),
    (
        "CREATE TABLE extra (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID, STRICT",
        0,
        1,
    ),
    (
        "ALTER TABLE orders ADD COLUMN note TEXT NOT NULL DEFAULT 'none' CHECK (note <> '')",
        0,
        1,
    ),
    (
        "ALTER TABLE orders ADD COLUMN payer INTEGER REFERENCES customers (id)",
        0,
        1,
    ),
    ("ALTER TABLE customers DROP COLUMN age", 1, 0),
    ("DROP INDEX orders_by_day", 0, 0),
    ("CREATE INDEX extra ON orders (customer)", 0, 0),
    (
        "DROP INDEX orders_by_day; CREATE INDEX orders_by_day ON orders (day DESC)",
        0,
        0,
    ),
    ("DROP VIEW todays_orders", 0, 0),
    (
        "DROP VIEW todays_orders; CREATE VIEW todays_orders AS SELECT id, day FROM orders -- all",
        0,
        0,
    ),
    ("DROP TRIGGER orders_stamp", 0, 0),
    (
        "CREATE TRIGGER extra AFTER DELETE ON orders BEGIN SELECT 1; END",
        0,
        0,
    ),
    ("DROP TABLE orders", 1, 0),
    // For these SQLite makes the table anew.
    (
        "DROP VIEW todays_orders; ALTER TABLE orders RENAME TO o; CREATE TABLE orders (id INTEGER PRIMARY KEY, \
      customer INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE, day TEXT DEFAULT 'today'); \
      INSERT INTO orders SELECT * FROM o; DROP TABLE o; CREATE INDEX orders_by_day ON orders (day); \
      CREATE VIEW todays_orders AS SELECT id FROM orders WHERE day = 'today'; \
      CREATE TRIGGER orders_stamp AFTER INSERT ON orders BEGIN\n    \
      UPDATE orders SET day = 'stamped' WHERE id = new.id;\nEND;",
        1,
        1,
    ),
];

#[tokio::test]
async fn the_way_back_run_by_hand_leaves_no_drift() {
    for (by_hand, _, held) in BY_HAND {
        let dbvc = with_a_schema().await;
        dbvc.change_by_hand(by_hand);
        let found = script(&dbvc, "revert").await;
        assert_eq!(found["detected"], true, "{by_hand}");
        assert_eq!(
            found["script"]["commentedOut"], *held,
            "{by_hand}: {found:#}"
        );
        let script = text(&found["script"]["text"]);
        let rows = || dbvc.ask_by_hand("SELECT COUNT(*) FROM customers");
        let before = rows();
        // As it stands it loses nothing and can be run.
        dbvc.change_by_hand(&script);
        dbvc.change_by_hand(&in_full(&text(
            &self::script(&dbvc, "revert").await["script"]["text"],
        )));
        let drift = dbvc.drift().await;
        assert_eq!(drift["detected"], false, "{by_hand}: {script}\n{drift:#}");
        assert_eq!(rows(), before);
    }
}

#[tokio::test]
async fn adopting_a_drift_and_running_leaves_none() {
    for (by_hand, held, _) in BY_HAND {
        let dbvc = with_a_schema().await;
        dbvc.change_by_hand(by_hand);
        let found = script(&dbvc, "adopt").await;
        assert_eq!(
            found["script"]["commentedOut"], *held,
            "{by_hand}: {found:#}"
        );
        assert_eq!(found["script"]["suggestedName"], "adopt_live_changes");
        let script = text(&found["script"]["text"]);
        dbvc.register("V2__adopt_live_changes", &script).await;
        // A column cannot be added a second time, and the script says so.
        let more = match script.contains("baseline of POST migrations/run") {
            true => json!({ "baseline": "2" }),
            false => json!({}),
        };
        let run = dbvc.run_with(more).await;
        assert_eq!(run["status"], "succeeded", "{by_hand}: {run:#}\n{script}");
        let drift = dbvc.drift().await;
        assert_eq!(drift["detected"], false, "{by_hand}: {drift:#}");
        assert_eq!(
            drift["to"]["schemaHash"], found["to"]["schemaHash"],
            "{by_hand}: nothing changed"
        );

        // On a database that nobody changed by hand the same script makes the change.
        let other = with_a_schema().await;
        other
            .register("V2__adopt_live_changes", &in_full(&script))
            .await;
        let rebuilds = script.contains("legacy_alter_table");
        if rebuilds {
            other.change_by_hand(&in_full(&script));
        } else {
            let run = other.run().await;
            assert_eq!(run["status"], "succeeded", "{by_hand}: {run:#}\n{script}");
        }
        assert_eq!(
            other.drift().await["to"]["schemaHash"],
            found["to"]["schemaHash"],
            "{by_hand}: {script}"
        );
    }
}

#[tokio::test]
async fn without_drift_the_script_does_nothing_and_the_same_drift_gives_the_same_script() {
    let dbvc = with_a_schema().await;
    let none = script(&dbvc, "adopt").await;
    expect_like(
        &none,
        &json!({
            "databaseId": HOME, "detected": false, "changes": [],
            "script": { "purpose": "adopt", "suggestedName": "adopt_live_changes", "statements": 0, "commentedOut": 0, "notes": [] },
        }),
    );
    assert!(text(&none["script"]["text"]).contains("There is nothing to do"));
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    let once = script(&dbvc, "revert").await;
    assert_eq!(once, script(&dbvc, "revert").await);
    assert_ne!(
        once["script"]["text"],
        script(&dbvc, "adopt").await["script"]["text"]
    );
}

#[tokio::test]
async fn the_bare_script_is_there_for_those_who_accept_sql() {
    let dbvc = with_a_schema().await;
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    let ask = async |query: &str, accept: &str| {
        let path = format!("/api/dbvc/drift?databaseId={HOME}{query}");
        dbvc.host
            .request("GET", &path)
            .header("accept", accept)
            .send()
            .await
    };
    let bare = ask("&script=adopt", "application/sql")
        .await
        .expect_status(200);
    assert_eq!(
        bare.header("content-type").as_deref(),
        Some("application/sql; charset=utf-8")
    );
    assert_eq!(
        bare.text(),
        text(&script(&dbvc, "adopt").await["script"]["text"])
    );
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    ask("&script=adopt", browser).await.expect_status(200);
    expect_problem(
        &ask("&script=adopt", "text/html").await,
        406,
        "not-acceptable",
    );
    expect_problem(&ask("", "application/sql").await, 406, "not-acceptable");
    expect_problem(&ask("&script=undo", "*/*").await, 400, "invalid-request");
}

#[tokio::test]
async fn there_is_a_script_between_two_snapshots_and_none_where_drift_is_not_judged() {
    let dbvc = Dbvc::start().await;
    let path = format!("/api/dbvc/drift?databaseId={HOME}&script=adopt");
    let refused = dbvc.host.get(&path).await;
    let problem = expect_problem(&refused, 409, "drift-not-judged");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("no trusted snapshot"),
        "{problem:#}"
    );

    let older = text(&dbvc.snapshot("manual").await["snapshotId"]);
    dbvc.change_by_hand("CREATE TABLE extra (id INTEGER)");
    let newer = text(&dbvc.snapshot("manual").await["snapshotId"]);
    let path = format!("/api/dbvc/drift?databaseId={HOME}&from={older}&to={newer}&script=revert");
    let found = dbvc.host.get(&path).await.expect_status(200).body;
    let script = text(&found["script"]["text"]);
    for part in [
        older.as_str(),
        newer.as_str(),
        "-- DROP TABLE IF EXISTS \"extra\";",
    ] {
        assert!(script.contains(part), "{part}: {script}");
    }
}
