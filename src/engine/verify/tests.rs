//! Verifying a shop that somebody tampered with.

use super::super::testing::Shop;
use super::super::{Check, CheckStatus, EngineError, Resolution, Verification, VerifyRequest};

const CODES: [&str; 11] = [
    "checksums",
    "applied-status",
    "execution-history",
    "locks",
    "down-scripts",
    "version-order",
    "registry-schema",
    "registry-backup",
    "trail-chain",
    "trail-delivery",
    "drift",
];

async fn ask(
    shop: &Shop,
    fix: bool,
    resolve: Option<Resolution>,
) -> Result<Verification, EngineError> {
    let request = VerifyRequest {
        database_id: Shop::id(),
        environment: "dev".to_owned(),
        fix,
        resolve,
    };
    let verification = shop.engine.verify(&Shop::caller(), request).await;
    shop.engine.settle().await;
    verification
}

async fn verify(shop: &Shop) -> Verification {
    ask(shop, false, None).await.unwrap()
}

async fn fix(shop: &Shop) -> Verification {
    ask(shop, true, None).await.unwrap()
}

fn the<'a>(verification: &'a Verification, code: &str) -> &'a Check {
    verification
        .checks
        .iter()
        .find(|check| check.code == code)
        .unwrap()
}

/// Asserts that these checks ended so and that all others passed.
fn assert_only(verification: &Verification, expected: &[(&str, CheckStatus)]) {
    let found: Vec<(&str, CheckStatus)> = verification
        .checks
        .iter()
        .filter(|check| check.status != CheckStatus::Pass)
        .map(|check| (check.code, check.status))
        .collect();
    assert_eq!(found, expected, "{:#?}", verification.checks);
    assert_eq!(
        verification.healthy,
        expected
            .iter()
            .all(|(_, status)| *status != CheckStatus::Fail)
    );
}

fn newest_event(shop: &Shop) -> String {
    shop.ask("SELECT type FROM audit_events ORDER BY sequence DESC LIMIT 1")
}

#[tokio::test]
async fn a_database_on_which_nothing_was_ever_done_is_healthy_and_stays_so() {
    let shop = Shop::new();
    let found = verify(&shop).await;
    let codes: Vec<&str> = found.checks.iter().map(|check| check.code).collect();
    assert_eq!(codes, CODES);
    assert_only(&found, &[("drift", CheckStatus::Warn)]);
    assert_only(&fix(&shop).await, &[("drift", CheckStatus::Warn)]);
    assert!(shop.is_empty());
}

#[tokio::test]
async fn a_database_at_work_passes_every_check_and_nothing_is_written() {
    let shop = Shop::at_work().await;
    let events = shop.ask("SELECT COUNT(*) FROM audit_events");
    assert_only(&verify(&shop).await, &[]);
    assert_only(&fix(&shop).await, &[]);
    assert_eq!(shop.ask("SELECT COUNT(*) FROM audit_events"), events);
}

#[tokio::test]
async fn another_environment_is_refused() {
    let shop = Shop::new();
    let request = VerifyRequest {
        database_id: Shop::id(),
        environment: "prod".to_owned(),
        fix: false,
        resolve: None,
    };
    let refused = shop.engine.verify(&Shop::caller(), request).await;
    assert!(matches!(refused, Err(EngineError::WrongEnvironment { .. })));
}

#[tokio::test]
async fn a_changed_script_is_found_and_never_mended() {
    let shop = Shop::at_work().await;
    shop.by_hand("UPDATE migration_registry SET up_script = 'DROP TABLE x;' WHERE version = '101'");
    let found = verify(&shop).await;
    // The archive has the text that was registered.
    let expected = [
        ("checksums", CheckStatus::Fail),
        ("registry-backup", CheckStatus::Fail),
    ];
    assert_only(&found, &expected);
    assert!(the(&found, "checksums").items[0].starts_with("V101__orders"));
    let fixed = fix(&shop).await;
    assert_only(&fixed, &expected);
    // The archive's copy may be the only true one that is left.
    let kept = shop.ask_archive("SELECT document FROM migrations WHERE id = 'V101__orders'");
    assert!(kept.contains("CREATE TABLE orders"), "{kept}");
}

