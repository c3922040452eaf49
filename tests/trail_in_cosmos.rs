//! A team whose trail, snapshots and copies are kept in Cosmos DB: what stands there, what an outage does, and what tampering
//! with it leads to.

mod support;

use std::fmt::Write as _;
use std::ops::Deref;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::cosmos::{CosmosDouble, Weather, as_written, container_of, documents_of};
use support::dbvc::{Dbvc, HOME, each, list, text};
use support::host::TimerShape;
use support::scene::{Scene, until};

/// The database that no setting names.
const DATABASE: &str = "version-control";

/// An embedded home database, with the archive in an account in memory.
struct Shop {
    dbvc: Dbvc,
    account: CosmosDouble,
}

impl Deref for Shop {
    type Target = Dbvc;

    fn deref(&self) -> &Dbvc {
        &self.dbvc
    }
}

impl Shop {
    async fn start() -> Self {
        let account = CosmosDouble::start().await;
        let connection = account.connection_string();
        let set_up = |builder: support::host::HostBuilder| {
            builder.setting("DBVC_COSMOS_CONNECTION_STRING", connection)
        };
        Self {
            dbvc: Dbvc::start_with(set_up).await,
            account,
        }
    }

    /// Two migrations of which one was undone, one that failed, and a snapshot; all of it delivered.
    async fn with_a_story() -> Self {
        let shop = Self::start().await;
        shop.tell_a_story().await;
        shop.deliver().await;
        shop
    }

    async fn tell_a_story(&self) {
        self.register_with_down(
            "V1__orders",
            "CREATE TABLE orders (id INTEGER);",
            "DROP TABLE orders;",
        )
        .await;
        self.register_with_down(
            "V2__view",
            "CREATE VIEW open_orders AS SELECT id FROM orders;",
            "DROP VIEW open_orders;",
        )
        .await;
        self.run().await;
        let reason = json!({ "reason": "\u{e9}\"\\\t\u{1f600}" });
        self.roll_back("V2__view", reason).await.expect_status(200);
        self.register("V3__bad", "oops;").await;
        self.run_badly().await;
        self.snapshot("manual").await;
    }

    /// What waits is delivered before this returns, by a process that has no other delivery under way.
    async fn deliver(&self) {
        self.host.kill().await;
        self.host.start_again().await;
        self.tick().await;
        assert_eq!(self.undelivered(), "0");
    }

    async fn tick(&self) {
        self.host
            .invoke_timer("dbvc-runs-timer", TimerShape::Regular)
            .await
            .expect_success();
    }

    fn undelivered(&self) -> String {
        self.ask_by_hand("SELECT count(*) FROM audit_events WHERE delivered_at IS NULL")
    }

    async fn documents(&self, container: &str) -> Vec<Value> {
        let client = self.account.client().await;
        documents_of(&container_of(&client, DATABASE, container).await, HOME).await
    }

    /// The events in Cosmos DB, oldest first, without what the service has added.
    async fn archived_events(&self) -> Vec<Value> {
        let mut events: Vec<Value> = self
            .documents("change-events")
            .await
            .iter()
            .map(as_written)
            .collect();
        events.sort_by_key(|event| event["sequence"].as_u64());
        events
    }

    /// Everything that was ever written in the registry is in Cosmos DB, once and in order, and all checks are content.
    async fn expect_everything_delivered(&self) {
        let archived = self.archived_events().await;
        let count = archived.len().to_string();
        assert_eq!(count, self.ask_by_hand("SELECT count(*) FROM audit_events"));
        let sequences: Vec<u64> = archived
            .iter()
            .map(|event| event["sequence"].as_u64().unwrap())
            .collect();
        assert!(sequences.into_iter().eq(1..=archived.len() as u64));
        assert_eq!(self.events().await, archived);
        self.expect_content("pass").await;
    }

