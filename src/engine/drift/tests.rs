//! When drift is judged, and what is found and told.

use super::*;
use crate::engine::testing::Shop;
use crate::engine::{SnapshotRequest, SnapshotType};
use crate::registry::lock::{FencingToken, Holding, LockRow};
use crate::registry::runs::OpenPlan;
use crate::script::MigrationId;
use crate::time::Timestamp;

fn snapshot(kind: &str, hash: &str, covers: i64) -> SnapshotRow {
    SnapshotRow {
        snapshot_id: format!("s{covers}"),
        database_id: Shop::id(),
        kind: kind.to_owned(),
        captured_at: "2025-11-27T14:30:00Z".parse().unwrap(),
        captured_by: "a".to_owned(),
        run_id: None,
        schema_hash: hash.to_owned(),
        content_hash: String::new(),
        object_counts: "{}".to_owned(),
        size_bytes: 2,
        parts: 1,
        covers,
        archived_at: None,
        engine: crate::script::EngineKind::Sqlite,
        expires_at: None,
    }
}

fn quiet() -> DatabaseState {
    DatabaseState {
        trusted_snapshot: Some(snapshot("baseline", "h", 7)),
        newest_snapshot: Some(snapshot("baseline", "h", 7)),
        newest_execution: Some(5),
        ..DatabaseState::empty()
    }
}

fn lock(expired: bool) -> LockRow {
    LockRow {
        token: FencingToken(3),
        held: Some(Holding {
            owner: "another".to_owned(),
            run_id: None,
            acquired_at: Timestamp::now(),
            expires_at: Timestamp::now(),
            expired,
        }),
    }
}

#[test]
fn drift_is_judged_only_when_it_can_be() {
    assert_eq!(judge(&quiet()).unwrap().snapshot_id, "s7");
    let mut state = quiet();
    state.lock = Some(lock(true));
    assert!(judge(&state).is_ok());
    state.lock = Some(lock(false));
    assert_eq!(judge(&state), Err(Hindrance::Held));

    let mut state = quiet();
    state.open_plans = vec![OpenPlan {
        token: FencingToken(3),
        run_id: "r".to_owned(),
        steps: Vec::new(),
    }];
    assert_eq!(judge(&state), Err(Hindrance::DeadRun));

    let mut state = quiet();
    state.running = vec![("e".to_owned(), MigrationId::parse("V101__x").unwrap())];
    assert_eq!(judge(&state), Err(Hindrance::Running));

    let mut state = quiet();
    state.newest_execution = Some(8);
    assert_eq!(judge(&state), Err(Hindrance::OutOfDate));

    let mut state = quiet();
    state.trusted_snapshot = None;
    assert_eq!(judge(&state), Err(Hindrance::NoTrustedSnapshot));
}

#[test]
fn what_is_known_of_drift_comes_from_the_headers() {
    let mut state = quiet();
    assert_eq!(drift_state(&state).detected, Some(false));
    state.newest_snapshot = Some(snapshot("scheduled", "other", 9));
    assert_eq!(drift_state(&state).detected, Some(true));
    assert!(drift_state(&state).checked_at.is_some());
    state.newest_execution = Some(12);
    assert_eq!(drift_state(&state).detected, None);
    assert_eq!(drift_state(&DatabaseState::empty()), DriftState::default());
}

async fn drift(shop: &Shop) -> Drift {
    shop.engine.drift(&Shop::id(), None, None).await.unwrap()
}

#[tokio::test]
async fn a_database_that_is_not_there_is_not_judged_and_not_made() {
    let shop = Shop::new();
    let found = drift(&shop).await;
    assert_eq!(found.detected, None);
    assert!(found.reason.unwrap().contains("no trusted snapshot"));
    assert!(shop.is_empty());
}

#[tokio::test]
async fn a_table_made_by_hand_is_found_and_no_event_is_written() {
    let shop = Shop::at_work().await;
    assert_eq!(drift(&shop).await.detected, Some(false));
    let events = shop.ask("SELECT COUNT(*) FROM audit_events");
    shop.by_hand("CREATE TABLE by_hand (id INTEGER); DROP TABLE orders;");
    let found = drift(&shop).await;
    assert_eq!(found.detected, Some(true));
    let names: Vec<_> = found
        .changes
        .iter()
        .filter(|change| change.kind == crate::schema::ObjectKind::Table)
        .map(|change| (change.change, change.name.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            (ChangeKind::Added, "by_hand"),
            (ChangeKind::Removed, "orders")
        ]
    );
    assert!(found.to.unwrap().live);
    assert_eq!(shop.ask("SELECT COUNT(*) FROM audit_events"), events);
}

#[tokio::test]
async fn while_a_run_holds_the_database_nothing_is_claimed() {
    let shop = Shop::at_work().await;
    shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
    shop.hold_lock(60);
    let found = drift(&shop).await;
    assert_eq!(found.detected, None);
    assert!(found.reason.unwrap().contains("a run holds the database"));
    shop.release_lock();
    assert_eq!(drift(&shop).await.detected, Some(true));
}