#[tokio::test]
async fn a_script_changed_together_with_its_checksum_differs_from_what_was_applied() {
    let shop = Shop::at_work().await;
    let checksum = crate::script::Checksum::of_text("SELECT 1;");
    shop.by_hand(&format!(
        "UPDATE migration_registry SET up_script = 'SELECT 1;', up_checksum = '{checksum}' WHERE version = '102'"
    ));
    let found = verify(&shop).await;
    assert_eq!(the(&found, "checksums").status, CheckStatus::Fail);
    assert!(the(&found, "checksums").items[0].starts_with("V102__customers: applied was"));
}

#[tokio::test]
async fn a_lost_state_is_corrected_from_the_history() {
    let shop = Shop::at_work().await;
    let before = shop.ask("SELECT checksum || ordinal || changed_at FROM migration_applied_status WHERE migration_id = 'V101__orders'");
    shop.by_hand("DELETE FROM migration_applied_status WHERE migration_id = 'V101__orders'");
    let found = verify(&shop).await;
    assert_only(&found, &[("applied-status", CheckStatus::Fail)]);
    assert_only(&fix(&shop).await, &[("applied-status", CheckStatus::Fixed)]);
    let after = shop.ask("SELECT checksum || ordinal || changed_at FROM migration_applied_status WHERE migration_id = 'V101__orders'");
    assert_eq!(after, before);
    assert_eq!(newest_event(&shop), "integrity-fixed");
    assert_only(&verify(&shop).await, &[]);
}

#[tokio::test]
async fn a_state_that_nothing_explains_is_left_to_a_person() {
    let shop = Shop::at_work().await;
    shop.create("V103__more.sqlite.sql", "SELECT 1;", Some("SELECT 1;"))
        .await;
    shop.engine.settle().await;
    shop.by_hand(
        "INSERT INTO migration_applied_status SELECT database_id, 'V103__more', status, \
         (SELECT up_checksum FROM migration_registry WHERE migration_id = 'V103__more'), execution_id, ordinal + 100, \
         executor, changed_at, duration_ms FROM migration_applied_status WHERE migration_id = 'V101__orders'",
    );
    let fixed = fix(&shop).await;
    assert_only(&fixed, &[("applied-status", CheckStatus::Fail)]);
    assert!(the(&fixed, "applied-status").items[0].contains("no execution explains it"));
}

#[tokio::test]
async fn an_expired_lock_is_taken_back_and_a_held_one_is_let_be() {
    let shop = Shop::at_work().await;
    shop.hold_lock(60);
    let found = verify(&shop).await;
    assert_only(&found, &[("drift", CheckStatus::Warn)]);
    assert!(the(&found, "locks").detail.contains("another"));
    assert_only(&fix(&shop).await, &[("drift", CheckStatus::Warn)]);
    assert_eq!(shop.ask("SELECT owner FROM migration_locks"), "another");

    shop.hold_lock(-1);
    let found = verify(&shop).await;
    assert_eq!(the(&found, "locks").status, CheckStatus::Warn);
    assert!(found.healthy);
    assert_only(&fix(&shop).await, &[("locks", CheckStatus::Fixed)]);
    assert_only(&verify(&shop).await, &[]);
    let told = shop.ask("SELECT data FROM audit_events WHERE type = 'integrity-fixed'");
    assert!(told.contains("expired lock of another"), "{told}");
}