    /// Only a missing down script may be something to know.
    async fn expect_content(&self, trail: &str) {
        let verified = self.verify().await;
        for check in list(&verified["checks"]) {
            let code = text(&check["code"]);
            if ["trail-chain", "trail-delivery", "registry-backup"].contains(&code.as_str()) {
                assert_eq!(check["status"], trail, "{check:#}");
            }
        }
        assert_eq!(verified["healthy"], true, "{verified:#}");
    }

    /// What is wrong with the trail.
    async fn trail_faults(&self) -> Vec<String> {
        let verified = self.verify().await;
        assert_eq!(verified["healthy"], false, "{verified:#}");
        let checks = list(&verified["checks"]);
        let chain = checks.iter().find(|check| check["code"] == "trail-chain");
        let chain = chain.expect("the check of the trail");
        assert_eq!(chain["status"], "fail", "{chain:#}");
        list(&chain["items"]).iter().map(text).collect()
    }
}

#[tokio::test]
async fn the_whole_story_stands_in_the_containers() {
    let shop = Shop::with_a_story().await;
    shop.expect_everything_delivered().await;

    let events = shop.archived_events().await;
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    for kind in ["started", "completed", "failed", "rolled-back"] {
        assert!(kinds.contains(&kind), "{kind} is missing: {kinds:?}");
    }
    assert!(events.iter().all(|event| event["databaseId"] == HOME));

    let snapshots = shop.documents("schema-snapshots").await;
    let listed = shop
        .host
        .get("/api/dbvc/snapshots")
        .await
        .expect_status(200);
    let headers: Vec<&Value> = snapshots
        .iter()
        .filter(|document| document["kind"] == "snapshot")
        .collect();
    assert_eq!(headers.len(), list(&listed.body["snapshots"]).len());
    for header in headers {
        let id = text(&header["id"]);
        let path = format!("/api/dbvc/snapshots?snapshotId={id}");
        let found = shop.host.get(&path).await.expect_status(200).body;
        let mut stored = String::new();
        for part in list(&header["parts"]) {
            let part = snapshots.iter().find(|document| document["id"] == *part);
            stored.push_str(part.unwrap()["content"].as_str().unwrap());
        }
        let stored: Value = serde_json::from_str(&stored).unwrap();
        assert_eq!(stored["tables"], found["schema"]["tables"]);
        assert_eq!(header["databaseId"], HOME);
    }

    let migrations = shop.documents("migrations").await;
    let ids: Vec<String> = migrations.iter().map(|copy| text(&copy["id"])).collect();
    assert_eq!(
        ids,
        [
            "V100__version_control_schema",
            "V1__orders",
            "V2__view",
            "V3__bad"
        ]
    );
    assert_eq!(
        migrations[1]["upScript"],
        "CREATE TABLE orders (id INTEGER);"
    );

    let path = format!("/api/dbvc/history?databaseId={HOME}&limit=5");
    let first = shop.host.get(&path).await.expect_status(200).body;
    assert_eq!(first["source"], "cosmos");
    let next = format!("{path}&continuation={}", text(&first["continuation"]));
    let next = shop.host.get(&next).await.expect_status(200).body;
    let seen: Vec<Value> = [list(&first["events"]), list(&next["events"])].concat();
    assert!(seen.iter().eq(events.iter().rev().take(10)));

    let health = shop.host.get("/api/dbvc/health").await.expect_status(200);
    assert_eq!(health.body["status"], "healthy");
    assert_eq!(health.body["mode"], "azure");
    shop.host.expect_silent_stderr();
}

