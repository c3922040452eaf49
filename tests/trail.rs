//! The trail of events: whole, provable from the outside, and what tampering with it leads to.

mod support;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use support::dbvc::{Dbvc, HOME, ME, each, expect_problem, list, text};
use support::host::TimerShape;
use support::shape::expect_like;

/// The rule of the contract: SHA-256 over the canonical JSON of the event without its hash.
fn hash_of(event: &Value) -> String {
    let mut event = event.clone();
    event.as_object_mut().unwrap().remove("hash");
    let canonical = serde_json_canonicalizer::to_string(&event).unwrap();
    let digest = Sha256::digest(canonical.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Panics unless the events, oldest first, are one whole chain from its beginning.
#[track_caller]
fn expect_whole(events: &[Value], database: &str) {
    let mut previous = Value::Null;
    for (position, event) in events.iter().enumerate() {
        assert_eq!(event["sequence"], position + 1, "{event:#}");
        assert_eq!(event["databaseId"], database, "{event:#}");
        assert_eq!(event["previousHash"], previous, "{event:#}");
        assert_eq!(event["hash"], hash_of(event).as_str(), "{event:#}");
        previous = event["hash"].clone();
    }
}

/// A database with a story, all of it delivered to the archive.
async fn with_a_story() -> Dbvc {
    let dbvc = Dbvc::start().await;
    dbvc.register_with_down("V1__t", "CREATE TABLE t (id INTEGER);", "DROP TABLE t;")
        .await;
    dbvc.run().await;
    dbvc.roll_back(
        "V1__t",
        json!({ "reason": "\u{e9}\"\\\t\u{1f600} </script>" }),
    )
    .await
    .expect_status(200);
    dbvc.register("V2__bad", "oops;").await;
    dbvc.run_badly().await;
    dbvc.snapshot("manual").await;
    deliver(&dbvc).await;
    dbvc
}

/// Has every event delivered before it returns, with no other delivery still under way: a new process has none, and one that
/// was would put back what a test removes.
async fn deliver(dbvc: &Dbvc) {
    dbvc.host.kill().await;
    dbvc.host.start_again().await;
    dbvc.host
        .invoke_timer("dbvc-runs-timer", TimerShape::Regular)
        .await
        .expect_success();
    assert_eq!(
        dbvc.ask_by_hand("SELECT count(*) FROM audit_events WHERE delivered_at IS NULL"),
        "0"
    );
    let health = dbvc.host.get("/api/dbvc/health").await.expect_status(200);
    assert_eq!(health.body["checks"]["trail"]["undelivered"], 0);
}

#[tokio::test]
async fn every_event_can_be_proved_from_the_outside() {
    let dbvc = with_a_story().await;
    dbvc.add_database("reporting").await;
    let elsewhere = json!({ "databaseId": "reporting" });
    dbvc.create("V1__t.sqlite.sql", "SELECT 1;", elsewhere)
        .await
        .expect_status(201);
    for database in [HOME, "reporting"] {
        let events = dbvc.events_of(database).await;
        assert!(events.len() > 2, "{database}");
        expect_whole(&events, database);
    }
    let undone = dbvc.events_of_type("rolled-back").await;
    assert_eq!(
        undone[0]["data"]["reason"],
        "\u{e9}\"\\\t\u{1f600} </script>"
    );
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn an_execution_is_told_from_its_beginning_to_its_end() {
    let dbvc = with_a_story().await;
    let events = dbvc.events().await;
    let of_scripts: Vec<&Value> = events
        .iter()
        .filter(|event| event["executionId"].is_string() && event["runId"].is_string())
        .collect();
    let kinds: Vec<&str> = of_scripts
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "started",
            "completed",
            "started",
            "rolled-back",
            "started",
            "completed",
            "started",
            "failed"
        ]
    );
    for pair in of_scripts.chunks(2) {
        for field in [
            "executionId",
            "runId",
            "migrationId",
            "executor",
            "environment",
        ] {
            assert_eq!(pair[0][field], pair[1][field], "{field}");
        }
        assert_eq!(pair[0]["executor"], ME);
        assert!(text(&pair[0]["at"]) <= text(&pair[1]["at"]));
    }
}

#[tokio::test]
async fn history_is_filtered_by_migration_type_and_time() {
    let dbvc = with_a_story().await;
    let all = dbvc.events().await;
    let get = async |filter: &str| {
        let path = format!("/api/dbvc/history?databaseId={HOME}&limit=1000&{filter}");
        dbvc.host.get(&path).await.expect_status(200).body
    };
    let of = |keep: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        all.iter()
            .rev()
            .filter(|event| keep(event))
            .cloned()
            .collect()
    };
    let found = get("migrationId=V1__t").await;
    assert_eq!(
        list(&found["events"]),
        of(&|event| event["migrationId"] == "V1__t")
    );
    assert!(!list(&found["events"]).is_empty());
    let found = get("type=failed").await;
    assert_eq!(each(&found["events"], "migrationId"), ["V2__bad"]);
    let found = get("type=started&migrationId=V1__t").await;
    assert_eq!(list(&found["events"]).len(), 3);
    let found = get("type=resolved").await;
    expect_like(
        &found,
        &json!({ "events": [], "continuation": null, "source": "embedded" }),
    );
    let since = text(&all[all.len() / 2]["at"]);
    let found = get(&format!("since={since}")).await;
    assert_eq!(
        list(&found["events"]),
        of(&|event| text(&event["at"]) >= since)
    );
    let found = get("since=2999-01-01T00:00:00Z").await;
    assert_eq!(list(&found["events"]).len(), 0);
    let wrong = dbvc
        .host
        .get(&format!(
            "/api/dbvc/history?databaseId={HOME}&type=nonsense"
        ))
        .await;
    let problem = expect_problem(&wrong, 400, "invalid-request");
    assert_eq!(each(&problem["errors"], "field"), ["type"]);
}

