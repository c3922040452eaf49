//! What goes wrong on the way: nothing is lost, nothing is there twice, and the order stays.

use std::sync::Arc;

use azure_data_cosmos::fault_injection::{
    FaultInjectionConditionBuilder, FaultInjectionErrorType, FaultInjectionResultBuilder,
    FaultInjectionRule, FaultInjectionRuleBuilder, FaultOperationType,
};
use azure_data_cosmos_driver::in_memory_emulator::ContainerConfig;
use dbvc::audit::cosmos::CosmosArchive;
use dbvc::audit::{Added, Archive, ArchiveErrorKind, Event};

use crate::harness::{Place, Test, a_database, chain, chain_with, expect_all, of, whole_chain};
use crate::migrations::migration;
use crate::snapshots::snapshot;
use crate::support::cosmos::Fate;

pub fn tests() -> Vec<Test> {
    archive_tests![Double:
        what_the_driver_does_not_get_over_is_told_and_nothing_is_lost,
        an_answer_that_is_lost_leaves_nothing_twice,
        a_connection_that_comes_and_goes_delivers_everything_once,
        a_throttled_container_delays_and_loses_nothing,
        a_document_that_is_refused_is_told_and_what_stands_before_it_is_added,
        a_snapshot_whose_writing_was_cut_off_is_never_seen,
    ]
}

/// A fault of this kind in every request of these, until the rule is switched off.
fn fault(error: FaultInjectionErrorType, operation: FaultOperationType) -> Arc<FaultInjectionRule> {
    let result = FaultInjectionResultBuilder::new().with_error(error).build();
    let condition = FaultInjectionConditionBuilder::new()
        .with_operation_type(operation)
        .build();
    let name = format!("{error} of {operation}");
    Arc::new(
        FaultInjectionRuleBuilder::new(name, result)
            .with_condition(condition)
            .build(),
    )
}

async fn what_the_driver_does_not_get_over_is_told_and_nothing_is_lost(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 30);
    // So that the containers are there before anything fails.
    expect_all(&place.archive.add_events(&of(&shop), &events[..1]).await, 1);
    for error in [
        FaultInjectionErrorType::Timeout,
        FaultInjectionErrorType::TooManyRequests,
        FaultInjectionErrorType::RetryWith,
        FaultInjectionErrorType::ServiceUnavailable,
        FaultInjectionErrorType::InternalServerError,
        FaultInjectionErrorType::ConnectionError,
        FaultInjectionErrorType::ResponseTimeout,
    ] {
        let rules = vec![
            fault(error, FaultOperationType::BatchItem),
            fault(error, FaultOperationType::CreateItem),
        ];
        let handle = place
            .account_in_memory()
            .handle(place.database_name(), rules.clone())
            .await;
        let archive = CosmosArchive::new(handle);
        let before = whole_chain(&archive, &shop).await;
        let added = archive.add_events(&of(&shop), &events).await;
        let stopped = added.stopped.expect("it does not succeed");
        assert_eq!(
            stopped.kind,
            ArchiveErrorKind::Unavailable,
            "{error}: {stopped}"
        );
        assert_eq!(added.count, 0, "{error}");
        assert_eq!(whole_chain(&archive, &shop).await, before, "{error}");
        for rule in &rules {
            rule.disable();
        }
        let more = before.len() + 4;
        expect_all(&archive.add_events(&of(&shop), &events[..more]).await, more);
    }
    assert!(whole_chain(place.archive.as_ref(), &shop).await == events[..29]);
}

async fn an_answer_that_is_lost_leaves_nothing_twice(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 130);
    expect_all(&place.archive.add_events(&of(&shop), &events[..1]).await, 1);
    let error = FaultInjectionErrorType::ResponseTimeoutAfterService;
    let rules = vec![
        fault(error, FaultOperationType::BatchItem),
        fault(error, FaultOperationType::CreateItem),
    ];
    let handle = place
        .account_in_memory()
        .handle(place.database_name(), rules.clone())
        .await;
    let archive = CosmosArchive::new(handle);
    // Nobody was told that they are there.
    let added = archive.add_events(&of(&shop), &events).await;
    assert!(added.count < 130);
    for rule in &rules {
        rule.disable();
    }
    expect_all(&archive.add_events(&of(&shop), &events).await, 130);
    assert!(whole_chain(&archive, &shop).await == events);
}

/// Adds until all is added, as deliveries do that go on where the last one stopped.
async fn add_all(archive: &dyn Archive, events: &[Event]) {
    let mut rest = events;
    let partition = of(&events[0].database_id);
    for _ in 0..200 {
        let Added { count, stopped } = archive.add_events(&partition, rest).await;
        rest = &rest[count..];
        if rest.is_empty() {
            return;
        }
        let stopped = stopped.expect("a reason");
        assert_eq!(stopped.kind, ArchiveErrorKind::Unavailable, "{stopped}");
    }
    panic!("{} events are never added", rest.len());
}