#[tokio::test]
async fn an_execution_whose_run_is_dead_is_written_up() {
    let shop = Shop::at_work().await;
    shop.by_hand(
        "UPDATE migration_execution_history SET status = 'running', transactional = 0, finished_at = NULL \
         WHERE migration_id = 'V102__customers';
         DELETE FROM migration_applied_status WHERE migration_id = 'V102__customers'",
    );
    let found = verify(&shop).await;
    let expected = [
        ("execution-history", CheckStatus::Fail),
        ("drift", CheckStatus::Warn),
    ];
    assert_only(&found, &expected);
    let fixed = fix(&shop).await;
    assert_eq!(
        the(&fixed, "execution-history").status,
        CheckStatus::Fixed,
        "{fixed:#?}"
    );
    assert!(fixed.healthy);
    // From then on it is something to know.
    let after = verify(&shop).await;
    assert_eq!(the(&after, "execution-history").status, CheckStatus::Warn);
}

#[tokio::test]
async fn a_half_applied_script_fails_until_a_person_says_what_is_true() {
    let shop = Shop::at_work().await;
    shop.by_hand(
        "UPDATE migration_execution_history SET status = 'half-applied', transactional = 0 \
         WHERE migration_id = 'V102__customers';
         UPDATE migration_applied_status SET status = 'half-applied' WHERE migration_id = 'V102__customers'",
    );
    let id = shop.ask("SELECT execution_id FROM migration_execution_history WHERE migration_id = 'V102__customers'");
    let found = verify(&shop).await;
    assert_only(&found, &[("execution-history", CheckStatus::Fail)]);
    assert!(the(&found, "execution-history").items[0].contains(&id));

    let word = |execution_id: &str, applied| {
        Some(Resolution {
            execution_id: execution_id.to_owned(),
            applied,
        })
    };
    shop.hold_lock(60);
    let refused = ask(&shop, false, word(&id, true)).await;
    assert!(matches!(refused, Err(EngineError::Locked { .. })));
    shop.release_lock();

    assert_only(&ask(&shop, false, word(&id, true)).await.unwrap(), &[]);
    assert_eq!(newest_event(&shop), "resolved");
    assert_eq!(
        shop.ask(
            "SELECT status FROM migration_applied_status WHERE migration_id = 'V102__customers'"
        ),
        "applied"
    );
    assert_eq!(
        shop.ask("SELECT status || resolved_as FROM migration_execution_history WHERE migration_id = 'V102__customers'"),
        "appliedapplied"
    );
    // Once is enough, and unknown ones are wrong in the same way.
    for wrong in [id.as_str(), "nothing"] {
        match ask(&shop, false, word(wrong, true)).await {
            Err(EngineError::Invalid(fields)) => assert_eq!(fields[0].field, "resolve.executionId"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_half_applied_state_fails_whatever_its_execution_says() {
    let shop = Shop::at_work().await;
    shop.by_hand(
        "UPDATE migration_applied_status SET status = 'half-applied', ordinal = 1000 \
         WHERE migration_id = 'V102__customers'",
    );
    let found = verify(&shop).await;
    assert_only(&found, &[("execution-history", CheckStatus::Fail)]);
    assert!(the(&found, "execution-history").items[0].starts_with("V102__customers"));
}

#[tokio::test]
async fn missing_down_scripts_and_late_comers_are_something_to_know() {
    let shop = Shop::at_work().await;
    shop.create("V103__more.sqlite.sql", "SELECT 1;", None)
        .await;
    shop.engine.settle().await;
    let found = verify(&shop).await;
    assert_only(&found, &[("down-scripts", CheckStatus::Warn)]);
    assert_eq!(the(&found, "down-scripts").items, ["V103__more"]);

    shop.by_hand(
        "UPDATE migration_applied_status SET ordinal = 1000 WHERE migration_id = 'V101__orders'",
    );
    let found = verify(&shop).await;
    assert_eq!(the(&found, "version-order").status, CheckStatus::Warn);
    assert_eq!(
        the(&found, "version-order").items,
        ["V101__orders was applied after V102__customers"]
    );
}

#[tokio::test]
async fn a_damaged_registry_is_a_finding_and_no_failure() {
    for damage in [
        "DROP TABLE migration_run_plans",
        "ALTER TABLE schema_snapshots DROP COLUMN covers",
        "UPDATE migration_registry SET up_checksum = 'none' WHERE version = '101'",
    ] {
        let shop = Shop::at_work().await;
        shop.by_hand("DROP INDEX ix_schema_snapshots_database");
        shop.by_hand(damage);
        for found in [verify(&shop).await, fix(&shop).await] {
            assert_eq!(
                the(&found, "registry-schema").status,
                CheckStatus::Fail,
                "{damage}"
            );
            assert_eq!(found.checks.len(), CODES.len());
            assert!(!found.healthy);
        }
    }
}

#[tokio::test]
async fn a_newer_registry_and_a_changed_own_script_are_found() {
    let shop = Shop::at_work().await;
    let other = crate::script::Checksum::of_text("other");
    shop.by_hand(&format!(
        "UPDATE migration_applied_status SET checksum = '{other}' WHERE migration_id LIKE 'V100__%'"
    ));
    let found = verify(&shop).await;
    assert_eq!(the(&found, "registry-schema").status, CheckStatus::Fail);

    let shop = Shop::at_work().await;
    shop.by_hand("UPDATE migration_registry SET version = '100.7' WHERE version = '102'");
    let found = verify(&shop).await;
    assert_eq!(the(&found, "registry-schema").status, CheckStatus::Fail);
    assert!(the(&found, "registry-schema").items[0].contains("100.7"));
}

#[tokio::test]
async fn the_archives_copies_are_held_against_the_registry_both_ways() {
    let shop = Shop::at_work().await;
    shop.by_hand_in_archive("DELETE FROM migrations WHERE id = 'V101__orders'");
    assert_only(
        &verify(&shop).await,
        &[("registry-backup", CheckStatus::Fail)],
    );
    assert_only(
        &fix(&shop).await,
        &[("registry-backup", CheckStatus::Fixed)],
    );

    // A copy that does not have its own checksum is inferior, and so is one that is out of date.
    shop.by_hand_in_archive("UPDATE migrations SET document = json_set(document, '$.upScript', 'x') WHERE id = 'V101__orders'");
    assert_only(
        &verify(&shop).await,
        &[("registry-backup", CheckStatus::Fail)],
    );
    assert_only(
        &fix(&shop).await,
        &[("registry-backup", CheckStatus::Fixed)],
    );
    shop.by_hand("UPDATE migration_registry SET author = 'b', revision = 2, archived_revision = 2 WHERE version = '101'");
    assert_only(
        &fix(&shop).await,
        &[("registry-backup", CheckStatus::Fixed)],
    );

    // One that differs for no reason may be the right one.
    shop.by_hand("UPDATE migration_registry SET author = 'c' WHERE version = '101'");
    for found in [verify(&shop).await, fix(&shop).await] {
        assert_only(&found, &[("registry-backup", CheckStatus::Fail)]);
        assert!(the(&found, "registry-backup").detail.contains("contradict"));
    }

    let shop = Shop::at_work().await;
    shop.create("V103__more.sqlite.sql", "SELECT 1;", Some("SELECT 1;"))
        .await;
    shop.engine.settle().await;
    shop.by_hand("DELETE FROM migration_registry WHERE version = '103'");
    for found in [verify(&shop).await, fix(&shop).await] {
        assert_only(&found, &[("registry-backup", CheckStatus::Fail)]);
        assert!(the(&found, "registry-backup").items[0].starts_with("V103__more"));
    }
}

#[tokio::test]
async fn what_waits_for_its_delivery_is_delivered() {
    let shop = Shop::at_work().await;
    shop.by_hand("UPDATE audit_events SET delivered_at = NULL WHERE sequence > 3");
    assert_only(
        &verify(&shop).await,
        &[("trail-delivery", CheckStatus::Warn)],
    );
    assert_only(&fix(&shop).await, &[("trail-delivery", CheckStatus::Fixed)]);
    assert_eq!(newest_event(&shop), "integrity-fixed");
}

#[tokio::test]
async fn a_change_made_by_hand_is_drift() {
    let shop = Shop::at_work().await;
    shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
    for found in [verify(&shop).await, fix(&shop).await] {
        assert_only(&found, &[("drift", CheckStatus::Fail)]);
        assert_eq!(the(&found, "drift").items, ["added table by_hand"]);
    }
}

/// What a tampered trail must show: one text of the items.
async fn assert_told(shop: &Shop, expected: &[&str]) {
    let found = verify(shop).await;
    let check = the(&found, "trail-chain");
    assert_eq!(check.status, CheckStatus::Fail);
    assert_eq!(check.items, expected);
    assert!(!found.healthy);
}

fn length(shop: &Shop) -> u64 {
    shop.ask("SELECT MAX(sequence) FROM audit_events")
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_changed_event_is_found_on_either_side() {
    let shop = Shop::at_work().await;
    shop.by_hand("UPDATE audit_events SET executor = 'nobody' WHERE sequence = 5");
    assert_told(&shop, &["registry: event 5 was changed"]).await;

    let shop = Shop::at_work().await;
    shop.by_hand_in_archive(
        "UPDATE \"change-events\" SET document = json_set(document, '$.executor', 'nobody') WHERE sequence = 5",
    );
    assert_told(&shop, &["archive: event 5 was changed"]).await;
}

#[tokio::test]
async fn a_removed_event_is_found_on_either_side() {
    let shop = Shop::at_work().await;
    shop.by_hand("DELETE FROM audit_events WHERE sequence = 5");
    assert_told(
        &shop,
        &[
            "registry: event 5 was removed",
            "event 5 is missing from the registry, but the archive has it",
        ],
    )
    .await;

    let shop = Shop::at_work().await;
    shop.by_hand_in_archive("DELETE FROM \"change-events\" WHERE sequence IN (1, 5, 6)");
    assert_told(
        &shop,
        &[
            "event 1 is missing from the archive, though it was delivered",
            "events 5 to 6 are missing from the archive, though they were delivered",
        ],
    )
    .await;
    assert_only(&fix(&shop).await, &[("trail-chain", CheckStatus::Fixed)]);
    assert_only(&verify(&shop).await, &[]);
}

#[tokio::test]
async fn an_event_removed_on_both_sides_is_found() {
    let shop = Shop::at_work().await;
    shop.by_hand("DELETE FROM audit_events WHERE sequence = 5");
    shop.by_hand_in_archive("DELETE FROM \"change-events\" WHERE sequence = 5");
    assert_told(
        &shop,
        &[
            "registry: event 5 was removed",
            "archive: event 5 was removed",
        ],
    )
    .await;
}

#[tokio::test]
async fn events_that_changed_places_are_found_on_either_side() {
    let shop = Shop::at_work().await;
    shop.by_hand(
        "UPDATE audit_events SET sequence = 900 WHERE sequence = 5;
         UPDATE audit_events SET sequence = 5 WHERE sequence = 6;
         UPDATE audit_events SET sequence = 6 WHERE sequence = 900",
    );
    let found = verify(&shop).await;
    let items = &the(&found, "trail-chain").items;
    assert!(
        items.contains(&"registry: event 5 was changed".to_owned()),
        "{items:?}"
    );
    assert!(
        items.contains(&"registry: event 6 was changed".to_owned()),
        "{items:?}"
    );

    let shop = Shop::at_work().await;
    shop.by_hand_in_archive(
        "UPDATE \"change-events\" SET sequence = 11 - sequence WHERE sequence IN (5, 6)",
    );
    let found = verify(&shop).await;
    let items = &the(&found, "trail-chain").items;
    assert!(
        items.contains(&"archive: event 5 was changed".to_owned()),
        "{items:?}"
    );
    assert!(
        items.contains(&"archive: event 6 was changed".to_owned()),
        "{items:?}"
    );
}

#[tokio::test]
async fn a_cut_tail_is_found_on_either_side() {
    let shop = Shop::at_work().await;
    let last = length(&shop);
    shop.by_hand(&format!("DELETE FROM audit_events WHERE sequence = {last}"));
    assert_told(
        &shop,
        &[
            &format!(
                "registry: the trail ends with event {}, but its head is event {last}: the end was cut off or the head changed",
                last - 1
            ),
            &format!("event {last} is missing from the registry, but the archive has it"),
        ],
    )
    .await;

    // With the head set back the registry looks whole; the archive remembers.
    shop.by_hand(
        "UPDATE trail_heads SET (sequence, hash) = \
         (SELECT sequence, hash FROM audit_events ORDER BY sequence DESC LIMIT 1)",
    );
    assert_told(
        &shop,
        &[&format!(
            "event {last} is missing from the registry, but the archive has it"
        )],
    )
    .await;

    let shop = Shop::at_work().await;
    shop.by_hand_in_archive(&format!(
        "DELETE FROM \"change-events\" WHERE sequence >= {}",
        last - 1
    ));
    assert_told(
        &shop,
        &[&format!(
            "events {} to {last} are missing from the archive, though they were delivered",
            last - 1
        )],
    )
    .await;
}

#[tokio::test]
async fn a_chain_computed_anew_contradicts_the_archive() {
    let shop = Shop::at_work().await;
    let other = Shop::at_work().await;
    // A whole chain with its head, of another life.
    shop.by_hand(&format!(
        "ATTACH '{}' AS other;
         DELETE FROM audit_events; DELETE FROM trail_heads;
         INSERT INTO audit_events SELECT * FROM other.audit_events;
         INSERT INTO trail_heads SELECT * FROM other.trail_heads;",
        other.file("shop.sqlite").display()
    ));
    let last = length(&shop);
    assert_told(
        &shop,
        &[&format!(
            "events 1 to {last} differ between registry and archive"
        )],
    )
    .await;
}

#[tokio::test]
async fn a_registry_that_is_gone_altogether_is_missed_by_the_archive() {
    let shop = Shop::at_work().await;
    let last = length(&shop);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(shop.file(&format!("shop.sqlite{end}")));
    }
    assert_told(
        &shop,
        &[&format!(
            "events 1 to {last} are missing from the registry, but the archive has them"
        )],
    )
    .await;
}

#[tokio::test]
async fn a_head_that_is_gone_is_found() {
    let shop = Shop::at_work().await;
    shop.by_hand("DELETE FROM trail_heads");
    assert_told(&shop, &["registry: the head of the trail was removed"]).await;
}

#[tokio::test]
async fn a_long_trail_is_compared_piece_by_piece() {
    let shop = Shop::at_work().await;
    let managed = shop.engine.managed(&Shop::id()).await.unwrap();
    let mut writing = shop.engine.open_for_writing(&managed).await.unwrap();
    let mut change = crate::audit::Change::of(managed.id());
    let draft = shop.engine.draft(
        crate::audit::EventType::Refused,
        &Shop::caller(),
        serde_json::json!({}),
    );
    change.events = vec![draft; 1_700];
    shop.engine
        .write(writing.connection.as_mut(), &managed, change)
        .await
        .unwrap();
    drop(writing);
    shop.engine.settle().await;
    assert_only(&verify(&shop).await, &[]);
    shop.by_hand_in_archive("DELETE FROM \"change-events\" WHERE sequence BETWEEN 400 AND 1600");
    shop.by_hand("DELETE FROM audit_events WHERE sequence = 1000");
    assert_told(
        &shop,
        &[
            "registry: event 1000 was removed",
            "archive: events 400 to 1600 were removed",
            "events 400 to 999 are missing from the archive, though they were delivered",
            "events 1001 to 1600 are missing from the archive, though they were delivered",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_archive_that_is_down_is_no_failure_of_the_database() {
    let shop = Shop::at_work().await;
    std::fs::write(
        shop.file("_version-control.sqlite"),
        "not a database at all, and longer than a header",
    )
    .unwrap();
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(shop.file(&format!("_version-control.sqlite{end}")));
    }
    for found in [verify(&shop).await, fix(&shop).await] {
        let expected = [
            ("registry-backup", CheckStatus::Warn),
            ("trail-chain", CheckStatus::Warn),
        ];
        assert_only(&found, &expected);
    }
}