#[tokio::test]
async fn pages_of_history_hold_every_event_once_whatever_happens_in_between() {
    let dbvc = with_a_story().await;
    for (number, (limit, filter)) in [(1, ""), (3, ""), (2, "&type=started"), (1000, "")]
        .into_iter()
        .enumerate()
    {
        let mut expected: Vec<Value> = dbvc.events().await.into_iter().rev().collect();
        if !filter.is_empty() {
            expected.retain(|event| event["type"] == "started");
        }
        let mut found = Vec::new();
        let mut continuation = String::new();
        let mut pages = 0;
        loop {
            let path =
                format!("/api/dbvc/history?databaseId={HOME}&limit={limit}{filter}{continuation}");
            let page = dbvc.host.get(&path).await.expect_status(200).body;
            let events = list(&page["events"]);
            assert!(events.len() <= limit, "{limit}");
            found.extend_from_slice(events);
            pages += 1;
            if continuation.is_empty() {
                // What is new comes before the first page, and moves none of the others.
                dbvc.register(&format!("V20{number}__more"), "SELECT 1;")
                    .await;
            }
            match page["continuation"].as_str() {
                Some(next) => continuation = format!("&continuation={next}"),
                None => break,
            }
        }
        assert_eq!(found, expected, "{limit}{filter}");
        assert_eq!(pages, expected.len().div_ceil(limit), "{limit}{filter}");
    }
}

#[tokio::test]
async fn a_list_holds_one_to_a_thousand_items() {
    let dbvc = Dbvc::start().await;
    for path in [
        format!("/api/dbvc/history?databaseId={HOME}"),
        format!("/api/dbvc/snapshots?databaseId={HOME}"),
        "/api/dbvc/runs?".to_owned(),
    ] {
        for limit in ["1", "1000"] {
            let path = format!("{path}&limit={limit}").replace("?&", "?");
            dbvc.host.get(&path).await.expect_status(200);
        }
        for limit in ["0", "1001", "-1", "many", ""] {
            let path = format!("{path}&limit={limit}").replace("?&", "?");
            let problem = expect_problem(&dbvc.host.get(&path).await, 400, "invalid-request");
            assert_eq!(each(&problem["errors"], "field"), ["limit"], "{path}");
        }
    }
    for path in ["history", "snapshots"] {
        let path = format!("/api/dbvc/{path}?databaseId={HOME}&continuation=elsewhere");
        let problem = expect_problem(&dbvc.host.get(&path).await, 400, "invalid-request");
        assert_eq!(each(&problem["errors"], "field"), ["continuation"]);
    }
}