#[tokio::test]
async fn snapshots_are_compared_with_each_other_and_with_the_live_schema() {
    let shop = Shop::at_work().await;
    let take = async |kind| {
        let request = SnapshotRequest {
            database_id: Shop::id(),
            environment: "dev".to_owned(),
            kind,
        };
        let header = shop.engine.take_snapshot(&Shop::caller(), request).await;
        header.unwrap().snapshot_id
    };
    let before = take(SnapshotType::Manual).await;
    shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
    let after = take(SnapshotType::Manual).await;
    let id = Shop::id();
    let compare = async |from: Option<&str>, to: Option<&str>| {
        let drift = shop.engine.drift(&id, from, to).await.unwrap();
        (drift.detected, drift.changes.len())
    };
    assert_eq!(compare(Some(&before), Some(&after)).await, (Some(true), 1));
    assert_eq!(compare(None, Some(&after)).await, (Some(true), 1));
    assert_eq!(compare(None, Some(&before)).await, (Some(false), 0));
    assert_eq!(compare(Some(&after), None).await, (Some(false), 0));
    assert_eq!(compare(Some(&before), None).await, (Some(true), 1));
    // A baseline declares the present state to be right.
    take(SnapshotType::Baseline).await;
    assert_eq!(compare(None, None).await, (Some(false), 0));
    let unknown = shop.engine.drift(&id, Some("none"), None).await;
    assert!(matches!(unknown, Err(EngineError::UnknownSnapshot(_))));
}

#[tokio::test]
async fn a_damaged_snapshot_is_not_compared_with() {
    let shop = Shop::at_work().await;
    shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
    shop.by_hand_in_archive(
        "UPDATE \"schema-snapshots\" SET document = replace(document, 'customers', 'clients')",
    );
    let refused = shop.engine.drift(&Shop::id(), None, None).await;
    assert!(matches!(refused, Err(EngineError::SnapshotDamaged { .. })));
}

#[tokio::test]
async fn the_timer_tells_a_finding_once() {
    let shop = Shop::at_work().await;
    assert_eq!(shop.engine.check_drift().await, ["shop: no drift"]);
    shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
    assert_eq!(
        shop.engine.check_drift().await,
        ["shop: drift detected; objects that differ: 1"]
    );
    assert_eq!(
        shop.engine.check_drift().await,
        ["shop: still the drift that was detected before; objects that differ: 1"]
    );
    let told = "SELECT COUNT(*) FROM audit_events WHERE type = 'drift-detected'";
    assert_eq!(shop.ask(told), "1");
    shop.by_hand("CREATE TABLE by_hand_too (id INTEGER)");
    shop.engine.check_drift().await;
    assert_eq!(shop.ask(told), "2");
    shop.by_hand("DROP TABLE by_hand_too");
    shop.engine.check_drift().await;
    assert_eq!(shop.ask(told), "3");
    assert_eq!(
        shop.ask("SELECT COUNT(*) FROM schema_snapshots WHERE type = 'scheduled'"),
        "5"
    );
    shop.engine.settle().await;
}

#[tokio::test]
async fn drift_that_was_gone_and_comes_back_is_a_new_finding() {
    let shop = Shop::at_work().await;
    let told = "SELECT COUNT(*) FROM audit_events WHERE type = 'drift-detected'";
    for count in ["1", "2"] {
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        for _ in 0..2 {
            shop.engine.check_drift().await;
            assert_eq!(shop.ask(told), count);
        }
        shop.by_hand("DROP TABLE by_hand");
        assert_eq!(shop.engine.check_drift().await, ["shop: no drift"]);
    }
    shop.engine.settle().await;
}

#[tokio::test]
async fn a_finding_needs_no_archive_but_its_changes_do() {
    let shop = Shop::at_work().await;
    std::fs::write(
        shop.file("_version-control.sqlite"),
        "no database, but long enough for one",
    )
    .unwrap();
    assert_eq!(drift(&shop).await.detected, Some(false));
    shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
    let refused = shop.engine.drift(&Shop::id(), None, None).await;
    assert!(matches!(refused, Err(EngineError::Archive(_))));
    let lines = shop.engine.check_drift().await;
    assert!(
        lines[0].starts_with("shop: drift detected; the schema differs, but"),
        "{lines:?}"
    );
    assert_eq!(
        shop.ask("SELECT COUNT(*) FROM audit_events WHERE type = 'drift-detected'"),
        "1"
    );
    shop.engine.settle().await;
}

#[tokio::test]
async fn a_trusted_snapshot_that_knows_less_is_no_drift_and_is_replaced() {
    let shop = Shop::at_work().await;
    // As if another version of dbvc had made the hash.
    shop.by_hand("UPDATE schema_snapshots SET schema_hash = 'sha256:other'");
    assert_eq!(drift(&shop).await.detected, Some(false));
    let lines = shop.engine.check_drift().await;
    assert!(lines[0].contains("the new baseline"), "{lines:?}");
    assert_eq!(shop.engine.check_drift().await, ["shop: no drift"]);
    let kinds =
        "SELECT group_concat(type, ' ') FROM (SELECT type FROM schema_snapshots ORDER BY covers)";
    assert_eq!(shop.ask(kinds), "post-migration baseline scheduled");
    shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
    assert_eq!(drift(&shop).await.detected, Some(true));
    shop.engine.settle().await;
}

#[tokio::test]
async fn the_timer_makes_nothing_and_disturbs_nobody() {
    let shop = Shop::new();
    let lines = shop.engine.check_drift().await;
    assert!(lines[0].starts_with("shop: skipped"), "{lines:?}");
    assert!(shop.is_empty());

    let shop = Shop::at_work().await;
    shop.hold_lock(60);
    let lines = shop.engine.check_drift().await;
    assert!(
        lines[0].starts_with("shop: skipped, another run holds"),
        "{lines:?}"
    );
    assert_eq!(
        shop.ask("SELECT COUNT(*) FROM schema_snapshots WHERE type = 'scheduled'"),
        "0"
    );
}