#[tokio::test]
async fn an_outage_delays_the_trail_and_stops_nothing() {
    for weather in [Weather::Down, Weather::Refusing(503)] {
        let shop = Shop::start().await;
        // Down from the very first use on.
        shop.account.set_weather(weather);
        shop.tell_a_story().await;
        assert_eq!(
            shop.states().await,
            ["V1__orders applied", "V2__view applied", "V3__bad failed"]
        );
        let begun = Instant::now();
        let health = shop.host.get("/api/dbvc/health").await.expect_status(200);
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert_eq!(health.body["status"], "degraded");
        let waiting: u64 = shop.undelivered().parse().unwrap();
        assert!(waiting > 10);
        assert_eq!(health.body["checks"]["trail"]["undelivered"], waiting);
        let path = format!("/api/dbvc/history?databaseId={HOME}");
        let history = shop.host.get(&path).await.expect_status(200).body;
        assert_eq!(history["source"], "registry");
        assert_eq!(list(&history["events"]).len() as u64, waiting);
        shop.expect_content("warn").await;
        // A tick in between gets nowhere and is none the worse for it.
        shop.tick().await;
        assert_eq!(shop.undelivered(), waiting.to_string());

        shop.account.set_weather(Weather::Fine);
        shop.tick().await;
        assert_eq!(shop.undelivered(), "0");
        shop.expect_everything_delivered().await;
        shop.host.expect_silent_stderr();
    }
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_story_loses_nothing() {
    let shop = Shop::with_a_story().await;
    shop.account.set_weather(Weather::Down);
    shop.register("V4__t", "CREATE TABLE t (id INTEGER);").await;
    shop.withdraw("V3__bad").await.expect_status(200);
    shop.run().await;
    shop.snapshot("baseline").await;
    shop.account.set_weather(Weather::Fine);
    shop.tick().await;
    shop.expect_everything_delivered().await;
}

#[tokio::test]
async fn what_was_done_to_the_trail_in_cosmos_is_found_and_named() {
    let shop = Shop::with_a_story().await;
    let client = shop.account.client().await;
    let container = container_of(&client, DATABASE, "change-events").await;
    let whole = shop.archived_events().await;
    let event = |number: usize| whole[number - 1].clone();
    let id = |number: usize| text(&whole[number - 1]["id"]);
    let put = async |document: Value| {
        let id = text(&document["id"]);
        container
            .upsert_item(HOME, &id, document, None)
            .await
            .unwrap();
    };
    let remove = async |number: usize| {
        container
            .delete_item(HOME, &id(number), None)
            .await
            .unwrap();
    };
    let last = whole.len();

    let mut changed = event(4);
    changed["executor"] = "nobody".into();
    put(changed).await;
    assert_eq!(shop.trail_faults().await, ["archive: event 4 was changed"]);
    // What says more than was written is not what was written either.
    let mut more = event(4);
    more["approvedBy"] = "nobody".into();
    put(more).await;
    assert_eq!(shop.trail_faults().await, ["archive: event 4 was changed"]);
    put(event(4)).await;
    shop.expect_everything_delivered().await;

    remove(5).await;
    remove(6).await;
    assert_eq!(
        shop.trail_faults().await,
        ["events 5 to 6 are missing from the archive, though they were delivered"]
    );
    put(event(5)).await;
    put(event(6)).await;

    remove(last).await;
    let cut_off = format!("event {last} is missing from the archive, though it was delivered");
    assert_eq!(shop.trail_faults().await, [cut_off]);
    put(event(last)).await;

    let (mut one, mut other) = (event(7), event(8));
    one["sequence"] = 8.into();
    other["sequence"] = 7.into();
    put(one).await;
    put(other).await;
    let faults = shop.trail_faults().await.join("\n");
    for part in [
        "archive: event 7 was changed",
        "archive: event 8 was changed",
        "events 7 to 8 differ",
    ] {
        assert!(faults.contains(part), "{part} is missing: {faults}");
    }
    put(event(7)).await;
    put(event(8)).await;
    shop.expect_everything_delivered().await;

    // What only Cosmos DB has left tells what the registry lost.
    shop.change_by_hand("DELETE FROM audit_events WHERE sequence = 3");
    let faults = shop.trail_faults().await.join("\n");
    assert!(
        faults.contains("event 3 is missing from the registry"),
        "{faults}"
    );
    // What the registry has whole is delivered again when it is asked for.
    let shop = Shop::with_a_story().await;
    let client = shop.account.client().await;
    let container = container_of(&client, DATABASE, "change-events").await;
    for event in shop.archived_events().await {
        container
            .delete_item(HOME, &text(&event["id"]), None)
            .await
            .unwrap();
    }
    shop.trail_faults().await;
    shop.verify_with(json!({ "fix": true })).await;
    shop.expect_everything_delivered().await;
}

/// A script of eight megabytes that makes a schema whose snapshot exceeds ten.
fn large_script() -> String {
    let mut script = String::new();
    for table in 0..900 {
        write!(
            script,
            "CREATE TABLE \"table {table}\" (id INTEGER PRIMARY KEY"
        )
        .unwrap();
        for column in 0..120 {
            write!(
                script,
                ", \"a column with a rather long name, number {column}\" TEXT NOT NULL DEFAULT 'ä'"
            )
            .unwrap();
        }
        script.push_str(");\n");
    }
    while script.len() < 8_000_000 {
        script.push_str("-- \"quotes\" and \\ and €\r\n");
    }
    script
}

#[tokio::test]
async fn what_exceeds_a_document_is_kept_whole() {
    let shop = Shop::start().await;
    let script = large_script();
    let id = shop.register("V1__large", &script).await;
    shop.run().await;
    shop.deliver().await;
    let documents = shop.documents("schema-snapshots").await;
    let size = |document: &Value| document["sizeBytes"].as_u64();
    let largest = documents.iter().filter_map(size).max();
    assert!(largest > Some(10_000_000), "{largest:?}");
    // Its content is in Cosmos DB only.
    assert_eq!(
        shop.ask_by_hand("SELECT count(*) FROM schema_snapshot_parts"),
        "0"
    );
    let drift = shop.drift().await;
    assert_eq!(drift["detected"], false, "{}", drift["reason"]);
    let copies = shop.documents("migrations").await;
    let parts = copies.iter().filter(|copy| copy["kind"] == "part").count();
    assert!(parts > 4, "{parts}");
    let document = copies
        .iter()
        .find(|copy| copy["id"] == id.as_str())
        .unwrap();
    let copy: String = list(&document["upParts"])
        .iter()
        .map(|id| {
            let part = copies.iter().find(|copy| copy["id"] == *id).unwrap();
            part["content"].as_str().unwrap()
        })
        .collect();
    assert!(copy == script);
    shop.expect_everything_delivered().await;
    // And it is compared.
    shop.change_by_hand("ALTER TABLE \"table 3\" ADD COLUMN by_hand INTEGER");
    let drift = shop.drift().await;
    assert_eq!(drift["detected"], true);
    assert_eq!(each(&drift["changes"], "name"), ["table 3"]);
}

#[tokio::test]
async fn a_process_killed_while_delivering_leaves_nothing_twice() {
    let account = CosmosDouble::start().await;
    let connection = account.connection_string();
    let setting = "DBVC_COSMOS_CONNECTION_STRING";
    let scene = Scene::embedded();
    let host = scene.host_stopping_at("events-archived");
    let team = scene.team_with(host.setting(setting, &connection)).await;
    team.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    scene.stopped().await;
    // In Cosmos DB, and not known to be there.
    let client = account.client().await;
    let container = container_of(&client, DATABASE, "change-events").await;
    let archived = documents_of(&container, HOME).await.len();
    assert!(archived > 0);
    let delivered = "SELECT count(*) FROM audit_events WHERE delivered_at IS NOT NULL";
    assert_eq!(scene.read(HOME, delivered).await, ["0"]);
    team.host.kill().await;

    let team = scene
        .team_with(scene.host().setting(setting, &connection))
        .await;
    team.run().await;
    let waiting = "SELECT 1 FROM audit_events WHERE delivered_at IS NULL";
    until("the delivery", async || {
        scene.read(HOME, waiting).await.is_empty().then_some(())
    })
    .await;
    let events = team.events().await;
    let mut archived: Vec<Value> = documents_of(&container, HOME)
        .await
        .iter()
        .map(as_written)
        .collect();
    archived.sort_by_key(|event| event["sequence"].as_u64());
    assert_eq!(archived, events);
    assert!(team.verify().await["healthy"].as_bool().unwrap());
}