#[tokio::test]
async fn a_hundred_events_are_a_page_unless_another_limit_is_given() {
    let dbvc = Dbvc::start().await;
    for number in 1..=51 {
        dbvc.register(&format!("V{number}__x"), "SELECT 1;").await;
    }
    dbvc.run().await;
    let path = format!("/api/dbvc/history?databaseId={HOME}");
    let page = dbvc.host.get(&path).await.expect_status(200).body;
    assert_eq!(list(&page["events"]).len(), 100);
    assert!(page["continuation"].is_string());
    expect_whole(&dbvc.events().await, HOME);
}

#[tokio::test]
async fn events_show_before_they_are_delivered_and_migrations_do_not_wait_for_it() {
    let dbvc = Dbvc::start().await;
    // A folder in the place of the archive's file: it cannot be opened.
    let archive = dbvc.file_of("_version-control");
    std::fs::create_dir(&archive).unwrap();
    dbvc.register("V1__t", "CREATE TABLE t (id INTEGER);").await;
    assert_eq!(dbvc.run().await["status"], "succeeded");
    let path = format!("/api/dbvc/history?databaseId={HOME}&limit=1000");
    let history = dbvc.host.get(&path).await.expect_status(200).body;
    assert_eq!(history["source"], "registry");
    let before: Vec<Value> = list(&history["events"]).iter().rev().cloned().collect();
    expect_whole(&before, HOME);
    assert!(before.iter().any(|event| event["type"] == "completed"));
    let health = dbvc
        .host
        .get("/api/dbvc/health")
        .await
        .expect_status(200)
        .body;
    assert_eq!(health["status"], "degraded", "{health:#}");
    assert_eq!(health["checks"]["registry"]["status"], "healthy");
    let waiting = dbvc.ask_by_hand("SELECT count(*) FROM audit_events WHERE delivered_at IS NULL");
    assert_eq!(waiting, before.len().to_string());
    // The content of a snapshot waits with them, and can be had meanwhile.
    assert_eq!(dbvc.drift().await["detected"], false);
    dbvc.change_by_hand("CREATE TABLE by_hand (id INTEGER)");
    assert_eq!(dbvc.drift().await["changes"][0]["name"], "by_hand");
    dbvc.change_by_hand("DROP TABLE by_hand");
    assert_eq!(dbvc.verify().await["healthy"], true);

    std::fs::remove_dir(&archive).unwrap();
    deliver(&dbvc).await;
    let history = dbvc.host.get(&path).await.expect_status(200).body;
    assert_eq!(history["source"], "embedded");
    let after: Vec<Value> = list(&history["events"]).iter().rev().cloned().collect();
    assert_eq!(after, before, "delivered as they were");
    let health = dbvc
        .host
        .get("/api/dbvc/health")
        .await
        .expect_status(200)
        .body;
    assert_eq!(health["status"], "healthy", "{health:#}");
    let archived: i64 = dbvc
        .archive_by_hand()
        .query_row("SELECT count(*) FROM \"change-events\"", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(archived, i64::try_from(before.len()).unwrap());
}

#[tokio::test]
async fn an_event_is_at_most_64_kib_and_the_execution_has_the_whole_text() {
    let dbvc = Dbvc::start().await;
    let huge = "\u{1f600}é\t".repeat(40_000);
    let script = format!(
        "CREATE TABLE t (id INTEGER);\nCREATE TRIGGER tr BEFORE INSERT ON t BEGIN\n  SELECT RAISE(ABORT, '{huge}');\nEND;\n\
         INSERT INTO t VALUES (1);"
    );
    dbvc.register("V1__huge", &script).await;
    let run = dbvc.run_badly().await;
    let error = &run["migrations"][0]["errors"][0];
    assert_eq!(
        error["message"].as_str(),
        Some(huge.as_str()),
        "the answer has it whole"
    );
    let migration = dbvc.migration("V1__huge").await;
    assert_eq!(
        migration["executions"][0]["errors"][0]["message"].as_str(),
        Some(huge.as_str())
    );
    let events = dbvc.events().await;
    for event in &events {
        let bytes = event.to_string().len();
        assert!(bytes <= 64 * 1024, "{} has {bytes} bytes", event["type"]);
    }
    expect_whole(&events, HOME);
    let failed = dbvc.events_of_type("failed").await;
    expect_like(
        &failed[0],
        &json!({ "migrationId": "V1__huge", "executionId": migration["executions"][0]["executionId"] }),
    );
    assert!(text(&failed[0]["data"]["errors"][0]["message"]).starts_with('\u{1f600}'));
    assert_eq!(dbvc.verify().await["healthy"], true);
    dbvc.host.expect_silent_stderr();
}

/// What somebody does by hand to the events of one side or the other.
struct Tampering {
    what: &'static str,
    registry: &'static str,
    archive: &'static str,
}

const TAMPERINGS: [Tampering; 8] = [
    Tampering {
        what: "an event was changed",
        registry: "UPDATE audit_events SET data = '{}' WHERE sequence = 3",
        archive: "UPDATE \"change-events\" SET document = json_set(document, '$.data', json('{}')) WHERE sequence = 3",
    },
    Tampering {
        what: "its executor was changed",
        registry: "UPDATE audit_events SET executor = 'somebody else' WHERE sequence = 4",
        archive: "UPDATE \"change-events\" SET document = json_set(document, '$.executor', 'somebody else') WHERE sequence = 4",
    },
    Tampering {
        what: "its time was changed",
        registry: "UPDATE audit_events SET at = '2001-01-01T00:00:00.000Z' WHERE sequence = 4",
        archive: "UPDATE \"change-events\" SET document = json_set(document, '$.at', '2001-01-01T00:00:00.000Z') WHERE sequence = 4",
    },
    Tampering {
        what: "an event was removed",
        registry: "DELETE FROM audit_events WHERE sequence = 3",
        archive: "DELETE FROM \"change-events\" WHERE sequence = 3",
    },
    Tampering {
        what: "two events changed places",
        registry: "UPDATE audit_events SET sequence = -3 WHERE sequence = 3; \
                   UPDATE audit_events SET sequence = 3 WHERE sequence = 4; \
                   UPDATE audit_events SET sequence = 4 WHERE sequence = -3",
        archive: "UPDATE \"change-events\" SET sequence = CASE sequence WHEN 3 THEN 4 ELSE 3 END, \
                  document = json_set(document, '$.sequence', CASE sequence WHEN 3 THEN 4 ELSE 3 END) \
                  WHERE sequence IN (3, 4)",
    },
    Tampering {
        what: "the newest event was cut off",
        registry: "DELETE FROM audit_events WHERE sequence = (SELECT max(sequence) FROM audit_events)",
        archive: "DELETE FROM \"change-events\" WHERE sequence = (SELECT max(sequence) FROM \"change-events\")",
    },
    Tampering {
        what: "the newest events were cut off, and what points to them was made to fit",
        registry: "DELETE FROM audit_events WHERE sequence > 5; \
                   UPDATE trail_heads SET sequence = 5, hash = (SELECT hash FROM audit_events WHERE sequence = 5)",
        archive: "DELETE FROM \"change-events\" WHERE sequence > 5",
    },
    Tampering {
        what: "all of it was removed",
        registry: "DELETE FROM audit_events; DELETE FROM trail_heads",
        archive: "DELETE FROM \"change-events\"",
    },
];

/// The check of a verification that has this code.
fn check<'a>(verification: &'a Value, code: &str) -> &'a Value {
    list(&verification["checks"])
        .iter()
        .find(|check| check["code"] == code)
        .unwrap_or_else(|| panic!("no check {code}: {verification:#}"))
}