async fn a_connection_that_comes_and_goes_delivers_everything_once(place: &Place) {
    let account = place.account_in_memory();
    // A generator of numbers that gives the same in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..2 {
        let shop = a_database();
        // As large as events get, so that they take many batches.
        let long = "x".repeat(1_500);
        let events = chain_with(
            &shop,
            180,
            |number| serde_json::json!({"number": number, "texts": vec![&long; 15]}),
        );
        let fates: Vec<Fate> = (0..60)
            .map(|_| match next() % 8 {
                0 | 1 => Fate::Lost,
                2 | 3 => Fate::DoneUnanswered,
                4 => Fate::Refused(503),
                5 => Fate::Refused(429),
                _ => Fate::Answered,
            })
            .collect();
        account.set_fates(fates);
        add_all(place.archive.as_ref(), &events).await;
        assert!(whole_chain(place.archive.as_ref(), &shop).await == events);
        let mut copy = migration(&shop, "V1__long", 1);
        copy.up_script = "SELECT 1;\n".repeat(500_000);
        let snapshot = snapshot(&shop, 1, &["one", "two", "three"]);
        account.set_fates((0..20).map(|_| match next() % 4 {
            0 => Fate::Lost,
            1 => Fate::DoneUnanswered,
            _ => Fate::Answered,
        }));
        while place
            .archive
            .put_migrations(&of(&shop), std::slice::from_ref(&copy))
            .await
            .count
            == 0
        {}
        while place
            .archive
            .add_snapshot(&of(&shop), &snapshot)
            .await
            .is_err()
        {}
        assert!(place.archive.migrations(&of(&shop)).await.unwrap() == [copy]);
        let found = place
            .archive
            .snapshot(&of(&shop), &snapshot.header.snapshot_id)
            .await;
        assert_eq!(found.unwrap(), Some(snapshot));
    }
}

async fn a_throttled_container_delays_and_loses_nothing(place: &Place) {
    let store = place.account_in_memory().store();
    store.create_database(place.database_name());
    store.create_container_with_config(
        place.database_name(),
        "change-events",
        "/databaseId".into(),
        // The least that there is.
        ContainerConfig::new().with_throughput(400).build().unwrap(),
    );
    let shop = a_database();
    // One by one: what the account in memory charges for.
    let events = chain(&shop, 60);
    for event in &events {
        add_all(place.archive.as_ref(), std::slice::from_ref(event)).await;
    }
    assert!(place.account_in_memory().throttled() > 0);
    assert!(whole_chain(place.archive.as_ref(), &shop).await == events);
}

async fn a_document_that_is_refused_is_told_and_what_stands_before_it_is_added(place: &Place) {
    let shop = a_database();
    let mut events = chain(&shop, 9);
    events[4].data = serde_json::json!({"text": "x".repeat(2_200_000)});
    let added = place.archive.add_events(&of(&shop), &events).await;
    assert_eq!(added.count, 4);
    let stopped = added.stopped.unwrap();
    assert_eq!(stopped.kind, ArchiveErrorKind::Refused, "{stopped}");
    expect_all(&place.archive.add_events(&of(&shop), &events[5..]).await, 4);
    let mut copies: Vec<_> = (1..6)
        .map(|n| migration(&shop, &format!("V{n}__x"), 1))
        .collect();
    copies[2].description = Some("x".repeat(2_200_000));
    let put = place.archive.put_migrations(&of(&shop), &copies).await;
    assert_eq!(put.count, 2);
    assert_eq!(put.stopped.unwrap().kind, ArchiveErrorKind::Refused);
    expect_all(
        &place.archive.put_migrations(&of(&shop), &copies[3..]).await,
        2,
    );
}

async fn a_snapshot_whose_writing_was_cut_off_is_never_seen(place: &Place) {
    let shop = a_database();
    let whole = snapshot(&shop, 1, &["one"]);
    place
        .archive
        .add_snapshot(&of(&shop), &whole)
        .await
        .unwrap();
    let cut_off = snapshot(&shop, 2, &["one", "two", "three"]);
    // The part "two" is written, nothing after it is.
    place
        .account_in_memory()
        .set_fates([Fate::Answered].into_iter().chain([Fate::Refused(401); 50]));
    place
        .archive
        .add_snapshot(&of(&shop), &cut_off)
        .await
        .unwrap_err();
    place.account_in_memory().set_fates([]);
    assert_eq!(place.documents("schema-snapshots", &shop).await.len(), 3);
    let headers = place.archive.snapshot_headers(&of(&shop)).await.unwrap();
    assert_eq!(headers, [whole.header]);
    let id = &cut_off.header.snapshot_id;
    assert_eq!(place.archive.snapshot(&of(&shop), id).await.unwrap(), None);
    place
        .archive
        .add_snapshot(&of(&shop), &cut_off)
        .await
        .unwrap();
    assert_eq!(
        place.archive.snapshot(&of(&shop), id).await.unwrap(),
        Some(cut_off)
    );
}