#[tokio::test]
async fn tampering_with_the_registrys_events_is_found() {
    for Tampering { what, registry, .. } in TAMPERINGS {
        let dbvc = with_a_story().await;
        assert_eq!(dbvc.verify().await["healthy"], true);
        dbvc.change_by_hand(registry);
        expect_found(&dbvc, what).await;
    }
}

#[tokio::test]
async fn tampering_with_the_archives_events_is_found() {
    for Tampering { what, archive, .. } in TAMPERINGS {
        let dbvc = with_a_story().await;
        dbvc.archive_by_hand()
            .execute_batch(archive)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        expect_found(&dbvc, what).await;
    }
}

async fn expect_found(dbvc: &Dbvc, what: &str) {
    let found = dbvc.verify().await;
    assert_eq!(found["healthy"], false, "{what}: {found:#}");
    let chain = check(&found, "trail-chain");
    assert_eq!(chain["status"], "fail", "{what}: {chain:#}");
    assert!(!list(&chain["items"]).is_empty(), "{what}: {chain:#}");
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn an_event_changed_together_with_its_own_hash_is_found_by_the_next_one() {
    let dbvc = with_a_story().await;
    let mut forged = dbvc.events().await[3].clone();
    forged["executor"] = json!("somebody else");
    let hash = hash_of(&forged);
    dbvc.change_by_hand(&format!(
        "UPDATE audit_events SET executor = 'somebody else', hash = '{hash}' WHERE sequence = 4"
    ));
    expect_found(&dbvc, "an event and its hash were changed").await;
}

#[tokio::test]
async fn a_forged_event_behind_the_newest_one_is_found() {
    let dbvc = with_a_story().await;
    let events = dbvc.events().await;
    let newest = events.last().unwrap();
    let mut forged = newest.clone();
    forged["id"] = json!("01a20778-1e59-76bf-9605-325449a24fd6");
    forged["sequence"] = json!(events.len() + 1);
    forged["previousHash"] = newest["hash"].clone();
    forged["hash"] = json!(hash_of(&forged));
    dbvc.archive_by_hand()
        .execute(
            "INSERT INTO \"change-events\" (id, database_id, sequence, type, at, document) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            rusqlite::params![
                text(&forged["id"]),
                HOME,
                i64::try_from(events.len() + 1).unwrap(),
                text(&forged["type"]),
                text(&forged["at"]),
                forged.to_string(),
            ],
        )
        .unwrap();
    expect_found(&dbvc, "the archive has an event that never happened").await;
}

#[tokio::test]
async fn events_lost_by_the_archive_are_delivered_again_when_asked() {
    let dbvc = with_a_story().await;
    let before = dbvc.events().await;
    dbvc.archive_by_hand()
        .execute_batch("DELETE FROM \"change-events\" WHERE sequence IN (2, 5)")
        .unwrap();
    expect_found(&dbvc, "the archive lost two").await;
    let body = json!({ "databaseId": HOME, "environment": "dev", "executor": ME, "fix": true });
    let fixed = dbvc
        .host
        .post("/api/dbvc/integrity/verify", body)
        .await
        .expect_status(200)
        .body;
    assert_eq!(check(&fixed, "trail-chain")["status"], "fixed", "{fixed:#}");
    let after = dbvc.verify().await;
    assert_eq!(check(&after, "trail-chain")["status"], "pass", "{after:#}");
    let told = dbvc.events_of_type("integrity-fixed").await;
    assert!(!told.is_empty(), "mending is told");
    let now = dbvc.events().await;
    assert_eq!(
        now[..before.len()],
        before[..],
        "nothing of the past was changed by it"
    );
    expect_whole(&now, HOME);
}

#[tokio::test]
async fn fixing_never_makes_a_forged_trail_look_whole() {
    for (what, registry) in [
        (
            "changed",
            "UPDATE audit_events SET data = '{}' WHERE sequence = 3",
        ),
        ("removed", "DELETE FROM audit_events WHERE sequence = 3"),
    ] {
        let dbvc = with_a_story().await;
        dbvc.change_by_hand(registry);
        let body = json!({ "databaseId": HOME, "environment": "dev", "executor": ME, "fix": true });
        let fixed = dbvc
            .host
            .post("/api/dbvc/integrity/verify", body)
            .await
            .expect_status(200)
            .body;
        assert_eq!(fixed["healthy"], false, "{what}: {fixed:#}");
        expect_found(&dbvc, what).await;
    }
}
